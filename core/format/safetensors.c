#include "core/format/safetensors.h"
#include "core/base/json.h"
#include "core/base/json_scan.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER_BYTES = 100000000, HEADER_ALIGN = 8 };

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* One more dimension of a tensor that had *n elements; false when that is too much to be real. */
static bool add_dim(struct tensor *t, uint64_t d, uint64_t *n)
{
    if (!mem_mul(*n, d, n) || *n > INT64_MAX / 16)
        return false;
    if (t->n_dims < TENSOR_MAX_DIMS) {
        t->shape[t->n_dims++] = (int64_t)d;
        return true;
    }
    int64_t *last = &t->shape[TENSOR_MAX_DIMS - 1];
    return !__builtin_mul_overflow(*last, (int64_t)d, last);
}

/* What n elements of the tensor's dtype take; 0 when decant cannot tell. */
static uint64_t bytes_needed(const struct st_entry *en, uint64_t n)
{
    return n * (uint64_t)dtype_info(en->tensor.dtype)->block_bytes;
}

/* ---- the quick way to read a header: plain ones, which all programs write */

/* inline: the compiler then compares with the word's bytes */
static inline bool is(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && !memcmp(text, word, strlen(word));
}

static bool scan_dtype(struct json_scan *j, struct st_entry *en)
{
    const char *text;
    size_t n;
    if (!json_scan_str(j, &text, &n) || n >= sizeof en->dtype_name)
        return false;
    memcpy(en->dtype_name, text, n);
    en->tensor.dtype = dtype_from_hf(en->dtype_name);
    return true;
}

static bool scan_shape(struct json_scan *j, struct tensor *t, uint64_t *n)
{
    uint64_t d;
    if (!json_scan_char(j, '['))
        return false;
    if (json_scan_char(j, ']'))
        return true;
    do
        if (!json_scan_size(j, &d) || !add_dim(t, d, n))
            return false;
    while (json_scan_char(j, ','));
    return json_scan_char(j, ']');
}

static bool scan_offsets(struct json_scan *j, struct st_entry *en)
{
    uint64_t end;
    if (!json_scan_char(j, '[') || !json_scan_size(j, &en->offset) || !json_scan_char(j, ',') ||
        !json_scan_size(j, &end) || !json_scan_char(j, ']') || en->offset > end)
        return false;
    en->n_bytes = end - en->offset;
    return true;
}

static bool scan_entry(struct json_scan *j, struct st_entry *en)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    int seen = 0;
    uint64_t n_elems = 1;
    if (!json_scan_char(j, '{'))
        return false;
    do {
        const char *key;
        size_t n;
        if (!json_scan_key(j, &key, &n))
            return false;
        int what = is(key, n, "dtype")          ? DTYPE
                   : is(key, n, "shape")        ? SHAPE
                   : is(key, n, "data_offsets") ? OFFSETS
                                                : 0;
        if (!what || seen & what ||
            !(what == DTYPE   ? scan_dtype(j, en)
              : what == SHAPE ? scan_shape(j, &en->tensor, &n_elems)
                              : scan_offsets(j, en)))
            return false;
        seen |= what;
    } while (json_scan_char(j, ','));
    en->tensor.ld = tensor_cols(&en->tensor);
    return seen == (DTYPE | SHAPE | OFFSETS) && json_scan_char(j, '}') &&
           (en->tensor.dtype == DT_NONE || en->n_bytes == bytes_needed(en, n_elems));
}

/* The next entry, its name copied to *names, which has room. */
static struct st_entry *new_entry(struct safetensors *s, int64_t *cap, char **names,
                                  const char *name, size_t n)
{
    if (s->n_entries == *cap) {
        int64_t more = 2 * *cap + 256;
        if (mem_grow((void **)&s->entries, (size_t)more, sizeof *s->entries, NULL))
            return NULL;
        *cap = more;
    }
    struct st_entry *en = &s->entries[s->n_entries++];
    *en = (struct st_entry){.name = memcpy(*names, name, n)};
    (*names)[n] = 0;
    *names += n + 1;
    return en;
}

/* False: it is not plain, or something is wrong with it. */
static bool scan_entries(struct safetensors *s, const char *text, size_t n_text)
{
    struct json_scan j = {text, text + n_text};
    int64_t cap = 0;
    char *names = s->names;
    if (!json_scan_char(&j, '{'))
        return false;
    if (json_scan_char(&j, '}'))
        return json_scan_end(&j);
    do {
        const char *name;
        size_t n;
        if (!json_scan_key(&j, &name, &n))
            return false;
        if (is(name, n, "__metadata__")) {
            if (!json_scan_skip_object(&j))
                return false;
            continue;
        }
        struct st_entry *en = new_entry(s, &cap, &names, name, n);
        if (!en || !scan_entry(&j, en))
            return false;
    } while (json_scan_char(&j, ','));
    return json_scan_char(&j, '}') && json_scan_end(&j);
}

static bool scan_header(struct safetensors *s, const char *text, size_t n)
{
    /* its names take fewer bytes than the header; what is not used of it is not touched */
    if (!mem_grow((void **)&s->names, n, 1, NULL) && scan_entries(s, text, n))
        return true;
    mem_free(s->entries);
    mem_free(s->names);
    s->entries = NULL;
    s->names = NULL;
    s->n_entries = 0;
    return false;
}

/* ---- the thorough way, which says what is wrong */

static bool whole_number(const cJSON *v, uint64_t *out)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble < 0x1p53) ||
        v->valuedouble != (double)(uint64_t)v->valuedouble)
        return false;
    *out = (uint64_t)v->valuedouble;
    return true;
}

/* Fills the tensor's dtype and shape from the header; *n_bytes: what they need, 0 when decant
 * cannot tell (an unknown dtype). */
static err_code parse_shape(const char *path, struct st_entry *en, const cJSON *dtype,
                            const cJSON *shape, uint64_t *n_bytes, struct err *e)
{
    if (!cJSON_IsString(dtype) || strlen(dtype->valuestring) >= sizeof en->dtype_name)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has no valid \"dtype\"", path, en->name);
    strcpy(en->dtype_name, dtype->valuestring);
    if (!cJSON_IsArray(shape))
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has no valid \"shape\"", path, en->name);
    struct tensor *t = &en->tensor;
    t->dtype = dtype_from_hf(en->dtype_name);
    uint64_t n = 1;
    const cJSON *dim;
    cJSON_ArrayForEach(dim, shape)
    {
        uint64_t d;
        if (!whole_number(dim, &d))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has a dimension that is no size", path,
                           en->name);
        if (!add_dim(t, d, &n))
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has a shape too large to be real",
                           path, en->name);
    }
    *n_bytes = bytes_needed(en, n);
    t->ld = tensor_cols(t);
    return ERR_OK;
}

static err_code parse_entry(const struct safetensors *s, struct st_entry *en, const cJSON *node,
                            struct err *e)
{
    const cJSON *offsets = json_at(node, "data_offsets");
    uint64_t begin, end, need = 0;
    err_code rc =
        parse_shape(s->path, en, json_at(node, "dtype"), json_at(node, "shape"), &need, e);
    if (rc)
        return rc;
    const cJSON *first = cJSON_IsArray(offsets) ? offsets->child : NULL;
    if (!first || !first->next || first->next->next || !whole_number(first, &begin) ||
        !whole_number(first->next, &end) || begin > end)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" has no valid \"data_offsets\"", s->path,
                       en->name);
    en->offset = begin;
    en->n_bytes = end - begin;
    if (en->tensor.dtype != DT_NONE && need != en->n_bytes)
        return err_set(
            e, ERR_FORMAT,
            "%s: tensor \"%s\" takes %llu bytes by its shape and dtype, %llu by its offsets",
            s->path, en->name, (unsigned long long)need, (unsigned long long)en->n_bytes);
    return ERR_OK;
}

static err_code parse_entries(struct safetensors *s, const cJSON *root, struct err *e)
{
    if (!cJSON_IsObject(root))
        return err_set(e, ERR_FORMAT, "%s: the header is not a JSON object", s->path);
    size_t n_names = 0;
    const cJSON *node;
    cJSON_ArrayForEach(node, root) n_names += strlen(node->string) + 1;
    if (!(s->entries = mem_new((size_t)cJSON_GetArraySize(root), sizeof *s->entries, e)) ||
        !(s->names = mem_new(n_names, 1, e)))
        return ERR_NOMEM;
    char *name = s->names;
    cJSON_ArrayForEach(node, root)
    {
        if (!strcmp(node->string, "__metadata__"))
            continue;
        struct st_entry *en = &s->entries[s->n_entries++];
        en->name = strcpy(name, node->string);
        name += strlen(name) + 1;
        err_code rc = parse_entry(s, en, node, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static err_code parse_header(struct safetensors *s, const char *text, size_t n, struct err *e)
{
    struct json j = {0};
    struct buf name = {0};
    err_code rc = buf_printf(&name, e, "%s (header)", s->path);
    if (!rc)
        rc = json_parse(&j, name.data, text, n, e);
    if (!rc)
        rc = parse_entries(s, j.root, e);
    json_close(&j);
    buf_dispose(&name);
    return rc;
}

/* ---- both */

static int by_offset(const void *pa, const void *pb)
{
    const struct st_entry *a = pa, *b = pb;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

err_code st_double_name(const struct safetensors *s, const char *name, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" stands there twice", s->path, name);
}

/* Sorts the entries; checks that they cover the data exactly; sets their pointers. */
static err_code place_entries(struct safetensors *s, const uint8_t *data, uint64_t n_data,
                              struct err *e)
{
    bool in_order = true; /* mostly they are */
    for (int64_t i = 1; i < s->n_entries && in_order; i++)
        in_order = by_offset(&s->entries[i - 1], &s->entries[i]) <= 0;
    if (!in_order)
        qsort(s->entries, (size_t)s->n_entries, sizeof *s->entries, by_offset);
    uint64_t at = 0;
    for (int64_t i = 0; i < s->n_entries; i++) {
        struct st_entry *en = &s->entries[i];
        if (en->offset != at && i && !strcmp(en->name, en[-1].name))
            return st_double_name(s, en->name, e);
        if (en->offset != at)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" %s (offset %llu, expected %llu)",
                           s->path, en->name,
                           en->offset < at ? "overlaps another" : "leaves a gap before it",
                           (unsigned long long)en->offset, (unsigned long long)at);
        if (en->n_bytes > n_data - at)
            return err_set(e, ERR_FORMAT,
                           "%s: tensor \"%s\" ends %llu bytes after the file's end; "
                           "is the file complete?",
                           s->path, en->name, (unsigned long long)(en->n_bytes - (n_data - at)));
        at += en->n_bytes;
        if (en->tensor.dtype != DT_NONE)
            en->tensor.data = (void *)(data + en->offset);
    }
    if (at != n_data)
        return err_set(e, ERR_FORMAT, "%s: %llu bytes at the end belong to no tensor", s->path,
                       (unsigned long long)(n_data - at));
    return ERR_OK;
}

err_code st_names(const struct safetensors *s, struct names *names, struct err *e)
{
    err_code rc = names_reserve(names, s->n_entries, e);
    for (int64_t i = 0; i < s->n_entries && !rc; i++) {
        const char *name = s->entries[i].name;
        if (names_add(names, name, strlen(name), i) >= 0)
            rc = st_double_name(s, name, e);
    }
    return rc;
}

err_code st_open(struct safetensors *s, const char *path, struct err *e)
{
    struct names names = {0};
    err_code rc = st_open_unchecked(s, path, e);
    if (!rc && (rc = st_names(s, &names, e)))
        st_close(s);
    names_dispose(&names);
    return rc;
}

err_code st_open_unchecked(struct safetensors *s, const char *path, struct err *e)
{
    memset(s, 0, sizeof *s);
    err_code rc = ERR_NOMEM;
    if (!(s->path = mem_strdup(path, e)) || (rc = file_map_open(&s->map, path, e)))
        goto done;
    uint64_t n_header = s->map.size >= 8 ? load_u64(s->map.data) : 0;
    if (s->map.size < 8 || n_header > s->map.size - 8) {
        rc = err_set(e, ERR_FORMAT,
                     "%s: the header would go past the file's end (%zu bytes); not a "
                     "safetensors file, or cut short",
                     path, s->map.size);
        goto done;
    }
    if (n_header > MAX_HEADER_BYTES || n_header < 2 || s->map.data[8] != '{') {
        rc = err_set(e, ERR_FORMAT, "%s: no safetensors header (a JSON object of at most 100 MB)",
                     path);
        goto done;
    }
    const char *header = (const char *)s->map.data + 8;
    rc = scan_header(s, header, n_header) ? ERR_OK : parse_header(s, header, n_header, e);
    if (!rc)
        rc = place_entries(s, s->map.data + 8 + n_header, s->map.size - 8 - n_header, e);
done:
    if (rc)
        st_close(s);
    return rc;
}

void st_close(struct safetensors *s)
{
    if (!s)
        return;
    mem_free(s->entries);
    mem_free(s->names);
    mem_free(s->path);
    file_map_close(&s->map);
    memset(s, 0, sizeof *s);
}

/* ---- writing */

struct st_writer {
    struct file_writer file;
    struct buf metadata, tensors; /* the inside of "__metadata__"; the entries, comma-separated */
    struct buf tensor_names;      /* NUL-terminated, for the check of doubles */
    int64_t n_tensors;
    uint64_t n_data, n_written; /* bytes declared, bytes written */
    bool data_begun;
};

err_code st_writer_open(struct st_writer **out, const char *path, struct err *e)
{
    *out = NULL;
    struct st_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return ERR_NOMEM;
    err_code rc = file_writer_open(&w->file, path, e);
    if (rc)
        st_writer_close(w);
    else
        *out = w;
    return rc;
}

static err_code declare(const struct st_writer *w, struct err *e)
{
    if (w->data_begun)
        return err_set(e, ERR_STATE, "%s: declared after st_begin_data", w->file.path);
    return ERR_OK;
}

err_code st_add_tensor(struct st_writer *w, const char *name, enum dtype t, int n_dims,
                       const int64_t *shape, struct err *e)
{
    err_code rc = declare(w, e);
    const struct dtype_info *in = dtype_info(t);
    if (rc)
        return rc;
    if (!in->hf_name)
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor \"%s\": safetensors has no dtype %s",
                       w->file.path, name, in->name);
    uint64_t n = (uint64_t)in->block_bytes, end = 0;
    bool fits = true;
    for (int i = 0; i < n_dims; i++)
        fits = fits && shape[i] >= 0 && mem_mul(n, (uint64_t)shape[i], &n);
    if (!fits || !mem_add(w->n_data, n, &end))
        return err_set(e, ERR_USAGE, "%s: tensor \"%s\" has an impossible shape", w->file.path,
                       name);
    rc = buf_str(&w->tensors, w->n_tensors ? "," : "", e);
    if (!rc)
        rc = json_quote(&w->tensors, name, strlen(name), e);
    if (!rc)
        rc = buf_printf(&w->tensors, e, ":{\"dtype\":\"%s\",\"shape\":[", in->hf_name);
    for (int i = 0; i < n_dims && !rc; i++)
        rc = buf_printf(&w->tensors, e, "%s%lld", i ? "," : "", (long long)shape[i]);
    if (!rc)
        rc = buf_printf(&w->tensors, e, "],\"data_offsets\":[%llu,%llu]}",
                        (unsigned long long)w->n_data, (unsigned long long)end);
    if (!rc)
        rc = buf_add(&w->tensor_names, name, strlen(name) + 1, e);
    w->n_data = end;
    w->n_tensors++;
    return rc;
}

err_code st_add_metadata(struct st_writer *w, const char *key, const char *value, struct err *e)
{
    err_code rc = declare(w, e);
    if (!rc && w->metadata.len)
        rc = buf_str(&w->metadata, ",", e);
    if (!rc)
        rc = json_quote(&w->metadata, key, strlen(key), e);
    if (!rc)
        rc = buf_str(&w->metadata, ":", e);
    if (!rc)
        rc = json_quote(&w->metadata, value, strlen(value), e);
    return rc;
}

static err_code check_declared(const struct st_writer *w, struct err *e)
{
    struct names x = {0};
    err_code rc = names_reserve(&x, w->n_tensors, e);
    const char *s = w->tensor_names.data;
    for (int64_t i = 0; i < w->n_tensors && !rc; i++, s += strlen(s) + 1)
        if (names_add(&x, s, strlen(s), i) >= 0)
            rc = err_set(e, ERR_USAGE, "%s: tensor \"%s\" was declared twice", w->file.path, s);
    names_dispose(&x);
    return rc;
}

err_code st_begin_data(struct st_writer *w, struct err *e)
{
    struct buf h = {0};
    err_code rc = declare(w, e);
    if (!rc)
        rc = check_declared(w, e);
    if (!rc)
        rc = buf_str(&h, "{", e);
    if (!rc && w->metadata.len)
        rc =
            buf_printf(&h, e, "\"__metadata__\":{%s}%s", w->metadata.data, w->n_tensors ? "," : "");
    if (!rc && w->n_tensors)
        rc = buf_add(&h, w->tensors.data, w->tensors.len, e);
    if (!rc)
        rc = buf_str(&h, "}", e);
    while (!rc && h.len % HEADER_ALIGN)
        rc = buf_str(&h, " ", e);
    if (!rc && h.len > MAX_HEADER_BYTES)
        rc = err_set(e, ERR_UNSUPPORTED, "%s: too many tensors for one safetensors file",
                     w->file.path);
    uint8_t n[8];
    for (int i = 0; i < 8; i++)
        n[i] = (uint8_t)((uint64_t)h.len >> 8 * i);
    if (!rc)
        rc = file_writer_add(&w->file, n, 8, e);
    if (!rc)
        rc = file_writer_add(&w->file, h.data, h.len, e);
    w->data_begun = !rc;
    buf_dispose(&h);
    return rc;
}

err_code st_write(struct st_writer *w, const void *data, size_t n, struct err *e)
{
    if (!w->data_begun || n > w->n_data - w->n_written)
        return err_set(e, ERR_STATE, "%s: more bytes than the declared tensors take", w->file.path);
    w->n_written += n;
    return file_writer_add(&w->file, data, n, e);
}

err_code st_commit(struct st_writer *w, struct err *e)
{
    if (!w->data_begun || w->n_written != w->n_data)
        return err_set(e, ERR_STATE, "%s: %llu of %llu bytes were written", w->file.path,
                       (unsigned long long)w->n_written, (unsigned long long)w->n_data);
    return file_writer_commit(&w->file, e);
}

void st_writer_close(struct st_writer *w)
{
    if (!w)
        return;
    file_writer_close(&w->file);
    buf_dispose(&w->metadata);
    buf_dispose(&w->tensors);
    buf_dispose(&w->tensor_names);
    mem_free(w);
}
