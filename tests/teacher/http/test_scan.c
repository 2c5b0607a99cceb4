/* JSON in place, against cJSON: what both take reads the same; what is malformed is refused, and
 * told apart from what is only cut short. */
#include "core/base/file.h"
#include "core/base/json.h"
#include "teacher/http/scan.h"
#include "tests/fuzz/mutate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static bool is_json(const char *text, size_t n, bool *cut)
{
    char *copy = malloc(n ? n : 1); /* of the exact length: a sanitizer sees a read past it */
    struct span v;
    memcpy(copy, text, n);
    struct scan s = scan_text(copy, n);
    bool ok = scan_value(&s, &v) && scan_at_end(&s);
    if (cut)
        *cut = s.cut;
    free(copy);
    return ok;
}

static void what_is_json(void **state)
{
    (void)state;
    static const char *const right[] = {"0",
                                        "-0",
                                        "12",
                                        "-1.5e+10",
                                        "1E5",
                                        "0.125",
                                        "\"\"",
                                        "\"a\\\"\"",
                                        "true",
                                        "false",
                                        "null",
                                        "{}",
                                        "[]",
                                        " [ 1 , 2 ] ",
                                        "{ }",
                                        "[ ]",
                                        "{\"a\" : {\"b\":[{}]} , \"c\":0}",
                                        "\"\\u00e9\\/\"",
                                        "NaN",
                                        "-Infinity",
                                        "[Infinity]",
                                        "\"\t\n\x01\""};
    static const char *const wrong[] = {
        "01",         "1.",        ".5",    "+1",     "-",       "1e",
        "1e+",        "--1",       "'a'",   "\"a",    "\"\\x\"", "\"\\u12g4\"",
        "tru",        "truth",     "nul",   "{a:1}",  "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{,}",       "[,]",   "[1,]",   "[1 2]",   "{\"a\":1 \"b\":2}",
        "[1}",        "{\"a\":1]", "",      " ",      "]",       "1 2",
        "{\"a\":1}}", "-Inf",      "{1:2}", "[1,,2]", "/**/1",   "\"\\"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        size_t n = strlen(right[i]);
        if (!is_json(right[i], n, NULL))
            fail_msg("refused: %s", right[i]);
        /* shortened, it is cut, but for numbers */
        for (size_t k = 0; k < n; k++) {
            bool cut;
            if (!is_json(right[i], k, &cut) && !cut)
                fail_msg("not seen as cut: %.*s", (int)k, right[i]);
        }
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (is_json(wrong[i], strlen(wrong[i]), NULL))
            fail_msg("taken: %s", wrong[i]);
    bool cut;
    assert_false(is_json("[1 2", 4, &cut));
    assert_false(cut);
    char nested[200] = {0};
    memset(nested, '[', SCAN_MAX_DEPTH);
    memset(nested + SCAN_MAX_DEPTH, ']', SCAN_MAX_DEPTH);
    assert_true(is_json(nested, strlen(nested), NULL));
    memset(nested, '[', SCAN_MAX_DEPTH + 1);
    memset(nested + SCAN_MAX_DEPTH + 1, ']', SCAN_MAX_DEPTH + 1);
    assert_false(is_json(nested, strlen(nested), NULL));
}

/* Values equal cJSON's, all the way down. Strings with NUL are left out: cJSON ends there. */
static void same(struct span v, const cJSON *c)
{
    struct span key, value;
    struct scan in = scan_into(v);
    const cJSON *child = c->child;
    double x;
    char *text = malloc(v.n + 1);
    size_t n = 0;
    switch (*v.p) {
    case '{':
        assert_true(cJSON_IsObject(c));
        for (; scan_member(&in, &key, &value); child = child->next) {
            assert_non_null(child);
            n = 0;
            scan_unquote(key, text, &n);
            if (!memchr(text, 0, n))
                assert_true(n == strlen(child->string) && !memcmp(text, child->string, n));
            same(value, child);
        }
        assert_null(child);
        assert_false(in.bad);
        break;
    case '[':
        assert_true(cJSON_IsArray(c));
        for (; scan_item(&in, &value); child = child->next) {
            assert_non_null(child);
            same(value, child);
        }
        assert_null(child);
        assert_false(in.bad);
        break;
    case '"':
        assert_true(cJSON_IsString(c));
        scan_unquote(v, text, &n);
        if (!memchr(text, 0, n))
            assert_true(n == strlen(c->valuestring) && !memcmp(text, c->valuestring, n));
        break;
    case 't':
    case 'f':
        assert_int_equal(cJSON_IsTrue(c), *v.p == 't');
        break;
    case 'n':
        assert_true(cJSON_IsNull(c));
        break;
    default:
        assert_true(cJSON_IsNumber(c));
        if (scan_number(v, &x))
            assert_true(x == c->valuedouble);
    }
    free(text);
}

/* Half a surrogate pair and the like: cJSON refuses them, we keep them. */
static bool has_surrogate(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 3 < n; i++)
        if (p[i] == '\\' && p[i + 1] == 'u' && (p[i + 2] | 32) == 'd')
            return true;
    return memmem(p, n, "Inf", 3) || memmem(p, n, "NaN", 3);
}

static void cjson_reads_the_same(void **state)
{
    (void)state;
    static const char *const seeds[] = {"openrouter.json", "lp_openai_completion.json",
                                        "lp_sglang_chat.json", "detail_error.json", "refused.json"};
    uint8_t *p = malloc(FUZZ_MAX_BYTES);
    int n_valid = 0;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char path[100];
        struct buf b = {0};
        snprintf(path, sizeof path, "tests/vectors/http/%s", seeds[i]);
        assert_int_equal(file_read(path, FUZZ_MAX_BYTES / 2, &b, NULL), ERR_OK);
        size_t skip = strspn(b.data, " \n");
        for (uint64_t k = 0; k < 4000; k++) {
            struct rng r = rng_make(k, i, 0);
            size_t n = b.len - skip;
            memcpy(p, b.data + skip, n);
            for (uint64_t m = rng_below(&r, 4); m > 0; m--)
                n = k % 2 && n > 9 ? mutate_value(p, n, &r) : mutate_once(p, n, &r);
            struct scan s = scan_text((char *)p, n);
            struct span v;
            struct json j;
            if (!scan_value(&s, &v) || !scan_at_end(&s) || has_surrogate(p, n) || memchr(p, 0, n))
                continue;
            if (json_parse(&j, "it", (char *)p, n, NULL))
                fail_msg("cJSON refuses %.*s", (int)n, (char *)p);
            same(v, j.root);
            json_close(&j);
            n_valid++;
        }
        buf_dispose(&b);
    }
    free(p);
    assert_true(n_valid > 8000);
}

static void numbers(void **state)
{
    (void)state;
    static const char *const t[] = {"0",
                                    "-0",
                                    "1",
                                    "-12",
                                    "0.1",
                                    "-0.3217453",
                                    "1e5",
                                    "2.5E-3",
                                    "123456789012345",
                                    "1234567890123456789",
                                    "0.1234567890123456",
                                    "999999999999.999",
                                    "1e400",
                                    "-1e-400",
                                    "-9999.0",
                                    "3.141592653589793"};
    double x;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_true(scan_number((struct span){t[i], strlen(t[i])}, &x));
        assert_true(x == strtod(t[i], NULL) && signbit(x) == signbit(strtod(t[i], NULL)));
    }
    char digits[80];
    memset(digits, '7', sizeof digits);
    assert_false(scan_number((struct span){digits, sizeof digits}, &x));
    assert_false(scan_number((struct span){"\"1\"", 3}, &x));
    assert_false(scan_number((struct span){0}, &x));
    assert_int_equal(scan_count((struct span){"7", 1}), 7);
    assert_int_equal(scan_count((struct span){"-7", 2}), -1);
}

static void members_and_items(void **state)
{
    (void)state;
    const char *text = " [1, {\"a\":2, \"b\":null}, \"x\", {}, {\"a\\u0062\":3}] tail";
    struct scan s = scan_text(text, strlen(text));
    struct span k, v;
    assert_false(scan_enter(&s, '{'));
    assert_true(scan_enter(&s, '['));
    assert_true(scan_enter_item(&s));
    assert_true(scan_member(&s, &k, &v) && span_is(k, "a") && *v.p == '2');
    assert_true(scan_member(&s, &k, &v) && span_is(k, "b") && span_is_null(v));
    assert_false(scan_member(&s, &k, &v));
    assert_true(scan_enter_item(&s));
    assert_false(scan_member(&s, &k, &v));
    assert_true(scan_enter_item(&s));
    assert_true(scan_member(&s, &k, &v) && !span_is(k, "ab"));
    assert_false(scan_member(&s, &k, &v));
    assert_false(scan_enter_item(&s));
    assert_false(s.bad);
    assert_string_equal(s.p, " tail");
    struct span object = {"{\"a\":null,\"b\":[1]}", 18};
    assert_null(scan_at(object, "a").p);
    assert_null(scan_at(object, "c").p);
    assert_int_equal(scan_at(object, "b").n, 3);
    assert_null(scan_at((struct span){"[1]", 3}, "a").p);
    assert_null(scan_at((struct span){0}, "a").p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json),
        cmocka_unit_test(cjson_reads_the_same),
        cmocka_unit_test(numbers),
        cmocka_unit_test(members_and_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
