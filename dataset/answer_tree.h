/* Inside the answer checker: are two trees of notation the same answer?
 *
 * answer_same.c compares values: exactly, else in floating point at several points. answer_region.c
 * reads intervals and inequalities as sets of real numbers. answer_lists.c compares lists, sets,
 * tuples and matrices element by element. answer_tree.c decides by kind, and compares units, ratios
 * and equations through the others. */
#ifndef DECANT_DATASET_ANSWER_TREE_H
#define DECANT_DATASET_ANSWER_TREE_H

#include "dataset/answer.h"
#include "dataset/expr.h"

/* A node of a tree, each \pm in it taken as signs says. */
struct part {
    const struct expr_tree *t;
    uint16_t node;
    unsigned signs;
};

struct matcher {
    int steps; /* the budget of evaluated nodes and compared pairs; spent: everything is unknown */
    const char *why;
};

enum { ANSWER_STEPS = 60000, PART_MAX_ITEMS = 64 };

enum answer_verdict answer_trees(const struct expr_tree *given, const struct expr_tree *gold,
                                 const char **why);

static inline const struct expr_node *part_node(struct part p)
{
    return &p.t->nodes[p.node];
}

static inline struct part part_at(struct part p, uint16_t node)
{
    return (struct part){p.t, node, p.signs};
}

static inline enum answer_verdict part_unknown(struct matcher *m, const char *why)
{
    m->why = why;
    return ANSWER_UNKNOWN;
}

static inline enum answer_verdict part_wrong(struct matcher *m, const char *why)
{
    m->why = why;
    return ANSWER_WRONG;
}

static inline enum answer_verdict part_correct(struct matcher *m)
{
    m->why = "equal";
    return ANSWER_CORRECT;
}

static inline int part_kind(struct part p)
{
    return part_node(p)->kind;
}

static inline bool part_is_set(struct part p)
{
    return part_kind(p) == EXPR_SEQUENCE && (part_node(p)->open == '{' || !part_node(p)->open);
}

static inline bool part_is_tuple(struct part p)
{
    return part_kind(p) == EXPR_SEQUENCE && !part_is_set(p);
}

static inline bool part_is_capital(struct part p)
{
    uint32_t name = part_node(p)->name;
    return part_kind(p) == EXPR_VARIABLE && name >= 'A' && name <= 'J';
}

/* Values that no expression can equal. */
static inline bool part_is_structure(struct part p)
{
    int kind = part_kind(p);
    return kind == EXPR_SEQUENCE || kind == EXPR_JOIN || kind == EXPR_MATRIX ||
           kind == EXPR_WITHOUT || kind == EXPR_SUCH_THAT ||
           (kind == EXPR_CONSTANT && part_node(p)->op >= EXPR_REALS);
}

/* The i-th child; node 0 when there is none. */
struct part part_child(struct part p, int i);
int part_n_children(struct part p);

/* The signs \pm within p, as a mask. */
unsigned part_signs(struct part p);

/* Compares two parts of any kind; a is the given one, b the gold one. */
enum answer_verdict part_compare(struct matcher *m, struct part a, struct part b);

/* ---- answer_lists.c ---- */

/* Lists, sets and statements with "or": in no order, unless their names give one. */
enum answer_verdict part_lists(struct matcher *m, struct part a, struct part b);
enum answer_verdict part_list_to_tuple(struct matcher *m, struct part list, struct part tuple);
/* Their children in order. */
enum answer_verdict part_children(struct matcher *m, struct part a, struct part b);
enum answer_verdict part_tuples(struct matcher *m, struct part a, struct part b);
enum answer_verdict part_matrices(struct matcher *m, struct part a, struct part b);
/* "(x + 1)/(x - 2), x \ne 2": the expression, without the values that its variable does not take;
 * node 0: p is something else. */
struct part part_restricted(struct part p);

/* ---- answer_same.c ---- */

/* Written the same, spaces and spelling aside? */
bool part_identical(struct matcher *m, struct part a, struct part b);

/* Two expressions by value. */
enum answer_verdict part_values(struct matcher *m, struct part a, struct part b);

/* Is a0 - a1 a constant multiple of b0 - b1? positive: by a positive factor. A side with node 0 and
 * a name is that variable. */
struct difference {
    struct part left, right;
    uint32_t left_name;
};
bool part_proportional(struct matcher *m, const struct difference *a, const struct difference *b,
                       bool positive);

bool part_exact(struct matcher *m, struct part p, struct expr_ratio *q);

/* The names of the variables; -1 beyond 16. */
int part_variables(struct part p, uint32_t names[16]);

/* +1 and -1 for the infinities, else 0. */
int part_infinity(struct part p);

/* The value of a part without variables; false when it has none that is real. */
bool part_real(struct matcher *m, struct part p, long double *x);

/* ---- answer_region.c ---- */

/* Is this a set of real numbers by its notation alone: a union, an inequality, \mathbb{R}? */
bool part_is_region(struct part p);

/* Compares two sets of real numbers. *readable false when one is none. */
enum answer_verdict part_regions(struct matcher *m, struct part a, struct part b, bool *readable);

#endif
