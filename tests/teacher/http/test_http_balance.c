/* Several endpoints, rate limits, endpoints that go and come: with real sockets and clocks. */
#include "tests/teacher/http/client_common.h"

#include <math.h>

static bool answer_sse(struct script_request *q)
{
    return send_sse(q);
}

static double seconds_until(const struct script *s, int i)
{
    return s->t_request[i] - s->t_request[0];
}

/* Asks n and takes all answers; the number of traces. */
static int run(struct client *c, int n, double seconds)
{
    int n_asked = 0, n_traces = 0;
    double end = clock_now() + seconds;
    while (n_asked < n || http_teacher_in_flight(c->t)) {
        while (n_asked < n && http_teacher_room(c->t) > 0)
            client_ask(c, (uint64_t)n_asked++);
        if (http_teacher_poll(c->t, 100, &c->e))
            fail_msg("%s", c->e.msg);
        struct http_answer a;
        while (http_teacher_next(c->t, &a))
            n_traces += a.outcome == HTTP_TRACE;
        if (clock_now() > end)
            fail_msg("%d of %d answers within %g s", n_asked, n, seconds);
    }
    return n_traces;
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
        assert_int_equal(run(&c, 3, 8), 3); /* the others wait too: it is the endpoint's limit */
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
    assert_int_equal(run(&c, 40, 3), 40);
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
    assert_int_equal(run(&c, 40, 5), 40);
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
        assert_int_equal(run(&c, 40, 5), i < 2 ? 40 : 0);
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
        assert_int_equal(run(&c, 3, 5), 3);
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
    assert_int_equal(run(&c, 300, 30), 300);
    double ideal = h.ms * 1e-3 / 6, took = clock_now() - t0;
    if (took > 3 * ideal || h.n_refused > 300)
        fail_msg("%.2f s (%.2f s would be ideal), %d refused", took, ideal, h.n_refused);
    client_close(&c);
    script_stop(&s);
}

/* ---- endpoints that are gone ---- */

static int free_port(void)
{
    struct script s = {0};
    script_listen(&s, 0);
    close(s.fd);
    return s.port;
}

/* Nobody there for a second: no ask pays for it with its tries, and few requests are made. */
static void test_gone_and_back(void **state)
{
    (void)state;
    char url[64];
    int port = free_port();
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", port);
    struct client c;
    client_options(&c, url);
    c.o.n_tries = 2;
    c.o.concurrency = 32;
    client_open(&c);
    for (uint64_t i = 0; i < 32; i++)
        client_ask(&c, i);
    struct http_answer a;
    for (double end = clock_now() + 1; clock_now() < end;) {
        assert_int_equal(http_teacher_poll(c.t, 100, &c.e), 0);
        assert_false(http_teacher_next(c.t, &a));
    }
    struct http_endpoint_stats st;
    http_teacher_endpoint(c.t, 0, &st);
    assert_true(st.n_failures <= 8 + 4); /* the first ones and three probes */
    struct script s = {.answer = answer_sse};
    script_start_at(&s, port);
    for (int i = 0; i < 32; i++) {
        a = client_next(&c, 5);
        is_trace(&a);
    }
    assert_int_equal(s.n_requests, 32);
    client_close(&c);
    script_stop(&s);
}

static void test_all_gone_for_too_long(void **state)
{
    (void)state;
    char urls[2][64];
    struct client c;
    for (int i = 0; i < 2; i++)
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d/v1", free_port());
    client_options(&c, urls[0]);
    c.endpoints[1] = (struct http_endpoint_options){.url = urls[1], .weight = 1};
    c.o.n_endpoints = 2;
    c.o.down_seconds = 0.8;
    client_open(&c);
    double t0 = clock_now();
    for (uint64_t i = 0; i < 4; i++)
        client_ask(&c, i);
    for (int i = 0; i < 4; i++) {
        struct http_answer a = client_next(&c, 5);
        assert_int_equal(a.outcome, HTTP_FATAL);
        has_words(&a, "no endpoint has been of use for");
        double took = clock_now() - t0;
        assert_true(took > 0.8 && took < 3);
    }
    client_close(&c);
}

/* One of two is killed in the middle: its requests go to the other, nothing is lost. */
struct mortal {
    atomic_bool dead;
};
static bool answer_mortal(struct script_request *q)
{
    struct mortal *m = q->server->user;
    script_sleep(0.005);
    return m->dead ? script_reset(q) : send_sse(q);
}

static void test_one_dies(void **state)
{
    (void)state;
    struct mortal m = {false}, well = {false};
    struct script s = {.answer = answer_mortal, .user = &m};
    struct script other = {.answer = answer_mortal, .user = &well};
    struct client c;
    script_start(&s);
    script_start(&other);
    client_options(&c, s.url);
    c.endpoints[1] = (struct http_endpoint_options){.url = other.url, .weight = 1};
    c.o.n_endpoints = 2;
    c.o.concurrency = 20;
    client_open(&c);
    assert_int_equal(run(&c, 200, 10), 200);
    assert_true(s.n_requests > 15 && other.n_requests > 15);
    m.dead = true;
    int before = s.n_requests;
    assert_int_equal(run(&c, 2000, 20), 2000);
    if (s.n_requests - before > 200)
        fail_msg("%d requests went to the dead", s.n_requests - before);
    client_close(&c);
    script_stop(&s);
    script_stop(&other);
}

/* ---- load ---- */

static bool answer_after(struct script_request *q)
{
    const double *seconds = q->server->user;
    script_sleep(*seconds);
    return send_json(q);
}

static void test_weights_and_speed(void **state)
{
    (void)state;
    double fast = 0.01, slow = 0.1;
    for (int k = 0; k < 2; k++) {
        struct script a = {.answer = answer_after, .user = &fast};
        struct script b = {.answer = answer_after, .user = k ? &slow : &fast};
        struct client c;
        script_start(&a);
        script_start(&b);
        client_options(&c, a.url);
        c.endpoints[0].weight = k ? 1 : 3;
        c.endpoints[1] = (struct http_endpoint_options){.url = b.url, .weight = 1};
        c.o.n_endpoints = 2;
        c.o.concurrency = 16;
        client_open(&c);
        assert_int_equal(run(&c, 600, 20), 600);
        double share = (double)a.n_requests / 600;
        if (k == 0 && fabs(share - 0.75) > 0.1)
            fail_msg("weight 3 of 4 got %.2f of the load", share);
        if (k == 1 && share < 0.9)
            fail_msg("the one ten times as fast got %.2f of the load", share);
        client_close(&c);
        script_stop(&a);
        script_stop(&b);
    }
}

/* ---- fatal, pinned, left out ---- */

static bool answer_tomorrow(struct script_request *q)
{
    return script_reply(q, 429, "Retry-After: 86400\r\n", "application/json", "{}");
}

/* An endpoint that wants nothing before tomorrow: what is meant for it alone learns so at once, the
 * rest goes elsewhere, also when elsewhere was busy just then. */
static void test_retry_after_a_day(void **state)
{
    (void)state;
    double seconds = 0.05;
    struct script day = {.answer = answer_tomorrow};
    struct script other = {.answer = answer_after, .user = &seconds};
    struct client c;
    script_start(&day);
    script_start(&other);
    client_options(&c, day.url);
    c.endpoints[1] = (struct http_endpoint_options){.url = other.url, .weight = 1};
    c.o.n_endpoints = 2;
    client_open(&c);
    client_ask_at(&c, 1, 0);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    assert_int_equal(a.n_tries, 1);
    client_ask_at(&c, 2, 0); /* not even sent */
    a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    assert_int_equal(a.n_tries, 0);
    has_words(&a, "429");
    assert_int_equal(run(&c, 40, 10), 40);
    client_close(&c);
    script_stop(&day);
    script_stop(&other);
}

/* Nothing is sent any more: what was not sent, and what failed, ends; what is answered is kept. */
static void test_finish(void **state)
{
    (void)state;
    double seconds = 0.3;
    struct script s = {.answer = answer_after, .user = &seconds};
    struct client c;
    int n_traces = 0, n_unsent = 0;
    script_start(&s);
    client_options(&c, s.url);
    client_open(&c);
    for (uint64_t i = 0; i < 10; i++)
        client_ask(&c, i);
    http_teacher_poll(c.t, 100, &c.e);
    http_teacher_finish(c.t);
    for (int i = 0; i < 10; i++) {
        struct http_answer a = client_next(&c, 5);
        n_traces += a.outcome == HTTP_TRACE;
        n_unsent += a.outcome == HTTP_GAVE_UP && a.n_tries == 0;
    }
    assert_int_equal(n_traces, 4);
    assert_int_equal(n_unsent, 6);
    assert_int_equal(s.n_requests, 4);
    client_close(&c);
    script_stop(&s);
}

static bool answer_402(struct script_request *q)
{
    return script_status(q, 402);
}

static void test_fatal(void **state)
{
    (void)state;
    struct script bad = {.answer = answer_402}, good = {.answer = answer_sse};
    struct client c;
    script_start(&bad);
    script_start(&good);
    client_options(&c, bad.url);
    client_open(&c); /* alone: what waits ends too */
    for (uint64_t i = 0; i < 20; i++)
        client_ask(&c, i);
    for (int i = 0; i < 20; i++) {
        struct http_answer a = client_next(&c, 3);
        assert_int_equal(a.outcome, HTTP_FATAL);
        has_words(&a, "HTTP 402");
    }
    assert_true(bad.n_requests <= 4);
    client_ask(&c, 77); /* and what comes later, without a request */
    struct http_answer a = client_next(&c, 3);
    assert_int_equal(a.outcome, HTTP_FATAL);
    assert_true(bad.n_requests <= 4);
    client_close(&c);

    c.endpoints[1] = (struct http_endpoint_options){.url = good.url, .weight = 1};
    c.o.n_endpoints = 2;
    client_open(&c); /* with another: the others are answered */
    int n_fatal = 0, n_traces = 0;
    for (uint64_t i = 0; i < 20; i++)
        client_ask(&c, i);
    for (int i = 0; i < 20; i++) {
        a = client_next(&c, 3);
        n_fatal += a.outcome == HTTP_FATAL;
        n_traces += a.outcome == HTTP_TRACE;
    }
    assert_true(n_fatal >= 1 && n_fatal <= 4);
    assert_int_equal(n_fatal + n_traces, 20);
    client_close(&c);
    script_stop(&bad);
    script_stop(&good);
}

static void test_pinned(void **state)
{
    (void)state;
    char gone[64];
    snprintf(gone, sizeof gone, "http://127.0.0.1:%d/v1", free_port());
    struct script good = {.answer = answer_sse}, bad = {.answer = answer_402};
    struct client c;
    script_start(&good);
    script_start(&bad);
    client_options(&c, gone);
    c.endpoints[1] = (struct http_endpoint_options){.url = good.url, .weight = 1, .model = "m2"};
    c.endpoints[2] = (struct http_endpoint_options){.url = bad.url, .weight = 1};
    c.o.n_endpoints = 3;
    client_open(&c);
    for (uint64_t i = 0; i < 9; i++)
        client_ask_at(&c, i, (int)(i % 3));
    int n_traces = 0, n_gave_up = 0, n_fatal = 0;
    for (int i = 0; i < 9; i++) { /* a canary learns soon that nobody listens */
        struct http_answer a = client_next(&c, 3);
        if (a.outcome == HTTP_TRACE) {
            assert_string_equal(a.endpoint, good.url);
            assert_non_null(strstr(a.params_json, "\"model\":\"m2\""));
            assert_int_equal(a.id % 3, 1);
            n_traces++;
        } else if (a.id % 3 == 0) {
            assert_int_equal(a.outcome, HTTP_GAVE_UP);
            has_words(&a, gone);
            n_gave_up++;
        } else
            n_fatal++;
    }
    assert_int_equal(n_traces, 3);
    assert_int_equal(n_gave_up, 3);
    assert_int_equal(n_fatal, 3);
    http_teacher_leave_out(c.t, 0);
    assert_int_equal(run(&c, 50, 5), 50);
    assert_int_equal(good.n_requests, 53);
    client_ask_at(&c, 1, 0);
    struct http_answer a = client_next(&c, 1);
    assert_int_equal(a.outcome, HTTP_GAVE_UP);
    struct http_endpoint_stats st;
    http_teacher_endpoint(c.t, 0, &st);
    assert_true(st.off);
    assert_int_equal(http_teacher_n_endpoints(c.t), 3);
    client_close(&c);
    script_stop(&good);
    script_stop(&bad);
}

static bool answer_later(struct script_request *q)
{
    return q->i < 5 ? script_status(q, q->i % 2 ? 429 : 503) : send_sse(q);
}

/* A moment of overload at the start says nothing against an endpoint. */
static void test_pinned_and_overloaded(void **state)
{
    (void)state;
    struct script s = {.answer = answer_later};
    struct client c;
    script_start(&s);
    client_options(&c, s.url);
    c.o.n_tries = 1;
    client_open(&c);
    client_ask_at(&c, 1, 0);
    struct http_answer a = client_next(&c, 10);
    is_trace(&a);
    assert_int_equal(a.n_tries, 6);
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
        cmocka_unit_test(test_full_house),
        cmocka_unit_test(test_gone_and_back),
        cmocka_unit_test(test_all_gone_for_too_long),
        cmocka_unit_test(test_one_dies),
        cmocka_unit_test(test_retry_after_a_day),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_weights_and_speed),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_pinned_and_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
