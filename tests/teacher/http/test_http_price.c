/* What tokens cost: to the cent, at every time of the day; price files that do not fit. */
#include "core/base/file.h"
#include "teacher/http/price.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/decant-price-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static err_code read_text(const char *text, struct price *p, struct err *e)
{
    assert_int_equal(file_replace(path, text, strlen(text), e), 0);
    return price_read(path, p, e);
}

static void read_ok(const char *text, struct price *p)
{
    struct err e = {0};
    if (read_text(text, p, &e))
        fail_msg("%s", e.msg);
    assert_true(p->known);
}

static void read_bad(const char *text, const char *words)
{
    struct price p;
    struct err e = {0};
    assert_int_not_equal(read_text(text, &p, &e), 0);
    assert_false(p.known);
    if (!strstr(e.msg, words) || !strstr(e.msg, path))
        fail_msg("%s: message is: %s", text, e.msg);
}

static const char deepseek[] =
    "{\"input_cache_hit\": 0.14, \"input_cache_miss\": 0.55, \"output\": 2.19,\n"
    " \"off_peak\": {\"from\": \"16:30\", \"to\": \"00:30\", \"input_cache_hit\": 0.035,\n"
    "  \"input_cache_miss\": 0.135, \"output\": 0.55}}";

static int64_t at(int hour, int minute, int second)
{
    return 1750000000 / 86400 * 86400 + hour * 3600 + minute * 60 + second;
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * fmax(1, fabs(b))))
        fail_msg("%.15g is not %.15g", a, b);
}

static void test_cost(void **state)
{
    (void)state;
    struct price p;
    read_ok(deepseek, &p);
    /* a million of each: the prices themselves */
    close_to(price_cost(&p, 1000000, 0, 0, at(12, 0, 0)), 0.55);
    close_to(price_cost(&p, 1000000, 1000000, 0, at(12, 0, 0)), 0.14);
    close_to(price_cost(&p, 0, 0, 1000000, at(12, 0, 0)), 2.19);
    /* 800 thousand traces of 16 k tokens: 28,032 dollars of output, 44 of prompts */
    double one = price_cost(&p, 100, 0, 16000, at(3, 0, 0));
    close_to(one * 800000, 28032 + 44);
    /* 100 prompt tokens, 64 of them cached */
    close_to(price_cost(&p, 100, 64, 1000, at(12, 0, 0)),
             (64 * 0.14 + 36 * 0.55 + 1000 * 2.19) / 1e6);
}

static void test_off_peak_passes_midnight(void **state)
{
    (void)state;
    struct price p;
    read_ok(deepseek, &p);
    const struct {
        int h, m, s;
        double output;
    } cases[] = {{16, 29, 59, 2.19}, {16, 30, 0, 0.55}, {23, 59, 59, 0.55}, {0, 0, 0, 0.55},
                 {0, 29, 59, 0.55},  {0, 30, 0, 2.19},  {12, 0, 0, 2.19}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        close_to(price_cost(&p, 0, 0, 1000000, at(cases[i].h, cases[i].m, cases[i].s)),
                 cases[i].output);
    close_to(price_cost(&p, 1000000, 500000, 0, at(20, 0, 0)), (0.035 + 0.135) / 2);
    close_to(price_cost(&p, 0, 0, 1000000, -3600), 0.55); /* 23:00 in 1969 */
    read_ok("{\"input_cache_miss\": 1, \"output\": 2, \"off_peak\": {\"from\": \"01:00\", \"to\": "
            "\"24:00\", \"input_cache_miss\": 0, \"output\": 0}}",
            &p);
    close_to(price_cost(&p, 1000000, 0, 0, at(0, 59, 0)), 1);
    close_to(price_cost(&p, 1000000, 0, 0, at(1, 0, 0)), 0); /* 24:00 is 00:00 */
    close_to(price_cost(&p, 1000000, 0, 0, at(23, 59, 0)), 0);
}

static void test_counts_out_of_range(void **state)
{
    (void)state;
    struct price p;
    read_ok("{\"input_cache_miss\": 1, \"output\": 3, \"input_cache_hit\": null}", &p);
    close_to(price_cost(&p, -1, -1, -1, 0), 0);
    close_to(price_cost(&p, 1000000, 2000000, 0, 0), 1); /* no more hits than tokens */
    close_to(price_cost(&p, 1000000, 500000, 0, 0), 1);  /* without a hit price: as a miss */
    close_to(price_cost(&p, -5, 1000000, 1000000, 0), 3);
}

static void test_refused(void **state)
{
    (void)state;
    read_bad("[1]", "one JSON object");
    read_bad("{\"input_cache_miss\": 0.55}", "output");
    read_bad("{\"input_cache_miss\": 0.55, \"output\": -1}", "0 or more");
    read_bad("{\"input_cache_miss\": \"0.55\", \"output\": 1}", "input_cache_miss");
    read_bad("{\"input_cache_miss\": 0.55, \"output\": 1, \"ouput\": 1}", "\"ouput\" is no price");
    read_bad("{\"input_cache_miss\": 1, \"output\": 1, \"off_peak\": 3}", "must be an object");
    const char *times[] = {"\"24:01\"", "\"12:60\"",    "\"noon\"", "\"1230\"",
                           "\"-1:30\"", "\"12:30:00\"", "12",       "\"12:30 \""};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"input_cache_miss\": 1, \"output\": 1, \"off_peak\": {\"from\": %s, \"to\": "
                 "\"1:00\", \"input_cache_miss\": 1, \"output\": 1}}",
                 times[i]);
        read_bad(text, "from");
    }
    read_bad("{\"input_cache_miss\": 1, \"output\": 1, \"off_peak\": {\"from\": \"1:00\", \"to\": "
             "\"01:00\", \"input_cache_miss\": 1, \"output\": 1}}",
             "same time");
    struct price p;
    struct err e = {0};
    assert_int_equal(price_read("/nowhere/prices.json", &p, &e), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost), cmocka_unit_test(test_off_peak_passes_midnight),
        cmocka_unit_test(test_counts_out_of_range), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
