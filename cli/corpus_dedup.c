/* decant corpus dedup */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/dedup.h"

#include <stdio.h>

static int run(int argc, char **argv);
extern const struct command corpus_dedup_command;
const struct command corpus_dedup_command = {
    "corpus dedup",
    "mark prompts that ask the same and traces that say the same",
    "decant corpus dedup --corpus math.db\n"
    "  decant corpus dedup --corpus math.db --prompts --threshold 0.7\n"
    "  decant corpus dedup --corpus math.db --clear",
    run,
    "Exact: the same words, whatever their case and the white space between them. Near: the sets\n"
    "of 5-word runs have a Jaccard index of at least --threshold (candidates by MinHash, then\n"
    "computed from the texts). The best is kept (good before not good, then the oldest), the\n"
    "others are marked \"duplicate\" with its id; nothing is deleted, and --select correct passes\n"
    "over the marked. Near prompts whose gold answers differ are not marked. Traces are compared\n"
    "within a prompt and its duplicates. A second run replaces the marks of the first.",
};

static err_code clear(struct corpus *c, const struct dedup_options *opt, int64_t *n, struct err *e)
{
    struct marks_summary sum;
    err_code rc = ERR_OK;
    *n = 0;
    if (opt->prompts) {
        rc = corpus_marks_clear(c, DEDUP_KIND, CORPUS_MARK_PROMPTS, &sum, e);
        *n += rc ? 0 : sum.n_cleared;
    }
    if (!rc && opt->traces) {
        rc = corpus_marks_clear(c, DEDUP_KIND, CORPUS_MARK_TRACES, &sum, e);
        *n += rc ? 0 : sum.n_cleared;
    }
    return rc;
}

static void print_count(const char *what, const struct dedup_count *n)
{
    printf("%lld %s%s: %lld duplicate%s (%lld exact, %lld near)", (long long)n->n_texts, what,
           plural(n->n_texts), (long long)(n->n_exact + n->n_near), plural(n->n_exact + n->n_near),
           (long long)n->n_exact, (long long)n->n_near);
    if (n->n_variants)
        printf(", %lld variant%s with another gold answer", (long long)n->n_variants,
               plural(n->n_variants));
    printf("; %lld new mark%s, %lld cleared\n", (long long)n->marks.n_new, plural(n->marks.n_new),
           (long long)n->marks.n_cleared);
}

static void json_count(const char *what, const struct dedup_count *n)
{
    printf("\"%s\":{\"texts\":%lld,\"exact\":%lld,\"near\":%lld,\"variants\":%lld,"
           "\"cut_searches\":%lld,\"marked\":%lld,\"new\":%lld,\"cleared\":%lld},",
           what, (long long)n->n_texts, (long long)n->n_exact, (long long)n->n_near,
           (long long)n->n_variants, (long long)n->n_cut, (long long)n->marks.n_marked,
           (long long)n->marks.n_new, (long long)n->marks.n_cleared);
}

static void print_summary(const struct dedup_options *opt, const struct dedup_summary *s, bool json)
{
    if (json) {
        printf("{");
        if (opt->prompts)
            json_count("prompts", &s->prompts);
        if (opt->traces)
            json_count("traces", &s->traces);
        printf("\"threshold\":%g,\"bands\":%d,\"rows\":%d,\"index_bytes_per_text\":%lld,"
               "\"index_bytes\":%lld}\n",
               opt->exact_only ? 1.0 : opt->threshold, s->n_bands, s->n_rows,
               (long long)s->bytes_per_text, (long long)s->peak_bytes);
        return;
    }
    if (opt->prompts)
        print_count("prompt", &s->prompts);
    if (opt->traces)
        print_count("trace", &s->traces);
    if (s->prompts.n_cut + s->traces.n_cut)
        log_warn("%lld text%s resemble so many others a little that not all could be compared; a "
                 "higher --threshold compares fewer",
                 (long long)(s->prompts.n_cut + s->traces.n_cut),
                 plural(s->prompts.n_cut + s->traces.n_cut));
}

static int run(int argc, char **argv)
{
    const char *path = NULL;
    struct dedup_options opt = {.threshold = 0.8};
    bool json = false, clear_marks = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"prompts", CLI_FLAG, &opt.prompts, "", "mark prompts (default: prompts and traces)"},
        {"traces", CLI_FLAG, &opt.traces, "", "mark traces"},
        {"threshold", CLI_NUM, &opt.threshold, "J", "near: a Jaccard index from here on",
         .fmin = 0.5, .fmax = 1},
        {"exact", CLI_FLAG, &opt.exact_only, "", "only exact duplicates"},
        {"any-prompt", CLI_FLAG, &opt.any_prompt, "",
         "compare traces across all prompts: the same text to another prompt is a duplicate"},
        {"clear", CLI_FLAG, &clear_marks, "", "only take the marks away"},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_dedup_command, options, argc, argv);
    if (usage)
        return usage;
    if (!opt.prompts && !opt.traces)
        opt.prompts = opt.traces = true;
    struct err e = {0};
    struct corpus *c;
    struct dedup_summary sum;
    struct progress p;
    int64_t n_cleared = 0;
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, &e);
    if (!rc && clear_marks)
        rc = clear(c, &opt, &n_cleared, &e);
    else if (!rc) {
        stop_install();
        progress_begin(&p, "dedup", 0);
        rc = corpus_dedup(c, &opt, corpus_on_progress, &p, &sum, &e);
        corpus_end_progress(&p, rc, sum.prompts.n_texts + sum.traces.n_texts, "text", " compared");
    }
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (clear_marks)
        printf(json ? "{\"cleared\":%lld}\n" : "%lld mark%s cleared\n", (long long)n_cleared,
               plural(n_cleared));
    else
        print_summary(&opt, &sum, json);
    return CLI_DONE;
}
