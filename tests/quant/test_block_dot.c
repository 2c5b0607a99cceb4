/* Products with blocks: the portable version against dequantized weights times the same rounded
 * activations, the vector versions against the portable one, and that a value depends on its own
 * two rows alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/tensor/cpu/block_dot_impl.h"

static const enum dtype types[] = {DT_Q4_0, DT_Q5_0, DT_Q8_0, DT_Q4_K, DT_Q6_K};
enum { N_TYPES = 5 };

static void *take(size_t n)
{
    void *p = mem_new(n, 1, NULL);
    assert_non_null(p);
    return p;
}

/* Any bytes are valid blocks but for their half-precision scales, which are drawn near 0.01. */
static uint8_t *random_weights(enum dtype t, int64_t n_rows, int64_t k, struct rng *r)
{
    const struct dtype_info *in = dtype_info(t);
    size_t n_blocks = (size_t)(n_rows * k / in->block_elems);
    uint8_t *w = take(n_blocks * (size_t)in->block_bytes);
    for (size_t i = 0; i < n_blocks * (size_t)in->block_bytes; i++)
        w[i] = (uint8_t)rng_below(r, 256);
    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t *p = w + b * (size_t)in->block_bytes;
        uint16_t d = f16_from_f32((float)(0.01 * rng_normal(r)));
        uint16_t m = f16_from_f32((float)(0.01 * rng_normal(r)));
        memcpy(t == DT_Q6_K ? p + sizeof(struct block_q6_k) - 2 : p, &d, 2);
        if (t == DT_Q4_K)
            memcpy(p + 2, &m, 2);
    }
    return w;
}

static float *random_x(int64_t n, struct rng *r)
{
    float *x = take((size_t)n * 4);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(rng_normal(r) * (rng_below(r, 50) ? 1 : 20));
    return x;
}

/* The product in double of the dequantized row and the rounded activations; *size gets the sum of
 * the magnitudes, which scales the tolerance. */
static double exact(enum dtype t, const uint8_t *row, const struct act_block *a, int64_t k,
                    double *size)
{
    float *w = take((size_t)k * 4);
    double sum = 0;
    *size = 0;
    dtype_to_f32(t, row, w, (size_t)k);
    for (int64_t i = 0; i < k; i++) {
        double p = (double)w[i] * a[i / 256].d[i % 256 / 32] * a[i / 256].q[i % 256];
        sum += p;
        *size += fabs(p);
    }
    mem_free(w);
    return sum;
}

static void check_type(enum dtype t, int64_t n_rows, int64_t T, int64_t k, struct rng *r)
{
    uint64_t row_bytes;
    assert_true(dtype_row_bytes(t, (uint64_t)k, &row_bytes));
    size_t act_bytes = block_act_bytes(t, k);
    uint8_t *w = random_weights(t, n_rows, k, r), *acts = take((size_t)T * act_bytes);
    float *x = random_x(T * k, r);
    int64_t ld = n_rows + 3;
    float *y = take((size_t)(T * ld) * 4), *z = take((size_t)(T * ld) * 4);
    for (int64_t i = 0; i < T; i++)
        block_act_encode(t, x + i * k, acts + (size_t)i * act_bytes, k);
    block_dot_rows_portable(t, w, n_rows, acts, T, k, y, ld, false);
    for (int64_t n = 0; n < n_rows; n++)
        for (int64_t i = 0; i < T; i++) {
            double size, want;
            want = exact(t, w + (uint64_t)n * row_bytes,
                         (const struct act_block *)(acts + (size_t)i * act_bytes), k, &size);
            assert_true(fabs(y[i * ld + n] - want) <= 1e-6 * size);
        }
    for (int isa = BLOCK_AVX2; isa <= BLOCK_AVX512; isa++) {
        if (!block_dot_rows_isa((enum block_isa)isa, t, w, n_rows, acts, T, k, z, ld, false))
            continue;
        for (int64_t n = 0; n < n_rows; n++)
            for (int64_t i = 0; i < T; i++) {
                double size;
                exact(t, w + (uint64_t)n * row_bytes,
                      (const struct act_block *)(acts + (size_t)i * act_bytes), k, &size);
                assert_true(fabs((double)z[i * ld + n] - y[i * ld + n]) <= 1e-6 * size);
                /* alone: the same bits; and added to what stands there */
                float one = 0;
                block_dot_rows_isa((enum block_isa)isa, t, w + (uint64_t)n * row_bytes, 1,
                                   acts + (size_t)i * act_bytes, 1, k, &one, 1, true);
                assert_memory_equal(&one, &z[i * ld + n], 4);
                one = 2.5F;
                block_dot_rows_isa((enum block_isa)isa, t, w + (uint64_t)n * row_bytes, 1,
                                   acts + (size_t)i * act_bytes, 1, k, &one, 1, true);
                assert_true(one == 2.5F + z[i * ld + n]);
            }
        for (int64_t i = 0; i < T; i++) /* nothing beside the matrix was touched */
            for (int64_t n = n_rows; n < ld; n++)
                assert_true(z[i * ld + n] == 0);
    }
    mem_free(w);
    mem_free(acts);
    mem_free(x);
    mem_free(y);
    mem_free(z);
}

static void test_products(void **state)
{
    (void)state;
    struct rng r = rng_make(7, 0, 0);
    static const int64_t shapes[][3] = {{1, 1, 256},   {3, 1, 768},  {5, 7, 512},
                                        {2, 19, 1024}, {7, 67, 256}, {4, 8, 2048}};
    for (int i = 0; i < N_TYPES; i++)
        for (int s = 0; s < 6; s++)
            check_type(types[i], shapes[s][0], shapes[s][1], shapes[s][2], &r);
    static const int64_t odd[] = {32, 64, 96, 224, 288, 480, 896, 992};
    for (int i = 0; i < 3; i++)
        for (int s = 0; s < 8; s++)
            check_type(types[i], 3, 9, odd[s], &r);
}

/* The largest integers that a file can make: no version may wrap or saturate. */
static void test_extremes(void **state)
{
    (void)state;
    enum { K = 512 };
    for (int i = 0; i < N_TYPES; i++)
        for (int fill = 0; fill < 4; fill++) {
            enum dtype t = types[i];
            const struct dtype_info *in = dtype_info(t);
            uint64_t bytes;
            assert_true(dtype_row_bytes(t, K, &bytes));
            uint8_t *w = take(bytes), *act = take(block_act_bytes(t, K));
            memset(w, fill & 1 ? 0xFF : 0x80, bytes);
            uint16_t d = f16_from_f32(0.5F);
            for (size_t b = 0; b < bytes; b += (size_t)in->block_bytes) {
                memcpy(w + b + (t == DT_Q6_K ? sizeof(struct block_q6_k) - 2 : 0), &d, 2);
                if (t == DT_Q4_K)
                    memcpy(w + b + 2, &d, 2);
            }
            float x[K];
            for (int j = 0; j < K; j++)
                x[j] = fill & 2 ? -127 : 127;
            block_act_encode(t, x, act, K);
            double size, want = exact(t, w, (const struct act_block *)act, K, &size);
            for (int isa = BLOCK_PORTABLE; isa <= BLOCK_AVX512; isa++) {
                float y;
                if (block_dot_rows_isa((enum block_isa)isa, t, w, 1, act, 1, K, &y, 1, false))
                    assert_true(fabs(y - want) <= 1e-6 * size);
            }
            mem_free(w);
            mem_free(act);
        }
}

static void test_rounding(void **state)
{
    (void)state;
    struct rng r = rng_make(8, 0, 0);
    for (int i = 0; i < N_TYPES; i++) {
        enum dtype t = types[i];
        int64_t k = dtype_info(t)->block_elems == 32 ? 480 : 512;
        float *x = random_x(k, &r);
        x[5] = x[6] = 0;
        struct act_block *a = take(block_act_bytes(t, k));
        memset(a, 0x55, block_act_bytes(t, k));
        block_act_encode(t, x, a, k);
        for (int64_t j = 0; j < k; j++) {
            float d = a[j / 256].d[j % 256 / 32];
            assert_true(fabs(x[j] - (double)d * a[j / 256].q[j % 256]) <= 0.5001 * d);
        }
        for (int64_t j = k; j < (k + 255) / 256 * 256; j++)
            assert_int_equal(a[j / 256].q[j % 256], 0);
        /* zeros, numbers too small for a scale, and what is no number */
        static const float odd[] = {0, 1e-42F, -0.0F};
        for (int o = 0; o < 3; o++) {
            for (int64_t j = 0; j < k; j++)
                x[j] = odd[o];
            block_act_encode(t, x, a, k);
            assert_true(a[0].d[0] == 0 && a[0].q[0] == 0);
        }
        for (int o = 0; o < 2; o++) {
            x[3] = o ? NAN : INFINITY;
            block_act_encode(t, x, a, k);
            uint8_t *w = random_weights(t, 1, k, &r);
            for (int isa = BLOCK_PORTABLE; isa <= BLOCK_AVX512; isa++) {
                float y = 0;
                if (block_dot_rows_isa((enum block_isa)isa, t, w, 1, a, 1, k, &y, 1, false))
                    assert_true(isnan(y));
            }
            mem_free(w);
        }
        mem_free(x);
        mem_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
