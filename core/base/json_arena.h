/* JSON of many records, one after the other: the same trees as json_parse, in memory that is used
 * again for the next text. Reading a 10 KB record takes a third of the time, for nothing is
 * allocated once the arena is warm.
 *
 *     struct json_arena a = {0};
 *     while (records come) {
 *         rc = json_arena_parse(&a, place, text, n, &root, e);      // valid until the next call
 *         ...
 *     }
 *     json_arena_dispose(&a);
 *
 * The tree may be read and printed by cJSON's functions, never changed or deleted by them. */
#ifndef DECANT_BASE_JSON_ARENA_H
#define DECANT_BASE_JSON_ARENA_H

#include "core/base/json.h"

struct json_arena {
    struct buf text; /* the strings, unescaped */
    cJSON **blocks;  /* of nodes */
    int n_blocks, n_used;
    struct json slow; /* what the quick reader does not take is left to json_parse */
};
/* Errors as json_parse. text need not end in NUL. */
err_code json_arena_parse(struct json_arena *a, const char *name, const char *text, size_t n,
                          const cJSON **root, struct err *e);
/* The same where text is plain, valid JSON without \u0000, as nearly all is; else NULL, and
 * json_arena_parse has the tree or the words for what is wrong. text[n] is NUL, and
 * JSON_ARENA_SPARE bytes from there on can be read: it spares a copy. */
enum { JSON_ARENA_SPARE = 64 };
const cJSON *json_arena_quick(struct json_arena *a, const char *text, size_t n);
void json_arena_dispose(struct json_arena *a);

#endif
