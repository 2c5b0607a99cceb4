/* Cached attention: each query row over its own span of keys and values. Keys go in stretches that
 * start at the span's first, so a row's result depends on the row and its span alone. */
#include "core/tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define STRETCH 128 /* keys at a time */
#define HEADS 16    /* query heads at a time: they share the keys that were read */

struct cached {
    const struct cpu_kernels *k;
    const struct attn_dims *a;
};

static void attend(const struct cached *c, const struct attn_span *span, int64_t g, int64_t n_heads,
                   const float *q, float *out, float *scores)
{
    const struct attn_dims *a = c->a;
    float max[HEADS], sum[HEADS];
    for (int64_t h = 0; h < n_heads; h++) {
        max[h] = -INFINITY;
        sum[h] = 0;
    }
    memset(out, 0, (size_t)(n_heads * a->dv) * sizeof *out);
    for (int64_t j = 0; j < span->n; j += STRETCH) {
        int64_t n = span->n - j < STRETCH ? span->n - j : STRETCH;
        int64_t padded = (n + 15) / 16 * 16;
        c->k->nt(n_heads, n, a->dk, q, a->dk, span->k + j * a->ld_k + g * a->dk, a->ld_k, scores,
                 STRETCH, NULL, SUM_WHOLE);
        for (int64_t h = 0; h < n_heads; h++) {
            float shrink =
                c->k->softmax_row(scores + h * STRETCH, padded, 0, n, a->scale, &max[h], &sum[h]);
            if (j > 0 && shrink != 1)
                c->k->scale(out + h * a->dv, shrink, a->dv);
        }
        c->k->nn(n_heads, a->dv, n, scores, STRETCH, 1, span->v + j * a->ld_v + g * a->dv, a->ld_v,
                 out, a->dv, true);
    }
    for (int64_t h = 0; h < n_heads; h++)
        c->k->scale(out + h * a->dv, 1 / sum[h], a->dv);
}

void cpu_attention_cached(struct device *d, struct tensor *out, const struct tensor *q,
                          const struct attn_span *spans, const struct attn_dims *a)
{
    struct cached c = {cpu_kernels_of(d), a};
    int64_t rows = tensor_rows(q), per = a->n_heads / a->n_kv_heads, part, keys = 0;
    int64_t chunks = (per + HEADS - 1) / HEADS, n = rows * a->n_kv_heads * chunks;
    float *scratch = cpu_scratch_parts(d, HEADS * STRETCH, &part);
    for (int64_t t = 0; t < rows; t++)
        keys += spans[t].n;
    int n_threads = cpu_threads(d, keys * a->n_heads * (a->dk + a->dv));
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        float *own = scratch + cpu_thread() * part;
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < n; i++) {
            int64_t t = i / (a->n_kv_heads * chunks), g = i / chunks % a->n_kv_heads;
            int64_t first = i % chunks * HEADS, h = g * per + first;
            attend(&c, &spans[t], g, per - first < HEADS ? per - first : HEADS,
                   cpu_row(q, t) + h * a->dk, cpu_row(out, t) + h * a->dv, own);
        }
    }
}
