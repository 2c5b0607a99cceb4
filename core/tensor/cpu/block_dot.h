/* Products with block-quantized weights, in their blocks: each activation row is rounded to 8-bit
 * blocks once, then a weight row is one integer dot product per block with float scales.
 *
 *     void *acts = mem_new(T, block_act_bytes(w, k), e);
 *     for each row t: block_act_encode(w, x + t * k, acts + t * block_act_bytes(w, k), k);
 *     block_dot_rows(w, weights, N, acts, T, k, y, N, false);      // y[T][N]
 *
 * Rounding: against Q4_0, Q5_0, Q8_0 weights each 32 activations share a scale (max |x| / 127),
 * against Q4_K and Q6_K each 256 do; to nearest, ties to even. That is what llama.cpp does too, but
 * for its half-precision scale of 32 (here float32). The AVX2, AVX-512 VNNI and portable versions
 * sum the same integers; they differ in the order of the float sums over blocks, nothing else. */
#ifndef DECANT_TENSOR_CPU_BLOCK_DOT_H
#define DECANT_TENSOR_CPU_BLOCK_DOT_H

#include "core/tensor/dtype.h"

/* Is w one of the types above? The other functions accept these alone. */
bool block_dot_supports(enum dtype w);

/* Bytes of k activations rounded for weights of type w (k: a whole number of w's blocks). A
 * multiple of 64, so that rows one after the other stay aligned; alignment is for speed alone. */
size_t block_act_bytes(enum dtype w, int64_t k);
/* A non-finite x makes every product with its block NaN. */
void block_act_encode(enum dtype w, const float *x, void *act, int64_t k);

/* y[t * ld_y + n] (+)= dot(weight row n, activation row t) for n in [0, n_rows), t in [0, T).
 * Weight rows are contiguous; acts stand block_act_bytes apart. Each value depends on its own two
 * rows alone: the same bits whatever T and n_rows. One thread: the caller splits the rows. */
void block_dot_rows(enum dtype w, const void *weights, int64_t n_rows, const void *acts, int64_t T,
                    int64_t k, float *y, int64_t ld_y, bool add);
/* The portable version of the same, for tests and other machines. */
void block_dot_rows_portable(enum dtype w, const void *weights, int64_t n_rows, const void *acts,
                             int64_t T, int64_t k, float *y, int64_t ld_y, bool add);

/* The same with the version chosen: for tests. False when this machine lacks it. */
enum block_isa { BLOCK_PORTABLE, BLOCK_AVX2, BLOCK_AVX512 };
bool block_dot_rows_isa(enum block_isa isa, enum dtype w, const void *weights, int64_t n_rows,
                        const void *acts, int64_t T, int64_t k, float *y, int64_t ld_y, bool add);

#endif
