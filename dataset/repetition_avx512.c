/* The steps of repetition.c, eight words at a time. */
#include "dataset/repetition.h"
#include "core/base/isa.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,popcnt")))

/* Which of the n bytes (at most 64) at s belong to words, a bit each. */
TARGET static inline uint64_t word_bits(const char *s, size_t n)
{
    uint64_t there = n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
    __m512i c = _mm512_maskz_loadu_epi8(there, s);
    __m512i letter =
        _mm512_sub_epi8(_mm512_or_si512(c, _mm512_set1_epi8(0x20)), _mm512_set1_epi8('a'));
    __m512i digit = _mm512_sub_epi8(c, _mm512_set1_epi8('0'));
    return _mm512_cmplt_epu8_mask(letter, _mm512_set1_epi8(26)) |
           _mm512_cmplt_epu8_mask(digit, _mm512_set1_epi8(10)) | _mm512_movepi8_mask(c);
}

TARGET static size_t count_words(const char *text, size_t n)
{
    size_t n_words = 0;
    uint64_t before = 0;
    for (size_t at = 0; at < n; at += 64) {
        uint64_t bits = word_bits(text + at, n - at);
        n_words += (size_t)__builtin_popcountll(bits & ~(bits << 1 | before));
        before = bits >> 63;
    }
    return n_words;
}

TARGET static size_t find_edges(const char *piece, size_t n, bool *within, uint32_t *edges)
{
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t *out = edges;
    for (size_t at = 0; at < n; at += 64) {
        uint64_t bits = word_bits(piece + at, n - at);
        uint64_t x = bits ^ (bits << 1 | *within);
        *within = bits >> 63;
        for (int i = 0; i < 64; i += 16) {
            __mmask16 some = (__mmask16)(x >> i);
            __m512i from = _mm512_set1_epi32((int)at + i);
            _mm512_storeu_si512(out,
                                _mm512_maskz_compress_epi32(some, _mm512_add_epi32(numbers, from)));
            out += _mm_popcnt_u32(some);
        }
    }
    return (size_t)(out - edges);
}

TARGET static void hash_words(const char *piece, size_t n_text, const uint32_t *edges,
                              size_t n_words, uint64_t *hashes)
{
    const __m512i eight = _mm512_set1_epi64(8), mix = _mm512_set1_epi64((int64_t)HASH_MIX);
    size_t i = 0;
    for (; i + 8 <= n_words; i += 8) {
        __m512i both = _mm512_loadu_si512(edges + 2 * i);
        __m512i from = _mm512_and_si512(both, _mm512_set1_epi64(0xFFFFFFFF));
        __m512i h = _mm512_sub_epi64(_mm512_srli_epi64(both, 32), from), left = h;
        __mmask8 is_long = _mm512_cmpgt_epi64_mask(h, eight);
        if (_mm512_cmpgt_epi64_mask(h, _mm512_set1_epi64(16)) || edges[2 * i + 15] + 8 > n_text) {
            for (size_t k = i; k < i + 8; k++) /* rare */
                hashes[k] = repetition_hash(piece, n_text, edges[2 * k], edges[2 * k + 1]);
            continue;
        }
        __m512i x = _mm512_i64gather_epi64(from, piece, 1);
        if (is_long) {
            h = _mm512_mask_mullo_epi64(h, is_long, _mm512_xor_si512(h, x), mix);
            left = _mm512_mask_sub_epi64(left, is_long, left, eight);
            x = _mm512_mask_i64gather_epi64(x, is_long, _mm512_add_epi64(from, eight), piece, 1);
        }
        x = _mm512_sllv_epi64(x, _mm512_slli_epi64(_mm512_sub_epi64(eight, left), 3));
        h = _mm512_mullo_epi64(_mm512_xor_si512(h, x), mix);
        _mm512_storeu_si512(hashes + i, _mm512_xor_si512(h, _mm512_srli_epi64(h, 32)));
    }
    for (; i < n_words; i++)
        hashes[i] = repetition_hash(piece, n_text, edges[2 * i], edges[2 * i + 1]);
}

/* Sums of two words, of four, of eight: each from two of the sums before. */
TARGET static void mix_grams(const uint64_t *hashes, size_t n_words, uint64_t *mixed)
{
    const uint64_t base_2 = GRAM_BASE * GRAM_BASE, base_4 = base_2 * base_2;
    const __m512i b1 = _mm512_set1_epi64((int64_t)GRAM_BASE),
                  b2 = _mm512_set1_epi64((int64_t)base_2), b4 = _mm512_set1_epi64((int64_t)base_4),
                  mix = _mm512_set1_epi64((int64_t)HASH_MIX);
    __m512i last = _mm512_setzero_si512(), last_2 = last, last_4 = last;
    for (size_t i = 0; i < GRAM_WORDS + n_words; i += 8) {
        __m512i one = _mm512_loadu_si512(hashes + i - GRAM_WORDS);
        __m512i two =
            _mm512_add_epi64(one, _mm512_mullo_epi64(b1, _mm512_alignr_epi64(one, last, 7)));
        __m512i four =
            _mm512_add_epi64(two, _mm512_mullo_epi64(b2, _mm512_alignr_epi64(two, last_2, 6)));
        __m512i g =
            _mm512_add_epi64(four, _mm512_mullo_epi64(b4, _mm512_alignr_epi64(four, last_4, 4)));
        last = one;
        last_2 = two;
        last_4 = four;
        if (i) /* else of the words before */
            _mm512_storeu_si512(
                mixed + i - GRAM_WORDS,
                _mm512_mullo_epi64(_mm512_xor_si512(g, _mm512_srli_epi64(g, 31)), mix));
    }
}

const struct repetition_steps *repetition_avx512(void)
{
    static const struct repetition_steps steps = {count_words, find_edges, hash_words, mix_grams};
    return isa_avx512() ? &steps : NULL;
}

#else

const struct repetition_steps *repetition_avx512(void)
{
    return NULL;
}

#endif
