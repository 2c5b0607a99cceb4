/* What the tests of the HTTP teacher share: options, one ask from beginning to end, answers. */
#ifndef DECANT_TESTS_CLIENT_COMMON_H
#define DECANT_TESTS_CLIENT_COMMON_H

#include "core/base/log.h"
#include "teacher/http/http.h"
#include "tests/teacher/http/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char sse_text[] =
    "data: {\"id\":\"a1\",\"model\":\"r1-test\",\"choices\":[{\"index\":0,\"delta\":{"
    "\"reasoning_content\":\"Two and two, let me see.\"}}]}\n\n"
    ": keep-alive\n\n"
    "data: {\"id\":\"a1\",\"model\":\"r1-test\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
    "\"It is 4.\"}}]}\n\n"
    "data: {\"id\":\"a1\",\"model\":\"r1-test\",\"choices\":[{\"index\":0,\"delta\":{},"
    "\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"id\":\"a1\",\"model\":\"r1-test\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,"
    "\"completion_tokens\":1000,\"prompt_cache_hit_tokens\":64}}\n\n"
    "data: [DONE]\n\n";
static const char json_text[] =
    "{\"id\":\"b2\",\"model\":\"r1-test\",\"choices\":[{\"index\":0,\"message\":{"
    "\"reasoning_content\":\"Two and two, let me see.\",\"content\":\"It is 4.\"},"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":1000,"
    "\"prompt_cache_hit_tokens\":64}}";

static inline bool send_sse(struct script_request *q)
{
    return script_puts(q, SCRIPT_SSE_HEAD) && script_chunk(q, sse_text) &&
           script_puts(q, "0\r\n\r\n");
}

static inline bool send_json(struct script_request *q)
{
    return script_reply(q, 200, "", "application/json", json_text);
}

struct client {
    struct http_endpoint_options endpoints[4];
    struct http_options o;
    struct http_teacher *t;
    struct err e;
};

static inline void client_options(struct client *c, const char *url)
{
    *c = (struct client){
        .o = {.n_endpoints = 1,
              .model = "r1",
              .stream = true,
              .temperature = 0.6,
              .top_p = 0.95,
              .max_tokens = 4096,
              .rules = {.chat = true, .max_bytes = 1 << 20},
              .concurrency = 4,
              .n_tries = 5,
              .connect_seconds = 5,
              .idle_seconds = 5,
              .total_seconds = 20,
              .backoff_seconds = 0.01,
              .seed = 1},
    };
    c->endpoints[0] = (struct http_endpoint_options){
        .url = url,
        .weight = 1,
        .price = {.known = true, .input_hit = 0.14, .input_miss = 0.55, .output = 2.19}};
}

static inline void client_open(struct client *c)
{
    c->o.endpoints = c->endpoints;
    if (http_teacher_open(&c->o, &c->t, &c->e))
        fail_msg("%s", c->e.msg);
}

static inline void client_ask_at(struct client *c, uint64_t id, int endpoint)
{
    struct http_ask a = {.id = id,
                         .prompt = "What is 2 + 2?",
                         .n_prompt = 14,
                         .has_seed = true,
                         .seed = (int64_t)id,
                         .endpoint = endpoint};
    if (http_teacher_ask(c->t, &a, &c->e))
        fail_msg("%s", c->e.msg);
}

static inline void client_ask(struct client *c, uint64_t id)
{
    client_ask_at(c, id, -1);
}

/* The next answer; fails after seconds. It lives until the next call. */
static inline struct http_answer client_next(struct client *c, double seconds)
{
    struct http_answer a;
    for (double end = clock_now() + seconds; clock_now() < end;) {
        if (http_teacher_next(c->t, &a))
            return a;
        if (http_teacher_poll(c->t, 50, &c->e))
            fail_msg("%s", c->e.msg);
    }
    fail_msg("no answer within %g s", seconds);
    return a;
}

static inline void client_close(struct client *c)
{
    http_teacher_close(c->t);
    c->t = NULL;
}

static inline void is_text(const char *what, const char *s, size_t n, const char *expected)
{
    if (n != strlen(expected) || memcmp(s, expected, n) != 0)
        fail_msg("%s is \"%.*s\", not \"%s\"", what, (int)n, s, expected);
}

static inline void is_trace(const struct http_answer *a)
{
    if (a->outcome != HTTP_TRACE)
        fail_msg("outcome %d: %s", a->outcome, a->message);
    assert_int_equal(a->reply.state, REPLY_COMPLETE);
    is_text("reasoning", a->reply.reasoning, a->reply.n_reasoning, "Two and two, let me see.");
    is_text("answer", a->reply.answer, a->reply.n_answer, "It is 4.");
    assert_string_equal(a->reply.finish_reason, "stop");
    assert_string_equal(a->reply.model, "r1-test");
    assert_int_equal(a->status, 200);
    assert_string_equal(a->message, "");
}

static inline void has_words(const struct http_answer *a, const char *words)
{
    if (!strstr(a->message, words))
        fail_msg("the message lacks \"%s\": %s", words, a->message);
    if (!strstr(a->message, "http"))
        fail_msg("the message names no endpoint: %s", a->message);
}

/* Asks n and takes all answers; the number of traces. */
static inline int client_run(struct client *c, int n, double seconds)
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

#endif
