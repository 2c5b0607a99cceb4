#include "core/tensor/cpu/cpu.h"
#include "core/base/isa.h"
#include "core/base/mem.h"

#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static void *cpu_alloc(struct device *d, size_t bytes, struct err *e)
{
    (void)d;
    return mem_new(bytes, 1, e);
}

static void cpu_free(struct device *d, void *p)
{
    (void)d;
    mem_free(p);
}

static void cpu_transfer(struct device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    if (bytes)
        memmove(dst, src, bytes);
}

static void zero_part(const void *p, int64_t first, int64_t last, int i)
{
    (void)i;
    if (last > first)
        memset((char *)p + first, 0, (size_t)(last - first));
}

static void cpu_zero(struct device *d, void *p, size_t bytes)
{
    cpu_split(cpu_threads(d, (int64_t)(bytes / 64)), (int64_t)bytes, 4096, zero_part, p);
}

static void cpu_close(struct device *d)
{
    struct cpu *c = (struct cpu *)d;
    mem_free(c->scratch.p);
    mem_free(c->angles.room.p);
    mem_free(d);
}

static const struct device cpu_table = {
    .name = "cpu",
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_transfer,
    .download = cpu_transfer,
    .zero = cpu_zero,
    .matmul = cpu_matmul,
    .matmul_dx = cpu_matmul_dx,
    .matmul_dw = cpu_matmul_dw,
    .embed = cpu_embed,
    .embed_grad = cpu_embed_grad,
    .rmsnorm = cpu_rmsnorm,
    .rmsnorm_grad = cpu_rmsnorm_grad,
    .rope = cpu_rope,
    .swiglu = cpu_swiglu,
    .swiglu_grad = cpu_swiglu_grad,
    .attention = cpu_attention,
    .attention_grad = cpu_attention_grad,
    .attention_cached = cpu_attention_cached,
    .cross_entropy = cpu_cross_entropy,
    .add = cpu_add,
    .copy = cpu_copy,
    .gather_rows = cpu_gather_rows,
    .scatter_add_rows = cpu_scatter_add_rows,
    .moe_route = cpu_moe_route,
    .sum_squares = cpu_sum_squares,
    .adamw = cpu_adamw,
};

int cpu_kernels_list(const struct cpu_kernels *out[3])
{
    int n = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    if (isa_avx512())
        out[n++] = cpu_kernels_avx512;
    if (isa_avx2())
        out[n++] = cpu_kernels_avx2;
#endif
    out[n++] = &cpu_kernels_portable;
    return n;
}

err_code cpu_open_with(const struct cpu_kernels *k, int n_threads, struct device **out,
                       struct err *e)
{
    struct cpu *c = mem_new(1, sizeof *c, e);
    if (!c)
        return ERR_NOMEM;
    c->d = cpu_table;
    c->d.n_threads = n_threads ? n_threads : omp_get_max_threads();
    c->k = k;
    openblas_set_num_threads(1);
    *out = &c->d;
    return ERR_OK;
}

err_code cpu_open(int n_threads, struct device **out, struct err *e)
{
    const struct cpu_kernels *k[3];
    cpu_kernels_list(k);
    return cpu_open_with(k[0], n_threads, out, e);
}

void *cpu_room(struct cpu_room *r, size_t bytes)
{
    if (bytes > r->bytes) {
        mem_free(r->p);
        r->p = mem_new(bytes, 1, NULL);
        if (!r->p)
            abort();
        r->bytes = bytes;
    }
    return r->p;
}

void *cpu_scratch(struct device *d, size_t bytes)
{
    return cpu_room(&((struct cpu *)d)->scratch, bytes);
}

float *cpu_scratch_parts(struct device *d, int64_t floats, int64_t *part_floats)
{
    *part_floats = (floats + 31) / 32 * 32;
    return cpu_scratch(d, (size_t)d->n_threads * (size_t)*part_floats * sizeof(float));
}

/* Waking threads takes some microseconds; below this much work for each, one does it sooner. */
#define MIN_WORK 65536

int cpu_threads(const struct device *d, int64_t work)
{
    int64_t n = work / MIN_WORK;
    return n >= d->n_threads ? d->n_threads : 1;
}

int cpu_thread(void)
{
    return omp_get_thread_num();
}

void cpu_part(int64_t n, int64_t unit, int i, int n_threads, int64_t *first, int64_t *last)
{
    int64_t n_units = (n + unit - 1) / unit;
    *first = n_units * i / n_threads * unit;
    *last = n_units * (i + 1) / n_threads * unit;
    if (*first > n)
        *first = n;
    if (*last > n)
        *last = n;
}

void cpu_split(int n_threads, int64_t n, int64_t unit, cpu_body *body, const void *ctx)
{
    if (n_threads == 1) {
        body(ctx, 0, n, 0);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int i = 0; i < n_threads; i++) {
        int64_t first, last;
        cpu_part(n, unit, i, n_threads, &first, &last);
        body(ctx, first, last, i);
    }
}

/* How a part of w becomes float32: by rows, or transposed. */
struct conversion {
    void (*convert)(enum dtype t, const void *src, int64_t row_bytes, float *dst, int64_t ld,
                    int64_t rows, int64_t n, float scale);
    int64_t row_step, column_step; /* in dst */
};

/* n columns of `rows` rows at src, of which the first `left` columns have the scale *s, and each
 * scale_cols more the next. */
static void scaled_rows(const struct conversion *to, const struct tensor *w, const char *src,
                        const float *s, int64_t left, int64_t rows, int64_t n, float *dst,
                        int64_t ld)
{
    for (; n > left; left = w->scale_cols) {
        to->convert(w->dtype, src, w->ld, dst, ld, rows, left, *s++);
        src += left; /* only FP8 has scales: a byte each */
        dst += left * to->column_step;
        n -= left;
    }
    to->convert(w->dtype, src, w->ld, dst, ld, rows, n, *s);
}

static void convert_part(const struct conversion *to, const struct tensor *w, int64_t i,
                         int64_t rows, int64_t c, int64_t n, float *dst, int64_t ld)
{
    int64_t size = dtype_info(w->dtype)->block_bytes, row_bytes = w->ld * size;
    const char *src = (const char *)w->data + i * row_bytes + c * size;
    if (!w->scale) {
        to->convert(w->dtype, src, row_bytes, dst, ld, rows, n, 1);
        return;
    }
    int64_t stripe = (i + w->scale_row0) / w->scale_rows, column = c / w->scale_cols;
    int64_t in_stripe = (stripe + 1) * w->scale_rows - w->scale_row0 - i;
    const float *s = w->scale + stripe * w->scale_ld + column;
    for (; rows > 0; in_stripe = w->scale_rows, s += w->scale_ld) {
        int64_t m = rows < in_stripe ? rows : in_stripe;
        scaled_rows(to, w, src, s, (column + 1) * w->scale_cols - c, m, n, dst, ld);
        src += m * row_bytes;
        dst += m * to->row_step;
        rows -= m;
    }
}

void cpu_rows_part(const struct cpu_kernels *k, const struct tensor *w, int64_t i, int64_t rows,
                   int64_t c, int64_t n, float *dst, int64_t ld)
{
    struct conversion to = {k->to_f32, ld, 1};
    convert_part(&to, w, i, rows, c, n, dst, ld);
}

void cpu_columns_part(const struct cpu_kernels *k, const struct tensor *w, int64_t i, int64_t rows,
                      int64_t c, int64_t n, float *dst, int64_t ld)
{
    struct conversion to = {k->to_f32_transposed, 1, ld};
    convert_part(&to, w, i, rows, c, n, dst, ld);
}
