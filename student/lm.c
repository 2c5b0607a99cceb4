/* The student as an lm: cached attention over mapped weights. Rows of all sequences go through the
 * layers together, at most CHUNK at a time, so that memory does not grow with the prompt. */
#include "student/model.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 512, FIRST_ROOM = 256 };

struct layer {
    struct tensor w[STUDENT_N_KINDS]; /* data NULL: the model has no such tensor */
};

/* Activations of up to CHUNK rows, in one allocation. */
struct scratch {
    float *all;
    float *x, *h, *q, *k, *v, *attn, *gate, *up;
    struct attn_span *spans;
    int32_t *ids, *pos, *head_rows;
    struct row *rows;
};

struct seq {
    struct lm_seq base;
    float *cache; /* [layer][k, v][room][G*D] */
    int64_t room;
};

struct row {
    struct seq *seq;
    int64_t pos;
};

struct model {
    struct lm lm;
    struct student_config c;
    struct device *d;
    struct weights *weights;
    struct layer *layers;
    struct tensor embed, norm, head;
    float *small; /* norms and biases as float32 */
    float *inv_freq;
    struct rope rope;
    struct scratch s;
    int64_t n_room; /* rows that the scratch holds */
};

/* ---- opening */

static err_code get(struct model *m, enum student_kind k, int64_t layer, struct tensor *out,
                    struct err *e)
{
    struct student_slot s;
    if (!student_slot_make(&m->c, k, layer, &s))
        return ERR_OK;
    err_code rc = weights_get(m->weights, s.name, s.n_dims, s.shape, out, e);
    if (rc)
        return rc;
    m->lm.n_params += tensor_n(out);
    m->lm.n_bytes += (int64_t)tensor_bytes(out);
    return ERR_OK;
}

static err_code get_all(struct model *m, struct err *e)
{
    err_code rc = get(m, STUDENT_EMBED, -1, &m->embed, e);
    for (int64_t i = 0; i < m->c.n_layers; i++)
        for (int k = 0; k < STUDENT_N_KINDS && !rc; k++)
            if (!student_kind_is_global((enum student_kind)k))
                rc = get(m, (enum student_kind)k, i, &m->layers[i].w[k], e);
    if (!rc)
        rc = get(m, STUDENT_NORM, -1, &m->norm, e);
    if (!rc)
        rc = get(m, STUDENT_HEAD, -1, &m->head, e);
    if (m->c.tied)
        m->head = m->embed;
    return rc;
}

/* Norms and biases as float32. Comes after get_all: by then their sizes are those of a file. */
static float *widen(struct tensor *t, float *to)
{
    if (!t->data || t->n_dims != 1)
        return to;
    tensor_row_f32(t, 0, to);
    *t = tensor_1d(DT_F32, to, t->shape[0]);
    return to + t->shape[0];
}

static err_code widen_all(struct model *m, struct err *e)
{
    size_t n = (size_t)m->c.hidden;
    for (int64_t i = 0; i < m->c.n_layers; i++)
        for (int k = 0; k < STUDENT_N_KINDS; k++)
            if (m->layers[i].w[k].n_dims == 1)
                n += (size_t)m->layers[i].w[k].shape[0];
    float *at = m->small = mem_new(n, sizeof *m->small, e);
    if (!at)
        return ERR_NOMEM;
    at = widen(&m->norm, at);
    for (int64_t i = 0; i < m->c.n_layers; i++)
        for (int k = 0; k < STUDENT_N_KINDS; k++)
            at = widen(&m->layers[i].w[k], at);
    return ERR_OK;
}

/* ---- sequences */

static int64_t kv_width(const struct model *m)
{
    return m->c.n_kv_heads * m->c.head_dim;
}

static float *cache_at(const struct model *m, const struct seq *s, int64_t layer, int which)
{
    return s->cache + (layer * 2 + which) * s->room * kv_width(m);
}

/* Moves the first n tokens of from's cache into to's, which has another room. */
static void copy_cache(struct model *m, const struct seq *from, const struct seq *to, int64_t n)
{
    for (int64_t i = 0; i < m->c.n_layers && n > 0; i++)
        for (int which = 0; which < 2; which++) {
            struct tensor src = tensor_2d(DT_F32, cache_at(m, from, i, which), n, kv_width(m));
            struct tensor dst = tensor_2d(DT_F32, cache_at(m, to, i, which), n, kv_width(m));
            m->d->copy(m->d, &dst, &src);
        }
}

static err_code set_room(struct model *m, struct seq *s, int64_t room, struct err *e)
{
    struct seq grown = {.room = room};
    uint64_t bytes;
    if (!mem_mul((uint64_t)room, (uint64_t)m->lm.cache_bytes, &bytes))
        return err_set(e, ERR_NOMEM, "a cache of %lld tokens does not fit any memory",
                       (long long)room);
    grown.cache = m->d->alloc(m->d, bytes, e);
    if (!grown.cache)
        return err_context(e, "the cache of a sequence of %lld tokens", (long long)room);
    copy_cache(m, s, &grown, s->base.n_tokens);
    m->d->free(m->d, s->cache);
    s->cache = grown.cache;
    s->room = room;
    return ERR_OK;
}

static err_code make_room(struct model *m, struct seq *s, int64_t n, struct err *e)
{
    if (n <= s->room)
        return ERR_OK;
    int64_t room = s->room ? s->room : FIRST_ROOM;
    while (room < n)
        room *= 2;
    return set_room(m, s, room < s->base.max_tokens ? room : s->base.max_tokens, e);
}

static err_code seq_open(struct lm *lm, int64_t max_tokens, struct lm_seq **out, struct err *e)
{
    struct seq *s = mem_new(1, sizeof *s, e);
    if (!s)
        return ERR_NOMEM;
    s->base.lm = lm;
    s->base.max_tokens = max_tokens;
    *out = &s->base;
    return ERR_OK;
}

static void seq_close(struct lm_seq *base)
{
    struct seq *s = (struct seq *)base;
    struct model *m = (struct model *)base->lm;
    m->d->free(m->d, s->cache);
    mem_free(s);
}

static err_code seq_fork(struct lm_seq *base, struct lm_seq **out, struct err *e)
{
    struct model *m = (struct model *)base->lm;
    struct lm_seq *copy;
    err_code rc = seq_open(base->lm, base->max_tokens, &copy, e);
    if (!rc && base->n_tokens && (rc = make_room(m, (struct seq *)copy, base->n_tokens, e)))
        seq_close(copy);
    if (rc)
        return rc;
    copy_cache(m, (struct seq *)base, (struct seq *)copy, base->n_tokens);
    copy->n_tokens = base->n_tokens;
    *out = copy;
    return ERR_OK;
}

static void seq_truncate(struct lm_seq *s, int64_t n)
{
    s->n_tokens = n > 0 ? n : 0;
}

/* ---- forward */

static err_code reserve_rows(struct model *m, int64_t n, struct err *e)
{
    if (n <= m->n_room)
        return ERR_OK;
    n = n <= 1 ? 1 : n <= 64 ? 64 : CHUNK;
    struct scratch *s = &m->s;
    int64_t C = m->c.hidden, Q = m->c.n_heads * m->c.head_dim, KV = kv_width(m), F = m->c.ffn;
    int64_t widths[] = {C, C, Q, KV, KV, Q, F, F};
    float **parts[] = {&s->x, &s->h, &s->q, &s->k, &s->v, &s->attn, &s->gate, &s->up};
    int64_t total = 0;
    for (int i = 0; i < 8; i++)
        total += widths[i];
    m->n_room = 0;
    m->d->free(m->d, s->all);
    s->all = m->d->alloc(m->d, (size_t)(n * total) * sizeof(float), e);
    if (!s->all)
        return ERR_NOMEM;
    err_code rc = mem_grow((void **)&s->spans, (size_t)n, sizeof *s->spans, e);
    if (rc || (rc = mem_grow((void **)&s->ids, (size_t)n, sizeof *s->ids, e)) ||
        (rc = mem_grow((void **)&s->pos, (size_t)n, sizeof *s->pos, e)) ||
        (rc = mem_grow((void **)&s->head_rows, (size_t)n, sizeof *s->head_rows, e)) ||
        (rc = mem_grow((void **)&s->rows, (size_t)n, sizeof *s->rows, e)))
        return rc;
    float *at = s->all;
    for (int i = 0; i < 8; i++) {
        *parts[i] = at;
        at += n * widths[i];
    }
    m->n_room = n;
    return ERR_OK;
}

static struct tensor rows_of(float *p, int64_t T, int64_t width)
{
    return tensor_2d(DT_F32, p, T, width);
}

static void product(struct model *m, struct tensor *y, const struct tensor *x,
                    const struct layer *l, enum student_kind w, enum student_kind bias,
                    unsigned flags)
{
    m->d->matmul(m->d, y, x, &l->w[w], l->w[bias].data ? &l->w[bias] : NULL,
                 MATMUL_ROWWISE | flags);
}

/* Qwen3: each head of x[T, n*D] is normed by itself; contiguous rows make that one call. */
static void norm_heads(struct model *m, float *x, int64_t T, int64_t n, const struct tensor *w)
{
    struct tensor heads = rows_of(x, T * n, m->c.head_dim);
    if (w->data)
        m->d->rmsnorm(m->d, &heads, NULL, &heads, w, m->c.norm_eps);
}

static void attention_block(struct model *m, int64_t i_layer, int64_t T)
{
    const struct student_config *c = &m->c;
    const struct layer *l = &m->layers[i_layer];
    struct device *d = m->d;
    struct scratch *s = &m->s;
    int64_t D = c->head_dim, KV = kv_width(m), Q = c->n_heads * D;
    struct tensor x = rows_of(s->x, T, c->hidden), h = rows_of(s->h, T, c->hidden),
                  q = rows_of(s->q, T, Q), k = rows_of(s->k, T, KV), v = rows_of(s->v, T, KV),
                  attn = rows_of(s->attn, T, Q);
    d->rmsnorm(d, &h, NULL, &x, &l->w[STUDENT_NORM1], c->norm_eps);
    product(m, &q, &h, l, STUDENT_Q, STUDENT_QB, 0);
    product(m, &k, &h, l, STUDENT_K, STUDENT_KB, 0);
    product(m, &v, &h, l, STUDENT_V, STUDENT_VB, 0);
    norm_heads(m, s->q, T, c->n_heads, &l->w[STUDENT_QN]);
    norm_heads(m, s->k, T, c->n_kv_heads, &l->w[STUDENT_KN]);
    d->rope(d, &q, s->pos, c->n_heads, D, 0, &m->rope, false);
    d->rope(d, &k, s->pos, c->n_kv_heads, D, 0, &m->rope, false);
    for (int64_t t = 0; t < T; t++) {
        struct row *r = &s->rows[t];
        struct attn_span *span = &s->spans[t];
        float *ck = cache_at(m, r->seq, i_layer, 0), *cv = cache_at(m, r->seq, i_layer, 1);
        struct tensor to_k = rows_of(ck + r->pos * KV, 1, KV), from_k = tensor_rows_view(&k, t, 1);
        struct tensor to_v = rows_of(cv + r->pos * KV, 1, KV), from_v = tensor_rows_view(&v, t, 1);
        d->copy(d, &to_k, &from_k);
        d->copy(d, &to_v, &from_v);
        *span = (struct attn_span){.k = ck, .v = cv, .n = r->pos + 1};
    }
    struct attn_dims dims = {.n_heads = c->n_heads,
                             .n_kv_heads = c->n_kv_heads,
                             .dk = D,
                             .dv = D,
                             .ld_k = KV,
                             .ld_v = KV,
                             .scale = (float)(1 / sqrt((double)D))};
    d->attention_cached(d, &attn, &q, s->spans, &dims);
    product(m, &x, &attn, l, STUDENT_O, STUDENT_OB, MATMUL_ADD);
}

static void ffn_block(struct model *m, const struct layer *l, int64_t T)
{
    struct device *d = m->d;
    struct scratch *s = &m->s;
    struct tensor x = rows_of(s->x, T, m->c.hidden), h = rows_of(s->h, T, m->c.hidden),
                  gate = rows_of(s->gate, T, m->c.ffn), up = rows_of(s->up, T, m->c.ffn);
    d->rmsnorm(d, &h, NULL, &x, &l->w[STUDENT_NORM2], m->c.norm_eps);
    product(m, &gate, &h, l, STUDENT_GATE, STUDENT_GATEB, 0);
    product(m, &up, &h, l, STUDENT_UP, STUDENT_UPB, 0);
    d->swiglu(d, &gate, &gate, &up);
    product(m, &x, &gate, l, STUDENT_DOWN, STUDENT_DOWNB, MATMUL_ADD);
}

/* Rows 0 .. T-1 of the scratch; the n_head rows that want logits get them. */
static void forward_rows(struct model *m, int64_t T, int64_t n_head, float *logits)
{
    struct device *d = m->d;
    struct scratch *s = &m->s;
    struct tensor x = rows_of(s->x, T, m->c.hidden);
    d->embed(d, &x, &m->embed, s->ids);
    for (int64_t i = 0; i < m->c.n_layers; i++) {
        attention_block(m, i, T);
        ffn_block(m, &m->layers[i], T);
    }
    if (!n_head)
        return;
    struct tensor h = rows_of(s->h, n_head, m->c.hidden);
    struct tensor y = rows_of(logits, n_head, m->c.n_vocab);
    d->gather_rows(d, &h, &x, s->head_rows, n_head);
    d->rmsnorm(d, &h, NULL, &h, &m->norm, m->c.norm_eps);
    d->matmul(d, &y, &h, &m->head, NULL, MATMUL_ROWWISE);
}

static err_code forward(struct lm *lm, const struct lm_item *items, int64_t n_items, float *logits,
                        struct err *e)
{
    struct model *m = (struct model *)lm;
    int64_t total = 0;
    for (int64_t i = 0; i < n_items; i++) {
        struct seq *s = (struct seq *)items[i].seq;
        err_code rc = make_room(m, s, s->base.n_tokens + items[i].n_tokens, e);
        if (rc)
            return rc;
        total += items[i].n_tokens;
    }
    err_code rc = reserve_rows(m, total < CHUNK ? total : CHUNK, e);
    int64_t i = 0, at = 0; /* item, and token in it */
    while (!rc && i < n_items) {
        int64_t T = 0, n_head = 0;
        for (; i < n_items && T < m->n_room; T++) {
            const struct lm_item *it = &items[i];
            bool last = at + 1 == it->n_tokens;
            m->s.ids[T] = it->tokens[at];
            m->s.rows[T] = (struct row){(struct seq *)it->seq, it->seq->n_tokens + at};
            m->s.pos[T] = (int32_t)(it->seq->n_tokens + at);
            if (it->logits == LM_ALL || (it->logits == LM_LAST && last))
                m->s.head_rows[n_head++] = (int32_t)T;
            at = last ? 0 : at + 1;
            i += last;
        }
        forward_rows(m, T, n_head, logits);
        logits += n_head * m->c.n_vocab;
    }
    for (int64_t j = 0; j < n_items && !rc; j++)
        items[j].seq->n_tokens += items[j].n_tokens;
    return rc;
}

static void model_close(struct lm *lm)
{
    struct model *m = (struct model *)lm;
    m->d->free(m->d, m->s.all);
    mem_free(m->s.spans);
    mem_free(m->s.ids);
    mem_free(m->s.pos);
    mem_free(m->s.head_rows);
    mem_free(m->s.rows);
    mem_free(m->small);
    mem_free(m->inv_freq);
    mem_free(m->layers);
    weights_close(m->weights);
    mem_free(m);
}

static const struct lm_ops ops = {seq_open,     seq_close, seq_fork,
                                  seq_truncate, forward,   model_close};

static err_code open_model(struct model *m, const char *path, struct err *e)
{
    err_code rc = weights_open(path, &m->weights, e);
    if (rc || (rc = student_config_weights(&m->c, m->weights, e)))
        return rc;
    const struct student_config *c = &m->c;
    m->layers = mem_new((size_t)c->n_layers, sizeof *m->layers, e);
    m->inv_freq = mem_new((size_t)c->head_dim / 2, sizeof *m->inv_freq, e);
    if (!m->layers || !m->inv_freq)
        return ERR_NOMEM;
    m->rope = (struct rope){.mode = c->rope.mode, .n_dims = c->head_dim, .inv_freq = m->inv_freq};
    student_rope_freqs(c, m->inv_freq, &m->rope.scale);
    m->lm.arch = student_arch_name(c->arch);
    m->lm.n_vocab = c->n_vocab;
    m->lm.max_context = c->max_positions;
    m->lm.cache_bytes = c->n_layers * 2 * kv_width(m) * (int64_t)sizeof(float);
    rc = get_all(m, e);
    return rc ? rc : widen_all(m, e);
}

err_code student_lm_open(const char *path, struct device *d, struct lm **out, struct err *e)
{
    *out = NULL;
    struct model *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    m->lm.ops = &ops;
    m->d = d;
    err_code rc = open_model(m, path, e);
    if (rc)
        model_close(&m->lm);
    else
        *out = &m->lm;
    return rc;
}
