#include "teacher/arena.h"

#include "core/base/mem.h"

enum { MIN_PIECE = 1 << 16 };

static err_code add_piece(struct arena *a, size_t size, struct err *e)
{
    if (a->n_pieces == ARENA_MAX_PIECES)
        return err_set(e, ERR_NOMEM, "a forward pass needs too many pieces of memory");
    void *p = a->dev->alloc(a->dev, size, e);
    if (!p)
        return ERR_NOMEM;
    a->pieces[a->n_pieces++] = (struct arena_piece){p, size};
    return ERR_OK;
}

void *arena_take(struct arena *a, uint64_t n, uint64_t size, struct err *e)
{
    uint64_t bytes;
    if (!mem_mul(n, size, &bytes) || bytes > PTRDIFF_MAX / 4) {
        err_set(e, ERR_NOMEM, "a forward pass needs %llu x %llu bytes", (unsigned long long)n,
                (unsigned long long)size);
        return NULL;
    }
    bytes = (bytes + 63) / 64 * 64;
    while (a->i_piece < a->n_pieces && a->pieces[a->i_piece].size - a->used < bytes) {
        a->i_piece++;
        a->used = 0;
    }
    if (a->i_piece == a->n_pieces) { /* each piece at least doubles the whole */
        size_t want = MIN_PIECE;
        for (int i = 0; i < a->n_pieces; i++)
            want += a->pieces[i].size;
        if (add_piece(a, bytes > want ? bytes : want, e))
            return NULL;
    }
    void *p = a->pieces[a->i_piece].data + a->used;
    a->used += bytes;
    return p;
}

err_code arena_2d(struct arena *a, struct tensor *t, int64_t rows, int64_t cols, struct err *e)
{
    uint64_t n;
    if (!mem_mul((uint64_t)rows, (uint64_t)cols, &n))
        n = UINT64_MAX;
    void *p = arena_take(a, n, sizeof(float), e);
    if (!p)
        return ERR_NOMEM;
    *t = tensor_2d(DT_F32, p, rows, cols);
    return ERR_OK;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->i_piece, a->used};
}

static void melt(struct arena *a)
{
    size_t total = 0;
    for (int i = 0; i < a->n_pieces; i++) {
        total += a->pieces[i].size;
        a->dev->free(a->dev, a->pieces[i].data);
    }
    a->n_pieces = 0;
    add_piece(a, total, NULL); /* without it, the next pass asks again */
}

void arena_release(struct arena *a, struct arena_mark m)
{
    a->i_piece = m.i_piece;
    a->used = m.used;
    if (a->n_pieces > 1 && a->i_piece == 0 && a->used == 0)
        melt(a);
}

void arena_dispose(struct arena *a)
{
    for (int i = 0; i < a->n_pieces; i++)
        a->dev->free(a->dev, a->pieces[i].data);
    *a = (struct arena){0};
}
