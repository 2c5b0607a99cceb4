/* Options of http_teacher_open: checked, and copied. */
#include "teacher/http/client.h"
#include "core/base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_ENDPOINTS = 256, MAX_CONCURRENCY = 1 << 16 };

static err_code check_range(const char *what, double x, double least, double most, struct err *e)
{
    if (x >= least && x <= most)
        return ERR_OK;
    return err_set(e, ERR_USAGE, "%s is %g; it must be %g to %g", what, x, least, most);
}

static err_code check_numbers(const struct http_options *o, struct err *e)
{
    const struct {
        const char *what;
        double x, least, most;
    } checks[] = {
        {"number of endpoints", o->n_endpoints, 1, MAX_ENDPOINTS},
        {"concurrency", (double)o->concurrency, 1, MAX_CONCURRENCY},
        {"tries", o->n_tries, 1, 1e6},
        {"connect timeout", o->connect_seconds, 1e-3, 86400},
        {"idle timeout", o->idle_seconds, 1e-3, 1e7},
        {"total timeout", o->total_seconds, 1e-3, 1e7},
        {"time that endpoints may be down", o->down_seconds, 0, 1e7},
        {"back-off", o->backoff_seconds, 0, 3600},
        {"max tokens", (double)o->max_tokens, 0, 1e12},
    };
    err_code rc = ERR_OK;
    for (size_t i = 0; !rc && i < sizeof checks / sizeof *checks; i++)
        rc = check_range(checks[i].what, checks[i].x, checks[i].least, checks[i].most, e);
    return rc;
}

static bool ends_in(const char *s, size_t n, const char *tail)
{
    size_t l = strlen(tail);
    return n >= l && !memcmp(s + n - l, tail, l);
}

/* A URL with user information or a query may hold a secret: it is never repeated. */
static err_code check_url(const char *url, struct err *e)
{
    bool http = !strncmp(url, "http://", 7), https = !strncmp(url, "https://", 8);
    if (strpbrk(url, "@?#"))
        return err_set(e, ERR_USAGE,
                       "a teacher's URL must be a plain base URL, without user information, query "
                       "or fragment (a key belongs into --api-key-env or --api-key-file)");
    size_t n = strlen(url);
    if (n > 2000)
        return err_set(e, ERR_USAGE, "a teacher's URL is too long (%zu bytes)", n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)url[i] <= 0x20 || (unsigned char)url[i] >= 0x7F)
            return err_set(e, ERR_USAGE,
                           "teacher %.200s: white space or a strange character in "
                           "the URL",
                           url);
    if (!http && !https)
        return err_set(e, ERR_USAGE, "teacher %.200s: a URL must begin with http:// or https://",
                       url);
    if (https && !(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL))
        return err_set(e, ERR_UNSUPPORTED, "teacher %.200s: this libcurl was built without TLS",
                       url);
    if (strchr("/:", url[http ? 7 : 8]))
        return err_set(e, ERR_USAGE, "teacher %.200s: the URL names no host", url);
    if (ends_in(url, n, "/completions") || ends_in(url, n, "/completions/"))
        return err_set(e, ERR_USAGE,
                       "teacher %.200s: give the base URL, which mostly ends in /v1; "
                       "/chat/completions is added",
                       url);
    return ERR_OK;
}

static err_code add_header(struct site *s, const char *line, struct err *e)
{
    struct curl_slist *more = curl_slist_append(s->headers, line);
    if (!more)
        return err_set(e, ERR_NOMEM, "no memory for a header");
    s->headers = more;
    return ERR_OK;
}

static err_code make_headers(struct site *s, struct err *e)
{
    static const char *const lines[] = {
        "Content-Type: application/json", "Accept: application/json, text/event-stream",
        "Expect:", /* no pause before long bodies */
    };
    err_code rc = ERR_OK;
    for (size_t i = 0; !rc && i < sizeof lines / sizeof *lines; i++)
        rc = add_header(s, lines[i], e);
    if (rc || !s->key.text)
        return rc;
    char *line = key_header(&s->key, e);
    if (!line)
        return ERR_NOMEM;
    rc = add_header(s, line, e);
    key_wipe(line, strlen(line));
    mem_free(line);
    return rc;
}

static err_code setup_site(struct http_teacher *t, int i, struct err *e)
{
    const struct http_endpoint_options *o = &t->o.endpoints[i];
    struct site *s = &t->sites[i];
    if (!o->url)
        return err_set(e, ERR_USAGE, "endpoint %d has no URL", i + 1);
    err_code rc = check_url(o->url, e);
    if (rc)
        return rc;
    if (!(o->weight > 0 && o->weight <= 1e6))
        return err_set(e, ERR_USAGE, "teacher %s: its weight is %g; it must be above 0", o->url,
                       o->weight);
    size_t n = strlen(o->url);
    while (n > 0 && o->url[n - 1] == '/')
        n--;
    s->url = mem_strndup(o->url, n, e);
    const char *model = o->model ? o->model : t->o.model;
    s->model = model ? mem_strdup(model, e) : NULL;
    const char *tail = t->o.raw ? "/completions" : "/chat/completions";
    s->post_url = mem_new(n + strlen(tail) + 1, 1, e);
    if (!s->url || (model && !s->model) || !s->post_url)
        return ERR_NOMEM;
    memcpy(s->post_url, o->url, n);
    strcpy(s->post_url + n, tail);
    s->price = o->price;
    rc = key_read(&s->key, o->key_env, o->key_file, e);
    if (!rc)
        rc = make_headers(s, e);
    endpoint_init(&t->endpoints[i], o->weight, t->o.concurrency, t->now);
    t->endpoints[i].multiplexed = !strncmp(o->url, "https", 5); /* until it is seen not to */
    return rc;
}

static char *copy(const char *s, err_code *rc, struct err *e)
{
    char *out = s && !*rc ? mem_strdup(s, e) : NULL;
    if (s && !out && !*rc)
        *rc = ERR_NOMEM;
    return out;
}

static err_code setup_body(struct http_teacher *t, struct err *e)
{
    const struct http_options *o = &t->o;
    struct body_options b = {.chat = !o->raw,
                             .temperature = o->temperature,
                             .top_p = o->top_p,
                             .extra_json = o->extra_json};
    return body_check(&b, e);
}

/* A connection each; a lane's wakeup (two) and connections that it closes and opens at one moment;
 * what else the program has open. Raising the soft limit up to the hard one needs no right. */
static err_code raise_file_limit(int64_t concurrency, struct err *e)
{
    struct rlimit l;
    rlim_t n_lanes = (rlim_t)(concurrency + LANE_TRANSFERS - 1) / LANE_TRANSFERS;
    rlim_t need = (rlim_t)concurrency + n_lanes * LANE_FILES + 64;
    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= need)
        return ERR_OK;
    rlim_t had = l.rlim_cur;
    l.rlim_cur = need < l.rlim_max ? need : l.rlim_max;
    if (l.rlim_cur < need || setrlimit(RLIMIT_NOFILE, &l))
        return err_set(e, ERR_USAGE,
                       "concurrency %lld needs %llu open files (connections), but this process may "
                       "open %llu; lower it, or raise the limit (ulimit -n %llu)",
                       (long long)concurrency, (unsigned long long)need, (unsigned long long)had,
                       (unsigned long long)need);
    return ERR_OK;
}

err_code client_setup(struct http_teacher *t, const struct http_options *o, struct err *e)
{
    err_code rc = check_numbers(o, e);
    if (rc)
        return rc;
    t->o = *o;
    t->o.down_seconds = o->down_seconds > 0 ? o->down_seconds : 600;
    t->n = o->n_endpoints;
    rc = setup_body(t, e);
    t->model = copy(o->model, &rc, e);
    t->system = copy(o->system, &rc, e);
    t->extra_json = copy(o->extra_json, &rc, e);
    t->ca_file = copy(o->ca_file, &rc, e);
    uint64_t size;
    if (!rc && o->ca_file && (rc = file_size(o->ca_file, &size, e)))
        err_add(e, " (--ca-file)");
    if (!rc)
        rc = raise_file_limit(o->concurrency, e);
    if (!rc && o->spill_dir)
        rc = spill_open(o->spill_dir, o->rules.max_bytes ? o->rules.max_bytes : REPLY_MAX_BYTES,
                        SPILL_BLOCKS, &t->spill, e);
    if (rc)
        return rc;
    t->o.rules.spill = t->spill;
    t->sites = mem_new((size_t)t->n, sizeof *t->sites, e);
    t->endpoints = mem_new((size_t)t->n, sizeof *t->endpoints, e);
    if (!t->sites || !t->endpoints)
        return ERR_NOMEM;
    for (int i = 0; !rc && i < t->n; i++)
        rc = setup_site(t, i, e);
    t->o.endpoints = NULL; /* the caller's */
    t->o.model = t->o.system = t->o.extra_json = t->o.ca_file = t->o.spill_dir = NULL;
    return rc;
}

void client_dispose(struct http_teacher *t)
{
    for (int i = 0; t->sites && i < t->n; i++) {
        struct site *s = &t->sites[i];
        for (struct curl_slist *h = s->headers; h; h = h->next)
            key_wipe(h->data, strlen(h->data));
        curl_slist_free_all(s->headers);
        key_close(&s->key);
        mem_free(s->url);
        mem_free(s->model);
        mem_free(s->post_url);
    }
    mem_free(t->sites);
    mem_free(t->endpoints);
    mem_free(t->model);
    mem_free(t->system);
    mem_free(t->extra_json);
    mem_free(t->ca_file);
    spill_close(t->spill);
}
