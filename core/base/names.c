#include "core/base/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

err_code names_reserve(struct names *x, int64_t n, struct err *e)
{
    err_code rc = mem_grow((void **)&x->refs, (size_t)n, sizeof *x->refs, e);
    if (!rc)
        x->cap = n;
    return rc;
}

void names_add(struct names *x, const char *s, size_t len, int64_t id)
{
    assert(x->n < x->cap);
    x->refs[x->n++] = (struct name_ref){s, len, id};
}

static int compare(const void *pa, const void *pb)
{
    const struct name_ref *a = pa, *b = pb;
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

const struct name_ref *names_sort(struct names *x)
{
    if (x->n)
        qsort(x->refs, (size_t)x->n, sizeof *x->refs, compare);
    for (int64_t i = 1; i < x->n; i++)
        if (compare(&x->refs[i - 1], &x->refs[i]) == 0)
            return &x->refs[i];
    return NULL;
}

int64_t names_find(const struct names *x, const char *s, size_t len)
{
    struct name_ref key = {s, len, 0};
    const struct name_ref *hit =
        x->n ? bsearch(&key, x->refs, (size_t)x->n, sizeof *x->refs, compare) : NULL;
    return hit ? hit->id : -1;
}

void names_dispose(struct names *x)
{
    free(x->refs);
    memset(x, 0, sizeof *x);
}
