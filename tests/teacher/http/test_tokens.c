/* Log-probabilities as servers send them: every token known, and standing where it stands in the
 * trace's text. */
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/rng.h"
#include "core/lm/logprobs.h"
#include "teacher/http/reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* "-" outside, else R or A and the text that the token stands for; its name; its log-probability;
 * its rank among the candidates; the candidates. */
static void dump(const struct reply_view *v, struct buf *out)
{
    struct logprobs_reader r;
    struct logprobs_token t;
    struct err e;
    buf_clear(out);
    buf_str(out, "", NULL);
    if (!v->has_logprobs)
        return;
    if (logprobs_open(&r, v->logprobs, v->n_logprobs, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(r.n_tokens, v->n_logprob_tokens);
    assert_true(r.n_reasoning <= v->n_reasoning && r.n_answer <= v->n_answer);
    while (logprobs_next(&r, &t)) {
        const char *text = t.place.part == LOGPROBS_REASONING ? v->reasoning : v->answer;
        if (t.place.part)
            buf_printf(out, NULL, "%c[%.*s]", "-RA"[t.place.part], (int)t.place.n,
                       text + t.place.at);
        else
            buf_str(out, "-", NULL);
        for (size_t i = 0; i <= t.n_top; i++) {
            const struct logprob *x = i ? &t.top[i - 1] : &t.chosen;
            buf_str(out, i == 0 ? " " : i == t.rank ? " =" : " ", NULL);
            if (i && i == t.rank)
                continue;
            if (x->id >= 0)
                buf_printf(out, NULL, "#%lld", (long long)x->id);
            if (x->bytes)
                buf_printf(out, NULL, "'%.*s'", (int)x->n_bytes, x->bytes);
            buf_printf(out, NULL, "%g", x->logprob);
        }
        buf_str(out, "\n", NULL);
    }
    logprobs_close(&r);
}

static const struct {
    const char *file;
    bool raw, open;
    int n_top;
    const char *tokens;
} cases[] = {
    {"lp_vllm_chat.sse", false, true, 2,
     "R[So] 'So'-0.25 = 'Hm'-1.5\n"
     "- ' \uFFFD'-2 ' x'-0.5 ' y'-1 =\n"
     "R[ 😀] '\uFFFD'0\n"
     "R[.] '.\n'-0.125\n"
     "- '</think>'-0.5\n"
     "- '\n\n'-0.5\n"
     "A[4] '4'-1\n"
     "A[2] '2'-10000\n"
     "- '<｜end▁of▁sentence｜>'-0.0625\n"},
    {"lp_deepseek.json", false, false, 1,
     "R[Six] '\nSix'-0.25\nR[ sevens] ' sevens'-0.25\nR[.] '.\n'-0.25\n"
     "- '\n\n'-0.5\nA[It] 'It'-0.5 =\nA[ is] ' is'-0.5\nA[ 42] ' 42'-0.5\n"},
    {"lp_sglang_chat.json", false, false, 1,
     "R[a] 'a'-1\nR[b ] 'b '-1\nR[42] '42'-1\n- '\n</think>'-1\nA[42] '\n\n42'-1\n"
     "A[ !] ' !\n'-1\n- ''-1\n"},
    {"lp_sglang_chat.sse", false, false, 2,
     "R[Let] 'Let'-0.5 = 'So'-1.5\nR[ me] ' me'-0.25\nR[ add] ' add'-0.125\n"
     "R[.] '.'-0.5 = ' it'-2\n- '\n</think>'-0.25 = '\n'-3\n"
     "A[7] '7'0 = '8'-9\nA[7] '7'0 = '8'-9\n- ''-0.5 = ' '-2\n"},
    {"lp_vllm_ids.sse", true, true, 1,
     "R[Hi] #17-0.5 = #9-1\n- #128799-0.25\n- #5-0.25\nA[a b] #6nan\nA[ c] #8-0.25 =\n"},
    {"lp_openai_completion.json", true, false, 2,
     "A[is] ' is'-0.5 = ' was'-1\nA[ \xE2\x80] ' \xE2\x80'-0.5 =\nA[\x9c] '\x9c'-0.5\n"
     "A[42] '42'-0.75 = '42'-0.75\n"},
    {"lp_llama_server.sse", true, false, 2,
     "A[He] #1544'He'-0.5 = #791'The'-1.25\nA[y] #88'y'-0.25 = #89'z'-4\n"},
};

static struct reply_view view_cut_at(struct http_reply *r, const struct buf *b, size_t cut)
{
    struct reply_view v;
    http_reply_begin(r, NULL);
    http_reply_feed(r, b->data, cut);
    http_reply_feed(r, b->data + cut, b->len - cut);
    http_reply_end(r);
    http_reply_view(r, &v);
    return v;
}

static void every_dialect_cut_everywhere(void **state)
{
    (void)state;
    struct buf b = {0}, out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        struct err e;
        struct http_reply *r;
        snprintf(path, sizeof path, "tests/vectors/http/%s", cases[i].file);
        buf_clear(&b);
        assert_int_equal(file_read(path, 1 << 20, &b, &e), ERR_OK);
        struct reply_rules rules = {
            .chat = !cases[i].raw, .n_top = cases[i].n_top, .thinking_open = cases[i].open};
        assert_int_equal(http_reply_new(&rules, &r, &e), ERR_OK);
        for (size_t cut = 0; cut <= b.len; cut += cut < 50 ? 1 : 13) {
            struct reply_view v = view_cut_at(r, &b, cut);
            dump(&v, &out);
            if (strcmp(out.data, cases[i].tokens))
                fail_msg("%s: [%s] should be [%s]", cases[i].file, out.data, cases[i].tokens);
        }
        /* broken off anywhere, what there is still fits the text */
        for (size_t n = 0; n < b.len; n++) {
            struct reply_view v;
            http_reply_begin(r, NULL);
            http_reply_feed(r, b.data, n);
            http_reply_end(r);
            http_reply_view(r, &v);
            dump(&v, &out);
        }
        http_reply_free(r);
        rules.n_top = 0; /* not asked for, not kept */
        assert_int_equal(http_reply_new(&rules, &r, &e), ERR_OK);
        struct reply_view v = view_cut_at(r, &b, 0);
        assert_false(v.has_logprobs);
        http_reply_free(r);
    }
    buf_dispose(&b);
    buf_dispose(&out);
}

static void odd_members_are_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *logprobs, *tokens;
    } t[] = {
        {"null", ""},
        {"[]", ""},
        {"{}", ""},
        {"{\"content\":null}", ""},
        {"{\"content\":{\"token\":1}}", ""},
        {"{\"content\":[{},7]}", "A[ab] nan\n"},
        {"{\"content\":[{\"token\":\"ab\",\"bytes\":[97,256],\"logprob\":\"x\"}]}",
         "A[ab] 'ab'nan\n"},
        {"{\"content\":[{\"token\":\"ab\",\"bytes\":[97.5],\"logprob\":1e300}]}", "A[ab] 'ab'0\n"},
        {"{\"content\":[{\"token\":\"ab\",\"id\":-3,\"logprob\":-1e300}]}", "A[ab] 'ab'-inf\n"},
        {"{\"content\":[{\"token\":\"ab\",\"id\":1e15,\"logprob\":-Infinity}]}",
         "A[ab] 'ab'-inf\n"},
        {"{\"content\":[{\"token\":\"token_id:12\",\"bytes\":[116,111,107,101,110,95,105,100,58,49,"
         "50],"
         "\"logprob\":-1}]}",
         "A[ab] #12-1\n"},
        {"{\"content\":[{\"token\":\"token_id:12\",\"bytes\":[97,98],\"logprob\":-1}]}",
         "A[ab] #12'ab'-1\n"},
        {"{\"content\":[{\"token\":\"token_id:x\",\"logprob\":-1}]}", "- 'token_id:x'-1\n"},
        {"{\"tokens\":[\"a\",\"b\"],\"token_logprobs\":[-1]}", "A[a] 'a'-1\nA[b] 'b'nan\n"},
        {"{\"tokens\":[\"a\",\"b\"],\"token_ids\":[4,5],\"token_logprobs\":[-1,-2],"
         "\"top_logprobs\":[[{\"token\":\"a\",\"logprob\":-1}],3]}",
         "A[a] #4'a'-1 =\nA[b] #5'b'-2\n"},
        /* what servers take away at the end does no harm, other bytes are another text */
        {"{\"content\":[{\"token\":\"ab \\n</x\",\"logprob\":-1}]}", "A[ab] 'ab \n</x'-1\n"},
        {"{\"content\":[{\"token\":\"abc\",\"logprob\":-1}]}", "- 'abc'-1\n"},
        {"{\"content\":[{\"token\":\" a\",\"logprob\":-1},{\"token\":\" b\",\"logprob\":-1}]}",
         "A[a] ' a'-1\n- ' b'-1\n"},
        {"{\"content\":[{\"token\":\"token_id:123456789\",\"logprob\":-1}]}",
         "A[ab] #123456789-1\n"},
        {"{\"content\":[{\"token\":\"token_id:1234567890\",\"logprob\":-1}]}",
         "- 'token_id:1234567890'-1\n"},
        {"{\"content\":[{\"token\":\"token_id:0\",\"id\":9,\"logprob\":-1}]}", "A[ab] #0-1\n"},
        {"{\"content\":[{\"token\":\"ab\",\"id\":0,\"logprob\":-1}]}", "A[ab] #0'ab'-1\n"},
        /* no more candidates than were asked for, and the chosen one */
        {"{\"tokens\":[\"ab\"],\"token_logprobs\":[-1],\"top_logprobs\":[{\"c\":-1,\"d\":-2,"
         "\"e\":-3,\"ab\":-4}]}",
         "A[ab] 'ab'-1 'c'-1 'd'-2 'e'-3\n"},
    };
    struct http_reply *r;
    struct buf b = {0}, out = {0};
    struct err e;
    assert_int_equal(http_reply_new(&(struct reply_rules){.chat = true, .n_top = 2}, &r, &e),
                     ERR_OK);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        buf_clear(&b);
        buf_printf(&b, NULL,
                   "{\"choices\":[{\"logprobs\":%s,\"message\":{\"content\":\"ab\"},"
                   "\"finish_reason\":\"stop\"}]}",
                   t[i].logprobs);
        struct reply_view v = view_cut_at(r, &b, 3);
        assert_int_equal(v.state, REPLY_COMPLETE);
        dump(&v, &out);
        if (strcmp(out.data, t[i].tokens))
            fail_msg("%s: [%s] should be [%s]", t[i].logprobs, out.data, t[i].tokens);
    }
    http_reply_free(r);
    buf_dispose(&b);
    buf_dispose(&out);
}

/* When a server leaves out some tokens, the next chunk's stand in their own text all the same. */
static void lost_tokens_lose_nothing_else(void **state)
{
    (void)state;
    static const char *const words[] = {"the", " cat", " the", " cat", " sat", " the"};
    struct http_reply *r;
    struct buf b = {0};
    struct err e;
    assert_int_equal(http_reply_new(&(struct reply_rules){.chat = true, .n_top = 1}, &r, &e),
                     ERR_OK);
    for (unsigned lost = 0; lost < 64; lost++) {
        buf_clear(&b);
        for (unsigned i = 0; i < 6; i++) {
            buf_printf(&b, NULL, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}",
                       words[i]);
            if (!(lost >> i & 1))
                buf_printf(&b, NULL,
                           ",\"logprobs\":{\"content\":[{\"token\":\"%s\",\"logprob\":-1}]}",
                           words[i]);
            buf_str(&b, "}]}\n\n", NULL);
        }
        struct reply_view v = view_cut_at(r, &b, 0);
        struct logprobs_reader reader;
        struct logprobs_token t;
        assert_int_equal(v.has_logprobs, lost != 63);
        if (lost == 63)
            continue;
        assert_int_equal(logprobs_open(&reader, v.logprobs, v.n_logprobs, &e), ERR_OK);
        uint64_t at = 0;
        for (unsigned i = 0; i < 6; at += strlen(words[i++]))
            if (!(lost >> i & 1)) {
                assert_true(logprobs_next(&reader, &t));
                assert_int_equal(t.place.part, LOGPROBS_ANSWER);
                assert_int_equal(t.place.at, at);
                assert_int_equal(t.place.n, strlen(words[i]));
            }
        logprobs_close(&reader);
    }
    http_reply_free(r);
    buf_dispose(&b);
}

/* What of raw bytes from .. to lies in the part that begins at first. */
static void expect_part(struct logprobs_place *x, size_t from, size_t to, size_t first, size_t n,
                        enum logprobs_part part)
{
    size_t a = from > first ? from : first, b = to < first + n ? to : first + n;
    if (a < b)
        *x = (struct logprobs_place){part, a - first, b - a};
}

/* Any text cut into tokens anywhere, also inside characters, which the server then holds back, and
 * several tokens a chunk: each stands exactly where its bytes do. */
static void any_tokens_of_any_text(void **state)
{
    (void)state;
    static const char *const words[] = {" the", "é",    " 😀",   "\n",   "aaa",
                                        "x",    " </b", "漢字", "\n\n", "."};
    struct http_reply *r;
    struct err e;
    struct buf text = {0}, b = {0};
    assert_int_equal(http_reply_new(&(struct reply_rules){.chat = true, .n_top = 1}, &r, &e),
                     ERR_OK);
    for (uint64_t round = 0; round < 400; round++) {
        struct rng rng = rng_make(round, 1, 2);
        size_t cuts[1000], n_tokens = 0, shown = 0;
        buf_clear(&text);
        buf_clear(&b);
        size_t n_words = 5 + rng_below(&rng, 60), tag = rng_below(&rng, n_words);
        for (size_t i = 0; i < n_words; i++)
            buf_str(&text, i == tag ? "</think>" : words[rng_below(&rng, 10)], NULL);
        for (size_t at = 0; at < text.len;) {
            at += 1 + rng_below(&rng, 7);
            cuts[n_tokens++] = at = at < text.len ? at : text.len;
        }
        for (size_t i = 0; i < n_tokens;) {
            size_t most = i + 1 + (rng_below(&rng, 4) ? 0 : rng_below(&rng, 5));
            size_t last = most < n_tokens ? most : n_tokens, end = cuts[last - 1];
            while (end < text.len && ((unsigned char)text.data[end] & 0xC0) == 0x80)
                end--; /* an unfinished character waits */
            end = end > shown ? end : shown;
            buf_str(&b, "data: {\"choices\":[{\"delta\":{\"content\":", NULL);
            json_quote(&b, text.data + shown, end - shown, NULL);
            buf_str(&b, "},\"logprobs\":{\"content\":[", NULL);
            for (shown = end; i < last; i++) {
                size_t from = i ? cuts[i - 1] : 0;
                buf_printf(&b, NULL, "{\"token\":\"?\",\"logprob\":-1,\"bytes\":[");
                for (size_t k = from; k < cuts[i]; k++)
                    buf_printf(&b, NULL, "%s%d", k > from ? "," : "", (unsigned char)text.data[k]);
                buf_printf(&b, NULL, "]}%s", i + 1 < last ? "," : "");
            }
            buf_str(&b, "]}}]}\n\n", NULL);
        }
        struct reply_view v = view_cut_at(r, &b, 0);
        const char *close = strstr(text.data, "</think>");
        size_t n_close = (size_t)(close - text.data), skip = strspn(text.data, " \n");
        size_t answer = n_close + 8 + strspn(close + 8, " \n");
        assert_string_equal(v.think_rule, "tag");
        struct logprobs_reader reader;
        struct logprobs_token t;
        assert_int_equal(logprobs_open(&reader, v.logprobs, v.n_logprobs, &e), ERR_OK);
        for (size_t i = 0; i < n_tokens; i++) {
            struct logprobs_place x = {0};
            size_t from = i ? cuts[i - 1] : 0;
            expect_part(&x, from, cuts[i], answer, v.n_answer, LOGPROBS_ANSWER);
            expect_part(&x, from, cuts[i], skip, v.n_reasoning, LOGPROBS_REASONING);
            assert_true(logprobs_next(&reader, &t));
            if (t.place.part != x.part || t.place.at != x.at || t.place.n != x.n)
                fail_msg("round %d, token %zu of [%s]: %d %d+%d, should be %d %d+%d", (int)round, i,
                         text.data, t.place.part, (int)t.place.at, (int)t.place.n, x.part,
                         (int)x.at, (int)x.n);
        }
        logprobs_close(&reader);
    }
    http_reply_free(r);
    buf_dispose(&text);
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialect_cut_everywhere),
        cmocka_unit_test(odd_members_are_passed_over),
        cmocka_unit_test(lost_tokens_lose_nothing_else),
        cmocka_unit_test(any_tokens_of_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
