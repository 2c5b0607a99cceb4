/* arena.h: scratch memory of a forward pass, on the device. Taking is a bump of a pointer; memory
 * is had from the device only while the arena still grows, so that a warmed-up pass allocates
 * nothing.
 *
 *     struct arena a = {.dev = d};
 *     struct arena_mark m = arena_mark(&a);
 *     if ((rc = arena_2d(&a, &q, n_rows, n_cols, e))) ...    // a float32 tensor [rows, cols]
 *     arena_release(&a, m);                                   // everything taken since the mark
 *     arena_dispose(&a);
 *
 * A pass that outgrows the memory goes on in further pieces; when everything is released they are
 * melted into one of the size that was needed. */
#ifndef DECANT_TEACHER_ARENA_H
#define DECANT_TEACHER_ARENA_H

#include "core/tensor/device.h"

#define ARENA_MAX_PIECES 32

struct arena {
    struct device *dev;
    struct arena_piece {
        char *data;
        size_t size;
    } pieces[ARENA_MAX_PIECES];
    int n_pieces, i_piece; /* i_piece: the one taken from */
    size_t used;           /* of it */
};
struct arena_mark {
    int i_piece;
    size_t used;
};

/* Uninitialised bytes, 64-aligned. NULL with e filled when memory is short. */
void *arena_take(struct arena *a, uint64_t n, uint64_t size, struct err *e);
err_code arena_2d(struct arena *a, struct tensor *t, int64_t rows, int64_t cols, struct err *e);
struct arena_mark arena_mark(const struct arena *a);
void arena_release(struct arena *a, struct arena_mark m);
void arena_dispose(struct arena *a);

#endif
