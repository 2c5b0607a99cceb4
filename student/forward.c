/* The trainable student's forward: what is kept for the backward, and what can be computed again.
 */
#include "student/work.h"

#include <math.h>

/* Views of layer i's activations; T rows in use of max_tokens. */
static struct tensor at(const struct student_work *w, float *all, int64_t i, int64_t T,
                        int64_t width)
{
    return work_rows(all + i * w->max_tokens * width, T, width);
}

struct student_acts student_acts(const struct student *s, int64_t i, int64_t T)
{
    const struct student_config *c = &s->config;
    struct student_work *w = s->work;
    int64_t C = c->hidden, D = c->head_dim, H = c->n_heads, G = c->n_kv_heads, M = w->max_tokens;
    struct student_acts a = {
        .x = at(w, w->x, i, T, C),
        .out = at(w, w->x, i + 1, T, C),
        .mid = at(w, w->mid, i, T, C),
        .qkv = at(w, w->qkv, i, T, (H + 2 * G) * D),
        .raw = at(w, w->raw, c->qk_norm ? i : 0, T, (H + G) * D),
        .attn = at(w, w->attn, i, T, H * D),
        .lse = w->lse + i * M * H,
    };
    a.rstd1 = w->rstd + i * (2 + H + G) * M;
    a.rstd2 = a.rstd1 + M;
    a.rstd_heads = a.rstd2 + M;
    a.q = work_cols(&a.qkv, 0, H * D);
    a.k = work_cols(&a.qkv, H * D, G * D);
    a.v = work_cols(&a.qkv, (H + G) * D, G * D);
    a.gateup = i < w->n_recompute ? work_rows(w->gateup_shared, T, 2 * c->ffn)
                                  : at(w, w->gateup, i - w->n_recompute, T, 2 * c->ffn);
    a.gate = work_cols(&a.gateup, 0, c->ffn);
    a.up = work_cols(&a.gateup, c->ffn, c->ffn);
    return a;
}

struct tensor student_joined(const struct student *s, float *of, enum student_kind first, int64_t i,
                             int64_t rows)
{
    struct tensor t = student_view(s, of, first, i);
    t.shape[0] = rows;
    if (t.n_dims == 1)
        t.ld = rows;
    return t;
}

/* y = x . w^T + b, for the weight (or the group of them that starts with) `kind`. */
static void product(struct student *s, struct tensor *y, const struct tensor *x,
                    enum student_kind kind, enum student_kind bias, int64_t i, unsigned flags)
{
    int64_t rows = tensor_cols(y);
    struct tensor w = student_joined(s, s->params, kind, i, rows);
    struct tensor b = student_view(s, s->params, bias, i);
    if (b.data)
        b = student_joined(s, s->params, bias, i, rows);
    s->device->matmul(s->device, y, x, &w, b.data ? &b : NULL, flags);
}

struct attn_dims student_attn_dims(const struct student_config *c)
{
    return (struct attn_dims){.n_heads = c->n_heads,
                              .n_kv_heads = c->n_kv_heads,
                              .dk = c->head_dim,
                              .dv = c->head_dim,
                              .scale = (float)(1 / sqrt((double)c->head_dim))};
}

/* Qwen3: each head of q and k is normed over its own width. */
static void norm_heads(struct student *s, struct student_acts *a, int64_t i)
{
    const struct student_config *c = &s->config;
    struct device *d = s->device;
    int64_t D = c->head_dim, n = c->n_heads + c->n_kv_heads;
    struct tensor qk = work_cols(&a->qkv, 0, n * D);
    d->copy(d, &a->raw, &qk);
    for (int64_t h = 0; h < n; h++) {
        struct tensor head = work_cols(&a->qkv, h * D, D);
        struct tensor w = student_view(s, s->params, h < c->n_heads ? STUDENT_QN : STUDENT_KN, i);
        d->rmsnorm(d, &head, a->rstd_heads + h * s->work->max_tokens, &head, &w, c->norm_eps);
    }
}

static void attention_block(struct student *s, struct student_acts *a, int64_t i, int64_t T)
{
    const struct student_config *c = &s->config;
    struct student_work *w = s->work;
    struct device *d = s->device;
    struct tensor h = work_rows(w->h, T, c->hidden);
    struct tensor norm = student_view(s, s->params, STUDENT_NORM1, i);
    d->rmsnorm(d, &h, a->rstd1, &a->x, &norm, c->norm_eps);
    product(s, &a->qkv, &h, STUDENT_Q, STUDENT_QB, i, 0);
    if (c->qk_norm)
        norm_heads(s, a, i);
    d->rope(d, &a->q, w->positions, c->n_heads, c->head_dim, 0, &s->rope, false);
    d->rope(d, &a->k, w->positions, c->n_kv_heads, c->head_dim, 0, &s->rope, false);
    struct attn_dims dims = student_attn_dims(c);
    d->attention(d, &a->attn, a->lse, &a->q, &a->k, &a->v, w->doc_start, &dims);
    d->copy(d, &a->mid, &a->x);
    product(s, &a->mid, &a->attn, STUDENT_O, STUDENT_OB, i, MATMUL_ADD);
}

void student_gateup(struct student *s, struct student_acts *a, const struct tensor *h, int64_t i)
{
    product(s, &a->gateup, h, STUDENT_GATE, STUDENT_GATEB, i, 0);
}

void student_norm2(struct student *s, struct student_acts *a, struct tensor *h, int64_t i)
{
    struct tensor norm = student_view(s, s->params, STUDENT_NORM2, i);
    s->device->rmsnorm(s->device, h, a->rstd2, &a->mid, &norm, s->config.norm_eps);
}

static void ffn_block(struct student *s, struct student_acts *a, int64_t i, int64_t T)
{
    struct device *d = s->device;
    struct tensor h = work_rows(s->work->h, T, s->config.hidden);
    struct tensor ffn = work_rows(s->work->ffn, T, s->config.ffn);
    student_norm2(s, a, &h, i);
    student_gateup(s, a, &h, i);
    d->swiglu(d, &ffn, &a->gate, &a->up);
    d->copy(d, &a->out, &a->mid);
    product(s, &a->out, &ffn, STUDENT_DOWN, STUDENT_DOWNB, i, MATMUL_ADD);
}

void student_forward(struct student *s, int64_t T)
{
    struct tensor x = work_rows(s->work->x, T, s->config.hidden);
    struct tensor table = student_view(s, s->params, STUDENT_EMBED, -1);
    s->device->embed(s->device, &x, &table, s->work->tokens);
    for (int64_t i = 0; i < s->config.n_layers; i++) {
        struct student_acts a = student_acts(s, i, T);
        attention_block(s, &a, i, T);
        ffn_block(s, &a, i, T);
    }
}
