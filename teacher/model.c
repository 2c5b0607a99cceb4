#include "teacher/model.h"

#include "core/format/weights.h"
#include "teacher/model_parts.h"

#include <string.h>

/* Up to this size a model's weights stay in the caches: each thread can read all of them for its
 * own share of a batch. Larger ones are read once, by all threads together. */
#define SHARED_MAX_BYTES (32 << 20)

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
    for (int i = 0; i < m->n_workers; i++) {
        arena_dispose(&m->workers[i].arena);
        if (i)
            device_close(m->workers[i].dev);
    }
    mem_free(m->workers);
    weights_close(m->w);
    mem_free(m);
}

static const struct lm_ops teacher_ops = {
    .seq_open = seq_open,
    .seq_close = seq_close,
    .seq_fork = seq_fork,
    .seq_truncate = seq_truncate,
    .forward = teacher_op_forward,
    .close = teacher_close,
};

static err_code open_workers(struct teacher *m, struct err *e)
{
    int n = m->dev->n_threads;
    bool many = n > 1 && n < TEACHER_MAX_WORKERS && m->lm.n_bytes <= SHARED_MAX_BYTES &&
                !strcmp(m->dev->name, "cpu");
    m->workers = mem_new(many ? (size_t)n + 1 : 1, sizeof *m->workers, e);
    if (!m->workers)
        return ERR_NOMEM;
    m->workers[0] = (struct worker){.dev = m->dev, .arena = {.dev = m->dev}};
    m->n_workers = 1;
    for (int i = 0; many && i < n; i++) {
        struct worker *k = &m->workers[m->n_workers];
        err_code rc = device_open(m->dev->name, 1, &k->dev, e);
        if (rc)
            return rc;
        k->arena.dev = k->dev;
        m->n_workers++;
    }
    return ERR_OK;
}

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
        load_tensor(l, &m->embed, c->n_vocab, c->n_hidden, e, NULL, "model.embed_tokens.weight");
    if (!rc)
        rc = load_tensor(l, &m->norm, 0, c->n_hidden, e, NULL, "model.norm.weight");
    if (rc)
        return rc;
    m->head = m->embed;
    if (!c->tied &&
        (rc = load_tensor(l, &m->head, c->n_vocab, c->n_hidden, e, NULL, "lm_head.weight")))
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
    if ((rc = teacher_config_read(&m->cfg, weights_config(m->w), e)))
        return rc;
    m->has_mtp = mtp_present(m->w, &m->cfg);
    if (m->has_mtp && (rc = teacher_config_read_mtp(&m->cfg, weights_config(m->w), e)))
        return rc;
    if ((rc = load_rope(m, e)) || (rc = load_layers(m, &l, e)))
        return rc;
    m->lm.arch = m->cfg.arch;
    m->lm.n_vocab = m->cfg.n_vocab;
    m->lm.max_context = m->cfg.max_context;
    m->lm.n_params = l.n_params;
    m->lm.n_bytes = l.n_bytes;
    m->lm.cache_bytes = m->cfg.n_layers * latent_width(m) * (int64_t)sizeof(float);
    if (m->has_mtp && (rc = mtp_load(&m->mtp, &l, m->dev, &m->cfg, &m->embed, &m->head, e)))
        return rc;
    return open_workers(m, e);
}

err_code teacher_open(const char *dir, struct device *d, struct lm **out, struct err *e)
{
    *out = NULL;
    struct teacher *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    m->lm.ops = &teacher_ops;
    m->dev = d;
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
