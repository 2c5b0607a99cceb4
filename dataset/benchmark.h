/* Problems that must not be trained on, indexed so that a text can be looked for in all of them at
 * once. Files are read by dataset/problems.h.
 *
 *     struct benchmark *b;
 *     if ((rc = benchmark_open(8, &b, e))) return rc;
 *     rc = benchmark_add(b, "test.jsonl", NULL, &n, e);          // one file or several
 *     if (!rc) rc = benchmark_build(b, e);
 *     rc = benchmark_match(b, scratch, text, n, fuzzy, &m, e);
 *     benchmark_close(b);
 *
 * Exact: n words in a row (8 as a rule), which stand so in a problem too. Words are what white
 * space separates, in lower case, punctuation included (WORDS_SPACED): the rule of open-r1's
 * scripts/decontaminate.py, which goes back to GPT-3's 13-grams (Brown et al. 2020, appendix C). A
 * problem of fewer words, which that rule never finds, matches when the text has no other words.
 *
 * Fuzzy: how much of a problem is in a stretch of the text at most twice as long. Counted are the
 * pairs of neighbouring words, without punctuation and symbols (WORDS_BARE), each weighing the more
 * the fewer problems have it: ln(1 + N / n) of N problems. The share is the weight of the problem's
 * pairs that the stretch has, over all of its pairs'. Only problems of at least
 * BENCHMARK_FUZZY_WORDS such words: the formulas of shorter ones are alike by chance.
 *
 * Memory: at most 80 bytes a word of the problems, whatever is looked for. Matching may run in
 * several threads, each with a scratch of its own (8 bytes a word). */
#ifndef DECANT_DATASET_BENCHMARK_H
#define DECANT_DATASET_BENCHMARK_H

#include "dataset/problems.h"

enum { BENCHMARK_FUZZY_WORDS = 20, BENCHMARK_MAX_RUN = 16 };

struct benchmark;
/* n_run: words in a row, 2 to BENCHMARK_MAX_RUN. */
err_code benchmark_open(int n_run, struct benchmark **out, struct err *e);
void benchmark_close(struct benchmark *b);
err_code benchmark_add(struct benchmark *b, const char *path, const struct problem_fields *fields,
                       int64_t *n_problems, struct err *e);
/* After the last file; then the benchmark can be asked, and not be added to. */
err_code benchmark_build(struct benchmark *b, struct err *e);
size_t benchmark_bytes(const struct benchmark *b);
/* Where a problem stands. */
const char *benchmark_file(const struct benchmark *b, uint32_t problem, int64_t *line);

/* What a thread needs to look: zero-initialise, dispose. */
struct benchmark_scratch {
    float *weights;    /* by problem: of its pairs that the text has; all 0 between calls */
    uint32_t *touched; /* the problems with a weight */
    uint32_t *seen;    /* by pair: the last text that had it */
    uint32_t *local;   /* by pair: 1 + its place in the problem at hand; all 0 between uses */
    uint32_t *pairs;   /* of the text, in order; BENCHMARK_NO_PAIR: not in any problem */
    uint32_t *counts;  /* by place: how often a stretch has it */
    size_t n_pairs, cap_pairs, cap_counts;
    uint32_t n_touched, n_texts;
};
#define BENCHMARK_NO_PAIR UINT32_MAX
void benchmark_scratch_dispose(struct benchmark_scratch *s);

struct benchmark_match {
    bool exact, whole;      /* whole: a short problem that is all of the text */
    uint32_t exact_problem; /* the first that has the words */
    int64_t exact_word;     /* which word of the text they begin with, from 0 */
    int64_t n_exact;        /* runs that were found; with whole, 1 */
    bool fuzzy;
    uint32_t fuzzy_problem; /* the one with the largest share; of equals the first */
    double share;
};
/* threshold: the share from which it is a fuzzy match; 0: do not look. */
err_code benchmark_match(const struct benchmark *b, struct benchmark_scratch *s, const char *text,
                         size_t n, double threshold, struct benchmark_match *out, struct err *e);

#endif
