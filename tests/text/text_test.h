/* What the tests of this room share: opening by name, reading whole files. */
#ifndef DECANT_TESTS_TEXT_TEST_H
#define DECANT_TESTS_TEXT_TEST_H

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define VECTORS "tests/vectors/text/"

/* Fails the test with e's message when rc is an error. */
#define ok(rc, e)                                                                                  \
    do {                                                                                           \
        if (rc)                                                                                    \
            fail_msg("%s", (e)->msg);                                                              \
    } while (0)

static inline struct tokenizer *open_tokenizer(const char *path)
{
    struct err e = {0};
    struct tokenizer *t = NULL;
    ok(tokenizer_open(path, &t, &e), &e);
    return t;
}

/* Where the shared inputs (real tokenizers, GSM8K) are; NULL when they are not here. */
static inline const char *shared_dir(void)
{
    const char *dir = getenv("DECANT_SHARED");
    dir = dir ? dir : "../shared";
    return file_is_dir(dir) ? dir : NULL;
}

static inline void encode(const struct tokenizer *t, const char *s, size_t n, unsigned flags,
                          struct token_list *out)
{
    struct err e = {0};
    token_list_clear(out);
    ok(tokenizer_encode(t, s, n, flags, out, &e), &e);
}

#endif
