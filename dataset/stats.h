/* What a corpus holds, in numbers. Counted by SQLite in one pass a figure; memory does not grow
 * with the corpus. */
#ifndef DECANT_DATASET_STATS_H
#define DECANT_DATASET_STATS_H

#include "dataset/corpus.h"

/* Of the traces that report the count. */
struct stats_lengths {
    int64_t n, sum, p10, p50, p90, p99, max;
};
struct corpus_stats {
    int64_t n_prompts, n_with_gold, n_traced; /* prompts; those with at least one trace */
    int64_t n_requests, n_traces;
    int64_t n_correct, n_wrong, n_unknown, n_unverified; /* by the answer's verdict: all traces */
    int64_t n_good;                                      /* correct, and nothing marked */
    int64_t n_truncated, n_refused, n_empty, n_no_think, n_repetition, n_lossy;
    struct stats_lengths prompt_tokens, reasoning_tokens, completion_tokens;
    int64_t n_priced;   /* traces with a cost above 0 */
    double cost_usd;    /* of all traces */
    int64_t n_failures; /* samples that gave no trace so far */
    int64_t
        n_failed_before;    /* samples that did so only after tries that cost something or failed */
    double failed_cost_usd; /* of the tries that gave no trace */
    int64_t n_repeats;      /* the canary's, which are no failures */
    double repeats_cost_usd;
    /* Prompts with a verified trace, by the share of their verified traces that is correct. */
    int64_t n_rated, n_never, n_sometimes, n_always;
    double mean_pass_rate; /* over those prompts; 0 when there are none */
};
err_code corpus_stats(struct corpus *c, struct corpus_stats *out, struct err *e);

/* Every kind of mark and how many traces or prompts (on_prompts) carry it. kind is valid during the
 * call. */
err_code corpus_stats_marks(struct corpus *c,
                            void (*on_mark)(void *, const char *kind, bool on_prompts, int64_t n),
                            void *ctx, struct err *e);

/* One request's part, those of one teacher together. Strings are valid until the next call of
 * on_request. */
struct stats_request {
    int64_t id;
    const char *teacher, *json;
    int64_t n_traces, n_prompts, n_correct, n_wrong, n_unknown, n_completion_tokens;
    double cost_usd; /* of traces, failures, repeats; -1: none known */
    int64_t n_failures;
};
err_code corpus_stats_requests(struct corpus *c,
                               void (*on_request)(void *, const struct stats_request *), void *ctx,
                               struct err *e);

#endif
