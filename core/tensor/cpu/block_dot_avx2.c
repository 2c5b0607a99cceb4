/* AVX2. A group of 256 weights is unpacked once and multiplied with up to TILE activation rows.
 *
 * K types: q (unsigned) times a (signed) by maddubs in int16, times the sub-block's 16-bit scale by
 * madd in int32: the largest sums, 2 * 63 * 127 and 8 * 2 * 16002 * 128, fit. The offsets (Q4_K's
 * mins, Q6_K's 32) come from the sums of 16 activations.
 * 32-blocks: |w| times a with w's sign by maddubs (at most 2 * 128 * 127). */
#include "core/tensor/cpu/block_dot_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { TILE = 8, CHUNK = 64 };

/* 256 weights. */
struct group {
    __m256i q[8];   /* K: unsigned; 32-blocks: signed */
    __m256i abs[8]; /* 32-blocks: |q| */
    __m256i sc[8];  /* K: the scale of each 16-bit pair */
    __m256i off;    /* K: what multiplies the 16 sums (mins, or scales) */
    float d, dmin;
    __m256 ds; /* 32-blocks: eight scales */
};

INLINE float half(uint16_t h)
{
    return _cvtsh_ss(h);
}

/* Picks 16-bit element j of each 128-bit lane. */
INLINE __m256i spread(__m256i v, int j)
{
    return _mm256_shuffle_epi8(v, _mm256_set1_epi16((short)(0x0100 + 0x0202 * j)));
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
    g->off = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(m8, m8)); /* each min for two sums */
#pragma GCC unroll 8
    for (int j = 0; j < 8; j += 2) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(b->qs + 16 * j));
        g->q[j] = _mm256_and_si256(v, low);
        g->q[j + 1] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        g->sc[j] = spread(sc16, j);
        g->sc[j + 1] = spread(sc16, j + 1);
    }
    g->d = half(b->d);
    g->dmin = half(b->dmin);
}

INLINE void unpack_q6_k(const struct block_q6_k *b, struct group *g)
{
    const __m256i low = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    const __m128i deal = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i s = _mm_loadu_si128((const __m128i *)b->scales);
    __m256i dealt = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(s, deal)); /* even scales, odd scales */
    g->off = _mm256_cvtepi8_epi16(s);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i l0 = _mm256_loadu_si256((const __m256i *)(b->ql + 64 * h));
        __m256i l1 = _mm256_loadu_si256((const __m256i *)(b->ql + 64 * h + 32));
        __m256i hi = _mm256_loadu_si256((const __m256i *)(b->qh + 32 * h));
        __m256i h0 = _mm256_and_si256(_mm256_slli_epi16(hi, 4), two);
        __m256i h1 = _mm256_and_si256(_mm256_slli_epi16(hi, 2), two);
        __m256i h2 = _mm256_and_si256(hi, two);
        __m256i h3 = _mm256_and_si256(_mm256_srli_epi16(hi, 2), two);
        __m256i *q = g->q + 4 * h;
        q[0] = _mm256_or_si256(_mm256_and_si256(l0, low), h0);
        q[1] = _mm256_or_si256(_mm256_and_si256(l1, low), h1);
        q[2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l0, 4), low), h2);
        q[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l1, 4), low), h3);
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        g->sc[j] = spread(dealt, j);
    g->d = half(b->d);
}

INLINE __m256i nibbles(const uint8_t *qs)
{
    __m128i v = _mm_loadu_si128((const __m128i *)qs);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

INLINE __m256i unpack_one_q5_0(const struct block_q5_0 *b)
{
    uint32_t qh;
    memcpy(&qh, b->qh, 4);
    /* byte i of the register looks at bit i of qh */
    const __m256i which =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i h = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)qh), which), bit);
    h = _mm256_and_si256(_mm256_cmpeq_epi8(h, bit), _mm256_set1_epi8(16));
    return _mm256_sub_epi8(_mm256_or_si256(nibbles(b->qs), h), _mm256_set1_epi8(16));
}

/* n blocks of 32, the rest of the group zero. */
INLINE void unpack_32(enum dtype t, const uint8_t *row, int n, struct group *g)
{
    uint16_t d[8] = {0};
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        if (j >= n)
            g->q[j] = _mm256_setzero_si256();
        else if (t == DT_Q8_0) {
            const struct block_q8_0 *b = (const struct block_q8_0 *)row + j;
            g->q[j] = _mm256_loadu_si256((const __m256i *)b->qs);
            d[j] = b->d;
        } else if (t == DT_Q4_0) {
            const struct block_q4_0 *b = (const struct block_q4_0 *)row + j;
            g->q[j] = _mm256_sub_epi8(nibbles(b->qs), _mm256_set1_epi8(8));
            d[j] = b->d;
        } else {
            const struct block_q5_0 *b = (const struct block_q5_0 *)row + j;
            g->q[j] = unpack_one_q5_0(b);
            d[j] = b->d;
        }
        g->abs[j] = _mm256_abs_epi8(g->q[j]);
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

INLINE __m256 dot_group(enum dtype t, const struct group *g, const struct act_block *a, __m256 acc)
{
    if (t != DT_Q4_K && t != DT_Q6_K) {
        const __m256i ones = _mm256_set1_epi16(1);
        float ds[8];
        _mm256_storeu_ps(ds, _mm256_mul_ps(g->ds, _mm256_loadu_ps(a->d)));
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(a->q + 32 * j));
            __m256i p = _mm256_maddubs_epi16(g->abs[j], _mm256_sign_epi8(v, g->q[j]));
            __m256 f = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, ones));
            acc = _mm256_fmadd_ps(f, _mm256_broadcast_ss(ds + j), acc);
        }
        return acc;
    }
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(a->q + 32 * j));
        __m256i p = _mm256_maddubs_epi16(g->q[j], v);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, g->sc[j]));
    }
    __m256i off = _mm256_madd_epi16(g->off, _mm256_loadu_si256((const __m256i *)a->sums));
    if (t == DT_Q6_K)
        sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(off, 5));
    __m256 d = _mm256_set1_ps(g->d * a->d[0]);
    acc = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(sum), acc);
    if (t == DT_Q4_K)
        acc = _mm256_fnmadd_ps(_mm256_set1_ps(g->dmin * a->d[0]), _mm256_cvtepi32_ps(off), acc);
    return acc;
}

INLINE float sum_lanes(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

#define VEC __m256
#define VEC_ZERO _mm256_setzero_ps()
#define BLOCK_DOT block_dot_avx2
#include "core/tensor/cpu/block_dot_rows.h"
#endif
