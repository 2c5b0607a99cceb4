#include "teacher/http/guard.h"

#include <stdint.h>
#include <string.h>

enum { STEP = 512, TAIL = LOOP_MAX_UNIT * LOOP_MIN_ROUNDS, PROBE = 16 };

/* With the text's tail reversed, "its last L bytes have period p" is "the prefix of length L has
 * period p", and the shortest such p is L minus the prefix function of Knuth, Morris and Pratt. */
static bool ends_in_loop(const char *text, size_t n)
{
    uint16_t fail[TAIL + 1];
    size_t m = n < TAIL ? n : TAIL, k = 0;
    const char *last = text + n - 1; /* last[-i] is the reversed tail */
    fail[0] = fail[1] = 0;
    for (size_t i = 1; i < m; i++) {
        while (k && last[-(ptrdiff_t)i] != last[-(ptrdiff_t)k])
            k = fail[k];
        k += last[-(ptrdiff_t)i] == last[-(ptrdiff_t)k];
        fail[i + 1] = (uint16_t)k;
        size_t length = i + 1, period = length - k;
        if (length >= LOOP_MIN_BYTES && period <= LOOP_MAX_UNIT &&
            length >= LOOP_MIN_ROUNDS * period)
            return true;
    }
    return false;
}

/* Do the last bytes stand once more within one unit before? Without that there is no loop. */
static bool may_loop(const char *text, size_t n)
{
    size_t before = n - PROBE < LOOP_MAX_UNIT ? n - PROBE : LOOP_MAX_UNIT;
    return memmem(text + n - PROBE - before, before + PROBE - 1, text + n - PROBE, PROBE) != NULL;
}

bool loop_guard_look(struct loop_guard *g, const char *text, size_t n)
{
    if (n < LOOP_MIN_BYTES || n - g->n_looked < STEP)
        return false;
    g->n_looked = n;
    return may_loop(text, n) && ends_in_loop(text, n);
}
