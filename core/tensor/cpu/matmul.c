/* Products in training: OpenBLAS on our threads. */
#include "core/tensor/cpu/cpu.h"

#include <assert.h>
#include <cblas.h>
#include <string.h>

/* Weights that are not float32 are converted this many floats at a time. */
#define TILE_FLOATS (1 << 20)

struct bias {
    const struct cpu_kernels *k;
    struct tensor *y;
    const float *b;
};

static void add_to_each(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct bias *b = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++)
        b->k->axpy(cpu_row(b->y, t), b->b, 1, tensor_cols(b->y));
}

static void add_bias(struct device *d, struct tensor *y, const struct tensor *bias)
{
    struct bias b = {cpu_kernels_of(d), y, bias->data};
    int64_t cols = tensor_cols(y);
    if (bias->dtype != DT_F32) {
        float *converted = cpu_scratch(d, (size_t)cols * sizeof *converted);
        cpu_row_part(b.k, bias, 0, 0, cols, converted);
        b.b = converted;
    }
    cpu_split(cpu_threads(d, tensor_n(y)), tensor_rows(y), 1, add_to_each, &b);
}

/* c[m,n] = a . b + beta c, row-major, split over threads along the longer side of c. */
static void gemm(const struct device *d, bool trans_a, bool trans_b, int64_t m, int64_t n,
                 int64_t k, const float *a, int64_t ld_a, const float *b, int64_t ld_b, float beta,
                 float *c, int64_t ld_c)
{
    if (m == 0 || n == 0)
        return;
    int n_threads = cpu_threads(d, m * n * k);
    int64_t ld_min_a = trans_a ? m : k, ld_min_b = trans_b ? k : n;
    ld_a = ld_a > ld_min_a ? ld_a : ld_min_a;
    ld_b = ld_b > ld_min_b ? ld_b : ld_min_b;
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int64_t m0 = 0, m1 = m, n0 = 0, n1 = n;
        if (m >= n)
            cpu_part(m, 16, i, n_threads, &m0, &m1);
        else
            cpu_part(n, 16, i, n_threads, &n0, &n1);
        if (m1 > m0 && n1 > n0)
            cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                        trans_b ? CblasTrans : CblasNoTrans, (int)(m1 - m0), (int)(n1 - n0), (int)k,
                        1, a + m0 * (trans_a ? 1 : ld_a), (int)ld_a, b + n0 * (trans_b ? ld_b : 1),
                        (int)ld_b, beta, c + m0 * ld_c + n0, (int)ld_c);
    }
}

/* Rows [first, first + n) of w as float32: w's own memory or a tile in scratch. */
static const float *weight_rows(struct device *d, const struct tensor *w, int64_t first, int64_t n,
                                int64_t *ld)
{
    *ld = w->ld;
    if (w->dtype == DT_F32)
        return cpu_row(w, first);
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t cols = tensor_cols(w);
    float *tile = cpu_scratch(d, (size_t)(n * cols) * sizeof *tile);
    int n_threads = cpu_threads(d, n * cols);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t i = 0; i < n; i++)
        cpu_row_part(k, w, first + i, 0, cols, tile + i * cols);
    *ld = cols;
    return tile;
}

static int64_t tile_rows(const struct tensor *w)
{
    int64_t rows = tensor_rows(w), cols = tensor_cols(w);
    if (w->dtype == DT_F32 || rows * cols <= TILE_FLOATS)
        return rows > 0 ? rows : 1;
    return TILE_FLOATS / cols > 16 ? TILE_FLOATS / cols : 16;
}

void cpu_matmul(struct device *d, struct tensor *y, const struct tensor *x, const struct tensor *w,
                const struct tensor *bias, unsigned flags)
{
    assert(tensor_cols(x) == tensor_cols(w) && tensor_cols(y) == tensor_rows(w));
    assert(tensor_rows(x) == tensor_rows(y));
    int64_t rows = tensor_rows(y), k = tensor_cols(x), step = tile_rows(w), ld;
    if (rows == 0)
        return;
    if (dtype_info(w->dtype)->block_elems > 1) {
        cpu_matmul_blocks(d, y, x, w, flags);
    } else if (flags & MATMUL_ROWWISE) {
        cpu_matmul_rowwise(d, y, x, w, flags);
    } else {
        for (int64_t n = 0; n < tensor_rows(w); n += step) {
            int64_t m = tensor_rows(w) - n < step ? tensor_rows(w) - n : step;
            const float *tile = weight_rows(d, w, n, m, &ld);
            gemm(d, false, true, rows, m, k, x->data, x->ld, tile, ld, flags & MATMUL_ADD ? 1 : 0,
                 (float *)y->data + n, y->ld);
        }
    }
    if (bias)
        add_bias(d, y, bias);
}

void cpu_matmul_dx(struct device *d, struct tensor *dx, const struct tensor *dy,
                   const struct tensor *w, unsigned flags)
{
    assert(tensor_cols(dy) == tensor_rows(w) && tensor_cols(dx) == tensor_cols(w));
    assert(tensor_rows(dx) == tensor_rows(dy) && dtype_info(w->dtype)->block_elems == 1);
    int64_t rows = tensor_rows(dx), cols = tensor_cols(dx), n_sum = tensor_rows(w), ld;
    if (flags & MATMUL_ROWWISE) {
        cpu_matmul_dx_rowwise(d, dx, dy, w, flags);
        return;
    }
    float beta = flags & MATMUL_ADD ? 1 : 0;
    int64_t step = tile_rows(w);
    for (int64_t n = 0; n == 0 || n < n_sum; n += step, beta = 1) {
        int64_t m = n_sum - n < step ? n_sum - n : step;
        const float *tile = weight_rows(d, w, n, m, &ld);
        gemm(d, false, false, rows, cols, m, (float *)dy->data + n, dy->ld, tile, ld, beta,
             dx->data, dx->ld);
    }
}

void cpu_matmul_dw(struct device *d, struct tensor *dw, struct tensor *db, const struct tensor *dy,
                   const struct tensor *x)
{
    assert(tensor_rows(dw) == tensor_cols(dy) && tensor_cols(dw) == tensor_cols(x));
    assert(tensor_rows(x) == tensor_rows(dy));
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(dy), n = tensor_rows(dw);
    if (rows == 0)
        return;
    gemm(d, true, false, n, tensor_cols(dw), rows, dy->data, dy->ld, x->data, x->ld, 1, dw->data,
         dw->ld);
    if (!db)
        return;
    int n_threads = cpu_threads(d, rows * n);
    float *sums = cpu_scratch(d, (size_t)n * sizeof *sums);
    memset(sums, 0, (size_t)n * sizeof *sums);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int64_t first, last;
        cpu_part(n, 64, i, n_threads, &first, &last);
        for (int64_t t = 0; t < rows; t++)
            k->axpy(sums + first, cpu_row(dy, t) + first, 1, last - first);
        k->axpy((float *)db->data + first, sums + first, 1, last - first);
    }
}
