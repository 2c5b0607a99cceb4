/* Encoders: the bytes of llama.cpp, the same bytes from every version, and what must be refused. */
#include "quant_test.h"
#include "quant/encode.h"

static const enum dtype types[] = {DT_F16, DT_Q8_0, DT_Q4_0, DT_Q5_0, DT_Q4_K, DT_Q6_K};
enum { N_TYPES = 6 };

static void test_same_as_llama_cpp(void **state)
{
    (void)state;
    size_t n;
    float *x = vector_read("encode_x.f32", &n);
    for (int i = 0; i < N_TYPES; i++) {
        char name[64];
        size_t m;
        snprintf(name, sizeof name, "encode_%s.bin", dtype_info(types[i])->name);
        uint8_t *want = vector_read(name, &m), *got = take(m);
        for (int isa = ENCODE_PORTABLE; isa <= ENCODE_AVX2; isa++) {
            memset(got, 0xA5, m);
            if (encode_row_isa((enum encode_isa)isa, types[i], x, got, (int64_t)(n / 4)))
                assert_memory_equal(got, want, m);
        }
        mem_free(want);
        mem_free(got);
    }
    mem_free(x);
}

/* Random rows of every kind of scale, many of them: the versions against each other. */
static void test_versions_agree(void **state)
{
    (void)state;
    enum { K = 2048 };
    struct rng r = rng_make(3, 0, 0);
    float x[K];
    uint8_t a[K * 4], b[K * 4];
    for (int row = 0; row < 150; row++) {
        double scale = pow(10, -(double)rng_below(&r, 30));
        for (int i = 0; i < K; i++) {
            if (row % 3 == 1 && i % 16 == 0)
                scale = pow(10, -(double)rng_below(&r, 40) / 2);
            x[i] = (float)(scale * rng_normal(&r) * (row % 5 || rng_below(&r, 9) == 0)) -
                   (row % 7 == 6 ? 1.0F : 0);
        }
        for (int i = 0; i < N_TYPES; i++) {
            uint64_t bytes;
            assert_true(dtype_row_bytes(types[i], K, &bytes));
            assert_true(encode_row_isa(ENCODE_PORTABLE, types[i], x, a, K));
            for (int isa = ENCODE_AVX2; isa <= ENCODE_AVX2; isa++)
                if (encode_row_isa((enum encode_isa)isa, types[i], x, b, K))
                    assert_memory_equal(a, b, bytes);
        }
    }
}

/* Relative errors on Gaussian weights, as measured for llama.cpp. */
static void test_error(void **state)
{
    (void)state;
    static const double most[] = {0.0004, 0.0075, 0.0870, 0.0440, 0.0725, 0.0190};
    enum { ROWS = 64, K = 1024 };
    struct rng r = rng_make(4, 0, 0);
    float *x = take(ROWS * K * 4);
    for (int i = 0; i < ROWS * K; i++)
        x[i] = (float)(0.02 * rng_normal(&r));
    uint8_t *q = take(ROWS * K * 4), *one = take(K * 4);
    for (int i = 0; i < N_TYPES; i++) {
        struct encode_stats s = {0};
        struct err e = {0};
        uint64_t bytes;
        assert_true(dtype_row_bytes(types[i], K, &bytes));
        assert_int_equal(encode_rows(types[i], x, ROWS, K, q, "t", 0, &s, &e), 0);
        double rel = sqrt(s.err2 / s.ref2);
        assert_true(s.n == ROWS / 8 * K);
        if (!(rel < most[i] && rel > most[i] / 2))
            fail_msg("%s: relative error %g, expected just below %g", dtype_info(types[i])->name,
                     rel, most[i]);
        for (int row = 0; row < ROWS; row += 13) { /* each row stands alone */
            encode_row(types[i], x + row * K, one, K);
            assert_memory_equal(one, q + (uint64_t)row * bytes, bytes);
        }
    }
    mem_free(x);
    mem_free(q);
    mem_free(one);
}

static void test_refused(void **state)
{
    (void)state;
    enum { ROWS = 5, K = 512 };
    float *x = take(ROWS * K * 4);
    uint8_t *q = take(ROWS * K * 4);
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e8F};
    static const char *const word[] = {"NaN", "infinite", "infinite", "too large"};
    for (int i = 0; i < N_TYPES; i++)
        for (int j = 0; j < 4; j++) {
            struct err e = {0};
            for (int k = 0; k < ROWS * K; k++)
                x[k] = 0.01F * (float)(k % 100);
            assert_int_equal(encode_rows(types[i], x, ROWS, K, q, "w", 0, NULL, &e), 0);
            x[3 * K + 17] = x[4 * K] = bad[j];
            assert_int_equal(encode_rows(types[i], x, ROWS, K, q, "blk.1.w", 100, NULL, &e),
                             ERR_FORMAT);
            assert_non_null(strstr(e.msg, "blk.1.w"));
            assert_non_null(strstr(e.msg, "[103, 17]"));
            assert_non_null(strstr(e.msg, word[j]));
        }
    /* the largest that is accepted decodes to something finite */
    static const float most[] = {65504, 8e6F, 5e5F, 1e6F, 4e6F, 1e8F};
    for (int i = 0; i < N_TYPES; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            float back[K];
            for (int k = 0; k < K; k++)
                x[k] = (float)sign * most[i] * (float)(k % 3 - (k % 5 == 0)) / 2;
            assert_int_equal(encode_rows(types[i], x, 1, K, q, "w", 0, NULL, NULL), 0);
            dtype_to_f32(types[i], q, back, K);
            for (int k = 0; k < K; k++)
                assert_true(fabsf(back[k] - x[k]) <= 0.1F * most[i]);
        }
    mem_free(x);
    mem_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_llama_cpp),
        cmocka_unit_test(test_versions_agree),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
