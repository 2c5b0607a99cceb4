/* The client against a scripted server: answers, every status, guards, many requests at once,
 * options. */
#include "tests/teacher/http/client_common.h"

#include <math.h>

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
        {424, HTTP_TRACE, NULL},
        {429, HTTP_TRACE, NULL},
        {498, HTTP_TRACE, NULL},
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

static bool answer_403(struct script_request *q)
{
    const char *const *body = q->server->user;
    return q->i == 0 ? script_reply(q, 403, "", "application/json", *body) : send_sse(q);
}

/* OpenRouter's 403 for a prompt that a filter flagged, Together's for one that is too long beside
 * max_tokens: the endpoint is well. Of a key that may not do this it is not. */
static void test_a_403_of_the_prompt(void **state)
{
    (void)state;
    static const struct {
        const char *body, *words;
        bool of_prompt;
    } cases[] = {
        {"{\"error\":{\"message\":\"Your input was flagged\",\"code\":403,\"metadata\":{"
         "\"reasons\":[\"violence\"],\"flagged_input\":\"...\",\"provider_name\":\"P\"}}}",
         "HTTP 403: Your input was flagged", true},
        {"{\"error\":{\"message\":\"Input validation error: `inputs` tokens + `max_new_tokens` "
         "must "
         "be <= 4097. Given: 1125 `inputs` tokens and 4096 `max_new_tokens`\",\"type\":"
         "\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":null}}",
         "HTTP 403: Input validation error", true},
        {"{\"error\":\"The combined total of the Input token count and max_tokens parameter must "
         "be "
         "less than the context length of the model\"}",
         "HTTP 403: The combined total", true},
        {"{\"error\":{\"message\":\"This token has no access to the model\"}}",
         "HTTP 403: This token has no access", false},
        {"{\"error\":{\"message\":\"Your plan has no models of this context length\"}}",
         "HTTP 403: Your plan", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = cases[i].body;
        struct script s = {.answer = answer_403, .user = &body};
        struct client c;
        script_start(&s);
        client_options(&c, s.url);
        client_open(&c);
        client_ask(&c, 1);
        struct http_answer a = client_next(&c, 10);
        assert_int_equal(a.outcome, cases[i].of_prompt ? HTTP_FAILED : HTTP_FATAL);
        has_words(&a, cases[i].words);
        client_ask(&c, 2);
        a = client_next(&c, 10);
        if (cases[i].of_prompt)
            is_trace(&a);
        else
            assert_int_equal(a.outcome, HTTP_FATAL);
        client_close(&c);
        script_stop(&s);
    }
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
        if (http_teacher_open(&c.o, &c.t, &c.e) != (k == 6 ? ERR_NOTFOUND : ERR_USAGE) || c.t)
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
        cmocka_unit_test(test_a_403_of_the_prompt),
        cmocka_unit_test(test_guard_closes_the_connection),
        cmocka_unit_test(test_too_long_is_no_trace),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
