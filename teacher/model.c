#include "teacher/model.h"

#include "core/format/weights.h"
#include "teacher/mtp.h"

#include <string.h>

enum { HEAD_ROWS = 64 }; /* rows of logits computed at a time: bounds their scratch */

struct teacher {
    struct lm lm;
    struct teacher_config cfg;
    struct device *dev;
    struct weights *w;
    struct tensor embed, norm, head;
    struct layer *layers;
    bool has_mtp;
    struct mtp mtp;
    float *inv_freq;
    struct rope rope;
    enum mla_form form;
    struct arena arena;
};

struct teacher_seq {
    struct lm_seq seq;
    int64_t n_mtp;                /* positions in the MTP module's cache */
    struct latent_cache caches[]; /* n_layers + 1: the last is the MTP module's */
};

static struct teacher *teacher_of(const struct lm *lm)
{
    return (struct teacher *)lm;
}

static struct teacher_seq *seq_of(struct lm_seq *s)
{
    return (struct teacher_seq *)s;
}

static int64_t latent_width(const struct teacher *m)
{
    return m->cfg.kv_rank + m->cfg.d_rope;
}

/* ---- sequences */

static err_code seq_open(struct lm *lm, int64_t max_tokens, struct lm_seq **out, struct err *e)
{
    struct teacher *m = teacher_of(lm);
    size_t n = (size_t)m->cfg.n_layers + 1;
    struct teacher_seq *s = mem_new(1, sizeof *s + n * sizeof *s->caches, e);
    if (!s)
        return ERR_NOMEM;
    s->seq.lm = lm;
    s->seq.max_tokens = max_tokens;
    *out = &s->seq;
    return ERR_OK;
}

static void seq_close(struct lm_seq *seq)
{
    struct teacher *m = teacher_of(seq->lm);
    for (int64_t i = 0; i <= m->cfg.n_layers; i++)
        latent_free(&seq_of(seq)->caches[i], m->dev);
    mem_free(seq);
}

static err_code copy_cache(struct teacher *m, struct latent_cache *to,
                           const struct latent_cache *from, int64_t n, int64_t max, struct err *e)
{
    err_code rc = n ? latent_reserve(to, m->dev, latent_width(m), n, max, 0, e) : ERR_OK;
    if (rc || !n)
        return rc;
    struct tensor a = tensor_2d(DT_F32, to->rows, n, latent_width(m));
    struct tensor b = tensor_2d(DT_F32, from->rows, n, latent_width(m));
    m->dev->copy(m->dev, &a, &b);
    return ERR_OK;
}

static err_code seq_fork(struct lm_seq *seq, struct lm_seq **out, struct err *e)
{
    struct teacher *m = teacher_of(seq->lm);
    struct lm_seq *twin;
    err_code rc = seq_open(seq->lm, seq->max_tokens, &twin, e);
    if (rc)
        return rc;
    struct teacher_seq *a = seq_of(twin), *b = seq_of(seq);
    for (int64_t i = 0; i <= m->cfg.n_layers && !rc; i++)
        rc = copy_cache(m, &a->caches[i], &b->caches[i],
                        i < m->cfg.n_layers ? seq->n_tokens : b->n_mtp, seq->max_tokens, e);
    if (rc) {
        seq_close(twin);
        return rc;
    }
    twin->n_tokens = seq->n_tokens;
    a->n_mtp = b->n_mtp;
    *out = twin;
    return ERR_OK;
}

static void seq_truncate(struct lm_seq *seq, int64_t n)
{
    seq->n_tokens = n < 0 ? 0 : n;
    if (seq_of(seq)->n_mtp > seq->n_tokens)
        seq_of(seq)->n_mtp = seq->n_tokens;
}

/* ---- one pass: at most TEACHER_PASS_ROWS rows through all layers */

/* Where a walk over the items stands. */
struct cursor {
    int64_t i_item, at; /* the next token: items[i_item].tokens[at] */
};

/* The rows of a pass, in the arena. */
struct piece {
    struct pass pass;
    struct pass_part *parts;
    int32_t *tokens, *pos;
    int32_t *wanted; /* rows whose logits are asked for */
    int64_t n_wanted;
};

static err_code piece_take(struct teacher *m, struct piece *pc, int64_t n_rows, int64_t n_items,
                           struct err *e)
{
    int64_t n_parts = n_items < n_rows ? n_items : n_rows;
    uint64_t n = (uint64_t)n_rows;
    *pc = (struct piece){0};
    pc->parts = arena_take(&m->arena, (uint64_t)n_parts, sizeof *pc->parts, e);
    pc->tokens = arena_take(&m->arena, n, sizeof *pc->tokens, e);
    pc->pos = arena_take(&m->arena, n, sizeof *pc->pos, e);
    pc->wanted = arena_take(&m->arena, n, sizeof *pc->wanted, e);
    struct attn_span *spans = arena_take(&m->arena, n, sizeof *spans, e);
    if (!pc->parts || !pc->tokens || !pc->pos || !pc->wanted || !spans)
        return ERR_NOMEM;
    pc->pass = (struct pass){.dev = m->dev, .cfg = &m->cfg, .arena = &m->arena, .rope = &m->rope};
    pc->pass.form = m->form;
    pc->pass.parts = pc->parts;
    pc->pass.pos = pc->pos;
    pc->pass.spans = spans;
    return ERR_OK;
}

/* Adds n tokens of a sequence at positions start, start + 1, ... */
static err_code piece_add(struct teacher *m, struct piece *pc, struct lm_seq *seq, int64_t start,
                          const int32_t *tokens, int64_t n, int64_t i_first, int64_t i_last,
                          struct err *e)
{
    struct latent_cache *caches = seq_of(seq)->caches;
    err_code rc = ERR_OK;
    for (int64_t i = i_first; i < i_last && !rc; i++)
        rc = latent_reserve(&caches[i], m->dev, latent_width(m), start + n, seq->max_tokens, start,
                            e);
    if (rc)
        return rc;
    struct pass *p = &pc->pass;
    for (int64_t t = 0; t < n; t++) {
        pc->tokens[p->n_rows + t] = tokens[t];
        pc->pos[p->n_rows + t] = (int32_t)(start + t);
    }
    pc->parts[p->n_parts++] =
        (struct pass_part){.caches = caches, .start = start, .first_row = p->n_rows, .n_rows = n};
    p->n_rows += n;
    return ERR_OK;
}

/* Fills a piece from the cursor on. */
static err_code piece_fill(struct teacher *m, struct piece *pc, const struct lm_item *items,
                           int64_t n_items, struct cursor *cur, int64_t max_rows, struct err *e)
{
    err_code rc = piece_take(m, pc, max_rows, n_items, e);
    while (!rc && cur->i_item < n_items && pc->pass.n_rows < max_rows) {
        const struct lm_item *it = &items[cur->i_item];
        int64_t n = it->n_tokens - cur->at, first = pc->pass.n_rows;
        if (n > max_rows - first)
            n = max_rows - first;
        rc = piece_add(m, pc, it->seq, it->seq->n_tokens + cur->at, it->tokens + cur->at, n, 0,
                       m->cfg.n_layers, e);
        cur->at += n;
        bool ended = cur->at == it->n_tokens;
        for (int64_t t = 0; t < n; t++)
            if (it->logits == LM_ALL || (it->logits == LM_LAST && ended && t == n - 1))
                pc->wanted[pc->n_wanted++] = (int32_t)(first + t);
        if (ended)
            *cur = (struct cursor){cur->i_item + 1, 0};
    }
    return rc;
}

/* logits[n,V] (host) = head(norm(the wanted rows of x)). */
static err_code write_logits(struct teacher *m, const struct tensor *x, const struct tensor *norm,
                             const struct tensor *head, const int32_t *wanted, int64_t n,
                             float *logits, struct err *e)
{
    struct device *d = m->dev;
    int64_t V = m->cfg.n_vocab, room = n < HEAD_ROWS ? n : HEAD_ROWS;
    struct arena_mark mark = arena_mark(&m->arena);
    struct tensor h, y;
    err_code rc = arena_2d(&m->arena, &h, room, m->cfg.n_hidden, e);
    if (!rc)
        rc = arena_2d(&m->arena, &y, room, V, e);
    for (int64_t i = 0; i < n && !rc; i += room) {
        int64_t rows = n - i < room ? n - i : room;
        struct tensor hi = tensor_rows_view(&h, 0, rows), yi = tensor_rows_view(&y, 0, rows);
        d->gather_rows(d, &hi, x, wanted + i, rows);
        d->rmsnorm(d, &hi, NULL, &hi, norm, m->cfg.norm_eps);
        d->matmul(d, &yi, &hi, head, NULL, MATMUL_ROWWISE);
        d->download(d, logits + i * V, y.data, (size_t)(rows * V) * sizeof(float));
    }
    arena_release(&m->arena, mark);
    return rc;
}

static err_code run_piece(struct teacher *m, const struct piece *pc, float *logits, float *hidden,
                          struct err *e)
{
    struct device *d = m->dev;
    struct tensor x;
    err_code rc = arena_2d(&m->arena, &x, pc->pass.n_rows, m->cfg.n_hidden, e);
    if (rc)
        return rc;
    d->embed(d, &x, &m->embed, pc->tokens);
    for (int64_t i = 0; i < m->cfg.n_layers && !rc; i++)
        rc = layer_forward(&m->layers[i], &pc->pass, i, &x, e);
    if (rc)
        return rc;
    if (hidden)
        d->download(d, hidden, x.data, (size_t)tensor_n(&x) * sizeof(float));
    return pc->n_wanted
               ? write_logits(m, &x, &m->norm, &m->head, pc->wanted, pc->n_wanted, logits, e)
               : ERR_OK;
}

static err_code forward(struct teacher *m, const struct lm_item *items, int64_t n_items,
                        float *logits, float *hidden, struct err *e)
{
    struct cursor cur = {0};
    int64_t total = 0;
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n_items; i++)
        total += items[i].n_tokens;
    int64_t max_rows = total < TEACHER_PASS_ROWS ? total : TEACHER_PASS_ROWS;
    while (!rc && cur.i_item < n_items) {
        struct arena_mark mark = arena_mark(&m->arena);
        struct piece pc;
        rc = piece_fill(m, &pc, items, n_items, &cur, max_rows, e);
        if (!rc)
            rc = run_piece(m, &pc, logits, hidden, e);
        if (!rc && logits)
            logits += pc.n_wanted * m->cfg.n_vocab;
        if (!rc && hidden)
            hidden += pc.pass.n_rows * m->cfg.n_hidden;
        arena_release(&m->arena, mark);
    }
    for (int64_t i = 0; i < n_items && !rc; i++)
        items[i].seq->n_tokens += items[i].n_tokens;
    return rc;
}

static err_code op_forward(struct lm *lm, const struct lm_item *items, int64_t n_items,
                           float *logits, struct err *e)
{
    return forward(teacher_of(lm), items, n_items, logits, NULL, e);
}

err_code teacher_forward_hidden(struct lm *lm, const struct lm_item *items, int64_t n_items,
                                float *logits, float *hidden, struct err *e)
{
    return forward(teacher_of(lm), items, n_items, logits, hidden, e);
}

/* ---- MTP */

bool teacher_has_mtp(const struct lm *lm)
{
    return teacher_of(lm)->has_mtp;
}

static err_code mtp_check(const struct teacher *m, const struct mtp_item *it, struct err *e)
{
    if (!m->has_mtp)
        return err_set(e, ERR_USAGE, "%s has no multi-token-prediction module", weights_path(m->w));
    if (it->seq->lm != &m->lm || it->n < 1 || it->n > it->seq->n_tokens - seq_of(it->seq)->n_mtp)
        return err_set(e, ERR_USAGE,
                       "%lld states for a sequence with %lld tokens, %lld of them "
                       "seen by the multi-token-prediction module",
                       (long long)it->n, (long long)it->seq->n_tokens,
                       (long long)seq_of(it->seq)->n_mtp);
    for (int64_t t = 0; t < it->n; t++)
        if (it->next[t] < 0 || it->next[t] >= m->cfg.n_vocab)
            return err_set(e, ERR_USAGE, "token %d is outside the model's vocabulary of %lld",
                           it->next[t], (long long)m->cfg.n_vocab);
    return ERR_OK;
}

/* One item in steps of at most TEACHER_PASS_ROWS. */
static err_code mtp_step(struct teacher *m, const struct mtp_item *it, int64_t at, int64_t n,
                         float *logits, struct err *e)
{
    struct teacher_seq *s = seq_of(it->seq);
    int64_t L = m->cfg.n_layers, C = m->cfg.n_hidden;
    struct tensor hidden, x;
    struct piece pc;
    err_code rc = piece_take(m, &pc, n, 1, e);
    if (!rc)
        rc = piece_add(m, &pc, it->seq, s->n_mtp + at, it->next + at, n, L, L + 1, e);
    if (!rc)
        rc = arena_2d(&m->arena, &hidden, n, C, e);
    if (!rc)
        rc = arena_2d(&m->arena, &x, n, C, e);
    if (rc)
        return rc;
    m->dev->upload(m->dev, hidden.data, it->hidden + at * C, (size_t)(n * C) * sizeof(float));
    if ((rc = mtp_forward(&m->mtp, &pc.pass, &x, &hidden, pc.tokens, e)))
        return rc;
    for (int64_t t = 0; t < n; t++)
        pc.wanted[t] = (int32_t)t;
    return write_logits(m, &x, &m->mtp.norm, &m->mtp.head, pc.wanted, n, logits, e);
}

err_code teacher_mtp_forward(struct lm *lm, const struct mtp_item *items, int64_t n_items,
                             float *logits, struct err *e)
{
    struct teacher *m = teacher_of(lm);
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n_items && !rc; i++)
        rc = mtp_check(m, &items[i], e);
    for (int64_t i = 0; i < n_items && !rc; i++) {
        for (int64_t at = 0; at < items[i].n && !rc; at += TEACHER_PASS_ROWS) {
            int64_t n = items[i].n - at;
            if (n > TEACHER_PASS_ROWS)
                n = TEACHER_PASS_ROWS;
            struct arena_mark mark = arena_mark(&m->arena);
            rc = mtp_step(m, &items[i], at, n, logits, e);
            arena_release(&m->arena, mark);
            logits += n * m->cfg.n_vocab;
        }
    }
    for (int64_t i = 0; i < n_items && !rc; i++)
        seq_of(items[i].seq)->n_mtp += items[i].n;
    return rc;
}

/* ---- opening and closing */

static void teacher_close(struct lm *lm)
{
    struct teacher *m = teacher_of(lm);
    if (!m)
        return;
    for (int64_t i = 0; m->layers && i < m->cfg.n_layers; i++)
        layer_dispose(&m->layers[i], m->dev);
    mtp_dispose(&m->mtp, m->dev);
    mem_free(m->layers);
    if (m->inv_freq)
        m->dev->free(m->dev, m->inv_freq);
    arena_dispose(&m->arena);
    weights_close(m->w);
    mem_free(m);
}

static const struct lm_ops teacher_ops = {
    .seq_open = seq_open,
    .seq_close = seq_close,
    .seq_fork = seq_fork,
    .seq_truncate = seq_truncate,
    .forward = op_forward,
    .close = teacher_close,
};

static err_code load_rope(struct teacher *m, struct err *e)
{
    int64_t n = m->cfg.d_rope;
    float host[TEACHER_MAX_HEAD_WIDTH / 2];
    m->inv_freq = m->dev->alloc(m->dev, (size_t)(n / 2) * sizeof(float), e);
    if (!m->inv_freq)
        return ERR_NOMEM;
    yarn_inv_freq(&m->cfg.yarn, n, host);
    m->dev->upload(m->dev, m->inv_freq, host, (size_t)(n / 2) * sizeof(float));
    m->rope = (struct rope){.n_dims = n, .inv_freq = m->inv_freq};
    m->rope.mode = m->cfg.rope_interleaved ? ROPE_INTERLEAVED : ROPE_HALF;
    m->rope.scale = (float)yarn_rope_scale(&m->cfg.yarn);
    return ERR_OK;
}

static err_code load_layers(struct teacher *m, struct loader *l, struct err *e)
{
    const struct teacher_config *c = &m->cfg;
    err_code rc =
        load_tensor(l, &m->embed, c->n_vocab, c->n_hidden, e, "model.embed_tokens.weight");
    if (!rc)
        rc = load_tensor(l, &m->norm, 0, c->n_hidden, e, "model.norm.weight");
    if (rc)
        return rc;
    m->head = m->embed;
    if (!c->tied && (rc = load_tensor(l, &m->head, c->n_vocab, c->n_hidden, e, "lm_head.weight")))
        return rc;
    m->layers = mem_new((size_t)c->n_layers, sizeof *m->layers, e);
    if (!m->layers)
        return ERR_NOMEM;
    for (int64_t i = 0; i < c->n_layers && !rc; i++)
        rc = layer_load(&m->layers[i], l, m->dev, c, i, i < c->n_dense, e);
    return rc;
}

static err_code load_all(struct teacher *m, const char *dir, struct err *e)
{
    struct loader l = {0};
    err_code rc = weights_open(dir, &m->w, e);
    if (rc)
        return rc;
    if (!weights_config(m->w))
        return err_set(e, ERR_UNSUPPORTED, "%s: a teacher is an HF directory with config.json",
                       dir);
    l.w = m->w;
    if ((rc = teacher_config_read(&m->cfg, weights_config(m->w), e)) || (rc = load_rope(m, e)) ||
        (rc = load_layers(m, &l, e)))
        return rc;
    m->lm.arch = m->cfg.arch;
    m->lm.n_vocab = m->cfg.n_vocab;
    m->lm.max_context = m->cfg.max_context;
    m->lm.n_params = l.n_params;
    m->lm.n_bytes = l.n_bytes;
    m->lm.cache_bytes = m->cfg.n_layers * latent_width(m) * (int64_t)sizeof(float);
    m->has_mtp = mtp_present(m->w, &m->cfg);
    return m->has_mtp ? mtp_load(&m->mtp, &l, m->dev, &m->cfg, &m->embed, &m->head, e) : ERR_OK;
}

err_code teacher_open(const char *dir, struct device *d, struct lm **out, struct err *e)
{
    *out = NULL;
    struct teacher *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    m->lm.ops = &teacher_ops;
    m->dev = m->arena.dev = d;
    err_code rc = load_all(m, dir, e);
    if (rc) {
        teacher_close(&m->lm);
        return rc;
    }
    *out = &m->lm;
    return ERR_OK;
}

void teacher_set_form(struct lm *lm, enum mla_form form)
{
    teacher_of(lm)->form = form;
}

const struct teacher_config *teacher_config_of(const struct lm *lm)
{
    return &teacher_of(lm)->cfg;
}
