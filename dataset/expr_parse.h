/* Inside the notation's parser: recursive descent over the tokens of dataset/expr.h. Each function
 * gives the index of a node, or 0: not understood. A caller may pass a 0 on: a node over it is 0.
 *
 *     list       statement ("," statement)*            also ";", "and", "or"       expr_parse.c
 *     statement  [name "="] value (relation value)*
 *     value      ratio unit
 *     ratio      join (":" join)*
 *     join       sum ("\cup" sum)* ["\setminus" sum]
 *     sum        [sign] product (("+" | "-" | "\pm") product)*                     expr_term.c
 *     product    factor (["*" | "/"] factor)*
 *     factor     primary ("^" ... | "!" | "%" | degrees)*
 *     primary    number, variable, function, group, \frac, ...                     expr_primary.c
 */
#ifndef DECANT_DATASET_EXPR_PARSE_H
#define DECANT_DATASET_EXPR_PARSE_H

#include "dataset/expr.h"

struct expr_parser {
    struct expr_tree *t;
    struct expr_token *tok; /* the next token */
    int depth;
    bool in_bars; /* the next "|" closes */
};

uint16_t expr_parse_list(struct expr_parser *p);
uint16_t expr_parse_sum(struct expr_parser *p);
uint16_t expr_parse_factor(struct expr_parser *p);
uint16_t expr_parse_primary(struct expr_parser *p);

/* "^" has been passed: "3", "-3", "{x + 1}". */
uint16_t expr_parse_exponent(struct expr_parser *p);

/* May the next token begin a factor, so that there is a product without an operator? */
bool expr_starts_factor(const struct expr_parser *p);

/* The number of a TOKEN_NUMBER. "0.1\overline{6}" is 1/10 + 6/90. */
uint16_t expr_add_number(struct expr_parser *p, const struct expr_token *tok);

/* The name of a variable at *tok, with its subscript; *tok moves past it. 0: none. */
uint32_t expr_scan_variable(const struct expr_parser *p, struct expr_token **tok);

/* Past "(apples)" or "(mod 7)", words in parentheses, at tok; NULL for all else. */
struct expr_token *expr_past_remark(struct expr_token *tok);

/* Past the token that closes the group that opens at tok; NULL when it does not close. */
struct expr_token *expr_past_group(struct expr_token *tok, int open, int close);

/* Nodes (expr_node.c). */
uint16_t expr_add_node(struct expr_parser *p, enum expr_kind kind, int op);
uint16_t expr_add_over(struct expr_parser *p, enum expr_kind kind, int op, uint16_t child);
uint16_t expr_add_pair(struct expr_parser *p, enum expr_kind kind, uint16_t a, uint16_t b);

/* A copy of n and all below it. */
uint16_t expr_add_copy(struct expr_parser *p, uint16_t n);

/* A further child; *last is the last one so far, 0 at first. */
bool expr_append(struct expr_parser *p, uint16_t parent, uint16_t *last, uint16_t child);

static inline bool expr_accept(struct expr_parser *p, int kind)
{
    if (p->tok->kind != kind)
        return false;
    p->tok++;
    return true;
}

#endif
