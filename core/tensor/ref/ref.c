#include "core/tensor/ref/ref.h"
#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *ref_alloc(struct device *d, size_t bytes, struct err *e)
{
    (void)d;
    return mem_new(bytes, 1, e);
}

static void ref_free(struct device *d, void *p)
{
    (void)d;
    mem_free(p);
}

static void ref_transfer(struct device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    if (bytes)
        memmove(dst, src, bytes);
}

static void ref_zero(struct device *d, void *p, size_t bytes)
{
    (void)d;
    if (bytes)
        memset(p, 0, bytes);
}

static void ref_close(struct device *d)
{
    mem_free(d);
}

static const struct device ref_table = {
    .name = "ref",
    .n_threads = 1,
    .close = ref_close,
    .alloc = ref_alloc,
    .free = ref_free,
    .upload = ref_transfer,
    .download = ref_transfer,
    .zero = ref_zero,
    .matmul = ref_matmul,
    .matmul_dx = ref_matmul_dx,
    .matmul_dw = ref_matmul_dw,
    .embed = ref_embed,
    .embed_grad = ref_embed_grad,
    .rmsnorm = ref_rmsnorm,
    .rmsnorm_grad = ref_rmsnorm_grad,
    .rope = ref_rope,
    .swiglu = ref_swiglu,
    .swiglu_grad = ref_swiglu_grad,
    .attention = ref_attention,
    .attention_grad = ref_attention_grad,
    .attention_cached = ref_attention_cached,
    .cross_entropy = ref_cross_entropy,
    .add = ref_add,
    .copy = ref_copy,
    .gather_rows = ref_gather_rows,
    .scatter_add_rows = ref_scatter_add_rows,
    .moe_route = ref_moe_route,
    .sum_squares = ref_sum_squares,
    .adamw = ref_adamw,
};

err_code ref_open(struct device **out, struct err *e)
{
    struct device *d = mem_new(1, sizeof *d, e);
    if (!d)
        return ERR_NOMEM;
    *d = ref_table;
    *out = d;
    return ERR_OK;
}

float ref_at(const struct tensor *t, int64_t i, int64_t j)
{
    float v;
    const char *p = tensor_row(t, i);
    dtype_to_f32(t->dtype, p + j * dtype_info(t->dtype)->block_bytes, &v, 1);
    if (t->scale)
        v *= t->scale[(i + t->scale_row0) / t->scale_rows * t->scale_ld + j / t->scale_cols];
    return v;
}

float *ref_row(const struct tensor *t, int64_t i)
{
    return (float *)t->data + i * t->ld;
}

double *ref_doubles(int64_t n)
{
    double *p = mem_new((size_t)n, sizeof *p, NULL);
    if (!p)
        abort();
    return p;
}
