/* AVX2 encoders. Each lane does what the portable version does, in its order; FMA is left off, for
 * it would round differently.
 *
 * Q4_K: the eight sub-blocks of 32 in eight lanes. Q6_K: eight of the sixteen sub-blocks of 16 at a
 * time. Rounding by _mm256_round_ps equals round_magic below 2^22, which the caller of a search
 * makes sure of; a super-block outside goes to the portable version, as one does whose levels the
 * search itself must give (SCALES_SOME). */
#include "quant/encode_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

TARGET void encode_f16_avx2(const float *x, void *dst, int64_t k)
{
    uint16_t *h = dst;
    int64_t i = 0;
    for (; i + 8 <= k; i += 8)
        _mm_storeu_si128((__m128i *)(h + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
    dtype_from_f32(DT_F16, x + i, h + i, (size_t)(k - i));
}

TARGET uint32_t encode_amax_bits_avx2(const float *x, int64_t k)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i m = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 8 <= k; i += 8) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        m = _mm256_max_epi32(m, _mm256_and_si256(v, magnitude));
    }
    uint32_t lane[8], most = 0;
    _mm256_storeu_si256((__m256i *)lane, m);
    for (int j = 0; j < 8; j++)
        most = lane[j] > most ? lane[j] : most;
    for (; i < k; i++) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        u &= 0x7FFFFFFF;
        most = u > most ? u : most;
    }
    return most;
}

INLINE __m256 magnitude(__m256 v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), v);
}

INLINE float max_lane(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* The first element of largest magnitude of 32, given as four registers. */
INLINE float extreme(const __m256 v[4])
{
    __m256 m01 = _mm256_max_ps(magnitude(v[0]), magnitude(v[1]));
    __m256 m23 = _mm256_max_ps(magnitude(v[2]), magnitude(v[3]));
    float amax = max_lane(_mm256_max_ps(m01, m23));
    unsigned at = 0, minus = 0;
    for (int i = 0; i < 4; i++) {
        __m256 same = _mm256_cmp_ps(magnitude(v[i]), _mm256_set1_ps(amax), _CMP_EQ_OQ);
        at |= (unsigned)_mm256_movemask_ps(same) << 8 * i;
        minus |= (unsigned)_mm256_movemask_ps(v[i]) << 8 * i;
    }
    if (amax == 0)
        return 0;
    return at & -at & minus ? -amax : amax;
}

INLINE float inverse(float d)
{
    float inv = d != 0 ? 1 / d : 0;
    return __builtin_isinf(inv) ? 0 : inv;
}

INLINE void load32(const float *x, __m256 v[4])
{
    for (int i = 0; i < 4; i++)
        v[i] = _mm256_loadu_ps(x + 8 * i);
}

/* Four registers of 32-bit integers to 32 bytes in order (signed saturation). */
INLINE __m256i pack_bytes(const __m256i v[4])
{
    __m256i p01 = _mm256_packs_epi32(v[0], v[1]), p23 = _mm256_packs_epi32(v[2], v[3]);
    __m256i p = _mm256_packs_epi16(p01, p23);
    return _mm256_permutevar8x32_epi32(p, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

TARGET void encode_q8_0_avx2(const float *x, void *dst, int64_t k)
{
    const __m256 sign = _mm256_set1_ps(-0.0F), half = _mm256_set1_ps(0.5F);
    struct block_q8_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        __m256 v[4];
        __m256i q[4];
        load32(x, v);
        float d = __builtin_fabsf(extreme(v)) / 127.0F;
        __m256 inv = _mm256_set1_ps(inverse(d));
        b->d = (uint16_t)_cvtss_sh(d, 0);
        for (int i = 0; i < 4;
             i++) { /* halves away from zero: v is cut, and 1 added when it lost 1/2 */
            __m256 p = _mm256_mul_ps(v[i], inv);
            __m256 t = _mm256_round_ps(p, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
            __m256 up = _mm256_cmp_ps(magnitude(_mm256_sub_ps(p, t)), half, _CMP_GE_OQ);
            __m256 one = _mm256_or_ps(_mm256_set1_ps(1), _mm256_and_ps(p, sign));
            q[i] = _mm256_cvtps_epi32(_mm256_add_ps(t, _mm256_and_ps(up, one)));
        }
        _mm256_storeu_si256((__m256i *)b->qs, pack_bytes(q));
    }
}

/* Truncated v * inv + half + 0.5, within 0 .. 2 half - 1, as 32 bytes. */
INLINE __m256i levels32(const __m256 v[4], float inv, int half)
{
    const __m256 shift = _mm256_set1_ps((float)half + 0.5F);
    const __m256 top = _mm256_set1_ps((float)(2 * half - 1));
    __m256i q[4];
    for (int i = 0; i < 4; i++) {
        __m256 t = _mm256_add_ps(_mm256_mul_ps(v[i], _mm256_set1_ps(inv)), shift);
        t = _mm256_min_ps(_mm256_max_ps(t, _mm256_setzero_ps()), top);
        q[i] = _mm256_cvttps_epi32(t);
    }
    return pack_bytes(q);
}

/* The first 16 levels into the low nibbles, the others into the high ones. */
INLINE __m128i join_nibbles(__m256i levels)
{
    __m256i low = _mm256_and_si256(levels, _mm256_set1_epi8(15));
    __m128i hi = _mm_slli_epi16(_mm256_extracti128_si256(low, 1), 4);
    return _mm_or_si128(_mm256_castsi256_si128(low), hi);
}

TARGET void encode_q4_0_avx2(const float *x, void *dst, int64_t k)
{
    struct block_q4_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        __m256 v[4];
        load32(x, v);
        float d = extreme(v) / -8.0F;
        b->d = (uint16_t)_cvtss_sh(d, 0);
        _mm_storeu_si128((__m128i *)b->qs, join_nibbles(levels32(v, inverse(d), 8)));
    }
}

TARGET void encode_q5_0_avx2(const float *x, void *dst, int64_t k)
{
    struct block_q5_0 *b = dst;
    for (int64_t n = 0; n < k / 32; n++, x += 32, b++) {
        __m256 v[4];
        load32(x, v);
        float d = extreme(v) / -16.0F;
        b->d = (uint16_t)_cvtss_sh(d, 0);
        __m256i l = levels32(v, inverse(d), 16);
        uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(l, 3));
        memcpy(b->qh, &high, 4);
        _mm_storeu_si128((__m128i *)b->qs, join_nibbles(l));
    }
}

/* Eight rows of eight floats, row_step apart, to columns: out[i] lane j = x[j * row_step + i]. */
INLINE void transpose8(const float *x, int row_step, __m256 *out)
{
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(x + i * row_step);
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        out[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        out[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
}

INLINE __m256 round_clamped(__m256 v, __m256 lo, __m256 hi)
{
    v = _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_min_ps(_mm256_max_ps(v, lo), hi);
}

/* Is some lane's magnitude at or beyond 2^22 or NaN? */
INLINE bool wraps(__m256 v)
{
    __m256 ok = _mm256_cmp_ps(magnitude(v), _mm256_set1_ps(4194303.0F), _CMP_LE_OQ);
    return _mm256_movemask_ps(ok) != 255;
}

struct q4_k_found {
    float scales[8], mins[8];
};

/* q4_k_search (encode_k.c) in eight lanes; false: a trial left the range of round_clamped. */
INLINE bool q4_k_search_lanes(const __m256 x[32], struct q4_k_found *f)
{
    const __m256 zero = _mm256_setzero_ps(), top = _mm256_set1_ps(15);
    __m256 w[32], l[32], sq = zero;
    for (int i = 0; i < 32; i++)
        sq = _mm256_add_ps(sq, _mm256_mul_ps(x[i], x[i]));
    __m256 rms = _mm256_sqrt_ps(_mm256_div_ps(sq, _mm256_set1_ps(32)));
    w[0] = _mm256_add_ps(rms, magnitude(x[0]));
    __m256 min = x[0], max = x[0], sum_w = w[0], sum_x = _mm256_mul_ps(w[0], x[0]);
    for (int i = 1; i < 32; i++) {
        w[i] = _mm256_add_ps(rms, magnitude(x[i]));
        min = _mm256_min_ps(x[i], min);
        max = _mm256_max_ps(x[i], max);
        sum_w = _mm256_add_ps(sum_w, w[i]);
        sum_x = _mm256_add_ps(sum_x, _mm256_mul_ps(w[i], x[i]));
    }
    const __m256 least = min;
    min = _mm256_min_ps(min, zero);
    const __m256 flat = _mm256_cmp_ps(max, min, _CMP_EQ_OQ), flat_min = min;
    __m256 inv = _mm256_div_ps(top, _mm256_sub_ps(max, min));
    __m256 scale = _mm256_div_ps(_mm256_set1_ps(1), inv), best = zero;
    for (int i = 0; i < 32; i++) {
        __m256 q = round_clamped(_mm256_mul_ps(inv, _mm256_sub_ps(x[i], min)), zero, top);
        __m256 diff = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(scale, q), min), x[i]);
        best = _mm256_add_ps(best, _mm256_mul_ps(w[i], _mm256_mul_ps(diff, diff)));
    }
    for (int step = 0; step < Q4_K_STEPS; step++) {
        __m256 sum_l = zero, sum_l2 = zero, sum_xl = zero, err = zero;
        inv = _mm256_div_ps(_mm256_set1_ps(q4_k_stretch(step)), _mm256_sub_ps(max, min));
        __m256 far = _mm256_max_ps(magnitude(_mm256_mul_ps(inv, _mm256_sub_ps(max, min))),
                                   magnitude(_mm256_mul_ps(inv, _mm256_sub_ps(least, min))));
        if (wraps(_mm256_andnot_ps(flat, far)))
            return false;
        for (int i = 0; i < 32; i++) {
            __m256 q = round_clamped(_mm256_mul_ps(inv, _mm256_sub_ps(x[i], min)), zero, top);
            __m256 wl = _mm256_mul_ps(w[i], q);
            l[i] = q;
            sum_l = _mm256_add_ps(sum_l, wl);
            sum_l2 = _mm256_add_ps(sum_l2, _mm256_mul_ps(wl, q));
            sum_xl = _mm256_add_ps(sum_xl, _mm256_mul_ps(wl, x[i]));
        }
        __m256 det = _mm256_sub_ps(_mm256_mul_ps(sum_w, sum_l2), _mm256_mul_ps(sum_l, sum_l));
        __m256 s = _mm256_sub_ps(_mm256_mul_ps(sum_w, sum_xl), _mm256_mul_ps(sum_x, sum_l));
        __m256 m = _mm256_sub_ps(_mm256_mul_ps(sum_l2, sum_x), _mm256_mul_ps(sum_l, sum_xl));
        s = _mm256_div_ps(s, det);
        m = _mm256_div_ps(m, det);
        __m256 above = _mm256_cmp_ps(m, zero, _CMP_GT_OQ);
        s = _mm256_blendv_ps(s, _mm256_div_ps(sum_xl, sum_l2), above);
        m = _mm256_andnot_ps(above, m);
        for (int i = 0; i < 32; i++) {
            __m256 diff = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(s, l[i]), m), x[i]);
            err = _mm256_add_ps(err, _mm256_mul_ps(w[i], _mm256_mul_ps(diff, diff)));
        }
        __m256 take = _mm256_and_ps(_mm256_cmp_ps(det, zero, _CMP_GT_OQ),
                                    _mm256_cmp_ps(err, best, _CMP_LT_OQ));
        best = _mm256_blendv_ps(best, err, take);
        scale = _mm256_blendv_ps(scale, s, take);
        min = _mm256_blendv_ps(min, m, take);
    }
    scale = _mm256_andnot_ps(flat, scale);
    min = _mm256_blendv_ps(min, flat_min, flat);
    _mm256_storeu_ps(f->scales, scale);
    _mm256_storeu_ps(f->mins, _mm256_xor_ps(min, _mm256_set1_ps(-0.0F)));
    return true;
}

/* Final levels of one sub-block of Q4_K; false: out of range of the rounding. */
INLINE bool q4_k_levels(const float *x, float d, float min, __m256i *out)
{
    __m256i q[4];
    __m256 dv = _mm256_set1_ps(d), mv = _mm256_set1_ps(min);
    __m256 far = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        __m256 v = _mm256_div_ps(_mm256_add_ps(_mm256_loadu_ps(x + 8 * i), mv), dv);
        far = _mm256_max_ps(far, magnitude(v));
        q[i] = _mm256_cvtps_epi32(round_clamped(v, _mm256_setzero_ps(), _mm256_set1_ps(15)));
    }
    *out = pack_bytes(q);
    return !wraps(far);
}

INLINE bool encode_block_q4_k(const float *x, struct block_q4_k *b)
{
    __m256 cols[32];
    struct q4_k_found f;
    float d[8], min[8];
    for (int i = 0; i < 4; i++)
        transpose8(x + 8 * i, 32, cols + 8 * i);
    if (!q4_k_search_lanes(cols, &f) || q4_k_set_scales(b, f.scales, f.mins, d, min) != SCALES_ALL)
        return false;
    for (int j = 0; j < 4; j++) {
        __m256i lo, hi;
        if (!q4_k_levels(x + 64 * j, d[2 * j], min[2 * j], &lo) ||
            !q4_k_levels(x + 64 * j + 32, d[2 * j + 1], min[2 * j + 1], &hi))
            return false;
        _mm256_storeu_si256((__m256i *)(b->qs + 32 * j),
                            _mm256_or_si256(lo, _mm256_slli_epi16(hi, 4)));
    }
    return true;
}

TARGET void encode_q4_k_avx2(const float *x, void *dst, int64_t k)
{
    struct block_q4_k *b = dst;
    for (int64_t n = 0; n < k / 256; n++, x += 256, b++)
        if (!encode_block_q4_k(x, b))
            encode_q4_k_portable(x, b, 256);
}

/* q6_k_search in eight lanes. */
INLINE __m256 q6_k_search_lanes(const __m256 x[16])
{
    const __m256 zero = _mm256_setzero_ps(), lo = _mm256_set1_ps(-32), hi = _mm256_set1_ps(31);
    __m256 max = zero, amax = zero, w[16], wx[16], scale = zero, best = zero;
    for (int i = 0; i < 16; i++) {
        __m256 a = magnitude(x[i]), more = _mm256_cmp_ps(a, amax, _CMP_GT_OQ);
        max = _mm256_blendv_ps(max, x[i], more);
        amax = _mm256_blendv_ps(amax, a, more);
        w[i] = _mm256_mul_ps(x[i], x[i]);
        wx[i] = _mm256_mul_ps(w[i], x[i]);
    }
    for (int step = -1; step < Q6_K_STEPS; step++) {
        float stretch = step < 0 ? -32.0F : q6_k_stretch(step);
        __m256 inv = _mm256_div_ps(_mm256_set1_ps(stretch), max), sum_xl = zero, sum_l2 = zero;
        for (int i = 0; i < 16; i++) {
            __m256 l = round_clamped(_mm256_mul_ps(inv, x[i]), lo, hi);
            sum_xl = _mm256_add_ps(sum_xl, _mm256_mul_ps(wx[i], l));
            sum_l2 = _mm256_add_ps(sum_l2, _mm256_mul_ps(_mm256_mul_ps(w[i], l), l));
        }
        __m256 s = _mm256_div_ps(sum_xl, sum_l2), take;
        if (step < 0) {
            take = _mm256_cmp_ps(sum_l2, zero, _CMP_NEQ_UQ);
        } else
            take = _mm256_and_ps(_mm256_cmp_ps(sum_l2, zero, _CMP_GT_OQ),
                                 _mm256_cmp_ps(_mm256_mul_ps(sum_xl, sum_xl),
                                               _mm256_mul_ps(best, sum_l2), _CMP_GT_OQ));
        scale = _mm256_blendv_ps(scale, s, take);
        best = _mm256_blendv_ps(best, _mm256_mul_ps(s, sum_xl), take);
    }
    __m256 tiny = _mm256_cmp_ps(amax, _mm256_set1_ps(Q6_K_TINY), _CMP_LT_OQ);
    return _mm256_andnot_ps(tiny, scale);
}

/* 32 final levels (two sub-blocks) of Q6_K. */
INLINE bool q6_k_levels(const float *x, const float d[2], __m256i *out)
{
    __m256i q[4];
    __m256 far = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        __m256 v = _mm256_div_ps(_mm256_loadu_ps(x + 8 * i), _mm256_set1_ps(d[i / 2]));
        far = _mm256_max_ps(far, magnitude(v));
        v = round_clamped(v, _mm256_set1_ps(-32), _mm256_set1_ps(31));
        q[i] = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(32));
    }
    *out = pack_bytes(q);
    return !wraps(far);
}

INLINE bool encode_block_q6_k(const float *x, struct block_q6_k *b)
{
    float scales[16], d[16];
    for (int h = 0; h < 2; h++) {
        __m256 cols[16];
        transpose8(x + 128 * h, 16, cols);
        transpose8(x + 128 * h + 8, 16, cols + 8);
        _mm256_storeu_ps(scales + 8 * h, q6_k_search_lanes(cols));
    }
    enum scales_found found = q6_k_set_scales(b, scales, d);
    if (found != SCALES_ALL)
        return found == SCALES_NONE;
    const __m256i low = _mm256_set1_epi8(15);
    for (int h = 0; h < 2; h++) {
        __m256i l[4], high = _mm256_setzero_si256();
        for (int i = 0; i < 4; i++) {
            if (!q6_k_levels(x + 128 * h + 32 * i, d + 8 * h + 2 * i, &l[i]))
                return false;
            __m256i top = _mm256_and_si256(_mm256_srli_epi16(l[i], 4), _mm256_set1_epi8(3));
            high = _mm256_or_si256(high, _mm256_slli_epi16(top, 2 * i));
        }
        for (int i = 0; i < 2; i++) {
            __m256i hi = _mm256_slli_epi16(_mm256_and_si256(l[i + 2], low), 4);
            _mm256_storeu_si256((__m256i *)(b->ql + 64 * h + 32 * i),
                                _mm256_or_si256(_mm256_and_si256(l[i], low), hi));
        }
        _mm256_storeu_si256((__m256i *)(b->qh + 32 * h), high);
    }
    return true;
}

TARGET void encode_q6_k_avx2(const float *x, void *dst, int64_t k)
{
    struct block_q6_k *b = dst;
    for (int64_t n = 0; n < k / 256; n++, x += 256, b++)
        if (!encode_block_q6_k(x, b))
            encode_q6_k_portable(x, b, 256);
}
#endif
