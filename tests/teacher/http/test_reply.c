/* Answers of every dialect, cut at every byte, with every kind of line end; what goes wrong. */
#include "core/base/file.h"
#include "teacher/http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct expected {
    const char *file;
    bool raw;
    enum reply_state state;
    const char *reasoning, *answer, *rule, *finish, *model, *id, *fingerprint;
    int64_t n_prompt, n_completion, n_reasoning, n_cached;
    double cost;
    const char *message;
    int status;
};
static const struct expected cases[] = {
    {"deepseek.sse", false, REPLY_COMPLETE, "6 × 7 is 42.", "The answer is \\boxed{42}",
     "reasoning_content", "stop", "deepseek-reasoner", "7d1c2f", "fp_5417b77867_prod", 18, 25, 11,
     16, -1, NULL, 0},
    {"deepseek.json", false, REPLY_COMPLETE, "6 × 7 is 42.", "The answer is \\boxed{42}",
     "reasoning_content", "stop", "deepseek-reasoner", "7d1c30", "fp_5417b77867_prod", 18, 25, 11,
     16, -1, NULL, 0},
    {"vllm_old.sse", false, REPLY_COMPLETE, "Okay, 6·7 = 42 😀", "42", "reasoning_content", "length",
     "deepseek-ai/DeepSeek-R1", "chatcmpl-01", NULL, 12, 15, -1, -1, -1, NULL, 0},
    {"vllm_new.sse", false, REPLY_COMPLETE, "Six times seven.", "42!", "reasoning", "stop",
     "deepseek-ai/DeepSeek-R1", "chatcmpl-02", NULL, 12, 7, -1, 0, -1, NULL, 0},
    {"vllm_both.sse", false, REPLY_COMPLETE, "haha", "yes", "reasoning_content", "stop", "qwen",
     "chatcmpl-03", NULL, -1, -1, -1, -1, -1, NULL, 0},
    {"sglang.sse", false, REPLY_COMPLETE, "Let me see. Done.", "42 = \"6·7\"", "reasoning_content",
     "stop", "default", "b5a1", NULL, 9, 20, 8, -1, -1, NULL, 0},
    {"llama_server.sse", false, REPLY_COMPLETE, "Well", "42", "reasoning_content", "stop",
     "tiny.gguf", "chatcmpl-Zq", "b6000-abcdef", 11, 4, -1, -1, -1, NULL, 0},
    {"openrouter.sse", false, REPLY_COMPLETE, "First, think.", "42", "reasoning", "stop",
     "deepseek/deepseek-r1", "gen-1", NULL, 14, 162, 150, 0, 0.00051051, NULL, 0},
    {"openrouter_error.sse", false, REPLY_BAD, "First", "", "reasoning", "error",
     "deepseek/deepseek-r1", "gen-2", NULL, -1, -1, -1, -1, -1, "Upstream idle timeout", 502},
    {"openrouter.json", false, REPLY_COMPLETE, "Thinking 🤔.", "42", "reasoning", "stop",
     "deepseek/deepseek-r1-0528", "gen-3", NULL, 6, 30, -1, -1, 6.5e-05, NULL, 0},
    {"tag.sse", false, REPLY_COMPLETE, "So 6·7 < 43.", "It is 42. </think> is a tag.", "tag",
     "stop", "r1-distill", "cmpl-t", NULL, 5, 21, -1, -1, -1, NULL, 0},
    {"completion.sse", true, REPLY_COMPLETE, "Hmm.", "42", "tag", "stop", "r1", "cmpl-1", NULL, 3,
     7, -1, -1, -1, NULL, 0},
    {"mistral.sse", false, REPLY_COMPLETE, "Six times 7.", "It is 42", "thinking", "stop",
     "magistral-medium-2509", "0f8fad5b", NULL, 13, 21, -1, -1, -1, NULL, 0},
    {"refused.json", false, REPLY_COMPLETE, "", "I can't help with that.", "none", "refusal", "gpt",
     "c9", NULL, -1, -1, -1, -1, -1, NULL, 0},
    {"vllm_error.json", false, REPLY_BAD, "", "", "none", NULL, NULL, NULL, NULL, -1, -1, -1, -1,
     -1, "This model's maximum context length is 4096 tokens.", 400},
    {"detail_error.json", false, REPLY_BAD, "", "", "none", NULL, NULL, NULL, NULL, -1, -1, -1, -1,
     -1, "model: field required", 0},
    {"gemini_error.json", false, REPLY_BAD, "", "", "none", NULL, NULL, NULL, NULL, -1, -1, -1, -1,
     -1, "Quota exceeded.", 429},
    {"gateway.html", false, REPLY_BAD, "", "", "none", NULL, NULL, NULL, NULL, -1, -1, -1, -1, -1,
     "an HTML page instead of an answer: 502 Bad Gateway", 0},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static void same_string(const char *what, const char *file, const char *a, const char *b)
{
    if ((!a) != (!b) || (a && strcmp(a, b)))
        fail_msg("%s: %s is %s; should be %s", file, what, a ? a : "NULL", b ? b : "NULL");
}

static void same_text(const char *what, const char *file, const char *a, size_t n, const char *b)
{
    if (n != strlen(b) || memcmp(a, b, n))
        fail_msg("%s: %s is [%.*s]; should be [%s]", file, what, (int)n, a, b);
}

static void check(struct http_reply *r, const struct expected *x)
{
    struct reply_view v;
    http_reply_view(r, &v);
    if (v.state != x->state)
        fail_msg("%s: state %d (%s)", x->file, v.state, v.message ? v.message : "");
    same_text("reasoning", x->file, v.reasoning, v.n_reasoning, x->reasoning);
    same_text("answer", x->file, v.answer, v.n_answer, x->answer);
    same_string("rule", x->file, v.think_rule, x->rule);
    same_string("finish reason", x->file, v.finish_reason, x->finish);
    same_string("model", x->file, v.model, x->model);
    same_string("id", x->file, v.id, x->id);
    same_string("fingerprint", x->file, v.system_fingerprint, x->fingerprint);
    same_string("message", x->file, v.message, x->message);
    assert_int_equal(v.n_prompt_tokens, x->n_prompt);
    assert_int_equal(v.n_completion_tokens, x->n_completion);
    assert_int_equal(v.n_reasoning_tokens, x->n_reasoning);
    assert_int_equal(v.n_cached_tokens, x->n_cached);
    assert_true(v.cost_usd == x->cost);
    assert_int_equal(v.status, x->status);
    assert_false(v.maybe_doubled);
}

static struct http_reply *reply_for(const struct reply_rules *rules)
{
    struct http_reply *r;
    struct err e;
    assert_int_equal(http_reply_new(rules, &r, &e), ERR_OK);
    return r;
}

static void read_cut_everywhere(struct http_reply *r, const struct expected *x, const char *text,
                                size_t n, size_t step)
{
    for (size_t cut = 0; cut <= n; cut += step) {
        char *a = malloc(cut + 1), *b = malloc(n - cut + 1); /* a sanitizer sees a read past them */
        memcpy(a, text, cut);
        memcpy(b, text + cut, n - cut);
        http_reply_begin(r, NULL);
        http_reply_feed(r, a, cut);
        free(a);
        http_reply_feed(r, b, n - cut);
        free(b);
        http_reply_end(r);
        check(r, x);
    }
    http_reply_begin(r, NULL);
    for (size_t i = 0; i < n; i++)
        http_reply_feed(r, text + i, 1);
    http_reply_end(r);
    check(r, x);
}

static void load(const char *name, struct buf *b)
{
    char path[128];
    struct err e;
    snprintf(path, sizeof path, "tests/vectors/http/%s", name);
    buf_clear(b);
    assert_int_equal(file_read(path, 1 << 20, b, &e), ERR_OK);
}

static void every_dialect_cut_everywhere(void **state)
{
    (void)state;
    struct buf b = {0};
    for (size_t i = 0; i < N_CASES; i++) {
        struct http_reply *r = reply_for(&(struct reply_rules){.chat = !cases[i].raw});
        load(cases[i].file, &b);
        read_cut_everywhere(r, &cases[i], b.data, b.len, 1);
        http_reply_free(r);
    }
    buf_dispose(&b);
}

/* from becomes to, everywhere */
static void replaced(const struct buf *in, const char *from, const char *to, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < in->len;)
        if (!strncmp(in->data + i, from, strlen(from))) {
            buf_str(out, to, NULL);
            i += strlen(from);
        } else {
            buf_add(out, in->data + i++, 1, NULL);
        }
}

/* The same stream as other servers and proxies would write it. */
static void line_ends_and_spaces_mean_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } variants[] = {
        {"\n", "\r\n"},
        {"\n", "\r"},
        {"data: ", "data:"},
        {"data: ", "event: message\nid: abc\nretry: 100\ndata: "},
        {"\n\ndata: {", "\n\n: hello\n\n\n:\n\ndata: {"},
        {",\"choices\":", ",\ndata:   \"choices\" : "}, /* an event of several data lines */
        {"\n\ndata: {\"id\"", "\ndata: {\"id\""},       /* blank lines missing: one event */
        {"data: {\"id\"", "data: {\"x\":[1,{\"content\":\"no\"}],\"id\""},
    };
    struct buf b = {0}, c = {0}, bom = {0};
    int n_changed = 0;
    for (size_t i = 0; i < N_CASES; i++) {
        if (!strstr(cases[i].file, ".sse"))
            continue;
        struct http_reply *r = reply_for(&(struct reply_rules){.chat = !cases[i].raw});
        load(cases[i].file, &b);
        for (size_t k = 0; k < sizeof variants / sizeof *variants; k++) {
            replaced(&b, variants[k].from, variants[k].to, &c);
            n_changed += c.len != b.len;
            read_cut_everywhere(r, &cases[i], c.data, c.len, 7);
        }
        buf_clear(&bom);
        buf_str(&bom, "\xEF\xBB\xBF", NULL);
        buf_add(&bom, b.data, b.len, NULL);
        read_cut_everywhere(r, &cases[i], bom.data, bom.len, 7);
        http_reply_free(r);
    }
    assert_true(n_changed > 60); /* the variants do vary */
    buf_dispose(&b);
    buf_dispose(&c);
    buf_dispose(&bom);
}

/* Cut off at any byte, a stream gives a beginning of its text, and counts as complete only when its
 * finish reason was there. */
static void a_broken_connection_keeps_what_came(void **state)
{
    (void)state;
    struct buf b = {0};
    for (size_t i = 0; i < N_CASES; i++) {
        const struct expected *x = &cases[i];
        if (x->state != REPLY_COMPLETE)
            continue;
        struct http_reply *r = reply_for(&(struct reply_rules){.chat = !x->raw});
        load(x->file, &b);
        const char *last = strstr(b.data, "\"finish_reason\":\"");
        size_t n_finish = last ? (size_t)(last - b.data) : b.len;
        for (size_t n = 0; n < b.len; n++) {
            http_reply_begin(r, NULL);
            http_reply_feed(r, b.data, n);
            struct reply_view v;
            enum reply_state s = http_reply_end(r);
            http_reply_view(r, &v);
            if (strstr(x->file, ".json")) {
                if (s == REPLY_COMPLETE) /* only white space was missing */
                    check(r, x);
                else if (s != REPLY_EMPTY && s != REPLY_CUT)
                    fail_msg("%s cut at %zu: %s", x->file, n, v.message);
                continue;
            }
            if (n < n_finish)
                assert_true(s == REPLY_EMPTY || s == REPLY_CUT);
            if (strcmp(x->rule, "tag")) { /* there, answer and reasoning part only at the tag */
                assert_true(v.n_reasoning <= strlen(x->reasoning));
                assert_memory_equal(v.reasoning, x->reasoning, v.n_reasoning);
                assert_true(v.n_answer <= strlen(x->answer));
                assert_memory_equal(v.answer, x->answer, v.n_answer);
            }
        }
        http_reply_free(r);
    }
    buf_dispose(&b);
}

static struct reply_view view_of(struct http_reply *r, const char *text)
{
    struct reply_view v;
    http_reply_begin(r, NULL);
    http_reply_feed(r, text, strlen(text));
    http_reply_end(r);
    http_reply_view(r, &v);
    return v;
}

#define CHUNK(members) "data: {\"choices\":[{\"index\":0," members "}]}\n\n"
#define DELTA(members) CHUNK("\"delta\":{" members "}")
#define CONTENT(text) DELTA("\"content\":\"" text "\"")
#define THINKING(texts) DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":" texts "}]")
#define STOP CHUNK("\"delta\":{},\"finish_reason\":\"stop\"")
#define DONE "data: [DONE]\n\n"

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

/* n bytes of c, fed in pieces of 16 kB; how many bytes it took until the state was no more READING
 */
static size_t feed_many(struct http_reply *r, const char *piece, size_t n)
{
    size_t n_piece = strlen(piece), fed = 0;
    while (fed < n && http_reply_feed(r, piece, n_piece) == REPLY_READING)
        fed += n_piece;
    return fed;
}

static void hostile_bodies_are_bounded(void **state)
{
    (void)state;
    static const char *const starts[] = {"data: {\"choices\":[{\"delta\":{\"content\":\"",
                                         "x",
                                         "data:",
                                         "{\"a\":\"",
                                         "[",
                                         "id:",
                                         "event: "};
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true, .max_bytes = 1 << 20});
    static char piece[(16 << 10) + 1];
    memset(piece, 'a', sizeof piece - 1);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        http_reply_begin(r, NULL);
        http_reply_feed(r, starts[i], strlen(starts[i]));
        size_t fed = feed_many(r, piece, 50 << 20);
        assert_true(fed <= (1 << 20) + sizeof piece);
        struct reply_view v;
        http_reply_view(r, &v);
        assert_int_equal(v.state, REPLY_BAD);
        same_string("message", starts[i], v.message, "the answer has more than 1048576 bytes");
    }
    /* many data lines of one event, many chunks of one text */
    http_reply_begin(r, NULL);
    assert_true(feed_many(r, "data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 50 << 20) < 2 << 20);
    http_reply_begin(r, NULL);
    assert_true(feed_many(r, CONTENT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 50 << 20) < 4 << 20);
    /* a million line ends in one piece take linear time */
    size_t n = 8 << 20;
    char *ends = malloc(n);
    memset(ends, '\r', n);
    http_reply_begin(r, NULL);
    http_reply_feed(r, "data: 1\n", 8);
    http_reply_feed(r, ends, n);
    free(ends);
    /* an endless page */
    http_reply_begin(r, NULL);
    http_reply_feed(r, "<html>", 6);
    feed_many(r, piece, 50 << 20);
    assert_int_equal(http_reply_end(r), REPLY_BAD);
    http_reply_free(r);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    struct buf b = {0};
    for (int kind = 0; kind < 2; kind++) {
        buf_clear(&b);
        for (int i = 0; i < 1000000; i++)
            buf_str(&b, kind ? "{\"a\":" : "[", NULL);
        http_reply_begin(r, NULL);
        http_reply_feed(r, b.data, b.len);
        assert_int_equal(http_reply_end(r), REPLY_BAD);
    }
    buf_dispose(&b);
    http_reply_free(r);
}

static void a_thoughtless_answer_is_stopped(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool open, stops;
    } t[] = {
        {CONTENT("0123456789") CONTENT("0123456789"), false, true},
        {CONTENT("0123456789"), false, false},
        {CONTENT("0123456789") CONTENT("0123456789"), true, false},
        {CONTENT("<think>01") CONTENT("0123456789012345"), false, false},
        {CONTENT("0123</think>") CONTENT("0123456789012345"), false, false},
        {DELTA("\"reasoning\":\"a\"") CONTENT("01234567890123456789"), false, false},
        /* finished by itself before the guard looked */
        {CHUNK("\"delta\":{\"content\":\"01234567890123456789\"},\"finish_reason\":\"stop\""),
         false, false},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct http_reply *r = reply_for(
            &(struct reply_rules){.chat = true, .no_think_bytes = 15, .thinking_open = t[i].open});
        enum reply_state s = http_reply_feed(r, t[i].text, strlen(t[i].text));
        assert_int_equal(s, t[i].stops ? REPLY_STOPPED : REPLY_READING);
        struct reply_view v;
        http_reply_view(r, &v);
        if (t[i].stops) {
            assert_string_equal(v.finish_reason, "no_think");
            assert_int_equal(v.n_answer, 20);
            assert_int_equal(http_reply_end(r), REPLY_STOPPED);
        }
        http_reply_free(r);
    }
}

static void a_loop_is_stopped(void **state)
{
    (void)state;
    static const char *const fields[] = {"reasoning_content", "reasoning", "content"};
    for (int on = 0; on < 2; on++)
        for (size_t f = 0; f < 3; f++) {
            struct http_reply *r = reply_for(&(struct reply_rules){.chat = true, .stop_loops = on});
            char chunk[200];
            int i = 0;
            for (; i < 1000; i++) {
                /* a beginning, then one sentence for ever */
                snprintf(chunk, sizeof chunk,
                         "data: {\"choices\":[{\"delta\":{\"%s\":\"%s%d. \"}}]}\n\n", fields[f],
                         "Wait, let me check that again: 3 + ", i < 100 ? i : 4);
                if (http_reply_feed(r, chunk, strlen(chunk)) != REPLY_READING)
                    break;
            }
            struct reply_view v;
            http_reply_view(r, &v);
            assert_int_equal(v.state, on ? REPLY_STOPPED : REPLY_READING);
            if (on) {
                assert_string_equal(v.finish_reason, "loop");
                assert_true(i > 100 && i < 200);
                assert_true((f < 2 ? v.n_reasoning : v.n_answer) > 2000);
            }
            http_reply_free(r);
        }
}

static void memory_is_used_again(void **state)
{
    (void)state;
    struct http_reply *r = reply_for(&(struct reply_rules){.chat = true});
    struct buf b = {0};
    for (int round = 0; round < 3; round++) {
        size_t n = round == 1 ? 300000 : 3;
        buf_clear(&b);
        for (size_t i = 0; i < n; i++)
            buf_str(&b, CONTENT("ab"), NULL);
        buf_str(&b, STOP DONE, NULL);
        http_reply_begin(r, NULL);
        assert_int_equal(http_reply_feed(r, b.data, b.len), REPLY_COMPLETE);
        struct reply_view v;
        http_reply_view(r, &v);
        assert_int_equal(v.n_answer, 2 * n);
        assert_int_equal(v.n_text_chunks, n);
        for (size_t i = 0; i < n; i++)
            assert_memory_equal(v.answer + 2 * i, "ab", 2);
    }
    buf_dispose(&b);
    http_reply_free(r);
    http_reply_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialect_cut_everywhere),
        cmocka_unit_test(line_ends_and_spaces_mean_nothing),
        cmocka_unit_test(a_broken_connection_keeps_what_came),
        cmocka_unit_test(thinking_is_found),
        cmocka_unit_test(states_and_messages),
        cmocka_unit_test(escapes_and_bytes),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(counts_must_be_counts),
        cmocka_unit_test(a_cost_is_the_whole_cost),
        cmocka_unit_test(counts_must_be_of_the_text),
        cmocka_unit_test(reasoning_twice_and_strange_ends),
        cmocka_unit_test(a_chunk_that_came_twice),
        cmocka_unit_test(hostile_bodies_are_bounded),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_thoughtless_answer_is_stopped),
        cmocka_unit_test(a_loop_is_stopped),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
