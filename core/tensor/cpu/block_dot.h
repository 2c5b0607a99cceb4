/* Products with block-quantized weights, in their blocks: the activation row is rounded to 8-bit
 * blocks once, then each weight row is one integer dot product with float scales.
 *
 * Rounding (as llama.cpp's vec_dot types): weights of 32-blocks (Q4_0, Q5_0, Q8_0) pair with Q8_0
 * activations (f16 scale, 32 int8); K types with blocks of 256 int8, a float scale and the sums of
 * each 16. The AVX2 and the portable version give the same integers; they differ only in the order
 * of the float sums. */
#ifndef DECANT_TENSOR_CPU_BLOCK_DOT_H
#define DECANT_TENSOR_CPU_BLOCK_DOT_H

#include "core/tensor/dtype.h"

/* Bytes of k activations rounded for weights of type w. */
size_t block_act_bytes(enum dtype w, int64_t k);
void block_act_encode(enum dtype w, const float *x, void *act, int64_t k);

/* y[t * ld_y + n] (+)= dot(weight row n, activation row t) for n in [0, n_rows), t in [0, T).
 * Weight rows are contiguous; acts stand act_bytes apart. Each value depends on its own two rows
 * alone. One thread: the caller splits the rows. */
void block_dot_rows(enum dtype w, const void *weights, int64_t n_rows, const void *acts, int64_t T,
                    int64_t k, float *y, int64_t ld_y, bool add);
/* The portable version of the same, for tests and other machines. */
void block_dot_rows_portable(enum dtype w, const void *weights, int64_t n_rows, const void *acts,
                             int64_t T, int64_t k, float *y, int64_t ld_y, bool add);

#endif
