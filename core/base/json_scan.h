/* Reads plain JSON where it stands, piece by piece, without a tree: for large tables whose form is
 * known (the header of a safetensors file, the index of its shards). It takes strings without
 * escapes and whole numbers, and says false on all else, also on errors: the caller then starts
 * over with json.h or json_arena.h, which find the words for what is wrong. Whatever it takes means
 * the same there.
 *
 *     struct json_scan s = {text, text + n};
 *     if (json_scan_char(&s, '[') && json_scan_size(&s, &x) && json_scan_char(&s, ']')) ...
 */
#ifndef DECANT_BASE_JSON_SCAN_H
#define DECANT_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_scan {
    const char *at, *end; /* the rest of the text; nothing is read behind it */
};

static inline void json_scan_space(struct json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

/* This character, after any space. */
static inline bool json_scan_char(struct json_scan *s, char c)
{
    json_scan_space(s);
    bool there = s->at < s->end && *s->at == c;
    s->at += there;
    return there;
}

/* A string: n bytes in the text itself, not ended by NUL; none of them is NUL. */
bool json_scan_str(struct json_scan *s, const char **text, size_t *n);
/* "key": */
bool json_scan_key(struct json_scan *s, const char **text, size_t *n);
/* A whole number below 10^15. */
bool json_scan_size(struct json_scan *s, uint64_t *x);
/* An object of such strings and numbers, unread. */
bool json_scan_skip_object(struct json_scan *s);
/* Nothing but space is left. */
bool json_scan_end(struct json_scan *s);

#endif
