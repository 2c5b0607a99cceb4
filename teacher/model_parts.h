/* model_parts.h: what model.c (opening, sequences) and forward.c (passes) share. Not for others. */
#ifndef DECANT_TEACHER_MODEL_PARTS_H
#define DECANT_TEACHER_MODEL_PARTS_H

#include "teacher/model.h"
#include "teacher/mtp.h"

/* Who runs a pass: a device and scratch. Worker 0 is the caller's device with all its threads; it
 * runs large models. A small one has one more worker for each thread, a one-threaded device of the
 * same kind: the sequences of a batch are dealt out to them, and they meet only at the end of the
 * pass, which is far cheaper than to meet within every small product. Results are the same bits
 * either way: a row's depend on nothing but its sequence. */
struct worker {
    struct device *dev;
    struct arena arena;
};

enum { TEACHER_MAX_WORKERS = 129 };

struct teacher {
    struct lm lm;
    struct teacher_config cfg;
    struct device *dev;
    struct weights *w;
    struct tensor embed, norm, head;
    struct layer *layers;
    bool has_mtp;
    struct mtp mtp;
    float *inv_freq;
    struct rope rope;
    enum mla_form form;
    struct worker *workers;
    int n_workers; /* 1, or 1 + threads */
};

struct teacher_seq {
    struct lm_seq seq;
    int64_t n_mtp;                /* positions in the MTP module's cache */
    struct latent_cache caches[]; /* n_layers + 1: the last is the MTP module's */
};

static inline struct teacher *teacher_of(const struct lm *lm)
{
    return (struct teacher *)lm;
}

static inline struct teacher_seq *seq_of(struct lm_seq *s)
{
    return (struct teacher_seq *)s;
}

static inline int64_t latent_width(const struct teacher *m)
{
    return m->cfg.kv_rank + m->cfg.d_rope;
}

/* forward.c */
err_code teacher_op_forward(struct lm *lm, const struct lm_item *items, int64_t n_items,
                            float *logits, struct err *e);

#endif
