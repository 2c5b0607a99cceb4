#include "dataset/answer_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 i128;

static i128 gcd(i128 a, i128 b)
{
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b) {
        i128 r = a % b;
        a = b;
        b = r;
    }
    return a;
}

void value_set_ratio(struct answer_value *v, i128 num, i128 den)
{
    const i128 lowest = -((i128)1 << 126) * 2; /* has no negative */
    if (num == lowest || den == lowest) {
        v->exact = false;
        v->approx = (double)num / (double)den;
        return;
    }
    i128 g = gcd(num, den);
    g = (g ? g : 1) * (den < 0 ? -1 : 1);
    v->exact = true;
    v->num = num / g;
    v->den = den / g;
    v->approx = (double)v->num / (double)v->den;
}

void value_multiply(struct answer_value *v, const struct answer_value *by)
{
    i128 num, den;
    double approx = v->approx * by->approx;
    if (v->exact && by->exact && !__builtin_mul_overflow(v->num, by->num, &num) &&
        !__builtin_mul_overflow(v->den, by->den, &den))
        value_set_ratio(v, num, den);
    else
        v->exact = false;
    v->approx = approx;
    v->n_decimals = 0;
}

bool value_divide(struct answer_value *v, const struct answer_value *by)
{
    struct answer_value inverse = {.approx = 1 / by->approx};
    if (by->approx == 0)
        return false;
    if (by->exact)
        value_set_ratio(&inverse, by->den, by->num);
    value_multiply(v, &inverse);
    return true;
}

void value_add(struct answer_value *v, const struct answer_value *b)
{
    i128 x, y, num, den;
    double approx = v->approx + b->approx;
    if (v->exact && b->exact && !__builtin_mul_overflow(v->num, b->den, &x) &&
        !__builtin_mul_overflow(b->num, v->den, &y) && !__builtin_add_overflow(x, y, &num) &&
        !__builtin_mul_overflow(v->den, b->den, &den))
        value_set_ratio(v, num, den);
    else
        v->exact = false;
    v->approx = approx;
    v->n_decimals = 0;
}

void value_negate(struct answer_value *v)
{
    v->num = -v->num;
    v->approx = -v->approx;
}

struct answer_value value_power_of_ten(int exponent)
{
    struct answer_value v = {.approx = pow(10, exponent)};
    i128 ten = 1;
    int n = abs(exponent);
    if (n > 38)
        return v;
    for (int i = 0; i < n; i++)
        ten *= 10;
    value_set_ratio(&v, exponent < 0 ? 1 : ten, exponent < 0 ? ten : 1);
    return v;
}

static bool is_finite_decimal(i128 den)
{
    while (den % 2 == 0)
        den /= 2;
    while (den % 5 == 0)
        den /= 5;
    return den == 1;
}

int value_rounded(i128 num, i128 den, int n_decimals, i128 of_num, i128 of_den)
{
    i128 unit = 1, x, y, off;
    if (n_decimals < 2 || n_decimals > 38 || is_finite_decimal(of_den))
        return -1;
    for (int i = 0; i < n_decimals; i++)
        unit *= 10;
    i128 digits = num * (unit / den);
    if (__builtin_mul_overflow(digits, of_den, &x) || __builtin_mul_overflow(of_num, unit, &y) ||
        __builtin_sub_overflow(x, y, &off)) {
        double u = (double)num / (double)den, v = (double)of_num / (double)of_den;
        return fabs(u - v) <= 1e-9 * fmax(fabs(u), fabs(v)) ? 0 : -1;
    }
    bool cut = of_num < 0 ? off > 0 : off < 0;
    off = off < 0 ? -off : off; /* in units of the last digit, times of_den */
    bool nearest = off <= of_den / 2;
    if (!nearest && !(cut && off < of_den))
        return -1;
    return nearest && n_decimals >= VALUE_MIN_DECIMALS && (digits < 0 ? -digits : digits) >= 100000;
}

/* -1: differ; 0: too close to tell; 1: equal. */
static int compare(const struct answer_value *a, const struct answer_value *b)
{
    if (a->exact && b->exact) {
        if (a->num == b->num && a->den == b->den)
            return 1;
        if (a->n_decimals && !b->n_decimals)
            return value_rounded(a->num, a->den, a->n_decimals, b->num, b->den);
        if (b->n_decimals && !a->n_decimals)
            return value_rounded(b->num, b->den, b->n_decimals, a->num, a->den);
        return -1;
    }
    double scale = fmax(fabs(a->approx), fabs(b->approx));
    return fabs(a->approx - b->approx) <= 1e-9 * scale ? 0 : -1;
}

/* One of the two is a percentage and the other a bare number. */
static int compare_percent(const struct answer_value *percent, const struct answer_value *bare)
{
    struct answer_value hundredth = value_power_of_ten(-2), share = *percent;
    value_multiply(&share, &hundredth);
    share.n_decimals = percent->n_decimals || percent->den == 1 ? percent->n_decimals + 2 : 0;
    int as_share = compare(&share, bare);
    if (as_share == 1)
        return 1;
    int as_number = compare(percent, bare);
    /* A sign left out ("50" for 50%) is fine, but 0.5% for 0.5, or 1% for 1, may be a mistake. */
    if (as_number == 1)
        return fabs(percent->approx) > 1 ? 1 : 0;
    return as_share == 0 || as_number == 0 ? 0 : -1;
}

/* "5 m" may be metres or a product: a unit of one or two letters that is not a common one. */
static bool is_doubtful(const char *unit)
{
    char word[3] = {0};
    size_t n = strcspn(unit, " ^");
    if (!n || n > 2)
        return false;
    memcpy(word, unit, n);
    /* 3/5 of a mile, 120 sq. units */
    return !unit_is_short(word) && strcmp(word, "of") && strcmp(word, "sq") && strcmp(word, "cu");
}

enum answer_verdict answer_equal(const struct answer_value *a, const struct answer_value *gold,
                                 const char **why)
{
    if (*a->unit && *gold->unit &&
        !unit_is_same(a->unit, strlen(a->unit), gold->unit, strlen(gold->unit))) {
        *why = "the units differ";
        return ANSWER_UNKNOWN;
    }
    if (a->percent != gold->percent && (*a->unit || *gold->unit)) {
        *why = "a percentage against a quantity";
        return ANSWER_UNKNOWN;
    }
    int same = a->percent == gold->percent ? compare(a, gold)
               : a->percent                ? compare_percent(a, gold)
                                           : compare_percent(gold, a);
    bool doubtful =
        (!*a->unit && is_doubtful(gold->unit)) || (!*gold->unit && is_doubtful(a->unit));
    if (same > 0 && doubtful) {
        *why = "equal but for letters that may not be a unit";
        return ANSWER_UNKNOWN;
    }
    const char *doubt =
        a->exact && gold->exact ? "equal only when rounded" : "too close to tell apart";
    *why = same > 0 ? "equal" : same < 0 ? "another value" : doubt;
    return same > 0 ? ANSWER_CORRECT : same < 0 ? ANSWER_WRONG : ANSWER_UNKNOWN;
}
