#include "teacher/http/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FIRST = 256,
    PAGE = 4096,
    MAPPED_FROM = 1 << 10,
    TAIL = 8 << 10 /* what a guard looks at */
};

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

/* ---- in a file */

/* Of all but the text's tail. */
static void let_go(struct text *t)
{
    size_t cold = t->len > TAIL ? t->len - TAIL : 0;
    for (size_t i = 0; i * SPILL_BLOCK < cold; i++) {
        size_t left = cold - i * SPILL_BLOCK;
        spill_let_go(t->blocks[i], t->data + i * SPILL_BLOCK,
                     left < SPILL_BLOCK ? left : SPILL_BLOCK);
    }
}

/* Up to need bytes. */
static bool add_blocks(struct text *t, size_t need)
{
    size_t n = t->cap / SPILL_BLOCK, more = (need + SPILL_BLOCK - 1) / SPILL_BLOCK;
    if (need > spill_most(t->spill) || mem_grow((void **)&t->blocks, more, sizeof *t->blocks, NULL))
        return false;
    for (; n < more; n++) {
        if (!spill_map(t->spill, t->data + n * SPILL_BLOCK, &t->blocks[n]))
            return false;
        t->cap = (n + 1) * SPILL_BLOCK;
    }
    return true;
}

static void drop_blocks(struct text *t)
{
    for (size_t i = 0; i < t->cap / SPILL_BLOCK; i++)
        spill_give_back(t->spill, t->blocks[i]);
    spill_unreserve(t->spill, t->data);
    mem_free(t->blocks);
}

/* Moves a text of memory to blocks; false: it stays where it is. */
static bool move_to_blocks(struct text *t, size_t need)
{
    struct text x = {.data = spill_reserve(t->spill), .spill = t->spill};
    if (!x.data)
        return false;
    if (!add_blocks(&x, need)) {
        drop_blocks(&x);
        return false;
    }
    if (t->len)
        memcpy(x.data, t->data, t->len);
    x.len = t->len;
    text_dispose(t);
    *t = x;
    let_go(t);
    return true;
}

char *text_room(struct text *t, size_t n, struct err *e)
{
    uint64_t need;
    if (!mem_add(t->len, n, &need) || need > PTRDIFF_MAX / 2) {
        err_set(e, ERR_NOMEM, "out of memory: a text of %zu more bytes", n);
        return NULL;
    }
    if (need <= t->cap && t->data)
        return t->data + t->len;
    if (t->blocks) {
        let_go(t);
        if (add_blocks(t, need))
            return t->data + t->len;
        err_set(e, ERR_NOMEM, "out of memory: a text of %zu bytes", (size_t)need);
        return NULL;
    }
    if (t->spill && need > SPILL_BLOCK && move_to_blocks(t, need))
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
    struct spill *spill = t->spill;
    if (t->blocks)
        drop_blocks(t);
    else if (t->mapped)
        unmap(t);
    else
        free(t->data);
    *t = (struct text){.spill = spill};
}
