#include "dataset/expr_parse.h"

#include <string.h>

enum { MAX_APPROX_DIGITS = 400 };

uint16_t expr_add_node(struct expr_parser *p, enum expr_kind kind, int op)
{
    struct expr_tree *t = p->t;
    if (t->n_nodes == EXPR_MAX_NODES)
        return 0;
    t->nodes[t->n_nodes] = (struct expr_node){.kind = (uint8_t)kind, .op = (uint8_t)op};
    return t->n_nodes++;
}

uint16_t expr_add_over(struct expr_parser *p, enum expr_kind kind, int op, uint16_t a)
{
    uint16_t n = a ? expr_add_node(p, kind, op) : 0;
    if (n)
        p->t->nodes[n].first = a;
    return n;
}

uint16_t expr_add_pair(struct expr_parser *p, enum expr_kind kind, uint16_t a, uint16_t b)
{
    uint16_t n = b ? expr_add_over(p, kind, 0, a) : 0;
    if (n)
        p->t->nodes[a].next = b;
    return n;
}

bool expr_append(struct expr_parser *p, uint16_t parent, uint16_t *last, uint16_t child)
{
    if (!parent || !child)
        return false;
    if (*last)
        p->t->nodes[*last].next = child;
    else
        p->t->nodes[parent].first = child;
    *last = child;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and a point of [s, end), all else passed over, times 10^decimals, as an exact number. */
static bool read_digits(const char *s, const char *end, struct expr_ratio *q, long double *approx,
                        uint16_t *n_decimals)
{
    __int128 num = 0, den = 1;
    bool exact = true, point = false;
    *approx = 0;
    *n_decimals = 0;
    long double scale = 1;
    for (; s < end; s++) {
        if (*s == '.')
            point = true;
        if (!is_digit(*s))
            continue;
        exact = exact && !__builtin_mul_overflow(num, (__int128)10, &num) &&
                !__builtin_add_overflow(num, (__int128)(*s - '0'), &num);
        *approx = *approx * 10 + (*s - '0');
        if (!point)
            continue;
        ++*n_decimals;
        scale *= 10;
        exact = exact && !__builtin_mul_overflow(den, (__int128)10, &den);
    }
    *approx /= scale;
    return exact && ratio_make(num, den, q);
}

uint16_t expr_add_number(struct expr_parser *p, const struct expr_token *tok)
{
    const char *s = p->t->text + tok->at, *end = s + tok->n;
    uint16_t n = expr_add_node(p, EXPR_NUMBER, 0), n_repeating;
    if (!n)
        return 0;
    struct expr_node *node = &p->t->nodes[n];
    if (!tok->n) {
        node->exact = true;
        node->q = (struct expr_ratio){tok->name, 1};
        return n;
    }
    const char *bar = tok->op ? memchr(s, '\\', tok->n) : NULL;
    while (bar && memcmp(bar, "\\overline", 9)) /* "1\,234.\overline{5}" */
        bar = memchr(bar + 1, '\\', (size_t)(end - bar - 1));
    struct expr_ratio q, tail;
    long double approx, unused;
    node->exact = read_digits(s, bar ? bar : end, &q, &approx, &node->n_decimals);
    if (bar) {
        __int128 den = 1;
        int n_den;
        if (!node->exact || !read_digits(bar, end, &tail, &unused, &n_repeating))
            return 0;
        n_repeating = 0;
        for (const char *d = bar; d < end; d++)
            n_repeating += is_digit(*d);
        n_den = n_repeating + node->n_decimals;
        if (n_den > 18)
            return 0;
        for (int i = 0; i < n_repeating; i++)
            den *= 10;
        den -= 1;
        for (int i = 0; i < node->n_decimals; i++)
            den *= 10;
        __int128 num;
        if (__builtin_mul_overflow(q.num, den, &num) ||
            __builtin_add_overflow(num, tail.num * q.den, &num) ||
            __builtin_mul_overflow(q.den, den, &den) || !ratio_make(num, den, &node->q))
            return 0;
        node->n_decimals = 0;
        return n;
    }
    if (tok->n > MAX_APPROX_DIGITS)
        return 0;
    if (node->exact)
        node->q = q;
    else
        node->approx = approx;
    return n;
}
