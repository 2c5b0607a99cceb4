/* The single-thread inner loops of the "cpu" device, one table per instruction set. The loops are
 * written once (kernels_body.h, over vectors of LANES floats) and compiled three times:
 * kernels_portable.c (4 lanes), kernels_avx2.c (8, FMA, F16C), kernels_avx512.c (16). cpu_open
 * takes the widest table that the machine runs; tests run each of them.
 *
 * Tables differ in the order of sums; within a table a result never depends on tile shapes. */
#ifndef DECANT_TENSOR_CPU_KERNELS_H
#define DECANT_TENSOR_CPU_KERNELS_H

#include "core/tensor/device.h"

/* Which part of a long sum a call of nt makes. */
enum { SUM_FIRST = 1, SUM_LAST = 2, SUM_WHOLE = 3, SUM_ADD = 4 /* y += at the last part */ };

struct cpu_kernels {
    const char *name;
    int lanes;

    /* dst[rows,n] = src * scale, of F32, F16, BF16 or F8_E4M3; src's rows stand row_bytes apart. */
    void (*to_f32)(enum dtype t, const void *src, int64_t row_bytes, float *dst, int64_t ld,
                   int64_t rows, int64_t n, float scale);
    /* dst[n,rows] = src[rows,n]^T * scale, of F8_E4M3, dst's rows ld apart. */
    void (*to_f32_transposed)(enum dtype t, const void *src, int64_t row_bytes, float *dst,
                              int64_t ld, int64_t rows, int64_t n, float scale);

    /* y[m,n] = x[m,k] . w[n,k]^T. Lane l of an element sums the products of columns l, l + lanes,
     * ... in order; the lanes fold as a tree: the same for every m and n. A sum over more columns
     * than one call has goes on in acc (m * n * lanes floats) from the call with SUM_FIRST to the
     * one with SUM_LAST; SUM_WHOLE needs no acc. */
    void (*nt)(int64_t m, int64_t n, int64_t k, const float *x, int64_t ld_x, const float *w,
               int64_t ld_w, float *y, int64_t ld_y, float *acc, unsigned part);
    /* The same sums, to the bit, for F16 and BF16 weights as they are: faster than conversion first
     * when m is small. add: y +=. */
    void (*nt_weights)(int64_t m, int64_t n, int64_t k, const float *x, int64_t ld_x, enum dtype t,
                       const void *w, int64_t row_bytes, float *y, int64_t ld_y, bool add);
    /* c[m,n] = (add: +=) a[m,k] . b[k,n], a's element (i, p) at a[i * rs_a + p * cs_a]; each
     * element is one chain of fused multiply-adds in order of p, from 0. */
    void (*nn)(int64_t m, int64_t n, int64_t k, const float *a, int64_t rs_a, int64_t cs_a,
               const float *b, int64_t ld_b, float *c, int64_t ld_c, bool add);
    /* dst[cols,rows] = src[rows,cols]^T */
    void (*transpose)(float *dst, int64_t ld_dst, const float *src, int64_t ld_src, int64_t rows,
                      int64_t cols);

    /* y += a * x */
    void (*axpy)(float *y, const float *x, float a, int64_t n);
    void (*scale)(float *y, float a, int64_t n);
    double (*dot)(const float *a, const float *b, int64_t n);

    float (*rmsnorm)(float *y, const float *x, const float *w, int64_t n, float eps); /* rstd */
    void (*rmsnorm_grad)(float *dx, float *dw, const float *dy, const float *x, const float *w,
                         float rstd, int64_t n);
    void (*swiglu)(float *y, const float *gate, const float *up, int64_t n);
    void (*swiglu_grad)(float *dgate, float *dup, const float *dy, const float *gate,
                        const float *up, int64_t n);

    float (*max)(const float *x, int64_t n);                   /* -inf for n = 0 */
    double (*sum_exp)(const float *x, float max, int64_t n);   /* sum of exp(x - max) */
    void (*softmax)(float *x, float max, float by, int64_t n); /* x = exp(x - max) * by */

    /* Online softmax of one row of scores, n a multiple of lanes: columns outside [lo, hi) become
     * 0, those inside exp(scale * s - max) with the running maximum *max and sum *sum brought up to
     * date. Returns the factor by which what was summed before must shrink. */
    float (*softmax_row)(float *s, int64_t n, int64_t lo, int64_t hi, float scale, float *max,
                         float *sum);
    /* Its backward: s becomes p = exp(scale * s - lse), dp becomes scale * p * (dp - delta); both 0
     * outside [lo, hi). */
    void (*softmax_row_grad)(float *s, float *dp, int64_t n, int64_t lo, int64_t hi, float scale,
                             float lse, float delta);

    void (*adamw)(float *p, const float *grad, float *m, float *v, int64_t n,
                  const struct adamw *a);
    double (*sum_squares)(const float *x, int64_t n);
};

/* NULL where the program was not compiled for it. */
extern const struct cpu_kernels cpu_kernels_portable;
extern const struct cpu_kernels *const cpu_kernels_avx2;
extern const struct cpu_kernels *const cpu_kernels_avx512;

/* The tables that this machine can run, widest first; returns how many (1 to 3). */
int cpu_kernels_list(const struct cpu_kernels *out[3]);

#endif
