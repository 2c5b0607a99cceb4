/* A directory of its own for a test's files: made in setup, removed with all in it in teardown.
 *
 *     cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
 *     write_file(in_dir("a.json"), text, n);
 */
#ifndef DECANT_TESTS_TEMP_DIR_H
#define DECANT_TESTS_TEMP_DIR_H

#include "core/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char temp_dir[256];

static int temp_dir_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(temp_dir, sizeof temp_dir, "%s/decant-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(temp_dir) ? 0 : -1;
}

static int temp_dir_teardown(void **state)
{
    (void)state;
    return file_remove_tree(temp_dir, NULL);
}

/* A path in the directory; good until the eighth call after this one. */
static inline const char *in_dir(const char *name)
{
    static char paths[8][1024];
    static int i;
    char *p = paths[i++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", temp_dir, name);
    return p;
}

static inline const char *write_file(const char *path, const void *data, size_t n)
{
    struct err e;
    if (file_replace(path, data, n, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    return path;
}

static inline const char *write_text(const char *path, const char *text)
{
    return write_file(path, text, strlen(text));
}

#endif
