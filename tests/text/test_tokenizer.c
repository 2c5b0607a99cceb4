/* Token ids against HF tokenizers (vectors: tests/vectors/text/make.py), round trips, streaming. */
#include "core/format/gguf.h"
#include "core/text/chat.h"
#include "tests/base/temp_dir.h"
#include "tests/text/text_test.h"

static const char *const small[] = {"gpt2", "qwen2", "deepseek-v3", "r1-qwen", "llama3", "odd"};
enum { N_SMALL = sizeof small / sizeof *small };

static struct tokenizer *open_small(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s", name);
    return open_tokenizer(path);
}

static struct json open_vectors(const char *name)
{
    struct err e = {0};
    struct json j;
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s", name);
    ok(json_open(&j, path, 1 << 24, &e), &e);
    return j;
}

/* ---- cases one by one: these say what broke */

static void check_cases(const char *name, const struct tokenizer *t)
{
    char path[256];
    snprintf(path, sizeof path, "%s/cases.json", name);
    struct json j = open_vectors(path);
    struct token_list ids = {0};
    int n_cases = 0;
    for (const cJSON *c = j.root->child; c; c = c->next, n_cases++) {
        const char *text = json_at(c, "text")->valuestring;
        encode(t, text, strlen(text), cJSON_IsTrue(json_at(c, "special")) ? TOK_SPECIAL : 0, &ids);
        int64_t i = 0;
        const cJSON *want = json_at(c, "ids")->child;
        for (; want && i < ids.n && ids.ids[i] == want->valueint; want = want->next)
            i++;
        if (want || i != ids.n)
            fail_msg("%s: \"%s\": id %lld is %d, HF has %d (%lld ids)", name, text, (long long)i,
                     i < ids.n ? ids.ids[i] : -1, want ? want->valueint : -1, (long long)ids.n);
    }
    assert_true(n_cases >= 100);
    token_list_dispose(&ids);
    json_close(&j);
}

static void cases_are_hf_s(void **state)
{
    (void)state;
    for (int i = 0; i < N_SMALL; i++) {
        struct tokenizer *t = open_small(small[i]);
        check_cases(small[i], t);
        tokenizer_close(t);
    }
}

/* ---- whole texts, by hash of the ids: make.py makes the same texts */

static uint64_t lcg_state;
static uint64_t below(uint64_t n)
{
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return (lcg_state >> 33) % n;
}

static void add_cp(struct buf *b, uint32_t c)
{
    struct err e = {0};
    unsigned char u[4] = {(unsigned char)c};
    size_t n = 1;
    if (c >= 0xD800 && c < 0xE000)
        return;
    if (c >= 0x80) {
        n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--, c >>= 6)
            u[i] = 0x80 | (c & 0x3F);
        u[0] = (unsigned char)(0xF00 >> n | c);
    }
    ok(buf_add(b, u, n, &e), &e);
}

static void add_str(struct buf *b, const char *s, int times)
{
    struct err e = {0};
    for (int i = 0; i < times; i++)
        ok(buf_str(b, s, &e), &e);
}

static void make_planes(struct buf *b)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (!(c < 0x33480 || (c >= 0xE0000 && c < 0xE0200) || c % 256 == 77) ||
            (c >= 0xD800 && c < 0xE000))
            continue;
        add_cp(b, c);
        if (c % 64 == 63)
            add_str(b, "\n", 1);
    }
}

static void make_torture(struct buf *b, const struct tokenizer *t)
{
    struct json parts = open_vectors("parts.json");
    int n_parts = cJSON_GetArraySize(parts.root), n_added = 0;
    const char *part[256];
    assert_in_range(n_parts, 50, 256);
    n_parts = 0;
    for (const cJSON *p = parts.root->child; p; p = p->next)
        part[n_parts++] = p->valuestring;
    int32_t *added = malloc((size_t)tokenizer_size(t) * sizeof *added);
    for (int64_t id = 0; id < tokenizer_size(t); id++)
        if (tokenizer_is_added(t, (int32_t)id))
            added[n_added++] = (int32_t)id;
    struct err e = {0};
    lcg_state = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t what = below(8);
        if (what <= 1)
            add_cp(b, (uint32_t)below(what ? 0x3200 : 0x110000));
        else if (what == 2)
            add_cp(b, 0x300 + (uint32_t)below(0x70));
        else if (what == 3) {
            size_t n;
            const char *s = tokenizer_text(t, added[below((uint64_t)n_added)], &n);
            ok(buf_add(b, s, n, &e), &e);
        } else {
            const char *s = part[below((uint64_t)n_parts)];
            ok(buf_add(b, s, *s ? strlen(s) : 1, &e), &e); /* the empty one is U+0000 */
        }
    }
    free(added);
    add_str(b, " ", 1000);
    add_str(b, "a", 3000);
    add_str(b, "\n", 500);
    add_str(b, "7", 1000);
    add_str(b, " \n", 300);
    add_str(b, "\u0301\u0316", 500);
    json_close(&parts);
}

static void stream(const struct tokenizer *t, const struct token_list *ids, struct buf *out)
{
    struct err e = {0};
    struct token_stream s = {0};
    for (int64_t i = 0; i < ids->n; i++)
        ok(tokenizer_stream(t, &s, ids->ids[i], false, out, &e), &e);
    ok(tokenizer_stream_end(&s, out, &e), &e);
}

/* Ids have the hash that make.py wrote; decoding gives the text back, whole and streamed. */
static void check_text(const struct tokenizer *t, const char *name, const cJSON *want,
                       const struct buf *text, bool round_trip)
{
    struct err e = {0};
    struct token_list ids = {0};
    struct buf decoded = {0}, streamed = {0};
    char hash[17];
    uint64_t h = 0xCBF29CE484222325u;
    encode(t, text->data, text->len, TOK_SPECIAL, &ids);
    for (int64_t i = 0; i < ids.n; i++)
        h = (h ^ (uint64_t)ids.ids[i]) * 0x100000001B3u;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)h);
    if (strcmp(hash, json_at(want, "hash")->valuestring))
        fail_msg("%s: %s: %lld ids, HF has %d", name, want->string, (long long)ids.n,
                 json_at(want, "n")->valueint);
    ok(tokenizer_decode(t, ids.ids, ids.n, false, &decoded, &e), &e);
    stream(t, &ids, &streamed);
    assert_int_equal(decoded.len, streamed.len);
    assert_memory_equal(decoded.data, streamed.data, decoded.len);
    if (round_trip) {
        assert_int_equal(decoded.len, text->len);
        assert_memory_equal(decoded.data, text->data, text->len);
    }
    token_list_dispose(&ids);
    buf_dispose(&decoded);
    buf_dispose(&streamed);
}

static void check_hashes(const char *name, const char *dir, bool round_trip, const char *data)
{
    struct err e = {0};
    struct json j = open_vectors("hashes.json");
    const cJSON *mine = cJSON_GetObjectItemCaseSensitive(j.root, name);
    assert_non_null(mine);
    struct tokenizer *t = open_tokenizer(dir);
    for (const cJSON *want = mine->child; want; want = want->next) {
        struct buf text = {0};
        char path[512];
        snprintf(path, sizeof path, "%s/data/%s", data ? data : "", want->string);
        if (!strcmp(want->string, "planes"))
            make_planes(&text);
        else if (!strcmp(want->string, "torture"))
            make_torture(&text, t);
        else if (data)
            ok(file_read(path, 1 << 26, &text, &e), &e);
        else
            continue;
        check_text(t, name, want, &text, round_trip);
        buf_dispose(&text);
    }
    tokenizer_close(t);
    json_close(&j);
}

static void every_plane_and_torture(void **state)
{
    (void)state;
    for (int i = 0; i < N_SMALL; i++) {
        char dir[256];
        snprintf(dir, sizeof dir, VECTORS "%s", small[i]);
        bool normalizes =
            !strcmp(small[i], "qwen2") || !strcmp(small[i], "r1-qwen") || !strcmp(small[i], "odd");
        check_hashes(small[i], dir, !normalizes, NULL);
    }
}

static void real_tokenizers(void **state)
{
    (void)state;
    const char *shared = shared_dir();
    if (!shared) {
        print_message("the real tokenizers are not here (DECANT_SHARED)\n");
        skip();
    }
    char dir[512];
    snprintf(dir, sizeof dir, "%s/tokenizers/deepseek-v3", shared);
    check_hashes("real/deepseek-v3", dir, true, shared);
    snprintf(dir, sizeof dir, "%s/tokenizers/qwen2.5", shared);
    check_hashes("real/qwen2.5", dir, false, shared);
}

/* ---- bytes that are no UTF-8 */

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = open_small("deepseek-v3");
    struct token_list ids = {0};
    lcg_state = 5;
    for (int round = 0; round < 400; round++) {
        struct buf text = {0}, back = {0};
        int n = 1 + (int)below(300);
        for (int i = 0; i < n; i++) {
            static const char lead[] = "\xC0\xC1\xE0\xE2\xED\xF0\xF4\xF5\xFF\x80\xBF ab1\n";
            char c = round % 2 ? (char)below(256) : lead[below(sizeof lead - 1)];
            ok(buf_add(&text, &c, 1, &e), &e);
        }
        encode(t, text.data, text.len, round % 3 ? TOK_SPECIAL : 0, &ids);
        ok(tokenizer_decode(t, ids.ids, ids.n, false, &back, &e), &e);
        assert_int_equal(back.len, text.len);
        assert_memory_equal(back.data, text.data, text.len);
        buf_clear(&back);
        stream(t, &ids, &back);
        assert_int_equal(back.len, text.len);
        assert_memory_equal(back.data, text.data, text.len);
        buf_dispose(&text);
        buf_dispose(&back);
    }
    /* a bad byte stands alone; what is around it is as without it */
    encode(t, "Hello\xFFworld", 11, 0, &ids);
    struct token_list hello = {0}, world = {0};
    encode(t, "Hello", 5, 0, &hello);
    encode(t, "world", 5, 0, &world);
    assert_int_equal(ids.n, hello.n + 1 + world.n);
    assert_memory_equal(ids.ids, hello.ids, (size_t)hello.n * sizeof *ids.ids);
    assert_memory_equal(ids.ids + hello.n + 1, world.ids, (size_t)world.n * sizeof *ids.ids);
    token_list_dispose(&ids);
    token_list_dispose(&hello);
    token_list_dispose(&world);
    tokenizer_close(t);
}

static void a_stream_gives_whole_characters(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = open_small("gpt2"); /* knows few characters: most are split */
    static const char text[] = "a\u00e9\u4e2d\U0001F469\u200d\U0001F467 z\U000E0041";
    struct token_list ids = {0};
    struct token_stream s = {0};
    struct buf out = {0};
    encode(t, text, sizeof text - 1, 0, &ids);
    assert_true(ids.n > 8);
    bool waited = false;
    for (int64_t i = 0; i < ids.n; i++) {
        ok(tokenizer_stream(t, &s, ids.ids[i], false, &out, &e), &e);
        waited = waited || s.n_pending;
        /* what is out ends before a character begins */
        assert_true(out.len == sizeof text - 1 || ((unsigned char)text[out.len] & 0xC0) != 0x80);
    }
    assert_true(waited);
    assert_int_equal(s.n_pending, 0);
    assert_string_equal(out.data, text);
    /* half a character at the end comes out with the end */
    buf_clear(&out);
    encode(t, "\xE4\xB8", 2, 0, &ids);
    ok(tokenizer_stream(t, &s, ids.ids[0], false, &out, &e), &e);
    ok(tokenizer_stream(t, &s, ids.ids[1], false, &out, &e), &e);
    assert_int_equal(out.len, 0);
    ok(tokenizer_stream_end(&s, &out, &e), &e);
    assert_int_equal(out.len, 2);
    token_list_dispose(&ids);
    buf_dispose(&out);
    tokenizer_close(t);
}

/* ---- look-ups */

static void lookups(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = open_small("deepseek-v3");
    struct buf out = {0};
    size_t n;
    int32_t user = tokenizer_find(t, "<｜User｜>"),
            eos = tokenizer_find(t, "<｜end▁of▁sentence｜>");
    assert_true(user > 255 && eos > 255);
    assert_true(tokenizer_is_added(t, user) && !tokenizer_is_special(t, user));
    assert_true(tokenizer_is_added(t, eos) && tokenizer_is_special(t, eos));
    assert_int_equal(tokenizer_eos(t), eos); /* well known: there is no tokenizer_config.json */
    assert_int_equal(tokenizer_bos(t), tokenizer_find(t, "<｜begin▁of▁sentence｜>"));
    assert_int_equal(tokenizer_pad(t), -1);
    const int32_t *stops;
    assert_int_equal(tokenizer_stops(t, &stops), 1);
    assert_int_equal(stops[0], eos);
    assert_string_equal(tokenizer_text(t, user, &n), "<｜User｜>");
    int32_t has = tokenizer_find(t, " has");
    assert_true(has >= 0 && tokenizer_find(t, "Ġhas") == -1);
    assert_string_equal(tokenizer_raw(t, has), "Ġhas");
    assert_string_equal(tokenizer_text(t, has, &n), " has");
    assert_int_equal(n, 4);
    assert_int_equal(tokenizer_find(t, "no such token"), -1);
    assert_null(tokenizer_raw(t, -1));
    assert_null(tokenizer_raw(t, (int32_t)tokenizer_size(t)));
    int32_t ids[] = {user, has, eos};
    ok(tokenizer_decode(t, ids, 3, true, &out, &e), &e);
    assert_string_equal(out.data, "<｜User｜> has");
    ids[1] = (int32_t)tokenizer_size(t);
    assert_int_equal(tokenizer_decode(t, ids, 3, true, &out, &e), ERR_USAGE);
    ids[1] = -1;
    assert_int_equal(tokenizer_decode(t, ids, 3, true, &out, &e), ERR_USAGE);
    buf_clear(&out);
    ok(tokenizer_merge(t, 0, &out, &e), &e);
    assert_int_equal(strlen(out.data), out.len);
    assert_non_null(strchr(out.data, ' '));
    buf_dispose(&out);
    tokenizer_close(t);
}

static void pre_tokenizers_are_named(void **state)
{
    (void)state;
    static const char *const names[N_SMALL] = {
        "gpt-2", "qwen2", "deepseek-v3", "deepseek-r1-qwen", "llama-bpe", NULL};
    for (int i = 0; i < N_SMALL; i++) {
        struct tokenizer *t = open_small(small[i]);
        const char *name = tokenizer_pre_name(t);
        if (!names[i])
            assert_null(name);
        else
            assert_string_equal(name ? name : "(none)", names[i]);
        tokenizer_close(t);
    }
}

/* ---- configs beside tokenizer.json */

static void copy_small(const char *dir, const char *name, char *path, size_t n)
{
    struct err e = {0};
    char from[256];
    snprintf(from, sizeof from, VECTORS "%s/tokenizer.json", name);
    snprintf(path, n, "%s/tokenizer.json", dir);
    ok(file_copy(from, path, &e), &e);
}

static void configs(void **state)
{
    (void)state;
    const char *dir = temp_dir;
    char path[512];
    copy_small(dir, "qwen2", path, sizeof path);
    write_text(in_dir("tokenizer_config.json"),
               "{\"bos_token\": null, \"eos_token\": {\"content\": \"<|im_end|>\"}, \"pad_token\": "
               "\"<|endoftext|>\", \"add_bos_token\": false, \"chat_template\": \"{{ x }}\"}");
    struct tokenizer *t = open_tokenizer(dir);
    int32_t end = tokenizer_find(t, "<|im_end|>"), pad = tokenizer_find(t, "<|endoftext|>");
    assert_int_equal(tokenizer_eos(t), end);
    assert_int_equal(tokenizer_pad(t), pad);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_string_equal(tokenizer_chat_template(t), "{{ x }}");
    tokenizer_close(t);
    char generation[200];
    snprintf(generation, sizeof generation, "{\"eos_token_id\": [%d, %d], \"bos_token_id\": %d}",
             pad, end, pad);
    write_text(in_dir("generation_config.json"), generation);
    write_text(in_dir("chat_template.jinja"), "{{ y }}");
    t = open_tokenizer(path); /* by the file's name, too */
    const int32_t *stops;
    assert_int_equal(tokenizer_stops(t, &stops), 2);
    assert_int_equal(stops[0], end);
    assert_int_equal(stops[1], pad);
    assert_int_equal(tokenizer_eos(t), end);
    assert_int_equal(tokenizer_bos(t), pad);
    assert_string_equal(tokenizer_chat_template(t), "{{ y }}");
    assert_false(tokenizer_adds_bos(t));
    tokenizer_close(t);
    t = open_small("llama3");
    assert_true(tokenizer_adds_bos(t)); /* its post-processor says so */
    assert_int_equal(tokenizer_eos(t), tokenizer_find(t, "<|end_of_text|>"));
    assert_int_equal(tokenizer_stops(t, &stops), 2); /* the end of a turn, too */
    assert_int_equal(stops[0], tokenizer_eos(t));
    assert_int_equal(stops[1], tokenizer_find(t, "<|eot_id|>"));
    tokenizer_close(t);
}

/* config.json's eos goes before the one that is guessed by its name, and after what is said beside
 * the tokenizer. */
static void eos_of_the_model(void **state)
{
    (void)state;
    char path[512], config[100];
    const int32_t *stops;
    copy_small(temp_dir, "qwen2", path, sizeof path);
    write_text(in_dir("config.json"),
               "{\"eos_token_id\": [7, 1000000]}"); /* not of this tokenizer */
    struct tokenizer *t = open_tokenizer(temp_dir);
    int32_t end = tokenizer_find(t, "<|im_end|>"), pad = tokenizer_find(t, "<|endoftext|>");
    assert_int_equal(tokenizer_eos(t), pad);
    assert_int_equal(tokenizer_stops(t, &stops), 2);
    assert_true(stops[0] == pad && stops[1] == end);
    tokenizer_close(t);
    write_text(in_dir("config.json"), "{\"eos_token_id\": 7}"); /* of it, but a part of words */
    t = open_tokenizer(temp_dir);
    assert_int_equal(tokenizer_eos(t), pad);
    assert_int_equal(tokenizer_stops(t, &stops), 2);
    assert_true(stops[0] == pad && stops[1] == end);
    tokenizer_close(t);
    snprintf(config, sizeof config, "{\"eos_token_id\": [%d, 7]}", end);
    write_text(in_dir("config.json"), config);
    t = open_tokenizer(temp_dir);
    assert_int_equal(tokenizer_eos(t), end);
    assert_int_equal(tokenizer_stops(t, &stops), 2);
    assert_true(stops[0] == end && stops[1] == 7);
    tokenizer_close(t);
    write_text(in_dir("tokenizer_config.json"), "{\"eos_token\": \"<|endoftext|>\"}");
    t = open_tokenizer(temp_dir);
    assert_int_equal(tokenizer_eos(t), pad);
    tokenizer_close(t);
}

/* A token that tokenizer_config.json alone has counts, as it does for transformers; of one that
 * both have, tokenizer.json says what it is, and which id and which text is whose. */
static void added_by_config(void **state)
{
    (void)state;
    const char *dir = temp_dir;
    char path[512], config[400];
    copy_small(dir, "qwen2", path, sizeof path);
    struct tokenizer *t = open_tokenizer(dir);
    int32_t id = (int32_t)tokenizer_size(t), end = tokenizer_find(t, "<|im_end|>");
    assert_true(tokenizer_is_special(t, end));
    tokenizer_close(t);
    snprintf(config, sizeof config,
             "{\"eos_token\": \"<think>\", \"added_tokens_decoder\": {"
             "\"%d\": {\"content\": \"<think>\", \"special\": false}, "
             "\"%d\": {\"content\": \"<|im_end|>\", \"special\": false}, "
             "\"0\": {\"content\": \"<other>\"}, \"%d\": {\"content\": \"!\"}, "
             "\"%d\": {\"content\": \"<think>\"}}}",
             id, end, id + 1, id + 2);
    write_text(in_dir("tokenizer_config.json"), config);
    t = open_tokenizer(dir);
    assert_int_equal(tokenizer_find(t, "<think>"), id);
    assert_int_equal(tokenizer_eos(t), id);
    assert_true(tokenizer_is_added(t, id) && !tokenizer_is_special(t, id));
    assert_true(tokenizer_is_special(t, end));
    assert_int_equal(tokenizer_size(t), id + 1);
    assert_int_equal(tokenizer_find(t, "<other>"), -1);
    assert_int_equal(tokenizer_find(t, "!"), 0);
    struct token_list ids = {0};
    encode(t, "<think>", 7, TOK_SPECIAL, &ids);
    assert_true(ids.n == 1 && ids.ids[0] == id);
    token_list_dispose(&ids);
    tokenizer_close(t);
}

static void bad_configs(void **state)
{
    (void)state;
    const char *dir = temp_dir;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"tokenizer_config.json", "{\"eos_token\": 7}", "eos_token"},
        {"tokenizer_config.json", "{\"eos_token\": {\"text\": 1}}", "eos_token"},
        {"tokenizer_config.json", "{\"bos_token\": \"<nope>\"}", "<nope>"},
        {"tokenizer_config.json", "{\"add_bos_token\": 1}", "add_bos_token"},
        {"tokenizer_config.json", "{\"chat_template\": 1}", "chat_template"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"-1\": {\"content\": \"a\"}}}",
         "-1"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"999\": {}}}", "content"},
        {"tokenizer_config.json", "{\"bos_token\": ", "line 1"},
        {"generation_config.json", "{\"eos_token_id\": 1000000}", "eos_token_id"},
        {"generation_config.json", "{\"eos_token_id\": [1, -1]}", "eos_token_id"},
        {"generation_config.json", "{\"eos_token_id\": [\"a\"]}", "eos_token_id"},
        {"generation_config.json", "{\"pad_token_id\": 1.5}", "pad_token_id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        struct err e = {0};
        struct tokenizer *t = NULL;
        ok(file_remove_tree(dir, &e), &e);
        ok(file_make_dir(dir, &e), &e);
        copy_small(dir, "qwen2", path, sizeof path);
        write_text(in_dir(cases[i].file), cases[i].text);
        assert_int_equal(tokenizer_open(dir, &t, &e), ERR_FORMAT);
        if (!strstr(e.msg, cases[i].file) || !strstr(e.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].text, e.msg);
        assert_null(t);
    }
}

/* ---- from GGUF: the same vocabulary gives the same ids */

static void write_gguf(const char *path, const struct tokenizer *t)
{
    struct err e = {0};
    struct gguf_writer *g;
    int64_t n = tokenizer_size(t);
    ok(gguf_writer_open(&g, path, &e), &e);
    ok(gguf_add_str(g, "tokenizer.ggml.model", "gpt2", &e), &e);
    ok(gguf_add_str(g, "tokenizer.ggml.pre", tokenizer_pre_name(t), &e), &e);
    ok(gguf_begin_array(g, "tokenizer.ggml.tokens", GGUF_STR, (uint64_t)n, &e), &e);
    for (int32_t id = 0; id < n; id++)
        ok(gguf_array_str(g, tokenizer_raw(t, id), strlen(tokenizer_raw(t, id)), &e), &e);
    ok(gguf_begin_array(g, "tokenizer.ggml.token_type", GGUF_I32, (uint64_t)n, &e), &e);
    for (int32_t id = 0; id < n; id++)
        ok(gguf_array_i32(g,
                          tokenizer_is_special(t, id) ? 3
                          : tokenizer_is_added(t, id) ? 4
                                                      : 1,
                          &e),
           &e);
    ok(gguf_begin_array(g, "tokenizer.ggml.merges", GGUF_STR, (uint64_t)tokenizer_n_merges(t), &e),
       &e);
    for (int64_t i = 0; i < tokenizer_n_merges(t); i++) {
        struct buf m = {0};
        ok(tokenizer_merge(t, i, &m, &e), &e);
        ok(gguf_array_str(g, m.data, m.len, &e), &e);
        buf_dispose(&m);
    }
    ok(gguf_add_u32(g, "tokenizer.ggml.eos_token_id", (uint32_t)tokenizer_eos(t), &e), &e);
    ok(gguf_add_bool(g, "tokenizer.ggml.add_bos_token", true, &e), &e);
    ok(gguf_add_str(g, "tokenizer.chat_template", "{{ z }}", &e), &e);
    ok(gguf_begin_data(g, &e), &e);
    ok(gguf_commit(g, &e), &e);
    gguf_writer_close(g);
}

static void gguf_gives_the_same_ids(void **state)
{
    (void)state;
    const char *dir = temp_dir;
    char path[512];
    snprintf(path, sizeof path, "%s/vocab.gguf", dir);
    for (int i = 0; i < N_SMALL - 1; i++) {
        struct tokenizer *t = open_small(small[i]);
        write_gguf(path, t);
        struct tokenizer *g = open_tokenizer(path);
        check_cases(small[i], g);
        assert_string_equal(tokenizer_pre_name(g), tokenizer_pre_name(t));
        assert_int_equal(tokenizer_size(g), tokenizer_size(t));
        assert_int_equal(tokenizer_eos(g), tokenizer_eos(t));
        assert_true(tokenizer_adds_bos(g));
        assert_string_equal(tokenizer_chat_template(g), "{{ z }}");
        for (int32_t id = 0; id < tokenizer_size(t); id++) {
            assert_string_equal(tokenizer_raw(g, id), tokenizer_raw(t, id));
            assert_int_equal(tokenizer_is_special(g, id), tokenizer_is_special(t, id));
        }
        tokenizer_close(g);
        tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_are_hf_s),
        cmocka_unit_test(every_plane_and_torture),
        cmocka_unit_test(real_tokenizers),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(a_stream_gives_whole_characters),
        cmocka_unit_test(lookups),
        cmocka_unit_test(pre_tokenizers_are_named),
        cmocka_unit_test_setup_teardown(configs, temp_dir_setup, temp_dir_teardown),
        cmocka_unit_test_setup_teardown(eos_of_the_model, temp_dir_setup, temp_dir_teardown),
        cmocka_unit_test_setup_teardown(added_by_config, temp_dir_setup, temp_dir_teardown),
        cmocka_unit_test_setup_teardown(bad_configs, temp_dir_setup, temp_dir_teardown),
        cmocka_unit_test_setup_teardown(gguf_gives_the_same_ids, temp_dir_setup, temp_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
