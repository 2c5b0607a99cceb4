/* One request on the wire: an easy handle and what its callbacks note. */
#include "teacher/http/client.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ERROR_BYTES = 1 << 20 };

static bool is_ok(const struct transfer *x)
{
    return x->status >= 200 && x->status < 300;
}

/* At the body's first byte. */
static void begin_body(struct transfer *x)
{
    char *type = NULL;
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type);
    x->status = (int)status;
    x->html = type && strcasestr(type, "html");
    x->begun = true;
    x->t_first = x->t->now;
    http_reply_begin(x->ask->reply, type);
}

void transfer_accepted(struct transfer *x)
{
    struct endpoint *ep = &x->t->endpoints[x->endpoint];
    if (!x->accepted)
        endpoint_accepted(ep, x->t->now, x->sent);
    endpoint_life(ep, x->t->now);
    x->accepted = true;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct transfer *x = user;
    n *= size;
    if (!x->begun)
        begin_body(x);
    x->t_last = x->t->now;
    x->n_bytes += n;
    if (x->t_complete > 0)
        return n; /* after [DONE]: read on, so that the connection can be used again */
    enum reply_state state = http_reply_feed(x->ask->reply, data, n);
    if (is_ok(x) && !x->html && http_reply_lives(x->ask->reply))
        transfer_accepted(x);
    switch (state) {
    case REPLY_READING:
        return n;
    case REPLY_COMPLETE:
        x->t_complete = x->t->now;
        return n;
    case REPLY_BAD:
        if (!is_ok(x) && x->n_bytes < MAX_ERROR_BYTES)
            return n;
        break;
    default:
        break;
    }
    x->ours = true;
    return n == 0 ? 1 : 0; /* anything but n ends the transfer */
}

/* name is lower case; gives the header's value, trimmed, in text. */
static bool header_is(const char *line, size_t n, const char *name, char text[80])
{
    size_t l = strlen(name);
    if (n <= l || line[l] != ':' || strncasecmp(line, name, l) != 0)
        return false;
    line += l + 1;
    n -= l + 1;
    while (n > 0 && (*line == ' ' || *line == '\t'))
        line++, n--;
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
        n--;
    if (n == 0 || n >= 80)
        return false;
    memcpy(text, line, n);
    text[n] = 0;
    return true;
}

static void note_quota(struct transfer *x, enum endpoint_quota_kind kind, const char *line,
                       size_t n, const char *left, const char *reset)
{
    char text[80];
    if (header_is(line, n, left, text)) {
        char *end;
        double value = strtod(text, &end);
        x->quota[kind].has_left = end != text && value >= 0 && value < 1e15;
        x->quota[kind].left = x->quota[kind].has_left ? (int64_t)value : 0;
    } else if (header_is(line, n, reset, text)) {
        x->quota[kind].reset = retry_seconds(text, (int64_t)time(NULL));
        x->quota[kind].has_reset = x->quota[kind].reset >= 0;
    }
}

/* OpenAI's and those that follow it, OpenRouter's, the IETF's draft's, Anthropic's. */
static const struct {
    enum endpoint_quota_kind kind;
    const char *left, *reset;
} quotas[] = {
    {QUOTA_REQUESTS, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
    {QUOTA_TOKENS, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
    {QUOTA_REQUESTS, "x-ratelimit-remaining", "x-ratelimit-reset"},
    {QUOTA_REQUESTS, "ratelimit-remaining", "ratelimit-reset"},
    {QUOTA_REQUESTS, "anthropic-ratelimit-requests-remaining",
     "anthropic-ratelimit-requests-reset"},
    {QUOTA_TOKENS, "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
};

/* A rate limit is of the moment in which its headers came: the answer may take an hour more. */
static void take_quotas(struct transfer *x)
{
    for (int k = 0; k < QUOTA_KINDS; k++)
        if (x->quota[k].has_left && x->quota[k].has_reset)
            endpoint_set_quota(&x->t->endpoints[x->endpoint], (enum endpoint_quota_kind)k,
                               x->quota[k].left, x->t->now + x->quota[k].reset);
    memset(x->quota, 0, sizeof x->quota);
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
    struct transfer *x = user;
    char text[80];
    n *= size;
    x->t_last = x->t->now;
    if (n <= 2) /* the blank line at their end */
        take_quotas(x);
    if (n < 12)
        return n;
    if ((*line | 0x20) == 'r' && header_is(line, n, "retry-after", text)) {
        double wait = retry_seconds(text, (int64_t)time(NULL));
        x->retry_after = fmax(x->retry_after, wait);
    } else if (strchr("xra", *line | 0x20)) {
        for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++)
            note_quota(x, quotas[i].kind, line, n, quotas[i].left, quotas[i].reset);
    }
    return n;
}

/* The connection stands (TLS included), the request is about to be sent. */
static int on_connected(void *user, char *ip, char *local_ip, int port, int local_port)
{
    struct transfer *x = user;
    struct endpoint *ep = &x->t->endpoints[x->endpoint];
    struct site *site = &x->t->sites[x->endpoint];
    (void)ip, (void)local_ip, (void)port;
    endpoint_connected(ep, x->t->now);
    ep->n_connecting -= !x->port;
    x->port = local_port > 0 ? local_port : -1;
    if (site->newest && site->newest != x) {
        site->shared |= site->newest->port == x->port;
        ep->multiplexed = site->shared;
    }
    site->newest = x;
    return CURL_PREREQFUNC_OK;
}

#define SET(easy, option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK

err_code transfer_set_common(const struct http_teacher *t, CURL *easy, struct err *e)
{
    bool ok = true;
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (t->ca_file)
        SET(easy, CURLOPT_CAINFO, t->ca_file);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(t->o.connect_seconds * 1e3 + 0.5));
    SET(easy, CURLOPT_USERAGENT, "decant/" DECANT_VERSION);
    if (!ok)
        return err_set(e, ERR_UNSUPPORTED,
                       "libcurl %s can't be set up; 7.80 or newer with TLS is needed",
                       curl_version_info(CURLVERSION_NOW)->version);
    return ERR_OK;
}

static err_code set_up(struct http_teacher *t, struct transfer *x, struct err *e)
{
    x->easy = curl_easy_init();
    if (!x->easy)
        return err_set(e, ERR_NOMEM, "no memory for a request");
    err_code rc = transfer_set_common(t, x->easy, e);
    if (rc)
        return rc;
    bool ok = true;
    SET(x->easy, CURLOPT_PRIVATE, x);
    SET(x->easy, CURLOPT_SHARE, t->share);
    SET(x->easy, CURLOPT_ERRORBUFFER, x->curl_error);
    SET(x->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(x->easy, CURLOPT_WRITEDATA, x);
    SET(x->easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(x->easy, CURLOPT_HEADERDATA, x);
    SET(x->easy, CURLOPT_PREREQFUNCTION, on_connected);
    SET(x->easy, CURLOPT_PREREQDATA, x);
    /* gzip's window is 32 kB a stream; brotli's and zstd's may be megabytes, times thousands. */
    SET(x->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(x->easy, CURLOPT_BUFFERSIZE, 2048L); /* a stream has one, for tokens of 200 bytes */
    SET(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    SET(x->easy, CURLOPT_POST, 1L);
    return ok ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a request");
}

static err_code get_transfer(struct http_teacher *t, struct transfer **out, struct err *e)
{
    struct transfer *x = t->free_transfers;
    *out = x;
    if (x) {
        t->free_transfers = x->next;
        return ERR_OK;
    }
    x = mem_new(1, sizeof *x, e);
    if (!x)
        return ERR_NOMEM;
    x->t = t;
    x->endpoint = -1;
    x->lane = t->lanes;
    while (x->lane->n == LANE_TRANSFERS)
        x->lane++;
    x->lane->n++;
    err_code rc = set_up(t, x, e);
    if (rc)
        transfer_free(x);
    else
        *out = x;
    return rc;
}

void transfer_free(struct transfer *x)
{
    if (!x)
        return;
    if (x->easy)
        curl_easy_cleanup(x->easy);
    x->lane->n--;
    mem_free(x);
}

err_code transfer_begin(struct http_teacher *t, struct ask *a, int endpoint, struct err *e)
{
    struct transfer *x;
    struct site *site = &t->sites[endpoint];
    err_code rc = get_transfer(t, &x, e);
    if (rc)
        return rc;
    bool ok = true;
    if (x->endpoint != endpoint) {
        SET(x->easy, CURLOPT_URL, site->post_url);
        SET(x->easy, CURLOPT_HTTPHEADER, site->headers);
        /* With TLS the handshake tells HTTP/2: rather wait for it than connect a thousand times.
         * Without TLS the first answer would tell, minutes later. */
        SET(x->easy, CURLOPT_PIPEWAIT, strncmp(site->url, "https", 5) ? 0L : 1L);
    }
    /* A wrong Content-Length leaves the rest of an answer on its connection, where it spoils the
     * next: who has failed twice does not take a used one. (HTTP/2 has no such rest.) */
    bool fresh = a->n_charged >= 2 && strncmp(site->url, "https", 5);
    SET(x->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    /* Not copied: a->body stays until the transfer has ended. */
    SET(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body.len);
    SET(x->easy, CURLOPT_POSTFIELDS, a->body.data);
    x->ask = a;
    x->endpoint = endpoint;
    x->t_last = t->now;
    x->t_first = x->t_complete = 0;
    x->status = 0;
    x->begun = x->html = x->ours = x->accepted = false;
    x->n_bytes = 0;
    x->retry_after = -1;
    memset(x->quota, 0, sizeof x->quota);
    x->curl_error[0] = 0;
    if (!ok || curl_multi_add_handle(x->lane->multi, x->easy) != CURLM_OK) {
        transfer_free(x);
        return err_set(e, ERR_NOMEM, "no memory for a request");
    }
    x->place = t->n_busy;
    t->busy[t->n_busy++] = x;
    x->sent = endpoint_sent(&t->endpoints[endpoint], t->now);
    x->port = 0;
    t->endpoints[endpoint].n_connecting++;
    return ERR_OK;
}

void transfer_release(struct http_teacher *t, struct transfer *x)
{
    struct site *site = &t->sites[x->endpoint];
    curl_multi_remove_handle(x->lane->multi, x->easy);
    t->endpoints[x->endpoint].n_connecting -= !x->port;
    if (site->newest == x)
        site->newest = NULL;
    t->n_busy--;
    t->busy[x->place] = t->busy[t->n_busy];
    t->busy[x->place]->place = x->place;
    x->ask = NULL;
    x->next = t->free_transfers;
    t->free_transfers = x;
}

void transfer_words(CURL *easy, CURLcode code, const char *words, char out[TRANSFER_WORDS])
{
    const char *cause = "";
    long n = 0;
    if (!*words)
        words = curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT && !curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &n) &&
        n == ECONNREFUSED)
        cause = "connection refused; is the server up, and the port right? ";
    if (code == CURLE_SSL_CONNECT_ERROR) /* TLS libraries have many words for what is no TLS */
        cause = "TLS could not begin; http:// instead of https://? ";
    snprintf(out, TRANSFER_WORDS, *cause ? "%s(%s)" : "%s%s", cause, words);
}

enum try_break transfer_break(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return TRY_WHOLE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT: /* of connecting: the others are timed here */
        return TRY_UNREACHED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_URL_MALFORMAT:
        return TRY_REFUSED;
    default:
        return TRY_BROKEN;
    }
}
