/* Activations: how much memory a step needs, where each buffer lies, and the batch on the device.
 */
#include "student/work.h"

#include <string.h>

enum { ALIGN = 16 /* floats */, MIN_HEAD_ROWS = 256 };

/* Hands out pieces of an arena; without a base it only counts. Counts saturate at UINT64_MAX / 8,
 * which no allocation passes. */
struct carver {
    float *base;
    uint64_t n; /* floats handed out */
};

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t n;
    return mem_mul(a, b, &n) && n < UINT64_MAX / 64 ? n : UINT64_MAX / 64;
}

static float *carve(struct carver *c, uint64_t rows, uint64_t cols)
{
    uint64_t n = (times(rows, cols) + ALIGN - 1) / ALIGN * ALIGN;
    float *p = c->base ? c->base + c->n : NULL;
    c->n = c->n + n < UINT64_MAX / 8 ? c->n + n : UINT64_MAX / 8;
    return p;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Places all buffers of w (max_tokens, n_recompute and head_rows are set) and gives the floats of
 * what is kept; c->n counts everything. */
static uint64_t place(struct student_work *w, const struct student_config *c, struct carver *a)
{
    uint64_t T = (uint64_t)w->max_tokens, L = (uint64_t)c->n_layers, C = (uint64_t)c->hidden,
             H = (uint64_t)c->n_heads, G = (uint64_t)c->n_kv_heads, D = (uint64_t)c->head_dim,
             F = (uint64_t)c->ffn, R = (uint64_t)w->head_rows, V = (uint64_t)c->n_vocab;
    uint64_t n_gateup = L - (uint64_t)w->n_recompute;
    w->x = carve(a, times(L + 1, T), C);
    w->mid = carve(a, times(L, T), C);
    w->qkv = carve(a, times(L, T), (H + 2 * G) * D);
    w->raw = carve(a, c->qk_norm ? times(L, T) : 0, (H + G) * D);
    w->attn = carve(a, times(L, T), H * D);
    w->lse = carve(a, times(L, T), H);
    w->rstd = carve(a, times(L, T), 2 + H + G);
    w->gateup = carve(a, times(n_gateup, T), 2 * F);
    uint64_t kept = a->n;
    if (w->n_recompute)
        w->gateup_shared = carve(a, T, 2 * F);
    w->h = carve(a, T, C);
    w->dh = carve(a, T, C);
    w->dx = carve(a, T, C);
    w->head_x = carve(a, R, C);
    w->head_dx = carve(a, R, C);
    w->head_rstd = carve(a, R, 1);
    w->draw = carve(a, c->qk_norm ? T : 0, (H + G) * D);
    /* the logits' turn is over when the layers' begins */
    struct carver logits = *a;
    w->logits = carve(&logits, R, V);
    w->ffn = carve(a, T, F);
    w->dqkv = carve(a, T, (H + 2 * G) * D);
    w->dattn = carve(a, T, H * D);
    a->n = logits.n > a->n ? logits.n : a->n;
    return kept;
}

/* Rows of a chunk of logits: as many as fit the memory that layers share, but enough for an
 * efficient product. */
static int64_t choose_head_rows(const struct student_config *c, int64_t T)
{
    double width =
        (double)c->ffn + (double)(2 * c->n_heads + 2 * c->n_kv_heads) * (double)c->head_dim;
    double fit = (double)T * width / (double)c->n_vocab;
    int64_t rows = fit < MIN_HEAD_ROWS ? MIN_HEAD_ROWS : fit > 1 << 20 ? 1 << 20 : (int64_t)fit;
    return at_most(rows, T);
}

static struct student_work sized(const struct student_config *c, const struct student_options *o)
{
    return (struct student_work){.max_tokens = o->max_tokens,
                                 .n_recompute = at_most(o->n_recompute, c->n_layers),
                                 .head_rows = choose_head_rows(c, o->max_tokens),
                                 .train = o->train};
}

void student_memory_plan(const struct student_config *c, const struct student_options *o,
                         struct student_memory *m)
{
    struct student_work w = sized(c, o);
    struct carver a = {0};
    uint64_t kept = place(&w, c, &a), n = (uint64_t)student_n_params(c);
    m->params = n * sizeof(float);
    m->grads = o->train ? n * sizeof(float) : 0;
    m->kept = kept * sizeof(float);
    m->scratch = (a.n - kept) * sizeof(float);
}

static err_code alloc_work(struct student *s, struct student_work *w, struct err *e)
{
    struct device *d = s->device;
    struct carver a = {0};
    place(w, &s->config, &a);
    w->arena = d->alloc(d, times(a.n, sizeof(float)), e);
    if (!w->arena)
        return err_context(e, "the activations of %lld tokens", (long long)w->max_tokens);
    a = (struct carver){.base = w->arena};
    place(w, &s->config, &a);
    int32_t **lists[] = {&w->tokens, &w->positions, &w->doc_start, &w->targets, &w->rows};
    size_t n = (size_t)w->max_tokens;
    for (int i = 0; i < 5; i++)
        if (!(*lists[i] = d->alloc(d, n * sizeof(int32_t), e)))
            return ERR_NOMEM;
    w->weights = d->alloc(d, n * sizeof(float), e);
    w->host_rows = mem_new(n, 2 * sizeof(int32_t) + sizeof(float), e);
    return w->weights && w->host_rows ? ERR_OK : ERR_NOMEM;
}

err_code student_reserve(struct student *s, const struct student_options *o, struct err *e)
{
    if (o->max_tokens < 1 || o->max_tokens > 1 << 30 || o->n_recompute < 0)
        return err_set(e, ERR_USAGE, "a batch of %lld tokens; it should be from 1 to %d",
                       (long long)o->max_tokens, 1 << 30);
    student_work_close(s);
    s->work = mem_new(1, sizeof *s->work, e);
    if (!s->work)
        return ERR_NOMEM;
    *s->work = sized(&s->config, o);
    err_code rc = alloc_work(s, s->work, e);
    if (!rc && o->train && !s->grads) {
        s->grads = s->device->alloc(s->device, s->n_params * sizeof(float), e);
        if (!s->grads)
            rc = err_context(e, "the gradients");
    }
    return rc;
}

void student_work_close(struct student *s)
{
    struct student_work *w = s->work;
    struct device *d = s->device;
    if (!w)
        return;
    d->free(d, w->arena);
    d->free(d, w->tokens);
    d->free(d, w->positions);
    d->free(d, w->doc_start);
    d->free(d, w->targets);
    d->free(d, w->rows);
    d->free(d, w->weights);
    mem_free(w->host_rows);
    mem_free(w);
    s->work = NULL;
}

static err_code check_batch(const struct student *s, const struct batch *b, struct err *e)
{
    const struct student_config *c = &s->config;
    if (b->n_tokens < 1 || b->n_tokens > s->work->max_tokens)
        return err_set(e, ERR_USAGE, "a batch of %lld tokens; this student has room for 1 to %lld",
                       (long long)b->n_tokens, (long long)s->work->max_tokens);
    for (int64_t t = 0; t < b->n_tokens; t++) {
        if (b->tokens[t] < 0 || b->tokens[t] >= c->n_vocab || b->targets[t] >= c->n_vocab)
            return err_set(e, ERR_USAGE,
                           "token %d or target %d at row %lld is outside the student's vocabulary "
                           "of %lld: is this its tokenizer?",
                           b->tokens[t], b->targets[t], (long long)t, (long long)c->n_vocab);
        if (b->positions[t] < 0 || b->positions[t] >= c->max_positions)
            return err_set(e, ERR_USAGE, "position %d is outside the student's context of %lld",
                           b->positions[t], (long long)c->max_positions);
        if (b->doc_start[t] < 0 || b->doc_start[t] > t)
            return err_set(e, ERR_USAGE, "row %lld says that its document begins at row %d",
                           (long long)t, b->doc_start[t]);
    }
    return ERR_OK;
}

err_code student_take(struct student *s, const struct batch *b, int64_t *n_valid, struct err *e)
{
    struct student_work *w = s->work;
    struct device *d = s->device;
    err_code rc = check_batch(s, b, e);
    if (rc)
        return rc;
    size_t n = (size_t)b->n_tokens * sizeof(int32_t);
    int32_t *rows = w->host_rows, *targets = rows + w->max_tokens;
    float *weights = (float *)(targets + w->max_tokens);
    int64_t v = 0;
    for (int64_t t = 0; t < b->n_tokens; t++) {
        if (b->targets[t] < 0)
            continue;
        rows[v] = (int32_t)t;
        targets[v] = b->targets[t];
        weights[v++] = b->weights[t];
    }
    d->upload(d, w->tokens, b->tokens, n);
    d->upload(d, w->positions, b->positions, n);
    d->upload(d, w->doc_start, b->doc_start, n);
    d->upload(d, w->rows, rows, (size_t)v * sizeof *rows);
    d->upload(d, w->targets, targets, (size_t)v * sizeof *targets);
    d->upload(d, w->weights, weights, (size_t)v * sizeof *weights);
    *n_valid = v;
    return ERR_OK;
}
