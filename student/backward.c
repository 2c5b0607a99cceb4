/* The trainable student's head and backward. */
#include "student/work.h"

/* The gradients of a product y = x . w^T + b: dw, db added; dx (overwritten) when not NULL. */
static void product_grad(struct student *s, struct tensor *dx, const struct tensor *dy,
                         const struct tensor *x, enum student_kind kind, enum student_kind bias,
                         int64_t i)
{
    struct device *d = s->device;
    int64_t rows = tensor_cols(dy);
    struct tensor w = student_joined(s, s->params, kind, i, rows);
    struct tensor dw = student_joined(s, s->grads, kind, i, rows);
    struct tensor db = student_view(s, s->grads, bias, i);
    if (db.data)
        db = student_joined(s, s->grads, bias, i, rows);
    d->matmul_dw(d, &dw, db.data ? &db : NULL, dy, x);
    if (dx)
        d->matmul_dx(d, dx, dy, &w, 0);
}

/* dx += the gradient through the norm `kind` of x, given that of its result. */
static void norm_grad(struct student *s, struct tensor *dx, const struct tensor *dy,
                      const struct tensor *x, enum student_kind kind, int64_t i, const float *rstd)
{
    struct tensor w = student_view(s, s->params, kind, i);
    struct tensor dw = student_view(s, s->grads, kind, i);
    s->device->rmsnorm_grad(s->device, dx, &dw, dy, x, &w, rstd);
}

static void ffn_backward(struct student *s, struct student_acts *a, struct tensor *dx, int64_t i,
                         int64_t T)
{
    struct device *d = s->device;
    struct student_work *w = s->work;
    struct tensor h = work_rows(w->h, T, s->config.hidden);
    struct tensor dh = work_rows(w->dh, T, s->config.hidden);
    struct tensor ffn = work_rows(w->ffn, T, s->config.ffn);
    student_norm2(s, a, &h, i);
    if (i < w->n_recompute)
        student_gateup(s, a, &h, i);
    d->swiglu(d, &ffn, &a->gate, &a->up);
    product_grad(s, NULL, dx, &ffn, STUDENT_DOWN, STUDENT_DOWNB, i);
    struct tensor down = student_view(s, s->params, STUDENT_DOWN, i);
    d->matmul_dx(d, &ffn, dx, &down, 0); /* ffn now holds its own gradient */
    d->swiglu_grad(d, &a->gate, &a->up, &ffn, &a->gate, &a->up);
    product_grad(s, &dh, &a->gateup, &h, STUDENT_GATE, STUDENT_GATEB, i);
    norm_grad(s, dx, &dh, &a->mid, STUDENT_NORM2, i, a->rstd2);
}

/* Qwen3: the gradient of q and k, from after their norms to before them. */
static void norm_heads_grad(struct student *s, struct student_acts *a, struct tensor *dqk,
                            int64_t i, int64_t T)
{
    const struct student_config *c = &s->config;
    struct device *d = s->device;
    int64_t D = c->head_dim, n = c->n_heads + c->n_kv_heads;
    struct tensor draw = work_rows(s->work->draw, T, n * D);
    d->zero(d, draw.data, (size_t)(T * n * D) * sizeof(float));
    for (int64_t h = 0; h < n; h++) {
        struct tensor dx = work_cols(&draw, h * D, D), dy = work_cols(dqk, h * D, D);
        struct tensor x = work_cols(&a->raw, h * D, D);
        norm_grad(s, &dx, &dy, &x, h < c->n_heads ? STUDENT_QN : STUDENT_KN, i,
                  a->rstd_heads + h * s->work->max_tokens);
    }
    d->copy(d, dqk, &draw);
}

static void attention_backward(struct student *s, struct student_acts *a, struct tensor *dx,
                               int64_t i, int64_t T)
{
    const struct student_config *c = &s->config;
    struct device *d = s->device;
    struct student_work *w = s->work;
    int64_t D = c->head_dim, H = c->n_heads, G = c->n_kv_heads, W = (H + 2 * G) * D;
    struct tensor h = work_rows(w->h, T, c->hidden), dh = work_rows(w->dh, T, c->hidden);
    struct tensor dattn = work_rows(w->dattn, T, H * D), dqkv = work_rows(w->dqkv, T, W);
    struct tensor dq = work_cols(&dqkv, 0, H * D), dk = work_cols(&dqkv, H * D, G * D),
                  dv = work_cols(&dqkv, (H + G) * D, G * D);
    struct attn_dims dims = student_attn_dims(c);
    product_grad(s, &dattn, dx, &a->attn, STUDENT_O, STUDENT_OB, i);
    d->zero(d, dqkv.data, (size_t)(T * W) * sizeof(float));
    d->attention_grad(d, &dq, &dk, &dv, &dattn, &a->q, &a->k, &a->v, &a->attn, a->lse, w->doc_start,
                      &dims);
    d->rope(d, &dq, w->positions, H, D, 0, &s->rope, true);
    d->rope(d, &dk, w->positions, G, D, 0, &s->rope, true);
    if (c->qk_norm) {
        struct tensor dqk = work_cols(&dqkv, 0, (H + G) * D);
        norm_heads_grad(s, a, &dqk, i, T);
    }
    struct tensor norm = student_view(s, s->params, STUDENT_NORM1, i);
    d->rmsnorm(d, &h, a->rstd1, &a->x, &norm, c->norm_eps);
    product_grad(s, &dh, &dqkv, &h, STUDENT_Q, STUDENT_QB, i);
    norm_grad(s, dx, &dh, &a->x, STUDENT_NORM1, i, a->rstd1);
}

static enum student_kind head_kind(const struct student *s)
{
    return s->config.tied ? STUDENT_EMBED : STUDENT_HEAD;
}

/* The final norm and the logits of rows[0 .. n-1]; h holds the normed rows. */
static struct tensor head_forward(struct student *s, const int32_t *rows, int64_t n, int64_t T,
                                  struct tensor *h)
{
    const struct student_config *c = &s->config;
    struct student_work *w = s->work;
    struct device *d = s->device;
    struct tensor last = work_rows(w->x + c->n_layers * w->max_tokens * c->hidden, T, c->hidden);
    struct tensor x = work_rows(w->head_x, n, c->hidden);
    struct tensor norm = student_view(s, s->params, STUDENT_NORM, -1);
    struct tensor table = student_view(s, s->params, head_kind(s), -1);
    struct tensor logits = work_rows(w->logits, n, c->n_vocab);
    *h = work_rows(w->h, n, c->hidden);
    d->gather_rows(d, &x, &last, rows, n);
    d->rmsnorm(d, h, w->head_rstd, &x, &norm, c->norm_eps);
    d->matmul(d, &logits, h, &table, NULL, 0);
    return logits;
}

/* Loss over the rows with targets, a chunk of logits at a time; with grad also the gradient of the
 * head and the final norm, and that of the residual stream into dx (which is zero before). */
static void head(struct student *s, int64_t T, int64_t n_valid, bool grad, float grad_scale,
                 double *loss_sum)
{
    const struct student_config *c = &s->config;
    struct student_work *w = s->work;
    struct device *d = s->device;
    struct tensor dx = work_rows(w->dx, T, c->hidden);
    for (int64_t r = 0; r < n_valid; r += w->head_rows) {
        int64_t n = n_valid - r < w->head_rows ? n_valid - r : w->head_rows;
        struct tensor h, logits = head_forward(s, w->rows + r, n, T, &h);
        d->cross_entropy(d, loss_sum, &logits, w->targets + r, w->weights + r, grad, grad_scale);
        if (!grad)
            continue;
        struct tensor dh = work_rows(w->dh, n, c->hidden);
        struct tensor x = work_rows(w->head_x, n, c->hidden);
        struct tensor part = work_rows(w->head_dx, n, c->hidden);
        product_grad(s, &dh, &logits, &h, head_kind(s), STUDENT_N_KINDS, -1);
        d->zero(d, part.data, (size_t)(n * c->hidden) * sizeof(float));
        norm_grad(s, &part, &dh, &x, STUDENT_NORM, -1, w->head_rstd);
        d->scatter_add_rows(d, &dx, &part, w->rows + r, NULL, n);
    }
}

void student_zero_grads(struct student *s)
{
    s->device->zero(s->device, s->grads, s->n_params * sizeof(float));
}

err_code student_backward(struct student *s, const struct batch *b, float grad_scale,
                          double *loss_sum, struct err *e)
{
    int64_t n_valid = 0, T = b->n_tokens;
    err_code rc = student_take(s, b, &n_valid, e);
    if (rc || !n_valid)
        return rc;
    struct tensor dx = work_rows(s->work->dx, T, s->config.hidden);
    student_forward(s, T);
    s->device->zero(s->device, dx.data, (size_t)(T * s->config.hidden) * sizeof(float));
    head(s, T, n_valid, true, grad_scale, loss_sum);
    for (int64_t i = s->config.n_layers - 1; i >= 0; i--) {
        struct student_acts a = student_acts(s, i, T);
        ffn_backward(s, &a, &dx, i, T);
        attention_backward(s, &a, &dx, i, T);
    }
    struct tensor dtable = student_view(s, s->grads, STUDENT_EMBED, -1);
    s->device->embed_grad(s->device, &dtable, &dx, s->work->tokens);
    return ERR_OK;
}

err_code student_loss(struct student *s, const struct batch *b, double *loss_sum, struct err *e)
{
    int64_t n_valid = 0;
    err_code rc = student_take(s, b, &n_valid, e);
    if (rc || !n_valid)
        return rc;
    student_forward(s, b->n_tokens);
    head(s, b->n_tokens, n_valid, false, 0, loss_sum);
    return ERR_OK;
}

err_code student_logits(struct student *s, const struct batch *b, float *logits, struct err *e)
{
    struct student_work *w = s->work;
    struct device *d = s->device;
    int64_t n_valid, T = b->n_tokens, V = s->config.n_vocab;
    err_code rc = student_take(s, b, &n_valid, e);
    if (rc)
        return rc;
    int32_t *rows = w->host_rows;
    for (int64_t t = 0; t < T; t++)
        rows[t] = (int32_t)t;
    d->upload(d, w->rows, rows, (size_t)T * sizeof *rows);
    student_forward(s, T);
    for (int64_t r = 0; r < T; r += w->head_rows) {
        int64_t n = T - r < w->head_rows ? T - r : w->head_rows;
        struct tensor h, part = head_forward(s, w->rows + r, n, T, &h);
        d->download(d, logits + r * V, part.data, (size_t)(n * V) * sizeof(float));
    }
    return ERR_OK;
}
