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
        cJSON_free(y);
        char *padded = calloc(n + JSON_ARENA_SPARE, 1);
        memcpy(padded, text, n);
        root = json_arena_quick(a, padded, n);
        y = root ? cJSON_PrintUnformatted(root) : NULL;
        if (root) /* else too odd for it */
            assert_string_equal(x, y);
        cJSON_free(x);
        cJSON_free(y);
        free(padded);
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

/* One byte at a time. */
static size_t unescape(const char *s, size_t n, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        out[k++] = s[i] == '\\' ? json_plain_meaning[(int)s[++i]] : s[i];
    return k;
}

/* Where a string's plain bytes end: at a quote, a NUL, an escape of more than one character. */
static size_t plain_end(const char *s)
{
    size_t i = 0;
    for (; s[i] && s[i] != '"'; i++)
        if (s[i] == '\\') {
            if ((signed char)s[i + 1] <= 0 || !json_plain_meaning[(int)s[i + 1]])
                break;
            i++;
        }
    return i;
}

static void move_one(json_plain_move *move, const char *text, size_t size, size_t from, size_t to,
                     bool within)
{
    char copy[300], other[300] = {0}, want[300];
    memcpy(copy, text, size);
    const char *s = copy + from;
    char *start = within ? copy + to : other, *out = start;
    move(&s, &out);
    size_t end = (size_t)(s - copy), n = unescape(text + from, end - from, want);
    assert_true(end <= from + plain_end(text + from));
    assert_true(end == from + plain_end(text + from) || text[end] == '\\');
    assert_int_equal(out - start, n);
    assert_memory_equal(start, want, n);
    /* of what was read, whole blocks may have left something; the rest is as it was */
    assert_memory_equal(copy + end, text + end, size - end);
    assert_memory_equal(copy, text, within ? to : size);
}

/* Both versions, within a text and from one to another. */
static void test_plain(void **state)
{
    (void)state;
    json_plain_move *const moves[] = {json_plain_portable, json_plain_best()};
    unsigned seed = 1;
    for (int i = 0; i < 40000; i++) {
        char text[200 + JSON_ARENA_SPARE];
        size_t n = 1 + (size_t)rand_r(&seed) % 199, from = 1 + (size_t)rand_r(&seed) % n;
        size_t to = (size_t)rand_r(&seed) % from;
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = k < n ? (char)(rand_r(&seed) % 255 + 1) : 0;
        for (size_t k = 0; k < n; k++)
            if (strchr("\"\\", text[k]) && i % 4)
                text[k] = 'x';
        for (int k = rand_r(&seed) % (i % 3 ? 3 : 60); k > 0;
             k--) /* few escapes, or rows of them */
            text[(size_t)rand_r(&seed) % n] = i % 5 ? '\\' : "\\\"nu"[rand_r(&seed) % 4];
        for (size_t k = 0; k + 1 < n && i % 7; k++)
            if (text[k] == '\\' && !strchr("\\\"", text[k + 1]))
                text[k + 1] = "nrtbf/\"\\"[rand_r(&seed) % 8];
        for (int m = 0; m < 4; m++)
            move_one(moves[m / 2], text, sizeof text, from, to, m % 2);
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
