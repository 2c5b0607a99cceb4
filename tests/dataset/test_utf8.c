/* UTF-8: the quick check against one character after the other. */
#include "dataset/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t valid_plainly(const char *s, size_t n)
{
    size_t i = 0;
    for (size_t len; i < n && s[i] && (len = utf8_char(s + i, n - i));)
        i += len;
    return i;
}

static void same(const char *s, size_t n)
{
    size_t want = valid_plainly(s, n), got = utf8_valid(s, n);
    if (got != want)
        fail_msg("%zu of %zu bytes, not %zu", got, n, want);
}

/* All pairs of bytes, with what may stand around them, across the borders of blocks. */
static void test_pairs(void **state)
{
    (void)state;
    static const char *const before[] = {"",     "\xC3",     "\xE2",        "\xE2\x86",
                                         "\xF0", "\xF0\x9F", "\xF0\x9F\x98"};
    static const char *const behind[] = {"", "\x80", "\x80\x80", "\x80\x80\x80"};
    static const size_t sizes[] = {64, 67, 128, 130, 200};
    char *text[sizeof sizes / sizeof *sizes];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        text[k] = memset(malloc(sizes[k]), 'a', sizes[k]);
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++)
            for (size_t i = 0; i < sizeof before / sizeof *before * 4; i++) {
                char piece[16];
                size_t len = strlen(before[i / 4]), k = (size_t)(a + b + (int)i) % 5;
                memcpy(piece, before[i / 4], len);
                piece[len++] = (char)a;
                piece[len++] = (char)b;
                memcpy(piece + len, behind[i % 4], strlen(behind[i % 4]));
                len += strlen(behind[i % 4]);
                size_t at = (size_t)(a * 7 + b * 3 + (int)i) % (sizes[k] - len + 1);
                size_t border = 64 - (size_t)(b + (int)i) % len;
                at = b % 2 && border + len <= sizes[k] ? border : at;
                memcpy(text[k] + at, piece, len);
                same(text[k], sizes[k]);
                memset(text[k] + at, 'a', len);
            }
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        free(text[k]);
}

/* Texts of all kinds of characters, whole, cut, and with a byte changed. */
static void test_texts(void **state)
{
    (void)state;
    static const char *const characters[] = {"a",
                                             "\n",
                                             "\x7F",
                                             "\xC2\x80",
                                             "\xDF\xBF",
                                             "\xE0\xA0\x80",
                                             "\xE4\xB8\xAD",
                                             "\xED\x9F\xBF",
                                             "\xEE\x80\x80",
                                             "\xEF\xBF\xBF",
                                             "\xF0\x90\x80\x80",
                                             "\xF0\x9F\x98\x80",
                                             "\xF4\x8F\xBF\xBF"};
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        size_t n = 0, wanted = (size_t)rand_r(&seed) % 400, kinds = 1 + (size_t)rand_r(&seed) % 13;
        char text[404];
        while (n < wanted) {
            const char *c = characters[(size_t)rand_r(&seed) % kinds];
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
        }
        char *copy = malloc(n + 1); /* to its last byte, for the address sanitizer */
        memcpy(copy, text, n);
        assert_int_equal(utf8_valid(copy, n), n);
        same(copy, n ? (size_t)rand_r(&seed) % n : 0);
        if (n && i % 2)
            copy[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
        same(copy, n);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
