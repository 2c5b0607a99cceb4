/* decant corpus decontaminate */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/decontaminate.h"

#include <stdio.h>

static int run(int argc, char **argv);
extern const struct command corpus_decontaminate_command;
const struct command corpus_decontaminate_command = {
    "corpus decontaminate",
    "mark prompts that hold problems of a benchmark",
    "decant corpus decontaminate --corpus math.db --against math500.jsonl --against aime24.jsonl\n"
    "  decant corpus decontaminate --corpus math.db --clear",
    run,
    "Exact: --words words in a row, lower case, as open-r1 does; shorter problems when they are\n"
    "the whole prompt. Fuzzy: a stretch of the prompt, at most twice as long as the problem, has "
    "at\n"
    "least --fuzzy of the problem's pairs of neighbouring words, rare pairs weighing more "
    "(problems\n"
    "of 20 words and more). Marks \"contaminated\" with the problem's file and line; nothing is\n"
    "deleted, and --select correct passes over the marked. A second run replaces the marks of the\n"
    "first: name all benchmarks in one run.",
};

static err_code clear(struct corpus *c, int64_t *n, struct err *e)
{
    struct marks_summary sum = {0};
    err_code rc = corpus_marks_clear(c, DECONTAMINATE_KIND, CORPUS_MARK_PROMPTS, &sum, e);
    *n = sum.n_cleared;
    if (!rc)
        rc = corpus_marks_clear(c, DECONTAMINATE_KIND, CORPUS_MARK_TRACES, &sum, e);
    *n += rc ? 0 : sum.n_cleared;
    return rc;
}

static void print_count(const char *what, const struct decontaminate_count *n)
{
    printf("%lld %s%s: %lld contaminated (%lld exact, %lld fuzzy, %lld of them both); %lld new "
           "mark%s, %lld cleared\n",
           (long long)n->n_texts, what, plural(n->n_texts), (long long)n->marks.n_marked,
           (long long)n->n_exact, (long long)n->n_fuzzy, (long long)n->n_both,
           (long long)n->marks.n_new, plural(n->marks.n_new), (long long)n->marks.n_cleared);
}

static void json_count(const char *what, const struct decontaminate_count *n)
{
    printf("\"%s\":{\"texts\":%lld,\"exact\":%lld,\"fuzzy\":%lld,\"both\":%lld,\"marked\":%lld,"
           "\"new\":%lld,\"cleared\":%lld},",
           what, (long long)n->n_texts, (long long)n->n_exact, (long long)n->n_fuzzy,
           (long long)n->n_both, (long long)n->marks.n_marked, (long long)n->marks.n_new,
           (long long)n->marks.n_cleared);
}

static int run(int argc, char **argv)
{
    const char *path = NULL;
    struct cli_strs files = {0};
    int64_t n_run = 8;
    struct decontaminate_options opt = {.threshold = 0.5};
    bool json = false, clear_marks = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"against", CLI_STRS, &files, "FILE", "a benchmark's problems; may be given several times"},
        {"prompt-field", CLI_STR, &opt.fields.prompt, "NAME", "of --against: holds the problem"},
        {"words", CLI_INT, &n_run, "N", "exact: so many words in a row", .min = 2, .max = 16},
        {"fuzzy", CLI_NUM, &opt.threshold, "SHARE",
         "fuzzy: this share of a problem and more; 0: exact only", .fmin = 0, .fmax = 1},
        {"traces", CLI_FLAG, &opt.traces, "", "look at reasoning and answers too (exact only)"},
        {"clear", CLI_FLAG, &clear_marks, "", "only take the marks away"},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_decontaminate_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct decontaminate_summary sum;
    struct progress p;
    int64_t n_cleared = 0;
    if (!files.n && !clear_marks)
        return cli_end(err_set(&e, ERR_USAGE, "--against FILE is required (or --clear)"), &e);
    opt.files = files.items;
    opt.n_files = files.n;
    opt.n_run = (int)n_run;
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, &e);
    if (!rc && clear_marks)
        rc = clear(c, &n_cleared, &e);
    else if (!rc) {
        stop_install();
        progress_begin(&p, "decontaminate", 0);
        rc = corpus_decontaminate(c, &opt, corpus_on_progress, &p, &sum, &e);
        corpus_end_progress(&p, rc, sum.prompts.n_texts + sum.traces.n_texts, "text", " looked at");
    }
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (clear_marks)
        printf(json ? "{\"cleared\":%lld}\n" : "%lld mark%s cleared\n", (long long)n_cleared,
               plural(n_cleared));
    else if (json) {
        printf("{\"problems\":%lld,", (long long)sum.n_problems);
        json_count("prompts", &sum.prompts);
        if (opt.traces)
            json_count("traces", &sum.traces);
        printf("\"index_bytes\":%lld}\n", (long long)sum.index_bytes);
    } else {
        print_count("prompt", &sum.prompts);
        if (opt.traces)
            print_count("trace", &sum.traces);
    }
    return CLI_DONE;
}
