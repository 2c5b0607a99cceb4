#include "dataset/expr_parse.h"

#include <strings.h>

enum { MAX_POSTFIX = 3 };

/* The degree sign, bare or raised. */
static bool accept_degree(struct expr_parser *p)
{
    struct expr_token *t = p->tok;
    if (t->kind == '^') {
        t++;
        bool brace = t->kind == '{';
        t += brace;
        if (t->kind != TOKEN_DEGREE || (brace && t[1].kind != '}'))
            return false;
        p->tok = t + 1 + brace;
        return true;
    }
    return expr_accept(p, TOKEN_DEGREE);
}

/* Is "th", "st", "nd" or "rd" what the whole number in digits ends in? */
static bool is_ending_of(const char *s, size_t n, const char *digits, size_t n_digits)
{
    static const char *const endings[] = {"th", "st", "nd", "rd"};
    int last = n_digits ? digits[n_digits - 1] - '0' : 9;
    bool teen = n_digits > 1 && digits[n_digits - 2] == '1';
    return n == 2 && !strncasecmp(s, endings[last <= 3 && !teen ? last : 0], 2);
}

/* The ending of an ordinal, "5th" or "5^{\\text{th}}", behind number. */
static bool accept_ending(struct expr_parser *p, const struct expr_token *number)
{
    struct expr_token *t = p->tok;
    bool raised = t->kind == '^', brace = raised && t[1].kind == '{';
    t += raised + brace;
    const char *text = p->t->text;
    if (number->kind != TOKEN_NUMBER || !number->n || t->kind != TOKEN_TEXT ||
        !is_ending_of(text + t->at, t->n, text + number->at, number->n) ||
        (brace && t[1].kind != '}'))
        return false;
    p->tok = t + 1 + brace;
    return true;
}

uint16_t expr_parse_factor(struct expr_parser *p)
{
    const struct expr_token *first = p->tok;
    uint16_t n = expr_parse_primary(p);
    if (n && p->tok == first + 1 && accept_ending(p, first)) {
        n = expr_add_over(p, EXPR_IN_UNIT, 0, n);
        p->t->nodes[n].at = p->tok[-1].at;
        p->t->nodes[n].n = p->tok[-1].n;
    }
    for (int i = 0; n && i < MAX_POSTFIX; i++) { /* what is left then is not understood */
        if (accept_degree(p))
            n = expr_add_over(p, EXPR_IN_DEGREES, 0, n);
        else if (expr_accept(p, '%'))
            n = expr_add_over(p, EXPR_IN_PERCENT, 0, n);
        else if (expr_accept(p, '!'))
            n = expr_add_over(p, EXPR_CALL, EXPR_FACTORIAL, n);
        else if (expr_accept(p, '^')) {
            uint16_t e = expr_parse_exponent(p);
            if (e && expr_accept(p, '^')) /* 2^3^4: to the right */
                e = expr_add_pair(p, EXPR_POWER, e, expr_parse_exponent(p));
            n = expr_add_pair(p, EXPR_POWER, n, e);
        } else
            break;
    }
    return n;
}

static bool is_whole(const struct expr_tree *t, uint16_t n)
{
    const struct expr_node *node = &t->nodes[n];
    return node->kind == EXPR_NUMBER && node->exact && node->q.den == 1 && !node->n_decimals;
}

/* A mixed number: a whole one, then a proper fraction of whole ones. */
static bool is_mixed(const struct expr_tree *t, uint16_t whole, uint16_t fraction)
{
    if (!is_whole(t, whole) || t->nodes[fraction].kind != EXPR_DIVIDE)
        return false;
    uint16_t num = t->nodes[fraction].first, den = t->nodes[num].next;
    return is_whole(t, num) && is_whole(t, den) && t->nodes[num].q.num > 0 &&
           t->nodes[num].q.num < t->nodes[den].q.num;
}

/* "2 1/2": the next tokens are NUMBER / NUMBER. */
static bool plain_fraction_follows(const struct expr_parser *p)
{
    return p->tok[0].kind == TOKEN_NUMBER && p->tok[0].spaced && p->tok[1].kind == '/' &&
           p->tok[2].kind == TOKEN_NUMBER && p->tok[3].kind != '/';
}

/* A number directly before a fraction of numbers that is no mixed number: a product, or a slip. */
static bool is_doubtful_mixed(const struct expr_tree *t, uint16_t number, uint16_t fraction)
{
    if (t->nodes[number].kind != EXPR_NUMBER || t->nodes[fraction].kind != EXPR_DIVIDE)
        return false;
    uint16_t num = t->nodes[fraction].first;
    return t->nodes[num].kind == EXPR_NUMBER && t->nodes[t->nodes[num].next].kind == EXPR_NUMBER;
}

/* A product as far as it is read. */
struct product {
    uint16_t value; /* of all of it */
    uint16_t
        last; /* the last factor of value, an EXPR_MULTIPLY that takes more; 0: it takes none */
    bool divided;
};

static bool multiply(struct expr_parser *p, struct product *x, uint16_t factor)
{
    if (!x->last) {
        uint16_t first = x->value;
        x->value = expr_add_node(p, EXPR_MULTIPLY, 0);
        if (!expr_append(p, x->value, &x->last, first))
            return false;
    }
    return expr_append(p, x->value, &x->last, factor);
}

/* After "*" and "/" a sign may stand. */
static uint16_t parse_signed_factor(struct expr_parser *p)
{
    bool minus = expr_accept(p, '-');
    uint16_t n = expr_parse_factor(p);
    return minus ? expr_add_over(p, EXPR_NEGATE, 0, n) : n;
}

static bool divide(struct expr_parser *p, struct product *x)
{
    x->value = expr_add_pair(p, EXPR_DIVIDE, x->value, parse_signed_factor(p));
    x->last = 0;
    x->divided = true;
    p->t->ambiguous = p->t->ambiguous || expr_starts_factor(p); /* 1/2x */
    return x->value != 0;
}

/* The whole part of a mixed number has been read, fraction is the rest. */
static bool add_fraction(struct expr_parser *p, struct product *x, uint16_t fraction)
{
    if (x->last) /* 3 \cdot 2\frac12 */
        return false;
    x->value = expr_add_pair(p, EXPR_ADD, x->value, fraction);
    p->t->ambiguous = p->t->ambiguous || expr_starts_factor(p);
    return x->value != 0;
}

/* "1/2" after a whole number and a space. */
static uint16_t parse_plain_fraction(struct expr_parser *p, uint16_t whole)
{
    if (!is_whole(p->t, whole) || !plain_fraction_follows(p))
        return 0; /* "7 2" */
    uint16_t num = expr_add_number(p, p->tok), den = expr_add_number(p, p->tok + 2);
    p->tok += 3;
    uint16_t fraction = expr_add_pair(p, EXPR_DIVIDE, num, den);
    return fraction && is_mixed(p->t, whole, fraction) ? fraction : 0;
}

/* "(2)(6)" may be two statements of a list, which are not "(3)(4)". */
static bool is_enumeration(const struct expr_parser *p)
{
    const struct expr_token *t = p->tok;
    return t[0].kind == '(' && t[1].kind == TOKEN_NUMBER && t[2].kind == ')' && t[-1].kind == ')' &&
           t[-2].kind == TOKEN_NUMBER && t[-3].kind == '(';
}

/* A factor without an operator before it. */
static bool juxtapose(struct expr_parser *p, struct product *x)
{
    uint16_t before = x->last ? x->last : x->value;
    const struct expr_node *node = &p->t->nodes[before];
    bool factorial = node->kind == EXPR_CALL && node->op == EXPR_FACTORIAL; /* 2!3! */
    p->t->ambiguous = p->t->ambiguous || is_enumeration(p);
    bool apart = p->tok->spaced || p->tok[-1].kind == '}';
    bool powers = node->kind == EXPR_POWER && apart && p->tok[1].kind == '^'; /* 2^{3}5^{2} */
    bool plain = p->tok->kind == TOKEN_NUMBER && !factorial && !powers;
    uint16_t n = plain ? parse_plain_fraction(p, before) : expr_parse_factor(p);
    if (!n)
        return false;
    if (is_mixed(p->t, before, n))
        return add_fraction(p, x, n);
    p->t->ambiguous = p->t->ambiguous || is_doubtful_mixed(p->t, before, n);
    return multiply(p, x, n);
}

static uint16_t parse_product(struct expr_parser *p)
{
    struct product x = {.value = expr_parse_factor(p)};
    while (x.value) {
        if (p->tok->kind == '/') {
            if (p->tok[1].kind == TOKEN_TEXT) /* "/ hour" is a unit's affair */
                return x.divided ? 0 : x.value;
            p->tok++;
            if (x.divided || !divide(p, &x))
                return 0;
        } else if (expr_accept(p, '*')) {
            if (!multiply(p, &x, parse_signed_factor(p)))
                return 0;
        } else if (!expr_starts_factor(p))
            return x.value;
        else if (!juxtapose(p, &x))
            return 0;
    }
    return 0;
}

/* The sign before a term: TOKEN_CURRENCY may stand at either side of it. */
static uint16_t parse_signed(struct expr_parser *p)
{
    bool minus = false;
    int sign = 0;
    expr_accept(p, TOKEN_CURRENCY);
    if (p->tok->kind == '-' || p->tok->kind == '+')
        minus = p->tok++->kind == '-';
    else if (p->tok->kind == TOKEN_PLUS_MINUS)
        sign = p->tok++->op;
    expr_accept(p, TOKEN_CURRENCY);
    uint16_t n = parse_product(p);
    expr_accept(p, TOKEN_CURRENCY);
    if (minus)
        return expr_add_over(p, EXPR_NEGATE, 0, n);
    if (!sign)
        return n;
    struct expr_tree *t = p->t;
    if (sign == '-' && t->n_signs) /* \mp goes with the \pm before it */
        return expr_add_over(p, EXPR_PLUS_MINUS, 128 + t->n_signs - 1, n);
    if (t->n_signs == EXPR_MAX_SIGNS)
        return 0;
    return expr_add_over(p, EXPR_PLUS_MINUS, t->n_signs++, n);
}

uint16_t expr_parse_sum(struct expr_parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_signed(p), sum = 0, last = 0;
    while (n && (p->tok->kind == '+' || p->tok->kind == '-' || p->tok->kind == TOKEN_PLUS_MINUS)) {
        if (!sum) {
            sum = expr_add_node(p, EXPR_ADD, 0);
            if (!expr_append(p, sum, &last, n))
                return 0;
        }
        n = parse_signed(p);
        if (!expr_append(p, sum, &last, n))
            return 0;
    }
    p->depth--;
    return n ? (sum ? sum : n) : 0;
}
