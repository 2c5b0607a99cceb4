/* What the tests of this folder share: vectors, and memory that a test cannot fail to get. */
#ifndef DECANT_TESTS_QUANT_TEST_H
#define DECANT_TESTS_QUANT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/tensor/dtype.h"

static inline void *take(size_t n)
{
    void *p = mem_new(n, 1, NULL);
    assert_non_null(p);
    return p;
}

/* tests/vectors/quant/NAME, whole. */
static inline void *vector_read(const char *name, size_t *n_bytes)
{
    char path[256];
    struct err e = {0};
    struct file_map m;
    snprintf(path, sizeof path, "tests/vectors/quant/%s", name);
    if (file_map_open(&m, path, &e))
        fail_msg("%s", e.msg);
    void *p = take(m.size + 1);
    memcpy(p, m.data, m.size);
    *n_bytes = m.size;
    file_map_close(&m);
    return p;
}

#endif
