/* The answer checker: is the final answer of a text equal to the gold answer?
 *
 *     switch (answer_check(text, n, gold, n_gold, &why)) { case ANSWER_CORRECT: ...
 *
 * Three steps, each its own function: extract (where is the answer), parse (what value is it),
 * compare. It never says "correct" of what it cannot read: an answer or a gold answer that does not
 * parse whole is unknown. Values are exact fractions of 127-bit integers. Beyond that range only a
 * double is known: a relative difference over 1e-9 is wrong, a smaller one is unknown.
 * docs/corpus.md says what is read, and how units and percentages are taken.
 *
 * Hostile text is bounded: an answer longer than 1 KiB is not read, its nesting stops at 32, and
 * the search takes time linear in the text (times the 1 KiB that a box may hold). */
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

/* The final answer of a text (the answer part of a trace, without its reasoning):
 * the last complete \boxed{...} or \fbox{...} (nested braces counted); else what follows the last
 * "####" on its line; else what follows the last "answer is" / "answer:" in its sentence; else the
 * whole text when it is one value; else the number of the last line, when it has just one and no
 * words such as "about" or "not". False when there is none. */
bool answer_extract(const char *text, size_t n, struct answer_span *out);

/* The gold answer: what follows the last "####" (GSM8K), the last \boxed{...}, or all of it. */
bool answer_gold(const char *text, size_t n, struct answer_span *out);

/* Compares two bare answers. *why (may be NULL) gets a static text. */
enum answer_verdict answer_compare(const char *given, size_t n_given, const char *gold,
                                   size_t n_gold, const char **why);

/* All of it: text is the answer part, gold as stored. */
enum answer_verdict answer_check(const char *text, size_t n, const char *gold, size_t n_gold,
                                 const char **why);

#endif
