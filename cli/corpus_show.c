/* decant corpus show */
#include "cli/corpus_show.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_show_command;
const struct command corpus_show_command = {
    "corpus show",
    "print traces to read",
    "decant corpus show --corpus math.db --trace 17\n"
    "  decant corpus show --corpus math.db --select \"verdict = 'wrong'\" --limit 3\n"
    "  decant corpus show --corpus math.db --trace 17 --logprobs",
    run,
    "Each with its prompt, reasoning, answer, verdicts and where it came from.",
};

static void print_part(const char *title, const char *text)
{
    printf("\n--- %s ---\n", title);
    print_text(text);
    putchar('\n');
}

static void print_field(const char *what, const char *text)
{
    if (!text)
        return;
    printf("%-14s", what);
    print_text(text);
    putchar('\n');
}

static void print_tokens(const struct corpus_row *r)
{
    const struct {
        const char *what;
        int64_t n;
    } counts[] = {{"prompt", r->n_prompt_tokens},
                  {"of them cached", r->n_cached_tokens},
                  {"reasoning", r->n_reasoning_tokens}};
    const char *sep = " (";
    if (r->n_completion_tokens < 0)
        return;
    printf("%-14s%lld", "tokens", (long long)r->n_completion_tokens);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n >= 0) {
            printf("%s%s %lld", sep, counts[i].what, (long long)counts[i].n);
            sep = ", ";
        }
    printf("%s\n", *sep == ',' ? ")" : "");
}

static err_code print_mark(void *ctx, const struct corpus_mark_row *m, struct err *e)
{
    bool *first = ctx;
    (void)e;
    printf("%-14s", *first ? "marks" : "");
    *first = false;
    print_text(m->kind);
    printf("%s%s", m->on == CORPUS_MARK_PROMPTS ? " (its prompt)" : "", m->reason ? ": " : "");
    print_text(m->reason ? m->reason : ""); /* may quote the text */
    putchar('\n');
    return ERR_OK;
}

static err_code print_row(struct corpus *c, const struct corpus_row *r, struct err *e)
{
    bool first = true;
    printf("trace %lld: prompt %lld, sample %lld\n", (long long)r->id, (long long)r->prompt_id,
           (long long)r->sample_index);
    print_part("prompt", r->prompt);
    print_part("reasoning", r->reasoning);
    print_part("answer", r->answer);
    printf("\n---\n");
    print_field("gold", r->gold);
    printf("%-14s%s%s", "verdict", r->verdict ? r->verdict : "not verified",
           r->verdict_reason ? ": " : "");
    print_text(r->verdict_reason ? r->verdict_reason : ""); /* quotes the answer */
    printf("\n");
    err_code rc = corpus_marks_of(c, r->id, print_mark, &first, e);
    print_field("finish reason", r->finish_reason);
    print_field("source", r->source);
    print_field("request", r->request);
    print_field("sent", r->params_json);
    print_field("served model", r->served_model);
    print_field("endpoint", r->endpoint);
    print_field("think rule", r->think_rule);
    if (r->has_seed)
        printf("%-14s%llu\n", "seed", (unsigned long long)r->seed);
    print_tokens(r);
    if (r->latency_ms >= 0)
        printf("%-14s%.1f s\n", "took", r->latency_ms / 1000);
    if (r->cost_usd > 0)
        printf("%-14s$%.6f\n", "cost", r->cost_usd);
    print_field("also said", r->extra_json);
    printf("%-14s%s, decant %s%s\n", "made", r->created_at, r->program,
           r->lossy ? ", bytes that are not UTF-8 were replaced" : "");
    return rc;
}

static err_code print_logprobs(struct corpus *c, const struct corpus_row *r, struct err *e)
{
    struct buf b = {0};
    err_code rc = show_logprobs(c, r, false, &b, e);
    if (!rc) {
        printf("\n--- log-probabilities ---\n");
        cli_put_text(b.data, b.len);
    }
    buf_dispose(&b);
    return rc;
}

static err_code json_text(struct buf *b, const char *key, const char *s, struct err *e)
{
    err_code rc = buf_printf(b, e, ",\"%s\":", key);
    return rc ? rc : s ? json_quote(b, s, strlen(s), e) : buf_str(b, "null", e);
}

static err_code json_mark(void *ctx, const struct corpus_mark_row *m, struct err *e)
{
    struct buf *b = ctx;
    err_code rc = buf_printf(b, e, "%s{\"on\":\"%s\"", b->data[b->len - 1] == '[' ? "" : ",",
                             m->on == CORPUS_MARK_PROMPTS ? "prompt" : "trace");
    if (!rc)
        rc = json_text(b, "kind", m->kind, e);
    if (!rc)
        rc = json_text(b, "reason", m->reason, e);
    return rc ? rc : buf_str(b, "}", e);
}

static err_code json_row(struct corpus *c, struct buf *b, const struct corpus_row *r, bool logprobs,
                         struct err *e)
{
    const struct {
        const char *key, *text;
    } texts[] = {{"prompt", r->prompt},         {"gold", r->gold},
                 {"reasoning", r->reasoning},   {"answer", r->answer},
                 {"verdict", r->verdict},       {"verdict_reason", r->verdict_reason},
                 {"marks", r->marks},           {"finish_reason", r->finish_reason},
                 {"source", r->source},         {"served_model", r->served_model},
                 {"endpoint", r->endpoint},     {"think_rule", r->think_rule},
                 {"created_at", r->created_at}, {"program", r->program}};
    err_code rc = buf_printf(b, e, "{\"id\":%lld,\"prompt_id\":%lld,\"sample_index\":%lld",
                             (long long)r->id, (long long)r->prompt_id, (long long)r->sample_index);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = json_text(b, texts[i].key, texts[i].text, e);
    if (!rc)
        rc = buf_str(b, ",\"reasons\":[", e);
    if (!rc)
        rc = corpus_marks_of(c, r->id, json_mark, b, e);
    if (!rc)
        rc = buf_printf(b, e, "],\"request\":%s", r->request);
    if (!rc && logprobs)
        rc = buf_str(b, ",\"logprobs\":", e);
    if (!rc && logprobs)
        rc = show_logprobs(c, r, true, b, e);
    return rc ? rc : buf_str(b, "}", e);
}

static err_code show(struct corpus *c, const char *selection, int64_t limit, bool json,
                     bool logprobs, struct buf *b, struct err *e)
{
    struct corpus_select *s;
    struct corpus_row row;
    bool more = true;
    int64_t n = 0;
    err_code rc = corpus_select_open(c, selection, &s, e);
    if (!rc && json)
        rc = buf_str(b, "{\"traces\":[", e);
    while (!rc && n < limit && !(rc = corpus_select_next(s, &row, &more, e)) && more) {
        if (json) {
            rc = n ? buf_str(b, ",", e) : ERR_OK;
            if (!rc)
                rc = json_row(c, b, &row, logprobs, e);
        } else {
            printf("%s", n ? "\n\n" : "");
            rc = print_row(c, &row, e);
            if (!rc && logprobs)
                rc = print_logprobs(c, &row, e);
        }
        n++;
    }
    corpus_select_close(s);
    if (!rc && !n)
        rc = err_set(e, ERR_NOTFOUND, "%s: no trace fits: %s", corpus_path(c), selection);
    if (!rc && json)
        rc = buf_str(b, "]}", e);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *path = NULL, *selection = "all";
    int64_t trace = 0, limit = 1;
    bool json = false, logprobs = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"trace", CLI_INT, &trace, "ID", "this trace; 0: those of --select", .min = 0,
         .max = INT64_MAX},
        SELECT_OPTION(selection),
        {"limit", CLI_INT, &limit, "N", "show at most N", .min = 1, .max = INT64_MAX},
        {"logprobs", CLI_FLAG, &logprobs, "", "and its tokens: text, log-probability, candidates"},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_show_command, options, argc, argv);
    if (usage)
        return usage;
    char by_id[40];
    if (trace) {
        snprintf(by_id, sizeof by_id, "id = %lld", (long long)trace);
        selection = by_id;
    }
    struct err e = {0};
    struct corpus *c;
    struct buf b = {0};
    err_code rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc)
        rc = show(c, selection, limit, json, logprobs, &b, &e);
    corpus_close(c);
    return json ? corpus_end_json(rc, &b, &e) : cli_end(rc, &e);
}
