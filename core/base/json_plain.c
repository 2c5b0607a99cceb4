#include "core/base/json_plain.h"
#include "core/base/isa.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Whole blocks are stored before the next is read: what is overwritten was read. */

#ifdef __SSE2__
/* Moves n bytes, fewer than 16, down to out; both are read before either is written. */
static void move_few(char *out, const char *s, size_t n)
{
    if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, s, 8);
        memcpy(&b, s + n - 8, 8);
        memcpy(out, &a, 8);
        memcpy(out + n - 8, &b, 8);
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        memcpy(out, &a, 4);
        memcpy(out + n - 4, &b, 4);
    } else
        for (size_t i = 0; i < n; i++)
            out[i] = s[i];
}
#endif

void json_plain_portable(char **s, char **out)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (;; *s += 16, *out += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)*s);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_setzero_si128()));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits) {
            size_t n = (size_t)__builtin_ctz(bits);
            move_few(*out, *s, n);
            *s += n;
            *out += n;
            return;
        }
        _mm_storeu_si128((__m128i *)*out, x);
    }
#else
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (uint64_t x;; *s += 8, *out += 8) {
        memcpy(&x, *s, 8);
        uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        if (((x - ones) & ~x & high) | ((quote - ones) & ~quote & high) |
            ((slash - ones) & ~slash & high))
            break;
        memcpy(*out, &x, 8);
    }
    while (**s && **s != '"' && **s != '\\')
        *(*out)++ = *(*s)++;
#endif
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx512f,avx512bw"))) static void move_avx512(char **s, char **out)
{
    const __m512i quote = _mm512_set1_epi8('"'), slash = _mm512_set1_epi8('\\');
    for (;; *s += 64, *out += 64) {
        __m512i x = _mm512_loadu_si512(*s);
        uint64_t stop = _mm512_cmpeq_epi8_mask(x, quote) | _mm512_cmpeq_epi8_mask(x, slash) |
                        _mm512_testn_epi8_mask(x, x);
        if (stop) {
            _mm512_mask_storeu_epi8(*out, (stop & -stop) - 1, x); /* what is before the first */
            *s += __builtin_ctzll(stop);
            *out += __builtin_ctzll(stop);
            return;
        }
        _mm512_storeu_si512(*out, x);
    }
}
#endif

json_plain_move *json_plain_best(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (isa_avx512())
        return move_avx512;
#endif
    return json_plain_portable;
}
