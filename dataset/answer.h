/* The answer checker: is the final answer of a text equal to the gold answer?
 *
 *     switch (answer_check(text, n, gold, n_gold, &why)) { case ANSWER_CORRECT: ...
 *
 * Three steps: extract (where is the answer), parse (what is it), compare. It never says "correct"
 * of what it cannot read, unless both texts are the same. docs/corpus.md says what is read and when
 * two answers are equal. Inside: answer_find.h finds; answer_clean.c, answer_parse.c and
 * answer_value.c read plain numbers with units exactly, the usual case and the fastest; expr.h
 * reads all other notation and answer_tree.h compares it; answer_text.c compares words.
 *
 * Hostile text is bounded: an answer longer than 1 KiB is not read, its nesting stops at 32, a
 * comparison ends after ANSWER_STEPS steps (then unknown), and the search takes time linear in the
 * text. Nothing is allocated; about 200 KiB of stack. Safe on any number of threads. */
#ifndef DECANT_DATASET_ANSWER_H
#define DECANT_DATASET_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

enum answer_verdict { ANSWER_UNKNOWN, ANSWER_WRONG, ANSWER_CORRECT };
const char *answer_verdict_name(enum answer_verdict v); /* "unknown", "wrong", "correct" */

struct answer_span {
    const char *text; /* points into the text that was given */
    size_t n;
    const char *rule; /* which rule found it: "boxed", "####", "answer is", "last number", ... */
};

/* The final answer of a text (the answer part of a trace, without its reasoning). The first of:
 *   "boxed"        the last complete \boxed{...} or \fbox{...}, nested braces counted; when others
 *                  are joined to it by "and", "or" or a comma, all of them and what is between
 *   "bare box"     \boxed 42
 *   "####"         a value after the last "####", on its line; a word when that ends the text
 *   "answer is"    after the last "answer is", "answer:", "option is": its sentence or the next
 *                  line; when that is no value, a rule below within or behind it
 *   "whole"        the whole text, when it is a value or a word
 *   "displayed"    \[...\] or $$...$$ at the end
 *   "marked"       of the last line, the last **...**, or the only $...$ or \(...\)
 *   "only number"  of the last line
 *   "last line"    when it is nothing but a value or the letter of a choice
 *
 * The last three not beside words such as "about" or "not", nor before a conclusion. Of the last
 * four answer_check calls none wrong when the gold answer stands elsewhere in the text: they may
 * have found the number of a closing remark. False when there is none. */
bool answer_extract(const char *text, size_t n, struct answer_span *out);

/* The gold answer: what follows the last "####" (GSM8K), the last \boxed{...}, or all of it. Where
 * boxes of different values are not joined, "boxes": from the first to the last of them, which
 * answer_check takes for no answer. */
bool answer_gold(const char *text, size_t n, struct answer_span *out);

/* Compares two bare answers. *why (may be NULL) gets a static text. */
enum answer_verdict answer_compare(const char *given, size_t n_given, const char *gold,
                                   size_t n_gold, const char **why);

/* All of it: text is the answer part, gold as stored. */
enum answer_verdict answer_check(const char *text, size_t n, const char *gold, size_t n_gold,
                                 const char **why);

#endif
