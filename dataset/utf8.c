#include "dataset/utf8.h"

#include <string.h>
#ifdef __SSE2__
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

size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
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
