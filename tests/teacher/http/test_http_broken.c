/* The client against a scripted server whose answers break: what is asked again, what text is kept,
 * and what the tries cost. */
#include "tests/teacher/http/client_common.h"

#include <math.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_place),
        cmocka_unit_test(test_broken_then_fine),
        cmocka_unit_test(test_short_length),
        cmocka_unit_test(test_gave_up_with_the_longest_text),
        cmocka_unit_test(test_servers_own_cost),
        cmocka_unit_test(test_uncounted_tokens),
        cmocka_unit_test(test_half_counted_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
