/* Limits of the machine, measured where they are compared with. */
#ifndef TESTS_BENCH_PEAKS_H
#define TESTS_BENCH_PEAKS_H

#include "core/base/mem.h"
#include "core/tensor/cpu/cpu.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bytes a second that n_threads read of 512 MB. */
static inline double memory_peak(int n_threads)
{
    typedef uint64_t v8 __attribute__((vector_size(64)));
    size_t n = (size_t)512 << 20;
    char *p = mem_new(n, 1, NULL);
    double best = 0;
    if (!p)
        return 1;
    memset(p, 1, n);
    uint64_t total = 0;
    for (int round = 0; round < 4; round++) {
        double t = now();
#pragma omp parallel for num_threads(n_threads) reduction(+ : total)
        for (int i = 0; i < n_threads; i++) {
            v8 s[4] = {{0}};
            const v8 *q = (const v8 *)(p + n / (size_t)n_threads / 256 * 256 * (size_t)i);
            for (size_t j = 0; j < n / (size_t)n_threads / 256 * 4; j += 4)
                for (int l = 0; l < 4; l++)
                    s[l] ^= q[j + (size_t)l];
            v8 x = s[0] ^ s[1] ^ s[2] ^ s[3];
            total += x[0] + x[3] + x[7];
        }
        t = now() - t;
        best = (double)n / t > best ? (double)n / t : best;
    }
    volatile uint64_t sink = total;
    (void)sink;
    mem_free(p);
    return best;
}

/* FLOP a second of the device's threads when operands stay in the first cache: 12 x 64 x 256 tiles.
 */
static inline double fma_peak(struct device *d)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    double best = 0;
    for (int round = 0; round < 4; round++) {
        enum { REPEAT = 4000, M = 12, N = 64, K = 64 };
        double t = now();
#pragma omp parallel num_threads(d->n_threads)
        {
            float a[M * K] = {0}, b[K * N] = {0}, c[M * N] = {0};
            for (int i = 0; i < REPEAT; i++)
                k->nn(M, N, K, a, K, 1, b, N, c, N, true);
        }
        t = now() - t;
        double flops = 2.0 * M * N * K * REPEAT * d->n_threads / t;
        best = flops > best ? flops : best;
    }
    return best;
}

#endif
