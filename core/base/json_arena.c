#include "core/base/json_arena.h"
#include "core/base/json_plain.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, MAX_DEPTH = 500 };

/* The quick reader takes plain, valid JSON. On anything else (an error, a lone surrogate, deep
 * nesting, lack of memory) it gives up, and json_parse decides and finds the words for it. */
struct reader {
    struct json_arena *a;
    json_plain_move *move_plain;
    const char *at; /* ends in NUL */
    char *out;      /* where strings go, unescaped; in the same text or not */
};

static cJSON *node(struct reader *r, int type)
{
    struct json_arena *a = r->a;
    int i = a->n_used / BLOCK;
    if (i == a->n_blocks) {
        cJSON *block = mem_new(BLOCK, sizeof *block, NULL);
        if (!block || mem_grow((void **)&a->blocks, (size_t)i + 1, sizeof *a->blocks, NULL)) {
            mem_free(block);
            return NULL;
        }
        a->blocks[a->n_blocks++] = block;
    }
    cJSON *x = &a->blocks[i][a->n_used++ % BLOCK];
    memset(x, 0, sizeof *x);
    x->type = type;
    return x;
}

static void skip_space(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')
        r->at++;
}

static int hex4(const char *s)
{
    int x = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        x = x << 4 | d;
    }
    return x;
}

/* \uXXXX at s (behind the u), perhaps a pair of surrogates; moves *s, writes UTF-8 to *out. */
static bool unicode_escape(const char **s, char **out)
{
    int x = hex4(*s);
    char *o = *out;
    if (x <= 0 || (x >= 0xDC00 && x <= 0xDFFF))
        return false;
    *s += 4;
    if (x >= 0xD800 && x <= 0xDBFF) {
        int low = (*s)[0] == '\\' && (*s)[1] == 'u' ? hex4(*s + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return false;
        *s += 6;
        x = 0x10000 + ((x & 0x3FF) << 10) + (low & 0x3FF);
    }
    if (x < 0x80)
        *o++ = (char)x;
    else if (x < 0x800) {
        *o++ = (char)(0xC0 | x >> 6);
        *o++ = (char)(0x80 | (x & 0x3F));
    } else if (x < 0x10000) {
        *o++ = (char)(0xE0 | x >> 12);
        *o++ = (char)(0x80 | (x >> 6 & 0x3F));
        *o++ = (char)(0x80 | (x & 0x3F));
    } else {
        *o++ = (char)(0xF0 | x >> 18);
        *o++ = (char)(0x80 | (x >> 12 & 0x3F));
        *o++ = (char)(0x80 | (x >> 6 & 0x3F));
        *o++ = (char)(0x80 | (x & 0x3F));
    }
    *out = o;
    return true;
}

/* A string, r->at behind its opening quote. */
static char *string(struct reader *r)
{
    char *start = r->out, *out = start;
    const char *s = r->at;
    for (;;) {
        r->move_plain(&s, &out);
        if (*s == '"')
            break;
        if (!*s || !s[1]) /* the text's end */
            return NULL;
        unsigned char c = (unsigned char)s[1];
        char known = c < sizeof json_plain_meaning ? json_plain_meaning[c] : 0;
        s += 2;
        if (known)
            *out++ = known;
        else if (c != 'u' || !unicode_escape(&s, &out))
            return NULL;
    }
    *out = 0;
    r->out = out + 1;
    r->at = s + 1;
    return start;
}

/* [-]digits[.digits][e[+-]digits], as strictly as JSON has it. */
static cJSON *number(struct reader *r)
{
    const char *s = r->at, *end;
    bool whole = true;
    s += *s == '-';
    const char *digits = s;
    while (*s >= '0' && *s <= '9')
        s++;
    if (s == digits || (*digits == '0' && s > digits + 1))
        return NULL;
    if (*s == '.' || *s == 'e' || *s == 'E' || s - digits > 15)
        whole = false;
    cJSON *x = node(r, cJSON_Number);
    if (!x)
        return NULL;
    if (whole) {
        int64_t v = 0;
        for (const char *d = digits; d < s; d++)
            v = v * 10 + (*d - '0');
        x->valuedouble = (double)(*r->at == '-' ? -v : v);
        if (*r->at == '-' && !v)
            x->valuedouble = -0.0;
        end = s;
    } else {
        if (*s == '.' && !(s[1] >= '0' && s[1] <= '9'))
            return NULL;
        char *stop;
        x->valuedouble = strtod(r->at, &stop);
        end = stop;
        if (end < s || *end == '.' || *end == 'x' || *end == 'X')
            return NULL;
    }
    x->valueint = x->valuedouble >= INT_MAX   ? INT_MAX
                  : x->valuedouble <= INT_MIN ? INT_MIN
                                              : (int)x->valuedouble;
    r->at = end;
    return x;
}

static cJSON *word(struct reader *r, const char *text, int type)
{
    size_t n = strlen(text);
    if (strncmp(r->at, text, n) != 0)
        return NULL;
    r->at += n;
    return node(r, type);
}

static cJSON *value(struct reader *r, int depth);

/* One member or element; with_key: "key": in front. */
static cJSON *member(struct reader *r, bool with_key, int depth)
{
    char *key = NULL;
    skip_space(r);
    if (with_key) {
        if (*r->at++ != '"' || !(key = string(r)))
            return NULL;
        skip_space(r);
        if (*r->at++ != ':')
            return NULL;
    }
    cJSON *x = value(r, depth);
    if (x)
        x->string = key;
    return x;
}

/* An object or array, r->at behind its opening bracket. */
static cJSON *list(struct reader *r, bool object, int depth)
{
    cJSON *x = node(r, object ? cJSON_Object : cJSON_Array), *last = NULL;
    char close = object ? '}' : ']';
    skip_space(r);
    if (x && *r->at == close) {
        r->at++;
        return x;
    }
    while (x) {
        cJSON *k = member(r, object, depth);
        if (!k)
            return NULL;
        if (last) {
            last->next = k;
            k->prev = last;
        } else
            x->child = k;
        last = k;
        skip_space(r);
        char c = *r->at++;
        if (c == close) {
            x->child->prev = last; /* as cJSON has it */
            return x;
        }
        if (c != ',')
            return NULL;
    }
    return NULL;
}

static cJSON *value(struct reader *r, int depth)
{
    skip_space(r);
    if (depth > MAX_DEPTH)
        return NULL;
    switch (*r->at) {
    case '{':
    case '[':
        r->at++;
        return list(r, r->at[-1] == '{', depth + 1);
    case '"': {
        r->at++;
        char *s = string(r);
        cJSON *x = s ? node(r, cJSON_String) : NULL;
        if (x)
            x->valuestring = s;
        return x;
    }
    case 't':
        return word(r, "true", cJSON_True);
    case 'f':
        return word(r, "false", cJSON_False);
    case 'n':
        return word(r, "null", cJSON_NULL);
    default:
        return number(r);
    }
}

static const cJSON *read_text(struct json_arena *a, const char *text, size_t n)
{
    struct reader r = {.a = a, .move_plain = json_plain_best(), .at = text, .out = a->text.data};
    json_close(&a->slow);
    a->n_used = 0;
    cJSON *root = value(&r, 0);
    if (!root)
        return NULL;
    skip_space(&r);
    return r.at == text + n ? root : NULL;
}

const cJSON *json_arena_quick(struct json_arena *a, const char *text, size_t n)
{
    buf_clear(&a->text);
    return buf_reserve(&a->text, n + JSON_ARENA_SPARE, NULL) ? NULL : read_text(a, text, n);
}

err_code json_arena_parse(struct json_arena *a, const char *name, const char *text, size_t n,
                          const cJSON **root, struct err *e)
{
    static const char spare[JSON_ARENA_SPARE];
    buf_clear(&a->text);
    bool copied =
        !buf_add(&a->text, text, n, NULL) && !buf_add(&a->text, spare, sizeof spare, NULL);
    *root = copied ? read_text(a, a->text.data, n) : NULL;
    if (*root)
        return ERR_OK;
    err_code rc = json_parse(&a->slow, name, text, n, e);
    *root = a->slow.root;
    return rc;
}

void json_arena_dispose(struct json_arena *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->n_blocks; i++)
        mem_free(a->blocks[i]);
    mem_free(a->blocks);
    buf_dispose(&a->text);
    json_close(&a->slow);
    memset(a, 0, sizeof *a);
}
