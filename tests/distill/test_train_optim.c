/* Ten steps of clipped AdamW with warm-up and cosine, against PyTorch; and the schedule's ends. */
#include "distill/train.h"
#include "distill/train_optim.h"
#include "tests/student/student_vectors.h"

enum { STEPS = 10 };

static struct train_settings settings(void)
{
    struct train_settings s;
    train_defaults(&s);
    s.lr = 1e-2;
    s.lr_floor = 0.1;
    s.warmup = 0.3;
    return s;
}

static void ten_steps(const struct vectors *v, struct device *d)
{
    struct err e = {0};
    struct student *st;
    struct train_optim o = {.beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
    struct train_settings s = settings();
    struct batch b;
    o.clip = 0.5;
    vectors_batch(v, &b);
    check(student_open(v->dir, d, 0, &st, &e), &e);
    check(student_reserve(st, &(struct student_options){.max_tokens = 64, .train = true}, &e), &e);
    check(train_optim_init(&o, st, &e), &e);
    struct tensor lr = vectors_get(v, "adam_lr"), norms = vectors_get(v, "adam_norm"),
                  losses = vectors_get(v, "adam_loss");
    float got_lr[STEPS], got_norm[STEPS], got_loss[STEPS];
    for (int64_t i = 0; i < STEPS; i++) {
        double loss = 0, norm, rate = train_lr(&s, i + 1, STEPS);
        student_zero_grads(st);
        check(student_backward(st, &b, 1.0f / (float)b.n_valid, &loss, &e), &e);
        check(train_optim_step(&o, st, i + 1, rate, &norm, &e), &e);
        got_lr[i] = (float)rate;
        got_norm[i] = (float)norm;
        got_loss[i] = (float)(loss / (double)b.n_valid);
    }
    assert_close(got_lr, &lr, 1e-6, "lr");
    assert_close(got_loss, &losses, 2e-4, "losses");
    assert_close(got_norm, &norms, 5e-4, "norms");
    /* a parameter has moved by up to the sum of the rates, 0.05; rounding may move it 1 % of that
     */
    double worst = 0;
    for (int64_t i = 0; i < st->layout.n_slots; i++) {
        char name[128];
        snprintf(name, sizeof name, "adam.%s", st->layout.slots[i].name);
        struct tensor want = vectors_get(v, name);
        const float *w = want.data, *got = st->params + st->layout.slots[i].offset;
        for (int64_t k = 0; k < tensor_n(&want); k++)
            worst = fmax(worst, fabs((double)got[k] - (double)w[k]));
    }
    if (!(worst < 5e-4))
        fail_msg("%s: parameters off by %g after ten steps", v->dir, worst);
    train_optim_dispose(&o);
    batch_dispose(&b);
    student_close(st);
}

static void test_ten_steps(void **state)
{
    (void)state;
    static const char *const names[] = {"ref", "cpu"};
    for (int k = 0; k < 2; k++) {
        struct err e = {0};
        struct device *d;
        check(device_open(names[k], 2, &d, &e), &e);
        for (int i = 0; i < N_VECTOR_MODELS; i++) {
            struct vectors v;
            vectors_open(&v, vector_models[i]);
            ten_steps(&v, d);
            st_close(&v.file);
        }
        device_close(d);
    }
}

static void test_schedule(void **state)
{
    (void)state;
    struct train_settings s = settings();
    assert_true(train_lr(&s, 1, 100) > 0);
    assert_true(fabs(train_lr(&s, 30, 100) - 1e-2) < 1e-12);  /* the end of warm-up: all of it */
    assert_true(fabs(train_lr(&s, 100, 100) - 1e-3) < 1e-12); /* the last step: the floor */
    for (int64_t i = 30; i < 100; i++)
        assert_true(train_lr(&s, i + 1, 100) < train_lr(&s, i, 100));
    s.warmup = 0;
    assert_true(train_lr(&s, 1, 1) == 1e-3); /* one step alone is the last one */
    s.warmup = 1;
    assert_true(train_lr(&s, 7, 7) == 1e-2);
}

static void test_not_finite(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    struct student *st;
    struct train_optim o = {.beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f};
    check(device_open("cpu", 1, &d, &e), &e);
    check(student_open("tests/vectors/student/qwen3", d, 0, &st, &e), &e);
    check(student_reserve(st, &(struct student_options){.max_tokens = 8, .train = true}, &e), &e);
    check(train_optim_init(&o, st, &e), &e);
    uint64_t before = student_hash(st);
    double norm;
    st->grads[3] = NAN;
    assert_int_equal(train_optim_step(&o, st, 1, 1e-3, &norm, &e), ERR_STATE);
    assert_true(student_hash(st) == before);
    train_optim_dispose(&o);
    student_close(st);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_steps),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
