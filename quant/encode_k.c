/* Q4_K and Q6_K, portable. Every float operation and its order is that of llama.cpp's search
 * (make_qkx2_quants, make_qx_quants), so that the bytes agree. */
#include "quant/encode_impl.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* x[32] ~ scale * level - min, levels 0..15; w weighs the errors. Each trial rounds with a
 * stretched scale, fits scale and min to the levels by least squares (min kept below zero), and is
 * taken when its error is smaller; a taken min shifts the trials after it. Returns the scale. */
static float q4_k_search(const float x[32], const float w[32], uint8_t levels[32], float *min_out)
{
    float min = x[0], max = x[0], sum_w = w[0], sum_x = w[0] * x[0];
    for (int i = 1; i < 32; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    min = min > 0 ? 0 : min;
    memset(levels, 0, 32);
    *min_out = -min;
    if (max == min)
        return 0;
    float inv = 15.0F / (max - min), scale = 1 / inv, best = 0;
    for (int i = 0; i < 32; i++) {
        levels[i] = (uint8_t)clamp(round_magic(inv * (x[i] - min)), 0, 15);
        float diff = scale * (float)levels[i] + min - x[i];
        best += w[i] * (diff * diff);
    }
    for (int step = 0; step < Q4_K_STEPS; step++) {
        uint8_t trial[32];
        float sum_l = 0, sum_l2 = 0, sum_xl = 0;
        inv = q4_k_stretch(step) / (max - min);
        for (int i = 0; i < 32; i++) {
            int l = clamp(round_magic(inv * (x[i] - min)), 0, 15);
            float f = (float)l;
            trial[i] = (uint8_t)l;
            sum_l += w[i] * f;
            sum_l2 += w[i] * f * f;
            sum_xl += w[i] * f * x[i];
        }
        float det = sum_w * sum_l2 - sum_l * sum_l;
        if (!(det > 0))
            continue;
        float s = (sum_w * sum_xl - sum_x * sum_l) / det;
        float m = (sum_l2 * sum_x - sum_l * sum_xl) / det;
        if (m > 0) {
            m = 0;
            s = sum_xl / sum_l2;
        }
        float err = 0;
        for (int i = 0; i < 32; i++) {
            float diff = s * (float)trial[i] + m - x[i];
            err += w[i] * (diff * diff);
        }
        if (err < best) {
            memcpy(levels, trial, 32);
            best = err;
            scale = s;
            min = m;
        }
    }
    *min_out = -min;
    return scale;
}

static float largest(const float *v, int n)
{
    float m = 0;
    for (int i = 0; i < n; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

enum scales_found q4_k_set_scales(struct block_q4_k *b, const float scales[8], const float mins[8],
                                  float d[8], float min[8])
{
    float max_scale = largest(scales, 8), max_min = largest(mins, 8);
    float inv_scale = max_scale > 0 ? 63.0F / max_scale : 0;
    float inv_min = max_min > 0 ? 63.0F / max_min : 0;
    memset(b->scales, 0, sizeof b->scales);
    for (int j = 0; j < 8; j++) {
        /* as unsigned bytes: a scale below zero wraps to above 63 */
        uint8_t s = (uint8_t)round_magic(inv_scale * scales[j]);
        uint8_t m = (uint8_t)round_magic(inv_min * mins[j]);
        s = s > 63 ? 63 : s;
        m = m > 63 ? 63 : m;
        if (j < 4) {
            b->scales[j] = s;
            b->scales[j + 4] = m;
        } else {
            b->scales[j + 4] = (uint8_t)((s & 15) | (m & 15) << 4);
            b->scales[j - 4] |= (uint8_t)(s >> 4 << 6);
            b->scales[j] |= (uint8_t)(m >> 4 << 6);
        }
    }
    b->d = f16_from_f32(max_scale / 63.0F);
    b->dmin = f16_from_f32(max_min / 63.0F);
    bool all = true;
    for (int j = 0; j < 8; j++) {
        uint8_t s, m;
        q4_k_scale_min(j, b->scales, &s, &m);
        d[j] = f16_to_f32(b->d) * (float)s;
        min[j] = f16_to_f32(b->dmin) * (float)m;
        all &= d[j] != 0;
    }
    return all ? SCALES_ALL : SCALES_SOME;
}

static void encode_block_q4_k(const float *x, struct block_q4_k *b)
{
    uint8_t levels[256];
    float scales[8], mins[8], d[8], min[8];
    for (int j = 0; j < 8; j++) {
        const float *xj = x + 32 * j;
        float w[32], sum = 0;
        for (int i = 0; i < 32; i++)
            sum += xj[i] * xj[i];
        float rms = sqrtf(sum / 32);
        for (int i = 0; i < 32; i++)
            w[i] = rms + fabsf(xj[i]);
        scales[j] = q4_k_search(xj, w, levels + 32 * j, &mins[j]);
    }
    q4_k_set_scales(b, scales, mins, d, min);
    for (int i = 0; i < 256; i++) {
        int j = i / 32;
        if (d[j] != 0) /* else the level that the search chose */
            levels[i] = (uint8_t)clamp(round_magic((x[i] + min[j]) / d[j]), 0, 15);
    }
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++)
            b->qs[32 * j + i] = (uint8_t)(levels[64 * j + i] | levels[64 * j + 32 + i] << 4);
}

void encode_q4_k_portable(const float *x, void *dst, int64_t k)
{
    struct block_q4_k *b = dst;
    for (int64_t i = 0; i < k / 256; i++)
        encode_block_q4_k(x + 256 * i, b + i);
}

/* x[16] ~ scale * (level - 32), levels 0..63, errors weighed by x^2. */
static float q6_k_search(const float x[16], uint8_t levels[16])
{
    float max = 0, amax = 0;
    for (int i = 0; i < 16; i++)
        if (fabsf(x[i]) > amax) {
            amax = fabsf(x[i]);
            max = x[i];
        }
    memset(levels, 0, 16);
    if (amax < Q6_K_TINY)
        return 0;
    float scale = 0, best = 0;
    for (int step = -1; step < Q6_K_STEPS; step++) { /* -1: the range as it is */
        float inv = (step < 0 ? -32.0F : q6_k_stretch(step)) / max, sum_xl = 0, sum_l2 = 0;
        for (int i = 0; i < 16; i++) {
            float l = (float)clamp(round_magic(inv * x[i]), -32, 31), w = x[i] * x[i];
            sum_xl += w * x[i] * l;
            sum_l2 += w * l * l;
        }
        if (step < 0)
            scale = sum_l2 != 0 ? sum_xl / sum_l2 : 0;
        else if (sum_l2 > 0 && sum_xl * sum_xl > best * sum_l2)
            scale = sum_xl / sum_l2;
        else
            continue;
        best = scale * sum_xl;
        for (int i = 0; i < 16; i++)
            levels[i] = (uint8_t)(clamp(round_magic(inv * x[i]), -32, 31) + 32);
    }
    return scale;
}

enum scales_found q6_k_set_scales(struct block_q6_k *b, const float scales[16], float d[16])
{
    float max = 0, amax = 0;
    for (int j = 0; j < 16; j++)
        if (fabsf(scales[j]) > amax) {
            amax = fabsf(scales[j]);
            max = scales[j];
        }
    if (amax < Q6_K_TINY) {
        memset(b, 0, sizeof *b);
        return SCALES_NONE;
    }
    float inv = -128.0F / max;
    b->d = f16_from_f32(1 / inv);
    bool all = true;
    for (int j = 0; j < 16; j++) {
        int s = round_magic(inv * scales[j]);
        b->scales[j] = (int8_t)(s > 127 ? 127 : s);
        d[j] = f16_to_f32(b->d) * (float)b->scales[j];
        all &= d[j] != 0;
    }
    return all ? SCALES_ALL : SCALES_SOME;
}

static void encode_block_q6_k(const float *x, struct block_q6_k *b)
{
    uint8_t levels[256];
    float scales[16], d[16];
    for (int j = 0; j < 16; j++)
        scales[j] = q6_k_search(x + 16 * j, levels + 16 * j);
    if (q6_k_set_scales(b, scales, d) == SCALES_NONE)
        return;
    for (int i = 0; i < 256; i++) {
        int j = i / 16;
        if (d[j] != 0)
            levels[i] = (uint8_t)(clamp(round_magic(x[i] / d[j]), -32, 31) + 32);
    }
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *l = levels + 128 * half + i;
            b->ql[64 * half + i] = (uint8_t)((l[0] & 15) | (l[64] & 15) << 4);
            b->ql[64 * half + 32 + i] = (uint8_t)((l[32] & 15) | (l[96] & 15) << 4);
            b->qh[32 * half + i] =
                (uint8_t)(l[0] >> 4 | l[32] >> 4 << 2 | l[64] >> 4 << 4 | l[96] >> 4 << 6);
        }
}

void encode_q6_k_portable(const float *x, void *dst, int64_t k)
{
    struct block_q6_k *b = dst;
    for (int64_t i = 0; i < k / 256; i++)
        encode_block_q6_k(x + 256 * i, b + i);
}
