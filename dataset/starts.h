/* Does a piece of text begin with given words? */
#ifndef DECANT_DATASET_STARTS_H
#define DECANT_DATASET_STARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* [s, end) and with, to the byte. */
static inline bool starts(const char *s, const char *end, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(end - s) >= n && !memcmp(s, with, n);
}

/* The same for ASCII letters of either case. */
static inline bool starts_any_case(const char *s, const char *end, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(end - s) >= n && !strncasecmp(s, with, n);
}

#endif
