/* The tensors of a dense student: their HF names and shapes, and their places in the flat array of
 * a trainable one. One table serves the lm, the trainer and whoever writes a checkpoint. */
#ifndef DECANT_STUDENT_LAYOUT_H
#define DECANT_STUDENT_LAYOUT_H

#include "student/config.h"

/* Q, K, V stand together, and so do GATE and UP: in the flat array each group is one matrix. */
enum student_kind {
    STUDENT_EMBED,
    STUDENT_Q,
    STUDENT_K,
    STUDENT_V,
    STUDENT_O,
    STUDENT_GATE,
    STUDENT_UP,
    STUDENT_DOWN,
    STUDENT_HEAD,
    STUDENT_NORM1, /* from here on 1-D, and free of weight decay */
    STUDENT_QB,
    STUDENT_KB,
    STUDENT_VB,
    STUDENT_QN,
    STUDENT_KN,
    STUDENT_OB,
    STUDENT_NORM2,
    STUDENT_GATEB,
    STUDENT_UPB,
    STUDENT_DOWNB,
    STUDENT_NORM,
    STUDENT_N_KINDS
};

struct student_slot {
    enum student_kind kind;
    int64_t layer; /* -1: none */
    int n_dims;
    int64_t shape[2];
    size_t offset; /* elements from the start of the flat array */
    char name[80]; /* "model.layers.3.self_attn.q_proj.weight" */
};

/* Fills name and shape; false when such a model has no such tensor. */
bool student_slot_make(const struct student_config *c, enum student_kind kind, int64_t layer,
                       struct student_slot *out);
bool student_kind_is_global(enum student_kind kind); /* not one a layer */

/* All tensors in flat order: what decays first (n_decay elements), then norms and biases. */
struct student_layout {
    struct student_slot *slots;
    int64_t n_slots;
    size_t n_params, n_decay;
    int32_t *index; /* [n_layers + 1][STUDENT_N_KINDS] -> slot, or -1; row n_layers: global ones */
};
err_code student_layout_init(struct student_layout *l, const struct student_config *c,
                             struct err *e);
void student_layout_dispose(struct student_layout *l);
/* NULL when the model has no such tensor (STUDENT_N_KINDS: never). layer is ignored for global
 * ones. */
const struct student_slot *student_layout_find(const struct student_layout *l,
                                               const struct student_config *c,
                                               enum student_kind kind, int64_t layer);

#endif
