#include "teacher/layer.h"

#include <stdio.h>

err_code layer_load(struct layer *y, struct loader *l, struct device *d,
                    const struct teacher_config *c, int64_t i, bool dense, struct err *e)
{
    char prefix[64], name[96];
    snprintf(prefix, sizeof prefix, "model.layers.%lld", (long long)i);
    *y = (struct layer){.dense = dense};
    err_code rc =
        load_tensor(l, &y->attn_norm, 0, c->n_hidden, e, prefix, "input_layernorm.weight");
    if (!rc)
        rc = load_tensor(l, &y->ff_norm, 0, c->n_hidden, e, prefix,
                         "post_attention_layernorm.weight");
    snprintf(name, sizeof name, "%s.self_attn", prefix);
    if (rc || (rc = mla_load(&y->attn, l, c, name, e)))
        return rc;
    snprintf(name, sizeof name, "%s.mlp", prefix);
    if (dense)
        return mlp_load(&y->mlp, l, c->n_hidden, c->n_ff, name, e);
    return moe_load(&y->moe, l, d, c, name, e);
}

void layer_dispose(struct layer *y, struct device *d)
{
    moe_dispose(&y->moe, d);
}

err_code layer_forward(const struct layer *y, const struct pass *p, int64_t i_cache,
                       struct tensor *x, struct err *e)
{
    struct arena_mark mark = arena_mark(p->arena);
    struct tensor h;
    err_code rc = arena_2d(p->arena, &h, p->n_rows, p->cfg->n_hidden, e);
    if (!rc) {
        p->dev->rmsnorm(p->dev, &h, NULL, x, &y->attn_norm, p->cfg->norm_eps);
        rc = mla_forward(&y->attn, p, i_cache, x, &h, e);
    }
    if (!rc) {
        p->dev->rmsnorm(p->dev, &h, NULL, x, &y->ff_norm, p->cfg->norm_eps);
        rc = y->dense ? mlp_forward(&y->mlp, p, x, &h, e) : moe_forward(&y->moe, p, x, &h, e);
    }
    arena_release(p->arena, mark);
    return rc;
}
