#include "dataset/expr.h"
#include "dataset/answer_value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Recursive descent over the tokens. Each function gives the index of a node, or 0: not understood.
 *
 *     list       statement ("," statement)*            also ";", "and", "or"
 *     statement  [name "="] chain unit
 *     chain      ratio (relation ratio)*
 *     ratio      join (":" join)*
 *     join       sum ("\cup" sum)*
 *     sum        [sign] product (("+" | "-" | "\pm") product)*
 *     product    factor (["*" | "/"] factor)*
 *     factor     primary ("^" ... | "!" | degrees)*                                              */
struct parser {
    struct expr_tree *t;
    struct expr_token *tok; /* the next token */
    const struct expr_token *first;
    int depth;
    bool in_bars; /* the next "|" closes */
};

enum { MAX_POSTFIX = 3, MAX_APPROX_DIGITS = 400 };

static uint16_t parse_list(struct parser *p);
static uint16_t parse_sum(struct parser *p);
static uint16_t parse_factor(struct parser *p);
static uint16_t parse_primary(struct parser *p);

static uint16_t add_node(struct parser *p, enum expr_kind kind, int op)
{
    struct expr_tree *t = p->t;
    if (t->n_nodes == EXPR_MAX_NODES)
        return 0;
    t->nodes[t->n_nodes] = (struct expr_node){.kind = (uint8_t)kind, .op = (uint8_t)op};
    return t->n_nodes++;
}

/* A node over up to two children; 0 when a child is 0. */
static uint16_t add_over(struct parser *p, enum expr_kind kind, int op, uint16_t a)
{
    uint16_t n = a ? add_node(p, kind, op) : 0;
    if (n)
        p->t->nodes[n].first = a;
    return n;
}

static uint16_t add_pair(struct parser *p, enum expr_kind kind, uint16_t a, uint16_t b)
{
    uint16_t n = b ? add_over(p, kind, 0, a) : 0;
    if (n)
        p->t->nodes[a].next = b;
    return n;
}

/* Children in a row: *last is the last one so far. */
static bool append(struct parser *p, uint16_t parent, uint16_t *last, uint16_t child)
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

static bool accept(struct parser *p, int kind)
{
    if (p->tok->kind != kind)
        return false;
    p->tok++;
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

/* The number at [at, at + n). "0.1\overline{6}" is 0.1 + 6/90. */
static uint16_t add_number(struct parser *p, const struct expr_token *tok)
{
    const char *s = p->t->text + tok->at, *end = s + tok->n;
    uint16_t n = add_node(p, EXPR_NUMBER, 0), n_repeating;
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

/* A token that stands for one digit only, as TeX reads \frac12. */
static uint16_t parse_one_digit(struct parser *p)
{
    struct expr_token *tok = p->tok, one = *tok;
    one.n = 1;
    if (tok->n == 1)
        p->tok++;
    else {
        tok->at++;
        tok->n--;
        tok->spaced = false;
    }
    return add_number(p, &one);
}

/* The argument of \frac, \sqrt, \binom. */
static uint16_t parse_argument(struct parser *p)
{
    if (p->tok->kind == TOKEN_NUMBER && p->tok->n && is_digit(p->t->text[p->tok->at]))
        return parse_one_digit(p);
    return parse_primary(p);
}

static uint32_t hash_more(uint32_t h, const char *s, size_t n)
{
    h = (h ^ 0x5f) * 16777619u;
    for (size_t i = 0; i < n; i++)
        if (!strchr(" {}", s[i]))
            h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h | 0x80000000u;
}

/* Past a group's closing brace; NULL when it does not close. */
static struct expr_token *past_group(struct expr_token *tok, int open, int close)
{
    int depth = 0;
    for (; tok->kind != TOKEN_END; tok++) {
        depth += tok->kind == open;
        depth -= tok->kind == close;
        if (!depth)
            return tok + 1;
    }
    return NULL;
}

/* The name of a variable at *tok, with its subscript; *tok moves past it. 0: none. */
static uint32_t scan_variable(const struct parser *p, struct expr_token **tok)
{
    struct expr_token *t = *tok;
    if (t->kind != TOKEN_VARIABLE)
        return 0;
    uint32_t name = t->name;
    t++;
    if (t->kind == '_') {
        struct expr_token *sub = t + 1;
        t = sub->kind == '{' ? past_group(sub, '{', '}') : sub->kind ? sub + 1 : NULL;
        if (!t)
            return 0;
        const struct expr_token *last = t - 1;
        name = hash_more(name, p->t->text + sub->at, (size_t)(last->at + last->n - sub->at));
    }
    *tok = t;
    return name;
}

static uint16_t parse_variable(struct parser *p)
{
    uint32_t name = scan_variable(p, &p->tok);
    uint16_t n = name ? add_node(p, EXPR_VARIABLE, 0) : 0;
    if (n)
        p->t->nodes[n].name = name;
    return n;
}

/* "( list )" and its kin, from the opening token on. Brackets around one thing only group it, but
 * \\{x\\} is a set. "{1,2}" without backslashes is taken for a set too. */
static uint16_t parse_brackets(struct parser *p)
{
    int open = p->tok->kind;
    bool bars = p->in_bars;
    p->tok++;
    p->in_bars = false;
    if (open == TOKEN_SET_OPEN && accept(p, TOKEN_SET_CLOSE)) {
        p->in_bars = bars;
        return add_node(p, EXPR_CONSTANT, EXPR_EMPTY);
    }
    uint16_t list = parse_list(p);
    p->in_bars = bars;
    if (!list)
        return 0;
    int close = p->tok->kind;
    bool round = (open == '(' || open == '[') && (close == ')' || close == ']');
    if (!round && !(open == '{' && close == '}') &&
        !(open == TOKEN_SET_OPEN && close == TOKEN_SET_CLOSE))
        return 0;
    p->tok++;
    struct expr_node *node = &p->t->nodes[list];
    bool bare = node->kind == EXPR_SEQUENCE && !node->open;
    if (!bare && open != TOKEN_SET_OPEN)
        return (open == '(') == (close == ')') ? list : 0;
    if (!bare) {
        uint16_t set = add_over(p, EXPR_SEQUENCE, 0, list);
        list = set;
    }
    if (!list)
        return 0;
    node = &p->t->nodes[list];
    if (node->op != ',' && node->op && open != TOKEN_SET_OPEN && open != '{')
        return 0; /* "(1 or 2)" */
    node->open = open == TOKEN_SET_OPEN ? '{' : (char)open;
    node->close = close == TOKEN_SET_CLOSE ? '}' : (char)close;
    return list;
}

static uint16_t parse_power_argument(struct parser *p)
{
    bool minus = accept(p, '-');
    uint16_t n = parse_primary(p);
    return minus ? add_over(p, EXPR_NEGATE, 0, n) : n;
}

static uint16_t parse_root(struct parser *p)
{
    uint16_t order = 0;
    p->tok++;
    if (accept(p, '[')) {
        order = parse_sum(p);
        if (!order || !accept(p, ']'))
            return 0;
    }
    uint16_t radicand = parse_argument(p);
    return order ? add_pair(p, EXPR_ROOT_OF, radicand, order)
                 : add_over(p, EXPR_CALL, EXPR_SQRT, radicand);
}

static bool starts_factor(const struct parser *p)
{
    switch (p->tok->kind) {
    case TOKEN_NUMBER:
    case TOKEN_VARIABLE:
    case TOKEN_CONSTANT:
    case TOKEN_FUNCTION:
    case TOKEN_FRACTION:
    case TOKEN_ROOT:
    case TOKEN_BINOMIAL:
    case TOKEN_BAR:
    case '(':
    case '[':
    case '{':
        return true;
    case TOKEN_FLOOR:
    case TOKEN_CEILING:
        return p->tok->op == '(';
    case '|':
        return !p->in_bars;
    default:
        return false;
    }
}

static enum expr_function inverse(enum expr_function f)
{
    return f <= EXPR_CSC ? f + (EXPR_ARCSIN - EXPR_SIN) : EXPR_BAR;
}

/* The argument of a function: a group, or the factors that follow up to the next function. */
static uint16_t parse_function_argument(struct parser *p)
{
    int kind = p->tok->kind;
    if (kind == '(' || kind == '{' || kind == '[' || kind == '|')
        return parse_primary(p);
    bool minus = accept(p, '-');
    uint16_t product = add_node(p, EXPR_MULTIPLY, 0), last = 0;
    int n = 0;
    while (starts_factor(p) && p->tok->kind != TOKEN_FUNCTION && p->tok->kind != '(' &&
           p->tok->kind != '[' && (!n || p->tok->kind != TOKEN_NUMBER)) {
        if (!append(p, product, &last, parse_factor(p)))
            return 0;
        n++;
    }
    if (!n)
        return 0;
    return minus ? add_over(p, EXPR_NEGATE, 0, product) : product;
}

static uint16_t parse_function(struct parser *p)
{
    enum expr_function f = p->tok++->op;
    uint16_t base = 0, power = 0;
    for (int i = 0; i < 2; i++) {
        if (!base && (f == EXPR_LOG || f == EXPR_LN) && accept(p, '_')) {
            base = parse_argument(p);
            if (!base)
                return 0;
        } else if (!power && accept(p, '^')) {
            power = parse_power_argument(p);
            if (!power)
                return 0;
        }
    }
    if (power) { /* \sin^{-1} is the inverse */
        const struct expr_node *n = &p->t->nodes[power];
        if (n->kind == EXPR_NEGATE || (n->kind == EXPR_NUMBER && n->exact && n->q.num < 0)) {
            n = n->kind == EXPR_NEGATE ? &p->t->nodes[n->first] : n;
            bool one = n->kind == EXPR_NUMBER && n->exact && n->q.num == 1 && n->q.den == 1;
            if (!one || inverse(f) == EXPR_BAR)
                return 0;
            f = inverse(f);
            power = 0;
        }
    }
    uint16_t arg = parse_function_argument(p), call;
    if (base)
        call = add_pair(p, EXPR_LOG_BASE, arg, base);
    else
        call = add_over(p, EXPR_CALL, f, arg);
    p->t->bare_log = p->t->bare_log || (f == EXPR_LOG && !base);
    return power ? add_pair(p, EXPR_POWER, call, power) : call;
}

static uint16_t parse_matrix(struct parser *p)
{
    uint16_t matrix = add_node(p, EXPR_MATRIX, 0), last = 0;
    uint32_t n_columns = 0, n = 0;
    p->tok++;
    for (;;) {
        if (!append(p, matrix, &last, parse_sum(p)))
            return 0;
        n++;
        if (accept(p, '&'))
            continue;
        bool row = accept(p, TOKEN_ROW);
        n_columns = n_columns ? n_columns : n;
        if (n != n_columns)
            return 0;
        n = 0;
        if (!row || p->tok->kind == TOKEN_MATRIX_END)
            break;
    }
    p->t->nodes[matrix].name = n_columns;
    return accept(p, TOKEN_MATRIX_END) ? matrix : 0;
}

/* "|x|", "\lfloor x \rfloor" */
static uint16_t parse_enclosed(struct parser *p, enum expr_function f)
{
    int kind = p->tok->kind;
    bool bars = p->in_bars;
    p->tok++;
    p->in_bars = kind == '|';
    uint16_t inner = parse_sum(p);
    p->in_bars = bars;
    if (!inner || p->tok->kind != kind || (kind != '|' && p->tok->op != ')'))
        return 0;
    p->tok++;
    return add_over(p, EXPR_CALL, f, inner);
}

static uint16_t parse_decorated(struct parser *p)
{
    uint8_t which = p->tok++->op;
    uint16_t n = add_over(p, EXPR_CALL, EXPR_BAR, parse_argument(p));
    if (n)
        p->t->nodes[n].name = which;
    return n;
}

static uint16_t parse_based(struct parser *p, uint16_t number);

static uint16_t parse_primary_kind(struct parser *p)
{
    switch (p->tok->kind) {
    case TOKEN_NUMBER:
        return parse_based(p, add_number(p, p->tok++));
    case TOKEN_VARIABLE:
        return parse_variable(p);
    case TOKEN_CONSTANT:
        return add_node(p, EXPR_CONSTANT, p->tok++->op);
    case TOKEN_FUNCTION:
        return parse_function(p);
    case TOKEN_ROOT:
        return parse_root(p);
    case TOKEN_FRACTION:
    case TOKEN_BINOMIAL: {
        enum expr_kind kind = p->tok++->kind == TOKEN_FRACTION ? EXPR_DIVIDE : EXPR_CHOOSE;
        uint16_t a = parse_argument(p);
        return a ? add_pair(p, kind, a, parse_argument(p)) : 0;
    }
    case TOKEN_BAR:
        return parse_decorated(p);
    case '|':
        return parse_enclosed(p, EXPR_ABSOLUTE);
    case TOKEN_FLOOR:
        return parse_enclosed(p, EXPR_FLOOR);
    case TOKEN_CEILING:
        return parse_enclosed(p, EXPR_CEILING);
    case TOKEN_MATRIX_BEGIN:
        return parse_matrix(p);
    case '(':
    case '[':
    case '{':
    case TOKEN_SET_OPEN:
        return parse_brackets(p);
    default:
        return 0;
    }
}

static uint16_t parse_primary(struct parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_primary_kind(p);
    p->depth--;
    return n;
}

/* "1011_2", "1011_{2}": digits in a base. */
static uint16_t parse_based(struct parser *p, uint16_t number)
{
    if (!number || p->tok->kind != '_')
        return number;
    struct expr_node *node = &p->t->nodes[number];
    p->tok++;
    bool brace = accept(p, '{');
    struct expr_token *tok = p->tok;
    uint16_t base = tok->kind == TOKEN_NUMBER ? add_number(p, p->tok++) : 0;
    if (!base || (brace && !accept(p, '}')))
        return 0;
    const struct expr_node *b = &p->t->nodes[base];
    bool fits = b->exact && b->q.den == 1 && b->q.num >= 2 && b->q.num <= 36;
    if (!fits || !node->exact || node->q.den != 1)
        return 0;
    return add_over(p, EXPR_IN_BASE, (int)b->q.num, number);
}

/* The degree sign, bare or raised. */
static bool accept_degree(struct parser *p)
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
    return accept(p, TOKEN_DEGREE);
}

static uint16_t parse_factor(struct parser *p)
{
    uint16_t n = parse_primary(p);
    for (int i = 0; n; i++) {
        if (i == MAX_POSTFIX && (p->tok->kind == '^' || p->tok->kind == '!'))
            return 0;
        if (accept_degree(p))
            n = add_over(p, EXPR_IN_DEGREES, 0, n);
        else if (accept(p, '!'))
            n = add_over(p, EXPR_CALL, EXPR_FACTORIAL, n);
        else if (accept(p, '^')) {
            if (++p->depth > EXPR_MAX_DEPTH)
                return 0;
            uint16_t e = parse_power_argument(p);
            if (e && accept(p, '^')) /* 2^3^4: to the right */
                e = add_pair(p, EXPR_POWER, e, parse_power_argument(p));
            p->depth--;
            n = add_pair(p, EXPR_POWER, n, e);
        } else if (accept(p, '%'))
            n = add_over(p, EXPR_IN_PERCENT, 0, n);
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
static bool plain_fraction_follows(const struct parser *p)
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
static uint16_t parse_juxtaposed(struct parser *p, uint16_t before)
{
    struct expr_tree *t = p->t;
    const struct expr_node *last = &t->nodes[before];
    bool factorial = last->kind == EXPR_CALL && last->op == EXPR_FACTORIAL; /* 2!3! */
    if (p->tok->kind == TOKEN_NUMBER && !factorial) {
        if (!is_whole(t, before) || !plain_fraction_follows(p))
            return 0; /* "7 2" */
        uint16_t num = add_number(p, p->tok), den = add_number(p, p->tok + 2);
        p->tok += 3;
        uint16_t fraction = add_pair(p, EXPR_DIVIDE, num, den);
        return fraction && is_mixed(t, before, fraction) ? fraction : 0;
    }
    return parse_factor(p);
}

static uint16_t parse_product(struct parser *p)
{
    uint16_t product = 0, last = 0, n = parse_factor(p);
    bool divided = false;
    for (;;) {
        if (!n)
            return 0;
        if (p->tok->kind == '/') {
            const struct expr_token *after = p->tok + 1;
            if (divided || after->kind == TOKEN_TEXT) /* "m/s" is a unit's affair */
                return divided ? 0 : product ? product : n;
            p->tok++;
            bool minus = accept(p, '-');
            uint16_t den = parse_factor(p);
            den = minus ? add_over(p, EXPR_NEGATE, 0, den) : den;
            uint16_t all = add_pair(p, EXPR_DIVIDE, product ? product : n, den);
            if (!all)
                return 0;
            product = last = 0;
            n = all;
            divided = true;
            p->t->ambiguous = p->t->ambiguous || starts_factor(p);
            continue;
        }
        bool star = p->tok->kind == '*';
        if (!star && !starts_factor(p))
            return product ? product : n;
        if (!product) {
            product = add_node(p, EXPR_MULTIPLY, 0);
            if (!append(p, product, &last, n))
                return 0;
        }
        bool minus = false;
        if (star) {
            p->tok++;
            minus = accept(p, '-');
            n = parse_factor(p);
            n = minus ? add_over(p, EXPR_NEGATE, 0, n) : n;
        } else {
            uint16_t before = last;
            n = parse_juxtaposed(p, before);
            if (n && is_doubtful_mixed(p->t, before, n) && !is_mixed(p->t, before, n))
                p->t->ambiguous = true;
            if (n && is_mixed(p->t, before, n)) {
                if (p->t->nodes[product].first != before) /* 3 \cdot 2\frac12 */
                    return 0;
                p->t->nodes[product].kind = EXPR_ADD;
                if (!append(p, product, &last, n))
                    return 0;
                n = product;
                product = last = 0;
                p->t->ambiguous = p->t->ambiguous || starts_factor(p);
                continue;
            }
        }
        if (!append(p, product, &last, n))
            return 0;
    }
}

/* The sign before a term: TOKEN_CURRENCY may stand at either side of it. */
static uint16_t parse_signed(struct parser *p)
{
    bool minus = false;
    int sign = 0;
    accept(p, TOKEN_CURRENCY);
    if (p->tok->kind == '-' || p->tok->kind == '+')
        minus = p->tok++->kind == '-';
    else if (p->tok->kind == TOKEN_PLUS_MINUS)
        sign = p->tok++->op;
    accept(p, TOKEN_CURRENCY);
    uint16_t n = parse_product(p);
    accept(p, TOKEN_CURRENCY);
    if (minus)
        return add_over(p, EXPR_NEGATE, 0, n);
    if (!sign)
        return n;
    struct expr_tree *t = p->t;
    if (sign == '-' && t->n_signs) /* \mp goes with the \pm before it */
        return add_over(p, EXPR_PLUS_MINUS, 128 + t->n_signs - 1, n);
    if (t->n_signs == EXPR_MAX_SIGNS)
        return 0;
    return add_over(p, EXPR_PLUS_MINUS, t->n_signs++, n);
}

static uint16_t parse_sum(struct parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_signed(p), sum = 0, last = 0;
    while (n && (p->tok->kind == '+' || p->tok->kind == '-' || p->tok->kind == TOKEN_PLUS_MINUS)) {
        if (!sum) {
            sum = add_node(p, EXPR_ADD, 0);
            if (!append(p, sum, &last, n))
                return 0;
        }
        n = parse_signed(p);
        if (!append(p, sum, &last, n))
            return 0;
    }
    p->depth--;
    return n ? (sum ? sum : n) : 0;
}

static uint16_t parse_series(struct parser *p, int separator, enum expr_kind kind,
                             uint16_t (*parse)(struct parser *))
{
    uint16_t n = parse(p), series = 0, last = 0;
    while (n && accept(p, separator)) {
        if (!series) {
            series = add_node(p, kind, 0);
            if (!append(p, series, &last, n))
                return 0;
        }
        n = parse(p);
        if (!append(p, series, &last, n))
            return 0;
    }
    return n ? (series ? series : n) : 0;
}

static uint16_t parse_join(struct parser *p)
{
    return parse_series(p, TOKEN_UNION, EXPR_JOIN, parse_sum);
}

static uint16_t parse_ratio(struct parser *p)
{
    return parse_series(p, ':', EXPR_RATIO, parse_join);
}

/* Are these words fit for a unit? */
static bool is_unit(const char *s, size_t n)
{
    char word[32];
    for (size_t i = 0; i < n;) {
        size_t m = 0;
        while (i < n && strchr(" /-^{}23", s[i]))
            i++;
        while (i < n && (isalpha((unsigned char)s[i]) || s[i] == '.' || s[i] == '\'')) {
            if (m + 1 == sizeof word)
                return false;
            word[m++] = (char)tolower((unsigned char)s[i++]);
        }
        if (!m)
            return i == n;
        while (m && word[m - 1] == '.')
            m--;
        word[m] = 0;
        if (value_is_no_unit(word))
            return false;
    }
    return true;
}

/* Words after a value: "cm", "\text{ cm}^2", "km / h", "square units". */
static uint16_t parse_unit(struct parser *p, uint16_t n)
{
    const struct expr_token *first = p->tok, *end = first;
    if (!n)
        return 0;
    if (first->kind == '/')
        p->tok++;
    if (p->tok->kind != TOKEN_TEXT) {
        p->tok -= first->kind == '/';
        return n;
    }
    for (;;) {
        if (p->tok->kind == '/' && p->tok[1].kind == TOKEN_TEXT) {
            p->tok++;
        } else if (p->tok->kind == '^' &&
                   (p->tok[1].kind == TOKEN_NUMBER || p->tok[1].kind == '{')) {
            bool brace = p->tok[1].kind == '{';
            const struct expr_token *e = p->tok + 1 + brace;
            if (e->kind != TOKEN_NUMBER || e->n > 1 || (brace && e[1].kind != '}'))
                return 0;
            p->tok += 2 + 2 * brace;
        } else if (!accept(p, TOKEN_TEXT))
            break;
        end = p->tok - 1;
    }
    size_t length = (size_t)(end->at + end->n - first->at);
    if (!is_unit(p->t->text + first->at, first->n))
        return 0;
    for (const struct expr_token *t = first; t <= end; t++)
        if (t->kind == TOKEN_TEXT && !is_unit(p->t->text + t->at, t->n))
            return 0;
    uint16_t unit = add_over(p, EXPR_IN_UNIT, 0, n);
    if (unit) {
        p->t->nodes[unit].at = first->at;
        p->t->nodes[unit].n = (uint16_t)length;
    }
    return unit;
}

/* What an assignment gives a value to: "x =", "f(x) =", "(x, y) =", "\text{Area} =", "x \in".
 * *name 0 for words; *op: 'v' a variable, 'f' anything that may be left out. Moves past the "=".
 * False, and nothing moves, when the statement begins otherwise. */
static bool scan_name(struct parser *p, uint32_t *name, char *op)
{
    struct expr_token *t = p->tok;
    *name = scan_variable(p, &t);
    *op = 'v';
    if (*name) {
        if (t->kind == '\'')
            t++;
        if (t->kind == '^' && t[1].kind == '{' && t[2].kind == '-' && t[4].kind == '}')
            t += 5; /* f^{-1} */
        if (t->kind == '(' && (t = past_group(t, '(', ')')))
            *op = 'f';
    } else if (t->kind == '(' && t[1].kind == TOKEN_VARIABLE) {
        *op = 'f';
        t++;
        while (scan_variable(p, &t) && t->kind == ',')
            t++;
        t = t->kind == ')' ? t + 1 : NULL;
    } else
        t = NULL;
    bool in = t && t->kind == TOKEN_RELATION && t->op == 'e' && *op == 'v';
    if (t && t->kind == TOKEN_RELATION && (t->op == '=' || in)) {
        p->tok = t + 1;
        return true;
    }
    bool words = false;
    int depth = 0;
    for (t = p->tok; t->kind && t->kind != TOKEN_RELATION && t->kind != ',' && depth >= 0; t++) {
        words = words || t->kind == TOKEN_TEXT || t->kind == TOKEN_SYMBOL;
        depth += t->kind == '(' || t->kind == '{' || t->kind == '[';
        depth -= t->kind == ')' || t->kind == '}' || t->kind == ']';
    }
    if (!words || t->kind != TOKEN_RELATION || t->op != '=')
        return false;
    *name = 0;
    *op = 'f';
    p->tok = t + 1;
    return true;
}

/* A value, up to the next relation. */
static uint16_t parse_value(struct parser *p)
{
    return parse_unit(p, parse_ratio(p));
}

static uint16_t parse_assignment(struct parser *p, uint32_t name, char op)
{
    uint16_t value = parse_value(p);
    while (value && p->tok->kind == TOKEN_RELATION && (p->tok->op == '=' || p->tok->op == '~')) {
        bool about = p->tok++->op == '~'; /* "= \sqrt{2} \approx 1.41": the value is \sqrt{2} */
        uint16_t next = parse_value(p);
        if (!next)
            return 0;
        value = about ? value : next;
        if (about)
            break;
    }
    uint16_t n = add_over(p, EXPR_ASSIGNMENT, op, value);
    if (n)
        p->t->nodes[n].name = name;
    return n;
}

static uint16_t parse_statement(struct parser *p)
{
    uint32_t name;
    char op;
    if (scan_name(p, &name, &op))
        return parse_assignment(p, name, op);
    uint16_t n = parse_value(p), chain = 0, last = 0;
    while (n && p->tok->kind == TOKEN_RELATION) {
        char relation = (char)p->tok++->op;
        if (relation == '~') /* dropped, as above */
            return parse_value(p) ? (chain ? chain : n) : 0;
        if (!chain) {
            chain = add_node(p, EXPR_RELATION, 0);
            if (!append(p, chain, &last, n))
                return 0;
        }
        n = parse_value(p);
        if (!append(p, chain, &last, n))
            return 0;
        p->t->nodes[n].relation = relation;
    }
    return n ? (chain ? chain : n) : 0;
}

static bool accept_separator(struct parser *p, char *op)
{
    bool any = false;
    for (int i = 0; i < 2; i++) { /* ", and" */
        int kind = p->tok->kind;
        bool comma = kind == ',' || kind == ';';
        if (!(comma && !any) && kind != TOKEN_AND && kind != TOKEN_OR)
            break;
        if (kind == TOKEN_OR || !*op || *op == ',')
            *op = kind == TOKEN_OR ? 'o' : kind == TOKEN_AND ? 'a' : ',';
        p->tok++;
        any = true;
    }
    return any;
}

/* One statement, or a bare EXPR_SEQUENCE of several. */
static uint16_t parse_list(struct parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_statement(p), list = 0, last = 0;
    char op = 0;
    while (n && accept_separator(p, &op)) {
        if (!list) {
            list = add_node(p, EXPR_SEQUENCE, 0);
            if (!append(p, list, &last, n))
                return 0;
        }
        n = parse_statement(p);
        if (!append(p, list, &last, n))
            return 0;
        p->t->nodes[list].op = (uint8_t)op;
    }
    p->depth--;
    return n ? (list ? list : n) : 0;
}

/* "(B)", "(B) 12", "B) 12", "B. 12": the letter; p moves past it. A lone letter is a variable. */
static uint32_t scan_choice(struct parser *p)
{
    struct expr_token *t = p->tok;
    bool open = t->kind == '(';
    t += open;
    if (t->kind != TOKEN_VARIABLE || t->name < 'A' || t->name > 'J')
        return 0;
    uint32_t letter = t->name;
    t++;
    if (t->kind == ')') {
        t++;
        if (open && t->kind && !t->spaced && t->kind != TOKEN_TEXT)
            return 0; /* (A)(x + 1) */
    } else if (open || t->kind != ':' || !t[1].spaced)
        return 0;
    if (!t->kind)
        return open ? 0 : letter;
    if (strchr("+-*/^_=", t->kind) || t->kind == TOKEN_RELATION || t->kind == TOKEN_UNION)
        return 0;
    p->tok = t + (t->kind == ':');
    return letter;
}

static uint16_t parse_all(struct parser *p)
{
    uint32_t letter = scan_choice(p);
    if (!letter) {
        uint16_t n = parse_list(p);
        return n && p->tok->kind == TOKEN_END ? n : 0;
    }
    uint16_t choice = add_node(p, EXPR_CHOICE, 0);
    struct parser q = *p;
    uint16_t rest = q.tok->kind == TOKEN_END ? 0 : parse_list(&q);
    if (!choice)
        return 0;
    p->t->nodes[choice].name = letter;
    if (rest && q.tok->kind == TOKEN_END)
        p->t->nodes[choice].first = rest; /* else words: the letter is enough */
    return choice;
}

bool expr_parse(const char *s, size_t n, struct expr_tree *t)
{
    struct expr_token tokens[EXPR_MAX_BYTES + 1];
    t->text = s;
    t->root = 0;
    t->n_nodes = 1; /* 0 is no node */
    t->n_signs = 0;
    t->ambiguous = t->bare_log = false;
    if (!expr_lex(s, n, tokens))
        return false;
    struct parser p = {.t = t, .tok = tokens, .first = tokens};
    if (tokens[0].kind == TOKEN_END)
        return false;
    t->root = parse_all(&p);
    return t->root != 0;
}
