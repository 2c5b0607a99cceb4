#include "dataset/utf8.h"

#include <string.h>

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

#define ONES 0x0101010101010101u
#define HIGH 0x8080808080808080u

size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        /* eight bytes of plain ASCII at once: no high bit, and none that is 0 */
        uint64_t x;
        while (n - i >= sizeof x && (memcpy(&x, s + i, sizeof x), !(x & HIGH)) &&
               !((x - ONES) & ~x & HIGH))
            i += sizeof x;
        if (i == n)
            break;
        if ((unsigned char)s[i] < 0x80) {
            if (!s[i])
                break;
            i++;
            continue;
        }
        size_t len = utf8_char(s + i, n - i);
        if (!len)
            break;
        i += len;
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
