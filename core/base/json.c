#include "core/base/json.h"
#include "core/base/file.h"

#include <math.h>
#include <string.h>

static err_code syntax_error(const char *name, const char *text, size_t at, struct err *e)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(e, ERR_FORMAT, "%s: not valid JSON at line %zu, column %zu", name, line, column);
}

/* text[n] must be readable and NUL: cJSON before 1.7.18 looks one byte past a text that ends in a
 * comma. */
static err_code parse(struct json *j, const char *name, const char *text, size_t n, struct err *e)
{
    memset(j, 0, sizeof *j);
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, n, &end, false);
    size_t at = end && end >= text && end <= text + n ? (size_t)(end - text) : 0;
    if (!root)
        return syntax_error(name, text, at, e);
    for (; at < n; at++)
        if (!strchr(" \t\r\n", text[at]) || !text[at]) {
            cJSON_Delete(root);
            return syntax_error(name, text, at, e);
        }
    j->root = root;
    j->name = mem_strdup(name, e);
    if (!j->name) {
        json_close(j);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

err_code json_open(struct json *j, const char *path, size_t max_bytes, struct err *e)
{
    memset(j, 0, sizeof *j);
    struct buf text = {0};
    err_code rc = file_read(path, max_bytes, &text, e);
    if (!rc)
        rc = parse(j, path, text.data, text.len, e);
    buf_dispose(&text);
    return rc;
}

err_code json_parse(struct json *j, const char *name, const char *text, size_t n, struct err *e)
{
    memset(j, 0, sizeof *j);
    struct buf copy = {0};
    err_code rc = buf_add(&copy, text, n, e);
    if (!rc)
        rc = parse(j, name, copy.data, n, e);
    buf_dispose(&copy);
    return rc;
}

void json_close(struct json *j)
{
    if (!j)
        return;
    cJSON_Delete(j->root);
    mem_free(j->name);
    memset(j, 0, sizeof *j);
}

const cJSON *json_at(const cJSON *node, const char *path)
{
    char key[256];
    while (node) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof key || !cJSON_IsObject(node))
            return NULL;
        memcpy(key, path, n);
        key[n] = 0;
        node = cJSON_GetObjectItemCaseSensitive(node, key);
        if (!path[n])
            break;
        path += n + 1;
    }
    return cJSON_IsNull(node) ? NULL : node;
}

static err_code missing(const struct json *j, const char *path, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing", j->name, path);
}

static err_code wrong_kind(const struct json *j, const char *path, const char *kind, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: \"%s\" should be %s", j->name, path, kind);
}

err_code json_opt_int(const struct json *j, const cJSON *node, const char *path, int64_t min,
                      int64_t max, int64_t *out, struct err *e)
{
    const cJSON *v = json_at(node, path);
    if (!v)
        return ERR_OK;
    if (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble) ||
        fabs(v->valuedouble) >= 0x1p53 /* from there on doubles skip some */)
        return wrong_kind(j, path, "a whole number", e);
    int64_t n = (int64_t)v->valuedouble;
    if (n < min || n > max)
        return err_set(e, ERR_FORMAT, "%s: \"%s\" is %lld; it should be from %lld to %lld", j->name,
                       path, (long long)n, (long long)min, (long long)max);
    *out = n;
    return ERR_OK;
}

err_code json_opt_num(const struct json *j, const cJSON *node, const char *path, double *out,
                      struct err *e)
{
    const cJSON *v = json_at(node, path);
    if (!v)
        return ERR_OK;
    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        return wrong_kind(j, path, "a number", e);
    *out = v->valuedouble;
    return ERR_OK;
}

err_code json_opt_str(const struct json *j, const cJSON *node, const char *path, const char **out,
                      struct err *e)
{
    const cJSON *v = json_at(node, path);
    if (!v)
        return ERR_OK;
    if (!cJSON_IsString(v))
        return wrong_kind(j, path, "a string", e);
    *out = v->valuestring;
    return ERR_OK;
}

err_code json_opt_bool(const struct json *j, const cJSON *node, const char *path, bool *out,
                       struct err *e)
{
    const cJSON *v = json_at(node, path);
    if (!v)
        return ERR_OK;
    if (!cJSON_IsBool(v))
        return wrong_kind(j, path, "true or false", e);
    *out = cJSON_IsTrue(v);
    return ERR_OK;
}

err_code json_int(const struct json *j, const cJSON *node, const char *path, int64_t min,
                  int64_t max, int64_t *out, struct err *e)
{
    return json_at(node, path) ? json_opt_int(j, node, path, min, max, out, e)
                               : missing(j, path, e);
}

err_code json_num(const struct json *j, const cJSON *node, const char *path, double *out,
                  struct err *e)
{
    return json_at(node, path) ? json_opt_num(j, node, path, out, e) : missing(j, path, e);
}

err_code json_str(const struct json *j, const cJSON *node, const char *path, const char **out,
                  struct err *e)
{
    return json_at(node, path) ? json_opt_str(j, node, path, out, e) : missing(j, path, e);
}

err_code json_bool(const struct json *j, const cJSON *node, const char *path, bool *out,
                   struct err *e)
{
    return json_at(node, path) ? json_opt_bool(j, node, path, out, e) : missing(j, path, e);
}

/* Length of the UTF-8 sequence at s (1 to 4), or 0 when it is not valid. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xC2 && s[0] < 0xE0   ? 2
                 : (s[0] & 0xF0) == 0xE0       ? 3
                 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                               : 0;
    if (!len || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

/* Bytes that stand in a JSON string as they are: ASCII but for controls, DEL, quote, backslash. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static err_code quote_byte(struct buf *b, unsigned char c, struct err *e)
{
    static const char short_form[] = "\"\"\\\\\nn\tt\rr";
    for (const char *s = short_form; *s; s += 2)
        if ((unsigned char)s[0] == c) {
            char two[2] = {'\\', s[1]};
            return buf_add(b, two, 2, e);
        }
    return buf_printf(b, e, "\\u%04x", c);
}

err_code json_quote(struct buf *b, const char *s, size_t n, struct err *e)
{
    /* mostly the text fits as it is */
    err_code rc = n < SIZE_MAX / 2 ? buf_reserve(b, n + n / 16 + 16, e) : ERR_OK;
    if (!rc)
        rc = buf_add(b, "\"", 1, e);
    for (size_t i = 0; i < n && !rc;) {
        size_t from = i;
        bool valid = true;
        while (i < n && valid) {
            unsigned char c = (unsigned char)s[i];
            if (is_plain(c))
                i++;
            else if (c < 0x80)
                break;
            else {
                size_t len = utf8_len((const unsigned char *)s + i, n - i);
                valid = len > 0;
                i += len;
            }
        }
        rc = buf_add(b, s + from, i - from, e);
        if (i == n || rc)
            continue;
        rc = valid ? quote_byte(b, (unsigned char)s[i], e) : buf_add(b, "\xEF\xBF\xBD", 3, e);
        i++;
    }
    return rc ? rc : buf_add(b, "\"", 1, e);
}
