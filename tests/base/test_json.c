/* JSON: where an error is, what a look-up refuses, quoting. */
#include "core/base/json.h"
#include "tests/base/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void errors_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *place;
    } cases[] = {
        {"{\n  \"a\": 1,\n  \"b\": tru\n}", "line 3, column 8"},
        {"[1, 2", "line 1"},
        {"[1, 2] x", "line 1, column 8"},
        {"{\"a\": 1}\n\n }", "line 3, column 2"},
        {"", "line 1"},
        {"{\"1\":1,", "line 1"},
        {"\"abc", "line 1"},
        {"{\"a\" 1}", "line 1, column 6"},
        {"nul", "line 1, column 1"},
        {"{'a': 1}", "line 1"},
        {"\"\\u12\"", "line 1"},
        {"\"\\ud800\"", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct json j;
        /* A copy of the exact length, so that a sanitizer sees a read past it. */
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n ? n : 1);
        memcpy(copy, cases[i].text, n);
        assert_int_equal(json_parse(&j, "c.json", copy, n, &e), ERR_FORMAT);
        free(copy);
        if (!strstr(e.msg, "c.json") || !strstr(e.msg, cases[i].place))
            fail_msg("%s: %s", cases[i].text, e.msg);
        json_close(&j);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct json j;
    enum { DEEP = 100000 };
    char *text = malloc(DEEP);
    memset(text, '[', DEEP);
    assert_int_equal(json_parse(&j, "deep", text, DEEP, &e), ERR_FORMAT);
    for (int i = 0; i < DEEP; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_int_equal(json_parse(&j, "deep", text, DEEP, &e), ERR_FORMAT);
    free(text);
}

static const char config[] =
    "{\"n\": 7, \"big\": 9007199254740993, \"half\": 1.5, \"s\": \"text\", \"t\": true, \"z\": "
    "null,"
    " \"rope\": {\"factor\": 40, \"in\": {\"x\": -3}}, \"list\": [1], \"huge\": 1e999}";

static void required_values(void **state)
{
    (void)state;
    struct err e = {0};
    struct json j;
    assert_int_equal(json_parse(&j, "c.json", config, strlen(config), &e), 0);
    int64_t n = 0;
    double d = 0;
    const char *s = NULL;
    bool t = false;
    assert_int_equal(json_int(&j, j.root, "n", 0, 10, &n, &e), 0);
    assert_int_equal(n, 7);
    assert_int_equal(json_int(&j, j.root, "rope.in.x", -5, 5, &n, &e), 0);
    assert_int_equal(n, -3);
    assert_int_equal(json_num(&j, j.root, "half", &d, &e), 0);
    assert_true(d == 1.5);
    assert_int_equal(json_num(&j, json_at(j.root, "rope"), "factor", &d, &e), 0);
    assert_true(d == 40);
    assert_int_equal(json_str(&j, j.root, "s", &s, &e), 0);
    assert_string_equal(s, "text");
    assert_int_equal(json_bool(&j, j.root, "t", &t, &e), 0);
    assert_true(t);

    static const char *const bad_ints[] = {"half", "s",   "t", "z", "absent", "rope",   "list",
                                           "big",  "n.x", "",  ".", "huge",   "rope.in"};
    for (size_t i = 0; i < sizeof bad_ints / sizeof *bad_ints; i++) {
        assert_int_equal(json_int(&j, j.root, bad_ints[i], INT64_MIN, INT64_MAX, &n, &e),
                         ERR_FORMAT);
        assert_non_null(strstr(e.msg, "c.json"));
        assert_non_null(strstr(e.msg, bad_ints[i]));
    }
    assert_int_equal(json_int(&j, j.root, "n", 8, 10, &n, &e), ERR_FORMAT);
    assert_int_equal(json_int(&j, j.root, "n", 0, 6, &n, &e), ERR_FORMAT);
    assert_int_equal(json_num(&j, j.root, "s", &d, &e), ERR_FORMAT);
    assert_int_equal(json_num(&j, j.root, "huge", &d, &e), ERR_FORMAT);
    assert_int_equal(json_str(&j, j.root, "n", &s, &e), ERR_FORMAT);
    assert_int_equal(json_bool(&j, j.root, "n", &t, &e), ERR_FORMAT);
    json_close(&j);
    json_close(&j);
}

static void optional_values(void **state)
{
    (void)state;
    struct err e = {0};
    struct json j;
    assert_int_equal(json_parse(&j, "c.json", config, strlen(config), &e), 0);
    int64_t n = 99;
    double d = 99;
    const char *s = "default";
    bool t = true;
    assert_int_equal(json_opt_int(&j, j.root, "absent", 0, 1, &n, &e), 0);
    assert_int_equal(json_opt_int(&j, j.root, "z", 0, 1, &n, &e), 0);
    assert_int_equal(n, 99);
    assert_int_equal(json_opt_num(&j, j.root, "rope.absent", &d, &e), 0);
    assert_true(d == 99);
    assert_int_equal(json_opt_str(&j, j.root, "z", &s, &e), 0);
    assert_string_equal(s, "default");
    assert_int_equal(json_opt_bool(&j, j.root, "absent", &t, &e), 0);
    assert_true(t);
    assert_int_equal(json_opt_int(&j, j.root, "s", 0, 1, &n, &e), ERR_FORMAT);
    assert_int_equal(json_opt_str(&j, j.root, "n", &s, &e), ERR_FORMAT);
    json_close(&j);
}

static void files_are_opened(void **state)
{
    (void)state;
    struct err e = {0};
    struct json j;
    const char *path = write_text(in_dir("a.json"), " [1]\r\n\t ");
    assert_int_equal(json_open(&j, path, 100, &e), 0);
    assert_string_equal(j.name, path);
    json_close(&j);
    assert_int_equal(json_open(&j, path, 3, &e), ERR_FORMAT);
    assert_int_equal(json_open(&j, in_dir("absent.json"), 100, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "absent.json"));
    assert_int_equal(json_open(&j, write_text(in_dir("b.json"), "{\"a\":,}"), 100, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, in_dir("b.json")));
}

static void quoting_reads_back(void **state)
{
    (void)state;
    struct err e = {0};
    char all[128 + 16];
    size_t n = 0;
    for (int c = 1; c < 128; c++)
        all[n++] = (char)c;
    memcpy(all + n, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9); /* é € and an emoji */
    n += 9;
    struct buf b = {0};
    assert_int_equal(json_quote(&b, all, n, &e), 0);
    struct json j;
    assert_int_equal(json_parse(&j, "q", b.data, b.len, &e), 0);
    assert_int_equal(strlen(j.root->valuestring), n);
    assert_memory_equal(j.root->valuestring, all, n);
    json_close(&j);

    static const char *const cases[][2] = {
        {"a\xFFz", "\"a\xEF\xBF\xBDz\""},                             /* no UTF-8 byte */
        {"\xC0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                 /* overlong */
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* a surrogate */
        {"\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                 /* cut short */
        {"a\"b\\c\n\x01", "\"a\\\"b\\\\c\\n\\u0001\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&b);
        assert_int_equal(json_quote(&b, cases[i][0], strlen(cases[i][0]), &e), 0);
        assert_string_equal(b.data, cases[i][1]);
    }
    buf_clear(&b);
    assert_int_equal(json_quote(&b, "a\0b", 3, &e), 0);
    assert_string_equal(b.data, "\"a\\u0000b\"");
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_a_place), cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(required_values),     cmocka_unit_test(optional_values),
        cmocka_unit_test(files_are_opened),    cmocka_unit_test(quoting_reads_back),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
