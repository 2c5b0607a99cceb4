#include "dataset/records.h"
#include "core/base/file.h"
#include "core/base/passing.h"
#include "dataset/csv.h"
#include "dataset/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_RECORD_BYTES = 64 << 20, READ_BYTES = PASSING_READ_BYTES };

struct records {
    int fd;
    char *path;
    enum records_format format;
    struct buf window;  /* of the file; text before at was given out */
    size_t at;          /* the next byte to look at */
    bool end;           /* the file has no more */
    int64_t line;       /* of at, from 1 */
    bool begun, closed; /* an array's "[" and "]" were seen */
    struct csv_header header;
};

static const struct {
    const char *name, *suffix;
    enum records_format format;
} formats[] = {{"csv", ".csv", RECORDS_CSV},
               {"tsv", ".tsv", RECORDS_TSV},
               {"jsonl", NULL, RECORDS_JSONL}, /* of these two the text tells */
               {"json", NULL, RECORDS_ARRAY}};

bool records_format_of(const char *name, enum records_format *out)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i].name)) {
            *out = formats[i].format;
            return true;
        }
    return false;
}

static enum records_format format_by_suffix(const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t len = formats[i].suffix ? strlen(formats[i].suffix) : 0;
        if (len && n > len && !strcasecmp(path + n - len, formats[i].suffix))
            return formats[i].format;
    }
    return RECORDS_AUTO;
}

static err_code bad(const struct records *r, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s:%lld: %s", r->path, (long long)r->line, what);
}

/* Reads more into the window; what was given out makes room. *keep is an offset that moves along.
 */
static err_code refill(struct records *r, size_t *keep, struct err *e)
{
    if (*keep) {
        memmove(r->window.data, r->window.data + *keep, r->window.len - *keep);
        r->window.len -= *keep;
        r->at -= *keep;
        *keep = 0;
    }
    if (r->window.len > MAX_RECORD_BYTES)
        return bad(r,
                   r->format == RECORDS_JSONL
                       ? "a line over 64 MiB; is this JSONL, one object a line?"
                       : "a record over 64 MiB",
                   e);
    err_code rc = buf_reserve(&r->window, READ_BYTES, e);
    if (rc)
        return rc;
    ssize_t n;
    do
        n = passing_read(r->fd, r->window.data + r->window.len, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(e, "cannot read", r->path);
    r->end = n == 0;
    r->window.len += (size_t)n;
    r->window.data[r->window.len] = 0;
    return ERR_OK;
}

/* The byte at r->at, or -1 at the end of the file. */
static err_code peek(struct records *r, size_t *keep, int *c, struct err *e)
{
    while (r->at == r->window.len && !r->end) {
        err_code rc = refill(r, keep, e);
        if (rc)
            return rc;
    }
    *c = r->at < r->window.len ? (unsigned char)r->window.data[r->at] : -1;
    return ERR_OK;
}

static err_code skip_space(struct records *r, int *c, struct err *e)
{
    for (;; r->at++) {
        size_t keep = r->at;
        err_code rc = peek(r, &keep, c, e);
        if (rc || *c < 0 || !strchr(" \t\r\n", *c) || !*c)
            return rc;
        r->line += *c == '\n';
    }
}

/* The next line, without its end. */
static err_code next_line(struct records *r, struct record *out, bool *more, struct err *e)
{
    size_t from = r->at;
    for (;;) {
        char *end = memchr(r->window.data + r->at, '\n', r->window.len - r->at);
        r->at = end ? (size_t)(end - r->window.data) : r->window.len;
        if (end || r->end)
            break;
        err_code rc = refill(r, &from, e);
        if (rc)
            return rc;
    }
    *out = (struct record){r->window.data + from, r->at - from, r->line};
    if (out->n > MAX_RECORD_BYTES)
        return bad(r, "a line over 64 MiB; is this JSONL, one object a line?", e);
    *more = r->at < r->window.len || out->n > 0;
    if (r->at < r->window.len) {
        r->at++;
        r->line++;
    }
    return ERR_OK;
}

static bool is_blank(const struct record *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->text[i] != ' ' && t->text[i] != '\t' && t->text[i] != '\r')
            return false;
    return true;
}

/* A CSV row: lines, until the quotes are even. A quote opens only where a field begins, or behind
 * the one that closed it; elsewhere it is an error of its own row, and takes no other rows along.
 */
static err_code next_row(struct records *r, struct record *out, bool *more, struct err *e)
{
    size_t from = r->at;
    int64_t line = r->line;
    int separator = r->format == RECORDS_TSV ? '\t' : ',';
    bool quoted = false, may_open = true;
    for (;; r->at++) {
        int c;
        err_code rc = peek(r, &from, &c, e);
        if (rc)
            return rc;
        if (c < 0 || (c == '\n' && !quoted))
            break;
        if (c == '"' && (quoted || may_open)) {
            quoted = !quoted;
            may_open = true;
        } else
            may_open = c == separator;
        r->line += c == '\n';
    }
    if (quoted)
        return err_set(e, ERR_FORMAT,
                       "%s:%lld: a quoted field that does not end; double the quotes within fields",
                       r->path, (long long)line);
    *out = (struct record){r->window.data + from, r->at - from, line};
    *more = r->at < r->window.len || out->n > 0;
    if (r->at < r->window.len) {
        r->at++;
        r->line++;
    }
    if (out->n && out->text[out->n - 1] == '\r')
        out->n--;
    return ERR_OK;
}

/* Moves to the array's next element, over brackets and commas; *c is its first byte, or -1 behind
 * the array's end. */
static err_code find_element(struct records *r, int *c, struct err *e)
{
    err_code rc = skip_space(r, c, e);
    bool first = !r->begun;
    if (rc)
        return rc;
    if (r->closed)
        return *c < 0 ? ERR_OK : bad(r, "text after the array", e);
    if (*c < 0)
        return bad(r, "the array does not end; is the file cut?", e);
    if (first && *c != '[')
        return bad(r, "should start with \"[\": a JSON array of objects", e);
    if (!first && *c != ',' && *c != ']')
        return bad(r, "a comma is missing", e);
    r->begun = true;
    r->closed = *c == ']';
    r->at++;
    rc = skip_space(r, c, e);
    if (rc || (r->closed && *c < 0))
        return rc;
    if (r->closed)
        return bad(r, "text after the array", e);
    if (first && *c == ']') {
        r->closed = true;
        r->at++;
        rc = skip_space(r, c, e);
        return rc || *c < 0 ? rc : bad(r, "text after the array", e);
    }
    return *c == '{'   ? ERR_OK
           : *c == ']' ? bad(r, "a comma before the array's end", e)
           : *c < 0    ? bad(r, "the array does not end; is the file cut?", e)
                       : bad(r, "not a JSON object; the array should hold objects", e);
}

/* An array's element: everything up to the bracket that closes it. */
static err_code next_element(struct records *r, struct record *out, bool *more, struct err *e)
{
    int c, depth = 0;
    *more = false;
    err_code rc = find_element(r, &c, e);
    if (rc || c < 0)
        return rc;
    size_t from = r->at;
    int64_t line = r->line;
    for (bool quoted = false;; r->at++) {
        if ((rc = peek(r, &from, &c, e)))
            return rc;
        if (c == '\\' && quoted) {
            r->at++; /* the next byte can't end the string */
            if ((rc = peek(r, &from, &c, e)))
                return rc;
        } else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0)
            break;
        if (c < 0)
            return err_set(e, ERR_FORMAT, "%s:%lld: an object that does not end; is the file cut?",
                           r->path, (long long)line);
        r->line += c == '\n';
    }
    r->at++;
    *out = (struct record){r->window.data + from, r->at - from, line};
    *more = true;
    return ERR_OK;
}

err_code records_next(struct records *r, struct record *out, bool *more, struct err *e)
{
    *more = false;
    if (r->format == RECORDS_ARRAY)
        return next_element(r, out, more, e);
    do {
        err_code rc =
            r->format == RECORDS_JSONL ? next_line(r, out, more, e) : next_row(r, out, more, e);
        if (rc)
            *more = false;
        if (rc || !*more)
            return rc;
    } while (is_blank(out));
    return ERR_OK;
}

/* Skips the byte order mark, settles the format, reads a CSV's header. */
static err_code begin(struct records *r, struct err *e)
{
    int c;
    size_t keep = 0;
    err_code rc = peek(r, &keep, &c, e);
    if (!rc && r->window.len >= 3 && !memcmp(r->window.data, "\xEF\xBB\xBF", 3))
        r->at = 3;
    if (!rc && r->format == RECORDS_AUTO) {
        size_t i = r->at;
        while (i < r->window.len && strchr(" \t\r\n", r->window.data[i]) && r->window.data[i])
            i++;
        r->format = i < r->window.len && r->window.data[i] == '[' ? RECORDS_ARRAY : RECORDS_JSONL;
    }
    if (rc || r->format < RECORDS_CSV)
        return rc;
    struct record head;
    bool more;
    rc = records_next(r, &head, &more, e);
    if (!rc && !more)
        rc = bad(r, "an empty file; the first line should name the columns", e);
    char place[RECORD_PLACE];
    snprintf(place, sizeof place, "%.500s:%lld", r->path, more ? (long long)head.line : 1);
    return rc ? rc
              : csv_read_header(&r->header, place, head.text, head.n,
                                r->format == RECORDS_TSV ? '\t' : ',', e);
}

err_code records_open(const char *path, enum records_format format, struct records **out,
                      struct err *e)
{
    *out = NULL;
    if (file_is_dir(path))
        return err_set(e, ERR_IO, "%s: a directory; give a JSONL, JSON or CSV file", path);
    struct records *r = mem_new(1, sizeof *r, e);
    if (!r)
        return ERR_NOMEM;
    r->line = 1;
    r->format = format == RECORDS_AUTO ? format_by_suffix(path) : format;
    r->path = mem_strdup(path, e);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    err_code rc = !r->path ? ERR_NOMEM : r->fd < 0 ? err_errno(e, "cannot open", path) : ERR_OK;
    if (!rc)
        rc = begin(r, e);
    if (rc) {
        records_close(r);
        return rc;
    }
    *out = r;
    return ERR_OK;
}

void records_close(struct records *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    csv_dispose_header(&r->header);
    buf_dispose(&r->window);
    mem_free(r->path);
    mem_free(r);
}

const char *records_path(const struct records *r)
{
    return r->path;
}

/* JSON's \u0000 would end a C string early. Backslashes are counted in pairs. */
static bool has_nul_escape(const char *s, size_t n)
{
    const char *end = s + n;
    if (!memmem(s, n, "\\u0000", 6))
        return false;
    while ((s = memchr(s, '\\', (size_t)(end - s))) && end - s >= 2) {
        if (end - s >= 6 && !memcmp(s + 1, "u0000", 5))
            return true;
        s += 2;
    }
    return false;
}

static err_code check_text(const char *place, const char *text, size_t n, struct err *e)
{
    size_t valid = utf8_valid(text, n);
    if (valid == n)
        return ERR_OK;
    return text[valid] ? err_set(e, ERR_FORMAT,
                                 "%s: byte %zu is not valid UTF-8; convert the file, for "
                                 "example with iconv -t UTF-8",
                                 place, valid + 1)
                       : err_set(e, ERR_FORMAT, "%s: a NUL byte; is this a text file?", place);
}

static err_code parse_object(const char *place, const struct record *record,
                             struct json_arena *arena, const cJSON **root, struct err *e)
{
    const char *text = record->text;
    size_t n = record->n;
    err_code rc = ERR_OK;
    *root = record->spare ? json_arena_quick(arena, text, n) : NULL;
    if (!*root && has_nul_escape(text, n))
        return err_set(e, ERR_FORMAT, "%s: \\u0000 in a string; take it out", place);
    if (!*root)
        rc = json_arena_parse(arena, place, text, n, root, e);
    if (rc == ERR_FORMAT) {
        int column = 0; /* the line's own; its number is in the place already */
        const char *at = strstr(e ? e->msg : "", "column ");
        column = at && sscanf(at, "column %d", &column) == 1 ? column : 0;
        return err_set(e, ERR_FORMAT,
                       "%s: not valid JSON at column %d; each line should be an object, "
                       "such as {\"prompt\": \"...\", \"answer\": \"...\"}",
                       place, column);
    }
    if (!rc && !cJSON_IsObject(*root))
        rc = err_set(e, ERR_FORMAT,
                     "%s: not a JSON object; each line should be one, such as {\"prompt\": "
                     "\"...\"}",
                     place);
    return rc;
}

err_code record_parse(const struct records *r, const struct record *record,
                      char place[RECORD_PLACE], struct json_arena *arena, const cJSON **root,
                      struct err *e)
{
    snprintf(place, RECORD_PLACE, "%.500s:%lld", r->path, (long long)record->line);
    err_code rc = check_text(place, record->text, record->n, e);
    if (rc || r->format < RECORDS_CSV)
        return rc ? rc : parse_object(place, record, arena, root, e);
    json_close(&arena->slow);
    rc = csv_read_row(&r->header, place, record->text, record->n, &arena->slow, e);
    *root = arena->slow.root;
    return rc;
}
