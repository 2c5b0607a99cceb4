/* Inside json_arena.c: the plain bytes of a string, up to the next quote, backslash or NUL, go from
 * *s down to *out (the same place, or one before); both end behind them. A block is looked at as a
 * whole: JSON_PLAIN_SPARE bytes behind the NUL that ends the text can be read. */
#ifndef DECANT_BASE_JSON_PLAIN_H
#define DECANT_BASE_JSON_PLAIN_H

enum { JSON_PLAIN_SPARE = 64 };

typedef void json_plain_move(char **s, char **out);
json_plain_move json_plain_portable;
/* The fastest for this processor. */
json_plain_move *json_plain_best(void);

#endif
