#include "core/tensor/tensor.h"

#include <string.h>

struct tensor tensor_1d(enum dtype t, void *data, int64_t n)
{
    return (struct tensor){.dtype = t, .n_dims = 1, .shape = {n}, .ld = n, .data = data};
}

struct tensor tensor_2d(enum dtype t, void *data, int64_t rows, int64_t cols)
{
    return (struct tensor){
        .dtype = t, .n_dims = 2, .shape = {rows, cols}, .ld = cols, .data = data};
}

struct tensor tensor_strided(void *data, int64_t rows, int64_t cols, int64_t ld)
{
    return (struct tensor){
        .dtype = DT_F32, .n_dims = 2, .shape = {rows, cols}, .ld = ld, .data = data};
}

int64_t tensor_rows(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

int64_t tensor_cols(const struct tensor *t)
{
    return t->n_dims ? t->shape[t->n_dims - 1] : 1;
}

int64_t tensor_n(const struct tensor *t)
{
    return tensor_rows(t) * tensor_cols(t);
}

static uint64_t row_bytes(const struct tensor *t, int64_t n)
{
    const struct dtype_info *in = dtype_info(t->dtype);
    return (uint64_t)n / (uint64_t)in->block_elems * (uint64_t)in->block_bytes;
}

uint64_t tensor_bytes(const struct tensor *t)
{
    int64_t rows = tensor_rows(t);
    if (rows == 0)
        return 0;
    return row_bytes(t, t->ld) * (uint64_t)(rows - 1) + row_bytes(t, tensor_cols(t));
}

void *tensor_row(const struct tensor *t, int64_t i)
{
    return (char *)t->data + row_bytes(t, t->ld) * (uint64_t)i;
}

struct tensor tensor_rows_view(const struct tensor *t, int64_t i, int64_t n)
{
    struct tensor v = *t;
    v.n_dims = 2;
    v.shape[0] = n;
    v.shape[1] = tensor_cols(t);
    v.data = tensor_row(t, i);
    if (t->scale) {
        int64_t row = i + t->scale_row0;
        v.scale = t->scale + row / t->scale_rows * t->scale_ld;
        v.scale_row0 = row % t->scale_rows;
    }
    return v;
}

void tensor_row_f32(const struct tensor *t, int64_t i, float *dst)
{
    int64_t cols = tensor_cols(t);
    dtype_to_f32(t->dtype, tensor_row(t, i), dst, (size_t)cols);
    if (!t->scale)
        return;
    const float *s = t->scale + (i + t->scale_row0) / t->scale_rows * t->scale_ld;
    for (int64_t j = 0; j < cols; j++)
        dst[j] *= s[j / t->scale_cols];
}
