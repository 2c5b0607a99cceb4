/* A model as llama.cpp wants to be told of it: GGUF metadata and the list of tensors, from an HF
 * directory. Qwen2/Qwen2.5, Qwen3 and Llama; anything else, and anything in config.json that would
 * change what is computed and has no GGUF key, is refused by name. Keys and names follow
 * llama.cpp's gguf-py/gguf/constants.py and convert_hf_to_gguf.py. */
#ifndef DECANT_QUANT_MODEL_H
#define DECANT_QUANT_MODEL_H

#include "core/format/gguf.h"
#include "core/format/weights.h"

enum model_arch { MODEL_LLAMA, MODEL_QWEN2, MODEL_QWEN3 };
enum model_rope { MODEL_ROPE_DEFAULT, MODEL_ROPE_LINEAR, MODEL_ROPE_LLAMA3, MODEL_ROPE_YARN };

struct model_info {
    enum model_arch arch;
    const char *arch_name; /* also the prefix of the keys */
    int64_t n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, n_vocab, context;
    double norm_eps, rope_theta;
    bool tied;
    enum model_rope rope;
    double rope_factor, rope_low, rope_high, rope_original;
    double rope_attention, rope_beta_fast, rope_beta_slow; /* yarn; rope_attention 0: derived */
    int64_t bos;                                           /* of config.json; -1: not given */
};
err_code model_info_read(struct model_info *m, const struct weights *w, struct err *e);

/* One tensor of the file to be written. */
struct model_tensor {
    char name[64];     /* GGUF's */
    struct tensor src; /* in the map; for rope_freqs, in the list's own memory */
    int layer;         /* -1 outside the layers */
    /* Llama's q and k: within each head of this many rows, row 2 i of the file is row i of the
     * source and row 2 i + 1 is row i + half; 0: rows as they are. */
    int64_t head_rows;
};
struct model_list {
    struct model_tensor *items;
    int64_t n, cap;
    uint64_t n_params;
    float *rope_freqs; /* divisors of the frequencies, for llama3's scaling */
};
/* All tensors, with shapes checked. A tensor of the source that belongs to no place is an error. */
err_code model_list_build(struct model_list *l, const struct model_info *m, const struct weights *w,
                          struct err *e);
void model_list_dispose(struct model_list *l);

/* The row of the source that is row i of the file. */
int64_t model_source_row(const struct model_tensor *t, int64_t i);

/* general.* and the architecture's keys. name: the model's, for people, as is the size label that
 * n_params becomes ("7.6B"). */
err_code model_add_metadata(struct gguf_writer *g, const struct model_info *m, const char *name,
                            uint64_t n_params, int file_type, struct err *e);

#endif
