#include "teacher/http/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST = 256, PAGE = 4096, MAPPED_FROM = 1 << 10 };

#ifdef __linux__
/* Moves the text to a mapping of cap bytes; its own is resized. */
static char *map(struct text *t, size_t cap)
{
    void *p = t->mapped
                  ? mremap(t->data, t->cap, cap, MREMAP_MAYMOVE)
                  : mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!t->mapped) {
        if (t->len)
            memcpy(p, t->data, t->len);
        free(t->data);
    }
    t->mapped = true;
    return p;
}

static void unmap(struct text *t)
{
    munmap(t->data, t->cap);
}
#else
static char *map(struct text *t, size_t cap)
{
    return realloc(t->data, cap);
}

static void unmap(struct text *t)
{
    free(t->data);
}
#endif

char *text_room(struct text *t, size_t n, struct err *e)
{
    uint64_t need;
    if (!mem_add(t->len, n, &need) || need > PTRDIFF_MAX / 2) {
        err_set(e, ERR_NOMEM, "out of memory: a text of %zu more bytes", n);
        return NULL;
    }
    if (need <= t->cap && t->data)
        return t->data + t->len;
    uint64_t cap = t->cap ? t->cap : FIRST;
    while (cap < need)
        cap += cap < MAPPED_FROM ? cap : cap / 8;
    char *p;
    if (cap > MAPPED_FROM) {
        cap = (cap + PAGE - 1) / PAGE * PAGE;
        p = map(t, cap);
    } else {
        p = realloc(t->data, cap);
    }
    if (!p) {
        err_set(e, ERR_NOMEM, "out of memory: a text of %zu bytes", (size_t)cap);
        return NULL;
    }
    t->data = p;
    t->cap = cap;
    return p + t->len;
}

err_code text_add(struct text *t, const void *data, size_t n, struct err *e)
{
    char *room = text_room(t, n, e);
    if (!room)
        return ERR_NOMEM;
    if (n)
        memcpy(room, data, n);
    t->len += n;
    return ERR_OK;
}

void text_clear(struct text *t, size_t keep)
{
    t->len = 0;
    if (t->cap > keep)
        text_dispose(t);
}

void text_dispose(struct text *t)
{
    if (t->mapped)
        unmap(t);
    else
        free(t->data);
    memset(t, 0, sizeof *t);
}
