#include "dataset/expr_parse.h"

#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A token that stands for one digit only, as TeX reads \frac12. */
static uint16_t parse_one_digit(struct expr_parser *p)
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
    return expr_add_number(p, &one);
}

/* The argument of \frac, \sqrt, \binom. */
static uint16_t parse_argument(struct expr_parser *p)
{
    if (p->tok->kind == TOKEN_NUMBER && p->tok->n && is_digit(p->t->text[p->tok->at]))
        return parse_one_digit(p);
    return expr_parse_primary(p);
}

static uint32_t hash_more(uint32_t h, const char *s, size_t n)
{
    h = (h ^ 0x5f) * 16777619u;
    for (size_t i = 0; i < n; i++)
        if (!strchr(" {}", s[i]))
            h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h | 0x80000000u;
}

struct expr_token *expr_past_group(struct expr_token *tok, int open, int close)
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

struct expr_token *expr_past_remark(struct expr_token *tok)
{
    if (tok->kind == '(' && tok[1].kind == TOKEN_MODULO)
        return tok[2].kind == TOKEN_NUMBER && tok[3].kind == ')' ? tok + 4 : NULL;
    if (tok->kind != '(' || tok[1].kind != TOKEN_TEXT)
        return NULL;
    for (tok++; tok->kind == TOKEN_TEXT;)
        tok++;
    return tok->kind == ')' ? tok + 1 : NULL;
}

uint32_t expr_scan_variable(const struct expr_parser *p, struct expr_token **tok)
{
    struct expr_token *t = *tok;
    if (t->kind != TOKEN_VARIABLE)
        return 0;
    uint32_t name = t->name;
    t++;
    if (t->kind == '_') {
        struct expr_token *sub = t + 1;
        t = sub->kind == '{' ? expr_past_group(sub, '{', '}') : sub->kind ? sub + 1 : NULL;
        if (!t)
            return 0;
        const struct expr_token *last = t - 1;
        if (last == sub + 2) /* x_{1} is x_1 */
            last = ++sub;
        name = hash_more(name, p->t->text + sub->at, (size_t)(last->at + last->n - sub->at));
    }
    *tok = t;
    return name;
}

static uint16_t parse_variable(struct expr_parser *p)
{
    uint32_t name = expr_scan_variable(p, &p->tok);
    uint16_t n = name ? expr_add_node(p, EXPR_VARIABLE, 0) : 0;
    if (n)
        p->t->nodes[n].name = name;
    return n;
}

/* Past "x |", "x :" or "x \in \mathbb{R} |"; *name is the variable. NULL: something else. */
static struct expr_token *past_such_that(const struct expr_parser *p, uint32_t *name)
{
    struct expr_token *t = p->tok;
    *name = expr_scan_variable(p, &t);
    if (*name && t->kind == TOKEN_RELATION && t->op == 'e' && t[1].kind == TOKEN_CONSTANT &&
        t[1].op == EXPR_REALS)
        t += 2;
    return *name && (t->kind == '|' || t->kind == ':') ? t + 1 : NULL;
}

/* "x | x > 2 \}": the conditions hold together. */
static uint16_t parse_such_that(struct expr_parser *p, struct expr_token *conditions, uint32_t name)
{
    p->tok = conditions;
    uint16_t list = expr_parse_list(p), n;
    if (!list || !expr_accept(p, TOKEN_SET_CLOSE))
        return 0;
    struct expr_node *node = &p->t->nodes[list];
    if (node->kind == EXPR_SEQUENCE && !node->open && node->op == ',')
        node->op = 'a';
    n = expr_add_over(p, EXPR_SUCH_THAT, 0, list);
    if (n)
        p->t->nodes[n].name = name;
    return n;
}

/* "( list )" and its kin, from the opening token on. Brackets around one thing only group it, but
 * \\{x\\} is a set. "{1,2}" without backslashes is taken for a set too. */
static uint16_t parse_brackets(struct expr_parser *p)
{
    int open = p->tok->kind;
    bool bars = p->in_bars;
    p->tok++;
    p->in_bars = false;
    if (open == TOKEN_SET_OPEN && expr_accept(p, TOKEN_SET_CLOSE)) {
        p->in_bars = bars;
        return expr_add_node(p, EXPR_CONSTANT, EXPR_EMPTY);
    }
    uint32_t name;
    struct expr_token *conditions = open == TOKEN_SET_OPEN ? past_such_that(p, &name) : NULL;
    uint16_t list = conditions ? parse_such_that(p, conditions, name) : expr_parse_list(p);
    p->in_bars = bars;
    if (!list || conditions)
        return list;
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
        uint16_t set = expr_add_over(p, EXPR_SEQUENCE, 0, list);
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

uint16_t expr_parse_exponent(struct expr_parser *p)
{
    bool minus = expr_accept(p, '-');
    uint16_t n = expr_parse_primary(p);
    return minus ? expr_add_over(p, EXPR_NEGATE, 0, n) : n;
}

static uint16_t parse_root(struct expr_parser *p)
{
    uint16_t order = 0;
    bool sign = p->tok++->op; /* U+221A stands before a whole number, \sqrt before one digit */
    if (expr_accept(p, '[')) {
        order = expr_parse_sum(p);
        if (!order || !expr_accept(p, ']'))
            return 0;
    }
    uint16_t radicand = sign ? expr_parse_primary(p) : parse_argument(p);
    return order ? expr_add_pair(p, EXPR_ROOT_OF, radicand, order)
                 : expr_add_over(p, EXPR_CALL, EXPR_SQRT, radicand);
}

bool expr_starts_factor(const struct expr_parser *p)
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
    case '[':
        return true;
    case '{':
        return p->tok[1].kind != '}';
    case '(':
        return !expr_past_remark(p->tok);
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
static uint16_t parse_function_argument(struct expr_parser *p)
{
    int kind = p->tok->kind;
    if (kind == '(' || kind == '{' || kind == '[' || kind == '|')
        return expr_parse_primary(p);
    bool minus = expr_accept(p, '-');
    uint16_t product = expr_add_node(p, EXPR_MULTIPLY, 0), last = 0;
    int n = 0;
    while (expr_starts_factor(p) && p->tok->kind != TOKEN_FUNCTION && p->tok->kind != '(' &&
           p->tok->kind != '[' && (!n || p->tok->kind != TOKEN_NUMBER)) {
        if (!expr_append(p, product, &last, expr_parse_factor(p)))
            return 0;
        n++;
    }
    if (!n)
        return 0;
    return minus ? expr_add_over(p, EXPR_NEGATE, 0, product) : product;
}

static uint16_t parse_function(struct expr_parser *p)
{
    enum expr_function f = p->tok++->op;
    uint16_t base = 0, power = 0;
    for (int i = 0; i < 2; i++) {
        if (!base && (f == EXPR_LOG || f == EXPR_LN) && expr_accept(p, '_')) {
            base = parse_argument(p);
            if (!base)
                return 0;
        } else if (!power && expr_accept(p, '^')) {
            power = expr_parse_exponent(p);
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
        call = expr_add_pair(p, EXPR_LOG_BASE, arg, base);
    else
        call = expr_add_over(p, EXPR_CALL, f, arg);
    p->t->bare_log = p->t->bare_log || (f == EXPR_LOG && !base);
    return power ? expr_add_pair(p, EXPR_POWER, call, power) : call;
}

static uint16_t parse_matrix(struct expr_parser *p)
{
    uint16_t matrix = expr_add_node(p, EXPR_MATRIX, 0), last = 0;
    uint32_t n_columns = 0, n = 0;
    p->tok++;
    for (;;) {
        if (!expr_append(p, matrix, &last, expr_parse_sum(p)))
            return 0;
        n++;
        if (expr_accept(p, '&'))
            continue;
        bool row = expr_accept(p, TOKEN_ROW);
        n_columns = n_columns ? n_columns : n;
        if (n != n_columns)
            return 0;
        n = 0;
        if (!row || p->tok->kind == TOKEN_MATRIX_END)
            break;
    }
    p->t->nodes[matrix].name = n_columns;
    return expr_accept(p, TOKEN_MATRIX_END) ? matrix : 0;
}

/* "|x|", "\lfloor x \rfloor" */
static uint16_t parse_enclosed(struct expr_parser *p, enum expr_function f)
{
    int kind = p->tok->kind;
    bool bars = p->in_bars;
    p->tok++;
    p->in_bars = kind == '|';
    uint16_t inner = expr_parse_sum(p);
    p->in_bars = bars;
    if (!inner || p->tok->kind != kind || (kind != '|' && p->tok->op != ')'))
        return 0;
    p->tok++;
    return expr_add_over(p, EXPR_CALL, f, inner);
}

static uint16_t parse_decorated(struct expr_parser *p)
{
    uint8_t which = p->tok++->op;
    uint16_t n = expr_add_over(p, EXPR_CALL, EXPR_BAR, parse_argument(p));
    if (n)
        p->t->nodes[n].name = which;
    return n;
}

static uint16_t parse_based(struct expr_parser *p, uint16_t number);

/* The number behind the mark "_" or "^" at *tok, in braces or not; NULL: none. */
static const struct expr_token *scan_script(struct expr_token **tok, int mark)
{
    struct expr_token *t = *tok;
    if (t->kind != mark)
        return NULL;
    bool brace = t[1].kind == '{';
    const struct expr_token *number = t + 1 + brace;
    if (number->kind != TOKEN_NUMBER || (brace && number[1].kind != '}'))
        return NULL;
    *tok = t + 2 + 2 * brace;
    return number;
}

/* "C_5^2", "C^2_5", "{}_5C_2", "^5C_2": how many ways to choose 2 of 5, wherever the larger stands.
 * 0, and nothing moves, for all else. */
static uint16_t parse_choose(struct expr_parser *p)
{
    struct expr_token *t = p->tok;
    t += t->kind == '{' && t[1].kind == '}' ? 2 : 0;
    const struct expr_token *a = scan_script(&t, t->kind == '^' ? '^' : '_'), *b;
    if (t->kind != TOKEN_VARIABLE || t->name != 'C' || (!a && t > p->tok))
        return 0;
    t++;
    bool under = t->kind == '_';
    b = scan_script(&t, under ? '_' : '^');
    a = a ? a : scan_script(&t, under ? '^' : '_');
    if (!a || !b)
        return 0;
    uint16_t x = expr_add_number(p, a), y = expr_add_number(p, b);
    if (!x || !y || !p->t->nodes[x].exact || !p->t->nodes[y].exact)
        return 0;
    p->tok = t;
    bool turn = p->t->nodes[x].q.num < p->t->nodes[y].q.num;
    return expr_add_pair(p, EXPR_CHOOSE, turn ? y : x, turn ? x : y);
}

/* "(432)_8" is "432_8". */
static uint16_t parse_parenthesised_digits(struct expr_parser *p)
{
    bool digits = p->tok[1].kind == TOKEN_NUMBER && p->tok[2].kind == ')';
    uint16_t n = parse_brackets(p);
    return digits ? parse_based(p, n) : n;
}

static uint16_t parse_primary_kind(struct expr_parser *p)
{
    uint16_t choose = parse_choose(p);
    if (choose)
        return choose;
    switch (p->tok->kind) {
    case TOKEN_NUMBER:
        return parse_based(p, expr_add_number(p, p->tok++));
    case TOKEN_VARIABLE:
        return parse_variable(p);
    case TOKEN_CONSTANT:
        return expr_add_node(p, EXPR_CONSTANT, p->tok++->op);
    case TOKEN_FUNCTION:
        return parse_function(p);
    case TOKEN_ROOT:
        return parse_root(p);
    case TOKEN_FRACTION:
    case TOKEN_BINOMIAL: {
        enum expr_kind kind = p->tok++->kind == TOKEN_FRACTION ? EXPR_DIVIDE : EXPR_CHOOSE;
        uint16_t a = parse_argument(p);
        return a ? expr_add_pair(p, kind, a, parse_argument(p)) : 0;
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
        return parse_parenthesised_digits(p);
    case '[':
    case '{':
    case TOKEN_SET_OPEN:
        return parse_brackets(p);
    default:
        return 0;
    }
}

uint16_t expr_parse_primary(struct expr_parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_primary_kind(p);
    p->depth--;
    return n;
}

/* The base at p: "2", "\text{two}"; 0: none. */
static int read_base(struct expr_parser *p)
{
    static const char *const words[] = {"two",   "three", "four", "five",   "six",   "seven",
                                        "eight", "nine",  "ten",  "eleven", "twelve"};
    const struct expr_token *tok = p->tok;
    const char *s = p->t->text + tok->at;
    if (tok->kind == TOKEN_TEXT) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (tok->n == strlen(words[i]) && !strncasecmp(s, words[i], tok->n)) {
                p->tok++;
                return (int)i + 2;
            }
        return 0;
    }
    uint16_t n = tok->kind == TOKEN_NUMBER ? expr_add_number(p, p->tok++) : 0;
    const struct expr_node *b = &p->t->nodes[n];
    bool fits = n && b->exact && b->q.den == 1 && b->q.num >= 2 && b->q.num <= 36;
    return fits ? (int)b->q.num : 0;
}

/* "1011_2", "1011_{2}": digits in a base. */
static uint16_t parse_based(struct expr_parser *p, uint16_t number)
{
    if (!number || p->tok->kind != '_')
        return number;
    struct expr_node *node = &p->t->nodes[number];
    p->tok++;
    bool brace = expr_accept(p, '{');
    int base = read_base(p);
    if (!base || (brace && !expr_accept(p, '}')) || !node->exact || node->q.den != 1)
        return 0;
    return expr_add_over(p, EXPR_IN_BASE, base, number);
}
