#include "dataset/answer_value.h"

#include <string.h>

struct cleaner {
    const char *s, *end;
    char *out;
    size_t n, cap;
};

static bool put(struct cleaner *c, const char *text)
{
    size_t n = strlen(text);
    if (n > c->cap - c->n)
        return false;
    memcpy(c->out + c->n, text, n);
    c->n += n;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A thin space between digit groups ("1\,234") is a thousands separator; elsewhere it is a space.
 */
static bool thin_space(struct cleaner *c)
{
    bool before = c->n && is_digit(c->out[c->n - 1]);
    const char *s = c->s;
    bool group = before && c->end - s >= 3 && is_digit(s[0]) && is_digit(s[1]) && is_digit(s[2]) &&
                 (c->end - s == 3 || !is_digit(s[3]));
    return put(c, group ? "," : " ");
}

/* {text} after \text and the like: its content goes on as plain text. Only the braces are taken off
 * here, so content is cleaned like everything else. */
static bool unwrap(struct cleaner *c)
{
    while (c->s < c->end && *c->s == ' ')
        c->s++;
    if (c->s == c->end || *c->s != '{')
        return false;
    int depth = 0;
    for (const char *p = c->s; p < c->end; p++) {
        depth += *p == '{';
        depth -= *p == '}';
        if (depth)
            continue;
        const char *inner = c->s + 1;
        size_t n = (size_t)(p - inner);
        if (memchr(inner, '{', n)) /* bounds the recursion; an answer needs no text within text */
            return false;
        c->s = p + 1;
        char plain[4 * ANSWER_MAX_BYTES];
        if (!answer_clean(inner, n, plain))
            return false;
        return put(c, " ") && put(c, plain);
    }
    return false;
}

struct spelling {
    const char *from, *to;
};

static bool command(struct cleaner *c)
{
    static const struct spelling words[] = {
        {"frac", "\x01"},     {"dfrac", "\x01"},  {"tfrac", "\x01"},
        {"cfrac", "\x01"},    {"left", ""},       {"right", ""},
        {"displaystyle", ""}, {"textstyle", ""},  {"quad", " "},
        {"qquad", " "},       {"times", "*"},     {"cdot", "*"},
        {"circ", "\x06"},     {"degree", "\x06"}, {"percent", "%"},
        {"pounds", "\x04"},   {"euro", "\x03"},   {"textdollar", "\x02"},
        {"limits", ""},       {"cent", " cents"}, {"textcent", " cents"},
        {"bf", ""},
    };
    static const char *const wrappers[] = {"text",   "textbf",     "textit", "textrm",
                                           "mathrm", "mathbf",     "mbox",   "operatorname",
                                           "mathit", "boldsymbol", "bm",     "hbox"};
    char next = c->s < c->end ? *c->s : 0;
    if (!is_letter(next)) {
        c->s += next != 0;
        switch (next) {
        case ',':
        case ';':
        case ':':
            return thin_space(c);
        case ' ':
            return put(c, " ");
        case '!': /* white space has no meaning in mathematics: "11,\! 111" */
            while (c->s < c->end && *c->s == ' ')
                c->s++;
            return true;
        case '(':
        case ')':
        case '[':
        case ']':
            return put(c, " ");
        case '$':
            return put(c, "\x02");
        case '%':
            return put(c, "%");
        default:
            return false;
        }
    }
    char name[16];
    size_t n = 0;
    while (c->s + n < c->end && is_letter(c->s[n]) && n < sizeof name)
        n++;
    if (n == sizeof name)
        return false;
    memcpy(name, c->s, n);
    name[n] = 0;
    c->s += n;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(name, words[i].from))
            return put(c, words[i].to);
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (!strcmp(name, wrappers[i]))
            return unwrap(c);
    return false;
}

/* Unicode spellings. Other characters beyond ASCII pass as they are: units may be written in them.
 */
static bool unicode(struct cleaner *c)
{
    static const struct spelling chars[] = {
        {"\u2212", "-"},      {"\u00A0", " "},    {"\u2009", " "},    {"\u202F", " "},
        {"\u00B0", "\x06"},   {"\u20AC", "\x03"}, {"\u00A3", "\x04"}, {"\u00A5", "\x05"},
        {"\u00D7", "*"},      {"\u00BC", " 1/4"}, {"\u00BD", " 1/2"}, {"\u00BE", " 3/4"},
        {"\u00A2", " cents"}, {"\u00B2", "^2"},   {"\u00B3", "^3"},   {"\u2019", "'"},
        {"\uFF0C", ","},
    };
    for (size_t i = 0; i < sizeof chars / sizeof *chars; i++) {
        size_t n = strlen(chars[i].from);
        if ((size_t)(c->end - c->s) >= n && !memcmp(c->s, chars[i].from, n)) {
            c->s += n;
            return put(c, chars[i].to);
        }
    }
    char one[2] = {*c->s++, 0};
    return put(c, one);
}

/* An even number of bare dollar signs are math delimiters; a single one is money. */
static bool is_money(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += s[i] == '$' && !(i && s[i - 1] == '\\');
    return count == 1;
}

static bool starts(const struct cleaner *c, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(c->end - c->s) >= n && !memcmp(c->s, text, n);
}

bool answer_clean(const char *s, size_t n, char *out)
{
    if (n > ANSWER_MAX_BYTES)
        return false;
    /* Markdown's bold around the whole; within, ** may be a power. */
    if (n > 4 && !memcmp(s, "**", 2) && !memcmp(s + n - 2, "**", 2)) {
        s += 2;
        n -= 4;
    }
    struct cleaner c = {s, s + n, out, 0, 4 * ANSWER_MAX_BYTES - 1};
    bool money = is_money(s, n), ok = true;
    while (ok && c.s < c.end) {
        unsigned char ch = (unsigned char)*c.s;
        if (starts(&c, "{,}")) {
            c.s += 3;
            ok = put(&c, ",");
        } else if (ch == '\\') {
            c.s++;
            ok = command(&c);
        } else if (ch == '$') {
            c.s++;
            ok = put(&c, money ? "\x02" : " ");
        } else if (ch == '~' || ch == '\n' || ch == '\t' || ch == '\r') {
            c.s++;
            ok = put(&c, " ");
        } else if (ch >= 0x80)
            ok = unicode(&c);
        else if (ch < 0x20)
            ok = false;
        else {
            char one[2] = {(char)ch, 0};
            c.s++;
            ok = put(&c, one);
        }
    }
    out[c.n] = 0;
    return ok;
}
