/* The client against a scripted server: answers, every status, broken connections, times, guards,
 * many requests at once. */
#include "tests/teacher/http/client_common.h"

#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>

/* ---- plain answers ---- */

static bool answer_sse(struct script_request *q)
{
    return send_sse(q);
}

static bool answer_json(struct script_request *q)
{
    return send_json(q);
}

static bool answer_close(struct script_request *q)
{
    send_sse(q);
    return false;
}

static void check_request(const struct http_answer *a)
{
    assert_string_equal(a->params_json,
                        "{\"model\":\"r1\",\"temperature\":0.6,\"top_p\":0.95,\"max_tokens\":4096,"
                        "\"seed\":7,\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void test_answer(void **state)
{
    (void)state;
    struct script s = {.answer = answer_sse};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    assert_int_equal(http_teacher_room(c.t), 4);
    client_ask(&c, 7);
    assert_int_equal(http_teacher_in_flight(c.t), 1);
    assert_int_equal(http_teacher_room(c.t), 3);
    struct http_answer a = client_next(&c, 5);
    is_trace(&a);
    check_request(&a);
    assert_int_equal(a.id, 7);
    assert_int_equal(a.n_tries, 1);
    assert_string_equal(a.endpoint, s.url);
    assert_true(a.latency_ms > 0 && a.latency_ms < 5000 && a.first_byte_ms <= a.latency_ms);
    assert_true(fabs(a.cost_usd - (64 * 0.14 + 36 * 0.55 + 1000 * 2.19) * 1e-6) < 1e-15);
    assert_true(a.wasted_usd == 0);
    assert_int_equal(http_teacher_in_flight(c.t), 0);
    assert_false(http_teacher_next(c.t, &a));
    client_close(&c);
    script_stop(&s);
}

/* One after the other over one connection; a closed one is replaced. */
static void test_connections(void **state)
{
    (void)state;
    bool (*answers[])(struct script_request *) = {answer_sse, answer_json, answer_close};
    for (int k = 0; k < 3; k++) {
        struct script s = {.answer = answers[k]};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        client_open(&c);
        for (uint64_t i = 0; i < 20; i++) {
            client_ask(&c, i);
            struct http_answer a = client_next(&c, 5);
            is_trace(&a);
            assert_int_equal(a.id, i);
        }
        assert_int_equal(s.n_requests, 20);
        assert_int_equal(s.n_connections, k == 2 ? 20 : 1);
        client_close(&c);
        script_stop(&s);
    }
}

static bool answer_head_check(struct script_request *q)
{
    const char *have[] = {"POST /v1/completions HTTP/1.1\r\n", "Content-Type: application/json",
                          "Accept-Encoding: gzip\r\n", "User-Agent: decant/"};
    for (size_t i = 0; i < sizeof have / sizeof *have; i++)
        if (!strstr(q->head, have[i]))
            return script_status(q, 400);
    if (strstr(q->head, "Expect") || strstr(q->head, "Authorization") ||
        !strstr(q->body, "\"prompt\":\"What is 2 + 2?\""))
        return script_status(q, 400);
    return script_reply(q, 200, "", "application/json",
                        "{\"model\":\"r1-test\",\"choices\":[{\"text\":\"Hm.</think>4\","
                        "\"finish_reason\":\"length\"}]}");
}

static void test_plain_completion(void **state)
{
    (void)state;
    struct script s = {.answer = answer_head_check};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    strcat(s.url, "//"); /* harmless */
    c.o.raw = true;
    c.o.stream = false;
    c.o.rules.chat = false;
    c.o.rules.thinking_open = true;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    if (a.outcome != HTTP_TRACE)
        fail_msg("%s", a.message);
    is_text("reasoning", a.reply.reasoning, a.reply.n_reasoning, "Hm.");
    assert_string_equal(a.reply.finish_reason, "length");
    assert_true(a.cost_usd == -1); /* no usage, no guess */
    client_close(&c);
    script_stop(&s);
}

/* Longer than any buffer, with all that JSON escapes. */
enum { LONG = 700000 };
static bool answer_long_prompt(struct script_request *q)
{
    const char *at = strstr(q->body, "\"content\":\"");
    size_t n = 0;
    for (at = at ? at + 11 : ""; *at == 'x' || !strncmp(at, "\\n", 2) || !strncmp(at, "\\\"", 2);
         n++)
        at += *at == 'x' ? 1 : 2;
    return n == LONG && !strncmp(at, "\"}]", 3) ? send_sse(q) : script_status(q, 400);
}

static void test_long_prompt(void **state)
{
    (void)state;
    struct script s = {.answer = answer_long_prompt};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    char *prompt = malloc(LONG);
    for (int i = 0; i < LONG; i++)
        prompt[i] = i % 1000 == 7 ? '\n' : i % 5000 == 9 ? '"' : 'x';
    for (uint64_t i = 0; i < 3; i++) {
        struct http_ask ask = {.id = i, .prompt = prompt, .n_prompt = LONG, .endpoint = -1};
        assert_int_equal(http_teacher_ask(c.t, &ask, &c.e), 0);
        struct http_answer a = client_next(&c, 5);
        is_trace(&a);
        assert_int_equal(a.n_tries, 1);
    }
    free(prompt);
    client_close(&c);
    script_stop(&s);
}

/* ---- every status ---- */

static bool answer_status(struct script_request *q)
{
    const int *status = q->server->user;
    return q->i == 0 ? script_status(q, *status) : send_sse(q);
}

static void test_every_status(void **state)
{
    (void)state;
    const struct {
        int status;
        enum http_outcome outcome;
        const char *words;
    } cases[] = {
        {201, HTTP_TRACE, NULL},
        {301, HTTP_FATAL, "redirects are not followed"},
        {307, HTTP_FATAL, "redirects are not followed"},
        {400, HTTP_FAILED, "HTTP 400: status 400 it is"},
        {401, HTTP_FATAL, "the key is missing or wrong"},
        {402, HTTP_FATAL, "no money left"},
        {403, HTTP_FATAL, "HTTP 403: status 403 it is"},
        {404, HTTP_FAILED, "is the model's name right?"},
        {405, HTTP_FAILED, "HTTP 405"},
        {408, HTTP_TRACE, NULL},
        {413, HTTP_FAILED, "HTTP 413"},
        {422, HTTP_FAILED, "HTTP 422: status 422 it is"},
        {429, HTTP_TRACE, NULL},
        {500, HTTP_TRACE, NULL},
        {501, HTTP_FAILED, "HTTP 501"},
        {502, HTTP_TRACE, NULL},
        {503, HTTP_TRACE, NULL},
        {504, HTTP_TRACE, NULL},
        {520, HTTP_TRACE, NULL},
        {524, HTTP_TRACE, NULL},
        {529, HTTP_TRACE, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = cases[i].status;
        struct script s = {.answer = answer_status, .user = &status};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        client_open(&c);
        client_ask(&c, 1);
        struct http_answer a = client_next(&c, 10);
        if (a.outcome != cases[i].outcome)
            fail_msg("status %d: outcome %d, %s", status, a.outcome, a.message);
        if (a.outcome == HTTP_TRACE) {
            is_trace(&a);
            assert_int_equal(a.n_tries, 2);
            assert_int_equal(s.n_requests, 2);
        } else {
            has_words(&a, cases[i].words);
            assert_int_equal(a.status, status);
            assert_int_equal(s.n_requests, 1);
            assert_int_equal(a.reply.n_answer, 0);
            assert_true(a.cost_usd == -1);
        }
        struct http_endpoint_stats st;
        http_teacher_endpoint(c.t, 0, &st);
        assert_int_equal(st.off, a.outcome == HTTP_FATAL);
        client_close(&c);
        script_stop(&s);
    }
}

/* ---- broken in every way, then fine ---- */

enum how { RESET, FIN };
struct cut {
    size_t at;
    enum how how;
    bool json;
};

/* The first answer ends at a byte; the second one is whole. */
static bool answer_cut(struct script_request *q)
{
    const struct cut *cut = q->server->user;
    if (q->i > 0)
        return cut->json ? send_json(q) : send_sse(q);
    char text[4096];
    int n = cut->json ? snprintf(text, sizeof text,
                                 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 sizeof json_text - 1, json_text)
                      : snprintf(text, sizeof text, "%s%zx\r\n%s\r\n0\r\n\r\n", SCRIPT_SSE_HEAD,
                                 sizeof sse_text - 1, sse_text);
    size_t length = (size_t)n < cut->at ? (size_t)n : cut->at;
    script_send(q, text, length);
    if (cut->how == RESET) {
        script_sleep(0.002); /* what was sent should be read first, mostly */
        return script_reset(q);
    }
    return false;
}

static void test_cut_at_every_place(void **state)
{
    (void)state;
    for (int json = 0; json <= 1; json++)
        for (int how = RESET; how <= FIN; how++)
            for (size_t at = 0; at < 900; at += how == FIN ? 23 : 37) {
                struct cut cut = {at, (enum how)how, json};
                struct script s = {.answer = answer_cut, .user = &cut};
                struct client c;
                script_start(&s);
                client_options(&c, s.url);
                c.o.stream = !json;
                client_open(&c);
                client_ask(&c, 1);
                struct http_answer a = client_next(&c, 5);
                is_trace(&a);
                /* after its finish reason (at 402) a stream lacks no text, if maybe its usage */
                if (a.n_tries == 1 && at < (json ? 312 : 402))
                    fail_msg("cut at %zu was taken for whole", at);
                assert_true(a.cost_usd > 0 || (a.cost_usd == -1 && a.n_tries == 1));
                client_close(&c);
                script_stop(&s);
            }
}

static bool answer_broken(struct script_request *q)
{
    const char *const *texts = q->server->user;
    if (q->i > 0)
        return send_sse(q);
    script_puts(q, texts[0]);
    return false;
}

/* gzip of {"a":"bbbb...}, cut in the middle, under its right Content-Length */
static bool answer_cut_gzip(struct script_request *q)
{
    static const unsigned char gz[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0x4a, 0x54};
    if (q->i > 0)
        return send_sse(q);
    script_puts(q, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
                   "Content-Length: 14\r\n\r\n");
    return script_send(q, gz, sizeof gz);
}

static void test_broken_then_fine(void **state)
{
    (void)state;
    const char *const cases[][2] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty answer"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 33\r\n\r\n"
         "<html><title>Hello</title></html>",
         "HTML"},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"a\":",
         "broke off"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
         "zz\r\nfoo\r\n",
         "answer"},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
         "Content-Length: 5\r\n\r\nhello",
         "answer"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "
         "{\"choices\":[{\"delta\":{"
         "\"content\":\"half\"}}]}\n\n",
         "without a finish reason"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"error\":{\"message\":"
         "\"upstream died\",\"code\":502}}\n\n",
         "error 502 in the answer: upstream died"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {not json}\n\n", ""},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choices\":[{\"message\":{"
         "\"content\":\"x\"},\"finish_reason\":\"insufficient_system_resource\"}]}",
         "insufficient_system_resource"},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choices\":[{\"message\":{"
         "\"content\":\"x\"},\"finish_reason\":\"aborted\"}]}",
         "aborted"},
        {"SSH-2.0-OpenSSH_9.2\r\n", ""},
        {"", "no answer"},
    };
    for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
        bool gzip = i == sizeof cases / sizeof *cases;
        struct script s = {.answer = gzip ? answer_cut_gzip : answer_broken,
                           .user = gzip ? NULL : (void *)cases[i]};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        client_open(&c);
        client_ask(&c, 1);
        struct http_answer a = client_next(&c, 5);
        is_trace(&a);
        if (a.n_tries != 2)
            fail_msg("case %zu: %d tries", i, a.n_tries);
        struct http_endpoint_stats st;
        http_teacher_endpoint(c.t, 0, &st);
        if (!gzip && !strstr(st.last_message, cases[i][1]))
            fail_msg("case %zu: message is %s", i, st.last_message);
        assert_int_equal(st.n_failures, 1);
        assert_int_equal(st.n_traces, 1);
        client_close(&c);
        script_stop(&s);
    }
}

/* A Content-Length that is less than what comes: JSON that is cut, and a spoilt connection. */
static bool answer_short_length(struct script_request *q)
{
    if (q->i > 0)
        return send_sse(q);
    script_puts(q,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n");
    return script_puts(q, json_text);
}

static void test_short_length(void **state)
{
    (void)state;
    struct script s = {.answer = answer_short_length};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    is_trace(&a);
    assert_true(a.n_tries >= 2);
    client_close(&c);
    script_stop(&s);
}

/* ---- giving up, partial text, wasted money ---- */

static bool answer_partial(struct script_request *q)
{
    static const char *const texts[] = {"one", "one two three", "one two"};
    char text[300];
    snprintf(text, sizeof text,
             "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"%s\"}}],\"usage\":{"
             "\"prompt_tokens\":10,\"completion_tokens\":100}}\n\n",
             texts[q->i % 3]);
    script_puts(q, SCRIPT_SSE_HEAD);
    script_chunk(q, text);
    return false;
}

static void test_gave_up_with_the_longest_text(void **state)
{
    (void)state;
    struct script s = {.answer = answer_partial};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    assert_int_equal(a.n_tries, 5);
    assert_int_equal(s.n_requests, 5);
    has_words(&a, "broke off");
    is_text("reasoning", a.reply.reasoning, a.reply.n_reasoning, "one two three");
    assert_true(a.cost_usd == -1);
    assert_true(fabs(a.wasted_usd - 5 * (10 * 0.55 + 100 * 2.19) * 1e-6) < 1e-12);
    client_close(&c);
    script_stop(&s);
}

static bool answer_usage_cost(struct script_request *q)
{
    return script_reply(q, 200, "", "application/json",
                        "{\"model\":\"r1-test\",\"choices\":[{\"message\":{\"reasoning\":\"a\","
                        "\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{"
                        "\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":0.0125}}");
}

static void test_servers_own_cost(void **state)
{
    (void)state;
    struct script s = {.answer = answer_usage_cost};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_TRACE);
    assert_true(fabs(a.cost_usd - 0.0125) < 1e-12);
    client_close(&c);
    script_stop(&s);
}

/* Without token counts a text is worth a token a byte at most: of broken tries, and of the trace.
 * A try that turns out to be one too many in its middle costs one of the ask's tries. */
static bool answer_uncounted(struct script_request *q)
{
    script_puts(q, SCRIPT_SSE_HEAD);
    script_chunk(q, "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"one two\"}}]}\n\n");
    if (q->i < 2)
        return script_chunk(q, "data: {\"error\":{\"code\":503,\"message\":\"too many\"}}\n\n") &&
               script_puts(q, "0\r\n\r\n");
    return script_chunk(q,
                        "data: {\"choices\":[{\"delta\":{\"content\":\"three\"},"
                        "\"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":1}}\n\n") &&
           script_puts(q, "0\r\n\r\n");
}

static void test_uncounted_tokens(void **state)
{
    (void)state;
    struct script s = {.answer = answer_uncounted};
    struct client c;
    script_start(&s);
    strcat(s.url, "/");
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    double prompt = (14 + PRICE_FORM_TOKENS) * 0.55e-6, token = 2.19e-6;
    assert_int_equal(a.outcome, HTTP_TRACE);
    assert_int_equal(a.n_tries, 3);
    assert_true(a.cost_usd == -1 && a.wasted_usd == 0);
    assert_true(fabs(a.most_usd - (prompt + (12 + 16) * token)) < 1e-12);
    assert_true(fabs(a.unreported_usd - 2 * (prompt + (7 + 16) * token)) < 1e-12);
    client_close(&c);
    s.n_requests = 0;
    c.o.n_tries = 2;
    client_open(&c);
    client_ask(&c, 2);
    a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    assert_int_equal(a.n_tries, 2);
    assert_true(fabs(a.unreported_usd - 2 * (prompt + (7 + 16) * token)) < 1e-12);
    client_close(&c);
    script_stop(&s);
}

/* What the server did count is believed: hidden reasoning is no text. */
static bool answer_half_counted(struct script_request *q)
{
    return script_reply(q, 200, "", "application/json",
                        "{\"choices\":[{\"message\":{\"reasoning\":\"Hm.\",\"content\":\"4\"},"
                        "\"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":3000}}");
}

static void test_half_counted_tokens(void **state)
{
    (void)state;
    struct script s = {.answer = answer_half_counted};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_TRACE);
    assert_true(a.cost_usd == -1);
    double prompt = (14 + PRICE_FORM_TOKENS) * 0.55e-6;
    assert_true(fabs(a.most_usd - (prompt + 3000 * 2.19e-6)) < 1e-12);
    client_close(&c);
    script_stop(&s);
}

/* ---- guards ---- */

static bool answer_loop(struct script_request *q)
{
    script_puts(q, SCRIPT_SSE_HEAD);
    for (int i = 0; i < 5000; i++)
        if (!script_chunk(q, "data: {\"choices\":[{\"delta\":{\"content\":\"No thought, only words "
                             "and words. \"}}]}\n\n"))
            return false;
    return false;
}

static void test_guard_closes_the_connection(void **state)
{
    (void)state;
    struct script s = {.answer = answer_loop};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.rules.no_think_bytes = 200;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_TRACE);
    assert_int_equal(a.reply.state, REPLY_STOPPED);
    assert_string_equal(a.reply.finish_reason, "no_think");
    assert_true(a.reply.n_answer >= 200 && a.reply.n_answer < 20000);
    for (int i = 0; i < 100 && s.n_aborted == 0; i++)
        script_sleep(0.02);
    assert_int_equal(s.n_aborted, 1);
    assert_int_equal(s.n_requests, 1);
    client_close(&c);
    script_stop(&s);
}

static void test_too_long_is_no_trace(void **state)
{
    (void)state;
    struct script s = {.answer = answer_loop};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.rules.max_bytes = 10000;
    c.o.n_tries = 2;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    assert_int_equal(a.n_tries, 2);
    client_close(&c);
    script_stop(&s);
}

/* ---- times ---- */

static bool answer_stall(struct script_request *q)
{
    if (q->i > 0)
        return send_sse(q);
    script_puts(q, SCRIPT_SSE_HEAD);
    script_chunk(q, "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n");
    script_hangs_up(q, 5);
    return false;
}

static void test_idle_timeout(void **state)
{
    (void)state;
    struct script s = {.answer = answer_stall};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.idle_seconds = 0.3;
    client_open(&c);
    double t0 = clock_now();
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    is_trace(&a);
    assert_int_equal(a.n_tries, 2);
    double took = clock_now() - t0;
    assert_true(took > 0.29 && took < 1);
    struct http_endpoint_stats st;
    http_teacher_endpoint(c.t, 0, &st);
    assert_non_null(strstr(st.last_message, "no byte came for 0.3 s"));
    client_close(&c);
    script_stop(&s);
}

/* Comments are life, but not for ever. */
static bool answer_comments(struct script_request *q)
{
    const double *seconds = q->server->user;
    script_puts(q, SCRIPT_SSE_HEAD);
    for (double end = q->t + *seconds; script_now() < end; script_sleep(0.05))
        if (!script_chunk(q, ": keep-alive\n\n"))
            return false;
    return script_chunk(q, sse_text) && script_puts(q, "0\r\n\r\n");
}

/* A server that always has said more on all connections but the first; that one is silent
 * after its first words. */
struct flood {
    struct script s; /* its socket and URL alone */
    atomic_bool stop;
    int n;
};
static void *flood(void *arg)
{
    struct flood *f = arg;
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n";
    char line[200];
    int *fds = calloc((size_t)f->n, sizeof *fds), n = 0;
    memset(line, '-', sizeof line);
    line[0] = ':';
    line[sizeof line - 1] = '\n';
    while (!f->stop) {
        int fd = n < f->n ? accept4(f->s.fd, NULL, NULL, SOCK_NONBLOCK) : -1;
        if (fd >= 0) {
            (void)!write(fd, head, sizeof head - 1);
            fds[n++] = fd;
        }
        for (int i = 1; i < n; i++)
            send(fds[i], line, sizeof line, MSG_NOSIGNAL);
    }
    for (int i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
    return NULL;
}

static void test_idle_timeout_in_a_flood(void **state)
{
    (void)state;
    struct flood f = {.n = 1000};
    struct client c;
    pthread_t thread;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    if (files.rlim_max < 2 * (rlim_t)f.n + 64 || setrlimit(RLIMIT_NOFILE, &files))
        skip();
    script_listen(&f.s, 0);
    fcntl(f.s.fd, F_SETFL, O_NONBLOCK);
    pthread_create(&thread, NULL, flood, &f);
    client_options(&c, f.s.url);
    c.o.concurrency = f.n;
    c.o.idle_seconds = 0.5;
    c.o.n_tries = 1;
    client_open(&c);
    for (uint64_t i = 0; i < (uint64_t)f.n; i++)
        client_ask(&c, i);
    struct http_answer a = {0};
    bool found = false;
    for (double end = clock_now() + 30; !found && clock_now() < end;
         found = http_teacher_next(c.t, &a))
        http_teacher_poll(c.t, 50, &c.e);
    f.stop = true;
    pthread_join(thread, NULL);
    assert_true(found);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    has_words(&a, "no byte came for 0.5 s");
    client_close(&c);
    close(f.s.fd);
}

static void test_comments_are_life(void **state)
{
    (void)state;
    double seconds = 0.6;
    struct script s = {.answer = answer_comments, .user = &seconds};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.idle_seconds = 0.25;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    is_trace(&a);
    assert_int_equal(a.n_tries, 1);
    assert_true(a.latency_ms > 590 && a.first_byte_ms < 300);
    client_close(&c);
    seconds = 100;
    c.o.total_seconds = 0.5;
    c.o.n_tries = 2;
    client_open(&c);
    double t0 = clock_now();
    client_ask(&c, 1);
    a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    has_words(&a, "not at its end after 0.5 s");
    double took = clock_now() - t0;
    assert_true(took > 1 && took < 2);
    client_close(&c);
    script_stop(&s);
}

/* [DONE] came, but the connection's end does not. */
static bool answer_lingers(struct script_request *q)
{
    script_puts(q, SCRIPT_SSE_HEAD);
    script_chunk(q, sse_text);
    script_hangs_up(q, 10);
    return false;
}

static void test_done_is_done(void **state)
{
    (void)state;
    struct script s = {.answer = answer_lingers};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 4);
    is_trace(&a);
    assert_int_equal(a.n_tries, 1);
    client_close(&c);
    script_stop(&s);
}

/* TLS spoken to a server that never says a word. */
static bool answer_never(struct script_request *q)
{
    script_hangs_up(q, 10);
    return false;
}

static void test_connect_timeout(void **state)
{
    (void)state;
    struct script s = {.answer = answer_never};
    struct client c;
    script_start(&s);
    char url[80];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1", s.port);
    client_options(&c, url);
    c.o.connect_seconds = 0.3;
    c.o.n_tries = 2;
    client_open(&c);
    double t0 = clock_now();
    client_ask_at(&c, 1, 0);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    double took = clock_now() - t0;
    assert_true(took > 0.55 && took < 2);
    client_close(&c);
    script_stop(&s);
}

/* ---- many ---- */

static bool answer_slowly(struct script_request *q)
{
    script_sleep(0.02);
    return send_sse(q);
}

static void test_pools(void **state)
{
    (void)state;
    struct script s = {.answer = answer_slowly};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.concurrency = 16;
    client_open(&c);
    enum { N = 400 };
    bool seen[N] = {false};
    uint64_t n_asked = 0, n_done = 0;
    while (n_asked < N || http_teacher_in_flight(c.t)) {
        while (n_asked < N && http_teacher_room(c.t) > 0)
            client_ask(&c, n_asked++);
        assert_true(http_teacher_in_flight(c.t) <= 2 * 16 + 2);
        assert_int_equal(http_teacher_poll(c.t, 100, &c.e), 0);
        struct http_answer a;
        while (http_teacher_next(c.t, &a)) {
            is_trace(&a);
            assert_false(seen[a.id]);
            seen[a.id] = true;
            n_done++;
        }
    }
    assert_int_equal(n_done, N);
    assert_int_equal(s.n_requests, N);
    assert_true(s.n_connections <= 16);
    struct http_endpoint_stats st;
    http_teacher_endpoint(c.t, 0, &st);
    assert_int_equal(st.n_traces, N);
    assert_int_equal(st.n_completion_tokens, N * 1000);
    assert_int_equal(st.n_in_flight, 0);
    client_close(&c);
    script_stop(&s);
}

static void test_close_and_abandon(void **state)
{
    (void)state;
    for (int abandon = 0; abandon <= 1; abandon++) {
        struct script s = {.answer = answer_stall};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        c.o.concurrency = 3;
        client_open(&c);
        for (uint64_t i = 0; i < 3; i++)
            client_ask(&c, i); /* one stalls half way, two are answered */
        struct http_answer a = client_next(&c, 5);
        is_trace(&a);
        for (int i = 0; i < 10; i++) {
            http_teacher_poll(c.t, 20, &c.e);
            client_ask(&c, 100 + (uint64_t)i);
        }
        if (abandon) {
            int n_traces = 1, n_abandoned = 0;
            http_teacher_abandon(c.t);
            while (http_teacher_next(c.t, &a)) {
                n_traces += a.outcome == HTTP_TRACE;
                n_abandoned += a.outcome == HTTP_GAVE_UP;
                if (a.outcome == HTTP_GAVE_UP && a.reply.n_answer)
                    is_text("text", a.reply.answer, a.reply.n_answer, "half");
            }
            assert_int_equal(n_traces + n_abandoned, 13);
            assert_true(n_abandoned >= 1);
            assert_int_equal(http_teacher_in_flight(c.t), 0);
            client_ask(&c, 7); /* it can go on */
            a = client_next(&c, 5);
            is_trace(&a);
        }
        client_close(&c);
        script_stop(&s);
    }
}

static void test_options_are_checked(void **state)
{
    (void)state;
    const char *const urls[][2] = {{"ftp://h/v1", "http:// or https://"},
                                   {"localhost:8000", "http:// or https://"},
                                   {"http://user:sk-secret@h/v1", "without user information"},
                                   {"http://h/v1?key=sk-secret", "query"},
                                   {"http:///v1", "names no host"},
                                   {"http://h/v1/chat/completions", "base URL"},
                                   {"http://h /v1", "white space"}};
    struct client c;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        client_options(&c, urls[i][0]);
        c.o.endpoints = c.endpoints;
        assert_int_equal(http_teacher_open(&c.o, &c.t, &c.e), ERR_USAGE);
        assert_null(c.t);
        if (!strstr(c.e.msg, urls[i][1]) || strstr(c.e.msg, "sk-secret"))
            fail_msg("%s: %s", urls[i][0], c.e.msg);
    }
    const char *good = "http://127.0.0.1:1/v1";
    for (int k = 0; k < 7; k++) {
        client_options(&c, good);
        c.o.endpoints = c.endpoints;
        c.o.concurrency = k == 0 ? 0 : 4;
        c.o.n_tries = k == 1 ? 0 : 4;
        c.o.idle_seconds = k == 2 ? 0 : 4;
        c.endpoints[0].weight = k == 3 ? 0 : 1;
        c.o.extra_json = k == 4 ? "[1]" : NULL;
        c.o.temperature = k == 5 ? NAN : 1;
        c.endpoints[0].key_env = k == 6 ? "DECANT_NO_SUCH_KEY" : NULL;
        if (http_teacher_open(&c.o, &c.t, &c.e) != ERR_USAGE || c.t)
            fail_msg("case %d was accepted", k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_plain_completion),
        cmocka_unit_test(test_long_prompt),
        cmocka_unit_test(test_every_status),
        cmocka_unit_test(test_cut_at_every_place),
        cmocka_unit_test(test_broken_then_fine),
        cmocka_unit_test(test_short_length),
        cmocka_unit_test(test_gave_up_with_the_longest_text),
        cmocka_unit_test(test_servers_own_cost),
        cmocka_unit_test(test_uncounted_tokens),
        cmocka_unit_test(test_half_counted_tokens),
        cmocka_unit_test(test_guard_closes_the_connection),
        cmocka_unit_test(test_too_long_is_no_trace),
        cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_idle_timeout_in_a_flood),
        cmocka_unit_test(test_comments_are_life),
        cmocka_unit_test(test_done_is_done),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_close_and_abandon),
        cmocka_unit_test(test_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
