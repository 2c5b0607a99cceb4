/* The teacher against HF transformers: tests/vectors/teacher/make.py. */
#include "tests/teacher/common.h"

#include "core/format/weights.h"
#include "teacher/mtp.h"

/* float32 over three layers: transformers itself differs by about 1e-6 between its own forms. */
#define TOLERANCE 2e-5

static const char *const cases[] = {"v3-yarn-mtp", "v3-qproj",  "v3-fp8",
                                    "v3-ties",     "v2-groups", "v2-greedy",
                                    "v2-norm",     "v3-bias",   "v3-dense-mtp"};
enum { N_CASES = sizeof cases / sizeof *cases };

static void check_forms(struct model *m, const char *name, const char *device, size_t n_cuts)
{
    float *got = mem_new((size_t)(m->n * m->V), sizeof *got, NULL);
    const int64_t cuts[] = {m->n, 1, 5};
    for (int form = 0; form < 2; form++)
        for (size_t i = 0; i < n_cuts; i++) {
            teacher_set_form(m->lm, form ? MLA_EXPANDED : MLA_ABSORBED);
            struct lm_seq *s = seq_new(m->lm);
            feed(m->lm, s, m->tokens, m->n, cuts[i], got);
            lm_seq_close(s);
            double d = distance(got, m->logits, m->n * m->V);
            if (!(d <= TOLERANCE))
                fail_msg("%s on %s, %s, %lld tokens a call: distance %g", name, device,
                         form ? "expanded" : "absorbed", (long long)cuts[i], d);
        }
    mem_free(got);
}

static void test_logits(void **state)
{
    (void)state;
    const char *const devices[] = {"cpu", "ref"};
    for (int i = 0; i < N_CASES; i++)
        for (int j = 0; j < 2; j++) {
            struct model m;
            model_open(&m, cases[i], devices[j]);
            check_forms(&m, cases[i], devices[j], j ? 1 : 3);
            model_close(&m);
        }
}

/* The comparison itself notices a wrong model: one token changed, everything after it moves. */
static void test_a_wrong_vector_fails(void **state)
{
    (void)state;
    struct model m;
    model_open(&m, "v3-yarn-mtp", "cpu");
    float *got = mem_new((size_t)(m.n * m.V), sizeof *got, NULL);
    int32_t *tokens = mem_new((size_t)m.n, sizeof *tokens, NULL);
    memcpy(tokens, m.tokens, (size_t)m.n * sizeof *tokens);
    tokens[3] = (tokens[3] + 1) % (int32_t)m.V;
    struct lm_seq *s = seq_new(m.lm);
    feed(m.lm, s, tokens, m.n, m.n, got);
    assert_true(distance(got, m.logits, 3 * m.V) <= TOLERANCE);
    for (int64_t t = 3; t < m.n; t++)
        assert_true(distance(got + t * m.V, m.logits + t * m.V, m.V) > 50 * TOLERANCE);
    lm_seq_close(s);
    mem_free(tokens);
    mem_free(got);
    model_close(&m);
}

static void test_hidden_and_mtp(void **state)
{
    (void)state;
    const char *const with[] = {"v3-yarn-mtp", "v3-fp8", "v3-dense-mtp"};
    struct err err = {0};
    for (int i = 0; i < 3; i++) {
        struct model m;
        model_open(&m, with[i], "cpu");
        assert_true(teacher_has_mtp(m.lm));
        int64_t C = teacher_config_of(m.lm)->n_hidden, n = m.n - 1;
        struct tensor want = st_tensor(&m.expected, "mtp_logits");
        struct tensor states = st_tensor(&m.expected, "hidden");
        float *hidden = mem_new((size_t)(m.n * C), sizeof *hidden, NULL);
        float *got = mem_new((size_t)(n * m.V), sizeof *got, NULL);
        struct lm_seq *s = seq_new(m.lm), *step = seq_new(m.lm);
        struct lm_item it = {.seq = s, .tokens = m.tokens, .n_tokens = m.n, .logits = LM_NONE};
        assert_ok(teacher_forward_hidden(m.lm, &it, 1, NULL, hidden, &err));
        assert_near(hidden, states.data, m.n * C, TOLERANCE);

        struct mtp_item mi = {.seq = s, .hidden = hidden, .next = m.tokens + 1, .n = n};
        assert_ok(teacher_mtp_forward(m.lm, &mi, 1, got, &err));
        assert_near(got, want.data, n * m.V, TOLERANCE);

        /* in two calls, and again after a truncation */
        struct mtp_item a = {.seq = step, .hidden = hidden, .next = m.tokens + 1, .n = 10}, b = a;
        b.hidden += 10 * C;
        b.next += 10;
        b.n = n - 10;
        float *again = mem_new((size_t)(n * m.V), sizeof *again, NULL);
        it.seq = step;
        assert_ok(lm_forward(m.lm, &it, 1, NULL, &err));
        assert_ok(teacher_mtp_forward(m.lm, &a, 1, again, &err));
        assert_ok(teacher_mtp_forward(m.lm, &b, 1, again + 10 * m.V, &err));
        assert_same_bits(again, got, n * m.V);
        assert_int_equal(teacher_mtp_forward(m.lm, &b, 1, again, &err), ERR_USAGE);
        lm_seq_truncate(step, 10);
        it = (struct lm_item){.seq = step, .tokens = m.tokens + 10, .n_tokens = m.n - 10};
        assert_ok(lm_forward(m.lm, &it, 1, NULL, &err));
        memset(again, 0, (size_t)(n * m.V) * sizeof *again);
        assert_ok(teacher_mtp_forward(m.lm, &b, 1, again, &err));
        assert_same_bits(again, got + 10 * m.V, (n - 10) * m.V);
        mem_free(again);
        lm_seq_close(step);
        lm_seq_close(s);
        mem_free(got);
        mem_free(hidden);
        model_close(&m);
    }
}

static void test_fp8_values(void **state)
{
    (void)state;
    struct err err = {0};
    struct weights *w;
    struct model m;
    const char *const names[] = {"model.layers.0.self_attn.kv_b_proj",
                                 "model.layers.0.mlp.down_proj"};
    model_open(&m, "v3-fp8", "ref");
    assert_ok(weights_open(VECTORS "/v3-fp8", &w, &err));
    for (int i = 0; i < 2; i++) {
        char name[128];
        struct tensor t;
        float row[256];
        snprintf(name, sizeof name, "dequantized.%s", names[i]);
        struct tensor want = st_tensor(&m.expected, name);
        snprintf(name, sizeof name, "%s.weight", names[i]);
        assert_ok(weights_get(w, name, 0, NULL, &t, &err));
        assert_int_equal(t.dtype, DT_F8_E4M3);
        assert_int_equal(tensor_rows(&t), tensor_rows(&want));
        assert_true(tensor_cols(&t) <= 256);
        for (int64_t r = 0; r < tensor_rows(&t); r++) {
            tensor_row_f32(&t, r, row);
            assert_same_bits(row, tensor_row(&want, r), tensor_cols(&t));
            struct tensor v = tensor_rows_view(&t, r, 1); /* as absorption takes heads */
            tensor_row_f32(&v, 0, row);
            assert_same_bits(row, tensor_row(&want, r), tensor_cols(&t));
        }
    }
    weights_close(w);
    model_close(&m);
}

static void test_counts(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        struct model m;
        struct safetensors s;
        struct err err = {0};
        char path[256], mtp[64];
        model_open(&m, cases[i], "ref");
        snprintf(path, sizeof path, VECTORS "/%s/model.safetensors", cases[i]);
        snprintf(mtp, sizeof mtp, "model.layers.%lld.",
                 (long long)teacher_config_of(m.lm)->n_layers);
        assert_ok(st_open(&s, path, &err));
        int64_t n = 0, bytes = 0;
        for (int64_t j = 0; j < s.n_entries; j++) {
            if (!strncmp(s.entries[j].name, mtp, strlen(mtp)))
                continue;
            bytes += (int64_t)tensor_bytes(&s.entries[j].tensor);
            if (!strstr(s.entries[j].name, "_scale_inv"))
                n += tensor_n(&s.entries[j].tensor);
        }
        assert_int_equal(m.lm->n_params, n);
        assert_int_equal(m.lm->n_bytes, bytes);
        st_close(&s);
        model_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),         cmocka_unit_test(test_a_wrong_vector_fails),
        cmocka_unit_test(test_hidden_and_mtp), cmocka_unit_test(test_fp8_values),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
