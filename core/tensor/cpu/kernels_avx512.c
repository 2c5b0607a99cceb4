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

/* v_fold4 and v4_sums of a whole tile, to the bit, with half as many shuffles: quarter i of the
 * result is the sums of s[i][0..3]. */
#define V_FOLD_TILE
INLINE vf v_fold_tile(vf s[4][4])
{
    vf f[4]; /* of column j: quarter i is s[i][j] folded to four lanes */
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        vf a = _mm512_shuffle_f32x4(s[0][j], s[1][j], 0x44) +
               _mm512_shuffle_f32x4(s[0][j], s[1][j], 0xEE);
        vf b = _mm512_shuffle_f32x4(s[2][j], s[3][j], 0x44) +
               _mm512_shuffle_f32x4(s[2][j], s[3][j], 0xEE);
        f[j] = _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xDD);
    }
    vf ab = _mm512_unpacklo_ps(f[0], f[1]) + _mm512_unpackhi_ps(f[0], f[1]);
    vf cd = _mm512_unpacklo_ps(f[2], f[3]) + _mm512_unpackhi_ps(f[2], f[3]);
    return _mm512_shuffle_ps(ab, cd, 0x44) + _mm512_shuffle_ps(ab, cd, 0xEE);
}

INLINE vf v_sqrt(vf v)
{
    return _mm512_sqrt_ps(v);
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
