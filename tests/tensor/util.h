/* What the tests of the devices share: every cpu device that this machine runs, random operands,
 * and a comparison that a real mistake does not pass. */
#ifndef TESTS_TENSOR_UTIL_H
#define TESTS_TENSOR_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/tensor/cpu/cpu.h"
#include "core/tensor/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPS 0x1p-23
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static inline struct device *open_ref(void)
{
    struct device *d;
    assert_int_equal(device_open("ref", 0, &d, NULL), ERR_OK);
    return d;
}

/* The cpu device with each table of kernels that the machine runs, by 1 and 2 threads: at most 6.
 */
static inline int open_all_cpus(struct device **out)
{
    const struct cpu_kernels *k[3];
    int n = 0, n_tables = cpu_kernels_list(k);
    for (int i = 0; i < n_tables; i++)
        for (int threads = 1; threads <= 2; threads++)
            assert_int_equal(cpu_open_with(k[i], threads, &out[n++], NULL), ERR_OK);
    return n;
}

static inline const char *device_label(const struct device *d)
{
    static char label[64];
    const char *kernels = strcmp(d->name, "cpu") ? "" : ((const struct cpu *)d)->k->name;
    snprintf(label, sizeof label, "%s %s %d threads", d->name, kernels, d->n_threads);
    return label;
}

static inline void close_all(struct device **d, int n)
{
    for (int i = 0; i < n; i++)
        device_close(d[i]);
}

static inline void *bytes_new(int64_t n)
{
    void *p = mem_new((size_t)n, 1, NULL);
    assert_non_null(p);
    return p;
}

static inline void fill(float *x, int64_t n, double scale, struct rng *r)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * rng_normal(r));
}

/* A random float32 matrix whose rows stand `gap` elements farther apart than they are long; what
 * lies between is NaN, so that whoever reads it shows. Freed with mem_free(t.data). */
static inline struct tensor random_f32(int64_t rows, int64_t cols, int64_t gap, double scale,
                                       struct rng *r)
{
    float *p = bytes_new(((rows ? rows : 1) * (cols + gap)) * 4);
    for (int64_t i = 0; i < rows * (cols + gap); i++)
        p[i] = NAN;
    for (int64_t i = 0; i < rows; i++)
        fill(p + i * (cols + gap), cols, scale, r);
    return tensor_strided(p, rows, cols, cols + gap);
}

static inline struct tensor copy_f32(const struct tensor *t)
{
    int64_t n = tensor_rows(t) * t->ld;
    struct tensor c = *t;
    c.data = bytes_new(n * 4);
    memcpy(c.data, t->data, (size_t)n * 4);
    return c;
}

/* A float32 matrix stored as a plain type. */
static inline struct tensor as_dtype(const struct tensor *t, enum dtype dtype)
{
    int64_t rows = tensor_rows(t), cols = tensor_cols(t), size = dtype_info(dtype)->block_bytes;
    char *p = bytes_new(rows * cols * size);
    for (int64_t i = 0; i < rows; i++)
        assert_true(
            dtype_from_f32(dtype, (float *)t->data + i * t->ld, p + i * cols * size, (size_t)cols));
    return tensor_2d(dtype, p, rows, cols);
}

static inline float at_f32(const struct tensor *t, int64_t i, int64_t j)
{
    return ((float *)t->data)[i * t->ld + j];
}

/* Largest |got - want| / (tol_abs + tol_rel * |want|): passes when <= 1; NaN counts as infinite. */
static inline double worst(const struct tensor *got, const struct tensor *want, double tol_abs,
                           double tol_rel)
{
    double w = 0;
    for (int64_t i = 0; i < tensor_rows(want); i++)
        for (int64_t j = 0; j < tensor_cols(want); j++) {
            double b = at_f32(want, i, j);
            double e = fabs(at_f32(got, i, j) - b) / (tol_abs + tol_rel * fabs(b));
            if (!(e <= w))
                w = isnan(e) ? INFINITY : e;
        }
    return w;
}

static inline void check_near(const char *what, const struct device *d, const struct tensor *got,
                              const struct tensor *want, double tol_abs, double tol_rel)
{
    double w = worst(got, want, tol_abs, tol_rel);
    if (!(w <= 1))
        fail_msg("%s on %s: %g times the tolerance", what, device_label(d), w);
}

/* The same bits in every row; the gaps between rows are not compared. */
static inline bool same_bits(const struct tensor *a, const struct tensor *b)
{
    for (int64_t i = 0; i < tensor_rows(a); i++)
        if (memcmp((float *)a->data + i * a->ld, (float *)b->data + i * b->ld,
                   (size_t)tensor_cols(a) * 4))
            return false;
    return true;
}

#endif
