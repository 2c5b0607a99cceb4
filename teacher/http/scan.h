/* scan.h: JSON read in place. A server sends millions of small chunks, so nothing is allocated and
 * no tree is built: a value is checked whole and is then a span of the text, whose first byte tells
 * its kind ({ [ " t f n, else a number).
 *
 *     struct scan s = scan_text(text, n);
 *     struct span object, key, value;
 *     if (!scan_value(&s, &object)) ...                 // malformed, or cut short: s.cut
 *     struct scan in = scan_into(object);               // of a checked value: can't fail any more
 *     while (scan_member(&in, &key, &value))
 *         if (span_is(key, "id")) n = scan_unquote(value, room);
 *
 * RFC 8259, with two liberties that servers take: control characters may stand in strings, and NaN,
 * Infinity and -Infinity are numbers. Nesting is bounded by SCAN_MAX_DEPTH. */
#ifndef DECANT_TEACHER_HTTP_SCAN_H
#define DECANT_TEACHER_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCAN_MAX_DEPTH = 64 };

struct span {
    const char *p; /* NULL: there is none */
    size_t n;
};
struct scan {
    const char *p, *end;
    bool cut; /* the text ended inside a value: more of it might make it right */
};

struct scan scan_text(const char *text, size_t n);
/* The next value, checked, white space before it skipped. */
bool scan_value(struct scan *s, struct span *value);
/* Only white space is left. */
bool scan_at_end(struct scan *s);

/* Inside a checked object or array; of another kind it is empty. */
struct scan scan_into(struct span value);
bool scan_member(struct scan *s, struct span *key, struct span *value);
bool scan_item(struct scan *s, struct span *value);
/* The value of a key of a checked object; p is NULL when it is absent or null. */
struct span scan_at(struct span object, const char *key);

/* key: with its quotes; one that is written with escapes equals none. */
bool span_is(struct span key, const char *name);
bool span_is_string(struct span v);
bool span_is_null(struct span v); /* null, or no value at all */

/* A checked string's bytes, unescaped, appended to out, of which *len bytes are used and which has
 * room for v.n more. A surrogate that lacks its other half is kept as three bytes (no valid UTF-8)
 * until the other half is appended right behind it. Nothing for other kinds. */
void scan_unquote(struct span v, char *out, size_t *len);
/* false for other kinds and for numbers of more than 60 characters. */
bool scan_number(struct span v, double *out);
/* A whole number of 0 .. 2^53; else -1. */
int64_t scan_count(struct span v);

#endif
