/* Inside the answer checker: mathematical notation as a tree, and what the tree is worth.
 *
 *     struct expr_tree t;                     // 50 kB, the caller's stack; nothing is allocated
 *     if (expr_parse(s, n, &t)) ... t.nodes[t.root]
 *     struct expr_env env = {.tree = &t, .steps = &steps};
 *     expr_exact(&env, t.root, &q) || expr_value(&env, t.root, &z)
 *
 * One notation for LaTeX and for plain text: numbers, variables, fractions, roots, powers,
 * functions, factorials, binomials, absolute values, tuples, intervals, sets, lists, unions,
 * matrices, equations, inequalities, ratios, numbers in a base, and a unit or a percent sign after
 * a value. Whatever is not understood whole makes expr_parse false. expr_lex.c cuts the text into
 * tokens, expr_parse.c builds the tree, expr_eval.c evaluates, expr_residue.c does modulo a prime.
 *
 * Hostile text is bounded: EXPR_MAX_BYTES bytes, EXPR_MAX_NODES nodes, EXPR_MAX_DEPTH levels; each
 * evaluated node costs a step of the budget in env.steps, each step is of bounded time. */
#ifndef DECANT_DATASET_EXPR_H
#define DECANT_DATASET_EXPR_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPR_MAX_BYTES = 1024, EXPR_MAX_NODES = 768, EXPR_MAX_DEPTH = 32, EXPR_MAX_SIGNS = 3 };

/* ---- tokens (expr_lex.c) ---- */

/* Punctuation and operators are their own character: + - * / ^ _ ! ' ( ) [ ] { } | , ; : & */
enum expr_token_kind {
    TOKEN_END = 0,
    TOKEN_NUMBER = 128, /* digits at [at, at + n), with separators; n = 0: the value is name */
    TOKEN_VARIABLE,     /* name: the letter, or a hash of what it is called */
    TOKEN_CONSTANT,     /* op: enum expr_constant */
    TOKEN_FUNCTION,     /* op: enum expr_function */
    TOKEN_RELATION, /* op: = < > l (at most) g (at least) n (not equal) e (element of) ~ (about) */
    TOKEN_TEXT,     /* words at [at, at + n): a unit, a label, or an answer in words */
    TOKEN_SYMBOL,   /* \angle and the like, fit for a label only */
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_DEGREE,
    TOKEN_CURRENCY,
    TOKEN_PLUS_MINUS, /* op: '+' for \pm, '-' for \mp */
    TOKEN_UNION,
    TOKEN_INTERSECTION,
    TOKEN_WITHOUT,
    TOKEN_SET_OPEN, /* \{ and \} */
    TOKEN_SET_CLOSE,
    TOKEN_FLOOR, /* op: '(' or ')' */
    TOKEN_CEILING,
    TOKEN_FRACTION,
    TOKEN_ROOT, /* op: 1 for the sign U+221A */
    TOKEN_BINOMIAL,
    TOKEN_BAR, /* \bar, \overline: op tells which; not what stands over decimals */
    TOKEN_MATRIX_BEGIN,
    TOKEN_MATRIX_END,
    TOKEN_ROW,    /* \\ */
    TOKEN_MODULO, /* \pmod, "mod": a modulus follows */
};

struct expr_token {
    uint8_t kind, op;
    bool spaced; /* white space before it */
    uint16_t at, n;
    uint32_t name;
};

/* tokens has room for EXPR_MAX_BYTES + 1, the last is TOKEN_END. False for what is no notation. */
bool expr_lex(const char *s, size_t n, struct expr_token *tokens);

/* ---- trees (expr_parse.c) ---- */

enum expr_constant { EXPR_PI, EXPR_E, EXPR_I, EXPR_INFINITY, EXPR_REALS, EXPR_EMPTY };

enum expr_function {
    EXPR_SIN,
    EXPR_COS,
    EXPR_TAN,
    EXPR_COT,
    EXPR_SEC,
    EXPR_CSC,
    EXPR_ARCSIN,
    EXPR_ARCCOS,
    EXPR_ARCTAN,
    EXPR_ARCCOT,
    EXPR_ARCSEC,
    EXPR_ARCCSC,
    EXPR_SINH,
    EXPR_COSH,
    EXPR_TANH,
    EXPR_LN,
    EXPR_LOG,
    EXPR_EXP,
    EXPR_CIS,
    EXPR_SQRT,
    EXPR_CBRT,
    EXPR_ABSOLUTE,
    EXPR_FLOOR,
    EXPR_CEILING,
    EXPR_FACTORIAL,
    EXPR_BAR /* a decorated variable; stands for an unknown function, one for each decoration */
};

enum expr_kind {
    EXPR_NUMBER,     /* q or approx; n_decimals digits behind the point */
    EXPR_VARIABLE,   /* name */
    EXPR_CONSTANT,   /* op */
    EXPR_ADD,        /* children */
    EXPR_MULTIPLY,   /* children */
    EXPR_NEGATE,     /* 1 child */
    EXPR_PLUS_MINUS, /* 1 child; op: which sign, or 128 + which, negated */
    EXPR_DIVIDE,     /* 2 children */
    EXPR_POWER,      /* 2 children */
    EXPR_ROOT_OF,    /* 2 children: radicand, order */
    EXPR_LOG_BASE,   /* 2 children: argument, base */
    EXPR_CHOOSE,     /* 2 children */
    EXPR_CALL,       /* 1 child; op: enum expr_function */
    EXPR_IN_DEGREES, /* 1 child */
    EXPR_IN_PERCENT, /* 1 child */
    EXPR_IN_UNIT,    /* 1 child; at, n: the unit's words in the text */
    EXPR_IN_BASE,    /* 1 child, the digits read as decimal; op: the base */
    EXPR_SEQUENCE,   /* children; open and close: ( [ { or 0 for a bare list */
    EXPR_RATIO,      /* children: 3:4 */
    EXPR_JOIN,       /* children: union */
    EXPR_WITHOUT,    /* 2 children: the difference of sets */
    EXPR_SUCH_THAT,  /* 1 child: {x | child}; name: x */
    EXPR_MATRIX,     /* children row by row; name: number of columns */
    EXPR_RELATION,   /* children; the op of each but the first stands in that child's relation */
    EXPR_ASSIGNMENT, /* x = value, f(x) = value, x in set: 1 child; name (0: words), op: 'f', 'v';
                        open: the letter of x_1 */
    EXPR_CHOICE      /* (B) rest: name: the letter; 0 or 1 child */
};

struct expr_ratio {
    __int128 num, den; /* lowest terms, den > 0 */
};

struct expr_node {
    uint8_t kind, op;
    bool exact; /* of a number: q, else approx */
    char open, close, relation;
    uint16_t first, next; /* index of the first child, of the next sibling; 0: none */
    uint16_t at, n, n_decimals;
    uint32_t name;
    union {
        struct expr_ratio q;
        long double approx;
    };
};

struct expr_tree {
    const char *text; /* the caller's; units point into it */
    uint16_t root, n_nodes;
    uint8_t n_signs; /* how many \pm */
    bool ambiguous;  /* 1/2x and the like: it can be read in two ways */
    bool bare_log;   /* \log without a base */
    char domain; /* the Z of "for all n \in \mathbb{Z}" at the end, which is no part of the tree;
                    '?' when it does not say, 0 when there is none */
    struct expr_node nodes[EXPR_MAX_NODES];
};

bool expr_parse(const char *s, size_t n, struct expr_tree *t);

/* ---- values (expr_eval.c) ---- */

struct expr_env {
    const struct expr_tree *tree;
    unsigned signs;      /* bit i set: sign i is minus */
    int i_point;         /* which values the variables have */
    bool log_ten;        /* what a bare \log is */
    bool in_angle;       /* inside a trigonometric function: degrees are turned into radians */
    int *steps;          /* the budget; nothing has a value once it is spent */
    bool left_reals;     /* out: an even root or a logarithm of a negative number was met */
    long double largest; /* out: the largest magnitude met on the way, for the rounding error */
};

/* The exact value; false when there is none (irrational, variables, beyond 127 bits, x/0). */
bool expr_exact(struct expr_env *env, uint16_t node, struct expr_ratio *q);

/* The value at env's point; false when it is not finite or node is no value. */
bool expr_value(struct expr_env *env, uint16_t node, long double complex *z);

/* The value modulo a prime, of what is made of exact numbers by arithmetic, whole powers and
 * factorials; false for all else (dataset/expr_residue.c). */
bool expr_residue(struct expr_env *env, uint16_t node, uint64_t prime, uint64_t *r);

/* What expr_value gives a variable of that name. */
long double expr_sample(uint32_t name, int i_point);

/* Exact arithmetic; false beyond 127 bits. */
bool ratio_make(__int128 num, __int128 den, struct expr_ratio *out);

#endif
