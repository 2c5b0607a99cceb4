/* evaluate: how many problems a model solves.
 *
 * Each problem is answered n_samples times; pass@1 is the mean over problems of the share of
 * correct samples, and its standard error is that of this mean over problems (the sample deviation
 * of the per-problem shares / sqrt(problems)). A cut answer, or one that cannot be read, is not
 * correct. Problems whose gold answer is absent or cannot be read are left out and counted. */
#ifndef DECANT_DISTILL_EVALUATE_H
#define DECANT_DISTILL_EVALUATE_H

#include "core/lm/sample.h"
#include "dataset/problems.h"

struct evaluate_options {
    const char *model;            /* HF directory or GGUF */
    const char *problems;         /* JSONL */
    struct problem_fields fields; /* of problems */
    int64_t n_samples, max_tokens, concurrency;
    int64_t limit; /* problems; 0: all */
    uint64_t seed;
    struct sampling sampling;
    int n_threads;
};
struct evaluate_summary {
    int64_t n_problems; /* judged */
    int64_t n_no_gold;  /* left out */
    int64_t n_answers, n_correct, n_wrong, n_unread;
    int64_t n_cut_tokens, n_cut_context; /* cut at max_tokens, or before by the model's context */
    double accuracy, standard_error;     /* 0 to 1 */
    int64_t n_tokens;                    /* generated */
    double seconds;                      /* of generating, without opening the model */
    int64_t n_params, n_bytes, context;  /* of the model */
};
err_code evaluate_run(const struct evaluate_options *o, struct evaluate_summary *sum,
                      struct err *e);

#endif
