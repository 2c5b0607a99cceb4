/* Unicode's word on single characters, for whoever compares texts. */
#ifndef DECANT_TEXT_UNICODE_H
#define DECANT_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at s (n >= 1 bytes) into *cp; its length in bytes, or 0 when it is not valid. */
size_t unicode_get(const char *s, size_t n, uint32_t *cp);
/* Simple lower case, one character to one; a final sigma is a sigma. */
uint32_t unicode_lower(uint32_t cp);
/* White_Space of the Unicode Standard, and the four separators U+001C to U+001F, as Python's
 * str.split() has it. */
bool unicode_is_space(uint32_t cp);
/* Letters, marks, digits, connectors (\w of UTS 18). */
bool unicode_is_word(uint32_t cp);
/* Symbols: mathematical, currency, modifier, other (general categories S*). */
bool unicode_is_symbol(uint32_t cp);

#endif
