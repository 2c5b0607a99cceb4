/* guard.h: is a text that is still being written stuck in a loop? Watched as it grows, so that a
 * chain that goes round is not paid for up to its token limit.
 *
 *     struct loop_guard g = {0};
 *     ...text grew...  if (loop_guard_look(&g, text, n)) stop;
 *
 * A text loops when its end repeats one unit of at most 2048 bytes at least four times and over at
 * least 2000 bytes. That is the state that greedy decoding falls into (Holtzman et al. 2020, "The
 * curious case of neural text degeneration", section 4.3). The limits are wider than those for a
 * finished text, since a ruled line, a row of zeros or a restated formula may still end. Numbers
 * that count up are no loop: the unit must be equal to the byte. */
#ifndef DECANT_TEACHER_HTTP_GUARD_H
#define DECANT_TEACHER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum { LOOP_MAX_UNIT = 2048, LOOP_MIN_ROUNDS = 4, LOOP_MIN_BYTES = 2000 };

struct loop_guard {
    size_t n_looked; /* length of the text when it was last looked at */
};
/* text: all of it so far; n grows from call to call. Looks every 512 bytes; a look takes linear
 * time in the last 8 kB at worst, and mostly a search for 16 bytes in the last 2 kB. */
bool loop_guard_look(struct loop_guard *g, const char *text, size_t n);

#endif
