/* guard.h: is a text that is still being written stuck? Watched as it grows, so that a chain that
 * goes round is not paid for up to its token limit.
 *
 *     struct loop_guard g = {0};
 *     ...text grew...  if (loop_guard_look(&g, text, n)) stop;
 *     loop_guard_dispose(&g);
 *
 * It is when its end repeats one unit of at most 2048 bytes at least four times and over at least
 * 2000 bytes: the state that greedy decoding falls into (Holtzman et al. 2020, "The curious case of
 * neural text degeneration", section 4.3). Or when it goes on in word 8-grams that it has used
 * before (the measure of Rae et al. 2021, "Scaling language models", table A1), in any order: each
 * one that occurred before counts 1, each new one takes 3 away, and 2000 are too many, which is
 * 2000 words that say nothing new.
 *
 * The limits are wider than those for a finished text, since a ruled line, a row of zeros, a
 * restated formula or a draft copied out may still end. Numbers that count up are no loop, and
 * short words (8 of less than 28 bytes together: digits, mostly) never count: there are too few of
 * them. */
#ifndef DECANT_TEACHER_HTTP_GUARD_H
#define DECANT_TEACHER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOOP_MAX_UNIT = 2048, LOOP_MIN_ROUNDS = 4, LOOP_MIN_BYTES = 2000 };
enum { LOOP_GRAM = 8, LOOP_GRAM_BYTES = 28, LOOP_MAX_SCORE = 2000, LOOP_NEW = 3 };

struct loop_guard {
    size_t n_looked; /* length of the text when it was last looked at */
    /* the rest is guard.c's: words */
    size_t n_read;
    uint64_t gram, words[LOOP_GRAM];
    size_t lengths[LOOP_GRAM], gram_bytes, n_words;
    int32_t score;
    uint8_t *seen; /* 4 kB, from the first look on */
};
/* text: all of it so far; n grows from call to call. Looks every 512 bytes: at what is new, and at
 * the last 8 kB when the last 16 bytes stood in the 2 kB before. Without memory for 8-grams it goes
 * on by units alone. */
bool loop_guard_look(struct loop_guard *g, const char *text, size_t n);
/* For the next text. */
void loop_guard_dispose(struct loop_guard *g);

#endif
