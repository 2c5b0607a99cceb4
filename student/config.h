/* The shape of a dense student: Llama, Qwen2/Qwen2.5 and Qwen3, which differ in biases, the norms
 * of queries and keys, and the scaling of rotary positions.
 *
 * Read from an HF config.json or from a GGUF file's metadata. Every number is checked against a
 * range, and the number of parameters against overflow, before anything is sized by it. An
 * architecture, activation, attention window or rope scaling that decant does not know is
 * ERR_UNSUPPORTED by name, never ignored. */
#ifndef DECANT_STUDENT_CONFIG_H
#define DECANT_STUDENT_CONFIG_H

#include "core/base/json.h"
#include "core/format/weights.h"
#include "core/tensor/device.h"

enum student_arch { STUDENT_LLAMA, STUDENT_QWEN2, STUDENT_QWEN3 };

/* How positions beyond the trained context are made to fit (transformers' modeling_rope_utils.py;
 * YaRN: Peng et al. 2023). */
enum student_rope_type {
    STUDENT_ROPE_DEFAULT,
    STUDENT_ROPE_LINEAR, /* all frequencies / factor */
    STUDENT_ROPE_LLAMA3, /* low frequencies / factor, high ones kept, a ramp between */
    STUDENT_ROPE_YARN,   /* the same idea with a ramp over dimensions, and cos, sin scaled */
    STUDENT_ROPE_GGUF,   /* frequencies / a table that stands in the file (llama3, precomputed) */
};

struct student_rope {
    enum student_rope_type type;
    enum rope_mode mode; /* a GGUF file's Llama has its rows permuted: interleaved pairs */
    double theta, factor;
    double low_freq_factor, high_freq_factor;      /* llama3 */
    double original_max_positions;                 /* llama3, yarn */
    double beta_fast, beta_slow, attention_factor; /* yarn; attention_factor 0: derived */
    double mscale, mscale_all_dim;                 /* yarn; 0: not given */
    bool truncate;                                 /* yarn: whole-numbered ramp ends */
    const float *divisors;                         /* gguf: [head_dim / 2], in the file's map */
};

struct student_config {
    enum student_arch arch;
    int64_t n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, n_vocab; /* L C H G D F V */
    int64_t max_positions;
    float norm_eps;
    double init_range; /* standard deviation of drawn weights */
    double attention_dropout;
    bool tied; /* the head is the embedding */
    bool qkv_bias, o_bias, mlp_bias;
    bool qk_norm; /* Qwen3: rmsnorm over each head of q and k, before rope */
    struct student_rope rope;
};

/* "qwen2", ...: model_type in config.json and general.architecture in GGUF. */
const char *student_arch_name(enum student_arch a);

err_code student_config_json(struct student_config *c, const struct json *j, struct err *e);
err_code student_config_gguf(struct student_config *c, const struct gguf *g, struct err *e);
/* Whichever of the two w has. */
err_code student_config_weights(struct student_config *c, const struct weights *w, struct err *e);

/* inv_freq[head_dim / 2], radians a position, and what cos and sin are multiplied by. */
void student_rope_freqs(const struct student_config *c, float *inv_freq, float *scale);

/* Parameters in all; checked against overflow by the readers above. */
int64_t student_n_params(const struct student_config *c);

#endif
