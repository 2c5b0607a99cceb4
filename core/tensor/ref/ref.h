/* The "ref" device: the plainest possible version of each operation of device.h, one thread, sums
 * in double. It is the oracle of the tests and a description of what each operation means; it is
 * not fast. Group by group: matmul.c, rows.c, attention.c, loss.c. */
#ifndef DECANT_TENSOR_REF_H
#define DECANT_TENSOR_REF_H

#include "core/tensor/device.h"

err_code ref_open(struct device **out, struct err *e);

/* Element (i, j) of a plain tensor, FP8 scale applied. */
float ref_at(const struct tensor *t, int64_t i, int64_t j);
/* Row i of a float32 tensor. */
float *ref_row(const struct tensor *t, int64_t i);
/* n zeros; aborts when memory is short. Freed with mem_free. */
double *ref_doubles(int64_t n);

void ref_matmul(struct device *d, struct tensor *y, const struct tensor *x, const struct tensor *w,
                const struct tensor *bias, unsigned flags);
void ref_matmul_dx(struct device *d, struct tensor *dx, const struct tensor *dy,
                   const struct tensor *w, unsigned flags);
void ref_matmul_dw(struct device *d, struct tensor *dw, struct tensor *db, const struct tensor *dy,
                   const struct tensor *x);
void ref_embed(struct device *d, struct tensor *y, const struct tensor *table, const int32_t *ids);
void ref_embed_grad(struct device *d, struct tensor *dtable, const struct tensor *dy,
                    const int32_t *ids);
void ref_rmsnorm(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                 const struct tensor *w, float eps);
void ref_rmsnorm_grad(struct device *d, struct tensor *dx, struct tensor *dw,
                      const struct tensor *dy, const struct tensor *x, const struct tensor *w,
                      const float *rstd);
void ref_rope(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
              int64_t head_dim, int64_t first, const struct rope *r, bool inverse);
void ref_swiglu(struct device *d, struct tensor *y, const struct tensor *gate,
                const struct tensor *up);
void ref_swiglu_grad(struct device *d, struct tensor *dgate, struct tensor *dup,
                     const struct tensor *dy, const struct tensor *gate, const struct tensor *up);
void ref_attention(struct device *d, struct tensor *out, float *lse, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const int32_t *doc_start,
                   const struct attn_dims *a);
void ref_attention_grad(struct device *d, struct tensor *dq, struct tensor *dk, struct tensor *dv,
                        const struct tensor *dout, const struct tensor *q, const struct tensor *k,
                        const struct tensor *v, const struct tensor *out, const float *lse,
                        const int32_t *doc_start, const struct attn_dims *a);
void ref_attention_cached(struct device *d, struct tensor *out, const struct tensor *q,
                          const struct attn_span *spans, const struct attn_dims *a);
void ref_cross_entropy(struct device *d, double *loss_sum, struct tensor *logits,
                       const int32_t *targets, const float *weight, bool grad, float grad_scale);
void ref_add(struct device *d, struct tensor *y, const struct tensor *x);
void ref_copy(struct device *d, struct tensor *y, const struct tensor *x);
void ref_gather_rows(struct device *d, struct tensor *y, const struct tensor *x,
                     const int32_t *rows, int64_t n);
void ref_scatter_add_rows(struct device *d, struct tensor *y, const struct tensor *x,
                          const int32_t *rows, const float *weight, int64_t n);
void ref_moe_route(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                   const struct route *r);
double ref_sum_squares(struct device *d, const float *x, size_t n);
void ref_adamw(struct device *d, float *p, const float *grad, float *m, float *v, size_t n,
               const struct adamw *a);

#endif
