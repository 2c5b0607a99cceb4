/* device.h: the operations that a device offers. Model code is written once against this table and
 * runs on whatever fills it (cpu/ today; ref/ is the plainest possible version of each operation,
 * the oracle of the tests).
 *
 *     struct device *d;
 *     if ((rc = device_open("cpu", n_threads, &d, e))) ...      // or "ref"
 *     d->matmul(d, &y, &x, &w, NULL, 0);
 *     device_close(d);
 *
 * Letters, here and everywhere:
 *   B sequences   T token rows (all sequences of a batch, flattened)   C model width
 *   H heads       G key/value heads       D head width    F feed-forward width
 *   V vocabulary  E experts   K inputs and N outputs of a matrix product
 *
 * Operands are views (struct tensor). Unless said otherwise activations and gradients are float32,
 * 2-D [rows, cols] with any ld >= cols, last dim dense; the output may not overlap an input unless
 * "in place" is said. Shapes are the caller's promise: a mismatch is a programmer's mistake
 * (assert), since everything that comes from files was checked on the way in.
 * Backward operations ADD to the gradients they produce (dx += ..., dw += ...) unless said
 * otherwise, so that gradients accumulate over uses and micro-batches; zero them with `zero`.
 *
 * Determinism: same device, same thread count, same inputs: same bits.
 * Tolerances against ref/ (which sums in double): eps = 2^-23, k = length of the sum:
 * |got - ref| <= 4 eps sqrt(k) * sum|terms|; data movement is exact; block-quantized weights are
 * stated at matmul.
 *
 * A device owns scratch memory that grows to the largest use and is freed with it; an operation
 * cannot report an error, so scratch that cannot be had aborts the program. One caller at a time.
 */
#ifndef DECANT_TENSOR_DEVICE_H
#define DECANT_TENSOR_DEVICE_H

#include "core/tensor/tensor.h"

struct device;

/* matmul flags */
enum {
    MATMUL_ADD = 1,     /* y += instead of y = */
    MATMUL_ROWWISE = 2, /* row t of y depends on row t of x alone, bit for bit, whatever T is:
                         * what an lm needs so that a sequence's logits do not depend on the batch.
                         * Without it the device may use its fastest product (float32: BLAS). */
};

/* How a head's rotary dimensions are laid out. */
enum rope_mode {
    ROPE_HALF,        /* pair i is (x[i], x[i + n/2]): HF Llama and Qwen */
    ROPE_INTERLEAVED, /* pair i is (x[2i], x[2i+1]): DeepSeek, GGUF Llama */
};
struct rope {
    enum rope_mode mode;
    int64_t n_dims;        /* rotary dimensions of a head, even */
    const float *inv_freq; /* [n_dims / 2], radians a position; the angle pos * inv_freq is rounded
                            * to float32, as HF does */
    float scale;           /* cos and sin are multiplied by this (YaRN; else 1) */
};

/* One query row of a cached attention: the keys and values it may see, in order.
 * k: [n, G*Dk] with ld_k, v: [n, G*Dv] with ld_v (float32). For MLA's absorbed form k and v are the
 * same memory: k = [c_kv | k_pe], v = its first columns. */
struct attn_span {
    const float *k, *v;
    int64_t n;
};
struct attn_dims {
    int64_t n_heads, n_kv_heads; /* H, G; H % G == 0; query head h reads kv head h / (H/G) */
    int64_t dk, dv;              /* widths of a head's key and value */
    int64_t ld_k, ld_v;          /* row strides (elements) of k and v */
    float scale;                 /* scores = scale * q.k */
};

/* AdamW (Loshchilov & Hutter 2019), PyTorch's order:
 *   p *= 1 - lr*wd;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 *   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps),  g = grad_scale * grad. */
struct adamw {
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    int64_t step; /* t, from 1 */
};

/* MoE routing of the DeepSeek family. Scores are float32; experts outside the kept groups are never
 * chosen, so top_k <= topk_group * n_experts / n_group. */
#define ROUTE_MAX_EXPERTS 1024
struct route {
    int64_t n_experts, top_k;    /* n_experts <= ROUTE_MAX_EXPERTS, a multiple of n_group */
    int64_t n_group, topk_group; /* 1, 1: no groups */
    bool sigmoid;                /* scores: sigmoid, else softmax over E */
    bool group_top2;             /* a group's score: sum of its 2 best (noaux_tc), else its best */
    bool norm_topk;              /* divide the chosen weights by their sum (+1e-20) */
    float scale;                 /* routed_scaling_factor */
    const float *bias;           /* [E] added for choosing only, or NULL */
};

struct device {
    const char *name;
    int n_threads;
    void (*close)(struct device *d); /* device_close calls it */

    /* ---- memory of the device (64-byte aligned, zeroed); NULL with e filled when it is short */
    void *(*alloc)(struct device *d, size_t bytes, struct err *e);
    void (*free)(struct device *d, void *p);
    void (*upload)(struct device *d, void *dst, const void *src_host, size_t bytes);
    void (*download)(struct device *d, void *dst_host, const void *src, size_t bytes);
    void (*zero)(struct device *d, void *p, size_t bytes);

    /* ---- products
     * y[T,N] = x[T,K] . w[N,K]^T (+ bias[N] when not NULL). w: any dtype; F8 with its scales.
     * Block types (Q4_0, Q5_0, Q8_0, Q4_K, Q6_K), with or without MATMUL_ROWWISE (they always are
     * rowwise): x is rounded to 8-bit blocks (32 or 256 at a time, as w's blocks
     * are; scale max|x| / 127 in float32) and multiplied in integers, much as llama.cpp does; ref/
     * rounds x the same way. */
    void (*matmul)(struct device *d, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *bias, unsigned flags);
    /* dx[T,K] = dy[T,N] . w[N,K] (MATMUL_ADD: +=; MATMUL_ROWWISE as above). w: F32, F16, BF16 and
     * F8. Also MLA's absorption, which wants MATMUL_ROWWISE. */
    void (*matmul_dx)(struct device *d, struct tensor *dx, const struct tensor *dy,
                      const struct tensor *w, unsigned flags);
    /* dw[N,K] += dy[T,N]^T . x[T,K];  db[N] += column sums of dy when db is not NULL. */
    void (*matmul_dw)(struct device *d, struct tensor *dw, struct tensor *db,
                      const struct tensor *dy, const struct tensor *x);

    /* ---- embedding: y[T,C] = table[ids[t]] (any dtype);  dtable[ids[t]] += dy[t] */
    void (*embed)(struct device *d, struct tensor *y, const struct tensor *table,
                  const int32_t *ids);
    void (*embed_grad)(struct device *d, struct tensor *dtable, const struct tensor *dy,
                       const int32_t *ids);

    /* ---- y[T,C] = x / sqrt(mean(x^2) + eps) * w[C]; rstd[T] is kept for backward (or NULL).
     * x and y may be the same. w is float32, F16 or BF16. */
    void (*rmsnorm)(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                    const struct tensor *w, float eps);
    /* dx += , dw[C] += . */
    void (*rmsnorm_grad)(struct device *d, struct tensor *dx, struct tensor *dw,
                         const struct tensor *dy, const struct tensor *x, const struct tensor *w,
                         const float *rstd);

    /* ---- x[T, n_heads*head_dim] in place: rotates the first r->n_dims of each head from column
     * offset `first` of it, by pos[t]; inverse: by -pos[t] (the backward). */
    void (*rope)(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
                 int64_t head_dim, int64_t first, const struct rope *r, bool inverse);

    /* ---- y = silu(gate) * up;  dgate =, dup = (overwritten; may be the memory of gate and up) */
    void (*swiglu)(struct device *d, struct tensor *y, const struct tensor *gate,
                   const struct tensor *up);
    void (*swiglu_grad)(struct device *d, struct tensor *dgate, struct tensor *dup,
                        const struct tensor *dy, const struct tensor *gate,
                        const struct tensor *up);

    /* ---- packed causal attention, for training. Row t sees rows doc_start[t] .. t.
     * q[T,H*Dk], k[T,G*Dk], v[T,G*Dv], out[T,H*Dv]; lse[T*H] (log-sum-exp of the scaled scores,
     * [t][h]) is kept for backward. a->ld_k, ld_v are ignored: the tensors carry theirs.
     * Memory beyond the operands: O(tile^2) a thread, never [T,T]. */
    void (*attention)(struct device *d, struct tensor *out, float *lse, const struct tensor *q,
                      const struct tensor *k, const struct tensor *v, const int32_t *doc_start,
                      const struct attn_dims *a);
    /* dq, dk, dv += . */
    void (*attention_grad)(struct device *d, struct tensor *dq, struct tensor *dk,
                           struct tensor *dv, const struct tensor *dout, const struct tensor *q,
                           const struct tensor *k, const struct tensor *v, const struct tensor *out,
                           const float *lse, const int32_t *doc_start, const struct attn_dims *a);
    /* ---- cached attention, for an lm: row t of q[T,H*Dk] attends to spans[t]; rowwise exact as
     * MATMUL_ROWWISE is. */
    void (*attention_cached)(struct device *d, struct tensor *out, const struct tensor *q,
                             const struct attn_span *spans, const struct attn_dims *a);

    /* ---- loss: for rows with targets[t] >= 0: *loss_sum += weight[t] * (lse - logits[target]),
     * in double; with grad: logits are overwritten by grad_scale * weight[t] * (softmax - onehot),
     * and by 0 in rows with targets[t] < 0. weight NULL: all 1. */
    void (*cross_entropy)(struct device *d, double *loss_sum, struct tensor *logits,
                          const int32_t *targets, const float *weight, bool grad, float grad_scale);

    /* ---- element-wise and rows */
    void (*add)(struct device *d, struct tensor *y, const struct tensor *x);  /* y += x */
    void (*copy)(struct device *d, struct tensor *y, const struct tensor *x); /* y = x; any plain
                                                         dtype on either side, converted */
    void (*gather_rows)(struct device *d, struct tensor *y, const struct tensor *x,
                        const int32_t *rows, int64_t n); /* y[i] = x[rows[i]] */
    void (*scatter_add_rows)(struct device *d, struct tensor *y, const struct tensor *x,
                             const int32_t *rows, const float *weight, int64_t n);
    /* y[rows[i]] += weight[i] * x[i], in order of i */
    /* ids[T,k], weights[T,k] from scores' logits[T,E]. Ties choose the lower index. The chosen
     * experts stand in descending order of their choosing score. Where one of a row's scores is
     * NaN, all its weights are: no expert wins by that unseen. */
    void (*moe_route)(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                      const struct route *r);

    /* ---- optimizer: flat float32 arrays of n elements */
    double (*sum_squares)(struct device *d, const float *x, size_t n); /* in double, fixed order */
    void (*adamw)(struct device *d, float *p, const float *grad, float *m, float *v, size_t n,
                  const struct adamw *a);
};

/* name: "cpu" or "ref". n_threads 0: all cores that the process may use, or as
 * OMP_NUM_THREADS says. An unknown name: ERR_USAGE that lists the known ones. */
err_code device_open(const char *name, int n_threads, struct device **out, struct err *e);
void device_close(struct device *d);

#endif
