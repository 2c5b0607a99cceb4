/* The generator against its authors' known answers; the distributions drawn from it. */
#include "core/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* Random123 (Salmon et al.), tests/kat_vectors, lines "philox4x32 10": counter, key, result. */
static void known_answers(void **state)
{
    (void)state;
    static const uint32_t kat[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint64_t w[5], out[2];
        for (int k = 0; k < 5; k++)
            w[k] = (uint64_t)kat[i][2 * k + 1] << 32 | kat[i][2 * k];
        rng_block(w[2], w[1], w[0], out);
        assert_true(out[0] == w[3] && out[1] == w[4]);
    }
}

static void words_walk_the_blocks_and_resume(void **state)
{
    (void)state;
    struct rng r = rng_make(1, 2, 3);
    uint64_t out[2], words[10];
    for (int i = 0; i < 10; i++)
        words[i] = rng_u64(&r);
    for (int i = 0; i < 10; i++) {
        rng_block(r.key, r.stream, (uint64_t)i / 2, out);
        assert_true(words[i] == out[i % 2]);
    }
    struct rng again = {.key = r.key, .stream = r.stream, .n = 7};
    assert_true(rng_u64(&again) == words[7]);
}

static void streams_differ(void **state)
{
    (void)state;
    uint64_t first[4 * 4 * 4];
    int n = 0;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (uint64_t a = 0; a < 4; a++)
            for (uint64_t b = 0; b < 4; b++) {
                struct rng r = rng_make(seed, a, b);
                first[n++] = rng_u64(&r);
            }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            assert_true(first[i] != first[j]);
}

static void uniform_numbers_are_uniform(void **state)
{
    (void)state;
    enum { N = 1 << 20, BINS = 64 };
    struct rng r = rng_make(7, 0, 0);
    double sum = 0, chi2 = 0;
    int bins[BINS] = {0};
    for (int i = 0; i < N; i++) {
        double u = rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        bins[(int)(u * BINS)]++;
    }
    for (int i = 0; i < BINS; i++)
        chi2 += pow(bins[i] - N / (double)BINS, 2) / (N / (double)BINS);
    assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N)); /* five standard errors */
    assert_true(chi2 < 63 + 5 * sqrt(2 * 63));
}

static void normal_numbers_are_normal(void **state)
{
    (void)state;
    enum { N = 1 << 19 };
    struct rng r = rng_make(8, 0, 0);
    double m[5] = {0};
    int beyond_2 = 0;
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r), p = 1;
        for (int k = 0; k < 5; k++, p *= x)
            m[k] += p / N;
        beyond_2 += fabs(x) > 2;
    }
    double se = 1 / sqrt(N);
    assert_true(fabs(m[1]) < 5 * se);
    assert_true(fabs(m[2] - 1) < 5 * sqrt(2) * se);
    assert_true(fabs(m[3]) < 5 * sqrt(15) * se);
    assert_true(fabs(m[4] - 3) < 5 * sqrt(96) * se);
    assert_true(fabs(beyond_2 / (double)N - 0.0455003) < 5 * sqrt(0.0434) * se);
}

static void whole_numbers_are_unbiased(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct rng r = rng_make(9, 0, 0);
    int count[7] = {0};
    for (int i = 0; i < N; i++)
        count[rng_below(&r, 7)]++;
    for (int k = 0; k < 7; k++)
        assert_true(fabs(count[k] - N / 7.0) < 5 * sqrt(N * 6.0 / 49));
    assert_int_equal(rng_below(&r, 1), 0);
    /* 3/4 of the range: taken modulo, the lower third would come twice as often. */
    uint64_t n = 3ull << 62;
    int low = 0;
    for (int i = 0; i < N; i++)
        low += rng_below(&r, n) < n / 3;
    assert_true(fabs(low - N / 3.0) < 5 * sqrt(N * 2.0 / 9));
    for (int i = 0; i < 64; i++) {
        uint64_t m = 1ull << i;
        assert_true(rng_below(&r, m) < m);
    }
}

static void hashes_differ(void **state)
{
    (void)state;
    assert_true(rng_hash("a", 1) != rng_hash("b", 1));
    assert_true(rng_hash("", 0) != rng_hash("\0", 1));
    assert_true(rng_hash("prompt", 6) == rng_hash("prompt", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(words_walk_the_blocks_and_resume),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(whole_numbers_are_unbiased),
        cmocka_unit_test(hashes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
