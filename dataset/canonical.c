#include "core/base/json.h"
#include "dataset/corpus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code put_number(const char *name, double x, struct buf *out, struct err *e)
{
    /* Above 2^53 JSON numbers lose digits on the way through a double, and two requests that differ
     * would become one. */
    if (!isfinite(x) || (x == floor(x) && fabs(x) > 9007199254740992.0))
        return err_set(e, ERR_FORMAT, "%s: the number %g is too large; write it as a string", name,
                       x);
    if (x == floor(x))
        return buf_printf(out, e, "%lld", (long long)x);
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    return buf_str(out, text, e);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static err_code put_value(const char *name, const cJSON *v, struct buf *out, struct err *e);

static err_code put_object(const char *name, const cJSON *v, struct buf *out, struct err *e)
{
    size_t n = 0, i = 0;
    for (const cJSON *k = v->child; k; k = k->next)
        n++;
    const cJSON **keys = mem_new(n, sizeof *keys, e);
    if (!keys)
        return ERR_NOMEM;
    for (const cJSON *k = v->child; k; k = k->next)
        keys[i++] = k;
    if (n)
        qsort(keys, n, sizeof *keys, by_key);
    err_code rc = buf_str(out, "{", e);
    for (i = 0; i < n && !rc; i++) {
        const char *key = keys[i]->string;
        if (i && !strcmp(key, keys[i - 1]->string)) {
            rc = err_set(e, ERR_FORMAT, "%s: key \"%.100s\" stands twice in one object", name, key);
            break;
        }
        rc = i ? buf_str(out, ",", e) : ERR_OK;
        if (!rc)
            rc = json_quote(out, key, strlen(key), e);
        if (!rc)
            rc = buf_str(out, ":", e);
        if (!rc)
            rc = put_value(name, keys[i], out, e);
    }
    mem_free(keys);
    return rc ? rc : buf_str(out, "}", e);
}

/* Depth is bounded by the parser's own limit. */
static err_code put_value(const char *name, const cJSON *v, struct buf *out, struct err *e)
{
    if (cJSON_IsObject(v))
        return put_object(name, v, out, e);
    if (cJSON_IsString(v))
        return json_quote(out, v->valuestring, strlen(v->valuestring), e);
    if (cJSON_IsNumber(v))
        return put_number(name, v->valuedouble, out, e);
    if (!cJSON_IsArray(v))
        return buf_str(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : "null", e);
    err_code rc = buf_str(out, "[", e);
    for (const cJSON *k = v->child; k && !rc; k = k->next) {
        rc = put_value(name, k, out, e);
        if (!rc && k->next)
            rc = buf_str(out, ",", e);
    }
    return rc ? rc : buf_str(out, "]", e);
}

err_code corpus_canonical_json(const char *name, const char *json, size_t n, struct buf *out,
                               struct err *e)
{
    struct json j;
    err_code rc = json_parse(&j, name, json, n, e);
    if (!rc)
        rc = put_value(name, j.root, out, e);
    json_close(&j);
    return rc;
}
