/* What one chunk or body says: reasoning and answer, names, counts, costs, errors. */
#include "tests/teacher/http/reply_common.h"

#include <stdio.h>

static void thinking_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reasoning, *answer, *rule;
        bool raw, open;
    } t[] = {
        {CONTENT("<think>") CONTENT("\\na b") CONTENT("\\n</think>c") STOP, "a b", "c", "tag", 0,
         0},
        {CONTENT(" \\n<th") CONTENT("ink>a</thi") CONTENT("nk") CONTENT(">c") STOP, "a", "c", "tag",
         0, 0},
        {CONTENT("a</think>") STOP, "a", "", "tag", 0, 0},
        {CONTENT("</think>c") STOP, "", "c", "tag", 0, 0},
        {CONTENT("<think>\\n\\n</think>\\n\\nc") STOP, "", "c", "tag", 0, 0},
        {CONTENT("<think>never closed") STOP, "never closed", "", "tag", 0, 0},
        {CONTENT("just so") STOP, "", "just so", "none", 0, 0},
        {CONTENT("<thin ice") STOP, "", "<thin ice", "none", 0, 0},
        {CONTENT("a <think> b") STOP, "", "a <think> b", "none", 0, 0},
        {CONTENT("a <think> b</think>c</think>d") STOP, "a <think> b", "c</think>d", "tag", 0, 0},
        {CONTENT("a b") CHUNK("\"finish_reason\":\"length\""), "a b", "", "tag", 0, 1},
        {CONTENT("a b") STOP, "", "a b", "none", 0, 1},
        {CONTENT("a b"), "a b", "", "tag", 0, 1},
        {CHUNK("\"text\":\"a b\"") CHUNK("\"text\":\"\",\"finish_reason\":\"stop\""), "a b", "",
         "tag", 1, 1},
        {DELTA("\"reasoning\":null,\"reasoning_content\":\"a\"") CONTENT("b") STOP, "a", "b",
         "reasoning_content", 0, 0},
        {DELTA("\"reasoning_content\":\"\",\"reasoning\":\"a\"") CONTENT("b") STOP, "a", "b",
         "reasoning", 0, 0},
        {DELTA("\"reasoning_content\":null,\"reasoning\":\"\"") CONTENT("b") STOP, "", "b", "none",
         0, 0},
        {DELTA("\"reasoning\":\"a</think>\"") CONTENT("\\n</think>\\nb") STOP, "a", "b",
         "reasoning", 0, 0},
        {DELTA("\"reasoning\":\"<think></think>\"") CONTENT("</think>") STOP, "", "", "reasoning",
         0, 0},
        {DELTA("\"reasoning\":\"a\"") CONTENT("b</think>c") STOP, "a", "b</think>c", "reasoning", 0,
         0},
        {CONTENT("<think>") DELTA("\"reasoning\":\"a\"") CONTENT("b") STOP, "a", "b", "reasoning",
         0, 0},
        {CONTENT("\\n<think>\\n") DELTA("\"reasoning\":\"a\"") CONTENT("b") STOP, "a", "b",
         "reasoning", 0, 0},
        /* the answer's own tag: with a thought that has no end, nothing of it goes */
        {DELTA("\"reasoning\":\"a\"") CONTENT("<think>") CONTENT("b") STOP, "a", "<think>b",
         "reasoning", 0, 0},
        {CONTENT(" ") DELTA("\"reasoning_content\":\"a\"") CONTENT("<think>b"), "a", "<think>b",
         "reasoning_content", 0, 0},
        {"{\"choices\":[{\"message\":{\"reasoning\":\"a\",\"content\":\"<think>b\"},"
         "\"finish_reason\":\"length\"}]}",
         "a", "<think>b", "reasoning", 0, 0},
        {DELTA("\"reasoning\":{\"effort\":1},\"content\":\"b\"") STOP, "", "b", "none", 0, 0},
        {DELTA("\"content\":[{\"type\":\"text\",\"text\":\"b\"},{\"type\":\"image\"}]") STOP, "",
         "b", "none", 0, 0},
        {DELTA("\"reasoning\":\" \\n\"") CONTENT("b") STOP, "", "b", "reasoning", 0, 0},
        {THINKING("[{\"type\":\"text\",\"text\":\"a \"}]") THINKING("\"b\"") CONTENT("c") STOP,
         "a b", "c", "thinking", 0, 0},
        {DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"text\":\"a\"}]},{\"type\":"
               "\"text\",\"text\":\"b\"}]") STOP,
         "a", "b", "thinking", 0, 0},
        {THINKING("[]") THINKING("null") THINKING("7") CONTENT("b") STOP, "", "b", "none", 0, 0},
        {DELTA("\"reasoning_content\":\"a\",\"content\":[{\"thinking\":\"a\"}]") CONTENT("b") STOP,
         "a", "b", "reasoning_content", 0, 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct http_reply *r =
            reply_for(&(struct reply_rules){.chat = !t[i].raw, .thinking_open = t[i].open});
        struct reply_view v = view_of(r, t[i].text);
        same_text("reasoning", t[i].text, v.reasoning, v.n_reasoning, t[i].reasoning);
        same_text("answer", t[i].text, v.answer, v.n_answer, t[i].answer);
        same_string("rule", t[i].text, v.think_rule, t[i].rule);
        assert_int_equal(v.state, strstr(t[i].text, "finish") ? REPLY_COMPLETE : REPLY_CUT);
        http_reply_free(r);
    }
}

static void states_and_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum reply_state state;
        const char *answer, *message;
        int status;
    } t[] = {
        {"", REPLY_EMPTY, "", NULL, 0},
        {"\n\n: ping\n\n", REPLY_EMPTY, "", NULL, 0},
        {"retry: 9\n\n: ping\n\n: pong\n\n", REPLY_EMPTY, "", NULL, 0},
        {"\xEF\xBB\xBF", REPLY_EMPTY, "", NULL, 0},
        {DONE, REPLY_EMPTY, "", NULL, 0},
        {DELTA("\"role\":\"assistant\"") DONE, REPLY_EMPTY, "", NULL, 0},
        {CONTENT("a") DONE, REPLY_CUT, "a", NULL, 0},
        {CONTENT("a"), REPLY_CUT, "a", NULL, 0},
        {CONTENT("a") STOP, REPLY_COMPLETE, "a", NULL, 0},
        {STOP DONE, REPLY_COMPLETE, "", NULL, 0},
        {CONTENT("a") STOP DONE CONTENT("b"), REPLY_COMPLETE, "a", NULL, 0},
        {CONTENT("a") "data: {\"choices\":[{\"delta\":{\"content\":\"b", REPLY_CUT, "a", NULL, 0},
        {CONTENT("a") "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}", REPLY_CUT, "ab",
         NULL, 0},
        {CONTENT("a") "data: {]\n\n", REPLY_BAD, "a", "not JSON: {]", 0},
        {CONTENT("a") "data: \"x\"\n\n", REPLY_BAD, "a", "not an answer: \"x\"", 0},
        {CONTENT("a") "data: {\"error\":{\"message\":\"no\\u0007 room\",\"code\":500}}\n\n" DONE,
         REPLY_BAD, "a", "no  room", 500},
        {CONTENT("a") "error: {\"code\":503,\"message\":\"slot lost\",\"type\":\"x\"}\n\n",
         REPLY_BAD, "a", "slot lost", 503},
        {CONTENT("a") "event: error\ndata: {\"code\":\"429\",\"message\":\"slow down\"}\n\n",
         REPLY_BAD, "a", "slow down", 429},
        {CONTENT("a") "{\"error\":\"out of cheese\"}\n", REPLY_BAD, "a", "out of cheese", 0},
        {CONTENT("a") "data: {\"error\":null}\n\n" STOP, REPLY_COMPLETE, "a", NULL, 0},
        {CHUNK("\"error\":{\"message\":\"gone\",\"code\":502},\"delta\":{}"), REPLY_BAD, "", "gone",
         502},
        {CHUNK("\"delta\":{},\"finish_reason\":\"error\""), REPLY_BAD, "",
         "the server ended the answer with an error", 0},
        {"upstream connect error", REPLY_BAD, "",
         "neither JSON nor an event stream: upstream connect error", 0},
        {"{\"error\":{\"type\":\"auth\"}}", REPLY_BAD, "", "auth", 0},
        {"{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":["
         "\"body\",\"seed\"],\"msg\":\"Extra inputs are not permitted\",\"input\":1}]},\"type\":"
         "\"invalid_request_error\",\"param\":null,\"code\":null}",
         REPLY_BAD, "", "seed: Extra inputs are not permitted", 0},
        {"{\"detail\":[{\"loc\":[\"body\",0],\"msg\":\"no\"}]}", REPLY_BAD, "", "no", 0},
        {"{\"message\":{\"detail\":\"no\"}}", REPLY_BAD, "", "no", 0},
        {"{\"error\":{\"message\":\"Provider returned error\",\"code\":400,\"metadata\":{\"raw\":"
         "\"{\\\"detail\\\":\\\"too long\\\"}\",\"provider_name\":\"P\"}}}",
         REPLY_BAD, "", "Provider returned error: {\"detail\":\"too long\"}", 400},
        {"{\"message\":[],\"type\":\"auth\"}", REPLY_BAD, "", "auth", 0},
        {"{\"choices\":[]}", REPLY_CUT, "", NULL, 0},
        {"{\"choices\":[{\"message\":{\"content\":\"a\"", REPLY_CUT, "", NULL, 0},
        {"{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
         REPLY_COMPLETE, "a", NULL, 0},
        {"{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}}", REPLY_BAD,
         "a", "not JSON: }", 0},
        {"{\"choices\":{\"0\":1},\"usage\":[],\"model\":7}", REPLY_CUT, "", NULL, 0},
        {CONTENT("a\\u00") STOP, REPLY_BAD, "", NULL, 0},
    };
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct reply_view v = view_of(r, t[i].text);
        if (v.state != t[i].state)
            fail_msg("[%s]: state %d", t[i].text, v.state);
        same_text("answer", t[i].text, v.answer, v.n_answer, t[i].answer);
        if (t[i].message || v.state != REPLY_BAD)
            same_string("message", t[i].text, v.message, t[i].message);
        assert_int_equal(v.status, t[i].status);
    }
    http_reply_begin(r, "text/html; charset=utf-8");
    http_reply_feed(r, "Sorry", 5);
    assert_int_equal(http_reply_end(r), REPLY_BAD);
    http_reply_free(r);
}

static void escapes_and_bytes(void **state)
{
    (void)state;
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    struct reply_view v = view_of(r, CONTENT("\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC."));
    same_text("escapes", "", v.answer, v.n_answer, "\"\\/\b\f\n\r\tAé€.");
    v = view_of(r, CONTENT("x\\u0000y"));
    assert_int_equal(v.n_answer, 3);
    assert_memory_equal(v.answer, "x\0y", 3);
    /* a pair of surrogates in two chunks; halves that stay alone are no UTF-8, and stay */
    v = view_of(r, CONTENT("x\\ud83d") CONTENT("\\ude00y"));
    same_text("pair", "", v.answer, v.n_answer, "x😀y");
    v = view_of(r, CONTENT("\\ud800\\udc00\\uDBFF\\uDFFF\\uffff\\u07ff\\u0800\\u007f\\u0080"));
    same_text("ends of ranges", "", v.answer, v.n_answer,
              "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\xEF\xBF\xBF\xDF\xBF\xE0\xA0\x80\x7F\xC2\x80");
    v = view_of(r, CONTENT("x\\ud83dy\\ude00z"));
    same_text("halves", "", v.answer, v.n_answer, "x\xED\xA0\xBDy\xED\xB8\x80z");
    v = view_of(r, CONTENT("x\xF0\x9F") CONTENT("\x98\x80\xFFy"));
    same_text("cut character", "", v.answer, v.n_answer, "x😀\xFFy");
    http_reply_free(r);
}

static void names_are_bounded(void **state)
{
    (void)state;
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    static const size_t lengths[] = {0, 1, 190, 191, 192, 500, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char name[5001] = {0}, text[5100];
        memset(name, 'm', lengths[i]);
        snprintf(text, sizeof text, "{\"id\":\"%s\",\"choices\":[]}", name);
        struct reply_view v = view_of(r, text);
        size_t n = lengths[i] > 1024 ? 0 : lengths[i] > 191 ? 191 : lengths[i];
        assert_true(n ? v.id && strlen(v.id) == n : !v.id);
    }
    http_reply_free(r);
}

static void counts_must_be_counts(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        int64_t n;
    } t[] = {
        {"0", 0},      {"12", 12},   {"1.2e1", 12}, {"-5", -1},   {"1.5", -1},
        {"1e300", -1}, {"null", -1}, {"\"7\"", -1}, {"true", -1}, {"9007199254740992", 1LL << 53},
        {"1e400", -1}, {"[3]", -1},  {"NaN", -1},   {"-0", 0},    {"18446744073709551616", -1}};
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"choices\":[],\"usage\":{\"completion_tokens\":%s,\"cost\":%s}}", t[i].number,
                 t[i].number);
        struct reply_view v = view_of(r, text);
        if (v.n_completion_tokens != t[i].n)
            fail_msg("%s: %lld", t[i].number, (long long)v.n_completion_tokens);
        assert_true(v.cost_usd == -1 || (v.cost_usd >= 0 && v.cost_usd < 1e6));
    }
    http_reply_free(r);
}

static void a_cost_is_the_whole_cost(void **state)
{
    (void)state;
    static const struct {
        const char *usage;
        double cost;
    } t[] = {
        {"\"cost\":0.5", 0.5},
        {"\"cost\":0.5,\"is_byok\":false,\"cost_details\":{\"upstream_inference_cost\":0.5}", 0.5},
        {"\"cost\":0.5,\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":10}", 10.5},
        {"\"cost_details\":{\"upstream_inference_cost\":10},\"is_byok\":true,\"cost\":0", 10},
        {"\"cost\":0.5,\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":null}", 0.5},
        {"\"cost\":0.5,\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":-1}", 0.5},
        {"\"cost\":0.5,\"is_byok\":true", 0.5},
        {"\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":10}", -1},
    };
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"choices\":[],\"usage\":{%s}}", t[i].usage);
        if (view_of(r, text).cost_usd != t[i].cost)
            fail_msg("%s", t[i].usage);
    }
    http_reply_free(r);
}

#define COUNT(n)                                                                                   \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":" #n "}}\n\n"
/* A count that came before the text is no count of it. */
static void counts_must_be_of_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t n;
    } t[] = {{COUNT(1) CONTENT("a") CONTENT("b") CONTENT("c") STOP, -1},
             {COUNT(1) CONTENT("a") CONTENT("b"), -1},
             {COUNT(1) CONTENT("a") CONTENT("b") STOP COUNT(2), 2},
             {CONTENT("a") CONTENT("b") COUNT(2) STOP, 2},
             {CONTENT("a") COUNT(2) CONTENT("b") STOP, 2}};
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct reply_view v = view_of(r, t[i].text);
        if (v.n_completion_tokens != t[i].n)
            fail_msg("%s: %lld", t[i].text, (long long)v.n_completion_tokens);
    }
    http_reply_free(r);
}

static void reasoning_twice_and_strange_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reasoning, *answer, *rule, *finish;
    } t[] = {{"{\"choices\":[{\"message\":{\"reasoning\":\"Hm. So.\",\"content\":"
              "\"<think>\\nHm. So.\\n</think>\\n\\n4\"},\"finish_reason\":\"stop\"}]}",
              "Hm. So.", "4", "reasoning", "stop"},
             {"{\"choices\":[{\"message\":{\"reasoning\":\"Hm.\",\"content\":"
              "\"<think>Hm. So.</think>4\"},\"finish_reason\":\"stop\"}]}",
              "Hm. So.", "4", "tag", "stop"},
             {"{\"choices\":[{\"message\":{\"reasoning\":\"Hm.\",\"content\":"
              "\"Write </think> at its end.\"},\"finish_reason\":\"stop\"}]}",
              "Hm.", "Write </think> at its end.", "reasoning", "stop"},
             {"{\"choices\":[{\"message\":{\"reasoning_content\":\"Hm.\",\"content\":\"4\"},"
              "\"finish_reason\":{\"type\":\"stop\",\"matched\":1}}]}",
              "Hm.", "4", "reasoning_content", "stop"}};
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct reply_view v = view_of(r, t[i].text);
        assert_int_equal(v.state, REPLY_COMPLETE);
        same_text("reasoning", t[i].text, v.reasoning, v.n_reasoning, t[i].reasoning);
        same_text("answer", t[i].text, v.answer, v.n_answer, t[i].answer);
        same_string("rule", t[i].text, v.think_rule, t[i].rule);
        same_string("finish", t[i].text, v.finish_reason, t[i].finish);
    }
    http_reply_free(r);
}

static void a_chunk_that_came_twice(void **state)
{
    (void)state;
#define COUNTED(text, n)                                                                           \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text                              \
    "\"}}],\"usage\":{\"completion_tokens\":" #n "}}\n\n"
#define NUMBERED(text, n) "id: " #n "\n" CONTENT(text)
    static const struct {
        const char *text, *answer;
        bool maybe;
    } t[] = {
        /* numbers that grow tell */
        {COUNTED("a", 1) COUNTED("a", 2) COUNTED("a", 3) COUNTED("a", 4) COUNTED("a", 5)
             COUNTED("a", 6) COUNTED("a", 7) COUNTED("a", 8) COUNTED("b", 9) COUNTED("b", 9)
                 COUNTED("b", 10) STOP,
         "aaaaaaaabb", false},
        /* a count that lags: each second token */
        {COUNTED("a", 0) COUNTED("b", 2) COUNTED("b", 2) COUNTED("c", 4) COUNTED("d", 5) STOP,
         "abbcd", false},
        {NUMBERED("a", 1) NUMBERED("b", 2) NUMBERED("b", 2) NUMBERED("b", 3) STOP, "abb", false},
        {NUMBERED("b", 1) NUMBERED("b", 1) NUMBERED("c", 2) STOP, "bbc", false},
        {NUMBERED("a", 9) NUMBERED("b", 10) NUMBERED("b", 10) STOP, "ab", false},
        {NUMBERED("a", 1x) NUMBERED("b", 2x) NUMBERED("b", 2x) STOP, "abb", false},
        /* numbers that stand still, and no numbers, don't */
        {COUNTED("a", 9) COUNTED("b", 9) COUNTED("b", 9) STOP, "abb", false},
        {NUMBERED("a", 7) NUMBERED("b", 7) NUMBERED("b", 7) STOP, "abb", false},
        {CONTENT("a") CONTENT("b") CONTENT("b") STOP, "abb", false},
        /* but more chunks than tokens are a hint */
        {CONTENT("a") CONTENT("b") CONTENT("b") STOP
         "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\n",
         "abb", true},
        {CONTENT("a") CONTENT("b") CONTENT("b") STOP
         "data: {\"choices\":[],\"usage\":{\"completion_tokens\":4}}\n\n",
         "abb", false},
    };
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct reply_view v = view_of(r, t[i].text);
        same_text("answer", t[i].text, v.answer, v.n_answer, t[i].answer);
        assert_int_equal(v.maybe_doubled, t[i].maybe);
    }
    http_reply_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinking_is_found),
        cmocka_unit_test(states_and_messages),
        cmocka_unit_test(escapes_and_bytes),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(counts_must_be_counts),
        cmocka_unit_test(a_cost_is_the_whole_cost),
        cmocka_unit_test(counts_must_be_of_the_text),
        cmocka_unit_test(reasoning_twice_and_strange_ends),
        cmocka_unit_test(a_chunk_that_came_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
