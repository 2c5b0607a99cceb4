/* What a teacher is asked: the canonical request of old corpora, texts, seeds. */
#include "distill/generate_request.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char *http(const struct generate_options *o)
{
    static char text[2048];
    struct buf b = {0};
    struct err e = {0};
    if (request_http(o, "r1", &b, &e))
        fail_msg("%s", e.msg);
    snprintf(text, sizeof text, "%s", b.data);
    buf_dispose(&b);
    return text;
}

static void test_request_http(void **state)
{
    (void)state;
    struct generate_options o;
    generate_defaults(&o);
    const char *plain = "{\"teacher\":\"r1\",\"api\":\"chat\",\"temperature\":0.6,\"top_p\":0.95,"
                        "\"top_k\":0,\"max_tokens\":32768,\"seed\":0,\"stop_loops\":true}";
    assert_string_equal(http(&o), plain);
    /* what does not decide what it says is not in it */
    struct http_endpoint_options ep = {.url = "http://a/v1", .weight = 2, .key_env = "K"};
    o.endpoints = &ep;
    o.n_endpoints = 1;
    o.n_samples = 7;
    o.until_good = 2;
    o.concurrency = 9;
    o.n_canary = 0;
    o.budget_usd = 3;
    o.no_stream = true;
    o.limit = 4;
    o.n_shards = 3;
    o.n_tries = 1;
    assert_string_equal(http(&o), plain);
    /* what does is */
    o.stop_loops = false;
    o.system = "be \"brief\"";
    o.instruction = "Think.";
    o.n_logprobs = 5;
    o.no_think_bytes = 100;
    o.extra_json = "{\"min_p\":0.1}";
    assert_string_equal(http(&o),
                        "{\"teacher\":\"r1\",\"api\":\"chat\",\"temperature\":0.6,\"top_p\":0.95,"
                        "\"top_k\":0,\"max_tokens\":32768,\"seed\":0,\"system\":\"be "
                        "\\\"brief\\\"\",\"instruction\":\"Think.\",\"logprobs\":5,\"no_think_"
                        "limit\":100,\"extra\":{\"min_p\":0.1}}");
    struct buf b = {0};
    struct err e;
    o.extra_json = "[1]";
    assert_int_equal(request_http(&o, "r1", &b, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "--extra [1]"));
    buf_dispose(&b);
}

static char *filled(struct prompt_form *f, const char *prompt)
{
    static char text[512];
    struct buf b = {0};
    struct err e = {0};
    if (prompt_form_fill(f, prompt, strlen(prompt), &b, &e))
        fail_msg("%s", e.msg);
    snprintf(text, sizeof text, "%s", b.data);
    buf_dispose(&b);
    return text;
}

static void test_prompt_forms(void **state)
{
    (void)state;
    struct generate_options o;
    struct prompt_form f;
    struct err e = {0};
    generate_defaults(&o);
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_OK);
    assert_string_equal(filled(&f, "1+1?"), "1+1?");
    assert_false(f.thinking_open);
    prompt_form_close(&f);
    o.instruction = "Box it.";
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_OK);
    assert_string_equal(filled(&f, "{prompt}?"), "{prompt}?\n\nBox it.");
    prompt_form_close(&f);
    o.raw = true;
    o.template = "r1";
    o.system = "S";
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_OK);
    assert_true(f.thinking_open);
    assert_string_equal(filled(&f, "{prompt}?"),
                        "S<｜User｜>{prompt}?\n\nBox it.<｜Assistant｜><think>\n");
    prompt_form_close(&f);

    char path[] = "/tmp/decant-form-XXXXXX";
    close(mkstemp(path));
    o.template = path;
    assert_int_equal(file_replace(path, "Q: {prompt}\nA:", 14, &e), ERR_OK);
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_USAGE); /* no place for the system prompt */
    assert_non_null(strstr(e.msg, path));
    prompt_form_close(&f);
    o.system = NULL;
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_OK);
    assert_string_equal(filled(&f, "1?"), "Q: 1?\n\nBox it.\nA:");
    assert_false(f.thinking_open);
    prompt_form_close(&f);
    assert_non_null(strstr(http(&o), ",\"template\":\"Q: {prompt}\\nA:\""));
    assert_int_equal(file_replace(path, "", 0, &e), ERR_OK);
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_FORMAT);
    prompt_form_close(&f);
    unlink(path);
    assert_int_equal(prompt_form_open(&o, &f, &e), ERR_NOTFOUND);
    prompt_form_close(&f);
}

/* Seeds are the sample's own, small enough for any server, and stay what they were: a corpus that
 * goes on would else hold samples of two kinds. */
static void test_seeds(void **state)
{
    (void)state;
    uint64_t a = request_seed(0, "What is 3 + 1?", 14, 0);
    assert_int_equal(a, 1519648682);
    assert_true(a != request_seed(1, "What is 3 + 1?", 14, 0));
    assert_true(a != request_seed(0, "What is 3 + 1?", 14, 1));
    assert_true(a != request_seed(0, "What is 3 + 2?", 14, 0));
    for (int i = 0; i < 1000; i++)
        assert_true(request_seed(0, "x", 1, i) < (uint64_t)1 << 31);
}

static void test_differences(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(request_difference("{\"teacher\":\"r1\",\"temperature\":0.6,\"top_k\":0}",
                                        "{\"system\":\"hi\",\"teacher\":\"r1\",\"temperature\":0.7,"
                                        "\"top_k\":0}",
                                        &b, NULL),
                     ERR_OK);
    assert_string_equal(b.data,
                        "temperature 0.6 there, 0.7 here; system not set there, \"hi\" here");
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_http), cmocka_unit_test(test_prompt_forms),
        cmocka_unit_test(test_seeds), cmocka_unit_test(test_differences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
