/* Operations on rows: embedding, norm, rotary positions, SwiGLU, moving rows about. */
#include "core/tensor/cpu/cpu.h"
#include "core/tensor/route.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void cpu_embed(struct device *d, struct tensor *y, const struct tensor *table, const int32_t *ids)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(y), cols = tensor_cols(y);
    int n_threads = cpu_threads(d, rows * cols);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++) {
        if (dtype_info(table->dtype)->block_elems == 1)
            cpu_row_part(k, table, ids[t], 0, cols, cpu_row(y, t));
        else
            tensor_row_f32(table, ids[t], cpu_row(y, t));
    }
}

/* Rows may repeat, so threads split the columns: each sum has one owner and one order. */
static void add_to_rows(struct device *d, struct tensor *y, const struct tensor *x,
                        const int32_t *rows, const float *weight, int64_t n)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int n_threads = cpu_threads(d, n * tensor_cols(y));
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int64_t first, last;
        cpu_part(tensor_cols(y), 16, i, n_threads, &first, &last);
        for (int64_t t = 0; t < n; t++)
            k->axpy(cpu_row(y, rows[t]) + first, cpu_row(x, t) + first, weight ? weight[t] : 1,
                    last - first);
    }
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

void cpu_rmsnorm(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                 const struct tensor *w, float eps)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    int n_threads = cpu_threads(d, rows * cols);
    const float *wf = norm_weight(k, w, cpu_scratch(d, (size_t)cols * sizeof *wf));
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++) {
        float r = k->rmsnorm(cpu_row(y, t), cpu_row(x, t), wf, cols, eps);
        if (rstd)
            rstd[t] = r;
    }
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

static void rotate(float *head, const float *cos_sin, const struct rope *r)
{
    int64_t half = r->n_dims / 2, apart = r->mode == ROPE_HALF ? half : 1;
    int64_t step = r->mode == ROPE_HALF ? 1 : 2;
    for (int64_t i = 0; i < half; i++) {
        float *a = head + i * step, *b = a + apart;
        float c = cos_sin[i], s = cos_sin[half + i], u = *a, v = *b;
        *a = u * c - v * s;
        *b = v * c + u * s;
    }
}

void cpu_rope(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
              int64_t head_dim, int64_t first, const struct rope *r, bool inverse)
{
    int64_t rows = tensor_rows(x), half = r->n_dims / 2, part;
    float *scratch = cpu_scratch_parts(d, r->n_dims, &part);
    int n_threads = cpu_threads(d, rows * (n_heads + 8) * r->n_dims);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int j = 0; j < n_threads; j++) {
        float *cos_sin = scratch + j * part;
        int64_t begin, end;
        cpu_part(rows, 1, j, n_threads, &begin, &end);
        for (int64_t t = begin; t < end; t++) {
            for (int64_t i = 0; i < half; i++) {
                float angle = (float)pos[t] * r->inv_freq[i];
                cos_sin[i] = r->scale * cosf(angle);
                cos_sin[half + i] = r->scale * (inverse ? -sinf(angle) : sinf(angle));
            }
            for (int64_t h = 0; h < n_heads; h++)
                rotate(cpu_row(x, t) + h * head_dim + first, cos_sin, r);
        }
    }
}

void cpu_swiglu(struct device *d, struct tensor *y, const struct tensor *gate,
                const struct tensor *up)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(y), cols = tensor_cols(y);
    int n_threads = cpu_threads(d, rows * cols * 4);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++)
        k->swiglu(cpu_row(y, t), cpu_row(gate, t), cpu_row(up, t), cols);
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

void cpu_add(struct device *d, struct tensor *y, const struct tensor *x)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(y), cols = tensor_cols(y);
    int n_threads = cpu_threads(d, rows * cols);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++)
        k->axpy(cpu_row(y, t), cpu_row(x, t), 1, cols);
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

void cpu_copy(struct device *d, struct tensor *y, const struct tensor *x)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(y), cols = tensor_cols(y);
    int n_threads = cpu_threads(d, rows * cols);
    bool same = x->dtype == y->dtype && !x->scale;
    size_t row_bytes = (size_t)cols * (size_t)dtype_info(y->dtype)->block_bytes;
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++) {
        if (same)
            memcpy(tensor_row(y, t), tensor_row(x, t), row_bytes);
        else
            convert_row(k, y, x, t);
    }
}

void cpu_gather_rows(struct device *d, struct tensor *y, const struct tensor *x,
                     const int32_t *rows, int64_t n)
{
    int64_t cols = tensor_cols(y);
    int n_threads = cpu_threads(d, n * cols);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t i = 0; i < n; i++)
        memcpy(cpu_row(y, i), cpu_row(x, rows[i]), (size_t)cols * sizeof(float));
}

void cpu_moe_route(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                   const struct route *r)
{
    int64_t rows = tensor_rows(logits);
    int n_threads = cpu_threads(d, rows * r->n_experts * 32);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++)
        route_row(ids + t * r->top_k, weights + t * r->top_k, cpu_row(logits, t), r);
}
