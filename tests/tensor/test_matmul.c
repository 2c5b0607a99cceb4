/* Products: each cpu device against ref, rowwise to the bit, deterministic. */
#include "tests/tensor/util.h"

/* ---- weights of every type */

/* Block bytes at random with tame scales: any bytes are valid blocks. */
static struct tensor random_blocks(enum dtype t, int64_t rows, int64_t cols, struct rng *r)
{
    uint64_t row_bytes;
    assert_true(dtype_row_bytes(t, (uint64_t)cols, &row_bytes));
    uint8_t *p = bytes_new(rows * (int64_t)row_bytes);
    for (int64_t i = 0; i < rows * (int64_t)row_bytes; i++)
        p[i] = (uint8_t)rng_u64(r);
    int size = dtype_info(t)->block_bytes;
    for (int64_t i = 0; i < rows * (int64_t)row_bytes / size; i++) {
        uint16_t d = f16_from_f32((float)(0.001 * (1 + rng_uniform(r))));
        uint8_t *b = p + i * size;
        memcpy(t == DT_Q6_K ? b + size - 2 : b, &d, 2);
        if (t == DT_Q4_K)
            memcpy(b + 2, &d, 2);
    }
    return tensor_2d(t, p, rows, cols);
}

/* FP8 with scales of blocks of 8 rows x 32 columns, or 5 where rows are not whole in 32s. */
static struct tensor random_f8(int64_t rows, int64_t cols, struct rng *r)
{
    struct tensor f = random_f32(rows, cols, 0, 30, r), w = as_dtype(&f, DT_F8_E4M3);
    mem_free(f.data);
    w.scale_rows = 8;
    w.scale_cols = cols % 32 ? 5 : 32;
    w.scale_ld = (cols + w.scale_cols - 1) / w.scale_cols;
    int64_t n = (rows + 7) / 8 * w.scale_ld;
    float *s = bytes_new(n * 4);
    for (int64_t i = 0; i < n; i++)
        s[i] = (float)(0.01 + 0.05 * rng_uniform(r));
    w.scale = s;
    return w;
}

static struct tensor random_weights(enum dtype t, int64_t rows, int64_t cols, struct rng *r)
{
    if (dtype_info(t)->block_elems > 1)
        return random_blocks(t, rows, cols, r);
    if (t == DT_F8_E4M3)
        return random_f8(rows, cols, r);
    struct tensor f = random_f32(rows, cols, t == DT_F32 ? 5 : 0, 1, r);
    if (t == DT_F32)
        return f;
    struct tensor w = as_dtype(&f, t);
    mem_free(f.data);
    return w;
}

static void weights_free(struct tensor *w)
{
    mem_free(w->data);
    mem_free((void *)w->scale);
}

/* Largest error of y = x w^T (+ before) in units of the header's tolerance. */
static double product_error(const struct tensor *got, const struct tensor *want,
                            const struct tensor *x, const struct tensor *w, double extra)
{
    int64_t cols = tensor_cols(w);
    float *row = bytes_new(cols * 4 + 4);
    double worst_error = 0;
    for (int64_t n = 0; n < tensor_rows(w); n++) {
        tensor_row_f32(w, n, row);
        for (int64_t t = 0; t < tensor_rows(x); t++) {
            double terms = extra;
            for (int64_t k = 0; k < cols; k++)
                terms += fabs((double)row[k] * at_f32(x, t, k));
            double tol = 4 * EPS * sqrt((double)cols) * terms;
            double e = fabs((double)at_f32(got, t, n) - at_f32(want, t, n)) / tol;
            if (!(e <= worst_error))
                worst_error = isnan(e) ? INFINITY : e;
        }
    }
    mem_free(row);
    return worst_error;
}

static const enum dtype all_types[] = {DT_F32,  DT_F16,  DT_BF16, DT_F8_E4M3, DT_Q4_0,
                                       DT_Q5_0, DT_Q8_0, DT_Q4_K, DT_Q6_K};

static void check_matmul(enum dtype dtype, int64_t T, int64_t N, int64_t K, unsigned flags,
                         bool with_bias)
{
    struct rng r = rng_make(1, (uint64_t)(T * 1000 + N), (uint64_t)K * 100 + dtype);
    struct tensor x = random_f32(T, K, 3, 1, &r), w = random_weights(dtype, N, K, &r);
    struct tensor y0 = random_f32(T, N, 2, 1, &r), bias = random_f32(1, N, 0, 1, &r);
    struct tensor bias16 = as_dtype(&bias, DT_BF16);
    struct tensor *b = with_bias ? dtype == DT_BF16 ? &bias16 : &bias : NULL;
    struct device *ref = open_ref(), *cpu[6];
    struct tensor want = copy_f32(&y0);
    ref->matmul(ref, &want, &x, &w, b, flags);
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        struct tensor got = copy_f32(&y0);
        cpu[i]->matmul(cpu[i], &got, &x, &w, b, flags);
        double e = product_error(&got, &want, &x, &w, 3);
        if (!(e <= 1))
            fail_msg("%s T=%d N=%d K=%d flags %u on %s: %g times the tolerance",
                     dtype_info(dtype)->name, (int)T, (int)N, (int)K, flags, device_label(cpu[i]),
                     e);
        for (int64_t t = 0; t + 1 < T; t++) /* nothing between the rows was written */
            assert_true(isnan(((float *)got.data)[t * got.ld + N]));
        mem_free(got.data);
    }
    close_all(cpu, n);
    device_close(ref);
    mem_free(want.data);
    mem_free(x.data);
    mem_free(y0.data);
    mem_free(bias.data);
    mem_free(bias16.data);
    weights_free(&w);
}

static void test_matmul(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{1, 1, 1},    {1, 17, 33},  {3, 33, 17},   {17, 257, 3},
                                        {33, 3, 257}, {5, 64, 128}, {70, 19, 600}, {2, 12, 1030}};
    for (int i = 0; i < COUNT(shapes); i++)
        for (int t = 0; t < COUNT(all_types); t++) {
            int64_t unit = dtype_info(all_types[t])->block_elems;
            int64_t K = (shapes[i][2] + unit - 1) / unit * unit;
            check_matmul(all_types[t], shapes[i][0], shapes[i][1], K, MATMUL_ROWWISE, i & 1);
            check_matmul(all_types[t], shapes[i][0], shapes[i][1], K, i & 1 ? MATMUL_ADD : 0,
                         i & 2);
        }
    check_matmul(DT_BF16, 3, 33, 70, MATMUL_ROWWISE | MATMUL_ADD, true);
    check_matmul(DT_F8_E4M3, 3, 33, 300, MATMUL_ROWWISE | MATMUL_ADD, true);
    check_matmul(DT_Q8_0, 3, 33, 96, MATMUL_ADD, true);
}

/* Equal terms, whose errors all have one sign: the longest rows of R1 keep the precision that
 * device.h promises. */
static void test_long_rows_of_fp8(void **state)
{
    (void)state;
    enum { N = 17 };
    static const int64_t K[] = {2048, 7168, 18432};
    struct rng r = rng_make(5, 0, 0);
    struct device *ref = open_ref(), *cpu[6];
    int n = open_all_cpus(cpu);
    for (int k = 0; k < COUNT(K); k++) {
        struct tensor x = random_f32(1, K[k], 0, 1, &r), y = random_f32(1, N, 0, 1, &r);
        struct tensor want = copy_f32(&y), w = tensor_2d(DT_F8_E4M3, bytes_new(N * K[k]), N, K[k]);
        for (int v = 0; v < 20; v++) {
            for (int64_t i = 0; i < K[k]; i++)
                ((float *)x.data)[i] = 0.1f + 0.0173f * (float)v;
            memset(w.data, 0x38 + v % 7, (size_t)(N * K[k]));
            ref->matmul(ref, &want, &x, &w, NULL, MATMUL_ROWWISE);
            for (int i = 0; i < n; i++) {
                cpu[i]->matmul(cpu[i], &y, &x, &w, NULL, MATMUL_ROWWISE);
                double e = product_error(&y, &want, &x, &w, 0);
                if (!(e <= 1))
                    fail_msg("K=%d on %s: %g times the tolerance", (int)K[k], device_label(cpu[i]),
                             e);
            }
        }
        mem_free(x.data);
        mem_free(y.data);
        mem_free(want.data);
        mem_free(w.data);
    }
    close_all(cpu, n);
    device_close(ref);
}

static void test_no_rows(void **state)
{
    (void)state;
    struct rng r = rng_make(2, 0, 0);
    struct device *cpu[6];
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++)
        for (int t = 0; t < COUNT(all_types); t++) {
            struct tensor w = random_weights(all_types[t], 8, 256, &r);
            struct tensor x = random_f32(0, 256, 0, 1, &r), y = random_f32(0, 8, 0, 1, &r);
            cpu[i]->matmul(cpu[i], &y, &x, &w, NULL, 0);
            cpu[i]->matmul(cpu[i], &y, &x, &w, NULL, MATMUL_ROWWISE);
            if (dtype_info(all_types[t])->block_elems == 1) {
                cpu[i]->matmul_dx(cpu[i], &x, &y, &w, 0);
                cpu[i]->matmul_dx(cpu[i], &x, &y, &w, MATMUL_ROWWISE);
            }
            if (all_types[t] == DT_F32) {
                struct tensor before = copy_f32(&w);
                cpu[i]->matmul_dw(cpu[i], &w, NULL, &y, &x);
                assert_true(same_bits(&before, &w));
                mem_free(before.data);
            }
            mem_free(x.data);
            mem_free(y.data);
            weights_free(&w);
        }
    close_all(cpu, n);
}

/* Row t alone, in batches of 1 .. 70 and in any split: the same bits, whatever the threads. */
static void check_rowwise(struct device *d, enum dtype dtype, int64_t N, int64_t K, bool dx)
{
    enum { T = 70 };
    struct rng r = rng_make(3, (uint64_t)N, (uint64_t)K + 10 * dtype);
    struct tensor w = random_weights(dtype, N, K, &r);
    int64_t n_in = dx ? N : K, n_out = dx ? K : N;
    struct tensor x = random_f32(T, n_in, 1, 1, &r), all = random_f32(T, n_out, 0, 1, &r);
    struct tensor y = random_f32(T, n_out, 3, 1, &r);
    for (int64_t len = T; len >= 1; len = len > 17 ? len / 2 : len > 3 ? len - 4 : len - 1)
        for (int64_t first = 0; first < T; first += len) {
            int64_t n = T - first < len ? T - first : len;
            struct tensor xv = tensor_rows_view(&x, first, n), yv = tensor_rows_view(&y, 0, n);
            if (dx)
                d->matmul_dx(d, &yv, &xv, &w, MATMUL_ROWWISE);
            else
                d->matmul(d, &yv, &xv, &w, NULL, MATMUL_ROWWISE);
            struct tensor want = tensor_rows_view(&all, first, n);
            if (len == T)
                for (int64_t t = 0; t < T; t++)
                    memcpy((float *)all.data + t * all.ld, (float *)y.data + t * y.ld,
                           (size_t)n_out * 4);
            else if (!same_bits(&yv, &want))
                fail_msg("%s%s: rows %d of %d differ in a batch of %d on %s", dx ? "dx " : "",
                         dtype_info(dtype)->name, (int)first, T, (int)n, device_label(d));
        }
    mem_free(x.data);
    mem_free(y.data);
    mem_free(all.data);
    weights_free(&w);
}

static void test_rowwise_to_the_bit(void **state)
{
    (void)state;
    struct device *cpu[6];
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        for (int t = 0; t < COUNT(all_types); t++)
            check_rowwise(cpu[i], all_types[t], 19, t & 1 ? 512 : 768, false);
        check_rowwise(cpu[i], DT_F32, 40, 1031, false);
        check_rowwise(cpu[i], DT_BF16, 130, 77, false);
        check_rowwise(cpu[i], DT_F8_E4M3, 33, 600, false);
        check_rowwise(cpu[i], DT_F32, 67, 131, true);
        check_rowwise(cpu[i], DT_F8_E4M3, 67, 131, true);
        check_rowwise(cpu[i], DT_BF16, 130, 600, true);
    }
    close_all(cpu, n);
}

/* Rows of a matrix from any row on: the FP8 scales follow. */
static void check_views_of_rows(int64_t K)
{
    struct rng r = rng_make(4, (uint64_t)K, 0);
    struct tensor w = random_f8(29, K, &r), x = random_f32(3, K, 0, 1, &r);
    struct tensor y = random_f32(3, 29, 0, 1, &r), part = random_f32(3, 29, 0, 1, &r);
    struct device *all[7];
    int n = open_all_cpus(all);
    all[n++] = open_ref();
    for (int i = 0; i < n; i++) {
        struct device *d = all[i];
        d->matmul(d, &y, &x, &w, NULL, MATMUL_ROWWISE);
        for (int64_t first = 0; first < 29; first += 5) {
            int64_t rows = 29 - first < 7 ? 29 - first : 7;
            struct tensor wv = tensor_rows_view(&w, first, rows), yv = part;
            yv.shape[1] = rows;
            d->matmul(d, &yv, &x, &wv, NULL, MATMUL_ROWWISE);
            for (int64_t t = 0; t < 3; t++)
                for (int64_t j = 0; j < rows; j++)
                    assert_true(at_f32(&yv, t, j) == at_f32(&y, t, first + j));
        }
    }
    close_all(all, n);
    weights_free(&w);
    mem_free(x.data);
    mem_free(y.data);
    mem_free(part.data);
}

static void test_views_of_rows(void **state)
{
    (void)state;
    check_views_of_rows(37);
    check_views_of_rows(96);
}

/* ---- backward products */

static void check_backward(enum dtype dtype, int64_t T, int64_t N, int64_t K)
{
    struct rng r = rng_make(5, (uint64_t)(T * 1000 + N), (uint64_t)K * 100 + dtype);
    struct tensor x = random_f32(T, K, 3, 1, &r), dy = random_f32(T, N, 1, 1, &r);
    struct tensor w = random_weights(dtype, N, K, &r);
    struct tensor dx0 = random_f32(T, K, 2, 1, &r), dw0 = random_f32(N, K, 4, 1, &r);
    struct tensor db0 = random_f32(1, N, 0, 1, &r);
    struct device *ref = open_ref(), *cpu[6];
    struct tensor want[3], dw = copy_f32(&dw0), db = copy_f32(&db0);
    static const unsigned flags[3] = {0, MATMUL_ADD, MATMUL_ADD | MATMUL_ROWWISE};
    for (int f = 0; f < 3; f++) {
        want[f] = copy_f32(&dx0);
        ref->matmul_dx(ref, &want[f], &dy, &w, flags[f]);
    }
    ref->matmul_dw(ref, &dw, &db, &dy, &x);
    int n = open_all_cpus(cpu);
    double terms =
        4 * 4 * EPS; /* standard normal factors: 4 eps sqrt(k) * k * E|x||w|, rounded up */
    for (int i = 0; i < n; i++) {
        for (int f = 0; f < 3; f++) {
            struct tensor got = copy_f32(&dx0);
            cpu[i]->matmul_dx(cpu[i], &got, &dy, &w, flags[f]);
            check_near("matmul_dx", cpu[i], &got, &want[f], terms * pow((double)N + 2, 1.5), 0);
            mem_free(got.data);
        }
        struct tensor gw = copy_f32(&dw0), gb = copy_f32(&db0);
        cpu[i]->matmul_dw(cpu[i], &gw, &gb, &dy, &x);
        check_near("matmul_dw", cpu[i], &gw, &dw, terms * pow((double)T + 2, 1.5), 0);
        check_near("matmul_dw's db", cpu[i], &gb, &db, terms * pow((double)T + 2, 1.5), 0);
        mem_free(gw.data);
        mem_free(gb.data);
    }
    close_all(cpu, n);
    device_close(ref);
    for (int f = 0; f < 3; f++)
        mem_free(want[f].data);
    mem_free(x.data);
    mem_free(dy.data);
    mem_free(dx0.data);
    mem_free(dw0.data);
    mem_free(db0.data);
    mem_free(dw.data);
    mem_free(db.data);
    weights_free(&w);
}

static void test_backward(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {
        {1, 1, 1}, {1, 33, 257}, {17, 70, 33}, {3, 257, 17}, {130, 40, 64}};
    for (int i = 0; i < COUNT(shapes); i++)
        for (int t = 0; t < 4; t++)
            check_backward(all_types[t], shapes[i][0], shapes[i][1], shapes[i][2]);
}

/* Weights that are converted tile by tile: more than one tile, with an odd last one. */
static void test_large_converted_weights(void **state)
{
    (void)state;
    enum { T = 2, N = 1030, K = 1025 };
    struct rng r = rng_make(6, 0, 0);
    struct tensor w = random_weights(DT_BF16, N, K, &r), x = random_f32(T, K, 0, 1, &r);
    struct tensor y = random_f32(T, N, 0, 1, &r), want = copy_f32(&y);
    struct tensor dx = random_f32(T, K, 0, 1, &r), want_dx = copy_f32(&dx);
    struct device *ref = open_ref(), *cpu;
    ref->matmul(ref, &want, &x, &w, NULL, 0);
    ref->matmul_dx(ref, &want_dx, &want, &w, 0);
    assert_int_equal(device_open("cpu", 2, &cpu, NULL), ERR_OK);
    cpu->matmul(cpu, &y, &x, &w, NULL, 0);
    assert_true(product_error(&y, &want, &x, &w, 0) <= 1);
    cpu->matmul_dx(cpu, &dx, &want, &w, 0);
    check_near("tiled dx", cpu, &dx, &want_dx, 4 * EPS * sqrt(N) * N * 32, 0);
    device_close(cpu);
    device_close(ref);
    mem_free(x.data);
    mem_free(y.data);
    mem_free(want.data);
    mem_free(dx.data);
    mem_free(want_dx.data);
    weights_free(&w);
}

static void test_same_bits_twice(void **state)
{
    (void)state;
    struct rng r = rng_make(7, 0, 0);
    struct tensor x = random_f32(65, 300, 0, 1, &r), w = random_f32(130, 300, 0, 1, &r);
    struct tensor y = random_f32(65, 130, 0, 1, &r), dw = random_f32(130, 300, 0, 0, &r);
    struct device *cpu[6];
    int n = open_all_cpus(cpu);
    for (int i = 0; i < n; i++) {
        struct tensor a = copy_f32(&y), b = copy_f32(&y), wa = copy_f32(&dw), wb = copy_f32(&dw);
        cpu[i]->matmul(cpu[i], &a, &x, &w, NULL, 0);
        cpu[i]->matmul(cpu[i], &b, &x, &w, NULL, 0);
        assert_true(same_bits(&a, &b));
        cpu[i]->matmul_dw(cpu[i], &wa, NULL, &a, &x);
        cpu[i]->matmul_dw(cpu[i], &wb, NULL, &b, &x);
        assert_true(same_bits(&wa, &wb));
        mem_free(a.data);
        mem_free(b.data);
        mem_free(wa.data);
        mem_free(wb.data);
    }
    close_all(cpu, n);
    mem_free(x.data);
    mem_free(w.data);
    mem_free(y.data);
    mem_free(dw.data);
}

/* The comparison itself: a result off by one weight's last bit in the middle must not pass. */
static void test_a_broken_vector_fails(void **state)
{
    (void)state;
    struct rng r = rng_make(8, 0, 0);
    struct tensor x = random_f32(3, 64, 0, 1, &r), w = random_f32(17, 64, 0, 1, &r);
    struct tensor y = random_f32(3, 17, 0, 1, &r);
    struct device *ref = open_ref();
    ref->matmul(ref, &y, &x, &w, NULL, 0);
    struct tensor broken = copy_f32(&y);
    assert_true(product_error(&broken, &y, &x, &w, 0) <= 1);
    ((float *)broken.data)[20] += 0.01f;
    assert_true(product_error(&broken, &y, &x, &w, 0) > 1);
    assert_true(worst(&broken, &y, 1e-5, 1e-5) > 1);
    assert_false(same_bits(&broken, &y));
    ((float *)broken.data)[20] = NAN;
    assert_true(product_error(&broken, &y, &x, &w, 0) > 1);
    assert_true(worst(&broken, &y, 1e-5, 1e-5) > 1);
    device_close(ref);
    mem_free(x.data);
    mem_free(w.data);
    mem_free(y.data);
    mem_free(broken.data);
}

/* rows of n elements, row_bytes apart, to rows of n + 1 floats, times 0.7. */
static void check_conversion(const struct cpu_kernels *k, enum dtype t, const void *src,
                             int64_t row_bytes, int64_t rows, int64_t n, float *got, float *want)
{
    k->to_f32(t, src, row_bytes, got, n + 1, rows, n, 0.7f);
    for (int64_t i = 0; i < rows; i++) {
        dtype_to_f32(t, (const char *)src + i * row_bytes, want, (size_t)n);
        for (int64_t j = 0; j < n; j++) {
            float x = got[i * (n + 1) + j], y = want[j] * 0.7f;
            if (isnan(y) ? !isnan(x) : memcmp(&x, &y, 4) != 0)
                fail_msg("%s, row %lld of %lld, %lld of %lld: %a, expected %a (%s)",
                         dtype_info(t)->name, (long long)i, (long long)rows, (long long)j,
                         (long long)n, (double)x, (double)y, k->name);
        }
    }
}

/* All 256 values of E4M3 and all f16 and bf16 patterns, converted as the portable reference does.
 */
static void test_conversion_is_exact(void **state)
{
    (void)state;
    const struct cpu_kernels *k[3];
    int n = cpu_kernels_list(k);
    uint16_t *half = bytes_new(65536 * 2);
    uint8_t byte[256 + 16];
    float *got = bytes_new(65536 * 4), *want = bytes_new(65536 * 4);
    for (int i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    for (int i = 0; i < COUNT(byte); i++)
        byte[i] = (uint8_t)i;
    for (int i = 0; i < n; i++) {
        static const enum dtype types[] = {DT_F16, DT_BF16, DT_F8_E4M3};
        for (int t = 0; t < 3; t++) {
            const void *src = types[t] == DT_F8_E4M3 ? (void *)byte : (void *)half;
            int64_t len = types[t] == DT_F8_E4M3 ? 259 : 65533;
            check_conversion(k[i], types[t], src, 0, 1, len, got, want);
        }
        /* FP8 without a NaN among all, and with one in the first or the last row */
        for (int64_t len = 1; len <= 122; len++)
            check_conversion(k[i], DT_F8_E4M3, byte, 1, 5, len, got, want);
        check_conversion(k[i], DT_F8_E4M3, byte + 120, 1, 8, 64, got, want);
        check_conversion(k[i], DT_F8_E4M3, byte + 128, 64, 2, 64, got, want);
    }
    mem_free(half);
    mem_free(got);
    mem_free(want);
}

static void check_transposed(const struct cpu_kernels *k, const uint8_t *src, int64_t row_bytes,
                             int64_t rows, int64_t n, float scale)
{
    enum { LD = 83 };
    float *got = bytes_new((size_t)(n * LD) * 4 + 4);
    for (int64_t i = 0; i < n * LD; i++)
        got[i] = 7;
    k->to_f32_transposed(DT_F8_E4M3, src, row_bytes, got, LD, rows, n, scale);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < LD; i++) {
            float want = i < rows ? f8_to_f32(src[i * row_bytes + j]) * scale : 7;
            float is = got[j * LD + i];
            assert_true(isnan(want) ? isnan(is) : memcmp(&is, &want, sizeof is) == 0);
        }
    mem_free(got);
}

/* Panels of FP8, to the bit: of normal numbers alone, with one zero, denormal or NaN among them,
 * and of all values; scales at both ends of float32. */
static void test_panels_are_exact(void **state)
{
    (void)state;
    enum { ROWS = 67, COLS = 150 };
    static const float scales[] = {1, 0.0173f, -3.1f, 127.9f, 128, 1e30f, 1e-40f};
    static const uint8_t odd_ones[] = {0, 0x80, 1, 0x87, 0x7F, 0xFF};
    const struct cpu_kernels *k[3];
    int n = cpu_kernels_list(k);
    struct rng r = rng_make(21, 0, 0);
    uint8_t *normal = bytes_new(ROWS * COLS), *any = bytes_new(ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++) {
        normal[i] = (uint8_t)(8 + rng_below(&r, 119) + (rng_below(&r, 2) << 7));
        any[i] = (uint8_t)rng_below(&r, 256);
    }
    for (int i = 0; i < n; i++) {
        for (int s = 0; s < COUNT(scales); s++) {
            check_transposed(k[i], normal, COLS, ROWS, COLS, scales[s]);
            check_transposed(k[i], any, COLS, ROWS, COLS, scales[s]);
        }
        for (int64_t rows = 0; rows <= 33; rows++)
            check_transposed(k[i], any, COLS, rows, 3 * rows, 0.5f);
        for (int p = 0; p < 16 * 16 * COUNT(odd_ones); p++) {
            uint8_t *at = normal + p / 16 % 16 * COLS + p % 16, kept = *at;
            *at = odd_ones[p / 256];
            check_transposed(k[i], normal, COLS, 16, 16, 0.3f);
            *at = kept;
        }
    }
    mem_free(normal);
    mem_free(any);
}

static void test_open(void **state)
{
    (void)state;
    struct device *d;
    struct err e = {0};
    assert_int_equal(device_open("tpu", 0, &d, &e), ERR_USAGE);
    assert_null(d);
    assert_non_null(strstr(e.msg, "cpu"));
    assert_int_equal(device_open("cpu", -1, &d, &e), ERR_USAGE);
    assert_int_equal(device_open("cpu", 0, &d, &e), ERR_OK);
    assert_true(d->n_threads >= 1);
    uint8_t *p = d->alloc(d, 10000, &e), buf[3] = {1, 2, 3};
    assert_true((uintptr_t)p % 64 == 0 && p[0] == 0 && p[9999] == 0);
    d->upload(d, p + 7, buf, 3);
    memset(buf, 0, 3);
    d->download(d, buf, p + 7, 3);
    assert_int_equal(buf[2], 3);
    d->zero(d, p, 10000);
    assert_int_equal(p[8], 0);
    d->free(d, p);
    device_close(d);
    device_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_conversion_is_exact),
        cmocka_unit_test(test_panels_are_exact),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_long_rows_of_fp8),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_rowwise_to_the_bit),
        cmocka_unit_test(test_views_of_rows),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_large_converted_weights),
        cmocka_unit_test(test_same_bits_twice),
        cmocka_unit_test(test_a_broken_vector_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
