/* Names to numbers, for tensor names and metadata keys: a hash table. Its hash is keyed with random
 * numbers that no file can know, so that a hostile one cannot choose names which meet in one place.
 *
 *     struct names x = {0};
 *     if ((rc = names_reserve(&x, n, e))) goto done;
 *     before = names_add(&x, "model.norm.weight", 17, 0);    // at most n times
 *     if (before >= 0) ...                                   // the name stands there already
 *     i = names_find(&x, "model.norm.weight", 17);           // -1 when absent
 * done:
 *     names_dispose(&x);
 */
#ifndef DECANT_BASE_NAMES_H
#define DECANT_BASE_NAMES_H

#include "core/base/mem.h"

struct name_ref {
    const char *s; /* the caller's; must outlive the table; need not end in NUL */
    size_t len;
    int64_t id;
};
struct names {
    struct name_ref *refs; /* n, in the order of their adding */
    int64_t n, cap;
    uint32_t *slots; /* a power of two, at most three quarters taken; 0: free. Bits within the mask:
                      * position in refs + 1; the others: as many of the hash's */
    uint32_t mask;
    uint64_t key[2];
};

/* Room for n names in all; to be called once, on a zeroed table. ERR_NOMEM also for 2^31 or more.
 */
err_code names_reserve(struct names *x, int64_t n, struct err *e);
/* Adds a name with its id (>= 0), unless it is there: then gives the id that it has, else -1. */
int64_t names_add(struct names *x, const char *s, size_t len, int64_t id);
/* The id, or -1. */
int64_t names_find(const struct names *x, const char *s, size_t len);
void names_dispose(struct names *x);

#endif
