#include "dataset/answer_value.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 i128;

enum { MAX_DEPTH = 32, MAX_EXPONENT = 400 };

/* Parses what answer_clean gave; s moves on. */
struct parser {
    const char *s;
    int depth;
};

static void skip_space(struct parser *p)
{
    while (*p->s == ' ')
        p->s++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits, with thousands separators (1,234,567) when they are used throughout, and decimals. */
struct digits {
    char text[ANSWER_MAX_BYTES + 1]; /* the integer part and the decimals, without the point */
    size_t n, n_decimals;
    bool has_point;
};

/* Past groups of three digits with a space before each, "12 000"; s when the spaces may be others:
 * "2 125/200". */
static const char *past_spaced_groups(const char *s)
{
    const char *p = s;
    while (*p == ' ' && is_digit(p[1]) && is_digit(p[2]) && is_digit(p[3]))
        p += 4;
    const char *next = p;
    while (*next == ' ')
        next++;
    return is_digit(*p) || *next == '/' || is_digit(*next) ? s : p;
}

static bool scan_digits(struct parser *p, struct digits *d)
{
    d->n = d->n_decimals = 0;
    d->has_point = false;
    const char *s = p->s;
    size_t group = 0;
    while (is_digit(s[group]))
        group++;
    bool grouped = s[group] == ',' && is_digit(s[group + 1]);
    if (grouped && (group < 1 || group > 3 || *s == '0'))
        return false;
    memcpy(d->text, s, group);
    d->n = group;
    s += group;
    const char *past = group >= 1 && group <= 3 && *p->s != '0' ? past_spaced_groups(s) : s;
    for (; s < past; s += 4, d->n += 3)
        memcpy(d->text + d->n, s + 1, 3);
    if (d->n > group && *s == ',' && is_digit(s[1])) /* 12 000,5 */
        return false;
    while (*s == ',' && is_digit(s[1])) {
        if (!is_digit(s[2]) || !is_digit(s[3]) || is_digit(s[4]))
            return false;
        memcpy(d->text + d->n, s + 1, 3);
        d->n += 3;
        s += 4;
    }
    if (*s == '.' && is_digit(s[1])) {
        d->has_point = true;
        for (s++; is_digit(*s); s++, d->n_decimals++)
            d->text[d->n++] = *s;
        if (*s == ',' && is_digit(s[1])) /* 1.234,5: whose decimal sign is which? */
            return false;
    } else if (*s == '.' && s[1] == ' ' && is_digit(s[2]))
        return false;
    if (!d->n || (*s == '.' && s[1] == '.')) /* 1...9 */
        return false;
    d->text[d->n] = 0;
    p->s = s;
    return true;
}

static struct answer_value digits_value(const struct digits *d)
{
    struct answer_value v = {.exact = true, .den = 1};
    i128 num = 0;
    for (size_t i = 0; i < d->n && v.exact; i++)
        v.exact = !__builtin_mul_overflow(num, (i128)10, &num) &&
                  !__builtin_add_overflow(num, (i128)(d->text[i] - '0'), &num);
    if (v.exact)
        value_set_ratio(&v, num, 1);
    v.approx = strtod(d->text, NULL);
    if (d->n_decimals > MAX_EXPONENT) {
        v.exact = false;
        v.approx = NAN; /* thousands of decimals: nothing is claimed */
        return v;
    }
    struct answer_value scale = value_power_of_ten(-(int)d->n_decimals);
    if (d->n_decimals)
        value_multiply(&v, &scale);
    v.n_decimals = (int)d->n_decimals;
    return v;
}

static bool parse_signed(struct parser *p, struct answer_value *v);

/* "{...}" or a single digit: the argument of \frac. */
static bool parse_argument(struct parser *p, struct answer_value *v)
{
    skip_space(p);
    if (*p->s == '{') {
        p->s++;
        if (!parse_signed(p, v))
            return false;
        skip_space(p);
        return *p->s++ == '}';
    }
    if (!is_digit(*p->s))
        return false;
    *v = (struct answer_value){0};
    value_set_ratio(v, *p->s++ - '0', 1);
    return true;
}

static bool parse_frac(struct parser *p, struct answer_value *v)
{
    struct answer_value den;
    p->s++;
    return parse_argument(p, v) && parse_argument(p, &den) && value_divide(v, &den);
}

/* An exponent of ten: 3, -3, {3}, {-3}. */
static bool parse_exponent(struct parser *p, int *exponent)
{
    bool brace = *p->s == '{';
    p->s += brace;
    skip_space(p);
    bool minus = *p->s == '-';
    p->s += *p->s == '-' || *p->s == '+';
    if (!is_digit(*p->s))
        return false;
    int n = 0;
    for (; is_digit(*p->s); p->s++) {
        n = n * 10 + (*p->s - '0');
        if (n > MAX_EXPONENT)
            return false;
    }
    skip_space(p);
    if (brace && *p->s++ != '}')
        return false;
    *exponent = minus ? -n : n;
    return true;
}

/* "e5", "* 10^5" after a number. */
static bool parse_scale(struct parser *p, struct answer_value *v)
{
    struct parser q = *p;
    int exponent;
    if ((*q.s == 'e' || *q.s == 'E') &&
        (is_digit(q.s[1]) || ((q.s[1] == '-' || q.s[1] == '+') && is_digit(q.s[2])))) {
        q.s++;
        if (!parse_exponent(&q, &exponent) || is_letter(*q.s))
            return false;
    } else {
        skip_space(&q);
        if (*q.s != '*')
            return true;
        q.s++;
        skip_space(&q);
        if (strncmp(q.s, "10^", 3))
            return false;
        q.s += 3;
        if (!parse_exponent(&q, &exponent))
            return false;
    }
    struct answer_value scale = value_power_of_ten(exponent);
    int n_decimals = v->n_decimals - exponent; /* 2.5 * 10^{-3} is 0.0025 */
    value_multiply(v, &scale);
    v->n_decimals = n_decimals > 0 ? n_decimals : 0;
    *p = q;
    return true;
}

/* The fraction of a mixed number after a whole one: "2\frac{1}{2}", "2 1/2". It must be proper. */
static bool parse_mixed(struct parser *p, struct answer_value *v, bool *bad)
{
    struct parser q = *p;
    struct answer_value part, den;
    struct digits d;
    skip_space(&q);
    bool spaced = q.s > p->s;
    if (*q.s == ANSWER_FRAC) {
        *bad = !parse_frac(&q, &part);
    } else {
        if (!spaced || !is_digit(*q.s))
            return false;
        *bad = !scan_digits(&q, &d) || d.has_point;
        if (*bad)
            return true;
        part = digits_value(&d);
        skip_space(&q);
        *bad = *q.s++ != '/';
        if (*bad)
            return true;
        skip_space(&q);
        *bad = !scan_digits(&q, &d) || d.has_point;
        den = digits_value(&d);
        *bad = *bad || !value_divide(&part, &den);
    }
    *bad = *bad || !part.exact || part.num <= 0 || part.num >= part.den;
    if (!*bad)
        value_add(v, &part);
    *p = q;
    return true;
}

static bool parse_plain(struct parser *p, struct answer_value *v)
{
    struct digits d;
    if (!scan_digits(p, &d))
        return false;
    *v = digits_value(&d);
    bool bad = false;
    if (!d.has_point && parse_mixed(p, v, &bad))
        return !bad;
    if (!parse_scale(p, v))
        return false;
    struct parser q = *p;
    skip_space(&q);
    if (*q.s != '/' || is_letter(q.s[1])) /* "3/hour" is a unit */
        return true;
    q.s++;
    skip_space(&q);
    if (is_letter(*q.s))
        return true;
    struct answer_value den;
    if (!scan_digits(&q, &d))
        return false;
    den = digits_value(&d);
    *p = q;
    skip_space(&q);
    return *q.s != '/' && value_divide(v, &den);
}

static bool parse_unsigned(struct parser *p, struct answer_value *v)
{
    char close = *p->s == '{' ? '}' : *p->s == '(' ? ')' : 0;
    if (!close)
        return *p->s == ANSWER_FRAC ? parse_frac(p, v) : parse_plain(p, v);
    const char *inner = ++p->s;
    if (!parse_signed(p, v))
        return false;
    skip_space(p);
    bool pair = close == ')' && memchr(inner, ',', (size_t)(p->s - inner)); /* (1,234) */
    return *p->s++ == close && !pair;
}

static const char *currency_name(char c)
{
    static const char *const names[] = {"dollar", "euro", "pound", "yen"};
    return c >= ANSWER_DOLLAR && c <= ANSWER_YEN ? names[c - ANSWER_DOLLAR] : NULL;
}

/* sign? currency? sign? number: "-$5", "$-5", "\$5". */
static bool parse_signed(struct parser *p, struct answer_value *v)
{
    bool minus = false, sign = false;
    const char *currency = NULL;
    if (++p->depth > MAX_DEPTH)
        return false;
    for (;; p->s++) {
        skip_space(p);
        if (!sign && (*p->s == '-' || *p->s == '+')) {
            sign = true;
            minus = *p->s == '-';
        } else if (!currency && currency_name(*p->s))
            currency = currency_name(*p->s);
        else
            break;
    }
    if (!parse_unsigned(p, v))
        return false;
    if (minus)
        value_negate(v);
    if (currency) {
        if (*v->unit)
            return false;
        strcpy(v->unit, currency);
    }
    p->depth--;
    return true;
}

/* Words that multiply the number before them. */
struct multiplier {
    const char *word;
    int exponent;
};
static const struct multiplier multipliers[] = {
    {"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12},
};

/* A unit's word: letters, with "." "-" "'" "/" between or after them. Lower-case into word. */
static size_t scan_word(const char *s, char *word, size_t cap)
{
    size_t n = 0;
    while (is_letter(s[n]) || (n && strchr(".-'/", s[n]) && s[n])) {
        if (n + 1 >= cap)
            return 0;
        word[n] = (char)tolower((unsigned char)s[n]);
        n++;
    }
    word[n] = 0;
    size_t end = n;
    while (end && strchr(".-'/", word[end - 1]))
        word[--end] = 0;
    return n;
}

static bool add_unit(struct answer_value *v, const char *word)
{
    size_t have = strlen(v->unit), n = strlen(word);
    if (have + n + 2 > sizeof v->unit)
        return false;
    if (have)
        v->unit[have++] = ' ';
    memcpy(v->unit + have, word, n + 1);
    return true;
}

/* "^2", "^{3}" after a unit. */
static bool parse_unit_power(struct parser *p, char *word, size_t cap)
{
    struct parser q = *p;
    skip_space(&q);
    if (*q.s != '^')
        return true;
    q.s++;
    bool brace = *q.s == '{';
    q.s += brace;
    if (*q.s != '2' && *q.s != '3')
        return false;
    size_t n = strlen(word);
    if (n + 3 > cap)
        return false;
    word[n] = '^';
    word[n + 1] = *q.s++;
    word[n + 2] = 0;
    if ((brace && *q.s++ != '}') || is_digit(*q.s))
        return false;
    *p = q;
    return true;
}

static bool parse_degree(struct parser *p, struct answer_value *v)
{
    bool raised = *p->s == '^', brace = raised && p->s[1] == '{';
    const char *s = p->s + raised + brace;
    if (*s != ANSWER_DEGREE)
        return false;
    s++;
    if (brace && *s++ != '}')
        return false;
    p->s = s;
    return add_unit(v, "deg");
}

/* A word after the number (money: one with a currency sign): a multiplier, "percent", "degrees" or
 * a unit. Only Latin letters: other scripts have words that multiply, and \u03C0 and \u221A are no
 * units. */
static bool parse_word(struct parser *p, struct answer_value *v, bool first, bool spaced,
                       bool money)
{
    char word[40];
    size_t n = scan_word(p->s, word, sizeof word - 4);
    if (!n)
        return false;
    p->s += n;
    for (size_t i = 0; i < sizeof multipliers / sizeof *multipliers; i++)
        if (first && !strcmp(word, multipliers[i].word)) {
            struct answer_value scale = value_power_of_ten(multipliers[i].exponent);
            value_multiply(v, &scale);
            return true;
        }
    if (first && !v->percent && (!strcmp(word, "percent") || !strcmp(word, "pct"))) {
        v->percent = true;
        return true;
    }
    if (first && (!strcmp(word, "degree") || !strcmp(word, "degrees")))
        return add_unit(v, "deg");
    bool letter = !word[1] && strchr("bkmt", *word); /* "$5 M" */
    if (unit_is_none(word) || (!spaced && !unit_is_short(word)) || (first && money && letter))
        return false;
    return parse_unit_power(p, word, sizeof word) && add_unit(v, word);
}

/* What follows the number, to the end. */
static bool parse_tail(struct parser *p, struct answer_value *v)
{
    bool first = true, money = *v->unit != 0;
    for (int i_word = 0;; i_word++) {
        const char *before = p->s;
        skip_space(p);
        bool spaced = p->s > before;
        if (!*p->s)
            return true;
        if (i_word > 6)
            return false;
        if (*p->s == '%' && first && !v->percent && !*v->unit) {
            v->percent = true;
            p->s++;
        } else if (*p->s == '^' || *p->s == ANSWER_DEGREE) {
            if (!first || !parse_degree(p, v))
                return false;
        } else if (currency_name(*p->s) && first && !*v->unit) {
            strcpy(v->unit, currency_name(*p->s++));
        } else if (*p->s == '/' && is_letter(p->s[1])) {
            p->s++;
            if (!add_unit(v, "per"))
                return false;
            first = false;
            continue;
        } else if (!parse_word(p, v, first, spaced || i_word > 0, money))
            return false;
        first = false; /* "5 million dollars", "5% interest", "$5 per hour" */
    }
}

bool answer_parse(const char *s, size_t n, struct answer_value *v)
{
    char text[4 * ANSWER_MAX_BYTES];
    memset(v, 0, sizeof *v);
    while (n && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    n -= n && (s[n - 1] == '.' || s[n - 1] == ','); /* a sentence's; "72..." goes on */
    if (!n || memchr(s, 0, n) || !answer_clean(s, n, text))
        return false;
    size_t len = strlen(text);
    while (len && text[len - 1] == ' ')
        text[--len] = 0;
    if (len && text[len - 1] == '.') /* "$72.$" */
        text[--len] = 0;
    struct parser p = {text, 0};
    return parse_signed(&p, v) && parse_tail(&p, v) && isfinite(v->approx);
}
