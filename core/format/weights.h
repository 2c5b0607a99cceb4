/* weights.h: the named tensors of a model on disk, from an HF directory (safetensors, one file or
 * an index of shards) or a GGUF file. Files are mapped, never copied; opening reads headers only.
 *
 *     struct weights *w;
 *     if ((rc = weights_open("models/r1", &w, e))) return rc;
 *     rc = weights_get(w, "model.norm.weight", 1, (int64_t[]){C}, &t, e);     // checked view
 *     weights_close(w);                                   // views die with it
 *
 * Names and shapes are HF's, [out, in], for both formats: a GGUF file's names (blk.0.attn_q.weight)
 * are translated on look-up and its dims reversed. What GGUF changes in content is not undone here:
 * Llama's q and k rows are permuted there (weights_is_gguf tells; the reader then rotates
 * interleaved pairs).
 * Everything out of the files is checked before use: sizes, offsets, overlaps, shapes, dtypes,
 * shard names that would leave the directory (symbolic links, as HF's cache has them, are
 * followed), duplicate names, tensors of the index that no shard has and the reverse. Pickle files
 * are refused by name. A tensor's data is not promised to be aligned to its dtype: read it with
 * memcpy or unaligned loads. tensor.scale is aligned. */
#ifndef DECANT_FORMAT_WEIGHTS_H
#define DECANT_FORMAT_WEIGHTS_H

#include "core/base/json.h"
#include "core/tensor/tensor.h"

struct weights;
struct gguf;

/* path: a directory, a .safetensors file or a .gguf file. */
err_code weights_open(const char *path, struct weights **out, struct err *e);
void weights_close(struct weights *w);

bool weights_is_gguf(const struct weights *w);
/* The GGUF behind it (metadata), or NULL. */
const struct gguf *weights_gguf(const struct weights *w);
/* config.json of an HF directory, parsed; NULL for GGUF and a lone .safetensors. */
const struct json *weights_config(const struct weights *w);
const char *weights_path(const struct weights *w);

/* Iteration, in file order. name and tensor live as long as w. Names are as the file has them. */
int64_t weights_count(const struct weights *w);
void weights_at(const struct weights *w, int64_t i, const char **name, struct tensor *t);
/* How a tensor is stored, also where decant cannot use it (then tensor.dtype is DT_NONE and data
 * NULL). dtype: "bf16", "q5_k", or as the file has it; file: the shard. */
struct weights_stored {
    const char *dtype, *file;
    uint64_t n_bytes;
};
void weights_stored_at(const struct weights *w, int64_t i, struct weights_stored *s);

/* Is there a tensor of that HF name? */
bool weights_has(const struct weights *w, const char *hf_name);
/* The tensor of that HF name, with the wanted shape; when n_dims is 0 any shape is fine. Missing:
 * ERR_NOTFOUND; another shape, or a dtype that cannot be weights: ERR_FORMAT; both name the file,
 * the tensor, what is there and what was wanted. For an F8_E4M3 "X.weight" its "X.weight_scale_inv"
 * is attached as tensor.scale (block size from config.json's quantization_config
 * .weight_block_size); its absence or a wrong shape is an error. */
err_code weights_get(const struct weights *w, const char *hf_name, int n_dims, const int64_t *shape,
                     struct tensor *out, struct err *e);

#endif
