/* config.h: the shape of a DeepSeek model, read from the config.json of an HF directory
 * (model_type deepseek_v3 or deepseek_v2) and checked: every number is in a range that makes the
 * model computable, and what this code does not do is refused by name rather than ignored.
 *
 *     struct teacher_config c;
 *     if ((rc = teacher_config_read(&c, weights_config(w), e))) return rc;
 *
 * Rotary parameters are taken from "rope_parameters" (transformers 5) or from "rope_theta" and
 * "rope_scaling" (before). A plain struct: nothing to dispose. */
#ifndef DECANT_TEACHER_CONFIG_H
#define DECANT_TEACHER_CONFIG_H

#include "core/base/json.h"
#include "teacher/yarn.h"

enum { TEACHER_MAX_HEAD_WIDTH = 1 << 13 }; /* nope, rope and value parts */

struct teacher_config {
    const char *arch; /* "deepseek_v3" or "deepseek_v2", static */
    int64_t n_vocab, n_hidden, n_layers, max_context;
    bool tied; /* the head is the embedding */
    float norm_eps;

    /* attention */
    int64_t n_heads;
    int64_t q_rank;  /* 0: one q_proj instead of q_a, norm, q_b */
    int64_t kv_rank; /* the latent's width */
    int64_t d_nope, d_rope, d_v;
    bool rope_interleaved; /* how pairs stand in the stored weights */
    struct yarn yarn;
    bool attention_bias; /* of q_a, kv_a and o */

    /* feed forward */
    int64_t n_ff;                /* width of a dense layer */
    int64_t n_dense;             /* the first n_dense layers are dense */
    int64_t n_experts;           /* routed; 0 when all layers are dense */
    int64_t n_shared;            /* shared experts, stored as one MLP of n_shared * n_expert_ff */
    int64_t n_expert_ff;         /* width of an expert */
    int64_t top_k;               /* experts a token */
    int64_t n_group, topk_group; /* 1, 1: no groups */
    bool sigmoid;                /* scores; else softmax */
    bool noaux;                  /* noaux_tc: correction bias, groups by their two best */
    /* Divide the chosen weights by their sum. deepseek_v2 does that instead of scaling them, for
     * two experts or more (DeepSeek's own modeling_deepseek.py, MoEGate): routed_scale is 1 then.
     */
    bool norm_topk;
    float routed_scale;

    int64_t n_mtp; /* multi-token-prediction modules that config.json announces */
};

err_code teacher_config_read(struct teacher_config *c, const struct json *j, struct err *e);
/* To be called when the weights have an MTP module: its layer counts on from the others, and so may
 * have experts where all of them are dense. */
err_code teacher_config_read_mtp(struct teacher_config *c, const struct json *j, struct err *e);

#endif
