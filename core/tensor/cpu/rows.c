/* Operations on rows: embedding, norm, SwiGLU, moving rows about. */
#include "core/tensor/cpu/cpu.h"
#include "core/tensor/route.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* What the bodies below get: the operands of their operation. */
struct rows {
    const struct cpu_kernels *k;
    const struct tensor *y, *x, *a; /* y: the result */
    const int32_t *ids;
    const float *weight;
    float *out, eps;
};

static void embed_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++) {
        if (dtype_info(r->x->dtype)->block_elems == 1)
            cpu_row_part(r->k, r->x, r->ids[t], 0, tensor_cols(r->y), cpu_row(r->y, t));
        else
            tensor_row_f32(r->x, r->ids[t], cpu_row(r->y, t));
    }
}

void cpu_embed(struct device *d, struct tensor *y, const struct tensor *table, const int32_t *ids)
{
    struct rows r = {cpu_kernels_of(d), y, table, .ids = ids};
    cpu_split(cpu_threads(d, tensor_n(y)), tensor_rows(y), 1, embed_rows, &r);
}

struct add_rows {
    struct rows r;
    int64_t n;
};

static void add_columns(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct add_rows *a = ctx;
    const struct rows *r = &a->r;
    (void)i;
    for (int64_t t = 0; t < a->n; t++)
        r->k->axpy(cpu_row(r->y, r->ids[t]) + first, cpu_row(r->x, t) + first,
                   r->weight ? r->weight[t] : 1, last - first);
}

/* Rows may repeat, so threads split the columns: each sum has one owner and one order. */
static void add_to_rows(struct device *d, struct tensor *y, const struct tensor *x,
                        const int32_t *rows, const float *weight, int64_t n)
{
    struct add_rows a = {{cpu_kernels_of(d), y, x, .ids = rows, .weight = weight}, n};
    cpu_split(cpu_threads(d, n * tensor_cols(y)), tensor_cols(y), 16, add_columns, &a);
}

void cpu_embed_grad(struct device *d, struct tensor *dtable, const struct tensor *dy,
                    const int32_t *ids)
{
    add_to_rows(d, dtable, dy, ids, NULL, tensor_rows(dy));
}

void cpu_scatter_add_rows(struct device *d, struct tensor *y, const struct tensor *x,
                          const int32_t *rows, const float *weight, int64_t n)
{
    add_to_rows(d, y, x, rows, weight, n);
}

/* w as float32: its own memory or into dst. */
static const float *norm_weight(const struct cpu_kernels *k, const struct tensor *w, float *dst)
{
    if (w->dtype == DT_F32)
        return w->data;
    cpu_row_part(k, w, 0, 0, tensor_cols(w), dst);
    return dst;
}

static void rmsnorm_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++) {
        float rstd =
            r->k->rmsnorm(cpu_row(r->y, t), cpu_row(r->x, t), r->weight, tensor_cols(r->x), r->eps);
        if (r->out)
            r->out[t] = rstd;
    }
}

void cpu_rmsnorm(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                 const struct tensor *w, float eps)
{
    struct rows r = {cpu_kernels_of(d), y, x, .out = rstd, .eps = eps};
    r.weight = norm_weight(r.k, w, cpu_scratch(d, (size_t)tensor_cols(x) * sizeof *r.weight));
    cpu_split(cpu_threads(d, tensor_n(x)), tensor_rows(x), 1, rmsnorm_rows, &r);
}

/* dw is summed by each thread over its rows, then over threads in their order. */
void cpu_rmsnorm_grad(struct device *d, struct tensor *dx, struct tensor *dw,
                      const struct tensor *dy, const struct tensor *x, const struct tensor *w,
                      const float *rstd)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    int n_threads = cpu_threads(d, rows * cols);
    float *sums = cpu_scratch(d, (size_t)((n_threads + 1) * cols) * sizeof *sums);
    const float *wf = norm_weight(k, w, sums + n_threads * cols);
    memset(sums, 0, (size_t)(n_threads * cols) * sizeof *sums);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int64_t first, last;
        cpu_part(rows, 1, i, n_threads, &first, &last);
        for (int64_t t = first; t < last; t++)
            k->rmsnorm_grad(cpu_row(dx, t), sums + i * cols, cpu_row(dy, t), cpu_row(x, t), wf,
                            rstd[t], cols);
    }
    for (int i = 0; i < n_threads; i++)
        k->axpy(dw->data, sums + i * cols, 1, cols);
}

static void swiglu_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++)
        r->k->swiglu(cpu_row(r->y, t), cpu_row(r->x, t), cpu_row(r->a, t), tensor_cols(r->y));
}

void cpu_swiglu(struct device *d, struct tensor *y, const struct tensor *gate,
                const struct tensor *up)
{
    struct rows r = {cpu_kernels_of(d), y, gate, up};
    cpu_split(cpu_threads(d, tensor_n(y) * 4), tensor_rows(y), 1, swiglu_rows, &r);
}

void cpu_swiglu_grad(struct device *d, struct tensor *dgate, struct tensor *dup,
                     const struct tensor *dy, const struct tensor *gate, const struct tensor *up)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(dy), cols = tensor_cols(dy);
    int n_threads = cpu_threads(d, rows * cols * 4);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++)
        k->swiglu_grad(cpu_row(dgate, t), cpu_row(dup, t), cpu_row(dy, t), cpu_row(gate, t),
                       cpu_row(up, t), cols);
}

static void add_each(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++)
        r->k->axpy(cpu_row(r->y, t), cpu_row(r->x, t), 1, tensor_cols(r->y));
}

void cpu_add(struct device *d, struct tensor *y, const struct tensor *x)
{
    struct rows r = {cpu_kernels_of(d), y, x};
    cpu_split(cpu_threads(d, tensor_n(y)), tensor_rows(y), 1, add_each, &r);
}

/* A row by way of float32, in pieces. */
static void convert_row(const struct cpu_kernels *k, const struct tensor *y, const struct tensor *x,
                        int64_t t)
{
    float piece[256];
    int64_t size = dtype_info(y->dtype)->block_bytes, cols = tensor_cols(y);
    for (int64_t c = 0; c < cols; c += 256) {
        int64_t n = cols - c < 256 ? cols - c : 256;
        cpu_row_part(k, x, t, c, n, piece);
        bool ok = dtype_from_f32(y->dtype, piece, (char *)tensor_row(y, t) + c * size, (size_t)n);
        assert(ok);
        (void)ok;
    }
}

static void copy_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    bool same = r->x->dtype == r->y->dtype && !r->x->scale;
    size_t bytes = (size_t)tensor_cols(r->y) * (size_t)dtype_info(r->y->dtype)->block_bytes;
    (void)i;
    for (int64_t t = first; t < last; t++) {
        if (same)
            memcpy(tensor_row(r->y, t), tensor_row(r->x, t), bytes);
        else
            convert_row(r->k, r->y, r->x, t);
    }
}

void cpu_copy(struct device *d, struct tensor *y, const struct tensor *x)
{
    struct rows r = {cpu_kernels_of(d), y, x};
    cpu_split(cpu_threads(d, tensor_n(y)), tensor_rows(y), 1, copy_rows, &r);
}

static void gather(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rows *r = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++)
        memcpy(cpu_row(r->y, t), cpu_row(r->x, r->ids[t]),
               (size_t)tensor_cols(r->y) * sizeof(float));
}

void cpu_gather_rows(struct device *d, struct tensor *y, const struct tensor *x,
                     const int32_t *rows, int64_t n)
{
    struct rows r = {.y = y, .x = x, .ids = rows};
    cpu_split(cpu_threads(d, n * tensor_cols(y)), n, 1, gather, &r);
}

struct routing {
    int32_t *ids;
    float *weights;
    const struct tensor *logits;
    const struct route *r;
};

static void route_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct routing *o = ctx;
    int64_t k = o->r->top_k;
    (void)i;
    for (int64_t t = first; t < last; t++)
        route_row(o->ids + t * k, o->weights + t * k, cpu_row(o->logits, t), o->r);
}

void cpu_moe_route(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                   const struct route *r)
{
    struct routing o = {ids, weights, logits, r};
    cpu_split(cpu_threads(d, tensor_rows(logits) * r->n_experts * 32), tensor_rows(logits), 1,
              route_rows, &o);
}
