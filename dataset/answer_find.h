/* Inside answer_extract.c: finding by rule, each in a file of its own. answer_box.c: boxes;
 * answer_line.c: the text's end. All give false when their rule finds nothing. */
#ifndef DECANT_DATASET_ANSWER_FIND_H
#define DECANT_DATASET_ANSWER_FIND_H

#include "dataset/answer_value.h"
#include "dataset/starts.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* [s, end) without outer white space; false when nothing is left. */
static inline bool set_span(struct answer_span *out, const char *s, const char *end,
                            const char *rule)
{
    while (s < end && isspace((unsigned char)*s))
        s++;
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *out = (struct answer_span){s, (size_t)(end - s), rule};
    return end > s;
}

/* The last complete box, searched from the end, with those that are joined to it. */
bool find_boxed(const char *text, size_t n, struct answer_span *out);
/* All boxes, from the first to the last, when they are not all the same text, or by value when one
 * is another answer than the last; and nothing between takes one back. */
bool find_boxes(const char *text, size_t n, bool by_value, struct answer_span *out);
/* What is in them, as a list; false when that is too much. */
bool find_box_list(const char *text, size_t n, char list[ANSWER_MAX_BYTES + 1]);
/* Does "wait", "however" or their like stand in [s, end)? The byte at s is no part of such a word.
 * (answer_extract.c) */
bool find_taken_back(const char *s, const char *end);
/* Does no more than "and", a comma or "y =" stand between two parts of one answer? */
bool find_is_gap(const char *s, const char *end);

/* Displayed mathematics at the end, what the last line marks, or its only number. */
bool find_at_end(const char *text, size_t n, struct answer_span *out);
/* Displayed mathematics at s: \[...\] or $$...$$, over several lines. */
bool find_display_at(const char *s, const char *end, struct answer_span *out, const char *rule);

/* Is this nothing but a value? (answer_extract.c) */
bool find_is_value(const struct answer_span *a);

#endif
