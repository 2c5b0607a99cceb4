/* The loops of kernels_body.h for AVX-512 (F, BW, VL, DQ). */
#include "core/tensor/cpu/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))),                   \
    apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
#endif
#define LANES 16

#include "core/tensor/cpu/vec.h"

INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vf v_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

INLINE void v_store_n(float *p, vf v, int64_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}

INLINE v4 v_fold4(vf v)
{
    __m256 h = _mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1);
    return _mm256_castps256_ps128(h) + _mm256_extractf128_ps(h, 1);
}

/* v_fold4 and v4_sums of a whole tile, to the bit: quarter i of the result is the sums of
 * s[i][0..3]. Each step adds half of the lanes of a, and of b, to their other half: a blend takes
 * the lanes that stay where they are, one shuffle the others. */
#define V_FOLD_TILE
INLINE vf v_fold_halves(vf a, vf b) /* [a 0-7 + a 8-15, b 8-15 + b 0-7] */
{
    return _mm512_mask_blend_ps(0xFF00, a, b) + _mm512_shuffle_f32x4(a, b, 0x4E);
}

INLINE vf v_fold_quarters(vf a, vf b) /* [a0 + a1, b1 + b0, a2 + a3, b3 + b2], four lanes each */
{
    const __m512i other = _mm512_setr_epi64(2, 3, 8, 9, 6, 7, 12, 13);
    return _mm512_mask_blend_ps(0xF0F0, a, b) +
           (vf)_mm512_permutex2var_pd((__m512d)a, other, (__m512d)b);
}

INLINE vf v_fold_pairs(vf a, vf b) /* of each quarter [a0 + a2, a1 + a3, b2 + b0, b3 + b1] */
{
    return _mm512_mask_blend_ps(0xCCCC, a, b) + _mm512_shuffle_ps(a, b, 0x4E);
}

INLINE vf v_fold_ones(vf a, vf b) /* of each quarter [a0 + a1, b1 + b0, a2 + a3, b3 + b2] */
{
    const __m512i other =
        _mm512_setr_epi32(1, 16, 3, 18, 5, 20, 7, 22, 9, 24, 11, 26, 13, 28, 15, 30);
    return _mm512_mask_blend_ps(0xAAAA, a, b) + _mm512_permutex2var_ps(a, other, b);
}

INLINE vf v_fold_tile(vf s[4][4])
{
    vf f[4]; /* of column j: quarter i is s[i][j] folded to four lanes */
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        f[j] = v_fold_quarters(v_fold_halves(s[0][j], s[2][j]), v_fold_halves(s[1][j], s[3][j]));
    return v_fold_ones(v_fold_pairs(f[0], f[2]), v_fold_pairs(f[1], f[3]));
}

INLINE vf v_sqrt(vf v)
{
    return _mm512_sqrt_ps(v);
}

INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

INLINE vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

INLINE vf v_scale2(vf y, vf n)
{
    return _mm512_scalef_ps(y, n);
}

INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

#define F8_FACTOR 256
/* Sign and magnitude moved to an f16 are short of 2^8; all ones there is the NaN. */
INLINE vf v_load_f8(const uint8_t *p)
{
    __m256i h = _mm256_slli_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)), 7);
    __m256i ones = _mm256_set1_epi16(0x3F80);
    h = _mm256_and_si256(h, _mm256_set1_epi16((short)0xBF80));
    __mmask16 nan = _mm256_cmpeq_epi16_mask(_mm256_and_si256(h, ones), ones);
    return _mm512_cvtph_ps(_mm256_mask_blend_epi16(nan, h, _mm256_set1_epi16(0x7E00)));
}

/* Two vectors of them, a NaN as 480 / F8_FACTOR; *top gathers twice each byte, which only NaNs
 * bring to 0xFE. */
#define V_F8_PAIR
typedef __m256i v_bytes;
INLINE void v_f8_pair(const uint8_t *p, vf *a, vf *b, v_bytes *top)
{
    v_bytes all = _mm256_loadu_si256((const __m256i *)p);
    *top = _mm256_max_epu8(*top, _mm256_add_epi8(all, all));
    __m512i h = _mm512_slli_epi16(_mm512_cvtepi8_epi16(all), 7);
    h = _mm512_and_si512(h, _mm512_set1_epi16((short)0xBF80));
    *a = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
    *b = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
}

INLINE bool v_f8_nan(v_bytes top)
{
    return _mm256_cmpeq_epi8_mask(top, _mm256_set1_epi8((char)0xFE)) != 0;
}

/* 16 bytes of each of four rows, one below the other. */
INLINE vi v_load_rows(const uint8_t *p, int64_t row_bytes)
{
    __m128i a = _mm_loadu_si128((const __m128i *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(p + row_bytes));
    __m128i c = _mm_loadu_si128((const __m128i *)(p + 2 * row_bytes));
    __m128i d = _mm_loadu_si128((const __m128i *)(p + 3 * row_bytes));
    __m512i v = _mm512_inserti32x4(_mm512_castsi128_si512(a), b, 1);
    return (vi)_mm512_inserti32x4(_mm512_inserti32x4(v, c, 2), d, 3);
}

/* No FP8 in r is 0, denormal or NaN: twice the magnitude is 16 to 252. */
INLINE bool v_f8_normal(const vi r[4])
{
    __m512i top = _mm512_setzero_si512(), least = _mm512_set1_epi8(16);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i v = (__m512i)r[i];
        top = _mm512_max_epu8(top, _mm512_sub_epi8(_mm512_add_epi8(v, v), least));
    }
    return _mm512_cmpgt_epu8_mask(top, _mm512_set1_epi8((char)(252 - 16))) == 0;
}

INLINE vi v_zip_lo(vi a, vi b)
{
    return (vi)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b);
}

INLINE vi v_zip_hi(vi a, vi b)
{
    return (vi)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b);
}

INLINE vi v_zip_lo2(vi a, vi b)
{
    return (vi)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
}

INLINE vi v_zip_hi2(vi a, vi b)
{
    return (vi)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
}

#define KERNELS_NAME "avx512"
#include "core/tensor/cpu/kernels_body.h"

static const struct cpu_kernels table = KERNELS_TABLE;
const struct cpu_kernels *const cpu_kernels_avx512 = &table;
#ifdef __clang__
#pragma clang attribute pop
#endif
#else
const struct cpu_kernels *const cpu_kernels_avx512 = NULL;
#endif
