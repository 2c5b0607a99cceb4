/* Which tensor gets which type: the mixes that llama.cpp's llama-quantize makes without importance
 * (llama_tensor_get_type in src/llama-quant.cpp), so that a file from decant is what its users know
 * under that name.
 *
 *   f16      matrices in F16
 *   q8_0     matrices in Q8_0
 *   q4_0     matrices in Q4_0, the head in Q6_K
 *   q4_k_m   matrices in Q4_K; the head, and in about half of the layers attn_v and ffn_down, in
 * Q6_K
 *
 * One-dimensional tensors (norms, biases) stay in F32. The head is output.weight, or
 * token_embd.weight when the two are one. Where a row is no multiple of 256: Q4_K becomes Q5_0 and
 * Q6_K becomes Q8_0; where it is none of 32 either: F16.
 *
 * Apart from llama.cpp: of 80 layers, it stores attn_v in Q5_K where it would be Q4_K; decant,
 * which does not write Q5_K, takes Q6_K. And llama.cpp refuses q8_0 and q4_0 for rows that are no
 * multiple of 32. */
#ifndef DECANT_QUANT_RECIPE_H
#define DECANT_QUANT_RECIPE_H

#include "core/tensor/dtype.h"

struct recipe {
    const char *name;
    enum dtype base;  /* of most matrices */
    int file_type;    /* general.file_type of GGUF */
    bool more_bits;   /* Q6_K for some attn_v and ffn_down */
    const char *text; /* for help */
};

/* NULL when there is none of that name (upper and lower case are the same). */
const struct recipe *recipe_find(const char *name);
/* The i-th, NULL past the end. */
const struct recipe *recipe_at(int i);

/* What the choice depends on. */
struct recipe_tensor {
    const char *name; /* GGUF's: "blk.3.attn_v.weight" */
    int n_dims;
    int64_t cols;
    int layer, n_layers; /* layer: -1 outside the layers */
    bool tied;           /* the model has no output.weight */
};
enum dtype recipe_choose(const struct recipe *r, const struct recipe_tensor *t);

#endif
