/* The quick reader of JSON gives the same trees as cJSON, and refuses what that refuses. */
#include "core/base/json_arena.h"
#include "core/base/json_plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void same(struct json_arena *a, const char *text, size_t n)
{
    struct json j;
    struct err e1 = {0}, e2 = {0};
    const cJSON *root = NULL;
    err_code want = json_parse(&j, "x", text, n, &e1);
    err_code rc = json_arena_parse(a, "x", text, n, &root, &e2);
    if (rc != want || strcmp(e1.msg, e2.msg) != 0)
        fail_msg("%.*s: %d %s, not %d %s", (int)n, text, rc, e2.msg, want, e1.msg);
    if (!rc) {
        char *x = cJSON_PrintUnformatted(j.root), *y = cJSON_PrintUnformatted(root);
        assert_string_equal(x, y);
        cJSON_free(x);
        cJSON_free(y);
    }
    json_close(&j);
}

static const char *const texts[] = {
    "{}",
    "[]",
    " { \"a\" : [ 1 , -2.5e3, true ,false,null, \"x\" ] , \"b\":{\"c\":{}} } \n",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t \\u00e9\\u20AC\\ud83d\\ude00 z\",\"\":\"\"}",
    "\"long enough to go through more than one word of eight bytes \\\\ \xC3\xA9 and on\"",
    "0",
    "-0",
    "1",
    "-1",
    "2147483647",
    "2147483648",
    "-2147483649",
    "123456789012345",
    "1234567890123456789",
    "0.1",
    "1e5",
    "1E-7",
    "-1.5e+300",
    "1e999",
    "12345678901234567890.5",
    /* odd or wrong */
    "",
    " ",
    "{",
    "[",
    "\"",
    "\"\\",
    "\"\\u",
    "\"\\u12",
    "\"a\\x\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\u0041\"",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{\"a\":1,}",
    "tru",
    "truee",
    "nul",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1x",
    "[1]x",
    "[1]]",
    "nan",
    "0x10",
    "1.2.3",
    "{\"a\":1 \"b\":2}",
    "\"tab\there\"",
    "\"line\nhere\"",
    "[\"\\u0000\"]",
};

static void test_same_trees(void **state)
{
    (void)state;
    struct json_arena a = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        same(&a, texts[i], strlen(texts[i]));
    same(&a, "[1]\0x", 5); /* a NUL is no end */
    same(&a, "\"a\0b\"", 5);
    char deep[3000];
    for (int n = 400; n <= 1400; n += 500) {
        memset(deep, '[', (size_t)n);
        memset(deep + n, ']', (size_t)n);
        same(&a, deep, 2 * (size_t)n);
    }
    json_arena_dispose(&a);
}

static void test_many_nodes(void **state)
{
    (void)state;
    struct json_arena a = {0};
    struct buf b = {0};
    buf_str(&b, "[", NULL);
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, NULL, "%s{\"k%d\":%d}", i ? "," : "", i, i);
    buf_str(&b, "]", NULL);
    same(&a, b.data, b.len);
    same(&a, "[3]", 3); /* the memory is used again */
    same(&a, b.data, b.len);
    buf_dispose(&b);
    json_arena_dispose(&a);
}

static void test_mutated_texts(void **state)
{
    (void)state;
    struct json_arena a = {0};
    unsigned seed = 3;
    for (int i = 0; i < 60000; i++) {
        const char *from = texts[(size_t)rand_r(&seed) % (sizeof texts / sizeof *texts)];
        size_t n = strlen(from);
        char *text = malloc(n + 1); /* so that reading past it is found */
        memcpy(text, from, n);
        for (int k = rand_r(&seed) % 3; k >= 0 && n; k--)
            text[(size_t)rand_r(&seed) % n] =
                "{}[]\":,\\ u0dnx1.e-\xC3\x01"[(size_t)rand_r(&seed) % 20];
        size_t cut = n && i % 4 == 0 ? (size_t)rand_r(&seed) % n : n;
        same(&a, text, cut);
        free(text);
    }
    json_arena_dispose(&a);
}

/* Both versions against one byte at a time, with what stands around untouched. */
static void test_plain(void **state)
{
    (void)state;
    json_plain_move *const moves[] = {json_plain_portable, json_plain_best()};
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        char text[200 + JSON_PLAIN_SPARE + 1], want[sizeof text];
        size_t n = (size_t)rand_r(&seed) % 200, from = n ? (size_t)rand_r(&seed) % n : 0;
        size_t to = from ? (size_t)rand_r(&seed) % (from + 1) : 0;
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = k < n ? (char)(rand_r(&seed) % 255 + 1) : 0;
        for (size_t k = 0; k < n; k++)
            if (strchr("\"\\", text[k]) && i % 4)
                text[k] = 'x';
        if (i % 3 && n)
            text[from + (size_t)rand_r(&seed) % (n - from)] = i % 2 ? '"' : '\\';
        for (int m = 0; m < 2; m++) {
            char copy[sizeof text], *s = copy + from, *out = copy + to;
            memcpy(copy, text, sizeof text);
            memcpy(want, text, sizeof text);
            size_t len = strcspn(text + from, "\"\\");
            memmove(want + to, want + from, len);
            moves[m](&s, &out);
            assert_int_equal(s - copy, from + len);
            assert_int_equal(out - copy, to + len);
            /* between the two, whole blocks may have left something: it was read already */
            assert_memory_equal(copy, want, to + len);
            assert_memory_equal(copy + from + len, text + from + len, sizeof text - from - len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_trees),
        cmocka_unit_test(test_many_nodes),
        cmocka_unit_test(test_mutated_texts),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
