/* F16 and the types with blocks of 32, portable. */
#include "quant/encode_impl.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

void encode_f16_portable(const float *x, void *dst, int64_t k)
{
    dtype_from_f32(DT_F16, x, dst, (size_t)k);
}

/* The element of largest magnitude (the first of equals), and 1/d: 0 when d is too small for one.
 */
static float extreme(const float x[32])
{
    float max = 0, amax = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > amax) {
            amax = fabsf(x[i]);
            max = x[i];
        }
    return max;
}

static float inverse(float d)
{
    float inv = d != 0 ? 1 / d : 0;
    return isinf(inv) ? 0 : inv;
}

void encode_q8_0_portable(const float *x, void *dst, int64_t k)
{
    struct block_q8_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        float d = fabsf(extreme(x)) / 127.0F, inv = inverse(d);
        b->d = f16_from_f32(d);
        for (int i = 0; i < 32; i++)
            b->qs[i] = (int8_t)roundf(x[i] * inv);
    }
}

/* Truncates v + half + 0.5, kept within 0 .. 2 half - 1. */
static int level(float v, int half)
{
    float t = v + ((float)half + 0.5F);
    return t >= (float)(2 * half - 1) ? 2 * half - 1 : t > 0 ? (int)t : 0;
}

void encode_q4_0_portable(const float *x, void *dst, int64_t k)
{
    struct block_q4_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        float d = extreme(x) / -8.0F, inv = inverse(d);
        b->d = f16_from_f32(d);
        for (int i = 0; i < 16; i++)
            b->qs[i] = (uint8_t)(level(x[i] * inv, 8) | level(x[i + 16] * inv, 8) << 4);
    }
}

void encode_q5_0_portable(const float *x, void *dst, int64_t k)
{
    struct block_q5_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        float d = extreme(x) / -16.0F, inv = inverse(d);
        uint32_t high = 0;
        b->d = f16_from_f32(d);
        for (int i = 0; i < 16; i++) {
            int lo = level(x[i] * inv, 16), hi = level(x[i + 16] * inv, 16);
            b->qs[i] = (uint8_t)((lo & 15) | (hi & 15) << 4);
            high |= (uint32_t)lo >> 4 << i | (uint32_t)hi >> 4 << (i + 16);
        }
        for (int i = 0; i < 4; i++)
            b->qh[i] = (uint8_t)(high >> 8 * i);
    }
}
