/* layer.h: one transformer layer: x += attention(norm(x)); x += feed_forward(norm(x)). */
#ifndef DECANT_TEACHER_LAYER_H
#define DECANT_TEACHER_LAYER_H

#include "teacher/mla.h"
#include "teacher/moe.h"

struct layer {
    struct tensor attn_norm, ff_norm;
    struct mla attn;
    bool dense;
    struct mlp mlp; /* when dense */
    struct moe moe; /* else */
};

/* Layer i of the file ("model.layers.i"); dense says of which kind. On failure what was taken is
 * freed by layer_dispose all the same. */
err_code layer_load(struct layer *y, struct loader *l, struct device *d,
                    const struct teacher_config *c, int64_t i, bool dense, struct err *e);
void layer_dispose(struct layer *y, struct device *d);
/* x[T,C] in place. i_cache: which of the sequences' caches is this layer's. */
err_code layer_forward(const struct layer *y, const struct pass *p, int64_t i_cache,
                       struct tensor *x, struct err *e);

#endif
