/* Attention: each cpu device against ref, packed and cached; packed against cached. */
#include "tests/tensor/util.h"

struct shape {
    int64_t T, H, G, dk, dv;
};

static const struct shape shapes[] = {
    {1, 1, 1, 1, 1},     {7, 2, 1, 3, 5},      {33, 4, 2, 17, 16}, {70, 3, 3, 16, 33},
    {130, 7, 1, 24, 24}, {200, 2, 2, 64, 128}, {257, 2, 1, 33, 9},
};

/* Documents of 1, 2, 3, ... rows and one long last: starts inside, at and across tiles. */
static int32_t *make_documents(int64_t T, int kind)
{
    int32_t *start = bytes_new(T * 4);
    int64_t len = kind == 0 ? T : kind == 1 ? 1 : 61, at = 0;
    for (int64_t t = 0; t < T; t++) {
        if (t - at >= len) {
            at = t;
            len = kind == 1 ? len + 1 : len + 6;
        }
        start[t] = (int32_t)at;
    }
    return start;
}

struct operands {
    struct attn_dims a;
    struct tensor q, k, v, dout;
    int32_t *start;
};

static struct operands make_operands(const struct shape *s, int documents)
{
    struct rng r = rng_make(11, (uint64_t)s->T, (uint64_t)(s->H * 1000 + s->dk));
    struct operands o = {
        .a = {.n_heads = s->H,
              .n_kv_heads = s->G,
              .dk = s->dk,
              .dv = s->dv,
              .scale = (float)(1.5 / sqrt((double)s->dk))},
        .q = random_f32(s->T, s->H * s->dk, 3, 1, &r),
        .k = random_f32(s->T, s->G * s->dk, 1, 1, &r),
        .v = random_f32(s->T, s->G * s->dv, 2, 1, &r),
        .dout = random_f32(s->T, s->H * s->dv, 5, 1, &r),
        .start = make_documents(s->T, documents),
    };
    return o;
}

static void operands_free(struct operands *o)
{
    mem_free(o->q.data);
    mem_free(o->k.data);
    mem_free(o->v.data);
    mem_free(o->dout.data);
    mem_free(o->start);
}

static void check_packed(const struct shape *s, int documents)
{
    struct operands o = make_operands(s, documents);
    struct rng r = rng_make(12, 0, 0);
    struct device *ref = open_ref(), *cpu[6];
    struct tensor out = random_f32(s->T, s->H * s->dv, 1, 1, &r);
    struct tensor lse = random_f32(s->T, s->H, 0, 1, &r);
    ref->attention(ref, &out, lse.data, &o.q, &o.k, &o.v, o.start, &o.a);
    struct tensor g0[3] = {random_f32(s->T, s->H * s->dk, 2, 1, &r),
                           random_f32(s->T, s->G * s->dk, 3, 1, &r),
                           random_f32(s->T, s->G * s->dv, 1, 1, &r)};
    struct tensor want[3] = {copy_f32(&g0[0]), copy_f32(&g0[1]), copy_f32(&g0[2])};
    ref->attention_grad(ref, &want[0], &want[1], &want[2], &o.dout, &o.q, &o.k, &o.v, &out,
                        lse.data, o.start, &o.a);
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        struct tensor got = copy_f32(&g0[0]), got_lse = copy_f32(&lse);
        mem_free(got.data);
        got = random_f32(s->T, s->H * s->dv, 1, 1, &r);
        cpu[i]->attention(cpu[i], &got, got_lse.data, &o.q, &o.k, &o.v, o.start, &o.a);
        check_near("attention", cpu[i], &got, &out, 2e-6, 1e-5);
        check_near("attention's lse", cpu[i], &got_lse, &lse, 2e-6, 1e-6);
        struct tensor again = copy_f32(&got), g[3];
        cpu[i]->attention(cpu[i], &again, NULL, &o.q, &o.k, &o.v, o.start, &o.a);
        assert_true(same_bits(&again, &got));
        for (int twice = 0; twice < 2; twice++) {
            struct tensor h[3] = {copy_f32(&g0[0]), copy_f32(&g0[1]), copy_f32(&g0[2])};
            cpu[i]->attention_grad(cpu[i], &h[0], &h[1], &h[2], &o.dout, &o.q, &o.k, &o.v, &out,
                                   lse.data, o.start, &o.a);
            for (int j = 0; j < 3; j++) {
                if (twice == 0) {
                    g[j] = h[j];
                    static const char *const names[] = {"dq", "dk", "dv"};
                    check_near(names[j], cpu[i], &h[j], &want[j], 1e-5, 1e-5);
                } else {
                    assert_true(same_bits(&g[j], &h[j]));
                    mem_free(h[j].data);
                    mem_free(g[j].data);
                }
            }
        }
        mem_free(got.data);
        mem_free(got_lse.data);
        mem_free(again.data);
    }
    close_all(cpu, n);
    device_close(ref);
    for (int j = 0; j < 3; j++) {
        mem_free(g0[j].data);
        mem_free(want[j].data);
    }
    mem_free(out.data);
    mem_free(lse.data);
    operands_free(&o);
}

static void test_packed(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(shapes); i++)
        for (int documents = 0; documents < 3; documents++)
            check_packed(&shapes[i], documents);
}

/* A document packed among others gives what it gives alone. */
static void test_documents_do_not_see_each_other(void **state)
{
    (void)state;
    struct shape s = {150, 2, 1, 16, 16};
    struct operands o = make_operands(&s, 2);
    struct rng r = rng_make(13, 0, 0);
    struct device *cpu;
    assert_int_equal(device_open("cpu", 1, &cpu, NULL), ERR_OK);
    struct tensor out = random_f32(s.T, 32, 0, 1, &r), alone = random_f32(s.T, 32, 0, 1, &r);
    cpu->attention(cpu, &out, NULL, &o.q, &o.k, &o.v, o.start, &o.a);
    int32_t zeros[150] = {0};
    for (int64_t t = 0, end; t < s.T; t = end) {
        for (end = t; end < s.T && o.start[end] == t; end++)
            ;
        struct tensor qv = tensor_rows_view(&o.q, t, end - t);
        struct tensor kv = tensor_rows_view(&o.k, t, end - t);
        struct tensor vv = tensor_rows_view(&o.v, t, end - t);
        struct tensor av = tensor_rows_view(&alone, t, end - t);
        cpu->attention(cpu, &av, NULL, &qv, &kv, &vv, zeros, &o.a);
    }
    check_near("a document alone", cpu, &out, &alone, 1e-6, 1e-6);
    device_close(cpu);
    mem_free(out.data);
    mem_free(alone.data);
    operands_free(&o);
}

/* Spans that end at the row itself make cached attention what packed attention is. */
static struct attn_span *make_spans(const struct operands *o, int64_t T)
{
    struct attn_span *spans = bytes_new(T * (int64_t)sizeof *spans);
    for (int64_t t = 0; t < T; t++)
        spans[t] = (struct attn_span){.k = (float *)o->k.data + o->start[t] * o->k.ld,
                                      .v = (float *)o->v.data + o->start[t] * o->v.ld,
                                      .n = t - o->start[t] + 1};
    return spans;
}

static void check_cached(const struct shape *s, int documents)
{
    struct operands o = make_operands(s, documents);
    struct rng r = rng_make(14, 0, 0);
    struct attn_span *spans = make_spans(&o, s->T);
    o.a.ld_k = o.k.ld;
    o.a.ld_v = o.v.ld;
    struct device *ref = open_ref(), *cpu[6];
    struct tensor packed = random_f32(s->T, s->H * s->dv, 0, 1, &r), want = copy_f32(&packed);
    ref->attention(ref, &packed, NULL, &o.q, &o.k, &o.v, o.start, &o.a);
    ref->attention_cached(ref, &want, &o.q, spans, &o.a);
    assert_true(same_bits(&want, &packed));
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        struct tensor got = random_f32(s->T, s->H * s->dv, 1, 1, &r);
        struct tensor one = random_f32(s->T, s->H * s->dv, 1, 1, &r);
        cpu[i]->attention_cached(cpu[i], &got, &o.q, spans, &o.a);
        check_near("attention_cached", cpu[i], &got, &want, 2e-6, 1e-5);
        for (int64_t t = 0, len = 1; t < s->T; t += len, len = len % 5 + 1) {
            len = t + len > s->T ? s->T - t : len;
            struct tensor qv = tensor_rows_view(&o.q, t, len), yv = tensor_rows_view(&one, t, len);
            cpu[i]->attention_cached(cpu[i], &yv, &qv, spans + t, &o.a);
        }
        assert_true(same_bits(&one, &got));
        mem_free(got.data);
        mem_free(one.data);
    }
    close_all(cpu, n);
    device_close(ref);
    mem_free(packed.data);
    mem_free(want.data);
    mem_free(spans);
    operands_free(&o);
}

static void test_cached(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(shapes); i++)
        for (int documents = 0; documents < 3; documents++)
            check_cached(&shapes[i], documents);
}

/* MLA's absorbed form: one key head, the values are the keys' first columns. */
static void test_values_within_keys(void **state)
{
    (void)state;
    enum { T = 300, H = 19, DK = 40, DV = 32 };
    struct rng r = rng_make(15, 0, 0);
    struct tensor q = random_f32(2, H * DK, 0, 1, &r), c = random_f32(T, DK, 0, 1, &r);
    struct attn_dims a = {
        .n_heads = H, .n_kv_heads = 1, .dk = DK, .dv = DV, .ld_k = DK, .ld_v = DK, .scale = 0.2f};
    struct attn_span spans[2] = {{c.data, c.data, T},
                                 {(float *)c.data + 7 * DK, (float *)c.data + 7 * DK, 129}};
    struct tensor want = random_f32(2, H * DV, 0, 1, &r), got = copy_f32(&want);
    struct device *ref = open_ref(), *cpu[6];
    ref->attention_cached(ref, &want, &q, spans, &a);
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        cpu[i]->attention_cached(cpu[i], &got, &q, spans, &a);
        check_near("absorbed attention", cpu[i], &got, &want, 2e-6, 1e-5);
    }
    close_all(cpu, n);
    device_close(ref);
    mem_free(q.data);
    mem_free(c.data);
    mem_free(want.data);
    mem_free(got.data);
}

/* Scores far apart and far from 0 neither overflow nor lose the largest. */
static void test_large_scores(void **state)
{
    (void)state;
    struct shape s = {140, 1, 1, 8, 8};
    struct operands o = make_operands(&s, 0);
    struct rng r = rng_make(16, 0, 0);
    o.a.scale = 300;
    struct tensor want = random_f32(s.T, 8, 0, 1, &r), got = copy_f32(&want);
    struct tensor lse = random_f32(s.T, 1, 0, 1, &r), got_lse = copy_f32(&lse);
    struct device *ref = open_ref(), *cpu[6];
    ref->attention(ref, &want, lse.data, &o.q, &o.k, &o.v, o.start, &o.a);
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        cpu[i]->attention(cpu[i], &got, got_lse.data, &o.q, &o.k, &o.v, o.start, &o.a);
        check_near("large scores", cpu[i], &got, &want, 2e-3, 0); /* scores of 4000: eps 5e-4 */
        check_near("lse of large scores", cpu[i], &got_lse, &lse, 0, 1e-6);
    }
    close_all(cpu, n);
    device_close(ref);
    mem_free(want.data);
    mem_free(got.data);
    mem_free(lse.data);
    mem_free(got_lse.data);
    operands_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed),       cmocka_unit_test(test_documents_do_not_see_each_other),
        cmocka_unit_test(test_cached),       cmocka_unit_test(test_values_within_keys),
        cmocka_unit_test(test_large_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
