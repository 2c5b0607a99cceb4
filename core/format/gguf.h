/* GGUF v3 (the format's specification: ggml/docs/gguf.md), reading and streamed writing.
 *
 * Reading maps the file; keys, values and tensor records are checked (counts, lengths, types,
 * alignment, offsets inside the file, no overlap) and then point into the map. Versions 2 and 3,
 * little-endian. What is kept beside the map is bounded by the file's size, whatever it says.
 *
 * Writing is in two passes so that nothing is held: declare all metadata and tensors, then stream
 * the tensors' bytes in the declared order; offsets are padded to 32 and exactly contiguous; the
 * file appears under its name only when complete.
 *
 *     struct gguf_writer *g;
 *     gguf_writer_open(&g, "student.gguf", e);
 *     gguf_add_str(g, "general.architecture", "qwen2", e);  ...
 *     gguf_add_tensor(g, "token_embd.weight", DT_Q6_K, 2, (int64_t[]){V, C}, e); ...
 *     gguf_begin_data(g, e);
 *     for each tensor, in order: gguf_write(g, bytes, n, e) any number of times; gguf_end_tensor(g,
 * e); gguf_commit(g, e); gguf_writer_close(g);        // without a commit: leaves nothing behind
 */
#ifndef DECANT_FORMAT_GGUF_H
#define DECANT_FORMAT_GGUF_H

#include "core/base/file.h"
#include "core/tensor/tensor.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STR,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

struct gguf;
err_code gguf_open(const char *path, struct gguf **out, struct err *e);
void gguf_close(struct gguf *g);
const char *gguf_path(const struct gguf *g);

/* A metadata value. Strings are not NUL-terminated; they point into the map. */
struct gguf_value {
    enum gguf_type type; /* of an element, when is_array */
    bool is_array;
    uint64_t n;          /* elements; 1 for a scalar */
    const uint8_t *data; /* first element, unaligned, little-endian; strings: u64 length + bytes */
    const uint8_t *end;  /* after the last element */
};
int64_t gguf_n_keys(const struct gguf *g);
void gguf_key_at(const struct gguf *g, int64_t i, const char **key, size_t *key_len,
                 struct gguf_value *v);
bool gguf_find(const struct gguf *g, const char *key, struct gguf_value *v);

/* Typed look-ups with conversion between integer widths; strings are not NUL-terminated. Required
 * ones: ERR_FORMAT naming file and key when absent or of another kind; gguf_opt_*: absent leaves
 * *out. */
err_code gguf_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                  struct err *e);
err_code gguf_opt_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      struct err *e);
err_code gguf_num(const struct gguf *g, const char *key, double *out, struct err *e);
err_code gguf_opt_num(const struct gguf *g, const char *key, double *out, struct err *e);
err_code gguf_opt_bool(const struct gguf *g, const char *key, bool *out, struct err *e);
err_code gguf_str(const struct gguf *g, const char *key, const char **s, size_t *n, struct err *e);

/* Walking a string array: start with *at = 0; each call gives the next string, false after the
 * last. */
bool gguf_next_str(const struct gguf_value *array, uint64_t *at, const char **s, size_t *n);
/* Element i of a numeric array, as a double or integer. */
double gguf_elem_num(const struct gguf_value *v, uint64_t i);
int64_t gguf_elem_int(const struct gguf_value *v, uint64_t i);

int64_t gguf_n_tensors(const struct gguf *g);
/* shape outermost first (GGUF's dims reversed). A ggml type that decant does not know has
 * dtype DT_NONE and data NULL; *ggml_type (may be NULL) tells its number. */
void gguf_tensor_at(const struct gguf *g, int64_t i, const char **name, struct tensor *t,
                    uint32_t *ggml_type);
/* Index by name, -1 when absent. */
int64_t gguf_tensor_find(const struct gguf *g, const char *name);
/* Bytes as stored, 0 for a type that nobody knows. */
uint64_t gguf_tensor_bytes(const struct gguf *g, int64_t i);
/* "q5_k", also for the types that decant does not compute with; "type 99" has no name: NULL. */
const char *gguf_type_name(uint32_t ggml_type);

struct gguf_writer;
err_code gguf_writer_open(struct gguf_writer **out, const char *path, struct err *e);
err_code gguf_add_str(struct gguf_writer *g, const char *key, const char *s, struct err *e);
err_code gguf_add_strn(struct gguf_writer *g, const char *key, const char *s, size_t n,
                       struct err *e);
err_code gguf_add_u32(struct gguf_writer *g, const char *key, uint32_t v, struct err *e);
err_code gguf_add_i32(struct gguf_writer *g, const char *key, int32_t v, struct err *e);
err_code gguf_add_f32(struct gguf_writer *g, const char *key, float v, struct err *e);
err_code gguf_add_bool(struct gguf_writer *g, const char *key, bool v, struct err *e);
/* Arrays: begin with the count, then exactly that many elements. */
err_code gguf_begin_array(struct gguf_writer *g, const char *key, enum gguf_type t, uint64_t n,
                          struct err *e);
err_code gguf_array_str(struct gguf_writer *g, const char *s, size_t n, struct err *e);
err_code gguf_array_i32(struct gguf_writer *g, int32_t v, struct err *e);
err_code gguf_array_f32(struct gguf_writer *g, float v, struct err *e);
err_code gguf_add_tensor(struct gguf_writer *g, const char *name, enum dtype t, int n_dims,
                         const int64_t *shape, struct err *e);
err_code gguf_begin_data(struct gguf_writer *g, struct err *e);
err_code gguf_write(struct gguf_writer *g, const void *data, size_t n, struct err *e);
err_code gguf_end_tensor(struct gguf_writer *g, struct err *e);
err_code gguf_commit(struct gguf_writer *g, struct err *e);
void gguf_writer_close(struct gguf_writer *g);

#endif
