/* Products of the cpu device as shares of what the machine can do, measured in the same run:
 * OpenBLAS called directly, memory read at full speed, multiply-adds in registers. */
#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/tensor/cpu/startup.h"
#include "core/tensor/cpu/cpu.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/peaks.h"

static void fill(float *x, int64_t n)
{
    struct rng r = rng_make(1, (uint64_t)n, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(rng_uniform(&r) - 0.5);
}

struct product {
    struct device *d;
    struct tensor x, w, y;
    unsigned flags;
    int what; /* 0: matmul, 1: dx, 2: dw, 3: sgemm itself */
};

static void run(const struct product *p)
{
    struct tensor y = p->y, x = p->x, w = p->w;
    int m = (int)tensor_rows(&y), n = (int)tensor_cols(&y), k = (int)tensor_cols(&x);
    switch (p->what) {
    case 0:
        p->d->matmul(p->d, &y, &x, &w, NULL, p->flags);
        break;
    case 1:
        p->d->matmul_dx(p->d, &x, &y, &w, p->flags);
        break;
    case 2:
        p->d->matmul_dw(p->d, &w, NULL, &y, &x);
        break;
    case 3:
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x.data, k, w.data, k, 0,
                    y.data, n);
        break;
    }
}

/* Best of some runs within a budget, in seconds. */
static double best_time(const struct product *p, double budget)
{
    double best = 1e9, spent = 0;
    run(p);
    for (int i = 0; i < 1000 && (i < 2 || spent < budget); i++) {
        double t = now();
        run(p);
        t = now() - t;
        spent += t;
        best = t < best ? t : best;
    }
    return best;
}

static void bench_sgemm(struct device *d, int64_t T, int64_t N, int64_t K, int n_products)
{
    float *x = mem_new((size_t)(T * K), 4, NULL), *w = mem_new((size_t)(N * K), 4, NULL);
    float *y = mem_new((size_t)(T * N), 4, NULL);
    if (!x || !w || !y)
        exit(1);
    fill(x, T * K);
    fill(w, N * K);
    struct product p = {
        d, tensor_2d(DT_F32, x, T, K), tensor_2d(DT_F32, w, N, K), tensor_2d(DT_F32, y, T, N), 0,
        3};
    double flops = 2.0 * (double)T * (double)N * (double)K;
    static const char *const names[] = {"matmul", "matmul_dx", "matmul_dw"};
    for (p.what = 0; p.what < n_products; p.what++) {
        int what = p.what;
        double ours = 1e9, theirs = 1e9;
        for (int round = 0; round < 2; round++) { /* in turns: other load meets both */
            double t = best_time(&p, 0.1);
            ours = t < ours ? t : ours;
            openblas_set_num_threads(d->n_threads);
            p.what = 3;
            t = best_time(&p, 0.1);
            theirs = t < theirs ? t : theirs;
            p.what = what;
            openblas_set_num_threads(1);
        }
        printf("%-10s T=%-5d %6dx%-5d %7.1f GFLOP/s, cblas_sgemm %7.1f, ratio %.2f\n", names[what],
               (int)T, (int)N, (int)K, flops / ours * 1e-9, flops / theirs * 1e-9, theirs / ours);
    }
    mem_free(x);
    mem_free(w);
    mem_free(y);
}

static void bench_rowwise(struct device *d, enum dtype dtype, int64_t T, int64_t N, int64_t K,
                          double bandwidth, double peak)
{
    int64_t size = dtype_info(dtype)->block_bytes;
    float *x = mem_new((size_t)(T * K), 4, NULL), *y = mem_new((size_t)(T * N), 4, NULL);
    float *row = mem_new((size_t)K, 4, NULL), scale = 1;
    char *w = mem_new((size_t)(N * K), (size_t)size, NULL);
    if (!x || !y || !w || !row)
        exit(1);
    fill(x, T * K);
    fill(row, K);
    for (int64_t i = 0; i < N; i++)
        dtype_from_f32(dtype, row, w + i * K * size, (size_t)K);
    struct product p = {d,
                        tensor_2d(DT_F32, x, T, K),
                        tensor_2d(dtype, w, N, K),
                        tensor_2d(DT_F32, y, T, N),
                        MATMUL_ROWWISE,
                        0};
    if (dtype == DT_F8_E4M3) {
        p.w.scale = &scale;
        p.w.scale_rows = p.w.scale_cols = 1 << 20;
        p.w.scale_ld = 1;
    }
    double t = best_time(&p, 0.2), bytes = (double)(N * K * size);
    double flops = 2.0 * (double)T * (double)N * (double)K;
    bool by_memory = T == 1 && bytes > 32e6;
    printf("rowwise %-7s T=%-4d %6dx%-5d %6.1f GB/s, %6.1f GFLOP/s, of %s: ratio %.2f\n",
           dtype_info(dtype)->name, (int)T, (int)N, (int)K, bytes / t * 1e-9, flops / t * 1e-9,
           by_memory ? "memory speed" : "fma peak",
           by_memory ? bytes / t / bandwidth : flops / t / peak);
    mem_free(x);
    mem_free(y);
    mem_free(w);
    mem_free(row);
}

int main(int argc, char **argv)
{
    (void)argc;
    cpu_startup(argv);
    struct device *d;
    if (device_open("cpu", 0, &d, NULL))
        return 1;
    double bandwidth = memory_peak(d->n_threads), peak = fma_peak(d);
    printf("memory read %.1f GB/s, fma %.1f GFLOP/s, %d threads, kernels %s\n", bandwidth * 1e-9,
           peak * 1e-9, d->n_threads, cpu_kernels_of(d)->name);
    static const int64_t shapes[][3] = {
        {512, 896, 896}, {512, 4864, 896}, {512, 896, 4864}, {2048, 896, 896}, {2048, 4864, 896}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        bench_sgemm(d, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][0] == 512 ? 3 : 1);
    bench_sgemm(d, 64, 151936, 896, 1);
    static const enum dtype types[] = {DT_F32, DT_BF16, DT_F8_E4M3};
    for (int i = 0; i < 3; i++) {
        bench_rowwise(d, types[i], 1, 32768, 3584, bandwidth, peak);
        bench_rowwise(d, types[i], 64, 4864, 896, bandwidth, peak);
        bench_rowwise(d, types[i], 64, 256, 256, bandwidth, peak);
    }
    device_close(d);
    return 0;
}
