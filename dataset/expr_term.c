#include "dataset/expr_parse.h"

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

uint16_t expr_parse_factor(struct expr_parser *p)
{
    uint16_t n = expr_parse_primary(p);
    for (int i = 0; n; i++) {
        if (i == MAX_POSTFIX && (p->tok->kind == '^' || p->tok->kind == '!'))
            return 0;
        if (accept_degree(p))
            n = expr_add_over(p, EXPR_IN_DEGREES, 0, n);
        else if (expr_accept(p, '!'))
            n = expr_add_over(p, EXPR_CALL, EXPR_FACTORIAL, n);
        else if (expr_accept(p, '^')) {
            if (++p->depth > EXPR_MAX_DEPTH)
                return 0;
            uint16_t e = expr_parse_exponent(p);
            if (e && expr_accept(p, '^')) /* 2^3^4: to the right */
                e = expr_add_pair(p, EXPR_POWER, e, expr_parse_exponent(p));
            p->depth--;
            n = expr_add_pair(p, EXPR_POWER, n, e);
        } else if (expr_accept(p, '%'))
            n = expr_add_over(p, EXPR_IN_PERCENT, 0, n);
        else
            return n;
    }
    return 0;
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

/* What stands after a factor without an operator. */
static uint16_t parse_juxtaposed(struct expr_parser *p, uint16_t before)
{
    struct expr_tree *t = p->t;
    const struct expr_node *last = &t->nodes[before];
    bool factorial = last->kind == EXPR_CALL && last->op == EXPR_FACTORIAL; /* 2!3! */
    if (p->tok->kind == TOKEN_NUMBER && !factorial) {
        if (!is_whole(t, before) || !plain_fraction_follows(p))
            return 0; /* "7 2" */
        uint16_t num = expr_add_number(p, p->tok), den = expr_add_number(p, p->tok + 2);
        p->tok += 3;
        uint16_t fraction = expr_add_pair(p, EXPR_DIVIDE, num, den);
        return fraction && is_mixed(t, before, fraction) ? fraction : 0;
    }
    return expr_parse_factor(p);
}

static uint16_t parse_product(struct expr_parser *p)
{
    uint16_t product = 0, last = 0, n = expr_parse_factor(p);
    bool divided = false;
    for (;;) {
        if (!n)
            return 0;
        if (p->tok->kind == '/') {
            const struct expr_token *after = p->tok + 1;
            if (divided || after->kind == TOKEN_TEXT) /* "m/s" is a unit's affair */
                return divided ? 0 : product ? product : n;
            p->tok++;
            bool minus = expr_accept(p, '-');
            uint16_t den = expr_parse_factor(p);
            den = minus ? expr_add_over(p, EXPR_NEGATE, 0, den) : den;
            uint16_t all = expr_add_pair(p, EXPR_DIVIDE, product ? product : n, den);
            if (!all)
                return 0;
            product = last = 0;
            n = all;
            divided = true;
            p->t->ambiguous = p->t->ambiguous || expr_starts_factor(p);
            continue;
        }
        bool star = p->tok->kind == '*';
        if (!star && !expr_starts_factor(p))
            return product ? product : n;
        if (!product) {
            product = expr_add_node(p, EXPR_MULTIPLY, 0);
            if (!expr_append(p, product, &last, n))
                return 0;
        }
        bool minus = false;
        if (star) {
            p->tok++;
            minus = expr_accept(p, '-');
            n = expr_parse_factor(p);
            n = minus ? expr_add_over(p, EXPR_NEGATE, 0, n) : n;
        } else {
            uint16_t before = last;
            n = parse_juxtaposed(p, before);
            if (n && is_doubtful_mixed(p->t, before, n) && !is_mixed(p->t, before, n))
                p->t->ambiguous = true;
            if (n && is_mixed(p->t, before, n)) {
                if (p->t->nodes[product].first != before) /* 3 \cdot 2\frac12 */
                    return 0;
                p->t->nodes[product].kind = EXPR_ADD;
                if (!expr_append(p, product, &last, n))
                    return 0;
                n = product;
                product = last = 0;
                p->t->ambiguous = p->t->ambiguous || expr_starts_factor(p);
                continue;
            }
        }
        if (!expr_append(p, product, &last, n))
            return 0;
    }
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
