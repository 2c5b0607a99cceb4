/* Errors: codes, messages, contexts, and what must never reach a terminal. */
#include "core/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void sets_code_and_message(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_FORMAT, "%s: %d", "file", 7), ERR_FORMAT);
    assert_int_equal(e.code, ERR_FORMAT);
    assert_string_equal(e.msg, "file: 7");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void context_stands_in_front(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_NOTFOUND, "x.json: no such file");
    assert_int_equal(err_context(&e, "shard %d", 3), ERR_NOTFOUND);
    assert_string_equal(e.msg, "shard 3: x.json: no such file");
    assert_int_not_equal(err_context(NULL, "still an error"), 0);
}

static void errno_is_told(void **state)
{
    (void)state;
    struct err e = {0};
    errno = ENOENT;
    assert_int_equal(err_errno(&e, "cannot open", "a/b"), ERR_NOTFOUND);
    assert_string_equal(e.msg, "cannot open a/b: No such file or directory");
    errno = EACCES;
    assert_int_equal(err_errno(&e, "cannot open", "a/b"), ERR_IO);
    errno = ENOMEM;
    assert_int_equal(err_errno(&e, "cannot map", "a/b"), ERR_NOMEM);
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    struct err e = {0};
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&e, ERR_FORMAT, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    err_context(&e, "%s", text);
    assert_true(strlen(e.msg) < sizeof e.msg);
}

static void control_characters_of_names_do_not_pass(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_FORMAT, "tensor \"%s\"", "a\033[2Jb\nc\x7f");
    assert_string_equal(e.msg, "tensor \"a?[2Jb?c?\"");
    err_context(&e, "x\ry");
    assert_string_equal(e.msg, "x?y: tensor \"a?[2Jb?c?\"");
    /* CSI as a character of its own; the same byte as part of another */
    err_set(&e, ERR_FORMAT, "a\xC2\x9B[2J\xC3\x9B");
    assert_string_equal(e.msg, "a??[2J\xC3\x9B");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_code_and_message),
        cmocka_unit_test(context_stands_in_front),
        cmocka_unit_test(errno_is_told),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(control_characters_of_names_do_not_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
