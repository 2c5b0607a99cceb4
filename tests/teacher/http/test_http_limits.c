/* Rate limits, overload and refusals, told by status, header or the answer: with real sockets and
 * clocks. */
#include "tests/teacher/http/client_common.h"

static bool answer_sse(struct script_request *q)
{
    return send_sse(q);
}

static double seconds_until(const struct script *s, int i)
{
    return s->t_request[i] - s->t_request[0];
}

/* ---- rate limits ---- */

static bool answer_limited(struct script_request *q)
{
    const char *const *headers = q->server->user;
    return q->i == 0 ? script_reply(q, 429, headers[0], "application/json", "{}") : send_sse(q);
}

static const char *http_date(double seconds)
{
    static char text[64];
    time_t t = time(NULL) + (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    return text;
}

static void test_retry_after(void **state)
{
    (void)state;
    const struct {
        const char *header;
        double least, most;
    } cases[] = {{"Retry-After: 1\r\n", 1, 1.6},
                 {"retry-after: 0.4\r\n", 0.4, 0.8},
                 {NULL, 0.9, 2.5},
                 {"", 0, 0.4},
                 {"Retry-After: soon\r\n", 0, 0.4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *header = cases[i].header ? cases[i].header : http_date(2);
        struct script s = {.answer = answer_limited, .user = &header};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        c.o.concurrency = 1;
        client_open(&c);
        assert_int_equal(client_run(&c, 3, 8),
                         3); /* the others wait too: it is the endpoint's limit */
        double waited = seconds_until(&s, 1);
        if (waited < cases[i].least || waited > cases[i].most)
            fail_msg("case %zu: waited %.3f s", i, waited);
        assert_int_equal(s.n_requests, 4);
        struct http_endpoint_stats st;
        http_teacher_endpoint(c.t, 0, &st);
        assert_int_equal(st.n_rate_limited, 1);
        client_close(&c);
        script_stop(&s);
    }
}

/* The first is turned away; those that came with it are answered only when that is known. */
static bool answer_limited_then_slowly(struct script_request *q)
{
    if (q->i > 0)
        script_sleep(0.3);
    return answer_limited(q);
}

/* With a second endpoint nobody waits. */
static void test_retry_after_elsewhere(void **state)
{
    (void)state;
    const char *header = "Retry-After: 30\r\n";
    struct script s = {.answer = answer_limited_then_slowly, .user = &header};
    struct script other = {.answer = answer_sse};
    struct client c;
    script_start(&s);
    script_start(&other);
    client_options(&c, s.url);
    c.endpoints[1] = (struct http_endpoint_options){.url = other.url, .weight = 0.01};
    c.o.n_endpoints = 2;
    client_open(&c);
    assert_int_equal(client_run(&c, 40, 3), 40);
    assert_in_range(s.n_requests, 1, c.o.concurrency);     /* those of the first moment */
    assert_int_equal(s.n_requests + other.n_requests, 41); /* none asked twice but the first */
    client_close(&c);
    script_stop(&s);
    script_stop(&other);
}

static bool answer_404(struct script_request *q)
{
    return script_status(q, 404);
}
static bool answer_slowly(struct script_request *q)
{
    script_sleep(0.02);
    return send_sse(q);
}

/* One that does not know the model any more answers faster than all others, and must not draw what
 * they could answer. */
static void test_not_found_here(void **state)
{
    (void)state;
    struct script s = {.answer = answer_404}, other = {.answer = answer_slowly};
    struct client c;
    script_start(&s);
    script_start(&other);
    client_options(&c, s.url);
    c.endpoints[1] = (struct http_endpoint_options){.url = other.url, .weight = 1};
    c.o.n_endpoints = 2;
    client_open(&c);
    assert_int_equal(client_run(&c, 40, 5), 40);
    assert_int_equal(other.n_requests, 40);
    client_close(&c);
    script_stop(&s);
    script_stop(&other);
}

static bool answer_400(struct script_request *q)
{
    return script_status(q, 400);
}
static bool answer_at_last(struct script_request *q)
{
    return q->i < 3 ? script_status(q, 500) : answer_slowly(q);
}
static bool answer_422(struct script_request *q)
{
    return script_status(q, 422);
}

/* One with a smaller context than the other, which may break; two that both refuse; one alone. */
static void test_refused_here(void **state)
{
    (void)state;
    bool (*const answers[])(struct script_request *) = {answer_400, answer_422};
    for (size_t i = 0; i < 4; i++) {
        struct script s = {.answer = answers[i % 2]}, other = {.answer = i == 0   ? answer_slowly
                                                                         : i == 1 ? answer_at_last
                                                                                  : answers[i % 2]};
        struct client c;
        script_start(&s);
        script_start(&other);
        client_options(&c, s.url);
        c.endpoints[1] = (struct http_endpoint_options){.url = other.url, .weight = 1};
        c.o.n_endpoints = 2;
        c.o.n_tries = i == 1 ? 4 : 1; /* a refusal costs none */
        client_open(&c);
        assert_int_equal(client_run(&c, 40, 5), i < 2 ? 40 : 0);
        assert_int_equal(other.n_requests, i == 1 ? 43 : 40);
        if (i >= 2)
            assert_int_equal(s.n_requests, 40);
        client_close(&c);

        client_options(&c, s.url);
        client_open(&c);
        client_ask(&c, 1);
        struct http_answer a = client_next(&c, 2);
        assert_int_equal(a.outcome, HTTP_FAILED);
        assert_int_equal(a.n_tries, 1);
        has_words(&a, i % 2 ? "status 422 it is" : "status 400 it is");
        client_close(&c);
        script_stop(&s);
        script_stop(&other);
    }
}

static bool answer_error_of_200(struct script_request *q)
{
    static const char error[] = "{\"error\":{\"message\":\"engine\",\"code\":500}}";
    if (q->i % 2)
        return script_reply(q, 200, "", "application/json", error);
    return script_puts(q, SCRIPT_SSE_HEAD) && script_chunk(q, "data: ") && script_chunk(q, error) &&
           script_chunk(q, "\n\n") && script_puts(q, "0\r\n\r\n");
}

/* An error is no sign of life, though its status be 200. */
static void test_error_of_200(void **state)
{
    (void)state;
    struct script s = {.answer = answer_error_of_200};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.n_tries = 1000;
    c.o.down_seconds = 1;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 20);
    assert_int_equal(a.outcome, HTTP_FATAL);
    has_words(&a, "engine; no endpoint has been of use");
    assert_int_equal(a.status, 500);
    client_close(&c);
    script_stop(&s);
}

static bool answer_quota(struct script_request *q)
{
    const char *const *headers = q->server->user;
    return script_reply(q, 200, q->i == 0 ? headers[0] : "", "application/json", json_text);
}

static const char *anthropic_limit(const char *kind, double seconds)
{
    static char text[160];
    char at[32];
    time_t t = time(NULL) + (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(text, sizeof text,
             "anthropic-ratelimit-%s-remaining: 0\r\nanthropic-ratelimit-%s-reset: %s\r\n", kind,
             kind, at);
    return text;
}

static void test_rate_limit_headers(void **state)
{
    (void)state;
    const struct {
        const char *headers;
        double least, most;
    } cases[] = {
        {"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 700ms\r\n", 0.7, 1.2},
        {"X-RateLimit-Remaining-Tokens: 0\r\nX-RateLimit-Reset-Tokens: 0.5s\r\n", 0.5, 1},
        {"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 0.5\r\n", 0.5, 1},
        {"RateLimit-Limit: 9\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 1\r\n", 1, 1.5},
        {"requests", 0.9, 2.5},
        {"tokens", 0.9, 2.5},
        {"x-ratelimit-remaining-requests: 59\r\nx-ratelimit-reset-requests: 6m0s\r\n", 0, 0.3},
        {"x-ratelimit-remaining-requests: 0\r\n", 0, 0.3}, /* without an end: no limit */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *headers = cases[i].headers;
        if (!strchr(headers, ':'))
            headers = anthropic_limit(headers, 2);
        struct script s = {.answer = answer_quota, .user = &headers};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        c.o.concurrency = 1;
        client_open(&c);
        assert_int_equal(client_run(&c, 3, 5), 3);
        double waited = seconds_until(&s, 1);
        if (waited < cases[i].least || waited > cases[i].most)
            fail_msg("case %zu: waited %.3f s", i, waited);
        client_close(&c);
        script_stop(&s);
    }
}

/* The limit counts from its headers on, not from the answer's end: it holds while the answer
 * streams, and is over with its own time. */
static bool answer_quota_and_stream(struct script_request *q)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n"
                               "x-ratelimit-remaining-requests: 0\r\n"
                               "x-ratelimit-reset-requests: 600ms\r\n\r\n";
    if (q->i > 0)
        return send_sse(q);
    if (!script_puts(q, head) || !script_chunk(q, ": keep-alive\n\n"))
        return false;
    script_sleep(*(const double *)q->server->user);
    return script_chunk(q, sse_text) && script_puts(q, "0\r\n\r\n");
}

static void test_rate_limit_of_a_stream(void **state)
{
    (void)state;
    const struct {
        int64_t concurrency;
        double stream, least, most;
    } cases[] = {{1, 0.6, 0.6, 0.9},  /* over when the stream ends */
                 {2, 1.5, 0.6, 1.0}}; /* in force while it goes on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double stream = cases[i].stream;
        struct script s = {.answer = answer_quota_and_stream, .user = &stream};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        c.o.concurrency = cases[i].concurrency;
        client_open(&c);
        client_ask(&c, 0);
        for (double end = clock_now() + 0.2; clock_now() < end;)
            assert_int_equal(http_teacher_poll(c.t, 20, &c.e), 0);
        client_ask(&c, 1);
        client_next(&c, 5);
        client_next(&c, 5);
        double waited = s.t_request[1] - s.t_request[0];
        if (waited < cases[i].least || waited > cases[i].most)
            fail_msg("case %zu: waited %.3f s", i, waited);
        client_close(&c);
        script_stop(&s);
    }
}

/* A wait that is longer than endpoints may be down ends the run at once, resumable. */
static void test_wait_too_long(void **state)
{
    (void)state;
    const char *header = "Retry-After: 86400\r\n";
    struct script s = {.answer = answer_limited, .user = &header};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 3);
    assert_int_equal(a.outcome, HTTP_FATAL);
    has_words(&a, "in the next 86400 s");
    has_words(&a, "HTTP 429");
    client_close(&c);
    script_stop(&s);
}

struct quota_case {
    const char *code, *type, *headers;
    int n; /* so many are refused, then no more */
};
static bool answer_no_quota(struct script_request *q)
{
    const struct quota_case *x = q->server->user;
    char body[300];
    if (q->i >= x->n)
        return send_sse(q);
    snprintf(
        body, sizeof body,
        "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":%s,\"param\":null,"
        "\"code\":%s}}",
        x->type, x->code);
    return script_reply(q, 429, x->headers, "application/json", body);
}

/* A quota that is used up stops the run as a 402 does, once it is clear that no limit of a minute
 * is meant (here: of half a second); what says when to come back, or is called otherwise, is waited
 * out as long as endpoints may be down. */
static void test_no_quota(void **state)
{
    (void)state;
    static const char quota[] = "\"insufficient_quota\"";
    static const struct {
        struct quota_case x;
        enum http_outcome outcome;
        const char *words;
        bool no_quota;
    } cases[] = {
        {{quota, quota, "", 1 << 20}, HTTP_FATAL, "You exceeded your current quota; the acc", true},
        {{"null", quota, "", 1 << 20}, HTTP_FATAL, "quota or money is used up", true},
        {{quota, "null", "", 1 << 20}, HTTP_FATAL, "quota or money is used up", true},
        {{quota, quota, "", 4}, HTTP_TRACE, NULL, false},
        {{quota, quota, "Retry-After: 0.02\r\n", 1 << 20}, HTTP_FATAL, "; no endpoint", false},
        {{"\"insufficient_quota_rpm\"", "\"requests\"", "", 1 << 20},
         HTTP_FATAL,
         "You exceeded your current quota; no endpoint",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quota_case x = cases[i].x;
        struct script s = {.answer = answer_no_quota, .user = &x};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        c.o.n_tries = 1000;
        c.o.down_seconds = 0.5;
        client_open(&c);
        client_ask(&c, 1);
        struct http_answer a = client_next(&c, 20);
        if (a.outcome != cases[i].outcome)
            fail_msg("case %zu: outcome %d, %s", i, a.outcome, a.message);
        if (cases[i].words)
            has_words(&a, cases[i].words);
        assert_true(!strstr(a.message, "used up") != cases[i].no_quota);
        assert_true(a.outcome == HTTP_TRACE ||
                    !strstr(a.message, "no endpoint") == cases[i].no_quota);
        if (cases[i].no_quota) {
            assert_int_equal(a.status, 429);
            assert_true(s.n_requests >= 5);
        }
        client_close(&c);
        script_stop(&s);
    }
}

/* A server that bears 6 at a time: found out, and its work is done at nearly its own pace. */
struct house {
    atomic_int n_inside, n_refused, n_served;
    atomic_int ms; /* of all served: a busy machine's sleeps are longer than asked for */
};
static bool answer_full_house(struct script_request *q)
{
    struct house *h = q->server->user;
    if (h->n_inside++ >= 6) {
        h->n_inside--;
        h->n_refused++;
        return script_status(q, 429);
    }
    h->n_served++;
    script_sleep(0.03);
    h->ms += (int)((script_now() - q->t) * 1e3);
    h->n_inside--;
    return send_json(q);
}

static void test_full_house(void **state)
{
    (void)state;
    struct house h = {0};
    struct script s = {.answer = answer_full_house, .user = &h};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.concurrency = 60;
    client_open(&c);
    double t0 = clock_now();
    assert_int_equal(client_run(&c, 300, 30), 300);
    double ideal = h.ms * 1e-3 / 6, took = clock_now() - t0;
    if (took > 3 * ideal || h.n_refused > 300)
        fail_msg("%.2f s (%.2f s would be ideal), %d refused", took, ideal, h.n_refused);
    client_close(&c);
    script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_elsewhere),
        cmocka_unit_test(test_not_found_here),
        cmocka_unit_test(test_refused_here),
        cmocka_unit_test(test_error_of_200),
        cmocka_unit_test(test_rate_limit_headers),
        cmocka_unit_test(test_rate_limit_of_a_stream),
        cmocka_unit_test(test_wait_too_long),
        cmocka_unit_test(test_no_quota),
        cmocka_unit_test(test_full_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
