/* Inside the trainable student: its activations. T = rows of the batch in hand, L = n_layers,
 * W = (H + 2G) D, the columns of q, k and v together. All float32. */
#ifndef DECANT_STUDENT_WORK_H
#define DECANT_STUDENT_WORK_H

#include "student/model.h"

struct student_work {
    int64_t max_tokens, n_recompute;
    int64_t head_rows; /* rows of a chunk of logits */
    bool train;
    float *arena; /* one allocation; everything below points into it */

    /* kept, per layer */
    float *x;      /* [L+1][T, C] the residual stream going into each layer, and out of the last */
    float *mid;    /* [L][T, C] the same between attention and feed-forward */
    float *qkv;    /* [L][T, W], q and k rotated */
    float *raw;    /* [L][T, (H+G) D] q and k before their norms; Qwen3 only */
    float *attn;   /* [L][T, H D] */
    float *lse;    /* [L][T, H] */
    float *rstd;   /* [L][2 + H + G][T] of both norms, and of the heads' (Qwen3) */
    float *gateup; /* [L - n_recompute][T, 2F] of the layers from n_recompute on */

    /* shared by layers; logits use the memory of ffn, dqkv and dattn */
    float *gateup_shared;                /* [T, 2F] of the layers before n_recompute */
    float *h, *dh, *dx;                  /* [T, C] */
    float *ffn;                          /* [T, F] */
    float *dqkv;                         /* [T, W] */
    float *dattn;                        /* [T, H D] */
    float *logits;                       /* [head_rows, V] */
    float *draw;                         /* [T, (H+G) D] Qwen3 only */
    float *head_x, *head_dx, *head_rstd; /* [head_rows, C], and [head_rows] */

    /* the batch, on the device; rows with a target, gathered: row, target, weight */
    int32_t *tokens, *positions, *doc_start, *targets, *rows;
    float *weights;
    void *host_rows; /* staging for these three */
};

/* Frees the activations. */
void student_work_close(struct student *s);
/* Layer i's activations as views of T rows; q, k, v are columns of qkv, gate and up of gateup. */
struct student_acts {
    struct tensor x, out, mid, qkv, q, k, v, raw, attn, gateup, gate, up;
    float *lse, *rstd1, *rstd2, *rstd_heads; /* rstd_heads: [H + G][max_tokens] */
};
struct student_acts student_acts(const struct student *s, int64_t i, int64_t T);
struct attn_dims student_attn_dims(const struct student_config *c);
/* One view over the tensors that start with `first` and stand together: `rows` of them. */
struct tensor student_joined(const struct student *s, float *of, enum student_kind first, int64_t i,
                             int64_t rows);

/* The forward through all layers; x[L] holds its result. */
void student_forward(struct student *s, int64_t T);
/* h = the feed-forward's norm of a->mid; a->gateup from it: in the forward, and again in the
 * backward where it was not kept. */
void student_norm2(struct student *s, struct student_acts *a, struct tensor *h, int64_t i);
void student_gateup(struct student *s, struct student_acts *a, const struct tensor *h, int64_t i);

/* Checks b and brings it to the device, rows with a target gathered: their number is *n_valid. */
err_code student_take(struct student *s, const struct batch *b, int64_t *n_valid, struct err *e);

/* Views of work memory. */
static inline struct tensor work_rows(float *p, int64_t T, int64_t width)
{
    return tensor_2d(DT_F32, p, T, width);
}
static inline struct tensor work_cols(const struct tensor *t, int64_t first, int64_t n)
{
    return tensor_strided((float *)t->data + first, t->shape[0], n, t->ld);
}

#endif
