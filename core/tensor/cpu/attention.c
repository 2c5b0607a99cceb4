/* Packed causal attention in tiles of TILE x TILE scores with a running softmax (Dao et al. 2022,
 * FlashAttention), and its backward. A document's rows see only that document's rows, so tiles of
 * keys before the first visible one are skipped. */
#include "core/tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define TILE 64

struct packed {
    const struct cpu_kernels *k;
    const struct attn_dims *a;
    const struct tensor *q, *key, *v;
    const int32_t *doc_start;
    int64_t n_rows, per; /* per: query heads that share a key head */
};

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t first_visible(const struct packed *p, int64_t row, int64_t n)
{
    int64_t first = row;
    for (int64_t i = row; i < row + n; i++)
        first = at_most(first, p->doc_start[i]);
    return first;
}

/* ---- forward: the query heads of group g, rows [t, t + m) */

struct forward_scratch {
    float *key_t;     /* [dk][TILE] */
    float *scores;    /* [TILE][TILE] */
    float *max, *sum; /* [per][TILE] */
};

static int64_t forward_floats(const struct attn_dims *a)
{
    return (a->dk + TILE) * TILE + 2 * TILE * (a->n_heads / a->n_kv_heads);
}

static void forward_tile(const struct packed *p, struct tensor *out, int64_t g, int64_t t,
                         int64_t m, int64_t j, int64_t n, const struct forward_scratch *s)
{
    const struct attn_dims *a = p->a;
    p->k->transpose(s->key_t, TILE, cpu_row(p->key, j) + g * a->dk, p->key->ld, n, a->dk);
    for (int64_t i = 0; i < p->per; i++) {
        int64_t h = g * p->per + i;
        p->k->nn(m, n, a->dk, cpu_row(p->q, t) + h * a->dk, p->q->ld, 1, s->key_t, TILE, s->scores,
                 TILE, false);
        for (int64_t r = 0; r < m; r++) {
            int64_t lo = p->doc_start[t + r] - j, hi = at_most(t + r + 1 - j, n);
            float shrink =
                p->k->softmax_row(s->scores + r * TILE, TILE, lo > 0 ? lo : 0, hi, a->scale,
                                  s->max + i * TILE + r, s->sum + i * TILE + r);
            if (shrink != 1)
                p->k->scale(cpu_row(out, t + r) + h * a->dv, shrink, a->dv);
        }
        p->k->nn(m, a->dv, n, s->scores, TILE, 1, cpu_row(p->v, j) + g * a->dv, p->v->ld,
                 cpu_row(out, t) + h * a->dv, out->ld, true);
    }
}

static void forward_rows(const struct packed *p, struct tensor *out, float *lse, int64_t g,
                         int64_t t, int64_t m, float *scratch)
{
    const struct attn_dims *a = p->a;
    struct forward_scratch s = {.key_t = scratch, .scores = scratch + a->dk * TILE};
    s.max = s.scores + TILE * TILE;
    s.sum = s.max + p->per * TILE;
    for (int64_t i = 0; i < p->per * TILE; i++) {
        s.max[i] = -INFINITY;
        s.sum[i] = 0;
    }
    int64_t width = p->per * a->dv;
    for (int64_t r = 0; r < m; r++)
        memset(cpu_row(out, t + r) + g * width, 0, (size_t)width * sizeof(float));
    for (int64_t j = first_visible(p, t, m); j < t + m; j += TILE)
        forward_tile(p, out, g, t, m, j, at_most(TILE, t + m - j), &s);
    for (int64_t i = 0; i < p->per; i++)
        for (int64_t r = 0; r < m; r++) {
            int64_t h = g * p->per + i;
            float sum = s.sum[i * TILE + r];
            p->k->scale(cpu_row(out, t + r) + h * a->dv, 1 / sum, a->dv);
            if (lse)
                lse[(t + r) * a->n_heads + h] = s.max[i * TILE + r] + logf(sum);
        }
}

void cpu_attention(struct device *d, struct tensor *out, float *lse, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const int32_t *doc_start,
                   const struct attn_dims *a)
{
    struct packed p = {cpu_kernels_of(d),         a, q, k, v, doc_start, tensor_rows(q),
                       a->n_heads / a->n_kv_heads};
    int64_t part, n_tiles = (p.n_rows + TILE - 1) / TILE;
    float *scratch = cpu_scratch_parts(d, forward_floats(a), &part);
    int n_threads = cpu_threads(d, p.n_rows * a->n_heads * (a->dk + a->dv) * at_most(p.n_rows, 64));
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        float *own = scratch + cpu_thread() * part;
        /* the longest rows first */
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = n_tiles * a->n_kv_heads - 1; i >= 0; i--) {
            int64_t t = i / a->n_kv_heads * TILE;
            forward_rows(&p, out, lse, i % a->n_kv_heads, t, at_most(TILE, p.n_rows - t), own);
        }
    }
}

/* ---- backward: for a stretch of rows that no row outside sees (a document or more) and one key
 * head; such pieces share no sum. For each tile of keys, over the tiles of queries that see it. */

struct backward {
    struct packed p;
    struct tensor *dq, *dk, *dv;
    const struct tensor *dout;
    const float *lse, *delta; /* [t * H + h]; delta = sum over d of dout * out */
};

struct backward_scratch {
    float *key_t, *v_t;      /* [dk][TILE], [dv][TILE] */
    float *scores, *dscores; /* [TILE][TILE] */
    float *dk, *dv;          /* [TILE][dk], [TILE][dv] */
};

static int64_t backward_floats(const struct attn_dims *a)
{
    return 2 * TILE * (a->dk + a->dv + TILE);
}

static void backward_tile(const struct backward *b, int64_t h, int64_t t, int64_t m, int64_t j,
                          int64_t n, const struct backward_scratch *s)
{
    const struct packed *p = &b->p;
    const struct attn_dims *a = p->a;
    const struct cpu_kernels *k = p->k;
    const float *q = cpu_row(p->q, t) + h * a->dk, *dout = cpu_row(b->dout, t) + h * a->dv;
    k->nn(m, n, a->dk, q, p->q->ld, 1, s->key_t, TILE, s->scores, TILE, false);
    k->nn(m, n, a->dv, dout, b->dout->ld, 1, s->v_t, TILE, s->dscores, TILE, false);
    for (int64_t r = 0; r < m; r++) {
        int64_t lo = p->doc_start[t + r] - j, hi = at_most(t + r + 1 - j, n);
        int64_t at = (t + r) * a->n_heads + h;
        k->softmax_row_grad(s->scores + r * TILE, s->dscores + r * TILE, TILE, lo > 0 ? lo : 0, hi,
                            a->scale, b->lse[at], b->delta[at]);
    }
    k->nn(n, a->dv, m, s->scores, 1, TILE, dout, b->dout->ld, s->dv, a->dv, true);
    k->nn(n, a->dk, m, s->dscores, 1, TILE, q, p->q->ld, s->dk, a->dk, true);
    k->nn(m, a->dk, n, s->dscores, TILE, 1, cpu_row(p->key, j) + h / p->per * a->dk, p->key->ld,
          cpu_row(b->dq, t) + h * a->dk, b->dq->ld, true);
}

static void backward_piece(const struct backward *b, int64_t g, int64_t first, int64_t last,
                           float *scratch)
{
    const struct packed *p = &b->p;
    const struct attn_dims *a = p->a;
    const struct cpu_kernels *k = p->k;
    struct backward_scratch s = {.key_t = scratch};
    s.v_t = s.key_t + a->dk * TILE;
    s.scores = s.v_t + a->dv * TILE;
    s.dscores = s.scores + TILE * TILE;
    s.dk = s.dscores + TILE * TILE;
    s.dv = s.dk + TILE * a->dk;
    for (int64_t j = first; j < last; j += TILE) {
        int64_t n = at_most(TILE, last - j);
        k->transpose(s.key_t, TILE, cpu_row(p->key, j) + g * a->dk, p->key->ld, n, a->dk);
        k->transpose(s.v_t, TILE, cpu_row(p->v, j) + g * a->dv, p->v->ld, n, a->dv);
        memset(s.dk, 0, (size_t)(TILE * (a->dk + a->dv)) * sizeof(float));
        for (int64_t t = j; t < last; t += TILE) {
            int64_t m = at_most(TILE, last - t);
            if (first_visible(p, t, m) >= j + n)
                continue;
            for (int64_t h = g * p->per; h < (g + 1) * p->per; h++)
                backward_tile(b, h, t, m, j, n, &s);
        }
        for (int64_t r = 0; r < n; r++) {
            k->axpy(cpu_row(b->dk, j + r) + g * a->dk, s.dk + r * a->dk, 1, a->dk);
            k->axpy(cpu_row(b->dv, j + r) + g * a->dv, s.dv + r * a->dv, 1, a->dv);
        }
    }
}

/* Rows where a piece begins (no row from there on sees an earlier one), last first; returns how
 * many. starts has room for all rows. */
static int64_t find_pieces(const struct packed *p, int32_t *starts)
{
    int64_t n = 0;
    int32_t first = INT32_MAX;
    for (int64_t t = p->n_rows - 1; t >= 0; t--) {
        first = p->doc_start[t] < first ? p->doc_start[t] : first;
        if (first >= t)
            starts[n++] = (int32_t)t;
    }
    return n;
}

void cpu_attention_grad(struct device *d, struct tensor *dq, struct tensor *dk, struct tensor *dv,
                        const struct tensor *dout, const struct tensor *q, const struct tensor *k,
                        const struct tensor *v, const struct tensor *out, const float *lse,
                        const int32_t *doc_start, const struct attn_dims *a)
{
    struct backward b = {
        .p = {cpu_kernels_of(d), a, q, k, v, doc_start, tensor_rows(q), a->n_heads / a->n_kv_heads},
        .dq = dq,
        .dk = dk,
        .dv = dv,
        .dout = dout,
        .lse = lse};
    int64_t n_rows = b.p.n_rows, part = (backward_floats(a) + 31) / 32 * 32;
    int64_t n_delta = (n_rows * a->n_heads + 31) / 32 * 32;
    float *delta = cpu_scratch(d, (size_t)(n_delta + d->n_threads * part + n_rows) * sizeof(float));
    float *scratch = delta + n_delta;
    int32_t *starts = (int32_t *)(scratch + d->n_threads * part);
    int64_t n_pieces = find_pieces(&b.p, starts);
    b.delta = delta;
    int n_threads = cpu_threads(d, n_rows * a->n_heads * (a->dk + a->dv) * at_most(n_rows, 64));
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t t = 0; t < n_rows; t++)
            for (int64_t h = 0; h < a->n_heads; h++)
                delta[t * a->n_heads + h] = (float)b.p.k->dot(cpu_row(dout, t) + h * a->dv,
                                                              cpu_row(out, t) + h * a->dv, a->dv);
        float *own = scratch + cpu_thread() * part;
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < n_pieces * a->n_kv_heads; i++) {
            int64_t piece = i / a->n_kv_heads;
            backward_piece(&b, i % a->n_kv_heads, starts[piece], piece ? starts[piece - 1] : n_rows,
                           own);
        }
    }
}
