#include "dataset/expr_parse.h"

#include <string.h>

enum { MAX_DIGITS = 400 };

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

uint16_t expr_add_copy(struct expr_parser *p, uint16_t n)
{
    struct expr_tree *t = p->t;
    uint16_t copy = expr_add_node(p, t->nodes[n].kind, 0), last = 0;
    if (!copy)
        return 0;
    t->nodes[copy] = t->nodes[n];
    t->nodes[copy].first = t->nodes[copy].next = 0;
    for (uint16_t c = t->nodes[n].first; c; c = t->nodes[c].next)
        if (!expr_append(p, copy, &last, expr_add_copy(p, c)))
            return 0;
    return copy;
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

/* The number whose digits and point stand in [s, end), all else passed over. False when it has no
 * exact value; *approx is set in any case. */
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

/* q, which has n_decimals, with the digits of [bar, end) repeated for ever behind it: q plus those
 * digits over 99...900...0. */
static bool add_repeating(const char *bar, const char *end, int n_decimals, struct expr_ratio *q)
{
    __int128 num, den = 1;
    struct expr_ratio tail;
    long double unused;
    uint16_t none;
    int n_repeating = 0;
    for (const char *d = bar; d < end; d++)
        n_repeating += is_digit(*d);
    if (n_repeating + n_decimals > 18 || !read_digits(bar, end, &tail, &unused, &none))
        return false;
    for (int i = 0; i < n_repeating; i++)
        den *= 10;
    den -= 1;
    for (int i = 0; i < n_decimals; i++)
        den *= 10;
    return !__builtin_mul_overflow(q->num, den, &num) &&
           !__builtin_add_overflow(num, tail.num * q->den, &num) &&
           !__builtin_mul_overflow(q->den, den, &den) && ratio_make(num, den, q);
}

/* The \overline{...} of a number; NULL when it has none. */
static const char *find_bar(const char *s, const char *end)
{
    while (s && s < end && memcmp(s, "\\overline", 9)) /* "1\,234.\overline{5}" */
        s = memchr(s + 1, '\\', (size_t)(end - s - 1));
    return s;
}

uint16_t expr_add_number(struct expr_parser *p, const struct expr_token *tok)
{
    const char *s = p->t->text + tok->at, *end = s + tok->n;
    uint16_t n = tok->n > MAX_DIGITS ? 0 : expr_add_node(p, EXPR_NUMBER, 0);
    if (!n)
        return 0;
    struct expr_node *node = &p->t->nodes[n];
    if (!tok->n) {
        node->exact = true;
        node->q = (struct expr_ratio){tok->name, 1};
        return n;
    }
    const char *bar = tok->op ? find_bar(memchr(s, '\\', tok->n), end) : NULL;
    struct expr_ratio q;
    long double approx;
    node->exact = read_digits(s, bar ? bar : end, &q, &approx, &node->n_decimals);
    if (bar) {
        if (!node->exact || !add_repeating(bar, end, node->n_decimals, &q))
            return 0;
        node->n_decimals = 0;
    }
    if (node->exact)
        node->q = q;
    else
        node->approx = approx;
    return n;
}
