/* safetensors: one file. 8-byte little-endian header length, a JSON header {name: {dtype, shape,
 * data_offsets}}, then the data. Checked as the format demands: header at most 100 MB and inside the
 * file, offsets in order of a gapless, overlap-free cover of the data, sizes equal to shape x dtype.
 * Writing streams in two passes, like gguf.h, and replaces the file atomically. */
#ifndef DECANT_FORMAT_SAFETENSORS_H
#define DECANT_FORMAT_SAFETENSORS_H

#include "core/base/file.h"
#include "core/tensor/tensor.h"

struct st_entry {
    char *name;
    struct tensor tensor; /* data points into the map */
};
struct safetensors {
    struct file_map map;
    char *path;
    struct st_entry *entries; /* in order of their offsets */
    int64_t n_entries;
};
err_code st_open(struct safetensors *s, const char *path, struct err *e);
void st_close(struct safetensors *s);

struct st_writer;
err_code st_writer_open(struct st_writer **out, const char *path, struct err *e);
/* Declare; then, after st_begin_data, write the bytes of each in the declared order. */
err_code st_add_tensor(struct st_writer *w, const char *name, enum dtype t, int n_dims,
                       const int64_t *shape, struct err *e);
/* A string in the header's "__metadata__" (transformers wants {"format": "pt"}). */
err_code st_add_metadata(struct st_writer *w, const char *key, const char *value, struct err *e);
err_code st_begin_data(struct st_writer *w, struct err *e);
err_code st_write(struct st_writer *w, const void *data, size_t n, struct err *e);
err_code st_commit(struct st_writer *w, struct err *e); /* checks that every byte was written */
void st_writer_close(struct st_writer *w);

#endif
