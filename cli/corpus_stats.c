/* decant corpus stats */
#include "cli/corpus.h"
#include "dataset/stats.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_stats_command;
const struct command corpus_stats_command = {
    "corpus stats",
    "count what a corpus holds",
    "decant corpus stats --corpus math.db\n  decant corpus stats --corpus math.db --json",
    run,
    "Prompts, traces by verdict, pass rates, tokens, money, and each request's part. A prompt's "
    "pass\n"
    "rate is the share of its verified traces whose answer is correct.",
};

static void print_lengths(const char *what, const struct stats_lengths *l)
{
    if (l->n)
        printf("  %-12s %12lld  mean %-7lld p10 %-7lld p50 %-7lld p90 %-7lld p99 %-7lld max %lld\n",
               what, (long long)l->sum, (long long)(l->sum / l->n), (long long)l->p10,
               (long long)l->p50, (long long)l->p90, (long long)l->p99, (long long)l->max);
}

static void print_share(const char *what, int64_t n, int64_t of)
{
    if (of)
        printf("  %-12s %12lld  %5.1f %%\n", what, (long long)n, 100.0 * (double)n / (double)of);
}

static void print_request(void *ctx, const struct stats_request *r)
{
    (void)ctx;
    printf("  %lld: %s\n     %lld traces of %lld prompts, %lld correct, %lld wrong, %lld unknown, "
           "%lld "
           "tokens",
           (long long)r->id, r->json, (long long)r->n_traces, (long long)r->n_prompts,
           (long long)r->n_correct, (long long)r->n_wrong, (long long)r->n_unknown,
           (long long)r->n_completion_tokens);
    if (r->cost_usd >= 0)
        printf(", $%.4f", r->cost_usd);
    printf("\n");
}

static void print_stats(const struct corpus_stats *s)
{
    printf("%lld prompt%s (%lld with a gold answer, %lld with traces), %lld trace%s\n",
           (long long)s->n_prompts, plural(s->n_prompts), (long long)s->n_with_gold,
           (long long)s->n_traced, (long long)s->n_traces, plural(s->n_traces));
    if (!s->n_traces)
        return;
    printf("answers\n");
    print_share("correct", s->n_correct, s->n_traces);
    print_share("wrong", s->n_wrong, s->n_traces);
    print_share("unknown", s->n_unknown, s->n_traces);
    if (s->n_unverified)
        print_share("unverified", s->n_unverified, s->n_traces);
    printf("marks\n");
    print_share("truncated", s->n_truncated, s->n_traces);
    print_share("no thinking", s->n_no_think, s->n_traces);
    print_share("repetition", s->n_repetition, s->n_traces);
    print_share("good", s->n_good, s->n_traces);
    if (s->n_rated) {
        printf("pass rates   (mean %.1f %%)\n", 100 * s->mean_pass_rate);
        print_share("always", s->n_always, s->n_rated);
        print_share("sometimes", s->n_sometimes, s->n_rated);
        print_share("never", s->n_never, s->n_rated);
    }
    printf("tokens\n");
    print_lengths("prompt", &s->prompt_tokens);
    print_lengths("reasoning", &s->reasoning_tokens);
    print_lengths("completion", &s->completion_tokens);
    if (s->n_priced)
        printf("cost\n  $%.4f for %lld traces%s", s->cost_usd, (long long)s->n_priced,
               s->n_good ? "" : "\n");
    if (s->n_priced && s->n_good)
        printf(", $%.6f a good one\n", s->cost_usd / (double)s->n_good);
}

static err_code json_lengths(struct buf *b, const char *key, const struct stats_lengths *l,
                             struct err *e)
{
    return buf_printf(
        b, e,
        ",\"%s\":{\"traces\":%lld,\"sum\":%lld,\"p10\":%lld,\"p50\":%lld,\"p90\":%lld,"
        "\"p99\":%lld,\"max\":%lld}",
        key, (long long)l->n, (long long)l->sum, (long long)l->p10, (long long)l->p50,
        (long long)l->p90, (long long)l->p99, (long long)l->max);
}

struct json_requests {
    struct buf *b;
    struct err *e;
    err_code rc;
    int n;
};

static void json_request(void *ctx, const struct stats_request *r)
{
    struct json_requests *j = ctx;
    if (!j->rc)
        j->rc = buf_printf(j->b, j->e,
                           "%s{\"id\":%lld,\"request\":%s,\"traces\":%lld,\"prompts\":%lld,"
                           "\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,"
                           "\"completion_tokens\":%lld",
                           j->n++ ? "," : "", (long long)r->id, r->json, (long long)r->n_traces,
                           (long long)r->n_prompts, (long long)r->n_correct, (long long)r->n_wrong,
                           (long long)r->n_unknown, (long long)r->n_completion_tokens);
    if (!j->rc && r->cost_usd >= 0)
        j->rc = buf_printf(j->b, j->e, ",\"cost_usd\":%.17g", r->cost_usd);
    if (!j->rc)
        j->rc = buf_str(j->b, "}", j->e);
}

static err_code json_stats(struct corpus *c, const struct corpus_stats *s, struct buf *b,
                           struct err *e)
{
    struct json_requests j = {.b = b, .e = e};
    err_code rc = buf_printf(
        b, e,
        "{\"prompts\":%lld,\"with_gold\":%lld,\"traced\":%lld,\"traces\":%lld,"
        "\"verdicts\":{\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,\"unverified\":%lld},"
        "\"marks\":{\"truncated\":%lld,\"no_think\":%lld,\"repetition\":%lld},\"good\":%lld,"
        "\"lossy\":%lld,\"pass_rate\":{\"prompts\":%lld,\"mean\":%.17g,\"always\":%lld,"
        "\"sometimes\":%lld,\"never\":%lld},\"priced\":%lld,\"cost_usd\":%.17g",
        (long long)s->n_prompts, (long long)s->n_with_gold, (long long)s->n_traced,
        (long long)s->n_traces, (long long)s->n_correct, (long long)s->n_wrong,
        (long long)s->n_unknown, (long long)s->n_unverified, (long long)s->n_truncated,
        (long long)s->n_no_think, (long long)s->n_repetition, (long long)s->n_good,
        (long long)s->n_lossy, (long long)s->n_rated, s->mean_pass_rate, (long long)s->n_always,
        (long long)s->n_sometimes, (long long)s->n_never, (long long)s->n_priced, s->cost_usd);
    if (!rc)
        rc = json_lengths(b, "prompt_tokens", &s->prompt_tokens, e);
    if (!rc)
        rc = json_lengths(b, "reasoning_tokens", &s->reasoning_tokens, e);
    if (!rc)
        rc = json_lengths(b, "completion_tokens", &s->completion_tokens, e);
    if (!rc)
        rc = buf_str(b, ",\"requests\":[", e);
    if (!rc)
        rc = corpus_stats_requests(c, json_request, &j, e);
    if (!rc)
        rc = j.rc;
    return rc ? rc : buf_str(b, "]}", e);
}

static int run(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    struct cli_option options[] = {CORPUS_OPTION(path), JSON_OPTION(json), {0}};
    int usage = cli_parse(&corpus_stats_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct corpus_stats s;
    struct buf b = {0};
    err_code rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc)
        rc = corpus_stats(c, &s, &e);
    if (!rc && json)
        rc = json_stats(c, &s, &b, &e);
    else if (!rc) {
        print_stats(&s);
        if (s.n_requests)
            printf("requests\n");
        rc = corpus_stats_requests(c, print_request, NULL, &e);
    }
    corpus_close(c);
    return json ? corpus_end_json(rc, &b, &e) : cli_end(rc, &e);
}
