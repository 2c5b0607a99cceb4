/* The loops of kernels_body.h for AVX2 with FMA and F16C. */
#include "core/tensor/cpu/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#define LANES 8

#include "core/tensor/cpu/vec.h"

INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE __m256i v_mask(int64_t n)
{
    return (__m256i)((vi){0, 1, 2, 3, 4, 5, 6, 7} < (int32_t)n);
}

INLINE vf v_load_n(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, v_mask(n));
}

INLINE void v_store_n(float *p, vf v, int64_t n)
{
    _mm256_maskstore_ps(p, v_mask(n), v);
}

INLINE v4 v_fold4(vf v)
{
    return _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1);
}

INLINE vf v_sqrt(vf v)
{
    return _mm256_sqrt_ps(v);
}

INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

INLINE vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

INLINE vf v_scale2(vf y, vf n)
{
    return v_scale2_split(y, n);
}

INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

#define F8_FACTOR 256
/* Sign and magnitude moved to an f16 are short of 2^8; all ones there is the NaN. */
INLINE vf v_load_f8(const uint8_t *p)
{
    __m128i h = _mm_slli_epi16(_mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)p)), 7);
    __m128i ones = _mm_set1_epi16(0x3F80);
    h = _mm_and_si128(h, _mm_set1_epi16((short)0xBF80));
    __m128i nan = _mm_cmpeq_epi16(_mm_and_si128(h, ones), ones);
    return _mm256_cvtph_ps(_mm_or_si128(h, _mm_and_si128(nan, _mm_set1_epi16(0x7E00))));
}

/* Two vectors of them, a NaN as 480 / F8_FACTOR; *top gathers twice each byte, which only NaNs
 * bring to 0xFE. */
#define V_F8_PAIR
typedef __m128i v_bytes;
INLINE void v_f8_pair(const uint8_t *p, vf *a, vf *b, v_bytes *top)
{
    v_bytes all = _mm_loadu_si128((const __m128i *)p);
    *top = _mm_max_epu8(*top, _mm_add_epi8(all, all));
    __m256i h = _mm256_slli_epi16(_mm256_cvtepi8_epi16(all), 7);
    h = _mm256_and_si256(h, _mm256_set1_epi16((short)0xBF80));
    *a = _mm256_cvtph_ps(_mm256_castsi256_si128(h));
    *b = _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1));
}

INLINE bool v_f8_nan(v_bytes top)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(top, _mm_set1_epi8((char)0xFE))) != 0;
}

/* 16 bytes of each of two rows, one below the other. */
INLINE vi v_load_rows(const uint8_t *p, int64_t row_bytes)
{
    __m128i a = _mm_loadu_si128((const __m128i *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(p + row_bytes));
    return (vi)_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

/* No FP8 in r is 0, denormal or NaN: twice the magnitude is 16 to 252. */
INLINE bool v_f8_normal(const vi r[4])
{
    __m256i top = _mm256_setzero_si256(), least = _mm256_set1_epi8(16);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256i v = (__m256i)r[i];
        top = _mm256_max_epu8(top, _mm256_sub_epi8(_mm256_add_epi8(v, v), least));
    }
    __m256i most = _mm256_set1_epi8((char)(252 - 16));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(top, most), most)) == -1;
}

INLINE vi v_zip_lo(vi a, vi b)
{
    return (vi)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b);
}

INLINE vi v_zip_hi(vi a, vi b)
{
    return (vi)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b);
}

INLINE vi v_zip_lo2(vi a, vi b)
{
    return (vi)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
}

INLINE vi v_zip_hi2(vi a, vi b)
{
    return (vi)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
}

#define KERNELS_NAME "avx2"
#include "core/tensor/cpu/kernels_body.h"

static const struct cpu_kernels table = KERNELS_TABLE;
const struct cpu_kernels *const cpu_kernels_avx2 = &table;
#ifdef __clang__
#pragma clang attribute pop
#endif
#else
const struct cpu_kernels *const cpu_kernels_avx2 = NULL;
#endif
