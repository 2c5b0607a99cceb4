/* The "cpu" device: OpenMP over the single-thread loops of kernels.h, OpenBLAS for float32 products
 * that need not be rowwise, block_dot.h for block-quantized weights.
 *
 * OpenBLAS runs with one thread inside each of ours (cpu_open sets that, for the whole process):
 * two pools of spinning threads on the same cores cost more than either gives, and our split makes
 * the result a function of the thread count alone. */
#ifndef DECANT_TENSOR_CPU_H
#define DECANT_TENSOR_CPU_H

#include "core/tensor/cpu/kernels.h"

/* n_threads 0: as many as the process may use. */
err_code cpu_open(int n_threads, struct device **out, struct err *e);
/* With a given table of kernels, for tests. */
err_code cpu_open_with(const struct cpu_kernels *k, int n_threads, struct device **out,
                       struct err *e);

/* ---- within cpu/ */
struct cpu_room {
    void *p;
    size_t bytes;
};

/* rope.c's angles of the last call; 0 rows: none. */
struct cpu_angles {
    int64_t rows, n_dims;
    float scale;
    float *cos_sin, *inv_freq;
    int32_t *pos;
    struct cpu_room room;
};

struct cpu {
    struct device d; /* first: a struct device * is a struct cpu * */
    const struct cpu_kernels *k;
    struct cpu_room scratch;
    struct cpu_angles angles;
};

/* Memory of at least `bytes`, 64-byte aligned; what was in it is lost when it has to grow. Aborts
 * when memory is short. */
void *cpu_room(struct cpu_room *r, size_t bytes);

/* The device's scratch, valid until the next call. */
void *cpu_scratch(struct device *d, size_t bytes);
/* The same in one part for each thread; *part_floats is how far they stand apart. */
float *cpu_scratch_parts(struct device *d, int64_t floats, int64_t *part_floats);
/* Threads worth starting for an operation of `work` elements or multiply-adds. */
int cpu_threads(const struct device *d, int64_t work);
/* This thread's number within a parallel region. */
int cpu_thread(void);
/* body(ctx, first, last, i) does the part [first, last) of n units of work, as thread i; parts may
 * be empty and are multiples of unit but for the last. One thread is a plain call: an OpenMP region
 * costs a system call even then, which is more than many an operation of decoding takes. */
typedef void cpu_body(const void *ctx, int64_t first, int64_t last, int i);
void cpu_split(int n_threads, int64_t n, int64_t unit, cpu_body *body, const void *ctx);
/* The part [*first, *last) of n that falls to thread i of n_threads; parts are multiples of unit
 * but for the last. */
void cpu_part(int64_t n, int64_t unit, int i, int n_threads, int64_t *first, int64_t *last);
/* n columns from c on of `rows` rows from i on of w (no block type) as float32, FP8 scales applied;
 * dst's rows stand ld apart. */
void cpu_rows_part(const struct cpu_kernels *k, const struct tensor *w, int64_t i, int64_t rows,
                   int64_t c, int64_t n, float *dst, int64_t ld);
/* The same transposed, of FP8: element (i + l, c + j) at dst[j * ld + l]. */
void cpu_columns_part(const struct cpu_kernels *k, const struct tensor *w, int64_t i, int64_t rows,
                      int64_t c, int64_t n, float *dst, int64_t ld);

/* The same of one row. */
static inline void cpu_row_part(const struct cpu_kernels *k, const struct tensor *w, int64_t i,
                                int64_t c, int64_t n, float *dst)
{
    cpu_rows_part(k, w, i, 1, c, n, dst, n);
}

static inline const struct cpu_kernels *cpu_kernels_of(const struct device *d)
{
    return ((const struct cpu *)d)->k;
}

static inline float *cpu_row(const struct tensor *t, int64_t i)
{
    return (float *)t->data + i * t->ld;
}

void cpu_matmul(struct device *d, struct tensor *y, const struct tensor *x, const struct tensor *w,
                const struct tensor *bias, unsigned flags);
void cpu_matmul_dx(struct device *d, struct tensor *dx, const struct tensor *dy,
                   const struct tensor *w, unsigned flags);
void cpu_matmul_dw(struct device *d, struct tensor *dw, struct tensor *db, const struct tensor *dy,
                   const struct tensor *x);
/* matmul.c's cases: rowwise.c and, for block types, blocks.c. */
void cpu_matmul_rowwise(struct device *d, struct tensor *y, const struct tensor *x,
                        const struct tensor *w, unsigned flags);
void cpu_matmul_blocks(struct device *d, struct tensor *y, const struct tensor *x,
                       const struct tensor *w, unsigned flags);
void cpu_matmul_dx_rowwise(struct device *d, struct tensor *dx, const struct tensor *dy,
                           const struct tensor *w, unsigned flags);

void cpu_embed(struct device *d, struct tensor *y, const struct tensor *table, const int32_t *ids);
void cpu_embed_grad(struct device *d, struct tensor *dtable, const struct tensor *dy,
                    const int32_t *ids);
void cpu_rmsnorm(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                 const struct tensor *w, float eps);
void cpu_rmsnorm_grad(struct device *d, struct tensor *dx, struct tensor *dw,
                      const struct tensor *dy, const struct tensor *x, const struct tensor *w,
                      const float *rstd);
void cpu_rope(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
              int64_t head_dim, int64_t first, const struct rope *r, bool inverse);
void cpu_swiglu(struct device *d, struct tensor *y, const struct tensor *gate,
                const struct tensor *up);
void cpu_swiglu_grad(struct device *d, struct tensor *dgate, struct tensor *dup,
                     const struct tensor *dy, const struct tensor *gate, const struct tensor *up);
void cpu_attention(struct device *d, struct tensor *out, float *lse, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const int32_t *doc_start,
                   const struct attn_dims *a);
void cpu_attention_grad(struct device *d, struct tensor *dq, struct tensor *dk, struct tensor *dv,
                        const struct tensor *dout, const struct tensor *q, const struct tensor *k,
                        const struct tensor *v, const struct tensor *out, const float *lse,
                        const int32_t *doc_start, const struct attn_dims *a);
void cpu_attention_cached(struct device *d, struct tensor *out, const struct tensor *q,
                          const struct attn_span *spans, const struct attn_dims *a);
void cpu_cross_entropy(struct device *d, double *loss_sum, struct tensor *logits,
                       const int32_t *targets, const float *weight, bool grad, float grad_scale);
void cpu_add(struct device *d, struct tensor *y, const struct tensor *x);
void cpu_copy(struct device *d, struct tensor *y, const struct tensor *x);
void cpu_gather_rows(struct device *d, struct tensor *y, const struct tensor *x,
                     const int32_t *rows, int64_t n);
void cpu_scatter_add_rows(struct device *d, struct tensor *y, const struct tensor *x,
                          const int32_t *rows, const float *weight, int64_t n);
void cpu_moe_route(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                   const struct route *r);
double cpu_sum_squares(struct device *d, const float *x, size_t n);
void cpu_adamw(struct device *d, float *p, const float *grad, float *m, float *v, size_t n,
               const struct adamw *a);

#endif
