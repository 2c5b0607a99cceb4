/* decant corpus filter */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/decontaminate.h"
#include "dataset/dedup.h"
#include "dataset/filter.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_filter_command;
const struct command corpus_filter_command = {
    "corpus filter",
    "mark traces with mixed languages, long paragraphs, code, or by rules of your own",
    "decant corpus filter --corpus math.db\n"
    "  decant corpus filter --corpus math.db --max-tokens 16000 --code-blocks\n"
    "  decant corpus filter --corpus math.db --where \"latency_ms > 9e5\" --as slow\n"
    "  decant corpus filter --corpus math.db --clear slow",
    run,
    "Without a rule the three of the DeepSeek-R1 paper: chains that mix languages (told apart by\n"
    "their scripts, judged by the prompt's; formulas, code and short quotations do not count),\n"
    "have a long paragraph, or a code block. Each rule marks with a kind of its own\n"
    "(mixed_language, long_paragraph, code_block, length, or the name after --as) and a reason.\n"
    "Nothing is deleted, and --select correct passes over the marked. A run replaces the marks of\n"
    "the rules it is given.",
};

struct args {
    const char *path, *where, *as, *clear;
    struct filter_options opt;
    bool json;
};

/* Kinds of its own, and what else --select and the columns mean by a word. */
static bool is_taken(const char *kind)
{
    static const char *const words_taken[] = {
        DEDUP_KIND, DECONTAMINATE_KIND, "correct", "wrong", "unknown", "good", "verdict"};
    for (size_t i = 0; i < sizeof words_taken / sizeof *words_taken; i++)
        if (!strcmp(kind, words_taken[i]))
            return true;
    for (int r = 0; r < FILTER_N; r++)
        if (!strcmp(kind, filter_kind((enum filter_rule)r)))
            return true;
    return false;
}

static err_code check(struct args *a, const struct cli_option *options, struct err *e)
{
    if (!a->where != !a->as)
        return err_set(e, ERR_USAGE,
                       "--where and --as go together: a condition, and what to call "
                       "the traces it holds of");
    if (a->as && is_taken(a->as))
        return err_set(e, ERR_USAGE, "--as %s: decant uses that itself; take another name", a->as);
    if (a->opt.min_tokens >= 0 || a->opt.max_tokens >= 0 || a->opt.min_bytes >= 0 ||
        a->opt.max_bytes >= 0)
        a->opt.use[FILTER_LENGTH] = true;
    bool any = a->where != NULL;
    for (int r = 0; r < FILTER_N; r++)
        any |= a->opt.use[r];
    a->opt.use[FILTER_MIXED_LANGUAGE] |= cli_given(options, "max-foreign");
    a->opt.use[FILTER_LONG_PARAGRAPH] |= cli_given(options, "max-paragraph");
    if (!any)
        a->opt.use[FILTER_MIXED_LANGUAGE] = a->opt.use[FILTER_LONG_PARAGRAPH] =
            a->opt.use[FILTER_CODE_BLOCK] = true;
    return ERR_OK;
}

static void print_rules(const struct args *a, const struct filter_summary *s)
{
    bool any = false;
    for (int r = 0; r < FILTER_N; r++) {
        const struct marks_summary *m = &s->rules[r];
        if (!a->opt.use[r])
            continue;
        if (!any)
            printf("%lld trace%s\n", (long long)s->n_traces, plural(s->n_traces));
        any = true;
        printf("  %-24s%10lld  %5.1f %%  (%lld new, %lld cleared)\n",
               filter_kind((enum filter_rule)r), (long long)m->n_marked,
               s->n_traces ? 100.0 * (double)m->n_marked / (double)s->n_traces : 0,
               (long long)m->n_new, (long long)m->n_cleared);
    }
    if (s->n_uncounted)
        log_warn("%lld trace%s without a number of tokens: bounds on tokens were not applied to "
                 "them",
                 (long long)s->n_uncounted, plural(s->n_uncounted));
}

static void json_marks(const char *kind, const struct marks_summary *m, const char *before)
{
    printf("%s\"%s\":{\"marked\":%lld,\"new\":%lld,\"cleared\":%lld}", before, kind,
           (long long)m->n_marked, (long long)m->n_new, (long long)m->n_cleared);
}

static void print_summary(const struct args *a, const struct filter_summary *s,
                          const struct marks_summary *where)
{
    if (!a->json) {
        print_rules(a, s);
        if (a->where)
            printf("%lld trace%s marked %s (%lld new, %lld cleared)\n", (long long)where->n_marked,
                   plural(where->n_marked), a->as, (long long)where->n_new,
                   (long long)where->n_cleared);
        return;
    }
    const char *before = "";
    printf("{\"marks\":{");
    for (int r = 0; r < FILTER_N; r++)
        if (a->opt.use[r]) {
            json_marks(filter_kind((enum filter_rule)r), &s->rules[r], before);
            before = ",";
        }
    if (a->where)
        json_marks(a->as, where, before);
    printf("},\"traces\":%lld,\"uncounted\":%lld}\n", (long long)s->n_traces,
           (long long)s->n_uncounted);
}

/* The rules first: a condition on good sees their marks. */
static err_code filter(struct corpus *c, const struct args *a, struct filter_summary *s,
                       struct marks_summary *where, struct err *e)
{
    struct progress p;
    bool rules = false;
    err_code rc = ERR_OK;
    for (int r = 0; r < FILTER_N; r++)
        rules |= a->opt.use[r];
    if (rules) {
        stop_install();
        progress_begin(&p, "filter", 0);
        rc = corpus_filter(c, &a->opt, corpus_on_progress, &p, s, e);
        corpus_end_progress(&p, rc, s->n_traces, "trace", " looked at");
    }
    if (rc || !a->where)
        return rc;
    rc = corpus_filter_where(c, a->where, a->as, where, e);
    return rc == ERR_USAGE ? err_context(e, "--where") : rc;
}

static int run(int argc, char **argv)
{
    struct args a = {.opt = {.max_foreign = 0.005,
                             .max_paragraph = 3000,
                             .min_tokens = -1,
                             .max_tokens = -1,
                             .min_bytes = -1,
                             .max_bytes = -1}};
    struct cli_option options[] = {
        CORPUS_OPTION(a.path),
        {"mixed-language", CLI_FLAG, &a.opt.use[FILTER_MIXED_LANGUAGE], "",
         "words of a script that the prompt does not have"},
        {"max-foreign", CLI_NUM, &a.opt.max_foreign, "SHARE",
         "mixed: such words from this share on; 0: a single one", .fmin = 0, .fmax = 1},
        {"long-paragraphs", CLI_FLAG, &a.opt.use[FILTER_LONG_PARAGRAPH], "",
         "a long line in the reasoning, outside code"},
        {"max-paragraph", CLI_INT, &a.opt.max_paragraph, "BYTES", "long: more than this", .min = 1,
         .max = INT64_MAX},
        {"code-blocks", CLI_FLAG, &a.opt.use[FILTER_CODE_BLOCK], "",
         "fenced code in the reasoning"},
        {"min-tokens", CLI_INT, &a.opt.min_tokens, "N", "of the completion; -1: any", .min = -1,
         .max = INT64_MAX},
        {"max-tokens", CLI_INT, &a.opt.max_tokens, "N", "of the completion; -1: any", .min = -1,
         .max = INT64_MAX},
        {"min-bytes", CLI_INT, &a.opt.min_bytes, "N", "of reasoning and answer; -1: any", .min = -1,
         .max = INT64_MAX},
        {"max-bytes", CLI_INT, &a.opt.max_bytes, "N", "of reasoning and answer; -1: any", .min = -1,
         .max = INT64_MAX},
        {"where", CLI_STR, &a.where, "SQL", "an SQL condition on v_traces (docs/corpus.md)"},
        {"as", CLI_STR, &a.as, "KIND", "what --where marks traces with"},
        {"clear", CLI_STR, &a.clear, "KIND", "only take the marks of this kind away"},
        JSON_OPTION(a.json),
        {0}};
    int usage = cli_parse(&corpus_filter_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct filter_summary sum = {0};
    struct marks_summary where = {0};
    err_code rc = check(&a, options, &e);
    if (rc)
        return cli_end(rc, &e);
    rc = corpus_open(a.path, CORPUS_WRITE, &c, &e);
    if (!rc && a.clear)
        rc = corpus_filter_clear(c, a.clear, &where, &e);
    else if (!rc)
        rc = filter(c, &a, &sum, &where, &e);
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (a.clear)
        printf(a.json ? "{\"cleared\":%lld}\n" : "%lld mark%s cleared\n",
               (long long)where.n_cleared, plural(where.n_cleared));
    else
        print_summary(&a, &sum, &where);
    return CLI_DONE;
}
