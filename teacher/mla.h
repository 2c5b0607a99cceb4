/* mla.h: multi-head latent attention (DeepSeek-V2 technical report, section 2.1).
 *
 *     c_q = norm(q_a x);  q = q_b c_q                per head [nope | rope]   (or q = q_proj x)
 *     [c_kv | k_pe] = kv_a x;  c_kv = norm(c_kv);  q's and k_pe's rope parts are rotated
 *     kv_b c_kv                                      per head [k_nope | v]
 *     score = (q_nope.k_nope + q_rope.k_pe) * scale;  out = o_proj(concat of heads)
 *
 * Only [c_kv | k_pe] is cached. Two forms give the same result:
 *   absorbed: the query of a head is moved into the latent, q_nope.(W_uk c) = (W_uk^T q_nope).c, so
 *     that all heads attend to the cache itself, and W_uv is applied to what comes out: nothing is
 *     computed for the tokens of the past. Work for a row: H (2 kv_rank + d_rope) a cached token.
 *   expanded: k_nope and v are computed from the cache for the whole context of the sequence, in
 * every call. Work for a row: H (d_nope + d_rope + d_v) a cached token, about a third for R1's
 * shape; worth it for long prompts in one call. The form is a setting of the model, never a choice
 * by shape: in either, a sequence's rows come out the same, to the bit, whatever the batch and
 * however its tokens were cut into calls. */
#ifndef DECANT_TEACHER_MLA_H
#define DECANT_TEACHER_MLA_H

#include "teacher/load.h"
#include "teacher/pass.h"

struct mla {
    struct tensor q_a, q_a_norm, q_b; /* q_a.data NULL: q_b is q_proj */
    struct tensor kv_a, kv_a_norm, kv_b, o;
    struct tensor q_a_bias, kv_a_bias, o_bias; /* with attention_bias; else their data is NULL */
};

/* prefix: "model.layers.3.self_attn". */
err_code mla_load(struct mla *m, struct loader *l, const struct teacher_config *c,
                  const char *prefix, struct err *e);
/* x[T,C] += attention(h[T,C]); writes the new rows of layer i_layer's caches. */
err_code mla_forward(const struct mla *m, const struct pass *p, int64_t i_layer, struct tensor *x,
                     const struct tensor *h, struct err *e);

#endif
