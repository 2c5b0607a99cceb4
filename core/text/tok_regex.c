/* HF tokenizers run Split's patterns through Oniguruma with Ruby's syntax. Most of what tokenizers
 * use means the same in PCRE2; what means something else there is rewritten here (\s, \d, \v) or
 * refused by name (\w, \h, \b, sets inside sets, options in the middle, ...), so that a pattern
 * that gets through splits as it does in HF. Sources: Oniguruma doc/RE, pcre2pattern(3). */
#include "core/text/tok.h"

#include <stdlib.h>

#define WHITE_SPACE                                                                                \
    "\\t-\\r\\x20\\x85\\xA0\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{"   \
    "3000}"

struct regex {
    const char *p, *at;
    struct buf *out;
    struct err *e;
};

static err_code refuse(struct regex *r, const char *what)
{
    return err_set(r->e, ERR_UNSUPPORTED, "regex \"%.200s\": %s at byte %zu is not supported", r->p,
                   what, (size_t)(r->at - r->p));
}

static err_code put(struct regex *r, const char *s, size_t n_read)
{
    r->at += n_read;
    return buf_str(r->out, s, r->e);
}

static bool is_category(const char *s, size_t n)
{
    static const char *const names[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn",
                                        "Mc", "Me", "N",  "Nd", "Nl", "No", "P",  "Pc",
                                        "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
                                        "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", NULL};
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == n && !memcmp(names[i], s, n))
            return true;
    return false;
}

/* \p{X}, \P{X}, \p{^X} for a general category X. */
static err_code property(struct regex *r)
{
    const char *open = r->at + 2;
    const char *close = *open == '{' ? strchr(open, '}') : NULL;
    if (!close)
        return refuse(r, "a property without braces");
    const char *name = open + 1 + (open[1] == '^');
    if (!is_category(name, (size_t)(close - name)))
        return refuse(r, "a property that is no general category");
    size_t n = (size_t)(close + 1 - r->at);
    err_code rc = buf_add(r->out, r->at, n, r->e);
    r->at += n;
    return rc;
}

/* \uHHHH, \x{H...}, \xHH below 0x80. */
static err_code code_point(struct regex *r)
{
    const char *s = r->at + 2;
    bool brace = r->at[1] == 'x' && *s == '{';
    int want = r->at[1] == 'u' ? 4 : 2, n = 0;
    s += brace;
    unsigned long v = 0;
    for (; n < (brace ? 6 : want); n++) {
        const char *digits = "0123456789abcdef", *d = s[n] ? strchr(digits, s[n] | 0x20) : NULL;
        if (!d)
            break;
        v = v * 16 + (unsigned long)(d - digits);
    }
    if ((brace ? n < 1 || s[n] != '}' : n != want) || (!brace && want == 2 && v > 0x7F) ||
        v > 0x10FFFF)
        return refuse(r, "a code point in this form");
    r->at = s + n + brace;
    return buf_printf(r->out, r->e, "\\x{%lX}", v);
}

static err_code escape(struct regex *r, bool in_class)
{
    char c = r->at[1];
    switch (c) {
    case 'p':
    case 'P':
        return property(r);
    case 'x':
    case 'u':
        return code_point(r);
    case 's':
        if (!in_class)
            return put(r, "[" WHITE_SPACE "]", 2);
        return put(r, WHITE_SPACE, 2);
    case 'S': /* PCRE2 counts U+180E as white space, Oniguruma does not */
        if (!in_class)
            return put(r, "[^" WHITE_SPACE "]", 2);
        return put(r, "\\S\\x{180E}", 2);
    case 'd':
        return put(r, "\\p{Nd}", 2);
    case 'D':
        return put(r, "\\P{Nd}", 2);
    case 'v':
        return put(r, "\\x{0B}", 2);
    case 't':
        return put(r, "\\t", 2);
    case 'n':
        return put(r, "\\n", 2);
    case 'r':
        return put(r, "\\r", 2);
    case 'f':
        return put(r, "\\f", 2);
    }
    if ((c == 'A' || c == 'z') && !in_class)
        return put(r, c == 'A' ? "\\A" : "\\z", 2);
    if (c > 0x20 && c < 0x7F && !(c >= '0' && c <= '9') &&
        !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        char both[3] = {'\\', c, 0};
        return put(r, both, 2);
    }
    if (c == ' ')
        return put(r, "\\x{20}", 2);
    return refuse(r, "this escape");
}

static err_code literal(struct regex *r)
{
    char c[2] = {*r->at, 0};
    return put(r, *c == '\n' ? "\\n" : *c == '\r' ? "\\r" : *c == '\t' ? "\\t" : c, 1);
}

static err_code class(struct regex *r)
{
    err_code rc = put(r, "[", 1);
    if (!rc && *r->at == '^')
        rc = put(r, "^", 1);
    if (*r->at == ']')
        return refuse(r, "an empty set");
    while (!rc) {
        if (!*r->at)
            return refuse(r, "a set without its end");
        if (*r->at == ']')
            return put(r, "]", 1);
        if (*r->at == '[')
            return refuse(r, "a set inside a set");
        if (r->at[0] == '&' && r->at[1] == '&')
            return refuse(r, "an intersection of sets");
        rc = *r->at == '\\' ? escape(r, true) : literal(r);
    }
    return rc;
}

static err_code group(struct regex *r)
{
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", NULL};
    if (r->at[1] == '*')
        return refuse(r, "a verb");
    if (r->at[1] != '?')
        return put(r, "(", 1);
    for (int i = 0; known[i]; i++)
        if (!strncmp(r->at, known[i], strlen(known[i])))
            return put(r, known[i], strlen(known[i]));
    if (!strncmp(r->at, "(?i)", 4) && r->at == r->p)
        return put(r, "(?i)", 4);
    return refuse(r, "this kind of group");
}

/* {n}, {n,}, {n,m} as a quantifier; any other brace stands for itself. */
static err_code brace(struct regex *r)
{
    const char *s = r->at + 1, *first = s;
    while (*s >= '0' && *s <= '9')
        s++;
    if (s == first)
        return *s == ',' ? refuse(r, "a quantifier without its least") : put(r, "\\{", 1);
    bool range = *s == ',';
    s += range;
    while (range && *s >= '0' && *s <= '9')
        s++;
    if (*s != '}')
        return put(r, "\\{", 1);
    if (s[1] == '+' || (s[1] == '?' && !range))
        return refuse(r, "a quantifier after a quantifier");
    size_t n = (size_t)(s + 1 - r->at);
    err_code rc = buf_add(r->out, r->at, n, r->e);
    r->at += n;
    return rc;
}

err_code tok_regex_translate(const char *pattern, struct buf *out, struct err *e)
{
    struct regex r = {pattern, pattern, out, e};
    err_code rc = ERR_OK;
    if (!*pattern)
        rc = refuse(&r, "the empty pattern");
    if (strlen(pattern) > 1 << 16)
        return err_set(e, ERR_UNSUPPORTED, "a regex longer than 64 KB");
    while (*r.at && !rc) {
        switch (*r.at) {
        case '\\':
            rc = escape(&r, false);
            break;
        case '[':
            rc = class(&r);
            break;
        case '(':
            rc = group(&r);
            break;
        case '{':
            rc = brace(&r);
            break;
        default:
            rc = literal(&r);
        }
    }
    return rc;
}
