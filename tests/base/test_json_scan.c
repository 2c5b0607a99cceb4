/* The scanner takes what is plain JSON, with the values that cJSON gives, and nothing else. */
#include "core/base/json.h"
#include "core/base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct json_scan scan(const char *text, size_t n)
{
    return (struct json_scan){text, text + n};
}

static void strings(void **state)
{
    (void)state;
    static const char *const plain[] = {"\"\"", "\"a\"", "  \"seven b\"", "\"exactly8\"",
                                        "\"more than one word of eight, \xC3\xA9\x01\t\""};
    static const char *const others[] = {"",    "\"",     "a",         "\"abc",      "\"a\\n\"",
                                         "'a'", "\"\\\"", "\"1234567", "\"12345678", "1"};
    const char *text;
    size_t n;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        struct json j;
        struct json_scan s = scan(plain[i], strlen(plain[i]));
        assert_int_equal(json_parse(&j, "x", plain[i], strlen(plain[i]), NULL), 0);
        assert_true(json_scan_str(&s, &text, &n) && json_scan_end(&s));
        assert_int_equal(n, strlen(j.root->valuestring));
        assert_memory_equal(text, j.root->valuestring, n);
        json_close(&j);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct json_scan s = scan(others[i], strlen(others[i]));
        assert_false(json_scan_str(&s, &text, &n));
    }
    struct json_scan s = scan("\"a\0b\"", 5);
    assert_false(json_scan_str(&s, &text, &n));
    s = scan(" \"k\" : 3", 8);
    assert_true(json_scan_key(&s, &text, &n));
    assert_int_equal(n, 1);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: not taken */
    } cases[] = {
        {"0,", 0},
        {" 7]", 7},
        {"999999999999999}", 999999999999999},
        {"1000000000000000]", -1},
        {"00]", -1},
        {"01]", -1},
        {"-1]", -1},
        {"1.0]", -1},
        {"1e3]", -1},
        {"]", -1},
        {"", -1},
        {"12", -1}, /* cut off */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t x = 0;
        struct json_scan s = scan(cases[i].text, strlen(cases[i].text));
        if (json_scan_size(&s, &x) != (cases[i].value >= 0) ||
            (cases[i].value >= 0 && x != (uint64_t)cases[i].value))
            fail_msg("%s", cases[i].text);
    }
}

static bool skips(const char *text, size_t n)
{
    struct json_scan s = scan(text, n);
    return json_scan_skip_object(&s) && json_scan_end(&s);
}

/* No changed text passes that cJSON refuses. */
static void objects(void **state)
{
    (void)state;
    static const char text[] =
        "{ \"a\" : \"b\", \"size\":12 ,\n \"\":\"long enough for a word\" } ";
    unsigned seed = 5;
    assert_true(skips(text, sizeof text - 1));
    assert_true(skips("{}", 2));
    for (size_t n = 0; n < sizeof text - 2; n++)
        assert_false(skips(text, n));
    for (int i = 0; i < 100000; i++) {
        char *copy = malloc(sizeof text - 1); /* so that reading past it is found */
        memcpy(copy, text, sizeof text - 1);
        for (int k = rand_r(&seed) % 3; k >= 0; k--)
            copy[(size_t)rand_r(&seed) % (sizeof text - 1)] =
                "{}[]\":,\\ u0dnx1.e-\xC3\x01"[(size_t)rand_r(&seed) % 20];
        struct json j;
        if (skips(copy, sizeof text - 1)) {
            if (json_parse(&j, "x", copy, sizeof text - 1, NULL))
                fail_msg("%.*s", (int)sizeof text - 1, copy);
            json_close(&j);
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
