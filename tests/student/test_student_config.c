/* What config.json may say: every supported form, and refusal of everything else by name. */
#include "tests/student/student_vectors.h"

#include "core/base/file.h"

#include <unistd.h>

static const char base[] =
    "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
    "\"num_key_value_heads\": 2, \"intermediate_size\": 96, \"vocab_size\": 100,"
    "\"max_position_embeddings\": 128";

static err_code parse(const char *text, struct student_config *c, struct err *e)
{
    struct json j;
    err_code rc = json_parse(&j, "config.json", text, strlen(text), e);
    if (!rc)
        rc = student_config_json(c, &j, e);
    json_close(&j);
    return rc;
}

/* base with `change` put in front: cJSON's look-up takes the first of two equal keys. */
static err_code parse_with(const char *change, struct student_config *c, struct err *e)
{
    char text[2000];
    snprintf(text, sizeof text, "{%s, %s}", change, base);
    return parse(text, c, e);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *change;
        err_code code;
        const char *says;
    } cases[] = {
        {"\"model_type\": \"mamba\"", ERR_UNSUPPORTED, "mamba"},
        {"\"model_type\": 7", ERR_FORMAT, "model_type"},
        {"\"x\": 1", ERR_FORMAT, "model_type"},
        {"\"model_type\": \"llama\", \"hidden_size\": -64", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"hidden_size\": 1e300", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"hidden_size\": 63.5", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"hidden_size\": \"64\"", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"hidden_size\": null", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"hidden_size\": 66", ERR_FORMAT, "hidden_size"},
        {"\"model_type\": \"llama\", \"num_hidden_layers\": 0", ERR_FORMAT, "num_hidden_layers"},
        {"\"model_type\": \"llama\", \"num_hidden_layers\": 1e9", ERR_FORMAT, "num_hidden_layers"},
        {"\"model_type\": \"llama\", \"num_attention_heads\": 0", ERR_FORMAT,
         "num_attention_heads"},
        {"\"model_type\": \"llama\", \"num_key_value_heads\": 3", ERR_FORMAT, "key/value"},
        {"\"model_type\": \"llama\", \"num_key_value_heads\": 8", ERR_FORMAT, "key/value"},
        {"\"model_type\": \"llama\", \"head_dim\": 15", ERR_FORMAT, "odd"},
        {"\"model_type\": \"llama\", \"head_dim\": 0", ERR_FORMAT, "head_dim"},
        {"\"model_type\": \"llama\", \"num_attention_heads\": 64", ERR_FORMAT, "head"},
        {"\"model_type\": \"llama\", \"vocab_size\": 99999999999", ERR_FORMAT, "vocab_size"},
        {"\"model_type\": \"llama\", \"rms_norm_eps\": 0", ERR_FORMAT, "epsilon"},
        {"\"model_type\": \"llama\", \"rms_norm_eps\": \"tiny\"", ERR_FORMAT, "rms_norm_eps"},
        {"\"model_type\": \"llama\", \"initializer_range\": -1", ERR_FORMAT, "initializer_range"},
        {"\"model_type\": \"llama\", \"hidden_act\": \"gelu\"", ERR_UNSUPPORTED, "gelu"},
        {"\"model_type\": \"llama\", \"attention_bias\": 1", ERR_FORMAT, "attention_bias"},
        {"\"model_type\": \"qwen2\", \"use_sliding_window\": true", ERR_UNSUPPORTED,
         "sliding_window"},
        {"\"model_type\": \"qwen2\", \"layer_types\": [\"full_attention\", \"sliding_attention\"]",
         ERR_UNSUPPORTED, "sliding_attention"},
        {"\"model_type\": \"qwen2\", \"partial_rotary_factor\": 0.5", ERR_UNSUPPORTED,
         "partial_rotary_factor"},
        {"\"model_type\": \"llama\", \"rope_theta\": 0", ERR_FORMAT, "theta"},
        {"\"model_type\": \"llama\", \"rope_theta\": -1e4", ERR_FORMAT, "theta"},
        {"\"model_type\": \"llama\", \"rope_scaling\": [2]", ERR_FORMAT, "rope_scaling"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}",
         ERR_UNSUPPORTED, "dynamic"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"rope_type\": \"longrope\"}",
         ERR_UNSUPPORTED, "longrope"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"linear\"}", ERR_FORMAT,
         "factor"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}",
         ERR_FORMAT, "factor"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2,"
         "\"beta_fast\": -1}",
         ERR_FORMAT, "beta_fast"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}",
         ERR_FORMAT, "original_max_position_embeddings"},
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8,"
         "\"original_max_position_embeddings\": 8192, \"low_freq_factor\": 4,"
         "\"high_freq_factor\": 4}",
         ERR_FORMAT, "freq_factor"},
        {"\"model_type\": \"llama\", \"hidden_size\": 1048576, \"intermediate_size\": 1048576,"
         "\"num_attention_heads\": 1048576, \"num_key_value_heads\": 1048576,"
         "\"head_dim\": 1048576, \"num_hidden_layers\": 4096",
         ERR_FORMAT, "parameters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct student_config c;
        struct err e = {0};
        err_code rc = parse_with(cases[i].change, &c, &e);
        if (rc != cases[i].code || !strstr(e.msg, cases[i].says) || !strstr(e.msg, "config.json"))
            fail_msg("%s\n gave %d (%s), expected %d with \"%s\"", cases[i].change, rc, e.msg,
                     cases[i].code, cases[i].says);
    }
}

static void test_taken(void **state)
{
    (void)state;
    struct student_config c;
    struct err e = {0};
    check(parse_with("\"model_type\": \"qwen2\", \"rope_scaling\": null", &c, &e), &e);
    assert_true(c.qkv_bias && !c.o_bias && !c.tied && c.head_dim == 16 && c.rope.theta == 10000);
    check(parse_with("\"model_type\": \"llama\", \"attention_bias\": true", &c, &e), &e);
    assert_true(c.qkv_bias && c.o_bias && !c.mlp_bias);
    check(parse_with("\"model_type\": \"qwen3\"", &c, &e), &e);
    assert_true(!c.qkv_bias && c.qk_norm && c.head_dim == 128);
    check(parse_with("\"model_type\": \"llama\", \"rope_parameters\": {\"rope_type\": \"default\","
                     "\"rope_theta\": 5e5}",
                     &c, &e),
          &e);
    assert_true(c.rope.theta == 5e5 && c.rope.type == STUDENT_ROPE_DEFAULT);
    check(parse_with("\"model_type\": \"llama\", \"rope_theta\": 5e5, \"rope_scaling\":"
                     "{\"type\": \"yarn\", \"factor\": 4}",
                     &c, &e),
          &e);
    assert_true(c.rope.type == STUDENT_ROPE_YARN && c.rope.original_max_positions == 128);
    float freq[8], scale;
    student_rope_freqs(&c, freq, &scale);
    assert_true(fabs(scale - (0.1 * log(4) + 1)) < 1e-6);
}

/* A directory whose tensors do not fit its config, or a config alone that no memory holds. */
static void test_open_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct student *s = NULL;
    struct lm *lm = NULL;
    char dir[] = "/tmp/decant-config-XXXXXX", path[300], tensors[300], text[2000];
    assert_non_null(mkdtemp(dir));
    check(device_open("cpu", 1, &d, &e), &e);
    snprintf(path, sizeof path, "%s/config.json", dir);
    snprintf(tensors, sizeof tensors, "%s/model.safetensors", dir);
    check(file_copy("tests/vectors/student/qwen3/model.safetensors", tensors, &e), &e);
    snprintf(text, sizeof text, "{\"model_type\": \"qwen3\", %s}", base);
    check(file_replace(path, text, strlen(text), &e), &e);
    assert_int_equal(student_lm_open(dir, d, &lm, &e), ERR_FORMAT); /* other shapes */
    assert_non_null(strstr(e.msg, "embed_tokens"));
    assert_int_equal(student_open(dir, d, 0, &s, &e), ERR_FORMAT);
    snprintf(text, sizeof text,
             "{\"model_type\": \"qwen2\", \"hidden_size\": 131072, \"num_hidden_layers\": 200,"
             "\"num_attention_heads\": 1024, \"intermediate_size\": 524288,"
             "\"vocab_size\": 100}");
    check(file_replace(path, text, strlen(text), &e), &e);
    assert_int_equal(student_open(path, d, 0, &s, &e), ERR_NOMEM);
    assert_non_null(strstr(e.msg, "GB"));
    assert_int_equal(student_open(dir, d, 0, &s, &e), ERR_FORMAT);
    assert_int_equal(student_lm_open(dir, d, &lm, &e), ERR_FORMAT);
    assert_int_equal(
        student_open("tests/vectors/student/llama-headdim-llama3/model.gguf", d, 0, &s, &e),
        ERR_FORMAT);
    assert_int_equal(student_open("/nowhere/at-all.json", d, 0, &s, &e), ERR_NOTFOUND);
    assert_null(s);
    assert_null(lm);
    device_close(d);
    check(file_remove_tree(dir, &e), &e);
}

/* Any cut or changed byte of a real config: an error or a sound config, never a crash. */
static void test_mutations(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err e = {0};
    check(file_read("tests/vectors/student/llama-headdim-llama3/config.json", 1 << 16, &text, &e),
          &e);
    char *copy = test_calloc(text.len + 1, 1);
    static const char marks[] = "-9e0\"{[,:";
    for (size_t i = 0; i < text.len; i++) {
        struct student_config c;
        float freq[8], scale;
        memcpy(copy, text.data, text.len + 1);
        copy[i] = marks[i % (sizeof marks - 1)];
        if (!parse(copy, &c, &e) && c.head_dim <= 16)
            student_rope_freqs(&c, freq, &scale);
        copy[i] = 0;
        parse(copy, &c, &e);
    }
    test_free(copy);
    buf_dispose(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
