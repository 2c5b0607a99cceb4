/* Operations on rows, the loss and the optimizer: each cpu device against ref, and what device.h
 * promises about operands that share memory. */
#include "tests/tensor/util.h"

#include <float.h>

static const int64_t shapes[][2] = {{0, 5},  {1, 1},    {3, 17},   {17, 33},
                                    {5, 64}, {33, 257}, {70, 1000}};

struct pair {
    struct device *cpu[6], *ref;
    int n;
};

static struct pair open_pair(void)
{
    struct pair p = {.ref = open_ref()};
    p.n = open_all_cpus(p.cpu);
    return p;
}

static void close_pair(struct pair *p)
{
    close_all(p->cpu, p->n);
    device_close(p->ref);
}

static void free_all(struct tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        mem_free(t[i].data);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    struct pair p = open_pair();
    for (int s = 0; s < COUNT(shapes); s++) {
        int64_t T = shapes[s][0], C = shapes[s][1];
        struct rng r = rng_make(21, (uint64_t)s, 0);
        struct tensor x = random_f32(T, C, 3, 2, &r), y = random_f32(T, C, 1, 1, &r);
        struct tensor w = random_f32(1, C, 0, 1, &r), wb = as_dtype(&w, DT_BF16);
        struct tensor wh = as_dtype(&w, DT_F16), *weights[] = {&w, &wb, &wh};
        struct tensor dy = random_f32(T, C, 2, 1, &r), dx0 = random_f32(T, C, 1, 1, &r);
        struct tensor dw0 = random_f32(1, C, 0, 1, &r), rstd = random_f32(1, T + 1, 0, 1, &r);
        struct tensor got_rstd = copy_f32(&rstd), dx = copy_f32(&dx0), dw = copy_f32(&dw0);
        for (int j = 0; j < 3; j++) {
            p.ref->rmsnorm(p.ref, &y, rstd.data, &x, weights[j], 1e-5f);
            struct tensor want = tensor_strided(rstd.data, 1, T, T + 1);
            for (int i = 0; i < p.n; i++) {
                struct tensor in = copy_f32(&x); /* in place */
                p.cpu[i]->rmsnorm(p.cpu[i], &in, got_rstd.data, &in, weights[j], 1e-5f);
                struct tensor got = tensor_strided(got_rstd.data, 1, T, T + 1);
                check_near("rmsnorm", p.cpu[i], &in, &y, 1e-9, 4 * EPS);
                check_near("rstd", p.cpu[i], &got, &want, 0, 2 * EPS);
                p.cpu[i]->rmsnorm(p.cpu[i], &in, NULL, &x, weights[j], 1e-5f);
                check_near("rmsnorm", p.cpu[i], &in, &y, 1e-9, 4 * EPS);
                mem_free(in.data);
            }
        }
        p.ref->rmsnorm_grad(p.ref, &dx, &dw, &dy, &x, &wh, rstd.data);
        for (int i = 0; i < p.n; i++) {
            struct tensor gx = copy_f32(&dx0), gw = copy_f32(&dw0);
            p.cpu[i]->rmsnorm_grad(p.cpu[i], &gx, &gw, &dy, &x, &wh, rstd.data);
            check_near("rmsnorm's dx", p.cpu[i], &gx, &dx, 30 * EPS, 4 * EPS);
            check_near("rmsnorm's dw", p.cpu[i], &gw, &dw, 4 * EPS * pow((double)T + 4, 1.5), 0);
            mem_free(gx.data);
            mem_free(gw.data);
        }
        struct tensor all[] = {x, y, w, wb, wh, dy, dx0, dw0, rstd, got_rstd, dx, dw};
        free_all(all, COUNT(all));
    }
    close_pair(&p);
}

static void test_rope(void **state)
{
    (void)state;
    struct pair p = open_pair();
    enum { T = 70, H = 5, D = 22, FIRST = 4, N = 14 };
    struct rng r = rng_make(22, 0, 0);
    float inv_freq[N / 2];
    int32_t pos[T];
    for (int i = 0; i < N / 2; i++)
        inv_freq[i] = (float)pow(10000, -2.0 * i / N);
    for (int t = 0; t < T; t++)
        pos[t] = (int32_t)rng_below(&r, 5000);
    struct tensor x = random_f32(T, H * D, 3, 1, &r);
    for (int mode = 0; mode < 2; mode++) {
        struct rope rope = {mode ? ROPE_INTERLEAVED : ROPE_HALF, N, inv_freq, 1.25f};
        struct tensor want = copy_f32(&x);
        p.ref->rope(p.ref, &want, pos, H, D, FIRST, &rope, false);
        assert_true(at_f32(&want, 3, FIRST - 1) == at_f32(&x, 3, FIRST - 1));
        assert_true(at_f32(&want, 3, FIRST + N) == at_f32(&x, 3, FIRST + N));
        for (int i = 0; i < p.n; i++) {
            struct tensor got = copy_f32(&x);
            p.cpu[i]->rope(p.cpu[i], &got, pos, H, D, FIRST, &rope, false);
            check_near("rope", p.cpu[i], &got, &want, 20 * EPS, 0);
            rope.scale = 1 / 1.25f;
            p.cpu[i]->rope(p.cpu[i], &got, pos, H, D, FIRST, &rope, true);
            rope.scale = 1.25f;
            check_near("rope and back", p.cpu[i], &got, &x, 20 * EPS, 0);
            mem_free(got.data);
        }
        mem_free(want.data);
    }
    mem_free(x.data);
    close_pair(&p);
}

/* exp as softmax has it, over its whole range and at the ends. */
static void test_exp(void **state)
{
    (void)state;
    const struct cpu_kernels *k[3];
    int n = cpu_kernels_list(k);
    enum { N = 200003 };
    float *x = mem_new(N, sizeof *x, NULL), *y = mem_new(N, sizeof *y, NULL);
    assert_non_null(x);
    assert_non_null(y);
    for (int i = 0; i < N; i++)
        x[i] = -110 + 200 * (float)i / N;
    x[0] = -INFINITY;
    x[17] = NAN;
    x[N - 18] = 88.72283f;
    x[N - 17] = 1e30f;
    x[N - 1] = INFINITY;
    for (int v = 0; v < n; v++) {
        memcpy(y, x, N * sizeof *y);
        k[v]->softmax(y, 0, 1, N);
        for (int i = 0; i < N; i++) {
            double want = exp((double)x[i]);
            float f = (float)want;
            bool ok = isnan(x[i])   ? isnan(y[i])
                      : isinf(f)    ? y[i] == f
                      : f < FLT_MIN ? y[i] == 0
                                    : fabs(y[i] - want) <= 0x1p-22 * want;
            if (!ok)
                fail_msg("exp(%.9g) is %.9g, not %.9g (%s)", (double)x[i], (double)y[i], want,
                         k[v]->name);
        }
    }
    mem_free(x);
    mem_free(y);
}

static void test_swiglu(void **state)
{
    (void)state;
    struct pair p = open_pair();
    for (int s = 0; s < COUNT(shapes); s++) {
        int64_t T = shapes[s][0], F = shapes[s][1];
        struct rng r = rng_make(23, (uint64_t)s, 0);
        struct tensor gate = random_f32(T, F, 1, 8, &r), up = random_f32(T, F, 2, 1, &r);
        struct tensor dy = random_f32(T, F, 3, 1, &r), y = random_f32(T, F, 0, 1, &r);
        if (T > 1) { /* the ends of exp */
            ((float *)gate.data)[0] = 200;
            ((float *)gate.data)[gate.ld] = -200;
        }
        struct tensor dg = copy_f32(&gate), du = copy_f32(&up), got = copy_f32(&y);
        p.ref->swiglu(p.ref, &y, &gate, &up);
        p.ref->swiglu_grad(p.ref, &dg, &du, &dy, &gate, &up);
        for (int i = 0; i < p.n; i++) {
            struct tensor g = copy_f32(&gate), u = copy_f32(&up);
            p.cpu[i]->swiglu(p.cpu[i], &got, &gate, &up);
            check_near("swiglu", p.cpu[i], &got, &y, 1e-30, 12 * EPS);
            p.cpu[i]->swiglu_grad(p.cpu[i], &g, &u, &dy, &g, &u); /* over gate and up */
            check_near("swiglu's dgate", p.cpu[i], &g, &dg, 30 * EPS, 12 * EPS);
            check_near("swiglu's dup", p.cpu[i], &u, &du, 1e-30, 12 * EPS);
            mem_free(g.data);
            mem_free(u.data);
        }
        struct tensor all[] = {gate, up, dy, y, dg, du, got};
        free_all(all, COUNT(all));
    }
    close_pair(&p);
}

/* Sums of a few terms in one order: the same floats as ref's but for fused rounding. */
static void test_moving_rows(void **state)
{
    (void)state;
    struct pair p = open_pair();
    enum { V = 50, T = 90, C = 101 };
    struct rng r = rng_make(24, 0, 0);
    int32_t ids[T];
    float weight[T];
    for (int t = 0; t < T; t++) {
        ids[t] = (int32_t)rng_below(&r, V);
        weight[t] = (float)rng_normal(&r);
    }
    struct tensor table = random_f32(V, C, 2, 1, &r), y = random_f32(T, C, 1, 1, &r);
    struct tensor bf = as_dtype(&table, DT_BF16), got = copy_f32(&y);
    struct tensor dy = random_f32(T, C, 1, 1, &r), dt0 = random_f32(V, C, 1, 1, &r);
    for (int i = 0; i < p.n; i++) {
        struct device *d = p.cpu[i];
        const struct tensor *tables[] = {&table, &bf};
        for (int j = 0; j < 2; j++) {
            p.ref->embed(p.ref, &y, tables[j], ids);
            d->embed(d, &got, tables[j], ids);
            assert_true(same_bits(&got, &y));
        }
        p.ref->gather_rows(p.ref, &y, &table, ids, T);
        d->gather_rows(d, &got, &table, ids, T);
        assert_true(same_bits(&got, &y));
        struct tensor want = copy_f32(&dt0), dt = copy_f32(&dt0);
        p.ref->embed_grad(p.ref, &want, &dy, ids);
        d->embed_grad(d, &dt, &dy, ids);
        assert_true(same_bits(&dt, &want));
        p.ref->scatter_add_rows(p.ref, &want, &dy, ids, weight, T);
        d->scatter_add_rows(d, &dt, &dy, ids, weight, T);
        check_near("scatter_add_rows", d, &dt, &want, 16 * EPS, 0);
        p.ref->scatter_add_rows(p.ref, &want, &dy, ids, NULL, 7);
        d->scatter_add_rows(d, &dt, &dy, ids, NULL, 7);
        check_near("scatter_add_rows", d, &dt, &want, 16 * EPS, 0);
        d->scatter_add_rows(d, &dt, &dy, ids, weight, 0);
        d->gather_rows(d, &dt, &dy, ids, 0);
        p.ref->add(p.ref, &y, &dy);
        d->add(d, &got, &dy);
        assert_true(same_bits(&got, &y));
        mem_free(want.data);
        mem_free(dt.data);
    }
    struct tensor all[] = {table, y, bf, got, dy, dt0};
    free_all(all, COUNT(all));
    close_pair(&p);
}

static void test_copy_converts(void **state)
{
    (void)state;
    struct pair p = open_pair();
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_F8_E4M3};
    enum { T = 7, C = 301 };
    struct rng r = rng_make(25, 0, 0);
    struct tensor x = random_f32(T, C, 0, 3, &r);
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) {
            struct tensor from = as_dtype(&x, types[a]);
            struct tensor want = as_dtype(&x, types[b]), got = as_dtype(&x, types[b]);
            p.ref->copy(p.ref, &want, &from);
            for (int i = 0; i < p.n; i++) {
                memset(got.data, 0x55, tensor_bytes(&got));
                p.cpu[i]->copy(p.cpu[i], &got, &from);
                assert_memory_equal(got.data, want.data, tensor_bytes(&got));
            }
            struct tensor all[] = {from, want, got};
            free_all(all, 3);
        }
    mem_free(x.data);
    close_pair(&p);
}

static void check_cross_entropy(struct pair *p, int64_t T, int64_t V, double scale, bool weighted)
{
    struct rng r = rng_make(26, (uint64_t)T, (uint64_t)V);
    struct tensor x = random_f32(T, V, 3, scale, &r), want = copy_f32(&x);
    struct tensor weight = random_f32(1, T + 1, 0, 1, &r);
    int32_t *targets = bytes_new(T * 4 + 4);
    for (int64_t t = 0; t < T; t++)
        targets[t] = t % 3 == 2 ? -1 : (int32_t)rng_below(&r, (uint64_t)V);
    const float *w = weighted ? weight.data : NULL;
    double want_loss = 5;
    p->ref->cross_entropy(p->ref, &want_loss, &want, targets, w, true, 0.25f);
    for (int i = 0; i < p->n; i++) {
        struct tensor got = copy_f32(&x);
        double loss = 5;
        p->cpu[i]->cross_entropy(p->cpu[i], &loss, &got, targets, w, false, 0);
        assert_true(same_bits(&got, &x)); /* no gradient asked for: logits stay */
        assert_true(fabs(loss - want_loss) <= 1e-6 * ((double)T + fabs(want_loss)));
        loss = 5;
        p->cpu[i]->cross_entropy(p->cpu[i], &loss, &got, targets, w, true, 0.25f);
        assert_true(fabs(loss - want_loss) <= 1e-6 * ((double)T + fabs(want_loss)));
        /* x - max is rounded: half an eps for each unit of it */
        check_near("cross_entropy's gradient", p->cpu[i], &got, &want, 1e-30,
                   (12 + 5 * scale) * EPS);
        mem_free(got.data);
    }
    mem_free(targets);
    struct tensor all[] = {x, want, weight};
    free_all(all, 3);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    struct pair p = open_pair();
    check_cross_entropy(&p, 0, 5, 1, true);
    check_cross_entropy(&p, 1, 1, 1, false);
    check_cross_entropy(&p, 7, 33, 1, true);
    check_cross_entropy(&p, 40, 1003, 4, true);
    check_cross_entropy(&p, 5, 20011, 10, false);
    /* NaN in a row must reach the loss */
    for (int i = 0; i < p.n; i++) {
        float x[40] = {0};
        struct tensor t = tensor_2d(DT_F32, x, 1, 40);
        int32_t target = 3;
        double loss = 0;
        x[17] = NAN;
        p.cpu[i]->cross_entropy(p.cpu[i], &loss, &t, &target, NULL, false, 0);
        assert_true(isnan(loss));
    }
    close_pair(&p);
}

static void test_adamw(void **state)
{
    (void)state;
    struct pair p = open_pair();
    enum { N = 1003 };
    struct rng r = rng_make(27, 0, 0);
    struct tensor p0 = random_f32(1, N, 0, 1, &r), m0 = random_f32(1, N, 0, 0.1, &r);
    struct tensor v0 = random_f32(1, N, 0, 0.1, &r), g = random_f32(1, N, 0, 1, &r);
    for (int i = 0; i < N; i++)
        ((float *)v0.data)[i] = fabsf(((float *)v0.data)[i]);
    struct tensor wp = copy_f32(&p0), wm = copy_f32(&m0), wv = copy_f32(&v0);
    struct adamw a = {0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f, 0};
    for (a.step = 1; a.step <= 5; a.step++)
        p.ref->adamw(p.ref, wp.data, g.data, wm.data, wv.data, N, &a);
    for (int i = 0; i < p.n; i++) {
        struct tensor gp = copy_f32(&p0), gm = copy_f32(&m0), gv = copy_f32(&v0);
        for (a.step = 1; a.step <= 5; a.step++)
            p.cpu[i]->adamw(p.cpu[i], gp.data, g.data, gm.data, gv.data, N, &a);
        check_near("adamw's p", p.cpu[i], &gp, &wp, 5 * 4 * EPS, 0);
        check_near("adamw's m", p.cpu[i], &gm, &wm, 5 * 2 * EPS, 0);
        check_near("adamw's v", p.cpu[i], &gv, &wv, 5 * 2 * EPS, 0);
        struct tensor all[] = {gp, gm, gv};
        free_all(all, 3);
    }
    struct tensor all[] = {p0, m0, v0, g, wp, wm, wv};
    free_all(all, COUNT(all));
    close_pair(&p);
}

static void test_sum_squares(void **state)
{
    (void)state;
    struct pair p = open_pair();
    struct rng r = rng_make(28, 0, 0);
    struct tensor x = random_f32(1, 200001, 0, 1, &r);
    static const size_t sizes[] = {0, 1, 17, 1000, 200001};
    for (int s = 0; s < COUNT(sizes); s++) {
        double want = p.ref->sum_squares(p.ref, x.data, sizes[s]), first = 0;
        for (int i = 0; i < p.n; i++) {
            double got = p.cpu[i]->sum_squares(p.cpu[i], x.data, sizes[s]);
            assert_true(fabs(got - want) <= 2 * EPS * want);
            if (i % 2 == 0)
                first = got;
            else
                assert_true(got == first); /* the same by 1 and 2 threads */
        }
    }
    mem_free(x.data);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),       cmocka_unit_test(test_rope),
        cmocka_unit_test(test_exp),           cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_moving_rows),   cmocka_unit_test(test_copy_converts),
        cmocka_unit_test(test_cross_entropy), cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_sum_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
