#include "core/tensor/ref/ref.h"
#include "core/base/mem.h"

#include <assert.h>
#include <math.h>

/* n activations rounded to int8 with one scale: the farthest from 0 becomes +-127. */
static void round_block(float *y, const float *x, int n)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    float d = max / 127, inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < n; i++)
        y[i] = d * rintf(x[i] * inverse);
}

static double dot_blocks(const struct tensor *w, int64_t n, const float *x)
{
    const struct dtype_info *in = dtype_info(w->dtype);
    float wb[256], xb[256];
    const char *p = tensor_row(w, n);
    double sum = 0;
    for (int64_t k = 0; k < tensor_cols(w); k += in->block_elems, p += in->block_bytes) {
        dtype_to_f32(w->dtype, p, wb, (size_t)in->block_elems);
        round_block(xb, x + k, in->block_elems);
        for (int i = 0; i < in->block_elems; i++)
            sum += (double)wb[i] * xb[i];
    }
    return sum;
}

static double dot_plain(const struct tensor *w, int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t k = 0; k < tensor_cols(w); k++)
        sum += (double)ref_at(w, n, k) * x[k];
    return sum;
}

void ref_matmul(struct device *d, struct tensor *y, const struct tensor *x, const struct tensor *w,
                const struct tensor *bias, unsigned flags)
{
    (void)d;
    assert(tensor_cols(x) == tensor_cols(w) && tensor_cols(y) == tensor_rows(w));
    assert(tensor_rows(x) == tensor_rows(y));
    bool blocks = dtype_info(w->dtype)->block_elems > 1;
    for (int64_t t = 0; t < tensor_rows(y); t++)
        for (int64_t n = 0; n < tensor_cols(y); n++) {
            const float *xt = ref_row(x, t);
            double sum = blocks ? dot_blocks(w, n, xt) : dot_plain(w, n, xt);
            if (bias)
                sum += ref_at(bias, 0, n);
            if (flags & MATMUL_ADD)
                sum += ref_row(y, t)[n];
            ref_row(y, t)[n] = (float)sum;
        }
}

void ref_matmul_dx(struct device *d, struct tensor *dx, const struct tensor *dy,
                   const struct tensor *w, unsigned flags)
{
    (void)d;
    assert(tensor_cols(dy) == tensor_rows(w) && tensor_cols(dx) == tensor_cols(w));
    assert(tensor_rows(dx) == tensor_rows(dy));
    for (int64_t t = 0; t < tensor_rows(dx); t++)
        for (int64_t k = 0; k < tensor_cols(dx); k++) {
            double sum = flags & MATMUL_ADD ? ref_row(dx, t)[k] : 0;
            for (int64_t n = 0; n < tensor_cols(dy); n++)
                sum += (double)ref_row(dy, t)[n] * ref_at(w, n, k);
            ref_row(dx, t)[k] = (float)sum;
        }
}

void ref_matmul_dw(struct device *d, struct tensor *dw, struct tensor *db, const struct tensor *dy,
                   const struct tensor *x)
{
    (void)d;
    assert(tensor_rows(dw) == tensor_cols(dy) && tensor_cols(dw) == tensor_cols(x));
    assert(tensor_rows(x) == tensor_rows(dy));
    for (int64_t n = 0; n < tensor_rows(dw); n++) {
        double column = 0;
        for (int64_t t = 0; t < tensor_rows(dy); t++)
            column += ref_row(dy, t)[n];
        if (db)
            ((float *)db->data)[n] += (float)column;
        for (int64_t k = 0; k < tensor_cols(dw); k++) {
            double sum = ref_row(dw, n)[k];
            for (int64_t t = 0; t < tensor_rows(dy); t++)
                sum += (double)ref_row(dy, t)[n] * ref_row(x, t)[k];
            ref_row(dw, n)[k] = (float)sum;
        }
    }
}
