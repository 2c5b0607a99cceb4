/* Encoders: rows of float32 into the types that a GGUF file holds.
 *
 *     struct encode_stats stats = {0};
 *     rc = encode_rows(DT_Q4_K, x, n_rows, k, dst, "blk.0.ffn_up.weight", row0, &stats, e);
 *     relative error so far: sqrt(stats.err2 / stats.ref2)
 *
 * F32, F16, Q8_0, Q4_0, Q5_0, Q4_K, Q6_K. The search for scales is the one of llama.cpp
 * (quantize_row_*_ref in ggml-quants.c) without an importance matrix, and the bytes are the same:
 *   Q8_0, Q5_0, Q4_0   one division by the element of largest magnitude
 *   Q4_K   per 32: 21 trial scales; for each the least-squares fit of scale and min with weights
 *          rms + |x|, the best by weighted squared error; then scales and mins to 6 bits
 *   Q6_K   per 16: 19 trial scales with weights x^2; then scales to 8 bits
 * The vector versions put sub-blocks side by side in lanes and keep every operation and its order,
 * so that they give the bytes of the portable one. */
#ifndef DECANT_QUANT_ENCODE_H
#define DECANT_QUANT_ENCODE_H

#include "core/tensor/dtype.h"

bool encode_supports(enum dtype t);

/* One row of k finite elements (a whole number of t's blocks). */
void encode_row(enum dtype t, const float *x, void *dst, int64_t k);

/* The same by a chosen version, for tests and benchmarks; false when this machine lacks it or the
 * version has nothing of its own for t. */
enum encode_isa { ENCODE_PORTABLE, ENCODE_AVX2 };
bool encode_row_isa(enum encode_isa isa, enum dtype t, const float *x, void *dst, int64_t k);

/* Squared error and squared size of the rows that were measured: each eighth. */
struct encode_stats {
    double err2, ref2;
    uint64_t n;
};

/* n_rows rows, in parallel (OpenMP, the caller's number of threads); rows stand k elements and
 * dtype_row_bytes apart. An infinity, a NaN or a magnitude whose scale would overflow t's half
 * precision: ERR_FORMAT naming the tensor and the place (row0 is added to the row); dst is then
 * unspecified. stats may be NULL. */
err_code encode_rows(enum dtype t, const float *x, int64_t n_rows, int64_t k, void *dst,
                     const char *tensor, int64_t row0, struct encode_stats *stats, struct err *e);

#endif
