#include "teacher/mtp.h"

#include <stdio.h>

static void tensor_name(char *out, size_t size, const struct teacher_config *c, const char *tail)
{
    snprintf(out, size, "model.layers.%lld.%s.weight", (long long)c->n_layers, tail);
}

static bool has(const struct weights *w, const struct teacher_config *c, const char *tail)
{
    char name[96];
    tensor_name(name, sizeof name, c, tail);
    return weights_has(w, name);
}

bool mtp_present(const struct weights *w, const struct teacher_config *c)
{
    return c->n_mtp > 0 && has(w, c, "eh_proj");
}

static err_code take(struct loader *l, struct tensor *t, const struct teacher_config *c,
                     int64_t rows, int64_t cols, const char *tail, struct err *e)
{
    char name[96];
    tensor_name(name, sizeof name, c, tail);
    return load_tensor(l, t, rows, cols, e, NULL, name);
}

err_code mtp_load(struct mtp *m, struct loader *l, struct device *d, const struct teacher_config *c,
                  const struct tensor *embed, const struct tensor *head, struct err *e)
{
    int64_t C = c->n_hidden, V = c->n_vocab;
    err_code rc;
    *m = (struct mtp){.embed = *embed, .head = *head};
    if ((rc = take(l, &m->enorm, c, 0, C, "enorm", e)) ||
        (rc = take(l, &m->hnorm, c, 0, C, "hnorm", e)) ||
        (rc = take(l, &m->eh_proj, c, C, 2 * C, "eh_proj", e)) ||
        (rc = take(l, &m->norm, c, 0, C, "shared_head.norm", e)))
        return rc;
    if (has(l->w, c, "embed_tokens") && (rc = take(l, &m->embed, c, V, C, "embed_tokens", e)))
        return rc;
    if (has(l->w, c, "shared_head.head") &&
        (rc = take(l, &m->head, c, V, C, "shared_head.head", e)))
        return rc;
    return layer_load(&m->layer, l, d, c, c->n_layers, c->n_layers < c->n_dense || !c->n_experts,
                      e);
}

void mtp_dispose(struct mtp *m, struct device *d)
{
    layer_dispose(&m->layer, d);
}

err_code mtp_forward(const struct mtp *m, const struct pass *p, struct tensor *x,
                     const struct tensor *hidden, const int32_t *next, struct err *e)
{
    struct device *d = p->dev;
    int64_t C = p->cfg->n_hidden;
    struct arena_mark mark = arena_mark(p->arena);
    struct tensor both;
    err_code rc = arena_2d(p->arena, &both, p->n_rows, 2 * C, e);
    if (!rc) {
        struct tensor left = tensor_strided(both.data, p->n_rows, C, 2 * C);
        struct tensor right = tensor_strided((float *)both.data + C, p->n_rows, C, 2 * C);
        d->embed(d, &left, &m->embed, next);
        d->rmsnorm(d, &left, NULL, &left, &m->enorm, p->cfg->norm_eps);
        d->rmsnorm(d, &right, NULL, hidden, &m->hnorm, p->cfg->norm_eps);
        d->matmul(d, x, &both, &m->eh_proj, NULL, MATMUL_ROWWISE);
        rc = layer_forward(&m->layer, p, p->cfg->n_layers, x, e);
    }
    arena_release(p->arena, mark);
    return rc;
}
