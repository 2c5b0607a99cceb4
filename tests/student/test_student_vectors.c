/* Against HF transformers: logits of the lm (prefill, and one token at a time) and of the trainable
 * student, loss and every gradient, on both devices. */
#include "tests/student/student_vectors.h"

static void lm_logits(struct lm *lm, const int32_t *doc, int64_t n, int64_t step, float *out)
{
    struct err e = {0};
    struct lm_seq *s;
    check(lm_seq_open(lm, n, &s, &e), &e);
    for (int64_t i = 0; i < n; i += step) {
        int64_t m = n - i < step ? n - i : step;
        struct lm_item it = {.seq = s, .tokens = doc + i, .n_tokens = m, .logits = LM_ALL};
        check(lm_forward(lm, &it, 1, out + i * lm->n_vocab, &e), &e);
    }
    lm_seq_close(s);
}

static void check_lm(const char *path, const struct vectors *v, struct device *d)
{
    struct err e = {0};
    struct lm *lm;
    check(student_lm_open(path, d, &lm, &e), &e);
    for (int j = 0; j < 2; j++) {
        char name[32];
        int64_t n, n_prompt;
        const int32_t *doc = vectors_doc(v, j, &n, &n_prompt);
        snprintf(name, sizeof name, "logits%d", j);
        struct tensor want = vectors_get(v, name);
        size_t bytes = (size_t)(n * lm->n_vocab) * sizeof(float);
        float *all = test_malloc(bytes), *one = test_malloc(bytes), *three = test_malloc(bytes);
        lm_logits(lm, doc, n, n, all);
        lm_logits(lm, doc, n, 1, one);
        lm_logits(lm, doc, n, 3, three);
        assert_close(all, &want, 1e-5, path);
        assert_memory_equal(all, one, bytes);
        assert_memory_equal(all, three, bytes);
        test_free(all);
        test_free(one);
        test_free(three);
    }
    lm_close(lm);
}

/* Two sequences and a fork in one call give the bits that each gives alone. */
static void check_lm_batched(const char *path, const struct vectors *v, struct device *d)
{
    struct err e = {0};
    struct lm *lm;
    check(student_lm_open(path, d, &lm, &e), &e);
    int64_t n0, n1, p;
    const int32_t *a = vectors_doc(v, 0, &n0, &p), *b = vectors_doc(v, 1, &n1, &p);
    int64_t V = lm->n_vocab;
    float *alone = test_calloc((size_t)(2 * V), sizeof(float));
    float *both = test_calloc((size_t)(3 * V), sizeof(float));
    float *rows = test_calloc((size_t)(n0 * V), sizeof(float));
    lm_logits(lm, a, n0, n0, rows);
    memcpy(alone, rows + (n0 - 1) * V, (size_t)V * sizeof(float));
    lm_logits(lm, b, n1, n1, rows);
    memcpy(alone + V, rows + (n1 - 1) * V, (size_t)V * sizeof(float));
    struct lm_seq *s[3];
    check(lm_seq_open(lm, n0, &s[0], &e), &e);
    check(lm_seq_open(lm, n1, &s[1], &e), &e);
    struct lm_item it[3] = {{s[0], a, 5, LM_NONE}, {s[1], b, n1 - 1, LM_LAST}};
    check(lm_forward(lm, it, 2, both, &e), &e);
    check(lm_seq_fork(s[0], &s[2], &e), &e);
    it[0] = (struct lm_item){s[0], a + 5, n0 - 5, LM_LAST};
    it[1] = (struct lm_item){s[1], b + n1 - 1, 1, LM_LAST};
    it[2] = (struct lm_item){s[2], a + 5, n0 - 5, LM_LAST};
    check(lm_forward(lm, it, 3, both, &e), &e);
    assert_memory_equal(both, alone, (size_t)(2 * V) * sizeof(float));
    assert_memory_equal(both + 2 * V, alone, (size_t)V * sizeof(float));
    lm_seq_truncate(s[0], 5);
    it[0].n_tokens = n0 - 5;
    check(lm_forward(lm, it, 1, both, &e), &e);
    assert_memory_equal(both, alone, (size_t)V * sizeof(float));
    for (int i = 0; i < 3; i++)
        lm_seq_close(s[i]);
    test_free(alone);
    test_free(both);
    test_free(rows);
    lm_close(lm);
}

static void check_train(const struct vectors *v, struct device *d, int64_t n_recompute)
{
    struct err e = {0};
    struct student *s;
    struct batch b;
    vectors_batch(v, &b);
    check(student_open(v->dir, d, 0, &s, &e), &e);
    struct student_options o = {.max_tokens = 40, .train = true, .n_recompute = n_recompute};
    check(student_reserve(s, &o, &e), &e);
    int64_t V = s->config.n_vocab, n0, p;
    vectors_doc(v, 0, &n0, &p);
    float *logits = test_calloc((size_t)(b.n_tokens * V), sizeof(float));
    check(student_logits(s, &b, logits, &e), &e);
    struct tensor want = vectors_get(v, "logits0");
    assert_close(logits, &want, 1e-5, "trainable logits, first document");
    want = vectors_get(v, "logits1");
    assert_close(logits + n0 * V, &want, 1e-5, "trainable logits, second document");
    test_free(logits);

    double loss = 0, again = 0;
    check(student_backward(s, &b, 1.0f / (float)b.n_valid, &loss, &e), &e);
    check(student_loss(s, &b, &again, &e), &e);
    assert_true(loss == again);
    want = vectors_get(v, "loss");
    float mean = (float)(loss / (double)b.n_valid);
    assert_close(&mean, &want, 2e-6, "loss");
    for (int64_t i = 0; i < s->layout.n_slots; i++) {
        char name[128];
        snprintf(name, sizeof name, "grad.%s", s->layout.slots[i].name);
        want = vectors_get(v, name);
        assert_close(s->grads + s->layout.slots[i].offset, &want, 2e-5, name);
    }
    batch_dispose(&b);
    student_close(s);
}

static void on_device(const char *name)
{
    struct err e = {0};
    struct device *d;
    check(device_open(name, 2, &d, &e), &e);
    for (int i = 0; i < N_VECTOR_MODELS; i++) {
        struct vectors v;
        vectors_open(&v, vector_models[i]);
        check_lm(v.dir, &v, d);
        check_lm_batched(v.dir, &v, d);
        check_train(&v, d, 0);
        check_train(&v, d, 1);
        check_train(&v, d, 99);
        st_close(&v.file);
    }
    device_close(d);
}

static void test_cpu(void **state)
{
    (void)state;
    on_device("cpu");
}

static void test_ref(void **state)
{
    (void)state;
    on_device("ref");
}

/* A GGUF Llama has its q and k rows permuted and its rope scaling as a table. */
static void test_gguf(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct vectors v;
    check(device_open("cpu", 2, &d, &e), &e);
    vectors_open(&v, "llama-headdim-llama3");
    check_lm("tests/vectors/student/llama-headdim-llama3/model.gguf", &v, d);
    st_close(&v.file);
    device_close(d);
}

/* The comparison itself must be able to fail. */
static void test_broken_vector_fails(void **state)
{
    (void)state;
    struct vectors v;
    vectors_open(&v, "qwen3");
    struct tensor want = vectors_get(&v, "logits0");
    const float *w = want.data;
    double max = 0;
    for (int64_t i = 0; i < tensor_n(&want); i++)
        max = fmax(max, fabs((double)w[i]));
    /* what a wrong position or a forgotten bias changes is far above the tolerance */
    assert_true(max > 0.5);
    struct err e = {0};
    struct device *d;
    struct lm *lm;
    check(device_open("ref", 1, &d, &e), &e);
    check(student_lm_open(v.dir, d, &lm, &e), &e);
    int64_t n, p;
    const int32_t *doc = vectors_doc(&v, 0, &n, &p);
    int32_t changed[32];
    memcpy(changed, doc, (size_t)n * sizeof *doc);
    changed[0] = (changed[0] + 1) % (int32_t)lm->n_vocab;
    float *got = test_calloc((size_t)(n * lm->n_vocab), sizeof(float));
    lm_logits(lm, changed, n, n, got);
    double worst = 0;
    for (int64_t i = 0; i < tensor_n(&want); i++)
        worst = fmax(worst, fabs((double)got[i] - (double)w[i]));
    assert_true(worst > 1e-2 * max);
    test_free(got);
    lm_close(lm);
    device_close(d);
    st_close(&v.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_broken_vector_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
