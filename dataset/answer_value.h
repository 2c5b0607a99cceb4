/* Inside the answer checker: plain numbers, with units, money and percentages, by exact arithmetic;
 * and words. What is neither goes through dataset/expr.h and dataset/answer_tree.h.
 *
 * text --answer_clean--> plain notation --answer_parse--> value --answer_equal--> verdict */
#ifndef DECANT_DATASET_ANSWER_VALUE_H
#define DECANT_DATASET_ANSWER_VALUE_H

#include "dataset/answer.h"

enum { ANSWER_MAX_BYTES = 1024, ANSWER_MAX_UNIT = 64 };

/* A number num/den in lowest terms, den > 0, possibly with a unit. */
struct answer_value {
    bool exact; /* num/den is the value; else only approx is known */
    __int128 num, den;
    double approx;
    int n_decimals;             /* digits behind the point of a plain decimal number; else 0 */
    bool percent;               /* the number stood before a percent sign; not divided by 100 */
    char unit[ANSWER_MAX_UNIT]; /* lower-case words, one space between; "" for none */
};

/* LaTeX and Unicode spellings to plain ones: "\dfrac" to FRAC, "\text{ cm}" to " cm", U+2212 to
 * "-", currency signs to CURRENCY_*, math delimiters dropped. False for what it does not know. out
 * has room for 4 × ANSWER_MAX_BYTES. */
enum { ANSWER_FRAC = 1, ANSWER_DOLLAR, ANSWER_EURO, ANSWER_POUND, ANSWER_YEN, ANSWER_DEGREE };
bool answer_clean(const char *s, size_t n, char *out);

/* The value of a bare answer; false when it is not a number that is understood whole. */
bool answer_parse(const char *s, size_t n, struct answer_value *v);

/* What the same text says behind its answer, a box or what followed "answer is": another value
 * after "answer is", or the last number behind "however", "wait" and their like. */
bool answer_after(const char *text, size_t n, const struct answer_span *answer,
                  struct answer_span *out);

/* Does the text give the gold answer, when it is a number or holds one, elsewhere than in what was
 * taken for the answer? dataset/answer_elsewhere.c. */
bool answer_elsewhere(const char *text, size_t n, const struct answer_span *answer,
                      const struct answer_span *gold);

/* Is word one of the common short units, such as cm or lbs? */
bool unit_is_short(const char *word);

/* Is word one that changes a number's value or leaves it open, such as "dozen" or "or"? */
bool unit_is_none(const char *word);

/* Of these, is it one that makes another number of the one before it, such as "dozen"? */
bool unit_changes(const char *word);

/* Are two units the same words, plurals and usual abbreviations aside, or is one the beginning of
 * the other ("dollars" of "dollars per hour")? dataset/answer_unit.c. */
bool unit_is_same(const char *a, size_t n_a, const char *b, size_t n_b);

/* Arithmetic, exact while it fits (dataset/answer_value.c). divide is false for a zero divisor. */
void value_set_ratio(struct answer_value *v, __int128 num, __int128 den);
void value_multiply(struct answer_value *v, const struct answer_value *by);
bool value_divide(struct answer_value *v, const struct answer_value *by);
void value_add(struct answer_value *v, const struct answer_value *b);
void value_negate(struct answer_value *v);
struct answer_value value_power_of_ten(int exponent);

/* Is the decimal num/den, with n_decimals digits behind the point, the fraction of_num/of_den
 * rounded? 1: it is its right rounding, with at least VALUE_MIN_DECIMALS digits, leading zeros not
 * counted. 0: with fewer (at least two), or it is cut off. -1: another value, or the fraction could
 * have been written as a decimal exactly. */
enum { VALUE_MIN_DECIMALS = 6 };
int value_rounded(__int128 num, __int128 den, int n_decimals, __int128 of_num, __int128 of_den);

/* Answers in words (dataset/answer_text.c): correct when they are the same but for case, spaces,
 * LaTeX around them and an article; wrong when one excludes the other (days, yes and no); else
 * unknown. */
enum answer_verdict text_compare(const char *given, size_t n_given, const char *gold, size_t n_gold,
                                 const char **why);

/* One word? */
bool text_is_word(const char *s, size_t n);

enum answer_verdict answer_equal(const struct answer_value *a, const struct answer_value *gold,
                                 const char **why);

#endif
