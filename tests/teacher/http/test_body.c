/* Request bodies: what is sent, how numbers and texts are written, what extra members may do. */
#include "core/base/json.h"
#include "teacher/http/body.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct body_options chat = {.chat = true,
                                         .stream = true,
                                         .model = "r1",
                                         .temperature = 0.6,
                                         .top_p = 0.95,
                                         .max_tokens = 32768};

static void says(const struct body_options *o, const char *prompt, int64_t seed, const char *body,
                 const char *params)
{
    struct buf b = {0};
    struct err e;
    struct body_ask a = {prompt, strlen(prompt), seed >= 0, seed};
    assert_int_equal(body_check(o, &e), ERR_OK);
    assert_int_equal(body_write(o, &a, &b, &e), ERR_OK);
    assert_string_equal(b.data, body);
    struct json j;
    assert_int_equal(json_parse(&j, "body", b.data, b.len, &e), ERR_OK);
    json_close(&j);
    if (params) {
        buf_clear(&b);
        assert_int_equal(body_params(o, &a, &b, &e), ERR_OK);
        assert_string_equal(b.data, params);
    }
    buf_dispose(&b);
}

static void chat_and_plain(void **state)
{
    (void)state;
    struct body_options o = chat;
    says(&o, "6·7?", 7,
         "{\"model\":\"r1\",\"messages\":[{\"role\":\"user\",\"content\":\"6·7?\"}],"
         "\"temperature\":0.6,\"top_p\":0.95,\"max_tokens\":32768,\"seed\":7,\"stream\":true,"
         "\"stream_options\":{\"include_usage\":true}}",
         "{\"model\":\"r1\",\"temperature\":0.6,\"top_p\":0.95,\"max_tokens\":32768,\"seed\":7,"
         "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    o.system = "Be \"brief\".\n";
    o.n_top = 5;
    o.top_k = 20;
    o.stream = false;
    says(&o,
         "a\\\x01\xFF"
         "b",
         -1,
         "{\"model\":\"r1\",\"messages\":[{\"role\":\"system\",\"content\":\"Be "
         "\\\"brief\\\".\\n\"},"
         "{\"role\":\"user\",\"content\":\"a\\\\\\u0001\xEF\xBF\xBD"
         "b\"}],\"temperature\":0.6,"
         "\"top_p\":0.95,\"top_k\":20,\"max_tokens\":32768,\"logprobs\":true,\"top_logprobs\":5,"
         "\"stream\":false}",
         "{\"model\":\"r1\",\"system\":\"Be \\\"brief\\\".\\n\",\"temperature\":0.6,\"top_p\":0.95,"
         "\"top_k\":20,\"max_tokens\":32768,\"logprobs\":true,\"top_logprobs\":5,"
         "\"stream\":false}");
    o.chat = false;
    o.model = NULL;
    o.top_p = 0;
    o.max_tokens = 0;
    o.temperature = -1;
    says(&o, "x", INT64_MAX,
         "{\"prompt\":\"x\",\"top_k\":20,\"seed\":9223372036854775807,\"logprobs\":5,"
         "\"stream\":false}",
         "{\"top_k\":20,\"seed\":9223372036854775807,\"logprobs\":5,\"stream\":false}");
}

static void numbers_are_the_shortest(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } t[] = {{0.6, "0.6"},
             {1, "1"},
             {0, "0"},
             {0.1, "0.1"},
             {1.0 / 3, "0.3333333333333333"},
             {0.1 + 0.2, "0.30000000000000004"},
             {1e-7, "1e-07"}};
    struct body_options o = {.model = "m"};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char body[200];
        o.temperature = t[i].x;
        snprintf(body, sizeof body,
                 "{\"model\":\"m\",\"prompt\":\"\",\"temperature\":%s,\"stream\":false}",
                 t[i].text);
        says(&o, "", -1, body, NULL);
    }
}

static void limits_of_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *extra;
        int64_t limit;
    } cases[] = {{NULL, 32768},
                 {"{\"min_p\":0.1}", 32768},
                 {"{\"max_tokens\":null}", 0},
                 {"{\"max_tokens\":\"many\"}", 0},
                 {"{\"max_tokens\":null,\"max_completion_tokens\":9}", 9},
                 {"{\"max_completion_tokens\":65536}", 65536},
                 {"{\"max_tokens\":100}", 100},
                 {"{\"max_tokens\":1e300,\"best_of\":1e300}", 0},
                 {"{\"max_tokens\":100,\"best_of\":4}", 400}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct body_options o = chat;
        o.extra_json = cases[i].extra;
        if (body_limit(&o) != cases[i].limit)
            fail_msg("%s: %lld tokens", cases[i].extra, (long long)body_limit(&o));
    }
}

static void extra_members_win(void **state)
{
    (void)state;
    struct body_options o = chat;
    o.extra_json = " {\"min_p\": 0.05, \"max_tokens\":null,\n\"max_completion_tokens\":9,"
                   "\"stream_options\":{\"include_usage\":true,\"x\":[1]},\"seed\":null,"
                   "\"chat_template_kwargs\":{\"thinking\":true}} ";
    says(&o, "q", 3,
         "{\"model\":\"r1\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],"
         "\"temperature\":0.6,\"top_p\":0.95,\"stream\":true,\"min_p\":0.05,"
         "\"max_completion_tokens\":9,\"stream_options\":{\"include_usage\":true,\"x\":[1]},"
         "\"chat_template_kwargs\":{\"thinking\":true}}",
         NULL);
    o.extra_json = "{}";
    assert_int_equal(body_check(&o, NULL), ERR_OK);
}

static void what_can_not_be_sent(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "[1]",
                                        "{\"a\":1} x",
                                        "{\"a\":}",
                                        "{\"a\"",
                                        "{\"n\": 2}",
                                        "{\"messages\": []}",
                                        "{\"a\":1,\"stream\":false}",
                                        "{\"prompt\":null}",
                                        "{\"model\":\"x\"}",
                                        "{\"seed\":1}",
                                        "{\"max\\u005ftokens\":1}"};
    struct body_options o = chat;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e;
        o.extra_json = wrong[i];
        assert_int_equal(body_check(&o, &e), ERR_USAGE);
    }
    o = chat;
    o.temperature = NAN;
    assert_int_equal(body_check(&o, NULL), ERR_USAGE);
    o = chat;
    o.top_p = INFINITY;
    assert_int_equal(body_check(&o, NULL), ERR_USAGE);
}

static void prompt_forms(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    assert_int_equal(body_r1_prompt(false, NULL, "q?", 2, &b, &e), ERR_OK);
    assert_string_equal(b.data, "<｜User｜>q?<｜Assistant｜><think>\n");
    buf_clear(&b);
    assert_int_equal(body_r1_prompt(true, "sys", "q?", 2, &b, &e), ERR_OK);
    assert_string_equal(b.data, "<｜begin▁of▁sentence｜>sys<｜User｜>q?<｜Assistant｜><think>\n");
    static const struct {
        const char *form, *system, *text;
    } t[] = {{"{prompt}", NULL, "q{prompt}?"},
             {"A {x} {{prompt}} {", "", "A {x} {q{prompt}?} {"},
             {"S:{system} {prompt} {prompt}", "sys", "S:sys q{prompt}? q{prompt}?"},
             {"{system}{prompt}", NULL, "q{prompt}?"},
             {"none", NULL, NULL},
             {"{prompt}", "sys", NULL}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        buf_clear(&b);
        err_code rc = body_form_prompt(t[i].form, t[i].system, "q{prompt}?", 10, &b, &e);
        assert_int_equal(rc, t[i].text ? ERR_OK : t[i].system ? ERR_USAGE : ERR_FORMAT);
        if (t[i].text)
            assert_string_equal(b.data, t[i].text);
    }
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_and_plain),       cmocka_unit_test(numbers_are_the_shortest),
        cmocka_unit_test(extra_members_win),    cmocka_unit_test(limits_of_tokens),
        cmocka_unit_test(what_can_not_be_sent), cmocka_unit_test(prompt_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
