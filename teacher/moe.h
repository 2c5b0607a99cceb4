/* moe.h: the feed-forward part of a layer: one SwiGLU MLP, or routed experts beside a shared one.
 *
 *     mlp(x) = down(silu(gate x) * up x)
 *     moe(x) = sum over the chosen experts i of w_i expert_i(x)  +  shared(x)
 *
 * The rows of a batch are grouped by expert: each expert sees its rows as one matrix. A row's
 * experts are added in ascending order of their number, so that its result does not depend on the
 * other rows. */
#ifndef DECANT_TEACHER_MOE_H
#define DECANT_TEACHER_MOE_H

#include "teacher/load.h"
#include "teacher/pass.h"

struct mlp {
    struct tensor gate, up, down;
};
struct moe {
    struct tensor router; /* [E, C] */
    float *bias;          /* [E] e_score_correction_bias, on the device; NULL: none */
    struct mlp *experts;  /* E */
    struct mlp shared;    /* gate.data NULL: none */
};

/* prefix: "model.layers.3.mlp". */
err_code mlp_load(struct mlp *m, struct loader *l, int64_t n_hidden, int64_t n_ff,
                  const char *prefix, struct err *e);
err_code moe_load(struct moe *m, struct loader *l, struct device *d, const struct teacher_config *c,
                  const char *prefix, struct err *e);
void moe_dispose(struct moe *m, struct device *d);

/* x[T,C] += mlp(h[T,C]), x[T,C] += moe(h[T,C]). */
err_code mlp_forward(const struct mlp *m, const struct pass *p, struct tensor *x,
                     const struct tensor *h, struct err *e);
err_code moe_forward(const struct moe *m, const struct pass *p, struct tensor *x,
                     const struct tensor *h, struct err *e);

#endif
