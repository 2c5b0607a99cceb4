/* load.h: a model's tensors by name and shape, counted as they are taken. */
#ifndef DECANT_TEACHER_LOAD_H
#define DECANT_TEACHER_LOAD_H

#include "core/format/weights.h"

struct loader {
    const struct weights *w;
    int64_t n_params, n_bytes; /* of what was taken so far */
};

/* The matrix [rows, cols], or the vector [cols] when rows is 0, called "prefix.name", or "name"
 * when prefix is NULL (R1 has 46,000, and printf takes longer than finding one). Matrices may be
 * F32, F16, BF16 or F8 with its scales; vectors F32, F16 or BF16. The tensor is a view into the
 * map. */
err_code load_tensor(struct loader *l, struct tensor *t, int64_t rows, int64_t cols, struct err *e,
                     const char *prefix, const char *name);

#endif
