/* Encoding speed of each type on Gaussian weights, in million weights a second on all threads, the
 * AVX2 version beside the portable one; and the relative error. bench_quant.sh sets it beside
 * llama.cpp. With --tsv: type, million weights a second, relative error. */
#include "core/base/log.h"
#include "core/base/rng.h"
#include "quant/encode.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

enum { COLS = 4096, ROWS = 2048 };

static double best_of(int n, enum dtype t, const float *x, void *q, struct encode_stats *stats)
{
    double best = 1e9;
    for (int i = 0; i < n; i++) {
        struct err e;
        double t0 = clock_now();
        memset(stats, 0, sizeof *stats);
        if (encode_rows(t, x, ROWS, COLS, q, "bench", 0, stats, &e))
            return 0;
        double s = clock_now() - t0;
        best = s < best ? s : best;
    }
    return (double)ROWS * COLS / best * 1e-6;
}

static double portable_rate(enum dtype t, const float *x, void *q)
{
    double t0 = clock_now();
    encode_row_isa(ENCODE_PORTABLE, t, x, q, 64 * COLS);
    return 64.0 * COLS / (clock_now() - t0) * 1e-6;
}

int main(int argc, char **argv)
{
    static const enum dtype types[] = {DT_F16, DT_Q8_0, DT_Q4_0, DT_Q5_0, DT_Q4_K, DT_Q6_K};
    bool tsv = argc > 1 && !strcmp(argv[1], "--tsv");
    float *x = mem_new((size_t)ROWS * COLS, 4, NULL);
    void *q = mem_new((size_t)ROWS * COLS, 4, NULL);
    if (!x || !q)
        return 1;
#pragma omp parallel for
    for (int r = 0; r < ROWS; r++) {
        struct rng g = rng_make(1, (uint64_t)r, 0);
        for (int i = 0; i < COLS; i++)
            x[(size_t)r * COLS + (size_t)i] = (float)(0.02 * rng_normal(&g));
    }
    if (!tsv)
        printf("encoding, %d threads, million weights a second\n", omp_get_max_threads());
    for (int i = 0; i < 6; i++) {
        struct encode_stats s;
        double rate = best_of(3, types[i], x, q, &s), rel = sqrt(s.err2 / s.ref2);
        if (tsv)
            printf("%s\t%.2f\t%.6f\n", dtype_info(types[i])->name, rate, rel);
        else
            printf("  %-5s %8.1f   (portable, one thread: %7.1f)   error %.3f %%\n",
                   dtype_info(types[i])->name, rate, portable_rate(types[i], x, q), 100 * rel);
    }
    mem_free(x);
    mem_free(q);
    return 0;
}
