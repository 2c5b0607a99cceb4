/* Does a text that seems to end in another value give the gold answer elsewhere? */
#include "dataset/answer_find.h"

typedef __int128 i128;

/* num/den, not in lowest terms; fits false beyond 127 bits. */
struct number {
    i128 num, den;
    bool fits;
};

/* Do three digits begin at s, and no fourth? */
static bool is_group(const char *s, const char *end)
{
    int n = 0;
    while (n < 4 && s + n < end && isdigit((unsigned char)s[n]))
        n++;
    return n == 3;
}

/* The number that begins at s, such as 1,234.5; returns what is past it. */
static const char *read_number(const char *s, const char *end, struct number *x)
{
    bool point = false;
    *x = (struct number){0, 1, true};
    for (; s < end; s++) {
        if (isdigit((unsigned char)*s))
            x->fits = x->fits && !__builtin_mul_overflow(x->num, (i128)10, &x->num) &&
                      !__builtin_add_overflow(x->num, (i128)(*s - '0'), &x->num) &&
                      !(point && __builtin_mul_overflow(x->den, (i128)10, &x->den));
        else if (*s == '.' && !point && s + 1 < end && isdigit((unsigned char)s[1]))
            point = true;
        else if (*s != ',' || point || !is_group(s + 1, end))
            break;
    }
    return s;
}

/* The same with what it is divided by: 1/2, and the inside of \frac{1}{2}. */
static const char *read_ratio(const char *s, const char *end, struct number *x)
{
    struct number by;
    s = read_number(s, end, x);
    const char *den = starts(s, end, "}{") ? s + 2 : starts(s, end, "/") ? s + 1 : end;
    if (den == end || !isdigit((unsigned char)*den))
        return s;
    s = read_number(den, end, &by);
    x->fits = x->fits && by.fits && !__builtin_mul_overflow(x->num, by.den, &x->num) &&
              !__builtin_mul_overflow(x->den, by.num, &x->den);
    return s;
}

static bool is_part_of_word(const char *text, const char *s)
{
    return s > text && (isalnum((unsigned char)s[-1]) || s[-1] == '_');
}

/* Is the number at s negative? "-3" and "= -3" are, "5-3" is not. */
static bool is_negative(const char *text, const char *s)
{
    const char *minus = s - text >= 3 && !memcmp(s - 3, "\u2212", 3) ? s - 3
                        : s > text && s[-1] == '-'                   ? s - 1
                                                                     : NULL;
    return minus && !is_part_of_word(text, minus) && !(minus > text && minus[-1] == ')');
}

static bool is_value(const struct number *x, bool negative, const struct answer_value *v)
{
    i128 a, b;
    return x->fits && x->den && !__builtin_mul_overflow(negative ? -x->num : x->num, v->den, &a) &&
           !__builtin_mul_overflow(v->num, x->den, &b) && a == b;
}

/* The number that the word of n letters at s says, up to twenty, and tens; -1 for others. */
static int number_word(const char *s, size_t n)
{
    static const char *const words[] = {
        "zero",     "one",     "two",     "three",     "four",     "five",     "six",
        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
        "thirty",   "forty",   "fifty",   "sixty",     "seventy",  "eighty",   "ninety"};
    for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
        if (strlen(words[i]) == n && !strncasecmp(words[i], s, n))
            return i <= 20 ? i : 10 * (i - 18);
    return -1;
}

/* Does the text say the value in a word: "Three trucks"? */
static bool says_value(const char *s, const char *end, const struct answer_value *v)
{
    if (v->den != 1 || v->num < 0 || v->num > 90)
        return false;
    while (s < end) {
        size_t n = 0;
        while (s + n < end && isalpha((unsigned char)s[n]))
            n++;
        if (n && number_word(s, n) == (int)v->num)
            return true;
        s += n ? n : 1;
    }
    return false;
}

static bool holds_value(const char *s, const char *end, const struct answer_value *v)
{
    const char *text = s;
    while (s < end) {
        struct number x;
        if (!isdigit((unsigned char)*s)) {
            s++;
            continue;
        }
        bool word = is_part_of_word(text, s), negative = is_negative(text, s);
        s = read_ratio(s, end, &x);
        if (!word && is_value(&x, negative, v))
            return true;
    }
    return false;
}

/* Is gold there as it is written, and not as a part of something longer? */
static bool holds_text(const char *s, const char *end, const struct answer_span *gold)
{
    const char *text = s;
    for (; (s = memmem(s, (size_t)(end - s), gold->text, gold->n)); s += gold->n) {
        const char *past = s + gold->n;
        bool longer = past < end &&
                      (isalnum((unsigned char)*past) ||
                       (strchr(".,/", *past) && past + 1 < end && isdigit((unsigned char)past[1])));
        if (!longer && !is_part_of_word(text, s) && !(s > text && strchr("-.,/\\", s[-1])))
            return true;
    }
    return false;
}

static bool holds(const char *s, const char *end, const struct answer_span *gold,
                  const struct answer_value *v)
{
    return (v->exact && (holds_value(s, end, v) || says_value(s, end, v))) ||
           holds_text(s, end, gold);
}

bool answer_elsewhere(const char *text, size_t n, const struct answer_span *answer,
                      const struct answer_span *gold)
{
    struct answer_value v;
    bool digit = false;
    for (size_t i = 0; i < gold->n && !digit; i++)
        digit = isdigit((unsigned char)gold->text[i]);
    if (!digit || gold->n > ANSWER_MAX_BYTES)
        return false;
    v.exact = answer_parse(gold->text, gold->n, &v) && v.exact;
    return holds(text, answer->text, gold, &v) ||
           holds(answer->text + answer->n, text + n, gold, &v);
}
