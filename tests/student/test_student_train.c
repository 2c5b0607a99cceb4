/* Properties of the trainable student: gradients against finite differences, packing and
 * accumulation change nothing, saving and loading give the same bits. */
#include "tests/student/student_vectors.h"

#include "core/base/file.h"
#include "core/base/rng.h"

#include <unistd.h>

static struct student *open_student(const char *model, struct device *d, int64_t max_tokens)
{
    struct err e = {0};
    struct student *s;
    char dir[200];
    snprintf(dir, sizeof dir, "tests/vectors/student/%s", model);
    check(student_open(dir, d, 0, &s, &e), &e);
    check(
        student_reserve(s, &(struct student_options){.max_tokens = max_tokens, .train = true}, &e),
        &e);
    return s;
}

static double loss_now(struct student *s, const struct batch *b)
{
    struct err e = {0};
    double loss = 0;
    check(student_loss(s, b, &loss, &e), &e);
    return loss;
}

/* Along the gradient itself (where the loss rises fastest: an error in any large part of it shows)
 * and along random directions, in all parameters at once and in each tensor by itself: the central
 * difference of the loss must be the gradient's projection. Float32 losses carry noise of about
 * 1e-6 each, and the difference is over 2h: hence the tolerance. */
enum { ALONG_GRADIENT = 1000 }; /* a seed that stands for it */
static void check_direction(struct student *s, const struct batch *b, size_t first, size_t n,
                            uint64_t seed, const char *what)
{
    struct rng r = rng_make(seed, first, n);
    float *dir = test_calloc(n, sizeof *dir), *was = test_calloc(n, sizeof *was);
    double h = seed == ALONG_GRADIENT ? 2e-3 : 1e-2; /* uphill the loss bends more */
    double norm = 0, slope = 0;
    for (size_t i = 0; i < n; i++)
        norm +=
            pow(dir[i] = seed == ALONG_GRADIENT ? s->grads[first + i] : (float)rng_normal(&r), 2);
    norm = sqrt(norm);
    memcpy(was, s->params + first, n * sizeof *was);
    double f[2];
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < n; i++)
            s->params[first + i] = was[i] + (float)((k ? h : -h) * dir[i] / norm);
        f[k] = loss_now(s, b);
    }
    memcpy(s->params + first, was, n * sizeof *was);
    double size = 0;
    for (size_t i = 0; i < n; i++) {
        slope += (double)s->grads[first + i] * dir[i] / norm;
        size += pow(s->grads[first + i], 2);
    }
    double got = (f[1] - f[0]) / (2 * h), tol = 2e-3 * sqrt(size) + 2e-3;
    test_free(dir);
    test_free(was);
    if (!(fabs(got - slope) <= tol))
        fail_msg("%s: the loss rises by %g a unit, the gradient says %g (%g allowed)", what, got,
                 slope, tol);
}

static void test_finite_differences(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    check(device_open("cpu", 1, &d, &e), &e);
    for (int i = 0; i < N_VECTOR_MODELS; i++) {
        struct vectors v;
        struct batch b;
        vectors_open(&v, vector_models[i]);
        vectors_batch(&v, &b);
        for (int64_t t = 0; t < b.n_tokens; t += 3) /* weights other than 1 count too */
            b.weights[t] *= 0.5f;
        struct student *s = open_student(vector_models[i], d, 64);
        double loss = 0;
        check(student_backward(s, &b, 1, &loss, &e), &e);
        for (uint64_t k = 0; k < 4; k++)
            check_direction(s, &b, 0, s->n_params, k, "all parameters");
        check_direction(s, &b, 0, s->n_params, ALONG_GRADIENT, "all parameters, uphill");
        for (int64_t k = 0; k < s->layout.n_slots; k++) {
            const struct student_slot *p = &s->layout.slots[k];
            size_t n = (size_t)(p->shape[0] * p->shape[1]);
            check_direction(s, &b, p->offset, n, 7, p->name);
            check_direction(s, &b, p->offset, n, ALONG_GRADIENT, p->name);
        }
        student_close(s);
        batch_dispose(&b);
        st_close(&v.file);
    }
    device_close(d);
}

/* |a - b| <= tol * max|b| over the gradients. */
static void assert_same_grads(const struct student *a, const struct student *b, double tol)
{
    for (int64_t k = 0; k < a->layout.n_slots; k++) {
        const struct student_slot *p = &a->layout.slots[k];
        struct tensor want = tensor_1d(DT_F32, b->grads + p->offset, p->shape[0] * p->shape[1]);
        assert_close(a->grads + p->offset, &want, tol, p->name);
    }
}

static void random_doc(struct rng *r, int64_t V, int32_t *doc, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        doc[i] = (int32_t)rng_below(r, (uint64_t)V);
}

/* Five documents: packed in one batch, one at a time, and in two uneven micro-batches. */
static void packed_and_not(const char *model, struct device *d)
{
    enum { N = 5 };
    static const int64_t lengths[N] = {17, 3, 40, 9, 28};
    struct err e = {0};
    struct rng r = rng_make(5, 0, 0);
    int32_t docs[N][64];
    struct student *one = open_student(model, d, 128), *all = open_student(model, d, 128),
                   *two = open_student(model, d, 128);
    struct batch packed, b;
    check(batch_init(&packed, 128, &e), &e);
    check(batch_init(&b, 128, &e), &e);
    for (int i = 0; i < N; i++) {
        random_doc(&r, one->config.n_vocab, docs[i], lengths[i]);
        assert_true(batch_add(&packed, docs[i], lengths[i], 2));
    }
    float scale = 1.0f / (float)packed.n_valid;
    double loss_packed = 0, loss_one = 0, loss_two = 0;
    check(student_backward(all, &packed, scale, &loss_packed, &e), &e);
    for (int i = 0; i < N; i++) {
        batch_clear(&b);
        assert_true(batch_add(&b, docs[i], lengths[i], 2));
        check(student_backward(one, &b, scale, &loss_one, &e), &e);
    }
    for (int i = 0; i < N; i++) {
        if (i == 0 || i == 3)
            batch_clear(&b);
        assert_true(batch_add(&b, docs[i], lengths[i], 2));
        if (i == 2 || i == 4)
            check(student_backward(two, &b, scale, &loss_two, &e), &e);
    }
    assert_true(fabs(loss_packed - loss_one) < 1e-6 * loss_one);
    assert_true(fabs(loss_packed - loss_two) < 1e-6 * loss_two);
    assert_same_grads(all, one, 5e-6);
    assert_same_grads(all, two, 5e-6);

    /* changing one document changes nothing that the others say */
    float *logits = test_calloc((size_t)(packed.n_tokens * one->config.n_vocab), sizeof(float));
    float *again = test_calloc((size_t)(packed.n_tokens * one->config.n_vocab), sizeof(float));
    check(student_logits(all, &packed, logits, &e), &e);
    packed.tokens[lengths[0]] ^= 1;
    check(student_logits(all, &packed, again, &e), &e);
    size_t V = (size_t)one->config.n_vocab, to = (size_t)(lengths[0] + lengths[1]);
    assert_memory_equal(logits, again, (size_t)lengths[0] * V * sizeof(float));
    assert_memory_equal(logits + to * V, again + to * V,
                        ((size_t)packed.n_tokens - to) * V * sizeof(float));
    assert_memory_not_equal(logits + (size_t)lengths[0] * V, again + (size_t)lengths[0] * V,
                            V * sizeof(float));
    test_free(logits);
    test_free(again);
    batch_dispose(&packed);
    batch_dispose(&b);
    student_close(one);
    student_close(all);
    student_close(two);
}

static void test_packing(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    check(device_open("cpu", 2, &d, &e), &e);
    packed_and_not("qwen2-tied-yarn", d);
    packed_and_not("llama-headdim-llama3", d);
    packed_and_not("qwen3", d);
    device_close(d);
}

/* Recomputing must give the same bits, and so must running again. */
static void test_recompute(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct vectors v;
    struct batch b;
    check(device_open("cpu", 2, &d, &e), &e);
    vectors_open(&v, "qwen2-untied");
    vectors_batch(&v, &b);
    struct student *keep = open_student("qwen2-untied", d, 64);
    struct student *again = open_student("qwen2-untied", d, 64);
    double loss = 0, loss2 = 0;
    check(student_backward(keep, &b, 1, &loss, &e), &e);
    for (int64_t n = 0; n <= 3; n++) {
        struct student_options o = {.max_tokens = 50, .train = true, .n_recompute = n};
        check(student_reserve(again, &o, &e), &e);
        student_zero_grads(again);
        loss2 = 0;
        check(student_backward(again, &b, 1, &loss2, &e), &e);
        assert_true(loss == loss2);
        assert_memory_equal(keep->grads, again->grads, keep->n_params * sizeof(float));
    }
    student_close(keep);
    student_close(again);
    batch_dispose(&b);
    st_close(&v.file);
    device_close(d);
}

static void test_save_load(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    char dir[] = "/tmp/decant-student-XXXXXX";
    assert_non_null(mkdtemp(dir));
    check(device_open("cpu", 2, &d, &e), &e);
    for (int i = 0; i < N_VECTOR_MODELS; i++) {
        struct student *s = open_student(vector_models[i], d, 8), *t, *h;
        check(student_save(s, dir, DT_F32, NULL, &e), &e);
        check(student_open(dir, d, 0, &t, &e), &e);
        assert_true(s->n_params == t->n_params);
        assert_memory_equal(s->params, t->params, s->n_params * sizeof(float));
        assert_true(student_hash(s) == student_hash(t));
        check(student_save(s, dir, DT_BF16, NULL, &e), &e);
        check(student_open(dir, d, 0, &h, &e), &e);
        for (size_t k = 0; k < s->n_params; k++)
            assert_true(h->params[k] == bf16_to_f32(bf16_from_f32(s->params[k])));
        assert_true(student_hash(h) != student_hash(s));
        struct lm *lm; /* what was written is also an lm */
        check(student_lm_open(dir, d, &lm, &e), &e);
        assert_int_equal(lm->n_params, (int64_t)s->n_params);
        lm_close(lm);
        student_close(s);
        student_close(t);
        student_close(h);
    }
    device_close(d);
    check(file_remove_tree(dir, &e), &e);
}

/* A config that leaves to the reader what transformers reads otherwise (32 key/value heads for
 * Qwen) is written with the numbers that the weights have. */
static void test_save_resolves(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct student *s;
    struct json j;
    char dir[] = "/tmp/decant-student-XXXXXX", path[100];
    const char *config = "{\"model_type\": \"qwen2\", \"hidden_size\": 16, \"vocab_size\": 11, "
                         "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, "
                         "\"intermediate_size\": 8, \"max_position_embeddings\": null}";
    int64_t n_kv_heads, max_positions;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/config.json", dir);
    check(file_replace(path, config, strlen(config), &e), &e);
    check(device_open("cpu", 1, &d, &e), &e);
    check(student_open(path, d, 0, &s, &e), &e);
    check(student_save(s, dir, DT_F32, NULL, &e), &e);
    check(json_open(&j, path, 1 << 16, &e), &e);
    check(json_int(&j, j.root, "num_key_value_heads", 1, 99, &n_kv_heads, &e), &e);
    check(json_int(&j, j.root, "max_position_embeddings", 1, 9999, &max_positions, &e), &e);
    assert_int_equal(n_kv_heads, 4);
    assert_int_equal(max_positions, s->config.max_positions);
    json_close(&j);
    student_close(s);
    device_close(d);
    check(file_remove_tree(dir, &e), &e);
}

/* Weights drawn from a config alone: as wide as it says, the same for the same seed only. */
static void test_draw(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct student *a, *b, *c;
    const char *path = "tests/vectors/student/llama-headdim-llama3/config.json";
    check(device_open("cpu", 2, &d, &e), &e);
    check(student_open(path, d, 1, &a, &e), &e);
    check(student_open(path, d, 1, &b, &e), &e);
    check(student_open(path, d, 2, &c, &e), &e);
    assert_memory_equal(a->params, b->params, a->n_params * sizeof(float));
    assert_memory_not_equal(a->params, c->params, a->n_params * sizeof(float));
    double sum = 0, squares = 0;
    for (size_t i = 0; i < a->n_decay; i++) {
        sum += a->params[i];
        squares += (double)a->params[i] * a->params[i];
    }
    double n = (double)a->n_decay, std = sqrt(squares / n);
    assert_true(fabs(std - 0.02) < 0.02 * 4 / sqrt(2 * n));
    assert_true(fabs(sum / n) < 4 * 0.02 / sqrt(n));
    for (int64_t i = 0; i < a->layout.n_slots; i++) {
        const struct student_slot *p = &a->layout.slots[i];
        float want = strstr(p->name, "bias") ? 0.0f : 1.0f;
        for (int64_t k = 0; p->n_dims == 1 && k < p->shape[0]; k++)
            assert_true(a->params[p->offset + (size_t)k] == want);
    }
    student_close(a);
    student_close(b);
    student_close(c);
    device_close(d);
}

static void test_bad_batches(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct batch b;
    int32_t ids[6] = {1, 2, 3, 4, 5, 6};
    double loss = 0;
    check(device_open("cpu", 1, &d, &e), &e);
    struct student *s = open_student("qwen3", d, 8);
    check(batch_init(&b, 70, &e), &e);
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE); /* empty */
    assert_true(batch_add(&b, ids, 6, 1));
    check(student_loss(s, &b, &loss, &e), &e);
    b.tokens[2] = (int32_t)s->config.n_vocab;
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    b.tokens[2] = -1;
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    b.tokens[2] = 3;
    b.targets[2] = 1 << 30;
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    b.targets[2] = 4;
    b.positions[5] = 64;
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    b.positions[5] = 5;
    b.doc_start[4] = 5;
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    b.doc_start[4] = 0;
    assert_true(batch_add(&b, ids, 6, 1)); /* 12 rows, room for 8 */
    assert_int_equal(student_loss(s, &b, &loss, &e), ERR_USAGE);
    batch_dispose(&b);
    student_close(s);
    device_close(d);
}

/* The plan is what reserve takes, and it says no to what no machine has. */
static void test_memory_plan(void **state)
{
    (void)state;
    struct err e = {0};
    struct json j;
    static const char text[] =
        "{\"model_type\": \"qwen2\", \"hidden_size\": 896, \"num_hidden_layers\": 24,"
        "\"num_attention_heads\": 14, \"num_key_value_heads\": 2, \"intermediate_size\": 4864,"
        "\"vocab_size\": 151936, \"tie_word_embeddings\": true,"
        "\"max_position_embeddings\": 32768}";
    struct student_config c;
    struct student_memory m, r;
    check(json_parse(&j, "0.5B", text, sizeof text - 1, &e), &e);
    check(student_config_json(&c, &j, &e), &e);
    assert_int_equal(student_n_params(&c), 494032768); /* as Qwen2.5-0.5B counts */
    student_memory_plan(&c, &(struct student_options){.max_tokens = 2048, .train = true}, &m);
    assert_true(m.params == 494032768u * 4u && m.grads == m.params);
    assert_true(m.kept < 2.8e9 && m.scratch < 0.3e9);
    student_memory_plan(
        &c, &(struct student_options){.max_tokens = 2048, .train = true, .n_recompute = 24}, &r);
    assert_true(r.kept < m.kept / 3);
    struct student_options huge = {.max_tokens = 1 << 30, .train = true};
    c.n_vocab = c.hidden = c.ffn = 1 << 20;
    c.n_layers = 4096;
    student_memory_plan(&c, &huge, &m);
    assert_true(m.kept > (uint64_t)1 << 50); /* saturates, never wraps */
    json_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_differences), cmocka_unit_test(test_packing),
        cmocka_unit_test(test_recompute),          cmocka_unit_test(test_save_load),
        cmocka_unit_test(test_save_resolves),      cmocka_unit_test(test_draw),
        cmocka_unit_test(test_bad_batches),        cmocka_unit_test(test_memory_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
