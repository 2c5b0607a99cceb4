/* Answers of every dialect, cut at every byte, with every kind of line end; what has no end. */
#include "core/base/file.h"
#include "tests/teacher/http/reply_common.h"

#include <stdio.h>
#include <stdlib.h>

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
        cmocka_unit_test(hostile_bodies_are_bounded),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_thoughtless_answer_is_stopped),
        cmocka_unit_test(a_loop_is_stopped),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
