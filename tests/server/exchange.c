#include "tests/server/server.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <zlib.h>

struct counters counters;

/* How often each (prompt, seed) was asked: an open hash table. */
static struct asked {
    uint64_t key, n;
} * asked;
static uint64_t n_asked, cap_asked;

static uint64_t count_asked(uint64_t key)
{
    key |= !key;
    if (n_asked * 2 >= cap_asked) {
        uint64_t cap = cap_asked ? cap_asked * 2 : 1 << 12;
        struct asked *bigger = calloc(cap, sizeof *bigger);
        if (!bigger)
            die("no memory for %" PRIu64 " requests", cap);
        for (uint64_t i = 0; i < cap_asked; i++)
            if (asked[i].key) {
                uint64_t at = asked[i].key & (cap - 1);
                while (bigger[at].key)
                    at = (at + 1) & (cap - 1);
                bigger[at] = asked[i];
            }
        free(asked);
        asked = bigger;
        cap_asked = cap;
    }
    uint64_t at = key & (cap_asked - 1);
    while (asked[at].key && asked[at].key != key)
        at = (at + 1) & (cap_asked - 1);
    n_asked += !asked[at].key;
    asked[at].key = key;
    return asked[at].n++;
}

static char *copy(const char *s)
{
    char *c = strdup(s ? s : "");
    if (!c)
        die("no memory");
    return c;
}

static double number(const cJSON *o, const char *name, double otherwise)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : otherwise;
}

static bool truth(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* NULL, or what is wrong with the request. */
static const char *parse_request(struct exchange *x)
{
    cJSON *o = cJSON_ParseWithLength(x->body.s ? x->body.s : "", x->body.n);
    const char *wrong = NULL;
    const cJSON *text = NULL;
    if (!cJSON_IsObject(o)) {
        wrong = "the body is no JSON object";
        goto done;
    }
    if (x->chat) {
        const cJSON *m;
        cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(o, "messages"))
        {
            const cJSON *role = cJSON_GetObjectItemCaseSensitive(m, "role");
            if (cJSON_IsString(role) && !strcmp(role->valuestring, "user"))
                text = cJSON_GetObjectItemCaseSensitive(m, "content");
        }
    } else {
        text = cJSON_GetObjectItemCaseSensitive(o, "prompt");
    }
    if (!cJSON_IsString(text) || !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(o, "model"))) {
        wrong = "a model and a user's message or a prompt are required";
        goto done;
    }
    x->prompt = copy(text->valuestring);
    size_t n = strlen(x->prompt);
    x->thinking_open = !x->chat && n >= 8 && !strcmp(x->prompt + n - 8, "<think>\n");
    x->stream = truth(o, "stream");
    x->want_usage = truth(cJSON_GetObjectItemCaseSensitive(o, "stream_options"), "include_usage");
    x->max_tokens = (int64_t)number(o, "max_tokens", number(o, "max_completion_tokens", 0));
    if (!x->chat)
        x->n_top = (int)number(o, "logprobs", 0);
    else if (truth(o, "logprobs"))
        x->n_top = (int)number(o, "top_logprobs", 0);
    double seed = number(o, "seed", -1);
    bool greedy = number(o, "temperature", 1) == 0;
    x->seed = greedy ? 0 : seed >= 0 && !config.ignore_seed ? (uint64_t)seed : x->ordinal;
done:
    cJSON_Delete(o);
    return wrong;
}

static void plan(struct exchange *x)
{
    size_t n = strlen(x->prompt);
    uint64_t key = mix(hash_text(x->prompt, n), x->seed);
    x->n_before = count_asked(key);
    x->dice = mix(mix(config.seed ^ 0xfa017u, key), x->n_before);
    if (!config.fault_tries || x->n_before < (uint64_t)config.fault_tries)
        x->fault = fault_choose(x->ordinal, x->dice, x->prompt);
    counters.n_faults += x->fault != FAULT_NONE;
    answer_plan(&config.answer, x->prompt, x->seed, x->max_tokens, &x->answer);
    x->n_prompt_tokens = 4 + (int64_t)n / 4;
    if (dialect_reports_cached() && mix(key, 5) % 2)
        x->n_cached_tokens = x->n_prompt_tokens / 2;
    int64_t all = x->answer.n_reasoning + x->answer.n_answer;
    x->cost_usd =
        ((double)(x->n_prompt_tokens - x->n_cached_tokens) * config.price_miss +
         (double)x->n_cached_tokens * config.price_hit + (double)all * config.price_output) /
        1e6;
    x->created = (int64_t)time(NULL);
    x->cut_at = UINT64_MAX;
    if (x->fault == FAULT_RESET || x->fault == FAULT_FIN) {
        uint64_t about = (uint64_t)(x->stream ? all / config.chunk_tokens * 250 + 900 : all * 5);
        x->cut_at = mix(x->dice, 9) % (about + 1);
    }
}

/* Sends RST now: closing with SO_LINGER would do it, but libmicrohttpd shuts down (FIN) before. */
static void reset_connection(struct exchange *x)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (i)
        connect(i->connect_fd, &nobody, sizeof nobody);
}

static void squeeze(struct exchange *x, struct text *raw, bool last)
{
    z_stream *z = x->deflate;
    char piece[4096];
    z->next_in = (unsigned char *)raw->s;
    z->avail_in = (unsigned)raw->n;
    do {
        z->next_out = (unsigned char *)piece;
        z->avail_out = sizeof piece;
        deflate(z, last ? Z_FINISH : Z_SYNC_FLUSH);
        text_add(&x->out, piece, sizeof piece - z->avail_out);
    } while (!z->avail_out);
    raw->n = 0;
}

/* Makes pieces until there is enough for one write, or a pause, or the end. */
static void make_more(struct exchange *x, size_t enough)
{
    if (x->i_out == x->out.n)
        x->i_out = x->out.n = 0;
    if (!x->deflate) {
        while (x->out.n - x->i_out < enough && !x->all_made && !x->want_pause)
            dialect_next(x);
        return;
    }
    if (x->out.n > x->i_out || x->all_made)
        return;
    struct text raw;
    while (x->out.n < enough && !x->all_made && !x->want_pause)
        dialect_next(x);
    raw = x->out;
    x->out = (struct text){0};
    squeeze(x, &raw, x->all_made);
    text_free(&raw);
}

static ssize_t read_body(void *cls, uint64_t at, char *buf, size_t max)
{
    struct exchange *x = cls;
    (void)at;
    if (x->n_sent < x->cut_at)
        make_more(x, max < 16384 ? max : 16384);
    size_t n = x->out.n - x->i_out;
    bool breaks = x->fault == FAULT_RESET || x->fault == FAULT_FIN;
    if (x->n_sent >= x->cut_at || (breaks && !n && x->all_made)) {
        x->cut = true;
        if (x->fault == FAULT_RESET)
            reset_connection(x);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!n && x->want_pause) {
        x->want_pause = false;
        sleep_exchange(x, x->pause_ms);
        return 0;
    }
    if (!n)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n > max)
        n = max;
    if (x->fault == FAULT_CUT_CHUNKS && n > 1)
        n = n < 7 ? 1 : 1 + mix(x->dice, x->n_sent) % 7;
    if (n > x->cut_at - x->n_sent)
        n = (size_t)(x->cut_at - x->n_sent);
    memcpy(buf, x->out.s + x->i_out, n);
    x->i_out += n;
    x->n_sent += n;
    if (x->all_made && x->i_out == x->out.n) {
        x->finish_sent = x->i_token == x->answer.n_reasoning + x->answer.n_answer;
        x->usage_sent = x->finish_sent;
    }
    return (ssize_t)n;
}

static enum MHD_Result send_response(struct exchange *x, struct MHD_Response *r, int status)
{
    if (!r)
        return MHD_NO;
    x->status = status;
    enum MHD_Result done = MHD_queue_response(x->connection, (unsigned)status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result send_text(struct exchange *x, int status, const char *type, const char *s,
                                 size_t n)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, (void *)(uintptr_t)s, MHD_RESPMEM_MUST_COPY);
    if (r)
        MHD_add_response_header(r, "Content-Type", type);
    if (r && (status == 429 || status == 503)) {
        char value[64];
        snprintf(value, sizeof value, "%" PRId64, config.retry_after_s);
        time_t then = time(NULL) + (time_t)config.retry_after_s;
        if (x->fault == FAULT_429_DATE)
            strftime(value, sizeof value, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&then));
        if (x->fault == FAULT_429_AFTER || x->fault == FAULT_429_DATE)
            MHD_add_response_header(r, "Retry-After", value);
    }
    if (r && x->fault == FAULT_REDIRECT) {
        struct text to = {0};
        text_printf(&to, "%s%s", config.redirect ? config.redirect : "http://127.0.0.1:9/v1",
                    x->chat ? "/chat/completions" : "/completions");
        MHD_add_response_header(r, "Location", to.s);
        text_free(&to);
    }
    return send_response(x, r, status);
}

static enum MHD_Result send_error(struct exchange *x, int status, const char *message)
{
    struct text t = {0};
    dialect_error(&t, status, message);
    enum MHD_Result done = send_text(x, status, "application/json", t.s, t.n);
    text_free(&t);
    return done;
}

/* Faults that answer with something else than an answer. */
static bool refuse(struct exchange *x, enum MHD_Result *done)
{
    static const char page[] = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
                               "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx"
                               "</center>\r\n</body>\r\n</html>\r\n";
    static const struct {
        enum fault fault;
        int status;
        const char *message;
    } refusals[] = {
        {FAULT_408, 408, "Request timeout"},
        {FAULT_429, 429, "Rate limit reached"},
        {FAULT_429_AFTER, 429, "Rate limit reached"},
        {FAULT_429_DATE, 429, "Rate limit reached"},
        {FAULT_500, 500, "Internal server error"},
        {FAULT_503, 503, "The server is overloaded"},
        {FAULT_504, 504, "Gateway timeout"},
        {FAULT_400, 400, "This model's maximum context length is 4096 tokens"},
        {FAULT_404, 404, "The model does not exist"},
        {FAULT_422, 422, "Invalid parameters: top_p"},
        {FAULT_401, 401, "Authentication fails (no such user)"},
        {FAULT_402, 402, "Insufficient Balance"},
        {FAULT_403, 403, "Your key may not use this model"},
        {FAULT_REDIRECT, 307, "Moved"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (x->fault == refusals[i].fault) {
            *done = send_error(x, refusals[i].status, refusals[i].message);
            return true;
        }
    if (x->fault == FAULT_401_ECHO || x->fault == FAULT_400_ECHO) {
        struct text t = {0};
        text_printf(&t, "Incorrect API key provided: %s. You can find your key in your account.",
                    x->authorization ? x->authorization : "");
        *done = send_error(x, x->fault == FAULT_401_ECHO ? 401 : 400, t.s);
        text_free(&t);
        return true;
    }
    if (x->fault == FAULT_502_HTML || x->fault == FAULT_HTML_200) {
        *done = send_text(x, x->fault == FAULT_502_HTML ? 502 : 200, "text/html", page,
                          sizeof page - 1);
        return true;
    }
    if (x->fault == FAULT_EMPTY) {
        *done = send_text(x, 200, x->stream ? "text/event-stream" : "application/json", "", 0);
        return true;
    }
    return false;
}

static void start_gzip(struct exchange *x)
{
    z_stream *z = calloc(1, sizeof *z);
    if (!z || deflateInit2(z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("no memory for gzip");
    x->deflate = z;
}

/* Past libmicrohttpd, which would add the right length beside the wrong one. */
static enum MHD_Result send_wrong_length(struct exchange *x)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct text t = {0};
    uint64_t size = x->out.n;
    text_printf(&t, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %" PRIu64 "\r\n\r\n",
                x->stream ? "text/event-stream" : "application/json",
                x->fault == FAULT_LENGTH_LONG ? size + 1 + x->dice % 1000
                                              : 1 + mix(x->dice, 10) % (size - 1));
    text_add(&t, x->out.s, x->out.n);
    if (i && send(i->connect_fd, t.s, t.n, MSG_DONTWAIT) < 0)
        die("a socket takes nothing");
    text_free(&t);
    x->status = 200;
    x->cut = true;
    return MHD_NO;
}

static enum MHD_Result answer(struct exchange *x)
{
    enum MHD_Result done;
    if (refuse(x, &done))
        return done;
    if (x->fault == FAULT_RESET && mix(x->dice, 12) % 8 == 0) { /* before the first byte */
        reset_connection(x);
        x->cut = true;
        return MHD_NO;
    }
    bool wrong_length = x->fault == FAULT_LENGTH_LONG || x->fault == FAULT_LENGTH_SHORT;
    uint64_t size = MHD_SIZE_UNKNOWN;
    if (!x->stream) {
        dialect_whole(x, &x->out);
        x->all_made = true;
    }
    while (wrong_length && !x->all_made)
        dialect_next(x), x->want_pause = false;
    if (x->fault == FAULT_GZIP && x->accepts_gzip) {
        start_gzip(x);
        if (!x->stream) {
            struct text raw = x->out;
            x->out = (struct text){0};
            squeeze(x, &raw, true);
            text_free(&raw);
        }
    }
    if (wrong_length)
        return send_wrong_length(x);
    if (x->all_made) {
        size = x->out.n;
        if (x->cut_at != UINT64_MAX)
            x->cut_at = mix(x->dice, 9) % size;
    }
    struct MHD_Response *r = MHD_create_response_from_callback(size, 32768, read_body, x, NULL);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type",
                            x->stream ? "text/event-stream; charset=utf-8" : "application/json");
    if (x->deflate)
        MHD_add_response_header(r, "Content-Encoding", "gzip");
    if (x->fault == FAULT_CLOSE)
        MHD_add_response_header(r, "Connection", "close");
    return send_response(x, r, 200);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static enum MHD_Result handle_get(struct exchange *x, const char *url)
{
    struct text t = {0};
    int status = 200;
    size_t n = strlen(url);
    if (n >= 10 && !strcmp(url + n - 10, "/v1/models"))
        dialect_models(&t);
    else if (!strcmp(url, "/health"))
        text_puts(&t, "{\"status\":\"ok\"}");
    else if (!strcmp(url, "/stats"))
        text_printf(&t,
                    "{\"requests\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"in_flight\":%" PRIu64
                    ",\"peak\":%" PRIu64 ",\"bad_key\":%" PRIu64 ",\"faults\":%" PRIu64 "}\n",
                    counters.n_requests, counters.n_answers, counters.n_in_flight, counters.n_peak,
                    counters.n_bad_key, counters.n_faults);
    else
        dialect_error(&t, status = 404, "there is nothing here");
    enum MHD_Result done = send_text(x, status, "application/json", t.s, t.n);
    text_free(&t);
    return done;
}

/* The whole request is here. */
static enum MHD_Result handle_whole(struct exchange *x, const char *url)
{
    size_t n = strlen(url);
    x->chat = n >= 17 && !strcmp(url + n - 17, "/chat/completions");
    if (!x->chat && (n < 12 || strcmp(url + n - 12, "/completions")))
        return send_error(x, 404, "there is nothing here");
    x->active = true;
    x->ordinal = ++counters.n_requests;
    if (++counters.n_in_flight > counters.n_peak)
        counters.n_peak = counters.n_in_flight;
    snprintf(x->id, sizeof x->id, "%s-%" PRIu64, config.nonce, x->ordinal);
    const char *key = header(x->connection, "Authorization");
    const char *encoding = header(x->connection, "Accept-Encoding");
    x->accepts_gzip = encoding && strstr(encoding, "gzip");
    x->authorization = copy(key);
    if (config.key &&
        (strncmp(x->authorization, "Bearer ", 7) || strcmp(x->authorization + 7, config.key))) {
        counters.n_bad_key++;
        return send_error(x, 401, "Authentication fails: no or a wrong key");
    }
    const char *wrong = parse_request(x);
    if (wrong)
        return send_error(x, 400, wrong);
    if (config.capacity && counters.n_in_flight > (uint64_t)config.capacity) {
        x->fault = config.retry_after_s ? FAULT_429_AFTER : FAULT_429;
        return send_error(x, 429, "too many requests at once");
    }
    plan(x);
    x->planned = true;
    uint64_t span = (uint64_t)(config.max_latency_ms - config.min_latency_ms) + 1;
    int64_t wait = config.min_latency_ms + (int64_t)(mix(x->ordinal, 13) % span) +
                   (x->fault == FAULT_SLOW_FIRST ? config.slow_ms : 0);
    if (!wait)
        return answer(x);
    sleep_exchange(x, wait);
    return MHD_YES;
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *n_upload, void **state)
{
    struct exchange *x = *state;
    (void)cls, (void)version;
    if (!x) {
        *state = x = calloc(1, sizeof *x);
        if (!x)
            return MHD_NO;
        x->connection = connection;
        return MHD_YES;
    }
    if (*n_upload) {
        text_add(&x->body, upload, *n_upload);
        *n_upload = 0;
        return x->body.n <= 64u << 20 ? MHD_YES : MHD_NO;
    }
    if (x->planned)
        return answer(x);
    return strcmp(method, "POST") ? handle_get(x, url) : handle_whole(x, url);
}

void exchange_done(void *cls, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *state;
    (void)cls, (void)connection;
    if (!x)
        return;
    if (x->active) {
        counters.n_in_flight--;
        bool sent = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && x->status == 200 && x->all_made;
        counters.n_answers += sent && !x->cut;
        ledger_add(x, x->status != 200 && x->status                           ? "refused"
                      : x->cut                                                ? "cut"
                      : x->fault == FAULT_EMPTY || x->fault == FAULT_HTML_200 ? "empty"
                      : sent                                                  ? "sent"
                                                                              : "gone");
    }
    if (x->deflate) {
        deflateEnd(x->deflate);
        free(x->deflate);
    }
    text_free(&x->body);
    text_free(&x->prefix);
    text_free(&x->out);
    free(x->prompt);
    free(x->authorization);
    free(x);
    *state = NULL;
}
