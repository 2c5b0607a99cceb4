/* model.h: a DeepSeek teacher (V3, R1, V2) as a language model, from an HF directory.
 *
 *     struct device *d;  struct lm *lm;
 *     device_open("cpu", 0, &d, e);
 *     if ((rc = teacher_open("models/r1", d, &lm, e))) ...
 *     ... lm_seq_open, lm_forward (core/lm/lm.h) ...
 *     lm_close(lm);                 // then device_close(d): the device stays the caller's
 *
 * Weights may be F32, F16, BF16 or FP8 with block scales; they stay mapped in the files and are
 * never copied whole, so opening takes no longer than reading the headers. Products are computed in
 * float32. A sequence's cache is the latent [c_kv | k_pe] in float32, 4 (kv_lora_rank +
 * qk_rope_head_dim) bytes a token a layer; it grows by doubling up to the sequence's max_tokens. A
 * fork copies it. A forward of many rows goes through the layers in pieces of at most
 * TEACHER_PASS_ROWS rows, which bounds the scratch memory; scratch is kept, and a forward no larger
 * than an earlier one allocates nothing but what caches grow by. After a failed forward the
 * sequences are as they were. */
#ifndef DECANT_TEACHER_MODEL_H
#define DECANT_TEACHER_MODEL_H

#include "core/lm/lm.h"
#include "core/tensor/device.h"
#include "teacher/pass.h"

enum { TEACHER_PASS_ROWS = 1024 };

err_code teacher_open(const char *dir, struct device *d, struct lm **out, struct err *e);

/* Which form the attention takes (mla.h); MLA_ABSORBED after opening. */
void teacher_set_form(struct lm *lm, enum mla_form form);
const struct teacher_config *teacher_config_of(const struct lm *lm);

/* lm_forward, and the hidden states before the final norm of all rows of all items, in order:
 * hidden [rows, C], host memory of the caller. logits may be NULL when no item asks for any. */
err_code teacher_forward_hidden(struct lm *lm, const struct lm_item *items, int64_t n_items,
                                float *logits, float *hidden, struct err *e);

/* The multi-token-prediction module. Each item continues the module's own cache of its sequence:
 * hidden states of the next n positions, and the token that follows each. */
struct mtp_item {
    struct lm_seq *seq;
    const float *hidden; /* [n, C], host */
    const int32_t *next; /* [n] */
    int64_t n;           /* >= 1 */
};
bool teacher_has_mtp(const struct lm *lm);
/* logits [sum of n, V]: row t of an item predicts the token after next[t]. States are taken for
 * positions 0, 1, 2, ... of a sequence; past the model's own tokens is ERR_USAGE. */
err_code teacher_mtp_forward(struct lm *lm, const struct mtp_item *items, int64_t n_items,
                             float *logits, struct err *e);

#endif
