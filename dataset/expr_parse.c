#include "dataset/expr_parse.h"
#include "dataset/answer_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static uint16_t parse_series(struct expr_parser *p, int separator, enum expr_kind kind,
                             uint16_t (*parse)(struct expr_parser *))
{
    uint16_t n = parse(p), series = 0, last = 0;
    while (n && expr_accept(p, separator)) {
        if (!series) {
            series = expr_add_node(p, kind, 0);
            if (!expr_append(p, series, &last, n))
                return 0;
        }
        n = parse(p);
        if (!expr_append(p, series, &last, n))
            return 0;
    }
    return n ? (series ? series : n) : 0;
}

/* "\frac{1}{3}" before a matrix multiplies each of its elements. */
static uint16_t parse_scaled(struct expr_parser *p)
{
    uint16_t factor = expr_parse_sum(p);
    if (!factor || p->tok->kind != TOKEN_MATRIX_BEGIN || p->t->nodes[factor].kind == EXPR_ADD)
        return factor;
    uint16_t matrix = expr_parse_primary(p), scaled, last = 0;
    struct expr_node *nodes = p->t->nodes;
    scaled = matrix ? expr_add_node(p, EXPR_MATRIX, 0) : 0;
    if (!scaled)
        return 0;
    nodes[scaled].name = nodes[matrix].name;
    for (uint16_t c = nodes[matrix].first, next; c; c = next) {
        next = nodes[c].next;
        nodes[c].next = 0;
        uint16_t element = expr_add_pair(p, EXPR_MULTIPLY, expr_add_copy(p, factor), c);
        if (!expr_append(p, scaled, &last, element))
            return 0;
    }
    return scaled;
}

static uint16_t parse_join(struct expr_parser *p)
{
    uint16_t n = parse_series(p, TOKEN_UNION, EXPR_JOIN, parse_scaled);
    if (n && expr_accept(p, TOKEN_WITHOUT))
        n = expr_add_pair(p, EXPR_WITHOUT, n, expr_parse_sum(p));
    return n;
}

static bool is_text(const struct expr_parser *p, const struct expr_token *t, const char *word)
{
    size_t n = strlen(word);
    return t->kind == TOKEN_TEXT && t->n == n && !strncasecmp(p->t->text + t->at, word, n);
}

/* Past "to", "in" or "out of" before a number; NULL for all else. */
static struct expr_token *past_ratio_words(const struct expr_parser *p)
{
    struct expr_token *t = p->tok;
    bool out = is_text(p, t, "out") && is_text(p, t + 1, "of");
    bool one = is_text(p, t, "to") || is_text(p, t, "in") || is_text(p, t, "out of");
    t += out ? 2 : one;
    return t > p->tok && (t->kind == TOKEN_NUMBER || is_text(p, t - 1, "to")) ? t : NULL;
}

/* "3:4", "3 to 4", "3 in 4" */
static uint16_t parse_ratio(struct expr_parser *p)
{
    uint16_t n = parse_series(p, ':', EXPR_RATIO, parse_join);
    struct expr_token *past = past_ratio_words(p);
    if (!n || !past || p->t->nodes[n].kind == EXPR_RATIO)
        return n;
    p->tok = past;
    return expr_add_pair(p, EXPR_RATIO, n, parse_join(p));
}

/* Are these words fit for a unit? */
static bool is_unit(const char *s, size_t n)
{
    char word[32];
    for (size_t i = 0; i < n;) {
        size_t m = 0;
        while (i < n && strchr(" /-^{}()23", s[i]))
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
        if (unit_is_none(word))
            return false;
    }
    return true;
}

/* Past "\pmod{7}" at tok; NULL for all else. The remainder of a division, 12 \bmod 7, is none. */
static struct expr_token *past_modulus(const struct expr_parser *p, struct expr_token *tok)
{
    if (tok->kind != TOKEN_MODULO || p->t->text[tok->at] != 'p')
        return NULL;
    bool brace = tok[1].kind == '{';
    const struct expr_token *number = tok + 1 + brace;
    return number->kind == TOKEN_NUMBER && (!brace || number[1].kind == '}') ? tok + 2 + 2 * brace
                                                                             : NULL;
}

/* Moves past the words of a unit: "cm", "\text{ cm}^2", "km/h", "/ hour". The last token of it,
 * NULL when there is none; *bad when it is cut in the middle. */
static const struct expr_token *scan_unit(struct expr_parser *p, bool *bad)
{
    const struct expr_token *end = NULL;
    for (;;) {
        struct expr_token *t = p->tok, *remark = expr_past_remark(t);
        remark = remark ? remark : past_modulus(p, t);
        if (t->kind == TOKEN_TEXT)
            p->tok++;
        else if (remark)
            p->tok = remark;
        else if (t->kind == '/' &&
                 (t[1].kind == TOKEN_TEXT || (end && t[1].kind == TOKEN_VARIABLE)))
            p->tok += 2;
        else if (end && t->kind == '^') {
            bool brace = t[1].kind == '{';
            const struct expr_token *e = t + 1 + brace;
            *bad = e->kind != TOKEN_NUMBER || e->n > 1 || (brace && e[1].kind != '}');
            if (*bad)
                return end;
            p->tok += 2 + 2 * brace;
        } else
            return end;
        end = p->tok - 1;
    }
}

static bool has_number(const struct expr_tree *t, uint16_t i)
{
    const struct expr_node *n = &t->nodes[i];
    if (n->kind == EXPR_NUMBER || (n->kind == EXPR_CONSTANT && n->op == EXPR_PI))
        return true;
    for (uint16_t c = n->first; c; c = t->nodes[c].next)
        if (has_number(t, c))
            return true;
    return false;
}

/* A value with the words that may follow it. "add the numbers" is no quantity of a d d. */
static uint16_t parse_unit(struct expr_parser *p, uint16_t n)
{
    const struct expr_token *first = p->tok;
    bool bad = false;
    const struct expr_token *end = n ? scan_unit(p, &bad) : NULL;
    if (!end)
        return n;
    for (const struct expr_token *t = first; t <= end; t++)
        if (t->kind == TOKEN_TEXT && !is_unit(p->t->text + t->at, t->n))
            return 0;
    bad = bad || !has_number(p->t, n);
    uint16_t unit = bad ? 0 : expr_add_over(p, EXPR_IN_UNIT, 0, n);
    if (unit) {
        p->t->nodes[unit].at = first->at;
        p->t->nodes[unit].n = (uint16_t)(end->at + end->n - first->at);
    }
    return unit;
}

/* "x^2 where x = 3": what follows is no value of what stands before. */
static bool is_condition(const char *s, size_t n)
{
    static const char *const words[] = {"if", "when", "where", "for", "with", "given", "unless"};
    size_t len = 0;
    while (len < n && isalpha((unsigned char)s[len]))
        len++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (len == strlen(words[i]) && !strncasecmp(s, words[i], len))
            return true;
    return false;
}

/* Do the words end in "is" or "are" and leave what follows whole: "The answer is", "The area is"?
 */
static bool is_label(const char *s, size_t n)
{
    size_t verb = n > 2 && !strncasecmp(s + n - 3, " is", 3)    ? 3
                  : n > 3 && !strncasecmp(s + n - 4, " are", 4) ? 4
                                                                : 0;
    return verb && is_unit(s, n - verb) && !is_condition(s, n);
}

/* Past "\text{The answer is}" and its like, and a colon; NULL: none. Bare words are prose. */
static struct expr_token *past_label(const struct expr_parser *p)
{
    struct expr_token *t = p->tok;
    bool label = t->kind == TOKEN_TEXT && is_label(p->t->text + t->at, t->n);
    return label ? t + 1 + (t[1].kind == ':') : NULL;
}

/* What an assignment gives a value to: "x =", "f(x) =", "(x, y) =", "\text{Area} =", "x \in".
 * *name 0 for words; *op: 'v' a variable, 'f' anything that may be left out. Moves past the "=".
 * False, and nothing moves, when the statement begins otherwise. */
static bool scan_name(struct expr_parser *p, uint32_t *name, char *op)
{
    struct expr_token *t = p->tok;
    *name = expr_scan_variable(p, &t);
    *op = 'v';
    if (*name) {
        if (t->kind == '\'')
            t++;
        if (t->kind == '^' && t[1].kind == '{' && t[2].kind == '-' && t[4].kind == '}')
            t += 5; /* f^{-1} */
        if (t->kind == '(' && (t = expr_past_group(t, '(', ')')))
            *op = 'f';
    } else if (t->kind == '(' && t[1].kind == TOKEN_VARIABLE && t[2].kind == TOKEN_DEGREE &&
               t[3].kind == TOKEN_VARIABLE && t[4].kind == ')' && t[5].kind == '(') {
        *op = 'f'; /* (f \circ g)(x) */
        t = expr_past_group(t + 5, '(', ')');
    } else if (t->kind == '(' && t[1].kind == TOKEN_VARIABLE) {
        *op = 'f';
        t++;
        while (expr_scan_variable(p, &t) && t->kind == ',')
            t++;
        t = t->kind == ')' ? t + 1 : NULL;
    } else
        t = NULL;
    bool in = t && t->kind == TOKEN_RELATION && t->op == 'e' && *op == 'v';
    if (t && t->kind == TOKEN_RELATION && (t->op == '=' || t->op == '~' || in)) {
        p->tok = t + 1;
        return true;
    }
    bool words = false;
    int depth = 0;
    for (t = p->tok; t->kind && depth >= 0; t++) {
        if (!depth && (t->kind == TOKEN_RELATION || t->kind == ','))
            break;
        if (t->kind == TOKEN_TEXT && is_condition(p->t->text + t->at, t->n))
            return false;
        /* "the plane 2x + y = 0" is no name of 0, "y-intercept" is one */
        if (t->kind == '+' ||
            (t->kind == '-' && (t[1].kind == TOKEN_VARIABLE || t[1].kind == TOKEN_NUMBER)))
            return false;
        words = words || t->kind == TOKEN_TEXT || t->kind == TOKEN_SYMBOL;
        depth += t->kind == '(' || t->kind == '{' || t->kind == '[';
        depth -= t->kind == ')' || t->kind == '}' || t->kind == ']';
    }
    if (!words || t->kind != TOKEN_RELATION || (t->op != '=' && t->op != '~'))
        return false;
    *name = 0;
    *op = 'f';
    p->tok = t + 1;
    return true;
}

/* A value, up to the next relation. */
static uint16_t parse_value(struct expr_parser *p)
{
    return parse_unit(p, parse_ratio(p));
}

static uint16_t parse_assignment(struct expr_parser *p, uint32_t name, char op)
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
    uint16_t n = expr_add_over(p, EXPR_ASSIGNMENT, op, value);
    if (n)
        p->t->nodes[n].name = name;
    return n;
}

static uint16_t parse_statement(struct expr_parser *p)
{
    uint32_t name;
    char op;
    struct expr_token *value = past_label(p);
    p->tok = value ? value : p->tok;
    const struct expr_token *first = p->tok;
    if (scan_name(p, &name, &op)) {
        uint16_t n = parse_assignment(p, name, op);
        bool brace = first[1].kind == '_' && first[2].kind == '{';
        if (n && first[1].kind == '_' && first[2 + brace].kind == TOKEN_NUMBER)
            p->t->nodes[n].open = p->t->text[first->at];
        return n;
    }
    if (p->tok->kind == TOKEN_RELATION && p->tok->op == '~') /* "\approx 3.6" */
        p->tok++;
    uint16_t n = parse_value(p), chain = 0, last = 0;
    while (n && p->tok->kind == TOKEN_RELATION) {
        char relation = (char)p->tok++->op;
        if (relation == '~') /* dropped, as above */
            return parse_value(p) ? (chain ? chain : n) : 0;
        if (!chain) {
            chain = expr_add_node(p, EXPR_RELATION, 0);
            if (!expr_append(p, chain, &last, n))
                return 0;
        }
        n = parse_value(p);
        if (!expr_append(p, chain, &last, n))
            return 0;
        p->t->nodes[n].relation = relation;
    }
    return n ? (chain ? chain : n) : 0;
}

static bool accept_separator(struct expr_parser *p, char *op)
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

/* The number of names that a list of assignments gives again and again, as 2 of "x = 1, y = 2 or
 * x = 3, y = 4"; 0 for all other lists. */
static int count_period(const struct expr_tree *t, uint16_t list)
{
    const struct expr_node *nodes = t->nodes;
    uint16_t first = nodes[list].first, from = first;
    int period = 0, n = 0;
    for (uint16_t c = first; c; c = nodes[c].next, n++) {
        if (nodes[c].kind != EXPR_ASSIGNMENT || !nodes[c].name)
            return 0;
        if (!period && n && nodes[c].name == nodes[first].name)
            period = n;
        if (period && nodes[c].name != nodes[from].name)
            return 0;
        from = period ? nodes[from].next : from;
    }
    return period > 1 && n % period == 0 ? period : 0;
}

/* Each round of such a list becomes a list of its own, within the whole. */
static bool group_names(struct expr_parser *p, uint16_t list)
{
    struct expr_node *nodes = p->t->nodes;
    int period = count_period(p->t, list);
    uint16_t c = period ? nodes[list].first : 0, last_group = 0;
    nodes[list].first = c ? 0 : nodes[list].first;
    while (c) {
        uint16_t group = expr_add_node(p, EXPR_SEQUENCE, 0), last = 0;
        if (!expr_append(p, list, &last_group, group))
            return false;
        for (int i = 0; i < period; i++) {
            uint16_t next = nodes[c].next;
            nodes[c].next = 0;
            if (!expr_append(p, group, &last, c))
                return false;
            c = next;
        }
    }
    return true;
}

/* One statement, or a bare EXPR_SEQUENCE of several. */
uint16_t expr_parse_list(struct expr_parser *p)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return 0;
    uint16_t n = parse_statement(p), list = 0, last = 0;
    char op = 0;
    while (n && accept_separator(p, &op)) {
        if (!list) {
            list = expr_add_node(p, EXPR_SEQUENCE, 0);
            if (!expr_append(p, list, &last, n))
                return 0;
        }
        n = parse_statement(p);
        if (!expr_append(p, list, &last, n))
            return 0;
        p->t->nodes[list].op = (uint8_t)op;
    }
    p->depth--;
    if (!n || (list && !group_names(p, list)))
        return 0;
    return list ? list : n;
}

/* Past "Option" or "Choice" and, within \text, the letter of it: "\text{Option (B)}". */
static uint32_t scan_option(const struct expr_parser *p, struct expr_token **tok)
{
    const char *s = p->t->text + (*tok)->at, *end = s + (*tok)->n;
    bool option = (*tok)->kind == TOKEN_TEXT && (*tok)->n >= 6 &&
                  (!strncasecmp(s, "option", 6) || !strncasecmp(s, "choice", 6));
    if (!option)
        return 0;
    for (s += 6; s < end && strchr(" (", *s);)
        s++;
    bool letter = s < end && *s >= 'A' && *s <= 'J';
    uint32_t name = letter ? (uint32_t)*s++ : 0;
    s += s < end && *s == ')' && letter;
    if (s == end)
        ++*tok;
    return s == end ? name : 0;
}

/* "(B)", "(B) 12", "B) 12", "B. 12", "Option B": the letter; p moves past it. A lone letter is a
 * variable. */
static uint32_t scan_choice(struct expr_parser *p)
{
    struct expr_token *t = p->tok;
    uint32_t named = scan_option(p, &t);
    if (named && t->kind == TOKEN_END) {
        p->tok = t;
        return named;
    }
    bool option = t > p->tok, open = t->kind == '(';
    t += open;
    if (named || t->kind != TOKEN_VARIABLE || t->name < 'A' || t->name > 'J')
        return 0;
    uint32_t letter = t->name;
    t++;
    if (t->kind == ')') {
        t++;
        if (open && t->kind && !t->spaced && t->kind != TOKEN_TEXT)
            return 0; /* (A)(x + 1) */
    } else if (open || (t->kind != ':' && !(option && !t->kind)) ||
               (t->kind == ':' && !t[1].spaced))
        return 0;
    if (!t->kind && option)
        p->tok = t;
    if (!t->kind)
        return open && !option ? 0 : letter;
    if (strchr("+-*/^_=", t->kind) || t->kind == TOKEN_RELATION || t->kind == TOKEN_UNION)
        return 0;
    p->tok = t + (t->kind == ':');
    return letter;
}

/* Reads the words of "for all integers" and "is an integer"; false for others, which may say more.
 * *domain is set to Z or R when they tell. */
static bool read_quantifier(const char *s, size_t n, char *domain)
{
    static const struct {
        const char *word;
        char domain;
    } words[] = {{"for", 0},    {"all", 0},       {"any", 0},        {"every", 0},  {"each", 0},
                 {"some", 0},   {"where", 0},     {"is", 0},         {"an", 0},     {"a", 0},
                 {"and", 0},    {"integer", 'Z'}, {"integers", 'Z'}, {"real", 'R'}, {"reals", 'R'},
                 {"number", 0}, {"numbers", 0},   {"value", 0},      {"values", 0}, {"of", 0}};
    for (const char *end = s + n; s < end;) {
        size_t len = 0, i = 0;
        while (s + len < end && isalpha((unsigned char)s[len]))
            len++;
        while (i < sizeof words / sizeof *words &&
               (len != strlen(words[i].word) || strncasecmp(s, words[i].word, len)))
            i++;
        if (i == sizeof words / sizeof *words)
            return false;
        *domain = words[i].domain ? words[i].domain : *domain;
        s += len;
        while (s < end && *s == ' ')
            s++;
    }
    return true;
}

/* Past words that read_quantifier knows. */
static const struct expr_token *past_quantifier(const struct expr_parser *p,
                                                const struct expr_token *t, char *domain)
{
    while (t->kind == TOKEN_TEXT && read_quantifier(p->t->text + t->at, t->n, domain))
        t++;
    return t;
}

/* Does the variable occur before end? */
static bool is_used(const struct expr_parser *p, const struct expr_token *end, uint32_t name)
{
    for (const struct expr_token *t = p->tok; t < end; t++)
        if (t->kind == TOKEN_VARIABLE && t->name == name)
            return true;
    return false;
}

/* Is all from t on "for all integers n", "where k is an integer", ", k \in \mathbb{Z}" or the same
 * in parentheses? The domain of the variable, '?' when it is not told; 0: something else. */
static char scan_quantified(const struct expr_parser *p, struct expr_token *t)
{
    char domain = '?';
    bool comma = t->kind == ',' || t->kind == '(';
    int end = t->kind == '(' ? ')' : TOKEN_END;
    const struct expr_token *words = t + comma, *past = past_quantifier(p, words, &domain);
    bool condition = past > words && is_condition(p->t->text + words->at, words->n);
    struct expr_token *name = t + (past - t);
    if ((!condition && !comma) || !is_used(p, t, name->kind == TOKEN_VARIABLE ? name->name : 0) ||
        !expr_scan_variable(p, &name))
        return 0;
    if (name->kind == TOKEN_RELATION && name->op == 'e' && name[1].kind) {
        const struct expr_token *set = name + 1;
        bool letter = set->kind == TOKEN_VARIABLE && p->t->text[set->at] == '{';
        bool reals = set->kind == TOKEN_CONSTANT && set->op == EXPR_REALS;
        domain = letter ? p->t->text[set->at + 1] : 'R';
        bool ends = set[1].kind == end && (end == TOKEN_END || set[2].kind == TOKEN_END);
        return (letter || reals) && ends ? domain : 0;
    }
    past = past_quantifier(p, name, &domain);
    bool ends = past->kind == end && (end == TOKEN_END || past[1].kind == TOKEN_END);
    return ends && (condition || domain != '?') ? domain : 0;
}

/* What such words say of a variable of the answer is left out of it. */
static void drop_quantified(struct expr_parser *p)
{
    for (struct expr_token *t = p->tok; t->kind != TOKEN_END; t++) {
        bool begins = t > p->tok && (t->kind == ',' || t->kind == '(' || t->kind == TOKEN_TEXT);
        p->t->domain = begins ? scan_quantified(p, t) : 0;
        if (p->t->domain) {
            t->kind = TOKEN_END;
            return;
        }
    }
}

static uint16_t parse_all(struct expr_parser *p)
{
    drop_quantified(p);
    uint32_t letter = scan_choice(p);
    if (!letter) {
        uint16_t n = expr_parse_list(p);
        return n && p->tok->kind == TOKEN_END ? n : 0;
    }
    uint16_t choice = expr_add_node(p, EXPR_CHOICE, 0);
    struct expr_parser q = *p;
    uint16_t rest = q.tok->kind == TOKEN_END ? 0 : expr_parse_list(&q);
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
    t->domain = 0;
    if (!expr_lex(s, n, tokens))
        return false;
    struct expr_parser p = {.t = t, .tok = tokens};
    if (tokens[0].kind == TOKEN_END)
        return false;
    t->root = parse_all(&p);
    return t->root != 0;
}
