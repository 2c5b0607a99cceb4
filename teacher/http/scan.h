/* scan.h: JSON read in place. A server sends millions of small chunks, so nothing is allocated, no
 * tree is built, and a byte is looked at once for each level that is opened. A value is a span of
 * the text, whose first byte tells its kind ({ [ " t f n, else a number).
 *
 *     struct scan s = scan_text(text, n);
 *     struct span key, value;
 *     if (scan_enter(&s, '{'))
 *         while (scan_member(&s, &key, &value))          // each value is checked to its end
 *             if (span_is(key, "choices")) choices = value;
 *     if (s.bad) ...                                     // malformed; s.cut: for lack of more text
 *     struct scan in = scan_into(choices);               // of a checked value: can't fail any more
 *     while (scan_item(&in, &value)) ...
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
    bool first; /* nothing of the innermost open object or array was read yet */
    bool bad;   /* malformed: nothing more is to be had */
    bool cut;   /* bad only because the text ended: more of it might make it right */
};

struct scan scan_text(const char *text, size_t n);
/* The next value; white space before it is skipped. */
bool scan_value(struct scan *s, struct span *value);
/* Only white space is left. */
bool scan_at_end(struct scan *s);

/* Opens the object ({) or array ([) that comes next; false, and nothing moves, when another kind
 * comes. Then its members or items up to its end, where false is returned and the text behind it is
 * next. */
bool scan_enter(struct scan *s, char bracket);
bool scan_member(struct scan *s, struct span *key, struct span *value);
bool scan_item(struct scan *s, struct span *value);
/* Opens the array's next item that is an object, passing over others. It must be read to its end
 * before the next item is asked for. */
bool scan_enter_item(struct scan *s);
/* A scan inside a checked object or array; of another kind it is empty. */
struct scan scan_into(struct span value);
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
