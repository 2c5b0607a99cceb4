#include "teacher/http/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scan scan_text(const char *text, size_t n)
{
    return (struct scan){.p = text, .end = text + n};
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

bool scan_at_end(struct scan *s)
{
    skip_space(s);
    return s->p == s->end;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Past a quoted string that begins at p; NULL when it is malformed or cut. */
static const char *skip_string(struct scan *s)
{
    const char *p = s->p + 1, *end = s->end;
    for (;;) {
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p == end)
            break;
        if (*p == '"')
            return p + 1;
        if (++p == end)
            break;
        if (*p == 'u') {
            for (int i = 0; i < 4; i++)
                if (++p == end)
                    goto cut;
                else if (hex_digit(*p) < 0)
                    return NULL;
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
        p++;
    }
cut:
    s->cut = true;
    return NULL;
}

static const char *skip_word(struct scan *s, const char *word)
{
    const char *p = s->p;
    for (; *word; word++, p++)
        if (p == s->end) {
            s->cut = true;
            return NULL;
        } else if (*p != *word) {
            return NULL;
        }
    return p;
}

static const char *skip_digits(struct scan *s, const char *p)
{
    const char *first = p;
    while (p < s->end && *p >= '0' && *p <= '9')
        p++;
    if (p > first)
        return p;
    s->cut = p == s->end;
    return NULL;
}

static const char *skip_number(struct scan *s)
{
    const char *p = s->p + (*s->p == '-');
    if (p < s->end && *p == 'I') {
        s->p = p;
        return skip_word(s, "Infinity");
    }
    const char *first = p;
    if (!(p = skip_digits(s, p)) || (*first == '0' && p > first + 1))
        return NULL;
    if (p < s->end && *p == '.' && !(p = skip_digits(s, p + 1)))
        return NULL;
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < s->end && (*p == '+' || *p == '-');
        p = skip_digits(s, p);
    }
    return p;
}

static bool skip_value(struct scan *s, int depth);

/* Members or items up to the closing bracket. */
static bool skip_inside(struct scan *s, bool object, int depth)
{
    char closing = object ? '}' : ']';
    s->p++;
    skip_space(s);
    if (s->p < s->end && *s->p == closing) {
        s->p++;
        return true;
    }
    while (s->p < s->end) {
        if (object) {
            if (*s->p != '"' || !(s->p = skip_string(s)))
                return false;
            skip_space(s);
            if (s->p == s->end)
                break;
            if (*s->p++ != ':')
                return false;
        }
        if (!skip_value(s, depth))
            return false;
        skip_space(s);
        if (s->p == s->end)
            break;
        char c = *s->p++;
        if (c == closing)
            return true;
        if (c != ',')
            return false;
        skip_space(s);
    }
    s->cut = true;
    return false;
}

static bool skip_value(struct scan *s, int depth)
{
    skip_space(s);
    if (s->p == s->end) {
        s->cut = true;
        return false;
    }
    switch (*s->p) {
    case '{':
    case '[':
        return depth < SCAN_MAX_DEPTH && skip_inside(s, *s->p == '{', depth + 1);
    case '"':
        s->p = skip_string(s);
        break;
    case 't':
        s->p = skip_word(s, "true");
        break;
    case 'f':
        s->p = skip_word(s, "false");
        break;
    case 'n':
        s->p = skip_word(s, "null");
        break;
    case 'N':
        s->p = skip_word(s, "NaN");
        break;
    default:
        s->p = skip_number(s);
    }
    return s->p != NULL;
}

static bool fail(struct scan *s)
{
    s->bad = true;
    s->p = s->end;
    return false;
}

bool scan_value(struct scan *s, struct span *value)
{
    skip_space(s);
    const char *first = s->p;
    if (!skip_value(s, 0))
        return fail(s);
    *value = (struct span){first, (size_t)(s->p - first)};
    return true;
}

bool scan_enter(struct scan *s, char bracket)
{
    skip_space(s);
    if (s->p == s->end || *s->p != bracket)
        return false;
    s->p++;
    s->first = true;
    return true;
}

/* Moves to the next member or item, past a comma; false behind the closing bracket. */
static bool next_piece(struct scan *s, char closing)
{
    if (!s->p || s->bad)
        return false;
    skip_space(s);
    if (s->p < s->end && *s->p == closing) {
        s->p++;
        s->first = false;
        return false;
    }
    if (!s->first && s->p < s->end) {
        if (*s->p++ != ',')
            return fail(s);
        skip_space(s);
    }
    s->first = false;
    s->cut |= s->p == s->end;
    return s->p < s->end || fail(s);
}

bool scan_member(struct scan *s, struct span *key, struct span *value)
{
    if (!next_piece(s, '}'))
        return false;
    const char *first = s->p;
    if (*first != '"' || !(s->p = skip_string(s)))
        return fail(s);
    *key = (struct span){first, (size_t)(s->p - first)};
    skip_space(s);
    s->cut |= s->p == s->end;
    if (s->p == s->end || *s->p++ != ':')
        return fail(s);
    return scan_value(s, value);
}

bool scan_item(struct scan *s, struct span *value)
{
    return next_piece(s, ']') && scan_value(s, value);
}

bool scan_enter_item(struct scan *s)
{
    struct span other;
    while (next_piece(s, ']'))
        if (scan_enter(s, '{'))
            return true;
        else if (!scan_value(s, &other))
            return false;
    return false;
}

struct scan scan_into(struct span v)
{
    if (!v.p || (*v.p != '{' && *v.p != '['))
        return (struct scan){0};
    return (struct scan){.p = v.p + 1, .end = v.p + v.n, .first = true};
}

struct span scan_at(struct span object, const char *key)
{
    struct scan in = object.p && *object.p == '{' ? scan_into(object) : (struct scan){0};
    struct span k, v;
    while (scan_member(&in, &k, &v))
        if (span_is(k, key))
            return span_is_null(v) ? (struct span){0} : v;
    return (struct span){0};
}

bool span_is(struct span key, const char *name)
{
    size_t n = strlen(name);
    return key.n == n + 2 && !memcmp(key.p + 1, name, n);
}

bool span_is_string(struct span v)
{
    return v.p && *v.p == '"';
}

bool span_is_null(struct span v)
{
    return !v.p || *v.p == 'n';
}

static uint32_t hex4(const char *p)
{
    return (uint32_t)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 |
                      hex_digit(p[3]));
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Appends a code unit of UTF-16. A high surrogate stands as three bytes (ED A0..AF xx) until its
 * low one comes: servers that cut by UTF-16 units send the halves in two chunks. */
static size_t put_unit(char *out, size_t len, uint32_t c)
{
    const unsigned char *last = (const unsigned char *)out + len;
    if (c >= 0xDC00 && c < 0xE000 && len >= 3 && last[-3] == 0xED && last[-2] >= 0xA0 &&
        last[-2] < 0xB0) {
        uint32_t high = 0xD000 | (uint32_t)(last[-2] & 0x3F) << 6 | (last[-1] & 0x3F);
        len -= 3;
        c = 0x10000 + ((high - 0xD800) << 10) + (c - 0xDC00);
    }
    return len + put_utf8(out + len, c);
}

void scan_unquote(struct span v, char *out, size_t *len)
{
    if (!span_is_string(v))
        return;
    const char *p = v.p + 1, *end = v.p + v.n - 1;
    size_t n = *len;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        memcpy(out + n, p, plain);
        n += plain;
        if (!escape)
            break;
        p = escape + 2;
        static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
        const char *letter;
        if (escape[1] == 'u') {
            n = put_unit(out, n, hex4(p));
            p += 4;
        } else {
            letter = strchr(letters, escape[1]);
            out[n++] = letter ? bytes[letter - letters] : escape[1];
        }
    }
    *len = n;
}

/* Up to 15 digits and a power of ten up to 22 are exact doubles, so one division rounds once. */
static bool short_number(const char *p, const char *end, double *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool minus = *p == '-';
    int64_t digits = 0;
    int n_digits = 0, n_after = 0;
    for (p += minus; p < end && *p >= '0' && *p <= '9'; p++, n_digits++)
        digits = n_digits < 15 ? digits * 10 + (*p - '0') : 0;
    if (p < end && *p == '.')
        for (p++; p < end && *p >= '0' && *p <= '9'; p++, n_digits++, n_after++)
            digits = n_digits < 15 ? digits * 10 + (*p - '0') : 0;
    if (p != end || n_digits > 15 || !n_digits)
        return false;
    double x = (double)digits / powers[n_after];
    *out = minus ? -x : x;
    return true;
}

bool scan_number(struct span v, double *out)
{
    char text[64];
    if (!v.p || !strchr("-0123456789NI", *v.p) || v.n >= sizeof text)
        return false;
    if (short_number(v.p, v.p + v.n, out))
        return true;
    memcpy(text, v.p, v.n);
    text[v.n] = 0;
    *out = strtod(text, NULL);
    return true;
}

int64_t scan_count(struct span v)
{
    double x;
    if (!scan_number(v, &x) || !(x >= 0 && x <= 0x1p53) || x != floor(x))
        return -1;
    return (int64_t)x;
}
