#include "core/format/gguf.h"
#include "core/base/file.h"
#include "core/base/names.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 20,
    MIN_KEY_BYTES = 8 + 4 + 1,        /* key length, type, the smallest value */
    MIN_TENSOR_BYTES = 8 + 4 + 4 + 8, /* name length, n_dims, type, offset */
};

struct gguf_tensor {
    char *name;
    struct tensor t;
    uint32_t type;
    uint64_t offset, n_bytes; /* in the data section */
};

struct gguf_key {
    const char *s; /* in the map */
    size_t len;
    struct gguf_value v;
};

struct gguf {
    struct file_map map;
    char *path;
    struct gguf_key *keys;
    struct gguf_tensor *tensors;
    int64_t n_keys, n_tensors;
    struct names key_names, tensor_names;
};

/* Every type that ggml has had since v2 of the format, for sizes and names; ggml's enum ggml_type.
 */
static const struct {
    const char *name;
    uint16_t block_elems, block_bytes;
} ggml_types[] = {
    [0] = {"f32", 1, 4},         [1] = {"f16", 1, 2},         [2] = {"q4_0", 32, 18},
    [3] = {"q4_1", 32, 20},      [6] = {"q5_0", 32, 22},      [7] = {"q5_1", 32, 24},
    [8] = {"q8_0", 32, 34},      [9] = {"q8_1", 32, 36},      [10] = {"q2_k", 256, 84},
    [11] = {"q3_k", 256, 110},   [12] = {"q4_k", 256, 144},   [13] = {"q5_k", 256, 176},
    [14] = {"q6_k", 256, 210},   [15] = {"q8_k", 256, 292},   [16] = {"iq2_xxs", 256, 66},
    [17] = {"iq2_xs", 256, 74},  [18] = {"iq3_xxs", 256, 98}, [19] = {"iq1_s", 256, 50},
    [20] = {"iq4_nl", 32, 18},   [21] = {"iq3_s", 256, 110},  [22] = {"iq2_s", 256, 82},
    [23] = {"iq4_xs", 256, 136}, [24] = {"i8", 1, 1},         [25] = {"i16", 1, 2},
    [26] = {"i32", 1, 4},        [27] = {"i64", 1, 8},        [28] = {"f64", 1, 8},
    [29] = {"iq1_m", 256, 56},   [30] = {"bf16", 1, 2},       [34] = {"tq1_0", 256, 54},
    [35] = {"tq2_0", 256, 66},   [39] = {"mxfp4", 32, 17},
};
enum { N_GGML_TYPES = sizeof ggml_types / sizeof *ggml_types };

const char *gguf_type_name(uint32_t type)
{
    return type < N_GGML_TYPES ? ggml_types[type].name : NULL;
}

static uint64_t load_le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* ---- reading: a cursor that never goes past the end */

struct cursor {
    const struct gguf *g;
    uint64_t at;
};

static err_code cut_short(const struct cursor *c, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT,
                   "%s: %s at byte %llu would go past the file's end (%zu bytes); is the file "
                   "complete?",
                   c->g->path, what, (unsigned long long)c->at, c->g->map.size);
}

static uint64_t left(const struct cursor *c)
{
    return c->g->map.size - c->at;
}

static err_code take(struct cursor *c, int n, const char *what, uint64_t *out, struct err *e)
{
    *out = 0;
    if ((uint64_t)n > left(c))
        return cut_short(c, what, e);
    *out = load_le(c->g->map.data + c->at, n);
    c->at += (uint64_t)n;
    return ERR_OK;
}

static err_code take_str(struct cursor *c, const char *what, const char **s, size_t *n,
                         struct err *e)
{
    uint64_t len;
    *s = NULL;
    *n = 0;
    err_code rc = take(c, 8, what, &len, e);
    if (rc)
        return rc;
    if (len > left(c))
        return cut_short(c, what, e);
    *s = (const char *)c->g->map.data + c->at;
    *n = len;
    c->at += len;
    return ERR_OK;
}

/* Bytes of one value of a type; 0: a string, an array, or no such type. */
static int type_bytes(uint64_t type)
{
    static const int bytes[] = {[GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
                                [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
                                [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return type < sizeof bytes / sizeof *bytes ? bytes[type] : 0;
}

/* n values of v's type: moves past them. */
static err_code take_values(struct cursor *c, const struct gguf_key *k, struct err *e)
{
    const struct gguf_value *v = &k->v;
    if (v->type == GGUF_STR) {
        const char *s;
        size_t n;
        err_code rc = ERR_OK;
        for (uint64_t i = 0; i < v->n && !rc; i++)
            rc = take_str(c, "a string", &s, &n, e);
        return rc;
    }
    uint64_t size = (uint64_t)type_bytes(v->type);
    if (v->n > left(c) / size)
        return cut_short(c, "a value", e);
    for (uint64_t i = 0; v->type == GGUF_BOOL && i < v->n; i++)
        if (v->data[i] > 1)
            return err_set(e, ERR_FORMAT,
                           "%s: key \"%.*s\" holds a truth value that is neither 0 nor 1",
                           c->g->path, (int)k->len, k->s);
    c->at += v->n * size;
    return ERR_OK;
}

static err_code take_key(struct cursor *c, struct gguf_key *k, struct err *e)
{
    err_code rc = take_str(c, "a key", &k->s, &k->len, e);
    if (rc)
        return rc;
    if (k->len == 0 || k->len > 65535)
        return err_set(e, ERR_FORMAT, "%s: a key of %zu bytes (1 to 65535 are allowed)", c->g->path,
                       k->len);
    uint64_t type;
    k->v.n = 1;
    if ((rc = take(c, 4, "a value's type", &type, e)))
        return rc;
    if (type == GGUF_ARRAY) {
        k->v.is_array = true;
        if ((rc = take(c, 4, "an array's type", &type, e)) ||
            (rc = take(c, 8, "an array's length", &k->v.n, e)))
            return rc;
    }
    if (!type_bytes(type) && type != GGUF_STR)
        return err_set(e, type == GGUF_ARRAY ? ERR_UNSUPPORTED : ERR_FORMAT,
                       "%s: key \"%.*s\" has %s (%llu)", c->g->path, (int)k->len, k->s,
                       type == GGUF_ARRAY ? "an array of arrays" : "an unknown type",
                       (unsigned long long)type);
    k->v.type = (enum gguf_type)type;
    k->v.data = c->g->map.data + c->at;
    rc = take_values(c, k, e);
    k->v.end = c->g->map.data + c->at;
    return rc;
}

/* Size of the tensor's data from its type and shape. */
static err_code size_tensor(const struct gguf *g, struct gguf_tensor *t, struct err *e)
{
    uint64_t n = 1;
    for (int i = 0; i < t->t.n_dims; i++)
        if (!mem_mul(n, (uint64_t)t->t.shape[i], &n) || n > INT64_MAX / 16)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has a shape too large to be real",
                           g->path, t->name);
    if (!gguf_type_name(t->type))
        return ERR_OK;
    uint64_t elems = ggml_types[t->type].block_elems, cols = (uint64_t)tensor_cols(&t->t);
    if (cols % elems)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor \"%s\": a row of %llu is no whole number of %s blocks", g->path,
                       t->name, (unsigned long long)cols, gguf_type_name(t->type));
    t->n_bytes = n / elems * ggml_types[t->type].block_bytes;
    return ERR_OK;
}

static err_code take_tensor(struct cursor *c, struct gguf_tensor *t, struct err *e)
{
    const struct gguf *g = c->g;
    const char *s;
    size_t len;
    uint64_t n_dims, dim[TENSOR_MAX_DIMS], type;
    err_code rc = take_str(c, "a tensor's name", &s, &len, e);
    if (rc)
        return rc;
    if (!len || len > 65535 || memchr(s, 0, len))
        return err_set(e, ERR_FORMAT, "%s: a tensor's name is empty, too long or holds a NUL",
                       g->path);
    if (!(t->name = mem_strndup(s, len, e)))
        return ERR_NOMEM;
    if ((rc = take(c, 4, "a tensor's record", &n_dims, e)))
        return rc;
    if (n_dims > TENSOR_MAX_DIMS)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has %llu dimensions (at most %d)", g->path,
                       t->name, (unsigned long long)n_dims, TENSOR_MAX_DIMS);
    for (uint64_t i = 0; i < n_dims; i++) {
        if ((rc = take(c, 8, "a tensor's record", &dim[i], e)))
            return rc;
        if (dim[i] > INT64_MAX / 16)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has a shape too large to be real",
                           g->path, t->name);
        t->t.shape[n_dims - 1 - i] = (int64_t)dim[i];
    }
    if ((rc = take(c, 4, "a tensor's record", &type, e)) ||
        (rc = take(c, 8, "a tensor's record", &t->offset, e)))
        return rc;
    t->type = (uint32_t)type;
    t->t.n_dims = (int)n_dims;
    t->t.dtype = dtype_from_gguf(t->type);
    t->t.ld = tensor_cols(&t->t);
    return size_tensor(g, t, e);
}

static int by_offset(const void *pa, const void *pb)
{
    const struct gguf_tensor *a = *(struct gguf_tensor *const *)pa,
                             *b = *(struct gguf_tensor *const *)pb;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

/* Checks where the tensors' data lies, and points them there. */
static err_code place_tensors(struct gguf *g, uint64_t data_start, uint64_t alignment,
                              struct err *e)
{
    struct gguf_tensor **order = mem_new((size_t)g->n_tensors, sizeof *order, e);
    if (!order)
        return ERR_NOMEM;
    for (int64_t i = 0; i < g->n_tensors; i++)
        order[i] = &g->tensors[i];
    qsort(order, (size_t)g->n_tensors, sizeof *order, by_offset);
    uint64_t room = data_start < g->map.size ? g->map.size - data_start : 0, at = 0;
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < g->n_tensors && !rc; i++) {
        struct gguf_tensor *t = order[i];
        if (t->offset % alignment)
            rc = err_set(
                e, ERR_FORMAT, "%s: tensor \"%s\" lies at %llu, no multiple of the alignment %llu",
                g->path, t->name, (unsigned long long)t->offset, (unsigned long long)alignment);
        else if (t->offset > room || t->n_bytes > room - t->offset)
            rc = err_set(e, ERR_FORMAT,
                         "%s: tensor \"%s\" goes past the file's end; is the file complete?",
                         g->path, t->name);
        else if (t->offset < at)
            rc = err_set(e, ERR_FORMAT, "%s: tensor \"%s\" overlaps another", g->path, t->name);
        else {
            at = t->offset + t->n_bytes;
            if (t->t.dtype != DT_NONE)
                t->t.data = (void *)(g->map.data + data_start + t->offset);
        }
    }
    mem_free(order);
    return rc;
}

/* Some file was given for a model; when it is a part of one, that is suggested. */
static err_code no_gguf(const char *path, struct err *e)
{
    err_set(
        e, ERR_FORMAT,
        "%s: not a GGUF file (it does not begin with \"GGUF\"); a model is an HF directory or a "
        ".gguf file",
        path);
    char *dir = path_dir(path, NULL), *config = dir ? path_join(dir, "config.json", NULL) : NULL;
    if (config && file_exists(config))
        err_add(e, "; did you mean %s?", dir);
    mem_free(config);
    mem_free(dir);
    return ERR_FORMAT;
}

static err_code read_head(struct cursor *c, struct err *e)
{
    struct gguf *g = (struct gguf *)c->g;
    uint64_t magic, version, n_tensors, n_keys;
    if (g->map.size < 4 || memcmp(g->map.data, "GGUF", 4))
        return no_gguf(g->path, e);
    err_code rc = take(c, 4, "the head", &magic, e);
    if (rc || (rc = take(c, 4, "the head", &version, e)))
        return rc;
    if (version && version % 65536 == 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: a big-endian GGUF file; decant reads little-endian ones", g->path);
    if (version < 2 || version > 3)
        return err_set(e, ERR_UNSUPPORTED, "%s: GGUF version %llu; decant reads 2 and 3", g->path,
                       (unsigned long long)version);
    if ((rc = take(c, 8, "the head", &n_tensors, e)) || (rc = take(c, 8, "the head", &n_keys, e)))
        return rc;
    if (n_keys > left(c) / MIN_KEY_BYTES || n_tensors > left(c) / MIN_TENSOR_BYTES)
        return err_set(e, ERR_FORMAT,
                       "%s: claims %llu keys and %llu tensors, more than its %zu bytes can hold",
                       g->path, (unsigned long long)n_keys, (unsigned long long)n_tensors,
                       g->map.size);
    g->n_keys = (int64_t)n_keys;
    g->n_tensors = (int64_t)n_tensors;
    return ERR_OK;
}

static err_code read_keys(struct gguf *g, struct cursor *c, struct err *e)
{
    err_code rc = names_reserve(&g->key_names, g->n_keys, e);
    if (rc || !(g->keys = mem_new((size_t)g->n_keys, sizeof *g->keys, e)))
        return ERR_NOMEM;
    for (int64_t i = 0; i < g->n_keys && !rc; i++) {
        struct gguf_key *k = &g->keys[i];
        if (!(rc = take_key(c, k, e)) && names_add(&g->key_names, k->s, k->len, i) >= 0)
            rc = err_set(e, ERR_FORMAT, "%s: key \"%.*s\" stands there twice", g->path, (int)k->len,
                         k->s);
    }
    return rc;
}

static err_code read_tensors(struct gguf *g, struct cursor *c, struct err *e)
{
    err_code rc = names_reserve(&g->tensor_names, g->n_tensors, e);
    if (rc || !(g->tensors = mem_new((size_t)g->n_tensors, sizeof *g->tensors, e)))
        return ERR_NOMEM;
    for (int64_t i = 0; i < g->n_tensors && !rc; i++) {
        if ((rc = take_tensor(c, &g->tensors[i], e)))
            break;
        const char *name = g->tensors[i].name;
        if (names_add(&g->tensor_names, name, strlen(name), i) >= 0)
            rc = err_set(e, ERR_FORMAT, "%s: tensor \"%s\" stands there twice", g->path, name);
    }
    return rc;
}

err_code gguf_open(const char *path, struct gguf **out, struct err *e)
{
    *out = NULL;
    if (!file_exists(path))
        return err_set(e, ERR_NOTFOUND,
                       "%s: no such model; it should be an HF directory or a .gguf file", path);
    struct gguf *g = mem_new(1, sizeof *g, e);
    if (!g)
        return ERR_NOMEM;
    struct cursor c = {g, 0};
    int64_t alignment = DEFAULT_ALIGNMENT;
    err_code rc = ERR_NOMEM;
    if (!(g->path = mem_strdup(path, e)) || (rc = file_map_open(&g->map, path, e)))
        goto done;
    if ((rc = read_head(&c, e)) || (rc = read_keys(g, &c, e)))
        goto done;
    if ((rc = gguf_opt_int(g, "general.alignment", 1, MAX_ALIGNMENT, &alignment, e)))
        goto done;
    if (alignment & (alignment - 1)) {
        rc = err_set(e, ERR_FORMAT, "%s: general.alignment is %lld, no power of two", path,
                     (long long)alignment);
        goto done;
    }
    if ((rc = read_tensors(g, &c, e)))
        goto done;
    uint64_t a = (uint64_t)alignment;
    rc = place_tensors(g, (c.at + a - 1) / a * a, a, e);
done:
    if (rc)
        gguf_close(g);
    else
        *out = g;
    return rc;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (int64_t i = 0; g->tensors && i < g->n_tensors; i++)
        mem_free(g->tensors[i].name);
    names_dispose(&g->key_names);
    names_dispose(&g->tensor_names);
    mem_free(g->keys);
    mem_free(g->tensors);
    mem_free(g->path);
    file_map_close(&g->map);
    mem_free(g);
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

/* ---- metadata */

int64_t gguf_n_keys(const struct gguf *g)
{
    return g->n_keys;
}

void gguf_key_at(const struct gguf *g, int64_t i, const char **key, size_t *key_len,
                 struct gguf_value *v)
{
    *key = g->keys[i].s;
    *key_len = g->keys[i].len;
    *v = g->keys[i].v;
}

bool gguf_find(const struct gguf *g, const char *key, struct gguf_value *v)
{
    int64_t i = names_find(&g->key_names, key, strlen(key));
    if (i >= 0)
        *v = g->keys[i].v;
    return i >= 0;
}

int64_t gguf_elem_int(const struct gguf_value *v, uint64_t i)
{
    int size = type_bytes(v->type);
    uint64_t u = size ? load_le(v->data + i * (uint64_t)size, size) : 0;
    switch (v->type) {
    case GGUF_I8:
        return (int8_t)u;
    case GGUF_I16:
        return (int16_t)u;
    case GGUF_I32:
        return (int32_t)u;
    case GGUF_F32:
    case GGUF_F64: {
        double d = gguf_elem_num(v, i);
        return d >= -0x1p63 && d < 0x1p63 ? (int64_t)d : 0;
    }
    default:
        return (int64_t)u;
    }
}

double gguf_elem_num(const struct gguf_value *v, uint64_t i)
{
    if (v->type == GGUF_F32) {
        float f;
        memcpy(&f, v->data + 4 * i, 4);
        return f;
    }
    if (v->type == GGUF_F64) {
        double d;
        memcpy(&d, v->data + 8 * i, 8);
        return d;
    }
    if (v->type == GGUF_U64)
        return (double)load_le(v->data + 8 * i, 8);
    return (double)gguf_elem_int(v, i);
}

static err_code missing(const struct gguf *g, const char *key, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: key \"%s\" is missing", g->path, key);
}

static err_code wrong_kind(const struct gguf *g, const char *key, const char *kind, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: key \"%s\" should be %s", g->path, key, kind);
}

static bool is_int(const struct gguf_value *v)
{
    return !v->is_array && type_bytes(v->type) && v->type != GGUF_F32 && v->type != GGUF_F64 &&
           v->type != GGUF_BOOL;
}

err_code gguf_opt_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      struct err *e)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v))
        return ERR_OK;
    if (!is_int(&v))
        return wrong_kind(g, key, "a whole number", e);
    int64_t n = gguf_elem_int(&v, 0);
    if (v.type == GGUF_U64 && n < 0)
        return wrong_kind(g, key, "a whole number below 2^63", e);
    if (n < min || n > max)
        return err_set(e, ERR_FORMAT, "%s: key \"%s\" is %lld; it should be from %lld to %lld",
                       g->path, key, (long long)n, (long long)min, (long long)max);
    *out = n;
    return ERR_OK;
}

err_code gguf_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                  struct err *e)
{
    struct gguf_value v;
    return gguf_find(g, key, &v) ? gguf_opt_int(g, key, min, max, out, e) : missing(g, key, e);
}

err_code gguf_opt_num(const struct gguf *g, const char *key, double *out, struct err *e)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v))
        return ERR_OK;
    double d =
        v.is_array || !type_bytes(v.type) || v.type == GGUF_BOOL ? 0.0 / 0.0 : gguf_elem_num(&v, 0);
    if (!(d - d == 0))
        return wrong_kind(g, key, "a finite number", e);
    *out = d;
    return ERR_OK;
}

err_code gguf_num(const struct gguf *g, const char *key, double *out, struct err *e)
{
    struct gguf_value v;
    return gguf_find(g, key, &v) ? gguf_opt_num(g, key, out, e) : missing(g, key, e);
}

err_code gguf_opt_bool(const struct gguf *g, const char *key, bool *out, struct err *e)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v))
        return ERR_OK;
    if (v.is_array || v.type != GGUF_BOOL)
        return wrong_kind(g, key, "true or false", e);
    *out = v.data[0] != 0;
    return ERR_OK;
}

err_code gguf_str(const struct gguf *g, const char *key, const char **s, size_t *n, struct err *e)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v))
        return missing(g, key, e);
    if (v.is_array || v.type != GGUF_STR)
        return wrong_kind(g, key, "a string", e);
    uint64_t at = 0;
    gguf_next_str(&v, &at, s, n);
    return ERR_OK;
}

bool gguf_next_str(const struct gguf_value *array, uint64_t *at, const char **s, size_t *n)
{
    const uint8_t *p = array->data + *at;
    if (array->type != GGUF_STR || p == array->end)
        return false;
    *n = load_le(p, 8);
    *s = (const char *)p + 8;
    *at += 8 + *n;
    return true;
}

/* ---- tensors */

int64_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

void gguf_tensor_at(const struct gguf *g, int64_t i, const char **name, struct tensor *t,
                    uint32_t *ggml_type)
{
    *name = g->tensors[i].name;
    *t = g->tensors[i].t;
    if (ggml_type)
        *ggml_type = g->tensors[i].type;
}

int64_t gguf_tensor_find(const struct gguf *g, const char *name)
{
    return names_find(&g->tensor_names, name, strlen(name));
}

uint64_t gguf_tensor_bytes(const struct gguf *g, int64_t i)
{
    return g->tensors[i].n_bytes;
}
