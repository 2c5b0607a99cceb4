/* Every backward, of ref and of each cpu device, against central differences of ref's forward.
 *
 * L(x) = sum over outputs of c * f(x) with fixed random c; c is the gradient that the backward
 * gets. Forward outputs are float32, so a difference over 2h has noise eps |L| / h beside its own
 * h^2: h = 0.01 and sums of at most some hundred terms leave about 1e-4. A gradient that is wrong
 * in any term is off by far more. */
#include "tests/tensor/util.h"

typedef double (*loss_fn)(void *context);

static struct device *ref; /* opened by main's group setup */

/* dL/dx of each element of x (rows x cols) must be got's. */
static void check_gradient(const char *what, const struct device *d, struct tensor *x,
                           const struct tensor *got, loss_fn loss, void *context)
{
    const double h = 0.01;
    for (int64_t i = 0; i < tensor_rows(x); i++)
        for (int64_t j = 0; j < tensor_cols(x); j++) {
            float *p = (float *)x->data + i * x->ld + j, old = *p;
            *p = (float)(old + h);
            double up = loss(context), top = *p;
            *p = (float)(old - h);
            double down = loss(context), bottom = *p;
            *p = old;
            double want = (up - down) / (top - bottom), g = at_f32(got, i, j);
            if (!(fabs(g - want) <= 2e-3 + 2e-3 * fabs(want)))
                fail_msg("%s on %s: d/dx[%d][%d] = %g, differences give %g", what, device_label(d),
                         (int)i, (int)j, g, want);
        }
}

static double weighted(const struct tensor *y, const struct tensor *c)
{
    double sum = 0;
    for (int64_t i = 0; i < tensor_rows(y); i++)
        for (int64_t j = 0; j < tensor_cols(y); j++)
            sum += (double)at_f32(y, i, j) * at_f32(c, i, j);
    return sum;
}

/* Zeros of the shape of t. */
static struct tensor zeros_like(const struct tensor *t)
{
    struct tensor z = copy_f32(t);
    memset(z.data, 0, (size_t)(tensor_rows(t) * t->ld) * 4);
    return z;
}

/* The operands of one case: in and out tensors, the fixed c, and gradients. */
struct test_case {
    struct tensor in[3], grad[3], out, c;
    int n_in;
    const int32_t *ints;
    const void *extra;
};

static struct test_case make_case(uint64_t seed, int n_in, const int64_t in[][2], int64_t rows,
                                  int64_t cols)
{
    struct rng r = rng_make(31, seed, 0);
    struct test_case t = {.n_in = n_in};
    for (int i = 0; i < n_in; i++) {
        t.in[i] = random_f32(in[i][0], in[i][1], i + 1, 1, &r);
        t.grad[i] = zeros_like(&t.in[i]);
    }
    t.out = random_f32(rows, cols, 2, 1, &r);
    t.c = random_f32(rows, cols, 1, 1, &r);
    return t;
}

static void zero_gradients(struct test_case *t)
{
    for (int i = 0; i < t->n_in; i++)
        memset(t->grad[i].data, 0, (size_t)(tensor_rows(&t->grad[i]) * t->grad[i].ld) * 4);
}

static void check_case(const char *what, const struct device *d, struct test_case *t, loss_fn loss)
{
    for (int i = 0; i < t->n_in; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s, input %d", what, i);
        check_gradient(name, d, &t->in[i], &t->grad[i], loss, t);
    }
}

static void free_case(struct test_case *t)
{
    for (int i = 0; i < t->n_in; i++) {
        mem_free(t->in[i].data);
        mem_free(t->grad[i].data);
    }
    mem_free(t->out.data);
    mem_free(t->c.data);
}

/* Calls backward for ref and every cpu device, and checks each. */
typedef void (*backward_fn)(struct device *d, struct test_case *t);

static void for_all_devices(const char *what, struct test_case *t, loss_fn loss,
                            backward_fn backward)
{
    struct device *all[7];
    int n = open_all_cpus(all);
    all[n++] = open_ref();
    for (int i = 0; i < n; i++) {
        zero_gradients(t);
        backward(all[i], t);
        check_case(what, all[i], t, loss);
    }
    close_all(all, n);
    free_case(t);
}

/* ---- y = x w^T + b */
static double linear_loss(void *context)
{
    struct test_case *t = context;
    ref->matmul(ref, &t->out, &t->in[0], &t->in[1], &t->in[2], 0);
    return weighted(&t->out, &t->c);
}

static void linear_backward(struct device *d, struct test_case *t)
{
    d->matmul_dx(d, &t->grad[0], &t->c, &t->in[1], MATMUL_ADD);
    d->matmul_dw(d, &t->grad[1], &t->grad[2], &t->c, &t->in[0]);
}

static void test_linear(void **state)
{
    (void)state;
    struct test_case t = make_case(1, 3, (int64_t[][2]){{3, 17}, {9, 17}, {1, 9}}, 3, 9);
    for_all_devices("linear", &t, linear_loss, linear_backward);
}

/* ---- rmsnorm */
static double rmsnorm_loss(void *context)
{
    struct test_case *t = context;
    ref->rmsnorm(ref, &t->out, NULL, &t->in[0], &t->in[1], 1e-5f);
    return weighted(&t->out, &t->c);
}

static void rmsnorm_backward(struct device *d, struct test_case *t)
{
    float rstd[8];
    d->rmsnorm(d, &t->out, rstd, &t->in[0], &t->in[1], 1e-5f);
    d->rmsnorm_grad(d, &t->grad[0], &t->grad[1], &t->c, &t->in[0], &t->in[1], rstd);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    struct test_case t = make_case(2, 2, (int64_t[][2]){{5, 19}, {1, 19}}, 5, 19);
    for_all_devices("rmsnorm", &t, rmsnorm_loss, rmsnorm_backward);
}

/* ---- rope */
static const float inv_freq[3] = {1, 0.3f, 0.01f};

static double rope_loss(void *context)
{
    struct test_case *t = context;
    struct tensor y = copy_f32(&t->in[0]);
    ref->rope(ref, &y, t->ints, 2, 9, 2, t->extra, false);
    double loss = weighted(&y, &t->c);
    mem_free(y.data);
    return loss;
}

static void rope_backward(struct device *d, struct test_case *t)
{
    for (int64_t i = 0; i < tensor_rows(&t->c); i++)
        memcpy((float *)t->grad[0].data + i * t->grad[0].ld, (float *)t->c.data + i * t->c.ld,
               (size_t)tensor_cols(&t->c) * 4);
    d->rope(d, &t->grad[0], t->ints, 2, 9, 2, t->extra, true);
}

static void test_rope(void **state)
{
    (void)state;
    static const int32_t pos[4] = {0, 1, 7, 1000};
    for (int mode = 0; mode < 2; mode++) {
        struct rope r = {mode ? ROPE_INTERLEAVED : ROPE_HALF, 6, inv_freq, 1.1f};
        struct test_case t = make_case(3, 1, (int64_t[][2]){{4, 18}}, 4, 18);
        t.ints = pos;
        t.extra = &r;
        for_all_devices("rope", &t, rope_loss, rope_backward);
    }
}

/* ---- swiglu */
static double swiglu_loss(void *context)
{
    struct test_case *t = context;
    ref->swiglu(ref, &t->out, &t->in[0], &t->in[1]);
    return weighted(&t->out, &t->c);
}

static void swiglu_backward(struct device *d, struct test_case *t)
{
    d->swiglu_grad(d, &t->grad[0], &t->grad[1], &t->c, &t->in[0], &t->in[1]);
}

static void test_swiglu(void **state)
{
    (void)state;
    struct test_case t = make_case(4, 2, (int64_t[][2]){{4, 21}, {4, 21}}, 4, 21);
    for_all_devices("swiglu", &t, swiglu_loss, swiglu_backward);
}

/* ---- embedding */
static double embed_loss(void *context)
{
    struct test_case *t = context;
    ref->embed(ref, &t->out, &t->in[0], t->ints);
    return weighted(&t->out, &t->c);
}

static void embed_backward(struct device *d, struct test_case *t)
{
    d->embed_grad(d, &t->grad[0], &t->c, t->ints);
}

static void test_embed(void **state)
{
    (void)state;
    static const int32_t ids[6] = {3, 0, 3, 4, 3, 0};
    struct test_case t = make_case(5, 1, (int64_t[][2]){{5, 7}}, 6, 7);
    t.ints = ids;
    for_all_devices("embed", &t, embed_loss, embed_backward);
}

/* ---- cross-entropy: L is the loss itself, times 0.5 */
static const float row_weight[4] = {1, 0.5f, 3, 2};

static double loss_loss(void *context)
{
    struct test_case *t = context;
    struct tensor x = copy_f32(&t->in[0]);
    double loss = 0;
    ref->cross_entropy(ref, &loss, &x, t->ints, row_weight, false, 0);
    mem_free(x.data);
    return 0.5 * loss;
}

static void loss_backward(struct device *d, struct test_case *t)
{
    double loss = 0;
    memcpy(t->grad[0].data, t->in[0].data,
           (size_t)(tensor_rows(&t->in[0]) * t->in[0].ld) * sizeof(float));
    d->cross_entropy(d, &loss, &t->grad[0], t->ints, row_weight, true, 0.5f);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    static const int32_t targets[4] = {3, -1, 0, 22};
    struct test_case t = make_case(6, 1, (int64_t[][2]){{4, 23}}, 1, 1);
    t.ints = targets;
    for_all_devices("cross_entropy", &t, loss_loss, loss_backward);
}

/* ---- attention */
static double attention_loss(void *context)
{
    struct test_case *t = context;
    ref->attention(ref, &t->out, NULL, &t->in[0], &t->in[1], &t->in[2], t->ints, t->extra);
    return weighted(&t->out, &t->c);
}

static void attention_backward(struct device *d, struct test_case *t)
{
    const struct attn_dims *a = t->extra;
    int64_t rows = tensor_rows(&t->out);
    float *lse = bytes_new(rows * a->n_heads * 4);
    d->attention(d, &t->out, lse, &t->in[0], &t->in[1], &t->in[2], t->ints, a);
    d->attention_grad(d, &t->grad[0], &t->grad[1], &t->grad[2], &t->c, &t->in[0], &t->in[1],
                      &t->in[2], &t->out, lse, t->ints, a);
    mem_free(lse);
}

static void test_attention(void **state)
{
    (void)state;
    static const int32_t starts[9] = {0, 0, 0, 3, 4, 4, 4, 4, 4};
    struct attn_dims a = {.n_heads = 4, .n_kv_heads = 2, .dk = 5, .dv = 3, .scale = 0.6f};
    struct test_case t = make_case(7, 3, (int64_t[][2]){{9, 20}, {9, 10}, {9, 6}}, 9, 12);
    t.ints = starts;
    t.extra = &a;
    for_all_devices("attention", &t, attention_loss, attention_backward);
}

/* The check itself: a backward with one wrong element must be caught. */
static void test_a_wrong_gradient_is_seen(void **state)
{
    (void)state;
    struct test_case t = make_case(8, 2, (int64_t[][2]){{2, 5}, {2, 5}}, 2, 5);
    swiglu_backward(ref, &t);
    double h = 0.01;
    float *p = (float *)t.in[0].data + 3, old = *p;
    *p = (float)(old + h);
    double up = swiglu_loss(&t);
    *p = (float)(old - h);
    double want = (up - swiglu_loss(&t)) / (2 * h), g = at_f32(&t.grad[0], 0, 3);
    assert_true(fabs(g - want) <= 2e-3 + 2e-3 * fabs(want));
    assert_false(fabs(1.05 * g - want) <= 2e-3 + 2e-3 * fabs(want));
    free_case(&t);
}

static int setup(void **state)
{
    (void)state;
    ref = open_ref();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_close(ref);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),    cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rope),      cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_embed),     cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_a_wrong_gradient_is_seen),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
