/* The forward pass: rows in pieces through the layers, and many sequences over the workers. */
#include "core/format/weights.h"
#include "teacher/model_parts.h"

enum { HEAD_ROWS = 64 }; /* rows of logits computed at a time: bounds their scratch */

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

static err_code piece_take(const struct teacher *m, struct worker *k, struct piece *pc,
                           int64_t n_rows, int64_t n_items, struct err *e)
{
    int64_t n_parts = n_items < n_rows ? n_items : n_rows;
    uint64_t n = (uint64_t)n_rows;
    *pc = (struct piece){0};
    pc->parts = arena_take(&k->arena, (uint64_t)n_parts, sizeof *pc->parts, e);
    pc->tokens = arena_take(&k->arena, n, sizeof *pc->tokens, e);
    pc->pos = arena_take(&k->arena, n, sizeof *pc->pos, e);
    pc->wanted = arena_take(&k->arena, n, sizeof *pc->wanted, e);
    struct attn_span *spans = arena_take(&k->arena, n, sizeof *spans, e);
    if (!pc->parts || !pc->tokens || !pc->pos || !pc->wanted || !spans)
        return ERR_NOMEM;
    pc->pass = (struct pass){.dev = k->dev, .cfg = &m->cfg, .arena = &k->arena, .rope = &m->rope};
    pc->pass.form = m->form;
    pc->pass.parts = pc->parts;
    pc->pass.pos = pc->pos;
    pc->pass.spans = spans;
    return ERR_OK;
}

/* Adds n tokens of a sequence at positions start, start + 1, ... */
static err_code piece_add(const struct teacher *m, struct worker *k, struct piece *pc,
                          struct lm_seq *seq, int64_t start, const int32_t *tokens, int64_t n,
                          int64_t i_first, int64_t i_last, struct err *e)
{
    struct latent_cache *caches = seq_of(seq)->caches;
    err_code rc = ERR_OK;
    for (int64_t i = i_first; i < i_last && !rc; i++)
        rc = latent_reserve(&caches[i], k->dev, latent_width(m), start + n, seq->max_tokens, start,
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
static err_code piece_fill(const struct teacher *m, struct worker *k, struct piece *pc,
                           const struct lm_item *items, int64_t n_items, struct cursor *cur,
                           int64_t max_rows, struct err *e)
{
    err_code rc = piece_take(m, k, pc, max_rows, n_items, e);
    while (!rc && cur->i_item < n_items && pc->pass.n_rows < max_rows) {
        const struct lm_item *it = &items[cur->i_item];
        int64_t n = it->n_tokens - cur->at, first = pc->pass.n_rows;
        if (n > max_rows - first)
            n = max_rows - first;
        rc = piece_add(m, k, pc, it->seq, it->seq->n_tokens + cur->at, it->tokens + cur->at, n, 0,
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
static err_code write_logits(const struct teacher *m, struct worker *k, const struct tensor *x,
                             const struct tensor *norm, const struct tensor *head,
                             const int32_t *wanted, int64_t n, float *logits, struct err *e)
{
    struct device *d = k->dev;
    int64_t V = m->cfg.n_vocab, room = n < HEAD_ROWS ? n : HEAD_ROWS;
    struct arena_mark mark = arena_mark(&k->arena);
    struct tensor h, y;
    err_code rc = arena_2d(&k->arena, &h, room, m->cfg.n_hidden, e);
    if (!rc)
        rc = arena_2d(&k->arena, &y, room, V, e);
    for (int64_t i = 0; i < n && !rc; i += room) {
        int64_t rows = n - i < room ? n - i : room;
        struct tensor hi = tensor_rows_view(&h, 0, rows), yi = tensor_rows_view(&y, 0, rows);
        d->gather_rows(d, &hi, x, wanted + i, rows);
        d->rmsnorm(d, &hi, NULL, &hi, norm, m->cfg.norm_eps);
        d->matmul(d, &yi, &hi, head, NULL, MATMUL_ROWWISE);
        d->download(d, logits + i * V, y.data, (size_t)(rows * V) * sizeof(float));
    }
    arena_release(&k->arena, mark);
    return rc;
}

static err_code run_piece(const struct teacher *m, struct worker *k, const struct piece *pc,
                          float *logits, float *hidden, struct err *e)
{
    struct device *d = k->dev;
    struct tensor x;
    err_code rc = arena_2d(&k->arena, &x, pc->pass.n_rows, m->cfg.n_hidden, e);
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
               ? write_logits(m, k, &x, &m->norm, &m->head, pc->wanted, pc->n_wanted, logits, e)
               : ERR_OK;
}

/* The items on one worker, in pieces. */
static err_code run_items(const struct teacher *m, struct worker *k, const struct lm_item *items,
                          int64_t n_items, float *logits, float *hidden, struct err *e)
{
    struct cursor cur = {0};
    int64_t total = 0;
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n_items; i++)
        total += items[i].n_tokens;
    int64_t max_rows = total < TEACHER_PASS_ROWS ? total : TEACHER_PASS_ROWS;
    while (!rc && cur.i_item < n_items) {
        struct arena_mark mark = arena_mark(&k->arena);
        struct piece pc;
        rc = piece_fill(m, k, &pc, items, n_items, &cur, max_rows, e);
        if (!rc)
            rc = run_piece(m, k, &pc, logits, hidden, e);
        if (!rc && logits)
            logits += pc.n_wanted * m->cfg.n_vocab;
        if (!rc && hidden)
            hidden += pc.pass.n_rows * m->cfg.n_hidden;
        arena_release(&k->arena, mark);
    }
    return rc;
}

/* ---- many sequences over the workers */

/* A worker's share: items [first, last). */
struct share {
    int64_t first, last;
    float *logits, *hidden;
    struct err err;
    err_code rc;
};

/* Cuts the items into n consecutive shares of about the same number of tokens; returns how many of
 * them have any. */
static int cut(const struct teacher *m, struct share *shares, int n, const struct lm_item *items,
               int64_t n_items, float *logits, float *hidden)
{
    int64_t total = 0, seen = 0, i = 0;
    int n_used = 0;
    for (int64_t j = 0; j < n_items; j++)
        total += items[j].n_tokens;
    for (int k = 0; k < n && i < n_items; k++) {
        struct share *s = &shares[n_used++];
        *s = (struct share){.first = i, .logits = logits, .hidden = hidden};
        do
            seen += items[i++].n_tokens;
        while (i < n_items && (k == n - 1 || (seen + items[i].n_tokens / 2) * n < total * (k + 1)));
        s->last = i;
        if (logits)
            logits += lm_logits_rows(items + s->first, i - s->first) * m->cfg.n_vocab;
        for (int64_t j = s->first; hidden && j < i; j++)
            hidden += items[j].n_tokens * m->cfg.n_hidden;
    }
    return n_used;
}

static void run_share(const struct teacher *m, struct share *s, int k, const struct lm_item *items)
{
    s->rc = run_items(m, &m->workers[1 + k], items + s->first, s->last - s->first, s->logits,
                      s->hidden, &s->err);
}

static err_code run_shares(const struct teacher *m, struct share *shares, int n,
                           const struct lm_item *items, struct err *e)
{
    if (n == 1) { /* no OpenMP region: it would cost a system call */
        run_share(m, &shares[0], 0, items);
    } else {
#pragma omp parallel for schedule(static, 1) num_threads(n)
        for (int k = 0; k < n; k++)
            run_share(m, &shares[k], k, items);
    }
    for (int k = 0; k < n; k++)
        if (shares[k].rc)
            return err_set(e, shares[k].rc, "%s", shares[k].err.msg);
    return ERR_OK;
}

static err_code forward(struct teacher *m, const struct lm_item *items, int64_t n_items,
                        float *logits, float *hidden, struct err *e)
{
    struct share shares[TEACHER_MAX_WORKERS];
    err_code rc;
    if (m->n_workers > 1)
        rc = run_shares(m, shares, cut(m, shares, m->n_workers - 1, items, n_items, logits, hidden),
                        items, e);
    else
        rc = run_items(m, &m->workers[0], items, n_items, logits, hidden, e);
    for (int64_t i = 0; i < n_items && !rc; i++)
        items[i].seq->n_tokens += items[i].n_tokens;
    return rc;
}

err_code teacher_op_forward(struct lm *lm, const struct lm_item *items, int64_t n_items,
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
static err_code mtp_step(const struct teacher *m, struct worker *k, const struct mtp_item *it,
                         int64_t at, int64_t n, float *logits, struct err *e)
{
    struct teacher_seq *s = seq_of(it->seq);
    int64_t L = m->cfg.n_layers, C = m->cfg.n_hidden;
    struct tensor hidden, x;
    struct piece pc;
    err_code rc = piece_take(m, k, &pc, n, 1, e);
    if (!rc)
        rc = piece_add(m, k, &pc, it->seq, s->n_mtp + at, it->next + at, n, L, L + 1, e);
    if (!rc)
        rc = arena_2d(&k->arena, &hidden, n, C, e);
    if (!rc)
        rc = arena_2d(&k->arena, &x, n, C, e);
    if (rc)
        return rc;
    k->dev->upload(k->dev, hidden.data, it->hidden + at * C, (size_t)(n * C) * sizeof(float));
    if ((rc = mtp_forward(&m->mtp, &pc.pass, &x, &hidden, pc.tokens, e)))
        return rc;
    for (int64_t t = 0; t < n; t++)
        pc.wanted[t] = (int32_t)t;
    return write_logits(m, k, &x, &m->mtp.norm, &m->mtp.head, pc.wanted, n, logits, e);
}

err_code teacher_mtp_forward(struct lm *lm, const struct mtp_item *items, int64_t n_items,
                             float *logits, struct err *e)
{
    struct teacher *m = teacher_of(lm);
    struct worker *k = &m->workers[0];
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n_items && !rc; i++)
        rc = mtp_check(m, &items[i], e);
    for (int64_t i = 0; i < n_items && !rc; i++) {
        for (int64_t at = 0; at < items[i].n && !rc; at += TEACHER_PASS_ROWS) {
            int64_t n = items[i].n - at;
            if (n > TEACHER_PASS_ROWS)
                n = TEACHER_PASS_ROWS;
            struct arena_mark mark = arena_mark(&k->arena);
            rc = mtp_step(m, k, &items[i], at, n, logits, e);
            arena_release(&k->arena, mark);
            logits += n * m->cfg.n_vocab;
        }
    }
    for (int64_t i = 0; i < n_items && !rc; i++)
        seq_of(items[i].seq)->n_mtp += items[i].n;
    return rc;
}
