/* UTF-8 inside the dataset: counting valid text, and replacing what is not. */
#ifndef DECANT_DATASET_UTF8_H
#define DECANT_DATASET_UTF8_H

#include "core/base/mem.h"

/* Length of the character at s (1 to 4 of the n bytes), or 0 when it is not valid UTF-8. */
size_t utf8_char(const char *s, size_t n);
/* Bytes before the first that is NUL or not part of a valid character; n when all is well. */
size_t utf8_valid(const char *s, size_t n);
/* Appends text with U+FFFD for each NUL and each byte that is not part of a valid character. */
err_code utf8_repair(struct buf *out, const char *s, size_t n, struct err *e);

#endif
