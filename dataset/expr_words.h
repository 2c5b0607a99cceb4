/* Inside the notation's lexer: what commands, words and characters mean. */
#ifndef DECANT_DATASET_EXPR_WORDS_H
#define DECANT_DATASET_EXPR_WORDS_H

#include "dataset/expr.h"

/* What happens to a command's argument or a word. */
enum expr_action {
    ACT_SKIP = 1, /* as if it were not there */
    ACT_SPACE,
    ACT_WORDS,       /* {words} */
    ACT_DELIMITER,   /* \left, \right: also without the dot that follows */
    ACT_ENVIRONMENT, /* \begin{name}, \end{name} */
    ACT_BLACKBOARD,  /* \mathbb{R} */
    ACT_OPERATOR,    /* \operatorname{name} */
    ACT_DROP,        /* with its {argument} */
    ACT_EMIT
};

struct expr_command {
    const char *name;
    uint8_t action, kind, op;
};

struct expr_character {
    const char *utf8;
    uint8_t kind, op; /* kind 0: a space; '^': the power op, written small */
    uint32_t name;
};

/* NULL for what is not known. */
const struct expr_command *expr_find_command(const char *name);

/* A plain word of letters, in lower case: sin, pi, and, ... */
const struct expr_command *expr_find_word(const char *word);

/* The character that begins at s. */
const struct expr_character *expr_find_character(const char *s, const char *end);

bool expr_is_greek(const char *name);

/* Words that begin at s and name a set, "all real numbers", "the empty set": past them, *op is its
 * constant. NULL: other words. */
const char *expr_past_set_words(const char *s, const char *end, enum expr_constant *op);

/* Is a word of two or three letters one of prose, or a unit, rather than a product of variables? */
bool expr_is_short_word(const char *word);

#endif
