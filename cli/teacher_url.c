#include "cli/teacher_url.h"

#include "core/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool teacher_is_url(const char *s)
{
    return strstr(s, "://") != NULL;
}

bool teacher_lacks_scheme(const char *s)
{
    size_t host = strcspn(s, ":/,");
    size_t n_port = s[host] == ':' ? strspn(s + host + 1, "0123456789") : 0;
    const char *rest = s + host + (n_port ? n_port + 1 : 0), *dot = memchr(s, '.', host);
    bool v1 = dot && dot > s && !strncmp(rest, "/v1", 3);
    bool ends = !*rest || *rest == '/' || *rest == ',';
    return host && !strpbrk(s, "@?#") && (n_port ? ends : v1);
}

/* Is s the start of "key="? Only then a comma before it ends what came before: URLs and file names
 * may hold commas. */
static bool is_key(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    return n && s[n] == '=';
}

/* Cuts the text at the next comma before a key; NULL at the end. */
static char *cut(char *s)
{
    for (char *c = strchr(s, ','); c; c = strchr(c + 1, ','))
        if (is_key(c + 1)) {
            *c = 0;
            return c + 1;
        }
    return NULL;
}

static err_code take(struct http_endpoint_options *o, char *part, struct err *e)
{
    char *value = strchr(part, '=');
    *value++ = 0;
    if (!*value)
        return err_set(e, ERR_USAGE, "--teacher %s,%s=: the value is missing", o->url, part);
    if (!strcmp(part, "weight")) {
        char *end;
        o->weight = strtod(value, &end);
        if (*end || !isfinite(o->weight) || o->weight <= 0)
            return err_set(e, ERR_USAGE, "--teacher %s: weight=%s is no number above 0", o->url,
                           value);
    } else if (!strcmp(part, "model"))
        o->model = value;
    else if (!strcmp(part, "key-env"))
        o->key_env = value;
    else if (!strcmp(part, "key-file"))
        o->key_file = value;
    else if (!strcmp(part, "prices"))
        return price_read(value, &o->price, e);
    else
        return err_set(e, ERR_USAGE,
                       "--teacher %s: there is no \"%s\"; after the URL may come weight=, model=, "
                       "key-env=, key-file= and prices=",
                       o->url, part);
    return ERR_OK;
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static size_t url_length(const char *url)
{
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    return n;
}

static bool same_url(const char *a, const char *b)
{
    return url_length(a) == url_length(b) && !strncmp(a, b, url_length(a));
}

/* One URL twice is mostly a slip; with two keys or two models it is not. */
static err_code check_twice(const struct teacher_urls *u, struct err *e)
{
    const struct http_endpoint_options *o = &u->items[u->n - 1];
    for (const struct http_endpoint_options *p = u->items; p < o; p++)
        if (same_url(p->url, o->url) && same(p->model, o->model) && same(p->key_env, o->key_env) &&
            same(p->key_file, o->key_file))
            return err_set(e, ERR_USAGE,
                           "--teacher %s is given twice; for a larger share of the load put "
                           ",weight=2 after it",
                           o->url);
    return ERR_OK;
}

err_code teacher_urls_add(struct teacher_urls *u, const char *spec, struct err *e)
{
    if (u->n == TEACHER_URLS_MAX)
        return err_set(e, ERR_USAGE, "--teacher is given more than %d times", TEACHER_URLS_MAX);
    char *text = mem_strdup(spec, e);
    if (!text)
        return ERR_NOMEM;
    struct http_endpoint_options *o = &u->items[u->n];
    u->texts[u->n++] = text;
    *o = (struct http_endpoint_options){.url = text, .weight = 1};
    err_code rc = ERR_OK;
    char *rest = cut(text);
    if (strpbrk(text, "@?#")) /* it may hold a secret, and is repeated from here on */
        rc = err_set(e, ERR_USAGE,
                     "a teacher's URL must be a plain base URL, without user information, query or "
                     "fragment (a key belongs into --api-key-env or --api-key-file)");
    for (char *part = rest; part && !rc;) {
        char *after = cut(part);
        rc = take(o, part, e);
        part = after;
    }
    if (!rc && o->key_env && o->key_file)
        rc = err_set(e, ERR_USAGE, "--teacher %s: give key-env= or key-file=, not both", o->url);
    return rc ? rc : check_twice(u, e);
}

void teacher_urls_dispose(struct teacher_urls *u)
{
    for (int i = 0; i < u->n; i++)
        mem_free(u->texts[i]);
    u->n = 0;
}
