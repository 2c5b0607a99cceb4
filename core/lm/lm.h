/* lm.h: what every causal language model can do. Teacher, student and 4-bit model are all an lm;
 * sampling, batching, stop rules, evaluation and chat are written once above it.
 *
 *     struct lm_seq *s;
 *     lm_seq_open(lm, max_tokens, &s, e);                    // an empty cache
 *     struct lm_item it = {.seq = s, .tokens = ids, .n_tokens = n, .logits = LM_LAST};
 *     lm_forward(lm, &it, 1, logits, e);                     // prefill; logits: [1, V]
 *     ... sample; it.tokens = &next; it.n_tokens = 1; lm_forward again ...
 *     lm_seq_close(s);
 *
 * One forward takes any mix of sequences, prompts and single tokens together. A sequence's logits
 * do not depend, to the bit, on what else is in the batch or on how its tokens were cut into calls
 * of one kind (all devices: MATMUL_ROWWISE). Not thread-safe: one caller at a time. */
#ifndef DECANT_LM_LM_H
#define DECANT_LM_LM_H

#include "core/base/mem.h"

struct lm;

/* A sequence: tokens so far and their cache, owned by the lm that opened it. */
struct lm_seq {
    struct lm *lm;
    int64_t n_tokens;   /* in the cache */
    int64_t max_tokens; /* room; a forward past it is ERR_USAGE */
};

enum lm_logits { LM_NONE, LM_LAST, LM_ALL };

struct lm_item {
    struct lm_seq *seq; /* each sequence at most once a call */
    const int32_t *tokens;
    int64_t n_tokens; /* >= 1 */
    enum lm_logits logits;
};

struct lm_ops {
    err_code (*seq_open)(struct lm *lm, int64_t max_tokens, struct lm_seq **out, struct err *e);
    void (*seq_close)(struct lm_seq *s);
    /* A new sequence that continues from s's cache (samples that share a prompt). */
    err_code (*seq_fork)(struct lm_seq *s, struct lm_seq **out, struct err *e);
    /* Forget tokens from n on (rejected speculation). */
    void (*seq_truncate)(struct lm_seq *s, int64_t n);
    err_code (*forward)(struct lm *lm, const struct lm_item *items, int64_t n_items, float *logits,
                        struct err *e);
    void (*close)(struct lm *lm);
};

/* The head of every model's own struct. */
struct lm {
    const struct lm_ops *ops;
    const char *arch;    /* "deepseek_v3", "qwen2", "llama" */
    int64_t n_vocab;     /* V: columns of the logits */
    int64_t max_context; /* positions the model was made for */
    int64_t n_params;    /* parameters in all (without the MTP module) */
    int64_t n_bytes;     /* bytes of weights as stored */
    int64_t cache_bytes; /* a token's share of the cache */
};

/* These check arguments (token ids in range, room left, no sequence twice), then call the ops.
 * logits: rows of V floats, for each item in order its last row (LM_LAST), all rows (LM_ALL) or
 * none; the caller's, of lm_logits_rows(items) x V. */
err_code lm_seq_open(struct lm *lm, int64_t max_tokens, struct lm_seq **out, struct err *e);
err_code lm_seq_fork(struct lm_seq *s, struct lm_seq **out, struct err *e);
void lm_seq_truncate(struct lm_seq *s, int64_t n);
void lm_seq_close(struct lm_seq *s);
int64_t lm_logits_rows(const struct lm_item *items, int64_t n_items);
err_code lm_forward(struct lm *lm, const struct lm_item *items, int64_t n_items, float *logits,
                    struct err *e);
void lm_close(struct lm *lm);

#endif
