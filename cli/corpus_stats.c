/* decant corpus stats */
#include "cli/corpus.h"
#include "core/base/json.h"
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
    "Prompts, traces by verdict and mark, pass rates, tokens, money (failed tries included), and "
    "each\n"
    "teacher's and request's part. A prompt's pass rate is the share of its verified traces whose\n"
    "answer is correct. Good: correct, and nothing marked against the trace or its prompt.",
};

static void print_lengths(const char *what, const struct stats_lengths *l)
{
    if (l->n)
        printf("  %-16s %8lld  mean %-7lld p10 %-7lld p50 %-7lld p90 %-7lld p99 %-7lld max %lld\n",
               what, (long long)l->sum, (long long)(l->sum / l->n), (long long)l->p10,
               (long long)l->p50, (long long)l->p90, (long long)l->p99, (long long)l->max);
}

static void print_share(const char *what, int64_t n, int64_t of)
{
    if (of)
        printf("  %-16s %8lld  %5.1f %%\n", what, (long long)n, 100.0 * (double)n / (double)of);
}

struct printing {
    char teacher[200]; /* of the request before */
    int64_t n_traces;  /* of the corpus */
};

static void print_request(void *ctx, const struct stats_request *r)
{
    struct printing *p = ctx;
    if (strncmp(p->teacher, r->teacher, sizeof p->teacher - 1) != 0) {
        snprintf(p->teacher, sizeof p->teacher, "%s", r->teacher);
        printf("teacher ");
        print_text(r->teacher);
        printf("\n");
    }
    printf("  request %lld: ", (long long)r->id);
    print_text(r->json);
    printf("\n     %lld trace%s of %lld prompt%s: %lld correct, %lld wrong, %lld unknown",
           (long long)r->n_traces, plural(r->n_traces), (long long)r->n_prompts,
           plural(r->n_prompts), (long long)r->n_correct, (long long)r->n_wrong,
           (long long)r->n_unknown);
    if (r->n_completion_tokens)
        printf("; %lld tokens", (long long)r->n_completion_tokens);
    if (r->n_failures)
        printf("; %lld failure%s", (long long)r->n_failures, plural(r->n_failures));
    if (r->cost_usd > 0)
        printf("; $%.4f", r->cost_usd);
    printf("\n");
}

static void print_mark(void *ctx, const char *kind, bool on_prompts, int64_t n)
{
    const struct printing *p = ctx;
    if (on_prompts) {
        printf("  %-16s %8lld prompt%s\n", kind, (long long)n, plural(n));
    } else
        print_share(kind, n, p->n_traces);
}

static void print_answers(const struct corpus_stats *s)
{
    printf("answers\n");
    print_share("correct", s->n_correct, s->n_traces);
    print_share("wrong", s->n_wrong, s->n_traces);
    print_share("unknown", s->n_unknown, s->n_traces);
    if (s->n_unverified)
        print_share("unverified", s->n_unverified, s->n_traces);
    print_share("good", s->n_good, s->n_traces);
}

static void print_money(const struct corpus_stats *s)
{
    double all = s->cost_usd + s->failed_cost_usd + s->repeats_cost_usd;
    if (all > 0) {
        printf("cost\n  $%.4f", all);
        if (s->failed_cost_usd > 0)
            printf(", of it $%.4f for tries that gave no trace", s->failed_cost_usd);
        if (s->n_good)
            printf("; $%.6f a good trace", all / (double)s->n_good);
        printf("\n");
    }
    if (s->n_repeats)
        printf("canary\n  %lld short repeat%s, $%.4f\n", (long long)s->n_repeats,
               plural(s->n_repeats), s->repeats_cost_usd);
    if (s->n_failures + s->n_failed_before)
        printf("failures\n  %lld sample%s without a trace, %lld that came after failed tries\n",
               (long long)s->n_failures, plural(s->n_failures), (long long)s->n_failed_before);
}

static err_code print_stats(struct corpus *c, const struct corpus_stats *s, struct err *e)
{
    struct printing p = {.n_traces = s->n_traces};
    err_code rc = ERR_OK;
    printf("%lld prompt%s (%lld with a gold answer, %lld with traces), %lld trace%s\n",
           (long long)s->n_prompts, plural(s->n_prompts), (long long)s->n_with_gold,
           (long long)s->n_traced, (long long)s->n_traces, plural(s->n_traces));
    if (s->n_traces) {
        print_answers(s);
        printf("marks\n");
        rc = corpus_stats_marks(c, print_mark, &p, e);
        if (s->n_rated) {
            printf("pass rates   (mean %.1f %%)\n", 100 * s->mean_pass_rate);
            print_share("always", s->n_always, s->n_rated);
            print_share("sometimes", s->n_sometimes, s->n_rated);
            print_share("never", s->n_never, s->n_rated);
        }
        if (s->prompt_tokens.n + s->reasoning_tokens.n + s->completion_tokens.n)
            printf("tokens\n");
        print_lengths("prompt", &s->prompt_tokens);
        print_lengths("reasoning", &s->reasoning_tokens);
        print_lengths("completion", &s->completion_tokens);
    }
    print_money(s);
    return rc ? rc : corpus_stats_requests(c, print_request, &p, e);
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

struct json_list {
    struct buf *b;
    struct err *e;
    err_code rc;
    int n;
    bool on_prompts;
};

static void json_request(void *ctx, const struct stats_request *r)
{
    struct json_list *j = ctx;
    if (!j->rc)
        j->rc = buf_printf(j->b, j->e,
                           "%s{\"id\":%lld,\"request\":%s,\"traces\":%lld,\"prompts\":%lld,"
                           "\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,"
                           "\"completion_tokens\":%lld,\"failures\":%lld",
                           j->n++ ? "," : "", (long long)r->id, r->json, (long long)r->n_traces,
                           (long long)r->n_prompts, (long long)r->n_correct, (long long)r->n_wrong,
                           (long long)r->n_unknown, (long long)r->n_completion_tokens,
                           (long long)r->n_failures);
    if (!j->rc && r->cost_usd >= 0)
        j->rc = buf_printf(j->b, j->e, ",\"cost_usd\":%.17g", r->cost_usd);
    if (!j->rc)
        j->rc = buf_str(j->b, "}", j->e);
}

static void json_mark(void *ctx, const char *kind, bool on_prompts, int64_t n)
{
    struct json_list *j = ctx;
    static const char *const own[] = {"truncated", "refused", "empty", "no_think", "repetition"};
    for (size_t i = 0; i < sizeof own / sizeof *own && !on_prompts; i++)
        if (!strcmp(kind, own[i]))
            return; /* stands there already */
    if (j->rc || on_prompts != j->on_prompts)
        return;
    j->rc = buf_str(j->b, j->n++ ? "," : "", j->e);
    if (!j->rc)
        j->rc = json_quote(j->b, kind, strlen(kind), j->e);
    if (!j->rc)
        j->rc = buf_printf(j->b, j->e, ":%lld", (long long)n);
}

static err_code json_marks(struct corpus *c, const struct corpus_stats *s, struct buf *b,
                           struct err *e)
{
    struct json_list traces = {.b = b, .e = e, .n = 1}, prompts = {.b = b, .e = e};
    prompts.on_prompts = true;
    err_code rc =
        buf_printf(b, e,
                   ",\"marks\":{\"truncated\":%lld,\"refused\":%lld,\"empty\":%lld,"
                   "\"no_think\":%lld,\"repetition\":%lld",
                   (long long)s->n_truncated, (long long)s->n_refused, (long long)s->n_empty,
                   (long long)s->n_no_think, (long long)s->n_repetition);
    if (!rc)
        rc = corpus_stats_marks(c, json_mark, &traces, e);
    if (!rc)
        rc = traces.rc;
    if (!rc)
        rc = buf_str(b, "},\"prompt_marks\":{", e);
    if (!rc)
        rc = corpus_stats_marks(c, json_mark, &prompts, e);
    if (!rc)
        rc = prompts.rc;
    return rc ? rc : buf_str(b, "}", e);
}

static err_code json_stats(struct corpus *c, const struct corpus_stats *s, struct buf *b,
                           struct err *e)
{
    struct json_list j = {.b = b, .e = e};
    err_code rc = buf_printf(
        b, e,
        "{\"prompts\":%lld,\"with_gold\":%lld,\"traced\":%lld,\"traces\":%lld,"
        "\"verdicts\":{\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,\"unverified\":%lld},"
        "\"good\":%lld,\"lossy\":%lld,\"pass_rate\":{\"prompts\":%lld,\"mean\":%.17g,"
        "\"always\":%lld,\"sometimes\":%lld,\"never\":%lld},\"priced\":%lld,\"cost_usd\":%.17g,"
        "\"failures\":%lld,\"failed_before\":%lld,\"failed_cost_usd\":%.17g,"
        "\"canary_repeats\":%lld,\"canary_cost_usd\":%.17g",
        (long long)s->n_prompts, (long long)s->n_with_gold, (long long)s->n_traced,
        (long long)s->n_traces, (long long)s->n_correct, (long long)s->n_wrong,
        (long long)s->n_unknown, (long long)s->n_unverified, (long long)s->n_good,
        (long long)s->n_lossy, (long long)s->n_rated, s->mean_pass_rate, (long long)s->n_always,
        (long long)s->n_sometimes, (long long)s->n_never, (long long)s->n_priced, s->cost_usd,
        (long long)s->n_failures, (long long)s->n_failed_before, s->failed_cost_usd,
        (long long)s->n_repeats, s->repeats_cost_usd);
    if (!rc)
        rc = json_marks(c, s, b, e);
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
    else if (!rc)
        rc = print_stats(c, &s, &e);
    corpus_close(c);
    return json ? corpus_end_json(rc, &b, &e) : cli_end(rc, &e);
}
