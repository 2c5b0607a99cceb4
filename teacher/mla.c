#include "teacher/mla.h"

#include <math.h>

/* The norms of the latents have this epsilon whatever rms_norm_eps is (as published). */
static const float LATENT_EPS = 1e-6f;

err_code mla_load(struct mla *m, struct loader *l, const struct teacher_config *c,
                  const char *prefix, struct err *e)
{
    int64_t H = c->n_heads, C = c->n_hidden, dq = c->d_nope + c->d_rope;
    err_code rc;
    *m = (struct mla){0};
    if (!c->q_rank) {
        rc = load_tensor(l, &m->q_b, H * dq, C, e, prefix, "q_proj.weight");
    } else {
        rc = load_tensor(l, &m->q_a, c->q_rank, C, e, prefix, "q_a_proj.weight");
        if (!rc)
            rc = load_tensor(l, &m->q_a_norm, 0, c->q_rank, e, prefix, "q_a_layernorm.weight");
        if (!rc)
            rc = load_tensor(l, &m->q_b, H * dq, c->q_rank, e, prefix, "q_b_proj.weight");
    }
    if (!rc)
        rc = load_tensor(l, &m->kv_a, c->kv_rank + c->d_rope, C, e, prefix,
                         "kv_a_proj_with_mqa.weight");
    if (!rc)
        rc = load_tensor(l, &m->kv_a_norm, 0, c->kv_rank, e, prefix, "kv_a_layernorm.weight");
    if (!rc)
        rc = load_tensor(l, &m->kv_b, H * (c->d_nope + c->d_v), c->kv_rank, e, prefix,
                         "kv_b_proj.weight");
    if (!rc)
        rc = load_tensor(l, &m->o, C, H * c->d_v, e, prefix, "o_proj.weight");
    if (rc || !c->attention_bias)
        return rc;
    if (c->q_rank)
        rc = load_tensor(l, &m->q_a_bias, 0, c->q_rank, e, prefix, "q_a_proj.bias");
    if (!rc)
        rc = load_tensor(l, &m->kv_a_bias, 0, c->kv_rank + c->d_rope, e, prefix,
                         "kv_a_proj_with_mqa.bias");
    return rc ? rc : load_tensor(l, &m->o_bias, 0, C, e, prefix, "o_proj.bias");
}

static const struct tensor *bias_of(const struct tensor *t)
{
    return t->data ? t : NULL;
}

/* Columns [first, first + n) of a float32 tensor. */
static struct tensor cols(const struct tensor *t, int64_t first, int64_t n)
{
    return tensor_strided((float *)t->data + first, tensor_rows(t), n, t->ld);
}

/* The same columns of every head of x[T, H * width], as [T*H, n]. x is contiguous. */
static struct tensor head_cols(const struct tensor *x, int64_t n_heads, int64_t first, int64_t n)
{
    int64_t width = tensor_cols(x) / n_heads;
    return tensor_strided((float *)x->data + first, tensor_rows(x) * n_heads, n, width);
}

/* q[T, H*(nope+rope)], rotated. */
static err_code queries(const struct mla *m, const struct pass *p, struct tensor *q,
                        const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    int64_t dq = c->d_nope + c->d_rope;
    struct tensor low = *h;
    err_code rc = arena_2d(p->arena, q, p->n_rows, c->n_heads * dq, e);
    if (rc)
        return rc;
    if (m->q_a.data) {
        if ((rc = arena_2d(p->arena, &low, p->n_rows, c->q_rank, e)))
            return rc;
        d->matmul(d, &low, h, &m->q_a, bias_of(&m->q_a_bias), MATMUL_ROWWISE);
        d->rmsnorm(d, &low, NULL, &low, &m->q_a_norm, LATENT_EPS);
    }
    d->matmul(d, q, &low, &m->q_b, NULL, MATMUL_ROWWISE);
    d->rope(d, q, p->pos, c->n_heads, dq, c->d_nope, p->rope, false);
    return ERR_OK;
}

/* New rows of the caches. */
static err_code remember(const struct mla *m, const struct pass *p, int64_t i_layer,
                         const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    int64_t w = c->kv_rank + c->d_rope;
    struct tensor kv;
    err_code rc = arena_2d(p->arena, &kv, p->n_rows, w, e);
    if (rc)
        return rc;
    d->matmul(d, &kv, h, &m->kv_a, bias_of(&m->kv_a_bias), MATMUL_ROWWISE);
    struct tensor latent = cols(&kv, 0, c->kv_rank);
    d->rmsnorm(d, &latent, NULL, &latent, &m->kv_a_norm, LATENT_EPS);
    d->rope(d, &kv, p->pos, 1, w, c->kv_rank, p->rope, false);
    for (int64_t i = 0; i < p->n_parts; i++) {
        const struct pass_part *part = &p->parts[i];
        struct tensor from = tensor_rows_view(&kv, part->first_row, part->n_rows);
        struct tensor to =
            tensor_2d(DT_F32, part->caches[i_layer].rows + part->start * w, part->n_rows, w);
        d->copy(d, &to, &from);
    }
    return ERR_OK;
}

/* Row t of a part sees the rows up to its own, of keys k and values v. */
static void fill_spans(struct attn_span *spans, const struct pass_part *part, const float *k,
                       const float *v)
{
    for (int64_t t = 0; t < part->n_rows; t++)
        spans[t] = (struct attn_span){.k = k, .v = v, .n = part->start + t + 1};
}

static float score_scale(const struct teacher_config *c)
{
    return (float)(yarn_score_scale(&c->yarn) / sqrt((double)(c->d_nope + c->d_rope)));
}

/* The parts of kv_b that make head i's keys and values: [d_nope, kv_rank], [d_v, kv_rank]. */
static struct tensor key_rows(const struct mla *m, const struct teacher_config *c, int64_t i)
{
    return tensor_rows_view(&m->kv_b, i * (c->d_nope + c->d_v), c->d_nope);
}

static struct tensor value_rows(const struct mla *m, const struct teacher_config *c, int64_t i)
{
    return tensor_rows_view(&m->kv_b, i * (c->d_nope + c->d_v) + c->d_nope, c->d_v);
}

static err_code attend_absorbed(const struct mla *m, const struct pass *p, int64_t i_layer,
                                struct tensor *out, const struct tensor *q, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    int64_t H = c->n_heads, r = c->kv_rank, w = r + c->d_rope, dq = c->d_nope + c->d_rope;
    struct tensor qa, lat;
    err_code rc = arena_2d(p->arena, &qa, p->n_rows, H * w, e);
    if (rc || (rc = arena_2d(p->arena, &lat, p->n_rows, H * r, e)))
        return rc;
    for (int64_t i = 0; i < H; i++) {
        struct tensor to = cols(&qa, i * w, r), from = cols(q, i * dq, c->d_nope);
        struct tensor uk = key_rows(m, c, i);
        d->matmul_dx(d, &to, &from, &uk, MATMUL_ROWWISE);
    }
    struct tensor to = head_cols(&qa, H, r, c->d_rope);
    struct tensor from = head_cols(q, H, c->d_nope, c->d_rope);
    d->copy(d, &to, &from);

    for (int64_t i = 0; i < p->n_parts; i++) {
        const float *rows = p->parts[i].caches[i_layer].rows;
        fill_spans(p->spans + p->parts[i].first_row, &p->parts[i], rows, rows);
    }
    struct attn_dims a = {.n_heads = H, .n_kv_heads = 1, .dk = w, .dv = r, .ld_k = w, .ld_v = w};
    a.scale = score_scale(c);
    d->attention_cached(d, &lat, &qa, p->spans, &a);
    for (int64_t i = 0; i < H; i++) {
        struct tensor y = cols(out, i * c->d_v, c->d_v), x = cols(&lat, i * r, r);
        struct tensor uv = value_rows(m, c, i);
        d->matmul(d, &y, &x, &uv, NULL, MATMUL_ROWWISE);
    }
    return ERR_OK;
}

/* One sequence of the expanded form: its keys [n, H*dq] and values [n, H*d_v] are computed from the
 * cache, then its rows attend to them. */
static err_code attend_part(const struct mla *m, const struct pass *p, const struct pass_part *part,
                            int64_t i_layer, struct tensor *out, const struct tensor *q,
                            struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    int64_t H = c->n_heads, w = c->kv_rank + c->d_rope, dq = c->d_nope + c->d_rope;
    int64_t n = part->start + part->n_rows;
    struct tensor cache = tensor_2d(DT_F32, part->caches[i_layer].rows, n, w), k, v;
    struct tensor latent = cols(&cache, 0, c->kv_rank), pe = cols(&cache, c->kv_rank, c->d_rope);
    err_code rc = arena_2d(p->arena, &k, n, H * dq, e);
    if (rc || (rc = arena_2d(p->arena, &v, n, H * c->d_v, e)))
        return rc;
    for (int64_t i = 0; i < H; i++) {
        struct tensor ki = cols(&k, i * dq, c->d_nope), vi = cols(&v, i * c->d_v, c->d_v);
        struct tensor kp = cols(&k, i * dq + c->d_nope, c->d_rope);
        struct tensor uk = key_rows(m, c, i), uv = value_rows(m, c, i);
        d->matmul(d, &ki, &latent, &uk, NULL, MATMUL_ROWWISE);
        d->copy(d, &kp, &pe);
        d->matmul(d, &vi, &latent, &uv, NULL, MATMUL_ROWWISE);
    }
    struct attn_dims a = {.n_heads = H, .n_kv_heads = H, .dk = dq, .dv = c->d_v};
    a.ld_k = k.ld;
    a.ld_v = v.ld;
    a.scale = score_scale(c);
    fill_spans(p->spans, part, k.data, v.data);
    struct tensor o = tensor_rows_view(out, part->first_row, part->n_rows);
    struct tensor qi = tensor_rows_view(q, part->first_row, part->n_rows);
    d->attention_cached(d, &o, &qi, p->spans, &a);
    return ERR_OK;
}

static err_code attend_expanded(const struct mla *m, const struct pass *p, int64_t i_layer,
                                struct tensor *out, const struct tensor *q, struct err *e)
{
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < p->n_parts && !rc; i++) {
        struct arena_mark mark = arena_mark(p->arena);
        rc = attend_part(m, p, &p->parts[i], i_layer, out, q, e);
        arena_release(p->arena, mark);
    }
    return rc;
}

err_code mla_forward(const struct mla *m, const struct pass *p, int64_t i_layer, struct tensor *x,
                     const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct arena_mark mark = arena_mark(p->arena);
    struct tensor q, out;
    err_code rc = queries(m, p, &q, h, e);
    if (!rc)
        rc = remember(m, p, i_layer, h, e);
    if (!rc)
        rc = arena_2d(p->arena, &out, p->n_rows, c->n_heads * c->d_v, e);
    if (!rc)
        rc = p->form == MLA_ABSORBED ? attend_absorbed(m, p, i_layer, &out, &q, e)
                                     : attend_expanded(m, p, i_layer, &out, &q, e);
    if (!rc)
        p->dev->matmul(p->dev, x, &out, &m->o, bias_of(&m->o_bias), MATMUL_ADD | MATMUL_ROWWISE);
    arena_release(p->arena, mark);
    return rc;
}

err_code latent_reserve(struct latent_cache *c, struct device *d, int64_t width, int64_t n,
                        int64_t max, int64_t n_kept, struct err *e)
{
    if (n <= c->cap)
        return ERR_OK;
    int64_t cap = c->cap ? 2 * c->cap : 64;
    if (cap < n)
        cap = n;
    if (cap > max)
        cap = max;
    uint64_t bytes;
    if (!mem_mul((uint64_t)cap, (uint64_t)width * sizeof(float), &bytes))
        return err_set(e, ERR_NOMEM, "a cache of %lld tokens does not fit", (long long)cap);
    float *rows = d->alloc(d, bytes, e);
    if (!rows)
        return ERR_NOMEM;
    if (n_kept) {
        struct tensor to = tensor_2d(DT_F32, rows, n_kept, width);
        struct tensor from = tensor_2d(DT_F32, c->rows, n_kept, width);
        d->copy(d, &to, &from);
    }
    if (c->rows)
        d->free(d, c->rows);
    *c = (struct latent_cache){rows, cap};
    return ERR_OK;
}

void latent_free(struct latent_cache *c, struct device *d)
{
    if (c->rows)
        d->free(d, c->rows);
    *c = (struct latent_cache){0};
}
