#include "dataset/utf8.h"
#include "core/base/isa.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Table 3-7 of the Unicode Standard (well-formed UTF-8 byte sequences). */
size_t utf8_char(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!n)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (!len || len > n)
        return 0;
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

/* How many of the n bytes at s, in whole blocks, are ASCII without NUL. */
static size_t skip_ascii(const char *s, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; n - i >= 64; i += 64) {
        const __m128i *x = (const __m128i *)(s + i);
        __m128i a = _mm_loadu_si128(x), b = _mm_loadu_si128(x + 1), c = _mm_loadu_si128(x + 2),
                d = _mm_loadu_si128(x + 3), zero = _mm_setzero_si128();
        /* as signed numbers, what should not be there is 0 or less */
        __m128i least =
            _mm_and_si128(_mm_and_si128(_mm_cmpgt_epi8(a, zero), _mm_cmpgt_epi8(b, zero)),
                          _mm_and_si128(_mm_cmpgt_epi8(c, zero), _mm_cmpgt_epi8(d, zero)));
        if (_mm_movemask_epi8(least) != 0xFFFF)
            break;
    }
#endif
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (uint64_t x; n - i >= sizeof x; i += sizeof x) {
        memcpy(&x, s + i, sizeof x);
        if ((x | ((x - ones) & ~x)) & high)
            break;
    }
    return i;
}

#if defined(__x86_64__) && defined(__GNUC__)
/* What can be wrong with two bytes that follow one another, a bit each; some of it can be told only
 * from the upper half of the first, its lower half and the upper half of the second together, so it
 * is wrong when the tables of all three say so. Keiser and Lemire 2021, "Validating UTF-8 in less
 * than one instruction per byte". */
enum {
    SHORT = 1,      /* a lead byte or ASCII where a continuation should be */
    LONG = 2,       /* a continuation behind ASCII */
    OVER_3 = 4,     /* three bytes for what two can say */
    LARGE = 8,      /* above U+10FFFF: F4 90 and on */
    SURROGATE = 16, /* ED A0 and on */
    OVER_2 = 32,    /* C0, C1 */
    LARGE_80 = 64,  /* above U+10FFFF: F5 80 and on */
    OVER_4 = 64,    /* four bytes for what three can say */
    TWO = 128,      /* two continuations: right behind a lead byte of three or four */
    ANY = SHORT | LONG | TWO,
    ABOVE = ANY | LARGE | LARGE_80,
};
static const unsigned char first_high[16] = {LONG,
                                             LONG,
                                             LONG,
                                             LONG,
                                             LONG,
                                             LONG,
                                             LONG,
                                             LONG,
                                             TWO,
                                             TWO,
                                             TWO,
                                             TWO,
                                             SHORT | OVER_2,
                                             SHORT,
                                             SHORT | OVER_3 | SURROGATE,
                                             SHORT | LARGE | LARGE_80 | OVER_4};
static const unsigned char first_low[16] = {ANY | OVER_2 | OVER_3 | OVER_4,
                                            ANY | OVER_2,
                                            ANY,
                                            ANY,
                                            ANY | LARGE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE,
                                            ABOVE | SURROGATE,
                                            ABOVE,
                                            ABOVE};
static const unsigned char second_high[16] = {SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              LONG | OVER_2 | TWO | OVER_3 | LARGE_80 | OVER_4,
                                              LONG | OVER_2 | TWO | OVER_3 | LARGE,
                                              LONG | OVER_2 | TWO | SURROGATE | LARGE,
                                              LONG | OVER_2 | TWO | SURROGATE | LARGE,
                                              SHORT,
                                              SHORT,
                                              SHORT,
                                              SHORT};

#define TARGET __attribute__((target("avx512f,avx512bw")))

TARGET static __m512i look_up(const unsigned char table[16], __m512i i)
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), i);
}

/* Is the block at s wrong, seen with the three bytes before it? Without, where it is the first. */
TARGET static bool is_wrong(const char *s, bool first)
{
    const __m512i low = _mm512_set1_epi8(0x0F);
    uint64_t all = ~(uint64_t)0;
    __m512i x = _mm512_loadu_si512(s);
    __m512i one = _mm512_maskz_loadu_epi8(first ? all << 1 : all, s - 1);
    __m512i two = _mm512_maskz_loadu_epi8(first ? all << 2 : all, s - 2);
    __m512i three = _mm512_maskz_loadu_epi8(first ? all << 3 : all, s - 3);
    __m512i a = look_up(first_high, _mm512_and_si512(_mm512_srli_epi16(one, 4), low));
    __m512i b = look_up(first_low, _mm512_and_si512(one, low));
    __m512i c = look_up(second_high, _mm512_and_si512(_mm512_srli_epi16(x, 4), low));
    __m512i wrong = _mm512_and_si512(a, _mm512_and_si512(b, c));
    /* the second and third byte behind a lead byte should be continuations, so TWO is right there
     */
    __m512i inner = _mm512_or_si512(_mm512_subs_epu8(two, _mm512_set1_epi8(0xE0 - 0x80)),
                                    _mm512_subs_epu8(three, _mm512_set1_epi8(0xF0 - 0x80)));
    wrong = _mm512_xor_si512(wrong, _mm512_and_si512(inner, _mm512_set1_epi8((char)0x80)));
    return _mm512_test_epi8_mask(wrong, wrong) != 0;
}

/* Bytes of whole, valid characters at the beginning, looked at in blocks of 64: not all there are.
 */
TARGET static size_t skip_valid(const char *s, size_t n)
{
    size_t i = 0;
    for (bool ascii = true; n - i >= 64; i += 64) {
        __m512i x = _mm512_loadu_si512(s + i);
        bool was_ascii = ascii;
        ascii = !_mm512_movepi8_mask(x);
        if (_mm512_testn_epi8_mask(x, x) || (!(ascii && was_ascii) && is_wrong(s + i, i == 0)))
            break;
    }
    /* the last character may not end in its block */
    for (int k = 0; k < 3 && i && (s[i - 1] & 0xC0) == 0x80; k++)
        i--;
    return i && (unsigned char)s[i - 1] >= 0xC0 ? i - 1 : i;
}
#endif

size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    if (n >= 64 && isa_avx512())
        i = skip_valid(s, n);
#endif
    while (i < n) {
        i += skip_ascii(s + i, n - i);
        for (size_t end = n - i < 8 ? n : i + 8; i < end;) {
            size_t len = !s[i] ? 0 : utf8_char(s + i, n - i);
            if (!len)
                return i;
            i += len;
        }
    }
    return i;
}

err_code utf8_repair(struct buf *out, const char *s, size_t n, struct err *e)
{
    err_code rc = buf_reserve(out, n, e);
    while (!rc && n) {
        size_t good = utf8_valid(s, n);
        rc = buf_add(out, s, good, e);
        if (!rc && good < n) {
            rc = buf_str(out, "\xEF\xBF\xBD", e);
            good++;
        }
        s += good;
        n -= good;
    }
    return rc;
}
