/* decant corpus: a word after it says what to do with a corpus. */
#include "cli/cli.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "dataset/import.h"
#include "dataset/stats.h"

#include <stdio.h>
#include <string.h>

/* Ends a command that printed JSON into b (when all went well). */
static int end_json(err_code rc, struct buf *b, struct err *e)
{
    if (!rc)
        printf("%s\n", b->data);
    buf_dispose(b);
    return cli_end(rc, e);
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- import ---- */

static int run_import(int argc, char **argv);
static const struct command import_command = {
    "corpus import",
    "read prompts from JSONL files",
    "decant corpus import --corpus math.db --prompts train.jsonl",
    run_import,
    "Each line is an object with \"prompt\" (or \"question\", \"problem\") and, when known, "
    "\"answer\".\n"
    "GSM8K's files work as they are. A prompt that is there already is not added again; its gold\n"
    "answer is filled in when it had none. A file with a bad line adds nothing.",
};

static int run_import(int argc, char **argv)
{
    const char *path = NULL;
    struct cli_strs files = {0};
    struct import_options opt = {0};
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus; made when absent", .required = true},
        {"prompts", CLI_STRS, &files, "FILE.jsonl", "prompts; may be given several times",
         .required = true},
        {"source", CLI_STR, &opt.source, "NAME",
         "stored with new prompts (default: the file's name)"},
        {"limit", CLI_INT, &opt.limit, "N", "read at most N of each file; 0: all", .min = 0,
         .max = INT64_MAX},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&import_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct import_summary all = {0}, one;
    int64_t n_prompts = 0;
    err_code rc = corpus_open(path, CORPUS_CREATE, &c, &e);
    for (int i = 0; i < files.n && !rc; i++) {
        rc = corpus_import(c, files.items[i], &opt, &one, &e);
        all.n_lines += one.n_lines;
        all.n_added += one.n_added;
        all.n_conflicts += one.n_conflicts;
        all.n_no_gold += one.n_no_gold;
    }
    if (!rc)
        rc = corpus_count_prompts(c, &n_prompts, &e);
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (json)
        printf("{\"read\":%lld,\"added\":%lld,\"conflicts\":%lld,\"without_gold\":%lld,\"prompts\":"
               "%lld}\n",
               (long long)all.n_lines, (long long)all.n_added, (long long)all.n_conflicts,
               (long long)all.n_no_gold, (long long)n_prompts);
    else
        printf("%lld prompt%s read, %lld new; the corpus holds %lld\n", (long long)all.n_lines,
               plural(all.n_lines), (long long)all.n_added, (long long)n_prompts);
    if (all.n_conflicts)
        log_warn(
            "%lld prompt%s came with another gold answer than the corpus has; the old one was kept",
            (long long)all.n_conflicts, plural(all.n_conflicts));
    if (all.n_no_gold)
        log_info("%lld prompt%s without a gold answer: answers to them cannot be verified",
                 (long long)all.n_no_gold, plural(all.n_no_gold));
    return CLI_DONE;
}

/* ---- stats ---- */

static int run_stats(int argc, char **argv);
static const struct command stats_command = {
    "corpus stats",
    "count what a corpus holds",
    "decant corpus stats --corpus math.db\n  decant corpus stats --corpus math.db --json",
    run_stats,
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

static int run_stats(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus", .required = true},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&stats_command, options, argc, argv);
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
    return json ? end_json(rc, &b, &e) : cli_end(rc, &e);
}

/* ---- show ---- */

static int run_show(int argc, char **argv);
static const struct command show_command = {
    "corpus show",
    "print traces to read",
    "decant corpus show --corpus math.db --trace 17\n"
    "  decant corpus show --corpus math.db --select \"verdict = 'wrong'\" --limit 3",
    run_show,
    "Each with its prompt, reasoning, answer, verdicts and where it came from.",
};

/* Text that a model or a stranger wrote: control characters could steer the terminal. */
static void print_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= ' ' ? *text != 0x7F : *text == '\n' || *text == '\t')
            putchar(*text);
}

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

static void print_row(const struct corpus_row *r)
{
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
    printf("%s%s%s\n", r->truncated ? "; truncated" : "", r->no_think ? "; no thinking" : "",
           r->repetition ? "; repetition" : "");
    print_field("finish reason", r->finish_reason);
    print_field("source", r->source);
    print_field("request", r->request);
    print_field("sent", r->params_json);
    print_field("served model", r->served_model);
    print_field("endpoint", r->endpoint);
    print_field("think rule", r->think_rule);
    if (r->has_seed)
        printf("%-14s%llu\n", "seed", (unsigned long long)r->seed);
    if (r->n_completion_tokens >= 0)
        printf("%-14s%lld (prompt %lld, reasoning %lld)\n", "tokens",
               (long long)r->n_completion_tokens, (long long)r->n_prompt_tokens,
               (long long)r->n_reasoning_tokens);
    if (r->latency_ms >= 0)
        printf("%-14s%.1f s\n", "took", r->latency_ms / 1000);
    if (r->cost_usd >= 0)
        printf("%-14s$%.6f\n", "cost", r->cost_usd);
    printf("%-14s%s, decant %s%s\n", "made", r->created_at, r->program,
           r->lossy ? ", bytes that are not UTF-8 were replaced" : "");
}

static err_code json_text(struct buf *b, const char *key, const char *s, struct err *e)
{
    err_code rc = buf_printf(b, e, ",\"%s\":", key);
    return rc ? rc : s ? json_quote(b, s, strlen(s), e) : buf_str(b, "null", e);
}

static err_code json_row(struct buf *b, const struct corpus_row *r, struct err *e)
{
    const struct {
        const char *key, *text;
    } texts[] = {{"prompt", r->prompt},
                 {"gold", r->gold},
                 {"reasoning", r->reasoning},
                 {"answer", r->answer},
                 {"verdict", r->verdict},
                 {"verdict_reason", r->verdict_reason},
                 {"finish_reason", r->finish_reason},
                 {"source", r->source},
                 {"served_model", r->served_model},
                 {"endpoint", r->endpoint},
                 {"think_rule", r->think_rule},
                 {"created_at", r->created_at},
                 {"program", r->program}};
    err_code rc = buf_printf(b, e, "{\"id\":%lld,\"prompt_id\":%lld,\"sample_index\":%lld",
                             (long long)r->id, (long long)r->prompt_id, (long long)r->sample_index);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = json_text(b, texts[i].key, texts[i].text, e);
    if (!rc)
        rc = buf_printf(b, e, ",\"truncated\":%s,\"no_think\":%s,\"repetition\":%s,\"request\":%s}",
                        r->truncated ? "true" : "false", r->no_think ? "true" : "false",
                        r->repetition ? "true" : "false", r->request);
    return rc;
}

static err_code show(struct corpus *c, const char *selection, int64_t limit, bool json,
                     struct buf *b, struct err *e)
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
                rc = json_row(b, &row, e);
        } else {
            printf("%s", n ? "\n\n" : "");
            print_row(&row);
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

static int run_show(int argc, char **argv)
{
    const char *path = NULL, *selection = "all";
    int64_t trace = 0, limit = 1;
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus", .required = true},
        {"trace", CLI_INT, &trace, "ID", "this trace; 0: those of --select", .min = 0,
         .max = INT64_MAX},
        {"select", CLI_STR, &selection, "WHICH",
         "correct, all, or an SQL condition on v_traces (docs/corpus.md)"},
        {"limit", CLI_INT, &limit, "N", "show at most N", .min = 1, .max = INT64_MAX},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&show_command, options, argc, argv);
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
        rc = show(c, selection, limit, json, &b, &e);
    corpus_close(c);
    return json ? end_json(rc, &b, &e) : cli_end(rc, &e);
}

/* ---- verify ---- */

static int run_verify(int argc, char **argv);
static const struct command verify_command = {
    "corpus verify",
    "judge all traces again",
    "decant corpus verify --corpus math.db",
    run_verify,
    "Recomputes the verdicts: is the answer the gold one (correct, wrong, unknown), was the trace\n"
    "cut, did it think, does it loop. Verdicts mark traces and never delete them. Also checks the\n"
    "file's integrity.",
};

static bool on_progress(void *ctx, int64_t done, int64_t total)
{
    struct progress *p = ctx;
    p->n_total = (uint64_t)total;
    progress_set(p, (uint64_t)done, "%s", "");
    return !stop_requested();
}

static int run_verify(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus", .required = true},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&verify_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct corpus_verified v;
    struct progress p;
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, &e);
    if (!rc)
        rc = corpus_check(c, &e);
    if (!rc) {
        stop_install();
        progress_begin(&p, "verify", 0);
        rc = corpus_verify(c, on_progress, &p, &v, &e);
        progress_end(&p, "%lld traces verified", (long long)v.n_traces);
    }
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (json)
        printf("{\"traces\":%lld,\"changed\":%lld,\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,"
               "\"truncated\":%lld,\"no_think\":%lld,\"repetition\":%lld}\n",
               (long long)v.n_traces, (long long)v.n_changed, (long long)v.n_correct,
               (long long)v.n_wrong, (long long)v.n_unknown, (long long)v.n_truncated,
               (long long)v.n_no_think, (long long)v.n_repetition);
    else
        printf(
            "%lld correct, %lld wrong, %lld unknown; %lld truncated, %lld without thinking, %lld "
            "with repetition; %lld verdict%s changed\n",
            (long long)v.n_correct, (long long)v.n_wrong, (long long)v.n_unknown,
            (long long)v.n_truncated, (long long)v.n_no_think, (long long)v.n_repetition,
            (long long)v.n_changed, plural(v.n_changed));
    return CLI_DONE;
}

/* ---- export ---- */

static int run_export(int argc, char **argv);
static const struct command export_command = {
    "corpus export",
    "write traces as JSONL in the chat-messages form",
    "decant corpus export --corpus math.db --out sft.jsonl\n"
    "  decant corpus export --corpus math.db --select all --out - | head -1",
    run_export,
    "One object a line: \"messages\" with the user's prompt and the assistant's\n"
    "\"<think>\\n...\\n</think>\\n\\n...\", then where it came from. The file appears whole or not "
    "at\n"
    "all.",
};

static int run_export(int argc, char **argv)
{
    const char *path = NULL, *out = NULL, *selection = "correct";
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus", .required = true},
        {"out", CLI_STR, &out, "FILE.jsonl", "where to; -: standard output", .required = true},
        {"select", CLI_STR, &selection, "WHICH",
         "correct, all, or an SQL condition on v_traces (docs/corpus.md)"},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&export_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct progress p;
    int64_t n = 0;
    bool to_stdout = !strcmp(out, "-");
    err_code rc = to_stdout && json ? err_set(&e, ERR_USAGE,
                                              "--json and --out - both need standard "
                                              "output; give --out a file")
                                    : ERR_OK;
    if (rc)
        return cli_end(rc, &e);
    rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc && to_stdout)
        rc = corpus_export_stream(c, selection, stdout, "standard output", &n, &e);
    else if (!rc) {
        stop_install();
        progress_begin(&p, "export", 0);
        rc = corpus_export(c, selection, out, on_progress, &p, &n, &e);
        progress_end(&p, "%lld traces", (long long)n);
    }
    corpus_close(c);
    if (!rc && json)
        printf("{\"traces\":%lld}\n", (long long)n);
    else if (!rc && !to_stdout)
        printf("%lld trace%s in %s\n", (long long)n, plural(n), out);
    return cli_end(rc, &e);
}

/* ---- the command ---- */

static const struct command *const parts[] = {&import_command, &stats_command, &show_command,
                                              &verify_command, &export_command};
enum { N_PARTS = sizeof parts / sizeof *parts };

static void usage(FILE *f)
{
    fprintf(
        f,
        "usage: decant corpus WHAT --corpus FILE.db [--options]     decant corpus WHAT --help\n\n");
    for (int i = 0; i < N_PARTS; i++)
        fprintf(f, "  %-10s%s\n", parts[i]->name + strlen("corpus "), parts[i]->summary);
    fprintf(
        f,
        "\nexample:\n  decant corpus import --corpus math.db --prompts train.jsonl\n"
        "  decant corpus stats --corpus math.db\n\n"
        "A corpus is one SQLite file; docs/corpus.md says what can be asked of it with sqlite3.\n");
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        usage(stdout);
        return CLI_DONE;
    }
    for (int i = 0; i < N_PARTS; i++)
        if (!strcmp(argv[1], parts[i]->name + strlen("corpus ")))
            return parts[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "decant corpus: cannot %s; decant corpus --help lists what it can\n", argv[1]);
    return CLI_USAGE;
}

extern const struct command cmd_corpus;
const struct command cmd_corpus = {"corpus", "import, stats, show, verify, export", NULL, run,
                                   NULL};
