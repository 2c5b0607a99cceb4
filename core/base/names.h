/* Names to numbers, for tensor names and metadata keys: a sorted table. A look-up takes O(log n)
 * and building O(n log n) whatever the names are, so a hostile file cannot make it slow as it could
 * a hash table.
 *
 *     struct names x = {0};
 *     if ((rc = names_reserve(&x, n, e))) goto done;
 *     names_add(&x, "model.norm.weight", 17, 0);             // at most n times
 *     if ((twice = names_sort(&x))) ...                      // some name stands twice
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
    struct name_ref *refs;
    int64_t n, cap;
};

/* Room for n names in all. */
err_code names_reserve(struct names *x, int64_t n, struct err *e);
void names_add(struct names *x, const char *s, size_t len, int64_t id);
/* To be called once, after the last add; gives the first name that stands twice, or NULL. */
const struct name_ref *names_sort(struct names *x);
/* The id, or -1. */
int64_t names_find(const struct names *x, const char *s, size_t len);
void names_dispose(struct names *x);

#endif
