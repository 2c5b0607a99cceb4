/* Conversions: every half, bfloat16 and e4m3 value, rounding at every boundary between two
 * neighbours, and the block formats against gguf's reader. */
#include "quant_test.h"

/* The value by its definition. */
static double half_value(unsigned h, int exp_bits, int man_bits, int bias)
{
    unsigned man = h & ((1U << man_bits) - 1), exp = h >> man_bits & ((1U << exp_bits) - 1);
    double sign = h >> (exp_bits + man_bits) & 1 ? -1 : 1;
    return exp ? sign * ldexp(1 + ldexp(man, -man_bits), (int)exp - bias)
               : sign * ldexp(man, 1 - bias - man_bits);
}

static void test_f16_values(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h);
        if ((h & 0x7FFF) > 0x7C00)
            assert_true(isnan(f) && (f16_from_f32(f) & 0x7FFF) > 0x7C00);
        else {
            assert_true((h & 0x7FFF) == 0x7C00 ? isinf(f) : f == half_value(h, 5, 10, 15));
            assert_true(!signbit(f) == !(h & 0x8000));
            assert_int_equal(f16_from_f32(f), h);
        }
    }
}

static void test_bf16_values(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = bf16_to_f32((uint16_t)h);
        if ((h & 0x7FFF) > 0x7F80)
            assert_true(isnan(f) && (bf16_from_f32(f) & 0x7FFF) > 0x7F80);
        else {
            assert_true((h & 0x7FFF) == 0x7F80 ? isinf(f) : f == half_value(h, 8, 7, 127));
            assert_int_equal(bf16_from_f32(f), h);
        }
    }
}

/* Between neighbours h and h + 1 the middle goes to the even one, all else to the nearer. */
static void test_rounding(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7BFF; h++) {
        float a = f16_to_f32((uint16_t)h), b = f16_to_f32((uint16_t)(h + 1)), mid = (a + b) / 2;
        for (int minus = 0; minus < 2; minus++) {
            float s = minus ? -1 : 1;
            unsigned sign = minus ? 0x8000 : 0;
            assert_int_equal(f16_from_f32(s * mid), sign | (h + (h & 1)));
            assert_int_equal(f16_from_f32(s * nextafterf(mid, 0)), sign | h);
            assert_int_equal(f16_from_f32(s * nextafterf(mid, b)), sign | (h + 1));
        }
    }
    assert_int_equal(f16_from_f32(nextafterf(65520, 0)), 0x7BFF);
    assert_int_equal(f16_from_f32(65520), 0x7C00);
    assert_int_equal(f16_from_f32(-1e30F), 0xFC00);
    assert_int_equal(f16_from_f32(1e-40F), 0);
    for (unsigned h = 1; h < 0x7F7F; h++) {
        float a = bf16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)(h + 1));
        float mid = (float)(((double)a + b) / 2);
        assert_int_equal(bf16_from_f32(mid), h + (h & 1));
        assert_int_equal(bf16_from_f32(nextafterf(mid, 0)), h);
        assert_int_equal(bf16_from_f32(-nextafterf(mid, INFINITY)), 0x8000 | (h + 1));
    }
    assert_int_equal(bf16_from_f32(3.4028235e38F), 0x7F80);
}

static void test_f8(void **state)
{
    (void)state;
    size_t n, m;
    float *want = vector_read("f8.f32", &n);
    assert_int_equal(n, 1024);
    for (unsigned b = 0; b < 256; b++) {
        float f = f8_to_f32((uint8_t)b);
        if ((b & 0x7F) == 0x7F)
            assert_true(isnan(f) && isnan(want[b]));
        else
            assert_true(f == want[b] && signbit(f) == signbit(want[b]) && f8_from_f32(f) == b);
    }
    float *x = vector_read("f8_round.f32", &n);
    uint8_t *r = vector_read("f8_round.bin", &m);
    assert_true(m > 1000 && n == 4 * m);
    for (size_t i = 0; i < m; i++)
        assert_int_equal(f8_from_f32(x[i]), r[i]);
    assert_int_equal(f8_from_f32(1e9F), 0x7E); /* saturates, where torch gives NaN */
    assert_int_equal(f8_from_f32(-INFINITY), 0xFE);
    assert_int_equal(f8_from_f32(NAN) & 0x7F, 0x7F);
    mem_free(want);
    mem_free(x);
    mem_free(r);
}

/* The vector reading against the portable one: all values, odd lengths, unaligned. */
static void test_vector_reading(void **state)
{
    (void)state;
    static const enum dtype types[] = {DT_F16, DT_BF16, DT_F8_E4M3};
    uint8_t *src = take(2 * 65536 + 1);
    float *a = take(65536 * 4), *b = take(65536 * 4 + 4);
    for (int i = 0; i < 3; i++) {
        size_t n = types[i] == DT_F8_E4M3 ? 256 : 65536;
        for (size_t v = 0; v < n; v++) {
            uint16_t h = (uint16_t)v;
            if (n == 256)
                src[1 + v] = (uint8_t)v;
            else
                memcpy(src + 1 + 2 * v, &h, 2);
        }
        for (size_t cut = 0; cut < 17; cut++) {
            b[n - cut] = 77;
            dtype_to_f32_portable(types[i], src + 1, a, n - cut);
            dtype_to_f32(types[i], src + 1, b, n - cut);
            for (size_t v = 0; v < n - cut; v++)
                assert_true((isnan(a[v]) && isnan(b[v])) || !memcmp(a + v, b + v, 4));
            assert_true(b[n - cut] == 77);
        }
    }
    mem_free(src);
    mem_free(a);
    mem_free(b);
}

static void test_blocks(void **state)
{
    (void)state;
    static const enum dtype types[] = {DT_Q4_0, DT_Q5_0, DT_Q8_0, DT_Q4_K, DT_Q6_K};
    for (int i = 0; i < 5; i++) {
        char name[64];
        size_t n, m;
        snprintf(name, sizeof name, "decode_%s.bin", dtype_info(types[i])->name);
        uint8_t *raw = vector_read(name, &n);
        snprintf(name, sizeof name, "decode_%s.f32", dtype_info(types[i])->name);
        float *want = vector_read(name, &m), *got = take(m);
        uint64_t bytes;
        assert_true(dtype_row_bytes(types[i], m / 4, &bytes) && bytes == n);
        dtype_to_f32(types[i], raw, got, m / 4);
        for (size_t j = 0; j < m / 4; j++)
            assert_true(fabsf(got[j] - want[j]) <= 2e-7F * fabsf(want[j]) + 1e-9F);
        raw[n / 2] ^= 0x10; /* a broken vector is noticed */
        dtype_to_f32(types[i], raw, got, m / 4);
        assert_int_not_equal(memcmp(got, want, m), 0);
        mem_free(raw);
        mem_free(want);
        mem_free(got);
    }
}

static void test_row_bytes(void **state)
{
    (void)state;
    uint64_t b;
    assert_true(dtype_row_bytes(DT_Q4_K, 512, &b) && b == 288);
    assert_true(dtype_row_bytes(DT_Q8_0, 96, &b) && b == 102);
    assert_false(dtype_row_bytes(DT_Q4_K, 288, &b));
    assert_false(dtype_row_bytes(DT_Q4_0, 31, &b));
    assert_false(dtype_row_bytes(DT_F32, UINT64_MAX / 2, &b));
    assert_false(dtype_row_bytes(DT_NONE, 0, &b));
    assert_int_equal(dtype_from_gguf(12), DT_Q4_K);
    assert_int_equal(dtype_from_gguf(999), DT_NONE);
    assert_int_equal(dtype_from_gguf(0xFFFFFFFF), DT_NONE);
    assert_int_equal(dtype_from_hf("F8_E4M3"), DT_F8_E4M3);
    assert_int_equal(dtype_from_hf("F8_E5M2"), DT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_values), cmocka_unit_test(test_bf16_values),
        cmocka_unit_test(test_rounding),   cmocka_unit_test(test_f8),
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_vector_reading),
        cmocka_unit_test(test_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
