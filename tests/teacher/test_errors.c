/* Broken checkpoints: the error names the file and the tensor. */
#include "tests/teacher/common.h"

#include "core/base/file.h"

#include <stdlib.h>

/* What to do to one tensor of a copied checkpoint. */
enum harm { HARM_NONE, HARM_DROP, HARM_SHAPE, HARM_DTYPE, HARM_TRUNCATE, HARM_NAN };

static void copy_tensors(const char *from, const char *to, const char *victim, enum harm harm)
{
    struct err err = {0};
    struct safetensors s;
    struct st_writer *w;
    assert_ok(st_open(&s, from, &err));
    assert_ok(st_writer_open(&w, to, &err));
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < s.n_entries; i++) {
            struct tensor t = s.entries[i].tensor;
            bool hit = !strcmp(s.entries[i].name, victim);
            if (hit && harm == HARM_DROP)
                continue;
            if (hit && harm == HARM_SHAPE)
                t.shape[0]--;
            if (hit && harm == HARM_DTYPE)
                t.dtype = DT_I32;
            t.ld = tensor_cols(&t);
            float row[256];
            if (hit && harm == HARM_NAN) { /* its last number */
                assert_true(t.dtype == DT_F32 && tensor_bytes(&t) <= sizeof row);
                memcpy(row, t.data, tensor_bytes(&t));
                row[tensor_n(&t) - 1] = NAN;
                t.data = row;
            }
            if (pass)
                assert_ok(st_write(w, t.data, tensor_bytes(&t), &err));
            else
                assert_ok(st_add_tensor(w, s.entries[i].name, t.dtype, t.n_dims, t.shape, &err));
        }
        if (!pass)
            assert_ok(st_begin_data(w, &err));
    }
    assert_ok(st_commit(w, &err));
    st_writer_close(w);
    st_close(&s);
}

static bool all_nan(struct lm *lm)
{
    float *logits = mem_new((size_t)(6 * lm->n_vocab), sizeof *logits, NULL);
    struct lm_seq *s = seq_new(lm);
    feed(lm, s, (int32_t[]){3, 9, 1, 27, 60, 5}, 6, 4, logits);
    bool all = true;
    for (int64_t i = 0; i < 6 * lm->n_vocab; i++)
        all = all && isnan(logits[i]);
    lm_seq_close(s);
    mem_free(logits);
    return all;
}

/* Opens a harmed copy of a vector model; the error text is left in err. */
static err_code open_harmed(const char *name, const char *victim, enum harm harm, struct err *err_)
{
    struct err err = {0};
    char dir[] = "/tmp/decant-teacher-XXXXXX", from[256], to[256];
    struct device *d;
    struct lm *lm = NULL;
    assert_non_null(mkdtemp(dir));
    snprintf(from, sizeof from, VECTORS "/%s/config.json", name);
    snprintf(to, sizeof to, "%s/config.json", dir);
    assert_ok(file_copy(from, to, &err));
    snprintf(from, sizeof from, VECTORS "/%s/model.safetensors", name);
    snprintf(to, sizeof to, "%s/model.safetensors", dir);
    if (harm == HARM_TRUNCATE) {
        struct file_map map;
        assert_ok(file_map_open(&map, from, &err));
        assert_ok(file_replace(to, map.data, map.size - 100, &err));
        file_map_close(&map);
    } else {
        copy_tensors(from, to, victim, harm);
    }
    assert_ok(device_open("cpu", 1, &d, &err));
    err_code rc = teacher_open(dir, d, &lm, err_);
    assert_true(rc ? lm == NULL : lm != NULL);
    if (harm == HARM_NAN)
        assert_true(all_nan(lm));
    lm_close(lm);
    device_close(d);
    assert_ok(file_remove_tree(dir, &err));
    return rc;
}

static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *model, *tensor;
        enum harm harm;
        const char *says;
    } cases[] = {
        {"v3-yarn-mtp", "", HARM_NONE, NULL},
        {"v3-yarn-mtp", "model.embed_tokens.weight", HARM_DROP, NULL},
        {"v3-yarn-mtp", "lm_head.weight", HARM_SHAPE, NULL},
        {"v3-yarn-mtp", "model.norm.weight", HARM_SHAPE, NULL},
        {"v3-yarn-mtp", "model.layers.1.self_attn.kv_b_proj.weight", HARM_DROP, NULL},
        {"v3-yarn-mtp", "model.layers.1.self_attn.q_a_layernorm.weight", HARM_DROP, NULL},
        {"v3-yarn-mtp", "model.layers.2.mlp.gate.e_score_correction_bias", HARM_DROP, NULL},
        {"v3-yarn-mtp", "model.layers.2.mlp.experts.7.up_proj.weight", HARM_DROP, NULL},
        {"v3-yarn-mtp", "model.layers.2.mlp.experts.11.down_proj.weight", HARM_SHAPE, NULL},
        {"v3-yarn-mtp", "model.layers.2.mlp.shared_experts.gate_proj.weight", HARM_DTYPE, NULL},
        {"v3-yarn-mtp", "model.layers.0.input_layernorm.weight", HARM_DTYPE, NULL},
        {"v3-yarn-mtp", "model.layers.3.hnorm.weight", HARM_DROP, NULL},
        {"v3-yarn-mtp", "model.layers.3.mlp.gate.weight", HARM_SHAPE, NULL},
        {"v3-fp8", "model.layers.0.self_attn.o_proj.weight_scale_inv", HARM_DROP, NULL},
        {"v3-fp8", "model.layers.0.mlp.gate_proj.weight_scale_inv", HARM_SHAPE, NULL},
        {"v3-fp8", "model.layers.1.mlp.experts.0.up_proj.weight_scale_inv", HARM_DTYPE, NULL},
        {"v3-fp8", "", HARM_TRUNCATE, "model.safetensors"},
        {"v2-groups", "model.layers.0.self_attn.q_proj.weight", HARM_DROP, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        err_code rc = open_harmed(cases[i].model, cases[i].tensor, cases[i].harm, &err);
        const char *says = cases[i].says ? cases[i].says : cases[i].tensor;
        if (cases[i].harm == HARM_NONE) {
            assert_int_equal(rc, ERR_OK);
            continue;
        }
        assert_int_not_equal(rc, ERR_OK);
        if (!strstr(err.msg, says) || !strstr(err.msg, "/tmp/decant-teacher-"))
            fail_msg("\"%s\" does not name the file and %s", err.msg, says);
    }
}

/* The router's NaN is of an expert that loses to others: it has to reach the logits, where sampling
 * finds it. */
static void test_nan_in_a_router(void **state)
{
    (void)state;
    struct err err = {0};
    assert_ok(open_harmed("v3-yarn-mtp", "model.layers.2.mlp.gate.weight", HARM_NAN, &err));
    assert_ok(open_harmed("v3-yarn-mtp", "model.layers.2.mlp.gate.e_score_correction_bias",
                          HARM_NAN, &err));
}

static void test_not_a_teacher(void **state)
{
    (void)state;
    struct err err = {0};
    struct device *d;
    struct lm *lm;
    assert_ok(device_open("cpu", 1, &d, &err));
    assert_int_not_equal(teacher_open("/nowhere/at/all", d, &lm, &err), ERR_OK);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    assert_int_not_equal(teacher_open(VECTORS "/v3-ties/model.safetensors", d, &lm, &err), ERR_OK);
    assert_non_null(strstr(err.msg, "config.json"));
    assert_null(lm);
    device_close(d);
}

static void test_arguments(void **state)
{
    (void)state;
    struct model m;
    struct err err = {0};
    struct lm_seq *s;
    float *logits;
    model_open(&m, "v2-greedy", "cpu");
    logits = mem_new((size_t)(m.n * m.V), sizeof *logits, NULL);
    assert_int_equal(lm_seq_open(m.lm, m.lm->max_context + 1, &s, &err), ERR_USAGE);
    assert_ok(lm_seq_open(m.lm, 4, &s, &err));
    struct lm_item it = {.seq = s, .tokens = m.tokens, .n_tokens = 5, .logits = LM_ALL};
    assert_int_equal(lm_forward(m.lm, &it, 1, logits, &err), ERR_USAGE);
    it.tokens = (int32_t[]){1, (int32_t)m.V};
    it.n_tokens = 2;
    assert_int_equal(lm_forward(m.lm, &it, 1, logits, &err), ERR_USAGE);
    assert_int_equal(s->n_tokens, 0);
    it.tokens = m.tokens;
    it.n_tokens = 4;
    assert_ok(lm_forward(m.lm, &it, 1, logits, &err));
    assert_near(logits, m.logits, 4 * m.V, 2e-5);
    struct mtp_item mi = {.seq = s, .hidden = logits, .next = m.tokens, .n = 1};
    assert_false(teacher_has_mtp(m.lm));
    assert_int_equal(teacher_mtp_forward(m.lm, &mi, 1, logits, &err), ERR_USAGE);
    lm_seq_close(s);
    mem_free(logits);
    model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_nan_in_a_router),
        cmocka_unit_test(test_not_a_teacher),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
