/* The export end to end: what stands in the file against what the source holds. */
#include "tiny_model.h"
#include "core/format/gguf.h"
#include "core/format/weights.h"
#include "quant/export.h"
#include "quant/model.h"

#include <omp.h>
#include <sys/stat.h>
#include <unistd.h>

#define LLAMA3                                                                                     \
    "\"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "        \
    "\"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}"
#define FP8 "\"quantization_config\": {\"weight_block_size\": [128, 128]}"

static const struct tiny qwen2 = {"qwen2", 3, 256, 4, 2, 64, 288, true, DT_F32, .extra = NULL};
static const struct tiny llama = {"llama", 2, 256, 4, 2, 64, 256, false, DT_BF16, .extra = LLAMA3};
static const struct tiny qwen3 = {"qwen3", 2, 256, 4, 1, 96, 256, false, DT_F16, .extra = NULL};
static const struct tiny f8 = {"llama", 2, 256, 2, 2, 128, 384, true, DT_F8_E4M3, .extra = FP8};

struct place {
    char dir[64], model[96], out[96];
};

static int setup(void **state)
{
    struct place *p = take(sizeof *p);
    omp_set_num_threads(1); /* the machine may be busy, and these tensors are small */
    snprintf(p->dir, sizeof p->dir, "/tmp/decant-export-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->model, sizeof p->model, "%s/model", p->dir);
    snprintf(p->out, sizeof p->out, "%s/x.gguf", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    file_remove_tree(p->dir, NULL);
    mem_free(p);
    return 0;
}

static void export(const struct place *p, const char *type, struct export_report *report)
{
    struct err e = {0};
    if (export_gguf(p->model, p->out, recipe_find(type), report, &e))
        fail_msg("%s", e.msg);
}

/* The HF name's rows as the file should hold them: llama.cpp's reshape (heads, 2, dim / 2) and
 * swap, written the other way round from the code under test. */
static float *wanted(const struct weights *w, const struct tiny *m, const char *hf, int64_t *rows,
                     int64_t *cols)
{
    struct tensor t;
    assert_int_equal(weights_get(w, hf, 0, NULL, &t, NULL), 0);
    *rows = tensor_rows(&t);
    *cols = tensor_cols(&t);
    float *x = take((size_t)(*rows * *cols) * 4), *row = take((size_t)*cols * 4);
    bool qk = strstr(hf, "q_proj") || strstr(hf, "k_proj");
    bool permuted = qk && !strcmp(m->type, "llama"), bias = t.n_dims == 1;
    int64_t half = m->dim / 2, n = bias ? *cols : *rows;
    for (int64_t i = 0; i < *rows; i++) {
        tensor_row_f32(&t, i, row);
        for (int64_t j = 0; j < (bias ? n : 1); j++) {
            int64_t at = bias ? j : i, head = at / m->dim, in = at % m->dim;
            int64_t to = permuted ? head * m->dim + 2 * (in % half) + in / half : at;
            if (bias)
                x[to] = row[j];
            else
                memcpy(x + to * *cols, row, (size_t)*cols * 4);
        }
    }
    mem_free(row);
    return x;
}

/* Every tensor of the source: its place, its type by the recipe, and its bytes. */
static void check_tensors(const struct place *p, const struct tiny *m, const char *type)
{
    struct weights *src, *dst;
    struct tiny_tensor all[128];
    int n = tiny_tensors(m, all);
    assert_int_equal(weights_open(p->model, &src, NULL), 0);
    assert_int_equal(weights_open(p->out, &dst, NULL), 0);
    for (int i = 0; i < n; i++) {
        int64_t rows, cols;
        float *x = wanted(src, m, all[i].name, &rows, &cols);
        struct tensor t; /* by its HF name */
        struct err e = {0};
        if (weights_get(dst, all[i].name, 0, NULL, &t, &e))
            fail_msg("%s", e.msg);
        assert_int_equal(t.n_dims, all[i].rows ? 2 : 1);
        assert_true(tensor_rows(&t) == rows && tensor_cols(&t) == cols);
        if (!all[i].rows)
            assert_int_equal(t.dtype, DT_F32);
        else if (!strcmp(type, "f16") || !strcmp(type, "q8_0"))
            assert_int_equal(t.dtype, strcmp(type, "f16") ? DT_Q8_0 : DT_F16);
        uint64_t bytes;
        assert_true(dtype_row_bytes(t.dtype, (uint64_t)cols, &bytes));
        uint8_t *q = take(bytes);
        for (int64_t r = 0; r < rows; r++) {
            encode_row(t.dtype, x + r * cols, q, cols);
            if (memcmp(q, tensor_row(&t, r), bytes))
                fail_msg("%s: row %d differs", all[i].name, (int)r);
        }
        mem_free(q);
        mem_free(x);
    }
    int64_t n_file = weights_count(dst);
    assert_int_equal(n_file, n + (m->extra && strstr(m->extra, "llama3") ? 1 : 0));
    weights_close(src);
    weights_close(dst);
}

static void test_tensors(void **state)
{
    struct place *p = *state;
    const struct tiny *models[] = {&qwen2, &llama, &qwen3, &f8};
    static const char *const types[] = {"f16", "q8_0", "q4_0", "q4_k_m"};
    for (int m = 0; m < 4; m++) {
        file_remove_tree(p->model, NULL);
        tiny_make(p->model, models[m], (uint64_t)m);
        for (int i = 0; i < 4; i++) {
            struct export_report r;
            export(p, types[i], &r);
            check_tensors(p, models[m], types[i]);
            uint64_t size, params = 0;
            assert_int_equal(file_size(p->out, &size, NULL), 0);
            for (int t = 0; t < DT_COUNT; t++)
                params += r.types[t].n_params;
            assert_true(r.n_bytes == size && r.n_params == params && r.seconds > 0);
            assert_string_equal(r.arch, models[m]->type);
        }
    }
}

static void expect_int(const struct gguf *g, const char *key, int64_t want)
{
    int64_t v = -1;
    struct err e = {0};
    if (gguf_int(g, key, INT64_MIN, INT64_MAX, &v, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(v, want);
}

static void expect_num(const struct gguf *g, const char *key, double want)
{
    double v;
    assert_int_equal(gguf_num(g, key, &v, NULL), 0);
    assert_true(fabs(v - want) <= 1e-6 * fabs(want));
}

static void expect_str(const struct gguf *g, const char *key, const char *want)
{
    const char *s;
    size_t n;
    assert_int_equal(gguf_str(g, key, &s, &n, NULL), 0);
    if (n != strlen(want) || memcmp(s, want, n))
        fail_msg("%s is \"%.*s\", not \"%s\"", key, (int)n, s, want);
}

/* distill's student stands in RUN/final: the run has the name. */
static void test_name(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    char run[80], final[96];
    tiny_make(p->model, &llama, 1);
    snprintf(run, sizeof run, "%s/my-7b", p->dir);
    snprintf(final, sizeof final, "%s/final", run);
    assert_int_equal(mkdir(run, 0755), 0);
    assert_int_equal(rename(p->model, final), 0);
    snprintf(p->model, sizeof p->model, "%s", final);
    for (int i = 0; i < 2; i++) { /* any other directory of that name has its own */
        char metrics[112];
        snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
        if (i)
            assert_int_equal(file_replace(metrics, "", 0, NULL), 0);
        export(p, "f16", &r);
        assert_int_equal(gguf_open(p->out, &g, NULL), 0);
        expect_str(g, "general.name", i ? "my-7b" : "final");
        gguf_close(g);
    }
}

static void test_metadata(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    struct gguf_value v;
    tiny_make(p->model, &llama, 1);
    export(p, "q4_k_m", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_str(g, "general.architecture", "llama");
    expect_str(g, "general.name", "model");
    expect_str(g, "general.size_label", "928K");
    expect_int(g, "general.file_type", 15);
    expect_int(g, "general.quantization_version", 2);
    expect_int(g, "llama.context_length", 4096);
    expect_int(g, "llama.embedding_length", 256);
    expect_int(g, "llama.block_count", 2);
    expect_int(g, "llama.feed_forward_length", 256);
    expect_int(g, "llama.attention.head_count", 4);
    expect_int(g, "llama.attention.head_count_kv", 2);
    expect_int(g, "llama.rope.dimension_count", 64);
    expect_int(g, "llama.vocab_size", TINY_VOCAB);
    expect_num(g, "llama.rope.freq_base", 500000);
    expect_num(g, "llama.attention.layer_norm_rms_epsilon", 1e-5);
    assert_false(gguf_find(g, "llama.rope.scaling.type", &v));
    expect_str(g, "tokenizer.ggml.model", "gpt2");
    expect_str(g, "tokenizer.ggml.pre", "deepseek-r1-qwen"); /* for its <｜User｜> */
    expect_str(g, "tokenizer.chat_template", "{{ messages[0].content }}");
    expect_int(g, "tokenizer.ggml.eos_token_id", 257);
    expect_int(g, "tokenizer.ggml.bos_token_id", 2); /* config.json's; the tokenizer has none */
    assert_true(gguf_find(g, "tokenizer.ggml.tokens", &v) && v.n == TINY_VOCAB);
    static const struct {
        int id, type;
        const char *text;
    } tokens[] = {{0, 1, "\xC4\x80"},
                  {'a', 1, "a"},
                  {256, 1, "he"},
                  {257, 3, "<eos>"},
                  {258, 3, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>"},
                  {259, 4, "<think>"},
                  {260, 5, "[PAD260]"},
                  {271, 5, "[PAD271]"}};
    struct gguf_value types;
    assert_true(gguf_find(g, "tokenizer.ggml.token_type", &types) && types.n == TINY_VOCAB);
    uint64_t at = 0;
    size_t len;
    const char *s;
    int k = 0;
    for (int i = 0; gguf_next_str(&v, &at, &s, &len); i++)
        if (k < 8 && tokens[k].id == i) {
            assert_true(len == strlen(tokens[k].text) && !memcmp(s, tokens[k].text, len));
            assert_int_equal(gguf_elem_int(&types, (uint64_t)i), tokens[k].type);
            k++;
        }
    assert_int_equal(k, 8);
    assert_true(gguf_find(g, "tokenizer.ggml.merges", &v) && v.n == 1);
    at = 0;
    assert_true(gguf_next_str(&v, &at, &s, &len) && len == 3 && !memcmp(s, "h e", 3));
    /* the frequencies of Llama 3.1, as transformers scales them */
    struct tensor t;
    const char *name;
    float *want = vector_read("rope_llama3.f32", &len);
    int64_t i = gguf_tensor_find(g, "rope_freqs.weight");
    assert_true(i >= 0);
    gguf_tensor_at(g, i, &name, &t, NULL);
    assert_true(t.dtype == DT_F32 && tensor_n(&t) == 32 && len == 128);
    for (k = 0; k < 32; k++)
        assert_true(fabsf(((float *)t.data)[k] - want[k]) <= 2e-5F * want[k]);
    mem_free(want);
    gguf_close(g);
}

/* Every from in the tokenizer.json becomes to. */
static void rename_token(const struct place *p, const char *from, const char *to)
{
    char path[128];
    struct buf b = {0}, out = {0};
    snprintf(path, sizeof path, "%s/tokenizer.json", p->model);
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), 0);
    const char *at = b.data, *next;
    for (; (next = strstr(at, from)); at = next + strlen(from)) {
        buf_add(&out, at, (size_t)(next - at), NULL);
        buf_str(&out, to, NULL);
    }
    buf_str(&out, at, NULL);
    tiny_write(p->model, "tokenizer.json", out.data);
    buf_dispose(&b);
    buf_dispose(&out);
}

/* What ends a turn is named, also where it is the eos, and a stop beside it is not lost. */
static void test_stops(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    struct gguf_value v;
    tiny_make(p->model, &qwen2, 1);
    tiny_write(p->model, "generation_config.json", "{\"eos_token_id\": [257, 256]}");
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_int(g, "tokenizer.ggml.eos_token_id", 257);
    expect_int(g, "tokenizer.ggml.eot_token_id", 256);
    assert_false(gguf_find(g, "tokenizer.ggml.eom_token_id", &v));
    gguf_close(g);
    rename_token(p, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>", "<|im_end|>");
    rename_token(p, "<think>", "<|im_start|>");
    tiny_write(p->model, "tokenizer_config.json", "{\"eos_token\": \"<|im_end|>\"}");
    tiny_write(p->model, "generation_config.json", "{\"eos_token_id\": [258, 257]}");
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_int(g, "tokenizer.ggml.eos_token_id", 258);
    expect_int(g, "tokenizer.ggml.eot_token_id", 258);
    expect_int(g, "tokenizer.ggml.eom_token_id", 257);
    gguf_close(g);
}

/* config.json's eos is named where nothing beside the tokenizer names one, if it is an added token:
 * no answer may end at a part of a word. Else a token that no text brings forth stands there. */
static void test_eos_of_the_model(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    struct tiny m = qwen2;
    m.extra = "\"eos_token_id\": 257";
    tiny_make(p->model, &m, 1);
    tiny_write(p->model, "tokenizer_config.json", "{}");
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_int(g, "tokenizer.ggml.eos_token_id", 257);
    gguf_close(g);
    m.extra = "\"eos_token_id\": 7";
    tiny_make(p->model, &m, 1);
    tiny_write(p->model, "tokenizer_config.json", "{}");
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_int(g, "tokenizer.ggml.eos_token_id", 260); /* not none: llama.cpp would take 11 */
    gguf_close(g);
}

/* Each refusal names the cause, and an older file stays. */
static void expect_refused(struct place *p, err_code want, const char *word)
{
    struct export_report r;
    struct err e = {0};
    assert_int_equal(file_replace(p->out, "old", 3, NULL), 0);
    assert_int_equal(export_gguf(p->model, p->out, recipe_find("q4_k_m"), &r, &e), want);
    if (!strstr(e.msg, word))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, word);
    struct buf b = {0};
    assert_int_equal(file_read(p->out, 100, &b, NULL), 0);
    assert_string_equal(b.data, "old");
    buf_dispose(&b);
}

/* What generation_config.json says of sampling, and nothing that it does not say. */
static void test_sampling(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    struct gguf_value v;
    tiny_make(p->model, &qwen2, 1);
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    assert_false(gguf_find(g, "general.sampling.temp", &v));
    gguf_close(g);
    tiny_write(p->model, "generation_config.json",
               "{\"temperature\": 0.7, \"top_k\": 20, \"top_p\": 0.8, \"min_p\": null, "
               "\"repetition_penalty\": 1.05}");
    export(p, "f16", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_num(g, "general.sampling.temp", 0.7);
    expect_int(g, "general.sampling.top_k", 20);
    assert_true(gguf_find(g, "general.sampling.top_k", &v) && v.type == GGUF_I32);
    expect_num(g, "general.sampling.top_p", 0.8);
    expect_num(g, "general.sampling.penalty_repeat", 1.05);
    assert_false(gguf_find(g, "general.sampling.min_p", &v));
    gguf_close(g);
    tiny_write(p->model, "generation_config.json", "{\"top_p\": \"most\"}");
    expect_refused(p, ERR_FORMAT, "top_p");
}

static void test_rope_scaling(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct gguf *g;
    struct tiny m = qwen2;
    m.extra = "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"beta_fast\": 16, "
              "\"original_max_position_embeddings\": 1024, \"attention_factor\": 2}";
    tiny_make(p->model, &m, 1);
    export(p, "q4_0", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_str(g, "qwen2.rope.scaling.type", "yarn");
    expect_num(g, "qwen2.rope.scaling.factor", 4);
    expect_num(g, "qwen2.rope.scaling.yarn_beta_fast", 16);
    expect_num(g, "qwen2.rope.scaling.yarn_beta_slow", 1);
    expect_int(g, "qwen2.rope.scaling.original_context_length", 1024);
    expect_num(g, "qwen2.rope.scaling.attn_factor", 2 / (0.1 * log(4) + 1));
    gguf_close(g);
    m.extra =
        "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2, \"rope_theta\": 7e3}";
    tiny_make(p->model, &m, 1);
    export(p, "q4_0", &r);
    assert_int_equal(gguf_open(p->out, &g, NULL), 0);
    expect_str(g, "qwen2.rope.scaling.type", "linear");
    expect_num(g, "qwen2.rope.scaling.factor", 2);
    expect_num(g, "qwen2.rope.freq_base", 7000);
    gguf_close(g);
}

/* Any number of threads gives the same bytes. */
static void test_threads(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct file_map a, b;
    char other[128];
    int before = omp_get_max_threads();
    struct tiny m = {"qwen2", 1, 512, 4, 2, 128, 1024, true, DT_F32, .extra = NULL};
    tiny_make(p->model, &m, 3);
    snprintf(other, sizeof other, "%s/one.gguf", p->dir);
    omp_set_num_threads(1);
    assert_int_equal(export_gguf(p->model, other, recipe_find("q4_k_m"), &r, NULL), 0);
    omp_set_num_threads(3);
    export(p, "q4_k_m", &r);
    omp_set_num_threads(before);
    assert_int_equal(file_map_open(&a, other, NULL), 0);
    assert_int_equal(file_map_open(&b, p->out, NULL), 0);
    assert_true(a.size == b.size && !memcmp(a.data, b.data, a.size));
    file_map_close(&a);
    file_map_close(&b);
}

static void test_refused(void **state)
{
    struct place *p = *state;
    struct tiny m = qwen2;
    m.type = "deepseek_v3";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "deepseek_v3");
    m = qwen2;
    m.nan = "model.layers.1.mlp.up_proj.weight";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_FORMAT, "blk.1.ffn_up.weight: element [144, 0] is NaN");
    m = qwen2;
    m.skip = "model.layers.2.self_attn.k_proj.bias";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_NOTFOUND, "model.layers.2.self_attn.k_proj.bias");
    m = qwen2;
    m.add = "model.layers.0.self_attn.sinks";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "self_attn.sinks");
    m = qwen2;
    m.extra = "\"rope_scaling\": {\"type\": \"longrope\", \"factor\": 4}";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "longrope");
    m.extra = "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 4}";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "llama3");
    m.extra = "\"hidden_act\": \"gelu\"";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "gelu");
    m.extra = "\"layer_types\": [\"full_attention\", \"sliding_attention\"]";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_UNSUPPORTED, "sliding_attention");
    m.extra = "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"beta_fast\": -3}";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_FORMAT, "beta_fast");
    m.extra = "\"rope_parameters\": {\"rope_theta\": -5}";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_FORMAT, "rope_theta");
    m = llama;
    m.extra = "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 4, \"low_freq_factor\": 1, "
              "\"high_freq_factor\": 4}";
    tiny_make(p->model, &m, 1);
    expect_refused(p, ERR_FORMAT, "original_max_position_embeddings");
    m = qwen2;
    m.extra = "\"hidden_size\": 9999999999";
    tiny_make(p->model, &m, 1);
    tiny_write(p->model, "config.json",
               "{\"model_type\": \"qwen2\", \"hidden_size\": 99999999999}");
    expect_refused(p, ERR_FORMAT, "num_hidden_layers");
    tiny_make(p->model, &qwen2, 1);
    tiny_write(p->model, "tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
    expect_refused(p, ERR_UNSUPPORTED, "Unigram");
}

static void test_paths(void **state)
{
    struct place *p = *state;
    struct export_report r;
    struct err e = {0};
    tiny_make(p->model, &qwen2, 1);
    assert_int_equal(export_gguf(p->model, p->dir, recipe_find("f16"), &r, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "directory"));
    export(p, "f16", &r);
    char again[128];
    snprintf(again, sizeof again, "%s/y.gguf", p->dir);
    assert_int_equal(export_gguf(p->out, again, recipe_find("q4_0"), &r, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "HF directory"));
    assert_false(file_exists(again));
    snprintf(again, sizeof again, "%s/no/where.gguf", p->dir);
    assert_int_not_equal(export_gguf(p->model, again, recipe_find("q4_0"), &r, &e), 0);
    assert_non_null(strstr(e.msg, "no/where.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tensors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eos_of_the_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sampling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rope_scaling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
