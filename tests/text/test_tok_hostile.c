/* tokenizer.json and text that mean harm, or are merely broken: an error that names file and key,
 * in bounded time, without a crash (run under ASan and UBSan by make asan). */
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/format/gguf.h"
#include "tests/base/temp_dir.h"
#include "tests/text/text_test.h"

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"
#define BPE "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define PRE "\"pre_tokenizer\":" BYTES
#define SPLIT(p)                                                                                   \
    "{" BPE ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","    \
    "\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" p "\"}}," BYTES "]}}"
#define ADDED(a) "{" BPE "," PRE ",\"added_tokens\":[" a "]}"

/* Opens text as a tokenizer.json; its message, or "" when it opens. */
static const char *open_text(const char *text, size_t n, struct tokenizer **t)
{
    static struct err e;
    memset(&e, 0, sizeof e);
    const char *path = write_file(in_dir("tokenizer.json"), text, n);
    struct tokenizer *mine = NULL;
    err_code rc = tokenizer_open(path, &mine, &e);
    assert_int_equal(rc != ERR_OK, mine == NULL);
    if (rc) {
        assert_true(rc == ERR_FORMAT || rc == ERR_UNSUPPORTED);
        if (!strstr(e.msg, "tokenizer.json"))
            fail_msg("does not name the file: %s", e.msg);
    }
    if (t)
        *t = mine;
    else
        tokenizer_close(mine);
    return rc ? e.msg : "";
}

static void bad_json_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1"},
        {"{", "line 1"},
        {"[]", "model"},
        {"{}", "model"},
        {"{\"model\":7}", "model"},
        {"{\"model\":{\"type\":\"Unigram\"}}", "Unigram"},
        {"{\"model\":{\"type\":\"BPE\"}}", "vocab"},
        {"{\"model\":{\"vocab\":[\"a\"]}}", "vocab"},
        {"{\"model\":{\"vocab\":{\"a\":\"0\"}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":0.5}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":4194304}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":1e300}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":9223372036854775808}}}", "\"a\""},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "same id 0"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", "there twice"},
        {"{\"model\":{\"vocab\":{\"a\xff\":0},\"merges\":[]}}", "UTF-8"},
        {"{\"model\":{" VOCAB "}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":{}}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":[7]}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"ab\"]}}", "merge 0"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"a b c\"]}}", "merge 0"},
        {"{\"model\":{" VOCAB ",\"merges\":[\" b\"]}}", "merge 0"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"a \"]}}", "merge 0"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"a b\",\"x b\"]}}", "left part"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"a x\"]}}", "right part"},
        {"{\"model\":{" VOCAB ",\"merges\":[\"b a\"]}}", "the result"},
        {"{\"model\":{" VOCAB ",\"merges\":[[\"a\"]]}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":[[\"a\",\"b\",\"c\"]]}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":[[\"a\",1]]}}", "merges"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"dropout\":0.1}}", "dropout"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"dropout\":\"x\"}}", "dropout"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"byte_fallback\":true}}", "byte_fallback"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}", "end_of_word"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"continuing_subword_prefix\":\"##\"}}",
         "continuing"},
        {"{\"model\":{" VOCAB ",\"merges\":[],\"unk_token\":\"<unk>\"}}", "unk_token"},
        {"{" BPE "}", "ByteLevel"},
        {"{" BPE ",\"pre_tokenizer\":\"ByteLevel\"}", "pre_tokenizer"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Metaspace\"}}", "Metaspace"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Sequence\"}}", "Sequence"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Split\"}}", "behavior"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\"}}", "pattern"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Odd\"}}", "\"Odd\""},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":1}}", "use_regex"},
        {"{" BPE ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" BYTES "," BYTES
         "]}}",
         "ByteLevel"},
        {"{" BPE "," PRE ",\"normalizer\":{\"type\":\"Lowercase\"}}", "Lowercase"},
        {"{" BPE "," PRE ",\"normalizer\":7}", "normalizer"},
        {"{" BPE "," PRE ",\"decoder\":{\"type\":\"WordPiece\"}}", "WordPiece"},
        {"{" BPE "," PRE ",\"added_tokens\":{}}", "added_tokens"},
        {ADDED("7"), "added_tokens"},
        {ADDED("{\"id\":3}"), "content"},
        {ADDED("{\"content\":\"x\"}"), "\"id\""},
        {ADDED("{\"content\":\"x\",\"id\":-3}"), "\"id\""},
        {ADDED("{\"content\":\"x\",\"id\":1e18}"), "\"id\""},
        {ADDED("{\"content\":\"x\",\"id\":1}"), "same id 1"},
        {ADDED("{\"content\":\"a\",\"id\":3}"), "there twice"},
        {ADDED("{\"content\":\"x\",\"id\":3,\"special\":\"yes\"}"), "special"},
        {ADDED("{\"content\":\"x\xc0\",\"id\":3}"), "UTF-8"},
        {SPLIT(""), "pattern"},
        {SPLIT("("), "regex"},
        {SPLIT("*a"), "regex"},
        {SPLIT("[a"), "regex"},
        {SPLIT("[]"), "regex"},
        {SPLIT("[z-a]"), "regex"},
        {SPLIT("\\\\"), "regex"},
        {SPLIT("\\\\w+"), "regex"},
        {SPLIT("\\\\p{Han}"), "regex"},
        {SPLIT("\\\\pL"), "regex"},
        {SPLIT("\\\\p{L"), "regex"},
        {SPLIT("\\\\1"), "regex"},
        {SPLIT("\\\\x{110000}"), "regex"},
        {SPLIT("\\\\u12"), "regex"},
        {SPLIT("[a[b]]"), "regex"},
        {SPLIT("[a&&b]"), "regex"},
        {SPLIT("(*LIMIT_MATCH=9)a"), "regex"},
        {SPLIT("(?R)"), "regex"},
        {SPLIT("(?s)."), "regex"},
        {SPLIT("a{2}+"), "regex"},
        {SPLIT("(((((a{900}){900}){900}){900}){900})"), "regex"},
        {SPLIT("a\xff"), "regex"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *msg = open_text(cases[i].text, strlen(cases[i].text), NULL);
        if (!*msg || !strstr(msg, cases[i].says))
            fail_msg("%s\n  says: %s", cases[i].text, msg);
    }
    assert_string_equal(open_text("{" BPE "," PRE "}", strlen("{" BPE "," PRE "}"), NULL), "");
}

static char *repeat(const char *a, int n, const char *middle, const char *b, size_t *len)
{
    size_t la = strlen(a), lm = strlen(middle), lb = strlen(b);
    *len = (la + lb) * (size_t)n + lm;
    char *s = malloc(*len + 1), *p = s;
    for (int i = 0; i < n; i++, p += la)
        memcpy(p, a, la);
    memcpy(p, middle, lm);
    p += lm;
    for (int i = 0; i < n; i++, p += lb)
        memcpy(p, b, lb);
    *p = 0;
    return s;
}

static void deep_nesting_ends(void **state)
{
    (void)state;
    static const struct {
        const char *head, *open, *middle, *close, *tail;
        int n;
    } cases[] = {
        {"{" BPE ",\"pre_tokenizer\":", "{\"type\":\"Sequence\",\"pretokenizers\":[", BYTES, "]}",
         "}", 490},
        {"{" BPE ",\"pre_tokenizer\":", "{\"type\":\"Sequence\",\"pretokenizers\":[", BYTES, "]}",
         "}", 100000},
        {"{" BPE "," PRE ",\"normalizer\":", "{\"type\":\"Sequence\",\"normalizers\":[",
         "{\"type\":\"NFC\"}", "]}", "}", 490},
        {"{" BPE "," PRE ",\"post_processor\":", "{\"processors\":[", "{}", "]}", "}", 490},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        char *nest = repeat(cases[i].open, cases[i].n, cases[i].middle, cases[i].close, &n);
        struct buf text = {0};
        struct err e = {0};
        ok(buf_str(&text, cases[i].head, &e), &e);
        ok(buf_add(&text, nest, n, &e), &e);
        ok(buf_str(&text, cases[i].tail, &e), &e);
        const char *msg = open_text(text.data, text.len, NULL);
        assert_int_equal(*msg == 0, cases[i].n < 1000);
        free(nest);
        buf_dispose(&text);
    }
    /* a regex of many groups, many stages */
    size_t n;
    char *groups = repeat("(?:", 20000, "a", ")", &n);
    struct buf text = {0};
    struct err e = {0};
    ok(buf_printf(&text, &e,
                  "{" BPE ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\","
                  "\"pattern\":{\"Regex\":\"%s\"}}}",
                  groups),
       &e);
    assert_non_null(strstr(open_text(text.data, text.len, NULL), "regex"));
    free(groups);
    buf_clear(&text);
    ok(buf_str(&text, "{" BPE ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", &e),
       &e);
    for (int i = 0; i < 100; i++)
        ok(buf_str(&text, "{\"type\":\"Digits\"},", &e), &e);
    ok(buf_str(&text, BYTES "]}}", &e), &e);
    assert_non_null(strstr(open_text(text.data, text.len, NULL), "steps"));
    buf_dispose(&text);
}

/* A whole good file, cut at every length and with bytes changed: no crash, and what opens works. */
static void cut_and_changed_files(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf good = {0};
    struct rng r = rng_make(3, 1, 4);
    ok(file_read(VECTORS "odd/tokenizer.json", 1 << 20, &good, &e), &e);
    for (size_t n = 0; n < good.len; n += 1 + good.len / 100)
        assert_string_not_equal(open_text(good.data, n, NULL), "");
    for (int i = 0; i < 300; i++) {
        struct buf bad = {0};
        struct tokenizer *t;
        ok(buf_add(&bad, good.data, good.len, &e), &e);
        for (int k = 0; k < 1 + i % 3; k++) {
            /* half of the changes where the structure is: the first and the last kilobytes */
            size_t at = rng_below(&r, rng_below(&r, 2) ? 2048 : good.len);
            static const char chars[] = "\"{}[]:,0-9\\ea1\x80\xff n";
            bad.data[at] = chars[rng_below(&r, sizeof chars - 1)];
        }
        open_text(bad.data, bad.len, &t);
        if (t) {
            struct token_list ids = {0};
            static const char text[] =
                "word <left> <right> caf\u00e9! e\u0301e\u0301 12 x++y \xff Abc";
            tokenizer_encode(t, text, sizeof text - 1, TOK_SPECIAL, &ids, &e);
            token_list_dispose(&ids);
        }
        tokenizer_close(t);
        buf_dispose(&bad);
    }
    buf_dispose(&good);
}

static void catastrophic_regex_gives_up(void **state)
{
    (void)state;
    static const char text[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac";
    static const char *const files[] = {SPLIT("(a+)+b"), SPLIT("(?:a|a)+b"), SPLIT("(a*)*b"),
                                        SPLIT("(?:(?:a?){30}){30}b")};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct tokenizer *t;
        struct err e = {0};
        struct token_list ids = {0};
        assert_string_equal(open_text(files[i], strlen(files[i]), &t), "");
        double t0 = clock_now();
        err_code rc = tokenizer_encode(t, text, sizeof text - 1, 0, &ids, &e);
        assert_true(clock_now() - t0 < 10);
        assert_true(rc); /* there is no token for "c", if the regex should get that far */
        assert_int_equal(rc, ERR_UNSUPPORTED);
        assert_non_null(strstr(e.msg, "tokenizer.json"));
        token_list_dispose(&ids);
        tokenizer_close(t);
    }
}

/* ---- GGUF: the container is checked by its own reader; here, what the keys say */

struct vocab_file {
    const char *model, *pre, *token2, *merge;
    uint64_t n_types;
    uint32_t eos;
    bool no_tokens, int_tokens;
};

static void write_vocab(const char *path, const struct vocab_file *v)
{
    struct err e = {0};
    struct gguf_writer *g;
    ok(gguf_writer_open(&g, path, &e), &e);
    if (v->model)
        ok(gguf_add_str(g, "tokenizer.ggml.model", v->model, &e), &e);
    if (v->pre)
        ok(gguf_add_str(g, "tokenizer.ggml.pre", v->pre, &e), &e);
    if (v->int_tokens) {
        ok(gguf_begin_array(g, "tokenizer.ggml.tokens", GGUF_I32, 1, &e), &e);
        ok(gguf_array_i32(g, 7, &e), &e);
    } else if (!v->no_tokens) {
        ok(gguf_begin_array(g, "tokenizer.ggml.tokens", GGUF_STR, 3, &e), &e);
        ok(gguf_array_str(g, "a", 1, &e), &e);
        ok(gguf_array_str(g, "b", 1, &e), &e);
        ok(gguf_array_str(g, v->token2, strlen(v->token2), &e), &e);
    }
    ok(gguf_begin_array(g, "tokenizer.ggml.token_type", GGUF_I32, v->n_types, &e), &e);
    for (uint64_t i = 0; i < v->n_types; i++)
        ok(gguf_array_i32(g, 1, &e), &e);
    ok(gguf_begin_array(g, "tokenizer.ggml.merges", GGUF_STR, 1, &e), &e);
    ok(gguf_array_str(g, v->merge, strlen(v->merge), &e), &e);
    ok(gguf_add_u32(g, "tokenizer.ggml.eos_token_id", v->eos, &e), &e);
    ok(gguf_begin_data(g, &e), &e);
    ok(gguf_commit(g, &e), &e);
    gguf_writer_close(g);
}

static void bad_gguf_keys_are_named(void **state)
{
    (void)state;
    static const struct {
        struct vocab_file v;
        const char *says;
    } cases[] = {
        {{"gpt2", "qwen2", "ab", "a b", 3, 2, false, false}, NULL},
        {{NULL, "qwen2", "ab", "a b", 3, 2, false, false}, "tokenizer.ggml.model"},
        {{"llama", "qwen2", "ab", "a b", 3, 2, false, false}, "\"llama\""},
        {{"gpt2", NULL, "ab", "a b", 3, 2, false, false}, "tokenizer.ggml.pre"},
        {{"gpt2", "tekken", "ab", "a b", 3, 2, false, false}, "\"tekken\""},
        {{"gpt2", "qwen2", "ab", "a b", 3, 2, true, false}, "tokenizer.ggml.tokens"},
        {{"gpt2", "qwen2", "ab", "a b", 3, 2, false, true}, "tokenizer.ggml.tokens"},
        {{"gpt2", "qwen2", "b", "a b", 3, 2, false, false}, "there twice"},
        {{"gpt2", "qwen2", "\xff", "a b", 3, 2, false, false}, "UTF-8"},
        {{"gpt2", "qwen2", "ab", "a x", 3, 2, false, false}, "merge 0"},
        {{"gpt2", "qwen2", "ab", "ab", 3, 2, false, false}, "merge 0"},
        {{"gpt2", "qwen2", "ab", "a b", 2, 2, false, false}, "token_type"},
        {{"gpt2", "qwen2", "ab", "a b", 3, 3, false, false}, "eos_token_id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct tokenizer *t = NULL;
        const char *path = in_dir("vocab.gguf");
        write_vocab(path, &cases[i].v);
        err_code rc = tokenizer_open(path, &t, &e);
        if (!cases[i].says)
            ok(rc, &e);
        else if (!rc || !strstr(e.msg, cases[i].says) || !strstr(e.msg, "vocab.gguf"))
            fail_msg("case %zu should say %s; says: %s", i, cases[i].says, e.msg);
        tokenizer_close(t);
    }
}

/* ---- hostile text, real patterns */

static void long_runs_take_bounded_time(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "qwen2", "deepseek-v3", "llama3"};
    static const char *const units[] = {"a",      " ",    "\n", " \n",  "1", "\u0301\u0316",
                                        "\u4e2d", "\x01", "'",  "\xff", "<", "<|im_",
                                        " '",     "\t "};
    enum { N_BYTES = 1 << 20 };
    struct err e = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        snprintf(path, sizeof path, VECTORS "%s", names[i]);
        struct tokenizer *t = open_tokenizer(path);
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
            struct buf text = {0}, back = {0};
            struct token_list ids = {0};
            while (text.len < N_BYTES)
                ok(buf_str(&text, units[k], &e), &e);
            ok(buf_str(&text, "x", &e), &e);
            double t0 = clock_now();
            encode(t, text.data, text.len, TOK_SPECIAL, &ids);
            double took = clock_now() - t0;
            if (took > 20) /* linear: a tenth of a second; quadratic: an hour */
                fail_msg("%s: 1 MB of \"%s\" took %.1f s", names[i], units[k], took);
            ok(tokenizer_decode(t, ids.ids, ids.n, false, &back, &e), &e);
            assert_int_equal(back.len, text.len);
            token_list_dispose(&ids);
            buf_dispose(&text);
            buf_dispose(&back);
        }
        tokenizer_close(t);
    }
}

static void a_missing_byte_is_named(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct err e = {0};
    struct token_list ids = {0};
    static const char file[] = "{" BPE "," PRE "}";
    assert_string_equal(open_text(file, sizeof file - 1, &t), "");
    ok(tokenizer_encode(t, "abab", 4, 0, &ids, &e), &e);
    assert_int_equal(ids.n, 2);
    assert_int_equal(tokenizer_encode(t, "abz", 3, 0, &ids, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "0x7A"));
    token_list_dispose(&ids);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_json_is_named),       cmocka_unit_test(deep_nesting_ends),
        cmocka_unit_test(cut_and_changed_files),   cmocka_unit_test(catastrophic_regex_gives_up),
        cmocka_unit_test(bad_gguf_keys_are_named), cmocka_unit_test(long_runs_take_bounded_time),
        cmocka_unit_test(a_missing_byte_is_named),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
