/* The models that an endpoint serves. One blocking request, outside the loop. */
#include "teacher/http/client.h"
#include "core/base/json.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>

/* For a server that answers, but without a list. */
#define LIST_HINT "; --teacher-model NAME goes without the list"

enum { MAX_LIST_BYTES = 4 << 20, MAX_NAMES = 10000 };
static const double list_seconds = 30;

struct page {
    struct buf text;
    bool too_long;
};

static size_t on_page(char *data, size_t size, size_t n, void *user)
{
    struct page *p = user;
    n *= size;
    p->too_long |= p->text.len + n > MAX_LIST_BYTES;
    if (p->too_long || buf_add(&p->text, data, n, NULL))
        return n == 0 ? 1 : 0;
    return n;
}

/* libcurl calls it about once a second: Ctrl-C does not wait for the server. */
static int on_progress(void *user, curl_off_t n, curl_off_t now, curl_off_t n_up, curl_off_t up)
{
    (void)user, (void)n, (void)now, (void)n_up, (void)up;
    return stop_requested();
}

#define SET(easy, option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK

static err_code get_page(struct http_teacher *t, int i, struct page *p, long *status, struct err *e)
{
    const struct site *s = &t->sites[i];
    struct buf url = {0};
    char words[CURL_ERROR_SIZE] = "";
    CURL *easy = curl_easy_init();
    err_code rc = easy ? transfer_set_common(t, easy, e) : err_set(e, ERR_NOMEM, "no memory");
    if (!rc)
        rc = buf_printf(&url, e, "%s/models", s->url);
    if (!rc) {
        bool ok = true;
        SET(easy, CURLOPT_URL, url.data);
        SET(easy, CURLOPT_HTTPHEADER, s->headers);
        SET(easy, CURLOPT_ERRORBUFFER, words);
        SET(easy, CURLOPT_WRITEFUNCTION, on_page);
        SET(easy, CURLOPT_WRITEDATA, p);
        SET(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
        SET(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        SET(easy, CURLOPT_NOPROGRESS, 0L);
        SET(easy, CURLOPT_TIMEOUT_MS, (long)((t->o.connect_seconds + list_seconds) * 1e3));
        CURLcode code = ok ? curl_easy_perform(easy) : CURLE_OUT_OF_MEMORY;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
        if (code == CURLE_ABORTED_BY_CALLBACK)
            rc = err_set(e, ERR_STOPPED, "stopped on request");
        else if (code) {
            char why[TRANSFER_WORDS];
            transfer_words(easy, code, words, why);
            rc = err_set(e, ERR_NETWORK, "%s: its models can't be listed: %s%s", url.data,
                         p->too_long ? "the list is too long" LIST_HINT : why,
                         transfer_break(code) == TRY_REFUSED && !strncmp(s->url, "https", 5)
                             ? "; an authority of one's own is named by --ca-file"
                             : "");
        }
    }
    if (easy)
        curl_easy_cleanup(easy);
    buf_dispose(&url);
    return rc;
}

static err_code refuse(const struct site *s, struct http_reply *r, const struct page *p,
                       long status, struct err *e)
{
    struct reply_view v;
    bool money_or_key = status == 401 || status == 402 || status == 403;
    err_code code = money_or_key ? ERR_STOPPED : ERR_NETWORK;
    http_reply_begin(r, NULL);
    http_reply_feed(r, p->text.data ? p->text.data : "", p->text.len);
    http_reply_end(r);
    http_reply_view(r, &v);
    bool lacks_v1 = status == 404 && !strstr(s->url, "/v1");
    err_set(e, code, "%s/models: HTTP %ld%s%s%s%s", s->url, status, v.message ? ": " : "",
            v.message ? v.message : "", lacks_v1 ? "; does the URL lack its /v1?" : "",
            money_or_key ? "" : LIST_HINT);
    if (e)
        key_scrub(&s->key, e->msg, strlen(e->msg));
    return code;
}

static err_code take_names(const struct site *s, const struct page *p, char ***names, int *n,
                           struct err *e)
{
    struct json j;
    struct err why = {0};
    err_code rc = json_parse(&j, s->url, p->text.data ? p->text.data : "", p->text.len, &why);
    if (rc)
        return err_set(e, ERR_NETWORK, "%s/models: the list is not JSON" LIST_HINT, s->url);
    const cJSON *list = json_at(j.root, "data");
    int n_all = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    if (n_all < 0 || n_all > MAX_NAMES)
        rc = err_set(e, ERR_NETWORK, "%s/models: no list of models in \"data\"" LIST_HINT, s->url);
    *names = rc ? NULL : mem_new((size_t)n_all, sizeof **names, e);
    if (!rc && !*names)
        rc = ERR_NOMEM;
    for (const cJSON *m = rc ? NULL : list->child; m && !rc; m = m->next) {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(m, "id");
        if (!cJSON_IsString(id))
            continue;
        (*names)[*n] = mem_strdup(id->valuestring, e);
        rc = (*names)[*n] ? ERR_OK : ERR_NOMEM;
        *n += !rc;
    }
    json_close(&j);
    return rc;
}

err_code http_teacher_models(struct http_teacher *t, int i, char ***names, int *n, struct err *e)
{
    struct page p = {0};
    struct http_reply *r = NULL;
    long status = 0;
    *names = NULL;
    *n = 0;
    err_code rc = get_page(t, i, &p, &status, e);
    if (!rc && (status < 200 || status >= 300)) {
        rc = http_reply_new(&t->o.rules, &r, e);
        if (!rc)
            rc = refuse(&t->sites[i], r, &p, status, e);
    } else if (!rc)
        rc = take_names(&t->sites[i], &p, names, n, e);
    while (rc && *n > 0)
        mem_free((*names)[--*n]);
    if (rc) {
        mem_free(*names);
        *names = NULL;
    }
    http_reply_free(r);
    buf_dispose(&p.text);
    return rc;
}
