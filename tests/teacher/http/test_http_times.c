/* The client's patience: idle and total timeouts, slow connections, ends that don't come, and the
 * client's own end in the middle of answers. */
#include "tests/teacher/http/client_common.h"

#include <fcntl.h>
#include <sys/resource.h>

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
    c.o.total_seconds = 300; /* a slow machine */
    c.o.n_tries = 1;
    client_open(&c);
    for (uint64_t i = 0; i < (uint64_t)f.n; i++)
        client_ask(&c, i);
    struct http_answer a = {0};
    bool found = false;
    for (double end = clock_now() + 120; !found && clock_now() < end;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_timeout),      cmocka_unit_test(test_idle_timeout_in_a_flood),
        cmocka_unit_test(test_comments_are_life), cmocka_unit_test(test_done_is_done),
        cmocka_unit_test(test_connect_timeout),   cmocka_unit_test(test_close_and_abandon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
