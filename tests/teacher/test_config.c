/* config.json: what is read, what is refused, and rotary frequencies against transformers. */
#include "tests/teacher/common.h"

static const char GOOD[] =
    "{\"model_type\":\"deepseek_v3\",\"vocab_size\":129280,\"hidden_size\":7168,"
    "\"intermediate_size\":18432,\"moe_intermediate_size\":2048,\"num_hidden_layers\":61,"
    "\"num_attention_heads\":128,\"num_key_value_heads\":128,\"n_shared_experts\":1,"
    "\"n_routed_experts\":256,\"routed_scaling_factor\":2.5,\"kv_lora_rank\":512,"
    "\"q_lora_rank\":1536,\"qk_rope_head_dim\":64,\"v_head_dim\":128,\"qk_nope_head_dim\":128,"
    "\"n_group\":8,\"topk_group\":4,\"num_experts_per_tok\":8,\"first_k_dense_replace\":3,"
    "\"moe_layer_freq\":1,\"norm_topk_prob\":true,\"scoring_func\":\"sigmoid\","
    "\"topk_method\":\"noaux_tc\",\"max_position_embeddings\":163840,\"rms_norm_eps\":1e-06,"
    "\"num_nextn_predict_layers\":1,\"hidden_act\":\"silu\",\"attention_bias\":false,"
    "\"tie_word_embeddings\":false,\"rope_theta\":10000,\"rope_scaling\":{\"type\":\"yarn\","
    "\"factor\":40,\"original_max_position_embeddings\":4096,\"beta_fast\":32,\"beta_slow\":1,"
    "\"mscale\":1.0,\"mscale_all_dim\":1.0},\"quantization_config\":{\"quant_method\":\"fp8\","
    "\"fmt\":\"e4m3\",\"weight_block_size\":[128,128]}}";

/* Reads GOOD with `key` (dotted) replaced by the JSON text `value`; value NULL: key removed. */
static err_code read_with(struct teacher_config *c, const char *key, const char *value,
                          struct err *e)
{
    struct json j;
    assert_int_equal(json_parse(&j, "config.json", GOOD, strlen(GOOD), e), ERR_OK);
    if (key) {
        const char *dot = strchr(key, '.'), *leaf = dot ? dot + 1 : key;
        char parent[64];
        snprintf(parent, sizeof parent, "%.*s", (int)(dot ? dot - key : 0), key);
        cJSON *at = dot ? cJSON_GetObjectItemCaseSensitive(j.root, parent) : j.root;
        cJSON_DeleteItemFromObjectCaseSensitive(at, leaf);
        if (value) {
            cJSON *v = cJSON_Parse(value);
            assert_non_null(v);
            cJSON_AddItemToObject(at, leaf, v);
        }
    }
    err_code rc = teacher_config_read(c, &j, e);
    json_close(&j);
    return rc;
}

static void test_r1(void **state)
{
    (void)state;
    struct teacher_config c;
    struct err err = {0};
    assert_ok(read_with(&c, NULL, NULL, &err));
    assert_string_equal(c.arch, "deepseek_v3");
    assert_int_equal(c.n_hidden, 7168);
    assert_int_equal(c.q_rank, 1536);
    assert_int_equal(c.n_experts, 256);
    assert_int_equal(c.topk_group, 4);
    assert_int_equal(c.n_mtp, 1);
    assert_true(c.sigmoid && c.noaux && c.norm_topk && c.rope_interleaved && !c.tied);
    assert_true(c.yarn.on && c.yarn.factor == 40 && c.yarn.original_context == 4096);
    assert_ok(read_with(&c, "q_lora_rank", "null", &err));
    assert_int_equal(c.q_rank, 0);
    assert_ok(read_with(&c, "rope_scaling", "null", &err));
    assert_false(c.yarn.on);
    assert_ok(read_with(&c, "rope_parameters",
                        "{\"rope_type\":\"yarn\",\"rope_theta\":777,\"factor\":3,"
                        "\"original_max_position_embeddings\":100}",
                        &err));
    assert_true(c.yarn.on && c.yarn.theta == 777 && c.yarn.factor == 3 && c.yarn.mscale == 0);
    assert_ok(read_with(&c, "model_type", "\"deepseek_v3\"", &err));
    assert_ok(read_with(&c, "first_k_dense_replace", "61", &err)); /* all dense: no experts read */
    assert_int_equal(c.n_experts, 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } bad[] = {
        {"model_type", "\"llama\"", "llama"},
        {"model_type", "7", "model_type"},
        {"vocab_size", NULL, "vocab_size"},
        {"vocab_size", "0", "vocab_size"},
        {"vocab_size", "1e30", "vocab_size"},
        {"vocab_size", "1.5", "vocab_size"},
        {"hidden_size", "-1", "hidden_size"},
        {"hidden_size", "\"7168\"", "hidden_size"},
        {"num_hidden_layers", "9999999", "num_hidden_layers"},
        {"num_attention_heads", "4611686018427387904", "num_attention_heads"},
        {"num_key_value_heads", "8", "num_key_value_heads"},
        {"kv_lora_rank", "[]", "kv_lora_rank"},
        {"q_lora_rank", "0", "q_lora_rank"},
        {"qk_rope_head_dim", "63", "qk_rope_head_dim"},
        {"qk_rope_head_dim", "1000000", "qk_rope_head_dim"},
        {"v_head_dim", "{}", "v_head_dim"},
        {"first_k_dense_replace", "-3", "first_k_dense_replace"},
        {"n_routed_experts", "255", "n_group"},
        {"n_routed_experts", "8", "groups"},
        {"n_routed_experts", "2048", "n_routed_experts"}, /* more than routing has room for */
        {"topk_group", "9", "topk_group"},
        {"n_group", "0", "n_group"},
        {"num_experts_per_tok", "200", "num_experts_per_tok"},
        {"moe_layer_freq", "2", "moe_layer_freq"},
        {"scoring_func", "\"tanh\"", "tanh"},
        {"topk_method", "\"best\"", "best"},
        {"routed_scaling_factor", "0", "routed_scaling_factor"},
        {"routed_scaling_factor", "1e999", "routed_scaling_factor"},
        {"rms_norm_eps", "-1", "rms_norm_eps"},
        {"hidden_act", "\"gelu\"", "gelu"},
        {"attention_bias", "3", "attention_bias"},
        {"max_position_embeddings", "0", "max_position_embeddings"},
        {"rope_theta", "1", "rope_theta"},
        {"rope_scaling", "[1]", "rope_scaling"},
        {"rope_scaling.type", "\"linear\"", "linear"},
        {"rope_scaling.factor", NULL, "factor"},
        {"rope_scaling.factor", "0", "factor"},
        {"rope_scaling.factor", "-40", "factor"},
        {"rope_scaling.factor", "\"a\"", "factor"},
        {"rope_scaling.beta_slow", "0", "beta_slow"},
        {"rope_scaling.mscale", "-1", "mscale"},
        {"rope_scaling.original_max_position_embeddings", "0", "original_max_position"},
        {"quantization_config.quant_method", "\"awq\"", "awq"},
        {"quantization_config.fmt", "\"e5m2\"", "e5m2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct teacher_config c;
        struct err err = {0};
        err_code rc = read_with(&c, bad[i].key, bad[i].value, &err);
        if (!rc)
            fail_msg("%s = %s was accepted", bad[i].key, bad[i].value ? bad[i].value : "absent");
        if (!strstr(err.msg, bad[i].says) || !strstr(err.msg, "config.json"))
            fail_msg("%s: \"%s\" does not name config.json and %s", bad[i].key, err.msg,
                     bad[i].says);
    }
}

/* Every value of every key replaced by every kind of thing: an answer, never a crash. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const things[] = {"null",
                                         "true",
                                         "-1",
                                         "0",
                                         "1",
                                         "2",
                                         "1e308",
                                         "-1e308",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "0.5",
                                         "\"\"",
                                         "\"yarn\"",
                                         "[]",
                                         "[[]]",
                                         "{}",
                                         "{\"factor\":{}}"};
    struct json j;
    struct err err = {0};
    assert_ok(json_parse(&j, "good", GOOD, strlen(GOOD), &err));
    for (int nested = 0; nested < 3; nested++) {
        const char *inside[] = {NULL, "rope_scaling", "quantization_config"};
        const cJSON *from = nested ? json_at(j.root, inside[nested]) : j.root;
        for (const cJSON *k = from->child; k; k = k->next)
            for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
                struct teacher_config c;
                char key[128];
                snprintf(key, sizeof key, "%s%s%s", nested ? inside[nested] : "", nested ? "." : "",
                         k->string);
                err.msg[0] = 0;
                if (read_with(&c, key, things[i], &err))
                    assert_true(strlen(err.msg) > 10);
                else {
                    float f[TEACHER_MAX_HEAD_WIDTH / 2];
                    yarn_inv_freq(&c.yarn, c.d_rope, f);
                    for (int64_t n = 0; n < c.d_rope / 2; n++)
                        assert_true(isfinite(f[n]));
                    assert_true(isfinite(yarn_rope_scale(&c.yarn)));
                    assert_true(isfinite(yarn_score_scale(&c.yarn)));
                }
            }
    }
    json_close(&j);
}

static void test_yarn(void **state)
{
    (void)state;
    struct safetensors s;
    struct err err = {0};
    assert_ok(st_open(&s, VECTORS "/yarn.safetensors", &err));
    for (int i = 0; i < 4; i++) {
        char name[32];
        float got[64];
        snprintf(name, sizeof name, "%d.params", i);
        struct tensor t = st_tensor(&s, name);
        const float *p = t.data;
        struct yarn y = {.on = true, .theta = p[0], .factor = p[2], .original_context = p[3]};
        y.truncate = true;
        y.beta_fast = p[4];
        y.beta_slow = p[5];
        y.mscale = p[6];
        y.mscale_all_dim = p[7];
        y.attention_factor = p[8];
        snprintf(name, sizeof name, "%d.inv_freq", i);
        struct tensor want = st_tensor(&s, name);
        assert_int_equal(tensor_n(&want), (int64_t)p[1] / 2);
        yarn_inv_freq(&y, (int64_t)p[1], got);
        for (int64_t n = 0; n < tensor_n(&want); n++)
            assert_true(fabs(got[n] / ((const float *)want.data)[n] - 1) < 1e-6);
        snprintf(name, sizeof name, "%d.scales", i);
        struct tensor scales = st_tensor(&s, name);
        assert_true(fabs(yarn_rope_scale(&y) - ((const float *)scales.data)[0]) < 1e-6);
        assert_true(fabs(yarn_score_scale(&y) - ((const float *)scales.data)[1]) < 1e-6);
    }
    st_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_r1),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_yarn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
