#include "core/base/names.h"
#include "core/format/gguf.h"

#include <string.h>

enum { ALIGNMENT = 32, MAX_NAME_BYTES = 63 }; /* llama.cpp refuses longer tensor names */

struct pending_tensor {
    char *name;
    uint64_t n_bytes;
};

struct gguf_writer {
    struct file_writer file;
    struct buf keys, tensors; /* the encoded sections */
    struct buf key_names;     /* NUL-terminated, for the check of doubles */
    struct pending_tensor *pending;
    int64_t n_keys, n_tensors, cap_tensors;
    uint64_t n_data;           /* bytes declared, each tensor padded */
    enum gguf_type array_type; /* of the array being written */
    uint64_t n_array_left;     /* elements it still wants */
    bool data_begun;
    int64_t i_tensor;   /* being written */
    uint64_t n_written; /* of it */
};

err_code gguf_writer_open(struct gguf_writer **out, const char *path, struct err *e)
{
    *out = NULL;
    struct gguf_writer *g = mem_new(1, sizeof *g, e);
    if (!g)
        return ERR_NOMEM;
    err_code rc = file_writer_open(&g->file, path, e);
    if (rc)
        gguf_writer_close(g);
    else
        *out = g;
    return rc;
}

void gguf_writer_close(struct gguf_writer *g)
{
    if (!g)
        return;
    file_writer_close(&g->file);
    for (int64_t i = 0; i < g->n_tensors; i++)
        mem_free(g->pending[i].name);
    mem_free(g->pending);
    buf_dispose(&g->keys);
    buf_dispose(&g->tensors);
    buf_dispose(&g->key_names);
    mem_free(g);
}

static err_code add_le(struct buf *b, uint64_t v, int n, struct err *e)
{
    uint8_t bytes[8];
    for (int i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    return buf_add(b, bytes, (size_t)n, e);
}

static err_code add_string(struct buf *b, const char *s, size_t n, struct err *e)
{
    err_code rc = add_le(b, n, 8, e);
    return rc ? rc : buf_add(b, s, n, e);
}

static uint32_t float_bits(float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    return u;
}

/* ---- metadata */

static err_code declaring(const struct gguf_writer *g, const char *what, struct err *e)
{
    if (g->data_begun)
        return err_set(e, ERR_STATE, "%s: %s: declared after gguf_begin_data", g->file.path, what);
    if (g->n_array_left)
        return err_set(e, ERR_STATE, "%s: %s: the array before it lacks %llu elements",
                       g->file.path, what, (unsigned long long)g->n_array_left);
    return ERR_OK;
}

static err_code begin_key(struct gguf_writer *g, const char *key, enum gguf_type t, struct err *e)
{
    err_code rc = declaring(g, key, e);
    if (!rc)
        rc = buf_add(&g->key_names, key, strlen(key) + 1, e);
    if (!rc)
        rc = add_string(&g->keys, key, strlen(key), e);
    if (!rc)
        rc = add_le(&g->keys, t, 4, e);
    g->n_keys++;
    return rc;
}

err_code gguf_add_strn(struct gguf_writer *g, const char *key, const char *s, size_t n,
                       struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_STR, e);
    return rc ? rc : add_string(&g->keys, s, n, e);
}

err_code gguf_add_str(struct gguf_writer *g, const char *key, const char *s, struct err *e)
{
    return gguf_add_strn(g, key, s, strlen(s), e);
}

err_code gguf_add_u32(struct gguf_writer *g, const char *key, uint32_t v, struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_U32, e);
    return rc ? rc : add_le(&g->keys, v, 4, e);
}

err_code gguf_add_i32(struct gguf_writer *g, const char *key, int32_t v, struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_I32, e);
    return rc ? rc : add_le(&g->keys, (uint32_t)v, 4, e);
}

err_code gguf_add_f32(struct gguf_writer *g, const char *key, float v, struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_F32, e);
    return rc ? rc : add_le(&g->keys, float_bits(v), 4, e);
}

err_code gguf_add_bool(struct gguf_writer *g, const char *key, bool v, struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_BOOL, e);
    return rc ? rc : add_le(&g->keys, v, 1, e);
}

err_code gguf_begin_array(struct gguf_writer *g, const char *key, enum gguf_type t, uint64_t n,
                          struct err *e)
{
    err_code rc = begin_key(g, key, GGUF_ARRAY, e);
    if (!rc)
        rc = add_le(&g->keys, t, 4, e);
    if (!rc)
        rc = add_le(&g->keys, n, 8, e);
    g->array_type = t;
    g->n_array_left = n;
    return rc;
}

static err_code array_element(struct gguf_writer *g, enum gguf_type t, struct err *e)
{
    if (!g->n_array_left || g->array_type != t)
        return err_set(e, ERR_STATE, "%s: an array element of another type, or one too many",
                       g->file.path);
    g->n_array_left--;
    return ERR_OK;
}

err_code gguf_array_str(struct gguf_writer *g, const char *s, size_t n, struct err *e)
{
    err_code rc = array_element(g, GGUF_STR, e);
    return rc ? rc : add_string(&g->keys, s, n, e);
}

err_code gguf_array_i32(struct gguf_writer *g, int32_t v, struct err *e)
{
    err_code rc = array_element(g, GGUF_I32, e);
    return rc ? rc : add_le(&g->keys, (uint32_t)v, 4, e);
}

err_code gguf_array_f32(struct gguf_writer *g, float v, struct err *e)
{
    err_code rc = array_element(g, GGUF_F32, e);
    return rc ? rc : add_le(&g->keys, float_bits(v), 4, e);
}

/* ---- tensors */

static uint64_t pad(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static err_code tensor_size(const struct gguf_writer *g, const char *name, enum dtype t, int n_dims,
                            const int64_t *shape, uint64_t *bytes, struct err *e)
{
    const struct dtype_info *in = dtype_info(t);
    if (in->gguf_type < 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor \"%s\": GGUF has no type %s", g->file.path,
                       name, in->name);
    if (!*name || strlen(name) > MAX_NAME_BYTES)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: tensor \"%s\": llama.cpp takes names of 1 to %d bytes", g->file.path,
                       name, MAX_NAME_BYTES);
    uint64_t n = 0, end;
    bool fits = n_dims >= 1 && n_dims <= TENSOR_MAX_DIMS && shape[n_dims - 1] > 0 &&
                dtype_row_bytes(t, (uint64_t)shape[n_dims - 1], &n);
    for (int i = 0; i + 1 < n_dims && fits; i++)
        fits = shape[i] > 0 && mem_mul(n, (uint64_t)shape[i], &n);
    if (!fits || !mem_add(g->n_data, n, &end) || end > INT64_MAX)
        return err_set(e, ERR_USAGE, "%s: tensor \"%s\": the shape does not fit type %s",
                       g->file.path, name, in->name);
    *bytes = n;
    return ERR_OK;
}

err_code gguf_add_tensor(struct gguf_writer *g, const char *name, enum dtype t, int n_dims,
                         const int64_t *shape, struct err *e)
{
    uint64_t n_bytes = 0;
    err_code rc = declaring(g, name, e);
    if (!rc)
        rc = tensor_size(g, name, t, n_dims, shape, &n_bytes, e);
    if (!rc && g->n_tensors == g->cap_tensors) {
        int64_t cap = g->cap_tensors ? 2 * g->cap_tensors : 64;
        if (!(rc = mem_grow((void **)&g->pending, (size_t)cap, sizeof *g->pending, e)))
            g->cap_tensors = cap;
    }
    if (!rc)
        rc = add_string(&g->tensors, name, strlen(name), e);
    if (!rc)
        rc = add_le(&g->tensors, (uint64_t)n_dims, 4, e);
    for (int i = n_dims - 1; i >= 0 && !rc; i--)
        rc = add_le(&g->tensors, (uint64_t)shape[i], 8, e);
    if (!rc)
        rc = add_le(&g->tensors, (uint64_t)dtype_info(t)->gguf_type, 4, e);
    if (!rc)
        rc = add_le(&g->tensors, g->n_data, 8, e);
    if (rc)
        return rc;
    struct pending_tensor *p = &g->pending[g->n_tensors];
    *p = (struct pending_tensor){mem_strdup(name, e), n_bytes};
    if (!p->name)
        return ERR_NOMEM;
    g->n_tensors++;
    g->n_data += pad(n_bytes);
    return ERR_OK;
}

static err_code check_unique(const struct gguf_writer *g, struct err *e)
{
    struct names keys = {0}, tensors = {0};
    err_code rc = names_reserve(&keys, g->n_keys, e);
    if (!rc)
        rc = names_reserve(&tensors, g->n_tensors, e);
    const char *s = g->key_names.data, *twice = NULL;
    for (int64_t i = 0; i < g->n_keys && !rc; i++, s += strlen(s) + 1)
        if (names_add(&keys, s, strlen(s), i) >= 0)
            twice = s;
    for (int64_t i = 0; i < g->n_tensors && !rc; i++) {
        const char *name = g->pending[i].name;
        if (names_add(&tensors, name, strlen(name), i) >= 0)
            twice = name;
    }
    if (twice)
        rc = err_set(e, ERR_USAGE, "%s: \"%s\" was declared twice", g->file.path, twice);
    names_dispose(&keys);
    names_dispose(&tensors);
    return rc;
}

static err_code write_padding(struct gguf_writer *g, struct err *e)
{
    static const uint8_t zeros[ALIGNMENT];
    return file_writer_add(&g->file, zeros, pad(g->file.n_bytes) - g->file.n_bytes, e);
}

err_code gguf_begin_data(struct gguf_writer *g, struct err *e)
{
    struct buf head = {0};
    err_code rc = declaring(g, "data", e);
    if (!rc)
        rc = check_unique(g, e);
    if (!rc)
        rc = buf_str(&head, "GGUF", e);
    if (!rc)
        rc = add_le(&head, 3, 4, e);
    if (!rc)
        rc = add_le(&head, (uint64_t)g->n_tensors, 8, e);
    if (!rc)
        rc = add_le(&head, (uint64_t)g->n_keys, 8, e);
    if (!rc)
        rc = file_writer_add(&g->file, head.data, head.len, e);
    if (!rc)
        rc = file_writer_add(&g->file, g->keys.data, g->keys.len, e);
    if (!rc)
        rc = file_writer_add(&g->file, g->tensors.data, g->tensors.len, e);
    if (!rc)
        rc = write_padding(g, e);
    g->data_begun = !rc;
    buf_dispose(&head);
    return rc;
}

err_code gguf_write(struct gguf_writer *g, const void *data, size_t n, struct err *e)
{
    if (!g->data_begun || g->i_tensor >= g->n_tensors)
        return err_set(e, ERR_STATE, "%s: bytes that belong to no declared tensor", g->file.path);
    const struct pending_tensor *p = &g->pending[g->i_tensor];
    if (n > p->n_bytes - g->n_written)
        return err_set(e, ERR_STATE, "%s: tensor \"%s\": more than its %llu bytes", g->file.path,
                       p->name, (unsigned long long)p->n_bytes);
    g->n_written += n;
    return file_writer_add(&g->file, data, n, e);
}

err_code gguf_end_tensor(struct gguf_writer *g, struct err *e)
{
    if (!g->data_begun || g->i_tensor >= g->n_tensors)
        return err_set(e, ERR_STATE, "%s: no tensor to end", g->file.path);
    const struct pending_tensor *p = &g->pending[g->i_tensor];
    if (g->n_written != p->n_bytes)
        return err_set(e, ERR_STATE, "%s: tensor \"%s\": %llu of its %llu bytes were written",
                       g->file.path, p->name, (unsigned long long)g->n_written,
                       (unsigned long long)p->n_bytes);
    g->i_tensor++;
    g->n_written = 0;
    return write_padding(g, e);
}

err_code gguf_commit(struct gguf_writer *g, struct err *e)
{
    if (!g->data_begun || g->i_tensor != g->n_tensors)
        return err_set(e, ERR_STATE, "%s: %lld of %lld tensors were written", g->file.path,
                       (long long)g->i_tensor, (long long)g->n_tensors);
    return file_writer_commit(&g->file, e);
}
