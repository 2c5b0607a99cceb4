/* Contamination: prompts (and, when asked, traces) that hold a benchmark's problems. They are
 * marked (kind "contaminated"), never deleted; the reason names the problem's file and line:
 *
 *     8 words in a row of test.jsonl:17 (3 such runs): "will she have left over after she buys"
 *     the whole of test.jsonl:17
 *     58 % of test.jsonl:17
 *
 * dataset/benchmark.h says what is exact and what is fuzzy. A prompt that is both has both in its
 * reason. Traces are looked at for exact runs only, in reasoning and answer. */
#ifndef DECANT_DATASET_DECONTAMINATE_H
#define DECANT_DATASET_DECONTAMINATE_H

#include "dataset/problems.h"
#include "dataset/corpus.h"

#define DECONTAMINATE_VERSION 1
#define DECONTAMINATE_KIND "contaminated"

struct decontaminate_options {
    const char *const *files; /* of problems */
    int n_files;
    struct problem_fields fields; /* of the files */
    int n_run;                    /* words in a row: 8 */
    double threshold; /* the share of a problem from which it is a fuzzy match; 0: exact only */
    bool traces;      /* traces too */
};
struct decontaminate_count {
    int64_t n_texts, n_exact, n_fuzzy, n_both; /* both: counted in exact and in fuzzy as well */
    struct marks_summary marks;
};
struct decontaminate_summary {
    int64_t n_problems;
    struct decontaminate_count prompts, traces;
    int64_t index_bytes;
};
/* on_progress as in corpus_dedup. Without opt->traces marks on traces stay as they are. */
err_code corpus_decontaminate(struct corpus *c, const struct decontaminate_options *opt,
                              bool (*on_progress)(void *ctx, int64_t done, int64_t total),
                              void *ctx, struct decontaminate_summary *out, struct err *e);

#endif
