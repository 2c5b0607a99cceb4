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

struct todo {
    struct cached c;
    const struct tensor *out, *q;
    const struct attn_span *spans;
    int64_t per, chunks; /* query heads that share a key head, and their chunks of HEADS */
    float *scratch;      /* [thread][part] */
    int64_t part;
};

/* Chunk i of all rows' chunks. */
static void attend_chunk(const struct todo *o, int64_t i, float *scores)
{
    const struct attn_dims *a = o->c.a;
    int64_t t = i / (a->n_kv_heads * o->chunks), g = i / o->chunks % a->n_kv_heads;
    int64_t first = i % o->chunks * HEADS, h = g * o->per + first;
    attend(&o->c, &o->spans[t], g, o->per - first < HEADS ? o->per - first : HEADS,
           cpu_row(o->q, t) + h * a->dk, cpu_row(o->out, t) + h * a->dv, scores);
}

void cpu_attention_cached(struct device *d, struct tensor *out, const struct tensor *q,
                          const struct attn_span *spans, const struct attn_dims *a)
{
    struct todo o = {{cpu_kernels_of(d), a}, out, q, spans, a->n_heads / a->n_kv_heads, 0, NULL, 0};
    o.chunks = (o.per + HEADS - 1) / HEADS;
    int64_t rows = tensor_rows(q), n = rows * a->n_kv_heads * o.chunks, keys = 0;
    o.scratch = cpu_scratch_parts(d, HEADS * STRETCH, &o.part);
    for (int64_t t = 0; t < rows; t++)
        keys += spans[t].n;
    int n_threads = cpu_threads(d, keys * a->n_heads * (a->dk + a->dv));
    if (n_threads == 1) { /* no OpenMP region: see cpu_split */
        for (int64_t i = 0; i < n; i++)
            attend_chunk(&o, i, o.scratch);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
    for (int64_t i = 0; i < n; i++)
        attend_chunk(&o, i, o.scratch + cpu_thread() * o.part);
}
