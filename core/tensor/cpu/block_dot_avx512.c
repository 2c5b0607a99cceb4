/* AVX-512 with VNNI: as block_dot_avx2.c with 64 weights a register.
 *
 * K types: maddubs to int16, then dpwssd multiplies by the scales and adds up. 32-blocks: a + 128
 * (unsigned) times w (signed) by dpbusd, started at -128 times the sum of w, which is the same
 * integer as a times w. */
#include "core/tensor/cpu/block_dot_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { TILE = 8, CHUNK = 64 };

struct group {
    __m512i q[4];  /* K: unsigned; 32-blocks: signed */
    __m512i sc[4]; /* K: scale of each 16-bit pair; 32-blocks: -128 * (sum of each 4 w) */
    __m256i off;
    float d, dmin;
    __m256 ds;
};

INLINE __m512i pair(__m256i lo, __m256i hi)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

/* 16-bit element j of each 128-bit lane in the low half, element j + 1 in the high half. */
INLINE __m512i spread(__m256i v, int j)
{
    __m256i a = _mm256_set1_epi16((short)(0x0100 + 0x0202 * j));
    __m256i b = _mm256_set1_epi16((short)(0x0100 + 0x0202 * (j + 1)));
    return _mm512_shuffle_epi8(pair(v, v), pair(a, b));
}

INLINE void unpack_q4_k(const struct block_q4_k *b, struct group *g)
{
    const __m256i low = _mm256_set1_epi8(15);
    uint32_t s[3];
    memcpy(s, b->scales, 12);
    uint32_t sc_hi = (s[2] & 0x0F0F0F0F) | (s[0] >> 6 & 0x03030303) << 4;
    uint32_t m_hi = (s[2] >> 4 & 0x0F0F0F0F) | (s[1] >> 6 & 0x03030303) << 4;
    uint64_t sc = (s[0] & 0x3F3F3F3F) | (uint64_t)sc_hi << 32;
    uint64_t m = (s[1] & 0x3F3F3F3F) | (uint64_t)m_hi << 32;
    __m128i sc8 = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)sc));
    __m256i sc16 = _mm256_broadcastsi128_si256(sc8);
    __m128i m8 = _mm_cvtsi64_si128((long long)m);
    g->off = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(m8, m8));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(b->qs + 32 * j));
        g->q[j] = pair(_mm256_and_si256(v, low), _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
        g->sc[j] = spread(sc16, 2 * j);
    }
    g->d = _cvtsh_ss(b->d);
    g->dmin = _cvtsh_ss(b->dmin);
}

INLINE void unpack_q6_k(const struct block_q6_k *b, struct group *g)
{
    const __m512i low = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30);
    const __m128i deal = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i s = _mm_loadu_si128((const __m128i *)b->scales);
    __m256i dealt = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(s, deal));
    g->off = _mm256_cvtepi8_epi16(s);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m512i l = _mm512_loadu_si512(b->ql + 64 * h);
        __m256i hi = _mm256_loadu_si256((const __m256i *)(b->qh + 32 * h));
        __m512i h01 = pair(_mm256_slli_epi16(hi, 4), _mm256_slli_epi16(hi, 2));
        __m512i h23 = pair(hi, _mm256_srli_epi16(hi, 2));
        __m512i q01 = _mm512_and_si512(l, low);
        __m512i q23 = _mm512_and_si512(_mm512_srli_epi16(l, 4), low);
        g->q[2 * h] = _mm512_or_si512(q01, _mm512_and_si512(h01, two));
        g->q[2 * h + 1] = _mm512_or_si512(q23, _mm512_and_si512(h23, two));
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        g->sc[j] = spread(dealt, 2 * j);
    g->d = _cvtsh_ss(b->d);
}

INLINE __m256i nibbles(const uint8_t *qs)
{
    __m128i v = _mm_loadu_si128((const __m128i *)qs);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

INLINE __m256i unpack_block(enum dtype t, const uint8_t *row, int j, uint16_t *d)
{
    if (t == DT_Q8_0) {
        const struct block_q8_0 *b = (const struct block_q8_0 *)row + j;
        *d = b->d;
        return _mm256_loadu_si256((const __m256i *)b->qs);
    }
    if (t == DT_Q4_0) {
        const struct block_q4_0 *b = (const struct block_q4_0 *)row + j;
        *d = b->d;
        return _mm256_sub_epi8(nibbles(b->qs), _mm256_set1_epi8(8));
    }
    const struct block_q5_0 *b = (const struct block_q5_0 *)row + j;
    uint32_t qh;
    memcpy(&qh, b->qh, 4);
    *d = b->d;
    /* 16 more where the high bit is clear: q - 16 */
    return _mm256_mask_sub_epi8(nibbles(b->qs), ~qh, nibbles(b->qs), _mm256_set1_epi8(16));
}

INLINE void unpack_32(enum dtype t, const uint8_t *row, int n, struct group *g)
{
    const __m512i bias = _mm512_set1_epi8((char)128);
    uint16_t d[8] = {0};
#pragma GCC unroll 8
    for (int j = 0; j < 8; j += 2) {
        __m256i lo = _mm256_setzero_si256(), hi = lo;
        if (j < n)
            lo = unpack_block(t, row, j, d + j);
        if (j + 1 < n)
            hi = unpack_block(t, row, j + 1, d + j + 1);
        g->q[j / 2] = pair(lo, hi);
        __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bias, g->q[j / 2]);
        g->sc[j / 2] = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
    }
    g->ds = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)d));
}

INLINE void unpack(enum dtype t, const uint8_t *group, int n, struct group *g)
{
    if (t == DT_Q4_K)
        unpack_q4_k((const struct block_q4_k *)group, g);
    else if (t == DT_Q6_K)
        unpack_q6_k((const struct block_q6_k *)group, g);
    else
        unpack_32(t, group, n, g);
}

INLINE __m512 dot_group(enum dtype t, const struct group *g, const struct act_block *a, __m512 acc)
{
    if (t != DT_Q4_K && t != DT_Q6_K) {
        const __m512i bias = _mm512_set1_epi8((char)128);
        __m512 ds = _mm512_castps256_ps512(_mm256_mul_ps(g->ds, _mm256_loadu_ps(a->d)));
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            __m512i v = _mm512_xor_si512(_mm512_loadu_si512(a->q + 64 * j), bias);
            __m512 f = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(g->sc[j], v, g->q[j]));
            __m512i which = pair(_mm256_set1_epi32(2 * j), _mm256_set1_epi32(2 * j + 1));
            acc = _mm512_fmadd_ps(f, _mm512_permutexvar_ps(which, ds), acc);
        }
        return acc;
    }
    __m512i sum = _mm512_setzero_si512();
    __m256i off = _mm256_madd_epi16(g->off, _mm256_loadu_si256((const __m256i *)a->sums));
    if (t == DT_Q6_K) {
        __m256i minus = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(off, 5));
        sum = _mm512_zextsi256_si512(minus);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i p = _mm512_maddubs_epi16(g->q[j], _mm512_loadu_si512(a->q + 64 * j));
        sum = _mm512_dpwssd_epi32(sum, p, g->sc[j]);
    }
    acc = _mm512_fmadd_ps(_mm512_set1_ps(g->d * a->d[0]), _mm512_cvtepi32_ps(sum), acc);
    if (t == DT_Q4_K)
        acc = _mm512_fnmadd_ps(_mm512_set1_ps(g->dmin * a->d[0]),
                               _mm512_cvtepi32_ps(_mm512_zextsi256_si512(off)), acc);
    return acc;
}

INLINE float sum_lanes(__m512 v)
{
    return _mm512_reduce_add_ps(v);
}

#define VEC __m512
#define VEC_ZERO _mm512_setzero_ps()
#define BLOCK_DOT block_dot_avx512
#include "core/tensor/cpu/block_dot_rows.h"
#endif
