/* What the encoders share. Private to quant/encode*.c. */
#ifndef DECANT_QUANT_ENCODE_IMPL_H
#define DECANT_QUANT_ENCODE_IMPL_H

#include "quant/encode.h"

#include <string.h>

/* Trial scales: Q4_K's of 15 levels, stretched by -1 .. +1; Q6_K's of 32, by -0.9 .. +0.9. */
enum { Q4_K_STEPS = 21, Q6_K_STEPS = 18 };
static inline float q4_k_stretch(int i)
{
    return -1.0F + 0.1F * (float)i + 15.0F;
}
static inline float q6_k_stretch(int i)
{
    return -(32.0F + 0.1F * (float)(i < 9 ? i - 9 : i - 8));
}
/* A Q6_K sub-block whose magnitudes, or super-block whose scales, stay below this is zero. */
#define Q6_K_TINY 1e-15F

/* v to the nearest integer, ties to even, by adding 1.5 * 2^23 and reading the mantissa; beyond
 * 2^22 it wraps, as llama.cpp's does. */
static inline int round_magic(float v)
{
    float t = v + 12582912.0F;
    uint32_t u;
    memcpy(&u, &t, 4);
    return (int)(u & 0x7FFFFF) - 0x400000;
}

/* Rounds the scales of the sub-blocks and writes them into the block; d (and Q4_K's min) get what
 * the decoder will multiply by. SCALES_ALL: no d is zero, so that all levels follow from d alone;
 * SCALES_SOME: where d is zero, the levels of the search stay; SCALES_NONE (Q6_K): the block is
 * zero and finished. */
enum scales_found { SCALES_NONE, SCALES_SOME, SCALES_ALL };
enum scales_found q4_k_set_scales(struct block_q4_k *b, const float scales[8], const float mins[8],
                                  float d[8], float min[8]);
enum scales_found q6_k_set_scales(struct block_q6_k *b, const float scales[16], float d[16]);

void encode_f16_portable(const float *x, void *dst, int64_t k);
void encode_q8_0_portable(const float *x, void *dst, int64_t k);
void encode_q4_0_portable(const float *x, void *dst, int64_t k);
void encode_q5_0_portable(const float *x, void *dst, int64_t k);
void encode_q4_k_portable(const float *x, void *dst, int64_t k);
void encode_q6_k_portable(const float *x, void *dst, int64_t k);

void encode_f16_avx2(const float *x, void *dst, int64_t k);
void encode_q8_0_avx2(const float *x, void *dst, int64_t k);
void encode_q4_0_avx2(const float *x, void *dst, int64_t k);
void encode_q5_0_avx2(const float *x, void *dst, int64_t k);
void encode_q4_k_avx2(const float *x, void *dst, int64_t k);
void encode_q6_k_avx2(const float *x, void *dst, int64_t k);
/* Bits of the largest magnitude: above 0x7F7FFFFF it is an infinity or a NaN. */
uint32_t encode_amax_bits_avx2(const float *x, int64_t k);

#endif
