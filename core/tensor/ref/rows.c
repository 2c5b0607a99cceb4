/* Operations on rows: embedding, norm, rotary positions, SwiGLU, moving rows about. */
#include "core/tensor/ref/ref.h"
#include "core/tensor/route.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void ref_embed(struct device *d, struct tensor *y, const struct tensor *table, const int32_t *ids)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(y); t++)
        tensor_row_f32(table, ids[t], ref_row(y, t));
}

void ref_embed_grad(struct device *d, struct tensor *dtable, const struct tensor *dy,
                    const int32_t *ids)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(dy); t++)
        for (int64_t c = 0; c < tensor_cols(dy); c++)
            ref_row(dtable, ids[t])[c] += ref_row(dy, t)[c];
}

void ref_rmsnorm(struct device *d, struct tensor *y, float *rstd, const struct tensor *x,
                 const struct tensor *w, float eps)
{
    (void)d;
    int64_t n = tensor_cols(x);
    for (int64_t t = 0; t < tensor_rows(x); t++) {
        const float *xt = ref_row(x, t);
        double sum = 0;
        for (int64_t c = 0; c < n; c++)
            sum += (double)xt[c] * xt[c];
        double r = 1 / sqrt(sum / (double)n + eps);
        for (int64_t c = 0; c < n; c++)
            ref_row(y, t)[c] = (float)(xt[c] * r * ref_at(w, 0, c));
        if (rstd)
            rstd[t] = (float)r;
    }
}

void ref_rmsnorm_grad(struct device *d, struct tensor *dx, struct tensor *dw,
                      const struct tensor *dy, const struct tensor *x, const struct tensor *w,
                      const float *rstd)
{
    (void)d;
    int64_t n = tensor_cols(x);
    for (int64_t t = 0; t < tensor_rows(x); t++) {
        const float *xt = ref_row(x, t), *dyt = ref_row(dy, t);
        double r = rstd[t], dot = 0;
        for (int64_t c = 0; c < n; c++)
            dot += (double)dyt[c] * ref_at(w, 0, c) * xt[c];
        for (int64_t c = 0; c < n; c++)
            ref_row(dx, t)[c] +=
                (float)(r * ((double)ref_at(w, 0, c) * dyt[c] - xt[c] * r * r * dot / (double)n));
    }
    for (int64_t c = 0; c < n; c++) {
        double sum = 0;
        for (int64_t t = 0; t < tensor_rows(x); t++)
            sum += (double)ref_row(dy, t)[c] * ref_row(x, t)[c] * rstd[t];
        ref_row(dw, 0)[c] += (float)sum;
    }
}

void ref_rope(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
              int64_t head_dim, int64_t first, const struct rope *r, bool inverse)
{
    (void)d;
    int64_t half = r->n_dims / 2;
    for (int64_t t = 0; t < tensor_rows(x); t++)
        for (int64_t h = 0; h < n_heads; h++)
            for (int64_t i = 0; i < half; i++) {
                float *p = ref_row(x, t) + h * head_dim + first;
                float *a = r->mode == ROPE_HALF ? p + i : p + 2 * i;
                float *b = r->mode == ROPE_HALF ? p + i + half : p + 2 * i + 1;
                float angle = (float)pos[t] * r->inv_freq[i];
                double c = r->scale * cos(angle), s = r->scale * sin(angle);
                if (inverse)
                    s = -s;
                double u = *a, v = *b;
                *a = (float)(u * c - v * s);
                *b = (float)(v * c + u * s);
            }
}

void ref_swiglu(struct device *d, struct tensor *y, const struct tensor *gate,
                const struct tensor *up)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(y); t++)
        for (int64_t c = 0; c < tensor_cols(y); c++) {
            double g = ref_row(gate, t)[c];
            ref_row(y, t)[c] = (float)(g / (1 + exp(-g)) * ref_row(up, t)[c]);
        }
}

void ref_swiglu_grad(struct device *d, struct tensor *dgate, struct tensor *dup,
                     const struct tensor *dy, const struct tensor *gate, const struct tensor *up)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(dy); t++)
        for (int64_t c = 0; c < tensor_cols(dy); c++) {
            double g = ref_row(gate, t)[c], u = ref_row(up, t)[c], dv = ref_row(dy, t)[c];
            double s = 1 / (1 + exp(-g));
            ref_row(dgate, t)[c] = (float)(dv * u * s * (1 + g * (1 - s)));
            ref_row(dup, t)[c] = (float)(dv * g * s);
        }
}

void ref_add(struct device *d, struct tensor *y, const struct tensor *x)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(y); t++)
        for (int64_t c = 0; c < tensor_cols(y); c++)
            ref_row(y, t)[c] += ref_row(x, t)[c];
}

void ref_copy(struct device *d, struct tensor *y, const struct tensor *x)
{
    (void)d;
    size_t size = (size_t)dtype_info(y->dtype)->block_bytes;
    for (int64_t t = 0; t < tensor_rows(y); t++)
        for (int64_t c = 0; c < tensor_cols(y); c++) {
            char *to = (char *)tensor_row(y, t) + (size_t)c * size;
            if (x->dtype == y->dtype && !x->scale) {
                memcpy(to, (const char *)tensor_row(x, t) + (size_t)c * size, size);
                continue;
            }
            float v = ref_at(x, t, c);
            bool ok = dtype_from_f32(y->dtype, &v, to, 1);
            assert(ok);
            (void)ok;
        }
}

void ref_gather_rows(struct device *d, struct tensor *y, const struct tensor *x,
                     const int32_t *rows, int64_t n)
{
    (void)d;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < tensor_cols(y); c++)
            ref_row(y, i)[c] = ref_row(x, rows[i])[c];
}

void ref_scatter_add_rows(struct device *d, struct tensor *y, const struct tensor *x,
                          const int32_t *rows, const float *weight, int64_t n)
{
    (void)d;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < tensor_cols(y); c++) {
            float w = weight ? weight[i] : 1;
            ref_row(y, rows[i])[c] += w * ref_row(x, i)[c];
        }
}

void ref_moe_route(struct device *d, int32_t *ids, float *weights, const struct tensor *logits,
                   const struct route *r)
{
    (void)d;
    for (int64_t t = 0; t < tensor_rows(logits); t++)
        route_row(ids + t * r->top_k, weights + t * r->top_k, ref_row(logits, t), r);
}
