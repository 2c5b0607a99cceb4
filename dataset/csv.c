#include "dataset/csv.h"

#include <string.h>

enum { MAX_COLUMNS = 4096 };

/* The field at *at, unquoted, into out; *at moves to the separator behind it, or to the end. */
static err_code read_field(const char *place, const char *text, size_t n, char separator,
                           size_t *at, struct buf *out, struct err *e)
{
    size_t i = *at;
    buf_clear(out);
    err_code rc = buf_str(out, "", e);
    if (rc || i >= n || text[i] != '"') {
        const char *end = i < n ? memchr(text + i, separator, n - i) : NULL;
        size_t len = end ? (size_t)(end - text) - i : n - i;
        if (!rc && memchr(text + i, '"', len))
            rc = err_set(e, ERR_FORMAT,
                         "%s: a quote within a field that is not quoted; put the whole field in "
                         "quotes and double those inside",
                         place);
        *at = i + len;
        return rc ? rc : buf_add(out, text + i, len, e);
    }
    for (i++; !rc;) {
        const char *quote = memchr(text + i, '"', n - i);
        if (!quote)
            return err_set(e, ERR_FORMAT, "%s: a quoted field that does not end", place);
        size_t len = (size_t)(quote - text) - i;
        rc = buf_add(out, text + i, len, e);
        i += len + 1;
        if (i < n && text[i] == '"') {
            rc = rc ? rc : buf_str(out, "\"", e);
            i++;
        } else
            break;
    }
    if (!rc && i < n && text[i] != separator)
        rc = err_set(e, ERR_FORMAT, "%s: text after a field's closing quote", place);
    *at = i;
    return rc;
}

err_code csv_read_header(struct csv_header *h, const char *place, const char *text, size_t n,
                         char separator, struct err *e)
{
    struct buf field = {0};
    err_code rc = ERR_OK;
    h->separator = separator;
    for (size_t at = 0; !rc; at++) {
        rc = read_field(place, text, n, separator, &at, &field, e);
        if (!rc && !field.len)
            rc = err_set(e, ERR_FORMAT, "%s: column %d has no name", place, h->n + 1);
        for (int i = 0; i < h->n && !rc; i++)
            if (!strcmp(h->names[i], field.data))
                rc = err_set(e, ERR_FORMAT, "%s: two columns are called \"%.100s\"", place,
                             field.data);
        if (!rc && h->n == MAX_COLUMNS)
            rc = err_set(e, ERR_FORMAT, "%s: over %d columns", place, MAX_COLUMNS);
        if (!rc)
            rc = mem_grow((void **)&h->names, (size_t)h->n + 1, sizeof *h->names, e);
        if (!rc) {
            h->names[h->n] = mem_strdup(field.data, e);
            rc = h->names[h->n] ? ERR_OK : ERR_NOMEM;
            h->n += !rc;
        }
        if (at >= n)
            break;
    }
    buf_dispose(&field);
    const char *other = !rc && h->n == 1 ? strpbrk(h->names[0], ";\t") : NULL;
    if (other && *other != separator)
        rc = err_set(e, ERR_FORMAT, "%s: one column, \"%.100s\"; columns separated by %s", place,
                     h->names[0],
                     *other == '\t' ? "tabs are read from a file called .tsv"
                                    : "\";\" are not read: put commas or tabs there");
    return rc;
}

static err_code add_field(const struct csv_header *h, const char *place, int i,
                          const struct buf *field, cJSON *object, struct err *e)
{
    if (i >= h->n)
        return err_set(e, ERR_FORMAT,
                       "%s: more than the header's %d fields; is a field with a separator or a "
                       "line end unquoted?",
                       place, h->n);
    return cJSON_AddStringToObject(object, h->names[i], field->data)
               ? ERR_OK
               : err_set(e, ERR_NOMEM, "%s: out of memory", place);
}

err_code csv_read_row(const struct csv_header *h, const char *place, const char *text, size_t n,
                      struct json *json, struct err *e)
{
    struct buf field = {0};
    int i = 0;
    json->root = cJSON_CreateObject();
    json->name = mem_strdup(place, e);
    err_code rc =
        json->root && json->name ? ERR_OK : err_set(e, ERR_NOMEM, "%s: out of memory", place);
    for (size_t at = 0; !rc; at++) {
        rc = read_field(place, text, n, h->separator, &at, &field, e);
        if (!rc)
            rc = add_field(h, place, i++, &field, json->root, e);
        if (at >= n)
            break;
    }
    if (!rc && i < h->n)
        rc = err_set(e, ERR_FORMAT, "%s: %d of the header's %d fields", place, i, h->n);
    buf_dispose(&field);
    return rc;
}

void csv_dispose_header(struct csv_header *h)
{
    for (int i = 0; i < h->n; i++)
        mem_free(h->names[i]);
    mem_free(h->names);
    memset(h, 0, sizeof *h);
}
