#include "dataset/problems.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "dataset/answer.h"
#include "dataset/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LINE_BYTES = 64 << 20 };

struct problems {
    FILE *f;
    char *path;
    struct buf line, gold, extra;
    struct json json;
    int64_t n; /* lines read */
};

err_code problems_open(const char *path, struct problems **out, struct err *e)
{
    *out = NULL;
    if (file_is_dir(path))
        return err_set(e, ERR_USAGE, "%s: a directory; give a JSONL file", path);
    struct problems *p = mem_new(1, sizeof *p, e);
    if (!p)
        return ERR_NOMEM;
    p->path = mem_strdup(path, e);
    p->f = fopen(path, "rbe");
    err_code rc = !p->path ? ERR_NOMEM : !p->f ? err_errno(e, "cannot open", path) : ERR_OK;
    if (rc) {
        problems_close(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void problems_close(struct problems *p)
{
    if (!p)
        return;
    if (p->f)
        fclose(p->f);
    json_close(&p->json);
    buf_dispose(&p->line);
    buf_dispose(&p->gold);
    buf_dispose(&p->extra);
    mem_free(p->path);
    mem_free(p);
}

static err_code bad(const struct problems *p, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s:%lld: %s", p->path, (long long)p->n, what);
}

/* The next line, without its end. *more false at the end of the file. */
static err_code read_line(struct problems *p, bool *more, struct err *e)
{
    buf_clear(&p->line);
    p->n++;
    for (;;) {
        err_code rc = buf_reserve(&p->line, 4096, e);
        if (rc)
            return rc;
        char *at = p->line.data + p->line.len;
        size_t room = p->line.cap - p->line.len - 1;
        size_t n = 0;
        int c = EOF;
        while (n < room && (c = getc_unlocked(p->f)) != EOF && c != '\n')
            at[n++] = (char)c;
        p->line.len += n;
        p->line.data[p->line.len] = 0;
        if (p->line.len > MAX_LINE_BYTES)
            return bad(p, "a line over 64 MiB; is this JSONL, one object a line?", e);
        if (n < room) {
            if (c == EOF && ferror(p->f))
                return err_errno(e, "cannot read", p->path);
            *more = c == '\n' || p->line.len > 0;
            return ERR_OK;
        }
    }
}

static bool is_blank(const struct buf *b)
{
    return strspn(b->data, " \t\r") == b->len;
}

/* JSON's \u0000 would end a C string early. Backslashes are counted in pairs. */
static bool has_nul_escape(const char *s)
{
    for (; (s = strchr(s, '\\')); s += 2) {
        if (!strncmp(s + 1, "u0000", 5))
            return true;
        if (!s[1])
            break;
    }
    return false;
}

static err_code parse_line(struct problems *p, struct err *e)
{
    const char *text = p->line.data;
    size_t n = p->line.len;
    if (p->n == 1 && n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {
        text += 3;
        n -= 3;
    }
    size_t valid = utf8_valid(text, n);
    if (valid < n)
        return text[valid] ? err_set(e, ERR_FORMAT,
                                     "%s:%lld: byte %zu is not valid UTF-8; convert the file, for "
                                     "example with iconv -t UTF-8",
                                     p->path, (long long)p->n, valid + 1)
                           : bad(p, "a NUL byte; is this a text file?", e);
    if (has_nul_escape(text))
        return bad(p, "\\u0000 in a string; take it out", e);
    char name[600];
    snprintf(name, sizeof name, "%.500s:%lld", p->path, (long long)p->n);
    json_close(&p->json);
    err_code rc = json_parse(&p->json, name, text, n, e);
    if (rc == ERR_FORMAT) {
        int place = 0; /* the line's own column; its number is in the name already */
        const char *at = strstr(e ? e->msg : "", "column ");
        place = at && sscanf(at, "column %d", &place) == 1 ? place : 0;
        return err_set(e, ERR_FORMAT,
                       "%s: not valid JSON at column %d; each line should be an object, "
                       "such as {\"prompt\": \"...\", \"answer\": \"...\"}",
                       name, place);
    }
    if (!rc && !cJSON_IsObject(p->json.root))
        rc = bad(p, "not a JSON object; each line should be one, such as {\"prompt\": \"...\"}", e);
    return rc;
}

static err_code find_prompt(struct problems *p, const cJSON **key, struct err *e)
{
    static const char *const keys[] = {"prompt", "question", "problem"};
    *key = NULL;
    for (size_t i = 0; i < 3 && !*key; i++)
        *key = cJSON_GetObjectItemCaseSensitive(p->json.root, keys[i]);
    if (!*key)
        return bad(p, "has none of \"prompt\", \"question\", \"problem\"", e);
    if (!cJSON_IsString(*key))
        return err_set(e, ERR_FORMAT, "%s:%lld: \"%s\" should be a string", p->path,
                       (long long)p->n, (*key)->string);
    if (!(*key)->valuestring[strspn((*key)->valuestring, " \t\r\n\v\f")])
        return err_set(e, ERR_FORMAT, "%s:%lld: \"%s\" is empty", p->path, (long long)p->n,
                       (*key)->string);
    return ERR_OK;
}

static err_code find_gold(struct problems *p, struct problem *out, bool *whole, struct err *e)
{
    const cJSON *answer = cJSON_GetObjectItemCaseSensitive(p->json.root, "answer");
    char number[64];
    const char *text = number;
    struct answer_span span;
    *whole = true;
    if (!answer || cJSON_IsNull(answer))
        return ERR_OK;
    if (cJSON_IsString(answer))
        text = answer->valuestring;
    else if (!cJSON_IsNumber(answer))
        return bad(p, "\"answer\" should be a string or a number", e);
    else if (fabs(answer->valuedouble) > 9007199254740992.0)
        return bad(p, "\"answer\" is a number that JSON readers round; write it as a string", e);
    else
        snprintf(number, sizeof number, "%.15g", answer->valuedouble);
    if (!answer_gold(text, strlen(text), &span))
        return ERR_OK;
    *whole = strcmp(span.rule, "whole") == 0;
    buf_clear(&p->gold);
    err_code rc = buf_add(&p->gold, span.text, span.n, e);
    out->gold = p->gold.data;
    out->n_gold = p->gold.len;
    return rc;
}

/* The other fields, as they came. */
static err_code collect_extra(struct problems *p, const cJSON *prompt, bool whole,
                              struct problem *out, struct err *e)
{
    int n = 0;
    buf_clear(&p->extra);
    err_code rc = buf_str(&p->extra, "{", e);
    for (const cJSON *k = p->json.root->child; k && !rc; k = k->next) {
        if (k == prompt || (!strcmp(k->string, "answer") && whole))
            continue;
        char *text = cJSON_PrintUnformatted(k);
        if (!text)
            return err_set(e, ERR_NOMEM, "out of memory reading %s", p->path);
        rc = n++ ? buf_str(&p->extra, ",", e) : ERR_OK;
        if (!rc)
            rc = json_quote(&p->extra, k->string, strlen(k->string), e);
        if (!rc)
            rc = buf_str(&p->extra, ":", e);
        if (!rc)
            rc = buf_str(&p->extra, text, e);
        cJSON_free(text);
    }
    if (!rc)
        rc = buf_str(&p->extra, "}", e);
    out->extra = n ? p->extra.data : NULL;
    return rc;
}

err_code problems_next(struct problems *p, struct problem *out, bool *more, struct err *e)
{
    const cJSON *prompt;
    bool whole;
    memset(out, 0, sizeof *out);
    err_code rc;
    do {
        rc = read_line(p, more, e);
        if (rc || !*more) {
            *more = false;
            return rc;
        }
    } while (is_blank(&p->line));
    *more = false;
    rc = parse_line(p, e);
    if (!rc)
        rc = find_prompt(p, &prompt, e);
    if (!rc)
        rc = find_gold(p, out, &whole, e);
    if (!rc)
        rc = collect_extra(p, prompt, whole, out, e);
    if (rc)
        return rc;
    out->prompt = prompt->valuestring;
    out->n_prompt = strlen(out->prompt);
    out->line = p->n;
    *more = true;
    return ERR_OK;
}
