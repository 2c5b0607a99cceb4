/* Keys: where they come from, what is refused, and that no message holds one. */
#include "core/base/file.h"
#include "teacher/http/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char secret[] = "sk-or-v1-0123456789abcdefXYZ";
static char dir[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/decant-key-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/key", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

static void put(const void *text, size_t n, mode_t mode)
{
    assert_int_equal(file_replace(path, text, n, NULL), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void refused(const char *env, const char *file, err_code want, const char *words)
{
    struct key k;
    struct err e = {0};
    assert_int_equal(key_read(&k, env, file, &e), want);
    assert_null(k.text);
    if (!strstr(e.msg, words))
        fail_msg("message is: %s", e.msg);
    for (size_t i = 0; i + 6 <= strlen(secret); i++) {
        char part[7] = "";
        memcpy(part, secret + i, 6);
        if (strstr(e.msg, part))
            fail_msg("the message holds a part of the key: %s", e.msg);
    }
    key_close(&k);
}

static void read_as(const char *env, const char *file, const char *expected)
{
    struct key k;
    struct err e = {0};
    if (key_read(&k, env, file, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(k.text, expected);
    assert_int_equal(k.n, strlen(expected));
    char *h = key_header(&k, &e);
    assert_non_null(h);
    assert_int_equal(strncmp(h, "Authorization: Bearer ", 22), 0);
    assert_string_equal(h + 22, expected);
    mem_free(h);
    key_close(&k);
    assert_null(k.text);
    key_close(&k);
}

static void test_environment(void **state)
{
    (void)state;
    setenv("DECANT_TEST_KEY", secret, 1);
    read_as("DECANT_TEST_KEY", NULL, secret);
    setenv("DECANT_TEST_KEY", "  sk-or-v1-0123456789abcdefXYZ\r\n", 1);
    read_as("DECANT_TEST_KEY", NULL, secret);
    setenv("DECANT_TEST_KEY", " \n", 1);
    refused("DECANT_TEST_KEY", NULL, ERR_FORMAT, "DECANT_TEST_KEY holds no key: it is empty");
    setenv("DECANT_TEST_KEY", "sk-or-v1-012345\nX-Evil: 6789abcdefXYZ", 1);
    refused("DECANT_TEST_KEY", NULL, ERR_FORMAT, "byte 16");
    setenv("DECANT_TEST_KEY", "Bearer sk-or-v1-0123456789abcdefXYZ", 1);
    refused("DECANT_TEST_KEY", NULL, ERR_FORMAT, "the key alone");
    setenv("DECANT_TEST_KEY", "sk-or-v1-0123456789ab\x7f", 1);
    refused("DECANT_TEST_KEY", NULL, ERR_FORMAT, "control character");
    unsetenv("DECANT_TEST_KEY");
    refused("DECANT_TEST_KEY", NULL, ERR_NOTFOUND,
            "DECANT_TEST_KEY, which should hold the key, is not set");
    refused(secret, NULL, ERR_USAGE, "not by the key itself"); /* the key where its name belongs */
    struct key k;
    assert_int_equal(key_read(&k, NULL, NULL, NULL), 0);
    assert_null(k.text);
    assert_null(key_header(&k, NULL));
}

static void test_file(void **state)
{
    (void)state;
    put("sk-or-v1-0123456789abcdefXYZ\n", sizeof secret, 0600);
    read_as(NULL, path, secret);
    put("\t sk-or-v1-0123456789abcdefXYZ \r\n\n", sizeof secret + 4, 0400);
    read_as(NULL, path, secret);
    const mode_t modes[] = {0644, 0640, 0604, 0620, 0601, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        put(secret, strlen(secret), modes[i]);
        refused(NULL, path, ERR_STATE, "chmod 600");
    }
    put(secret, sizeof secret, 0600); /* with its NUL */
    refused(NULL, path, ERR_FORMAT, "control character");
    put("", 0, 0600);
    refused(NULL, path, ERR_FORMAT, "empty");
    char big[20000];
    memset(big, 'x', sizeof big);
    put(big, sizeof big, 0600);
    refused(NULL, path, ERR_FORMAT, "is no key");
    refused(NULL, dir, ERR_FORMAT, "not a regular file");
    refused("HOME", path, ERR_USAGE, "not by both");
    struct key k;
    struct err e = {0};
    assert_int_equal(key_read(&k, NULL, "/nowhere/key", &e), ERR_NOTFOUND);
}

static void test_scrub(void **state)
{
    (void)state;
    struct key k = {(char *)secret, strlen(secret)};
    struct {
        const char *text, *clean;
    } cases[] = {
        {"Incorrect API key provided: sk-or-v1-0123456789abcdefXYZ.",
         "Incorrect API key provided: ****************************."},
        {"key sk-or-v1-01****cdefXYZ?", "key **********************?"},
        {"012345", "******"},
        {"01234", "01234"},
        {"", ""},
        {"Bearer sk-or-v1-0123456789abcdefXYsk-or-", "Bearer *********************************"},
        {"nothing here", "nothing here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        strcpy(text, cases[i].text);
        key_scrub(&k, text, strlen(text));
        assert_string_equal(text, cases[i].clean);
    }
    char text[] = "no key, no change";
    key_scrub(&(struct key){0}, text, strlen(text));
    assert_string_equal(text, "no key, no change");
    struct key tiny = {(char *)"abc", 3};
    char t2[] = "xabcx ab";
    key_scrub(&tiny, t2, strlen(t2));
    assert_string_equal(t2, "x***x ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_environment),
                                       cmocka_unit_test(test_file), cmocka_unit_test(test_scrub)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
