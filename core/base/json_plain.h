/* Inside json_arena.c: the bytes of a string, from *s to *out, as far as they are plain; both end
 * behind them: *s at the closing quote, at a NUL or at a backslash. A backslash that stands for one
 * character (all but \u) may be taken as well, unescaped. *out may lie in the same text, before *s.
 * A block is looked at as a whole: up to JSON_ARENA_SPARE bytes are read from the NUL that ends
 * the text on, and written from *out on. */
#ifndef DECANT_BASE_JSON_PLAIN_H
#define DECANT_BASE_JSON_PLAIN_H

typedef void json_plain_move(const char **s, char **out);
json_plain_move json_plain_portable;
/* The fastest for this processor. */
json_plain_move *json_plain_best(void);
/* What the letter behind a backslash stands for; 0: no one character. */
extern const char json_plain_meaning[128];

#endif
