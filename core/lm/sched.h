/* The batch scheduler: drives any lm with many requests at once. Requests are pulled when a slot is
 * free, prompts are prefilled in bounded chunks beside the decoding of the others, and each
 * sequence samples from its own stream of random numbers, so a request's result does not depend on
 * the batch it ran in.
 *
 *     struct sched_job job = {.next = my_next, .done = my_done, .ctx = me, .n_slots = 64};
 *     rc = sched_run(lm, &job, &stats, e);
 */
#ifndef DECANT_LM_SCHED_H
#define DECANT_LM_SCHED_H

#include "core/lm/lm.h"
#include "core/lm/sample.h"

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_CANCELLED };

struct gen_request {
    uint64_t id;           /* the caller's */
    const int32_t *prompt; /* the caller's until done */
    int64_t n_prompt;
    int64_t max_tokens; /* new tokens at most; also bounded by the context */
    struct sampling sampling;
    struct rng rng;
    const int32_t *stops; /* ids that end it (not part of the output) */
    int n_stops;
};
struct gen_result {
    uint64_t id;
    const int32_t *tokens; /* generated, valid during the call */
    int64_t n_tokens;
    int64_t n_prompt;
    enum finish finish;
    double seconds; /* from being taken to its end */
};
struct sched_job {
    /* Fills *r and returns true, or false when there are no more for now (*end: for ever). */
    bool (*next)(void *ctx, struct gen_request *r, bool *end);
    /* A token came (may be NULL); false cancels that sequence. */
    bool (*token)(void *ctx, uint64_t id, int32_t token);
    /* A sequence ended. An error stops the run. */
    err_code (*done)(void *ctx, const struct gen_result *r, struct err *e);
    void *ctx;
    int64_t n_slots;       /* sequences decoded together, >= 1 */
    int64_t n_choose;      /* only ids below are chosen: the tokenizer's size, where the model's
                            * vocabulary is padded beyond it; 0: all */
    int64_t prefill_chunk; /* prompt tokens a step at most, all sequences together; 0: 512 */
    int n_threads;         /* that sample; 0: all cores */
};
struct sched_stats {
    int64_t n_done, n_tokens, n_prompt_tokens;
    double seconds;
};
/* Runs until next says end and all is done, done fails, or stop_requested(): then what is in flight
 * is abandoned and ERR_STOPPED returned. */
err_code sched_run(struct lm *lm, const struct sched_job *job, struct sched_stats *st,
                   struct err *e);

#endif
