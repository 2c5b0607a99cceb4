/* Several endpoints, some of which go and come: with real sockets and clocks. */
#include "tests/teacher/http/client_common.h"

#include <math.h>

static bool answer_sse(struct script_request *q)
{
    return send_sse(q);
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
    assert_int_equal(client_run(&c, 200, 10), 200);
    assert_true(s.n_requests > 15 && other.n_requests > 15);
    m.dead = true;
    int before = s.n_requests;
    assert_int_equal(client_run(&c, 2000, 20), 2000);
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
        assert_int_equal(client_run(&c, 600, 20), 600);
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
    assert_int_equal(client_run(&c, 40, 10), 40);
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
    assert_int_equal(client_run(&c, 50, 5), 50);
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
        cmocka_unit_test(test_gone_and_back),
        cmocka_unit_test(test_all_gone_for_too_long),
        cmocka_unit_test(test_one_dies),
        cmocka_unit_test(test_weights_and_speed),
        cmocka_unit_test(test_retry_after_a_day),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_pinned_and_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
