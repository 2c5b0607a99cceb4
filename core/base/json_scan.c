#include "core/base/json_scan.h"

#include <string.h>

bool json_scan_str(struct json_scan *s, const char **text, size_t *n)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    if (!json_scan_char(s, '"'))
        return false;
    const char *p = s->at;
    for (uint64_t x; s->end - p >= 8; p += 8) {
        memcpy(&x, p, 8);
        uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        uint64_t hit = ((x - ones) & ~x & high) | ((quote - ones) & ~quote & high) |
                       ((slash - ones) & ~slash & high);
        if (hit) { /* the lowest bit set is exact: NUL, quote or backslash */
            p += __builtin_ctzll(hit) / 8;
            break;
        }
    }
    while (p < s->end && *p && *p != '"' && *p != '\\')
        p++;
    if (p == s->end || *p != '"')
        return false;
    *text = s->at;
    *n = (size_t)(p - s->at);
    s->at = p + 1;
    return true;
}

bool json_scan_key(struct json_scan *s, const char **text, size_t *n)
{
    return json_scan_str(s, text, n) && json_scan_char(s, ':');
}

bool json_scan_size(struct json_scan *s, uint64_t *x)
{
    json_scan_space(s);
    const char *p = s->at;
    uint64_t v = 0;
    while (p < s->end && *p >= '0' && *p <= '9' && p - s->at < 16)
        v = v * 10 + (uint64_t)(*p++ - '0');
    if (p == s->at || p - s->at > 15 || (*s->at == '0' && p - s->at > 1) || p == s->end ||
        *p == '.' || *p == 'e' || *p == 'E')
        return false;
    s->at = p;
    *x = v;
    return true;
}

bool json_scan_skip_object(struct json_scan *s)
{
    const char *text;
    size_t n;
    uint64_t x;
    if (!json_scan_char(s, '{'))
        return false;
    if (json_scan_char(s, '}'))
        return true;
    do
        if (!json_scan_key(s, &text, &n) || !(json_scan_str(s, &text, &n) || json_scan_size(s, &x)))
            return false;
    while (json_scan_char(s, ','));
    return json_scan_char(s, '}');
}

bool json_scan_end(struct json_scan *s)
{
    json_scan_space(s);
    return s->at == s->end;
}
