/* What a request still lacks: which samples of which prompts are to be made next, from what is
 * stored and from what the run says of those that it was given.
 *
 *     struct missing_options o = {.request_id = r, .n_samples = 8, .until_good = 1};
 *     if ((rc = missing_open(c, &o, &m, e))) return rc;
 *     for (;;) {
 *         rc = missing_next(m, &s, &state, e);           // s.prompt: valid until the next call
 *         if (state == MISSING_SAMPLE) ...make it: (s.prompt_id, s.sample_index)...
 *         when one has ended: missing_done(m, s.i_prompt, MISSING_GOOD);
 *         if (state == MISSING_END) break;
 *     }
 *     missing_close(m);
 *
 * With until_good a prompt is sampled until so many of its traces are good (correct, and nothing
 * marked against them), and no more are ever on their way than could still be needed. All prompts
 * have their first turn before any has its second, so that under a budget the easy ones are had
 * first, and there is other work while a verdict is awaited. Prompts without a gold answer, whose
 * traces can never be good, get until_good samples.
 *
 * Prompts that are marked (duplicate, contaminated: corpus_mark) are passed over: no trace of
 * theirs could be good.
 *
 * Every sample index is handed out at most once a run, lowest first; one whose try failed is left
 * for another run. Memory: 40 bytes a prompt. No transaction is held between calls. */
#ifndef DECANT_DATASET_MISSING_H
#define DECANT_DATASET_MISSING_H

#include "dataset/corpus.h"

struct missing;
struct missing_options {
    int64_t request_id;
    int64_t n_samples;  /* a prompt, at most; >= 1 */
    int64_t until_good; /* 0: all n_samples are wanted */
    bool all;           /* all prompts, not only those marked by corpus_want */
    /* Only prompts whose text's hash falls into shard i_shard of n_shards, 1 <= i <= n. 0, 0: all.
     * By text, so that it does not depend on a file's order or on ids. */
    int64_t i_shard, n_shards;
};
err_code missing_open(struct corpus *c, const struct missing_options *o, struct missing **out,
                      struct err *e);
void missing_close(struct missing *m);

struct missing_sample {
    size_t i_prompt; /* for missing_done */
    int64_t prompt_id, sample_index;
    const char *prompt;
    size_t n_prompt;
};
enum missing_state {
    MISSING_SAMPLE,
    MISSING_WAIT, /* nothing now; what is on its way may ask for more */
    MISSING_END,  /* nothing more in this run */
};
err_code missing_next(struct missing *m, struct missing_sample *s, enum missing_state *state,
                      struct err *e);

/* The prompt that is having its first turn waits for another: the next sample is the next prompt's.
 */
void missing_later(struct missing *m);

enum missing_result {
    MISSING_GOOD,   /* stored, and good */
    MISSING_MADE,   /* stored */
    MISSING_FAILED, /* given up */
};
void missing_done(struct missing *m, size_t i_prompt, enum missing_result r);
/* A prompt's text once more, for another try; valid until the next call. */
err_code missing_prompt(struct missing *m, size_t i_prompt, const char **text, size_t *n,
                        struct err *e);

struct missing_counts {
    int64_t n_prompts;
    int64_t n_marked;  /* beside them: those that are passed over */
    int64_t n_wanted;  /* samples, at most */
    int64_t n_there;   /* of them, those that were stored before missing_open */
    int64_t n_stored;  /* of them, those that are stored now */
    int64_t n_settled; /* prompts that need nothing more */
    int64_t n_good;    /* prompts that have until_good good traces (0 without until_good) */
    int64_t n_left;    /* samples that may still be wanted, by this run or another */
    double n_expected; /* the same, going by the pass rate so far */
};
/* Looks at every prompt: not for each trace. */
void missing_count(const struct missing *m, struct missing_counts *out);

/* Another request of the same teacher that has traces: the one with most. *n 0: there is none.
 * json is the caller's. */
err_code missing_other_request(struct corpus *c, int64_t request_id, int64_t *n, struct buf *json,
                               struct err *e);

#endif
