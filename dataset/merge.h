/* Joining corpora: another corpus's prompts, requests, traces, verdicts, log-probabilities, marks
 * and failures into this one, nothing doubled.
 *
 * Prompts are matched by their text, requests by their canonical JSON, traces by (prompt, request,
 * sample index). A trace that stands at a place that is taken here is the same one when its texts
 * are the same; otherwise it gets the next free index, unless the same texts stand somewhere else
 * for that prompt and request. So merging again changes nothing, and no trace that was paid for is
 * lost. Of two failures at one place the one with more tries stays. Marks of dedup stay behind:
 * each corpus may have kept the copy that the other one marked. */
#ifndef DECANT_DATASET_MERGE_H
#define DECANT_DATASET_MERGE_H

#include "dataset/corpus.h"

struct merge_summary {
    int64_t n_prompts, n_requests, n_traces; /* new here */
    int64_t n_there;                         /* traces that were here already */
    int64_t n_renumbered; /* of the new ones, those that got another sample index */
    int64_t n_logprobs, n_failures;
    int64_t n_conflicts; /* prompts with another gold answer here, which was kept */
    int64_t n_regold;    /* prompts that got their first gold answer */
};
/* All of it in one transaction: on an error, or when on_progress (may be NULL; called now and then)
 * returns false (ERR_STOPPED), nothing has changed. Memory does not grow with the corpora. The
 * other one is only read. Must not be called within corpus_begin. */
err_code corpus_merge(struct corpus *c, const char *from,
                      bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct merge_summary *sum, struct err *e);

#endif
