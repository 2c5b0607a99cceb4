/* safetensors: one file. 8-byte little-endian header length, a JSON header {name: {dtype, shape,
 * data_offsets}}, then the data (the format: github.com/huggingface/safetensors, README).
 * Checked as the format demands: header at most 100 MB and inside the file, names unique, offsets
 * in order of a gapless, overlap-free cover of the data, sizes equal to shape x dtype. Everything
 * is refused with the file and the tensor named.
 *
 * Data is not promised to be aligned to its dtype (a header of odd length, or an F32 tensor after
 * an odd number of bytes): who reads a tensor's data uses memcpy or unaligned loads.
 *
 * Writing streams in two passes, like gguf.h, and replaces the file atomically:
 *
 *     struct st_writer *w;
 *     st_writer_open(&w, "model.safetensors", e);
 *     st_add_metadata(w, "format", "pt", e);
 *     st_add_tensor(w, "model.norm.weight", DT_BF16, 1, (int64_t[]){C}, e); ...
 *     st_begin_data(w, e);
 *     st_write(w, bytes, n, e);    // any number of times, all bytes of all tensors, in that order
 *     st_commit(w, e);
 *     st_writer_close(w);          // without a commit: leaves nothing behind
 */
#ifndef DECANT_FORMAT_SAFETENSORS_H
#define DECANT_FORMAT_SAFETENSORS_H

#include "core/base/file.h"
#include "core/base/names.h"
#include "core/tensor/tensor.h"

struct st_entry {
    const char *name;
    char dtype_name[16]; /* as the file has it */
    struct tensor
        tensor; /* data points into the map; dtype DT_NONE and data NULL where decant does
                 * not know the dtype. Dims past TENSOR_MAX_DIMS are folded into the last */
    uint64_t offset, n_bytes; /* in the file's data */
};
struct safetensors {
    struct file_map map;
    char *path;
    struct st_entry *entries; /* in order of their offsets */
    int64_t n_entries;
    char *names; /* of the entries */
};
/* *s need not be initialised; after an error there is nothing to close. */
err_code st_open(struct safetensors *s, const char *path, struct err *e);
/* The same, but the caller has to look for a name that stands there twice: with st_names or a table
 * of its own. st_double_name is the error. */
err_code st_open_unchecked(struct safetensors *s, const char *path, struct err *e);
err_code st_double_name(const struct safetensors *s, const char *name, struct err *e);
/* Makes a table of the entries' names (to their positions); ERR_FORMAT when one stands there twice.
 * The caller disposes of it, also then. */
err_code st_names(const struct safetensors *s, struct names *names, struct err *e);
void st_close(struct safetensors *s);

struct st_writer;
err_code st_writer_open(struct st_writer **out, const char *path, struct err *e);
/* Declare. Wider dtypes first keeps every tensor aligned for readers that want it. */
err_code st_add_tensor(struct st_writer *w, const char *name, enum dtype t, int n_dims,
                       const int64_t *shape, struct err *e);
/* A string in the header's "__metadata__" (transformers wants {"format": "pt"}). */
err_code st_add_metadata(struct st_writer *w, const char *key, const char *value, struct err *e);
/* Then, after st_begin_data, the bytes of each in the declared order. */
err_code st_begin_data(struct st_writer *w, struct err *e);
err_code st_write(struct st_writer *w, const void *data, size_t n, struct err *e);
err_code st_commit(struct st_writer *w, struct err *e); /* checks that every byte was written */
void st_writer_close(struct st_writer *w);

#endif
