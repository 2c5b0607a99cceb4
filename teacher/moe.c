#include "teacher/moe.h"

#include <stdio.h>
#include <string.h>

err_code mlp_load(struct mlp *m, struct loader *l, int64_t n_hidden, int64_t n_ff,
                  const char *prefix, struct err *e)
{
    err_code rc = load_tensor(l, &m->gate, n_ff, n_hidden, e, prefix, "gate_proj.weight");
    if (!rc)
        rc = load_tensor(l, &m->up, n_ff, n_hidden, e, prefix, "up_proj.weight");
    if (!rc)
        rc = load_tensor(l, &m->down, n_hidden, n_ff, e, prefix, "down_proj.weight");
    return rc;
}

static err_code load_bias(struct moe *m, struct loader *l, struct device *d, int64_t n_experts,
                          const char *prefix, struct err *e)
{
    struct tensor t;
    err_code rc = load_tensor(l, &t, 0, n_experts, e, prefix, "gate.e_score_correction_bias");
    if (rc)
        return rc;
    m->bias = d->alloc(d, (size_t)n_experts * sizeof(float), e);
    if (!m->bias)
        return ERR_NOMEM;
    struct tensor to = tensor_2d(DT_F32, m->bias, 1, n_experts);
    struct tensor from = tensor_2d(t.dtype, t.data, 1, n_experts);
    d->copy(d, &to, &from);
    return ERR_OK;
}

err_code moe_load(struct moe *m, struct loader *l, struct device *d, const struct teacher_config *c,
                  const char *prefix, struct err *e)
{
    char name[128];
    err_code rc;
    *m = (struct moe){0};
    m->experts = mem_new((size_t)c->n_experts, sizeof *m->experts, e);
    if (!m->experts)
        return ERR_NOMEM;
    if ((rc = load_tensor(l, &m->router, c->n_experts, c->n_hidden, e, prefix, "gate.weight")))
        return rc;
    if (c->noaux && (rc = load_bias(m, l, d, c->n_experts, prefix, e)))
        return rc;
    for (int64_t i = 0; i < c->n_experts; i++) {
        snprintf(name, sizeof name, "%s.experts.%lld", prefix, (long long)i);
        if ((rc = mlp_load(&m->experts[i], l, c->n_hidden, c->n_expert_ff, name, e)))
            return rc;
    }
    if (!c->n_shared)
        return ERR_OK;
    snprintf(name, sizeof name, "%s.shared_experts", prefix);
    return mlp_load(&m->shared, l, c->n_hidden, c->n_shared * c->n_expert_ff, name, e);
}

void moe_dispose(struct moe *m, struct device *d)
{
    if (m->bias)
        d->free(d, m->bias);
    mem_free(m->experts);
    *m = (struct moe){0};
}

err_code mlp_forward(const struct mlp *m, const struct pass *p, struct tensor *x,
                     const struct tensor *h, struct err *e)
{
    struct device *d = p->dev;
    struct arena_mark mark = arena_mark(p->arena);
    struct tensor gate, up;
    int64_t n_ff = tensor_rows(&m->gate);
    err_code rc = arena_2d(p->arena, &gate, p->n_rows, n_ff, e);
    if (!rc)
        rc = arena_2d(p->arena, &up, p->n_rows, n_ff, e);
    if (!rc) {
        d->matmul(d, &gate, h, &m->gate, NULL, MATMUL_ROWWISE);
        d->matmul(d, &up, h, &m->up, NULL, MATMUL_ROWWISE);
        d->swiglu(d, &gate, &gate, &up);
        d->matmul(d, x, &gate, &m->down, NULL, MATMUL_ADD | MATMUL_ROWWISE);
    }
    arena_release(p->arena, mark);
    return rc;
}

/* Which rows go to which experts: the (row, choice) pairs sorted by expert, then by row. */
struct plan {
    int64_t n;      /* T * top_k */
    int64_t *first; /* [E + 1]: an expert's pairs are first[i] .. first[i+1] */
    int32_t *rows;  /* [n] */
    float *weights; /* [n] */
};

static err_code choose(const struct moe *m, const struct pass *p, int32_t *ids, float *weights,
                       const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    struct tensor scores;
    err_code rc = arena_2d(p->arena, &scores, p->n_rows, c->n_experts, e);
    if (rc)
        return rc;
    struct route r = {.n_experts = c->n_experts, .top_k = c->top_k, .n_group = c->n_group};
    r.topk_group = c->topk_group;
    r.sigmoid = c->sigmoid;
    r.group_top2 = c->noaux;
    r.norm_topk = c->norm_topk;
    r.scale = c->routed_scale;
    r.bias = m->bias;
    d->matmul(d, &scores, h, &m->router, NULL, MATMUL_ROWWISE);
    d->moe_route(d, ids, weights, &scores, &r);
    return ERR_OK;
}

static void sort_by_expert(struct plan *pl, const int32_t *ids, const float *weights,
                           int64_t n_experts, int64_t top_k, int32_t *rows, float *sorted)
{
    memset(pl->first, 0, (size_t)(n_experts + 1) * sizeof *pl->first);
    for (int64_t i = 0; i < pl->n; i++)
        pl->first[ids[i] + 1]++;
    for (int64_t i = 0; i < n_experts; i++)
        pl->first[i + 1] += pl->first[i];
    for (int64_t i = 0; i < pl->n; i++) { /* moves first[] one expert on ... */
        int64_t at = pl->first[ids[i]]++;
        rows[at] = (int32_t)(i / top_k);
        sorted[at] = weights[i];
    }
    memmove(pl->first + 1, pl->first, (size_t)n_experts * sizeof *pl->first); /* ... and back */
    pl->first[0] = 0;
}

static err_code make_plan(struct plan *pl, const struct moe *m, const struct pass *p,
                          const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    pl->n = p->n_rows * c->top_k;
    size_t n = (size_t)pl->n;
    int32_t *ids = arena_take(p->arena, n, 4, e);
    float *weights = arena_take(p->arena, n, 4, e);
    pl->first = arena_take(p->arena, (uint64_t)c->n_experts + 1, sizeof *pl->first, e);
    pl->rows = arena_take(p->arena, n, 4, e);
    pl->weights = arena_take(p->arena, n, 4, e);
    if (!ids || !weights || !pl->first || !pl->rows || !pl->weights)
        return ERR_NOMEM;
    err_code rc = choose(m, p, ids, weights, h, e);
    if (!rc)
        sort_by_expert(pl, ids, weights, c->n_experts, c->top_k, pl->rows, pl->weights);
    return rc;
}

static err_code run_experts(const struct moe *m, const struct pass *p, const struct plan *pl,
                            struct tensor *x, const struct tensor *h, struct err *e)
{
    const struct teacher_config *c = p->cfg;
    struct device *d = p->dev;
    struct tensor in, gate, up, y;
    int64_t most = 0;
    for (int64_t i = 0; i < c->n_experts; i++)
        most = pl->first[i + 1] - pl->first[i] > most ? pl->first[i + 1] - pl->first[i] : most;
    err_code rc = arena_2d(p->arena, &in, most, c->n_hidden, e);
    if (rc || (rc = arena_2d(p->arena, &gate, most, c->n_expert_ff, e)) ||
        (rc = arena_2d(p->arena, &up, most, c->n_expert_ff, e)) ||
        (rc = arena_2d(p->arena, &y, most, c->n_hidden, e)))
        return rc;
    for (int64_t i = 0; i < c->n_experts; i++) {
        int64_t at = pl->first[i], n = pl->first[i + 1] - at;
        if (!n)
            continue;
        struct tensor xi = tensor_rows_view(&in, 0, n), gi = tensor_rows_view(&gate, 0, n);
        struct tensor ui = tensor_rows_view(&up, 0, n), yi = tensor_rows_view(&y, 0, n);
        d->gather_rows(d, &xi, h, pl->rows + at, n);
        d->matmul(d, &gi, &xi, &m->experts[i].gate, NULL, MATMUL_ROWWISE);
        d->matmul(d, &ui, &xi, &m->experts[i].up, NULL, MATMUL_ROWWISE);
        d->swiglu(d, &gi, &gi, &ui);
        d->matmul(d, &yi, &gi, &m->experts[i].down, NULL, MATMUL_ROWWISE);
        d->scatter_add_rows(d, x, &yi, pl->rows + at, pl->weights + at, n);
    }
    return ERR_OK;
}

err_code moe_forward(const struct moe *m, const struct pass *p, struct tensor *x,
                     const struct tensor *h, struct err *e)
{
    struct arena_mark mark = arena_mark(p->arena);
    struct plan pl;
    err_code rc = make_plan(&pl, m, p, h, e);
    if (!rc)
        rc = run_experts(m, p, &pl, x, h, e);
    arena_release(p->arena, mark);
    if (!rc && m->shared.gate.data)
        rc = mlp_forward(&m->shared, p, x, h, e);
    return rc;
}
