/* The word that a mistyped one was meant to be.
 *
 *     struct nearest near = {typed, strlen(typed)};
 *     for (...) nearest_try(&near, name);
 *     if (near.best) ...
 */
#ifndef DECANT_CLI_NEAREST_H
#define DECANT_CLI_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word;
    size_t n;
    const char *best; /* at most two slips away, or continuing the word; NULL: none */
    int slips;        /* of best */
};
void nearest_try(struct nearest *x, const char *name);

#endif
