/* What is tried again, when, and in which order. */
#include "teacher/http/retry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_status(void **state)
{
    (void)state;
    struct reply_view v = {.state = REPLY_COMPLETE, .finish_reason = "stop"};
    for (int status = 100; status < 600; status++) {
        enum try_result want = TRY_FAILED;
        if (status < 200)
            want = TRY_AGAIN;
        else if (status < 300)
            want = TRY_TRACE;
        else if (status < 400 || (status >= 401 && status <= 403))
            want = TRY_FATAL;
        else if (status == 429 || status == 498 || status == 503 || status == 529)
            want = TRY_OVERLOAD;
        else if (status == 408 || status == 409 || status == 424 || status == 425 ||
                 status == 500 || status == 502 || status == 504 || status >= 520)
            want = TRY_AGAIN;
        if (retry_judge(TRY_WHOLE, status, false, &v) != want)
            fail_msg("status %d", status);
        /* a status is a status, however its body ended */
        if (status >= 300)
            assert_int_equal(retry_judge(TRY_BROKEN, status, true, &v), want);
    }
    assert_int_equal(retry_judge(TRY_WHOLE, 200, true, &v), TRY_AGAIN); /* a page */
    assert_int_equal(retry_judge(TRY_UNREACHED, 0, false, &v), TRY_NO_REACH);
    assert_int_equal(retry_judge(TRY_REFUSED, 0, false, &v), TRY_FATAL);
    assert_int_equal(retry_judge(TRY_BROKEN, 0, false, &v), TRY_AGAIN);
}

static void test_answers(void **state)
{
    (void)state;
    const struct {
        enum reply_state state;
        const char *finish;
        int status;
        enum try_result want;
    } cases[] = {
        {REPLY_COMPLETE, "stop", 0, TRY_TRACE},
        {REPLY_COMPLETE, "length", 0, TRY_TRACE},
        {REPLY_COMPLETE, "content_filter", 0, TRY_TRACE},
        {REPLY_COMPLETE, "tool_calls", 0, TRY_TRACE},
        {REPLY_COMPLETE, NULL, 0, TRY_TRACE},
        {REPLY_COMPLETE, "insufficient_system_resource", 0, TRY_AGAIN},
        {REPLY_COMPLETE, "aborted", 0, TRY_AGAIN},
        {REPLY_COMPLETE, "abort", 0, TRY_AGAIN},
        {REPLY_COMPLETE, "error", 0, TRY_AGAIN},
        {REPLY_COMPLETE, "network_error", 0, TRY_AGAIN},
        {REPLY_COMPLETE, "sensitive", 0, TRY_TRACE},
        {REPLY_STOPPED, "loop", 0, TRY_TRACE},
        {REPLY_STOPPED, "no_think", 0, TRY_TRACE},
        {REPLY_EMPTY, NULL, 0, TRY_AGAIN},
        {REPLY_CUT, NULL, 0, TRY_AGAIN},
        {REPLY_READING, NULL, 0, TRY_AGAIN},
        {REPLY_BAD, NULL, 0, TRY_AGAIN},
        {REPLY_BAD, NULL, 400, TRY_FAILED},
        {REPLY_BAD, NULL, 402, TRY_FATAL},
        {REPLY_BAD, NULL, 429, TRY_OVERLOAD},
        {REPLY_BAD, NULL, 502, TRY_AGAIN},
        {REPLY_BAD, NULL, 7, TRY_AGAIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply_view v = {
            .state = cases[i].state, .finish_reason = cases[i].finish, .status = cases[i].status};
        if (retry_judge(TRY_WHOLE, 200, false, &v) != cases[i].want)
            fail_msg("case %zu", i);
    }
}

/* Of a request that was being answered nothing can be wrong. */
static void test_errors_behind_text(void **state)
{
    (void)state;
    const struct {
        int status;
        enum try_result want;
    } cases[] = {{400, TRY_AGAIN}, {404, TRY_AGAIN},    {422, TRY_AGAIN}, {500, TRY_AGAIN},
                 {402, TRY_FATAL}, {429, TRY_OVERLOAD}, {0, TRY_AGAIN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply_view v = {.state = REPLY_BAD, .status = cases[i].status, .n_reasoning = 7};
        if (retry_judge(TRY_WHOLE, 200, false, &v) != cases[i].want)
            fail_msg("case %zu with reasoning", i);
        v.n_answer = v.n_reasoning;
        v.n_reasoning = 0;
        if (retry_judge(TRY_WHOLE, 200, false, &v) != cases[i].want)
            fail_msg("case %zu with an answer", i);
    }
}

static void test_a_403_of_the_prompt(void **state)
{
    (void)state;
    struct reply_view v = {.state = REPLY_BAD, .status = 403, .of_prompt = true};
    assert_int_equal(retry_judge(TRY_WHOLE, 403, false, &v), TRY_FAILED);
    assert_int_equal(retry_judge(TRY_WHOLE, 401, false, &v), TRY_FATAL);
    assert_int_equal(retry_judge(TRY_WHOLE, 200, false, &v), TRY_FAILED);
    v.n_answer = 7;
    assert_int_equal(retry_judge(TRY_WHOLE, 200, false, &v), TRY_FAILED);
    v = (struct reply_view){.state = REPLY_BAD, .status = 403};
    assert_int_equal(retry_judge(TRY_WHOLE, 403, false, &v), TRY_FATAL);
    assert_int_equal(retry_judge(TRY_WHOLE, 200, false, &v), TRY_FATAL);
}

static void test_backoff(void **state)
{
    (void)state;
    struct rng r = rng_make(1, 2, 3);
    for (int n = 1; n <= 80; n++) {
        double most = fmin(60, 0.5 * exp2(n - 1)), sum = 0, high = 0, low = INFINITY;
        enum { DRAWS = 4000 };
        for (int i = 0; i < DRAWS; i++) {
            double x = retry_backoff(&r, n, 0.5, 60);
            sum += x;
            high = fmax(high, x);
            low = fmin(low, x);
        }
        assert_true(low >= 0 && high < most);
        /* uniform from 0: full jitter. 6 standard errors of the mean */
        assert_true(fabs(sum / DRAWS - most / 2) < 6 * most / sqrt(12.0 * DRAWS));
        assert_true(high > 0.99 * most && low < 0.01 * most);
    }
}

static void seconds_are(const char *value, double want)
{
    double got = retry_seconds(value, 1750000000);
    if (!(fabs(got - want) < 1e-6))
        fail_msg("\"%s\" is %g, not %g", value, got, want);
}

static void test_seconds(void **state)
{
    (void)state;
    seconds_are("0", 0);
    seconds_are("20", 20);
    seconds_are(" 1.5 ", 1.5);
    seconds_are("6m0s", 360);
    seconds_are("1h2m3s", 3723);
    seconds_are("120ms", 0.12);
    seconds_are("8.64s", 8.64);
    seconds_are("1d", 86400);
    seconds_are("1750000030", 30);      /* Unix seconds */
    seconds_are("1750000030500", 30.5); /* milliseconds (OpenRouter) */
    seconds_are("1740000000", 0);       /* over */
    seconds_are("Sun, 15 Jun 2025 15:16:40 GMT", 600);
    seconds_are("Sunday, 15-Jun-25 15:16:40 GMT", 600);
    seconds_are("Sun, 15 Jun 2025 14:00:00 GMT", 0);
    seconds_are("2025-06-15T15:16:40Z", 600); /* Anthropic */
    seconds_are("2025-06-15T15:16:40.25z", 600);
    seconds_are("2025-06-15T17:16:40+02:00", 600);
    seconds_are("2025-06-15T14:46:40-00:30", 600);
    seconds_are("2025-06-15T14:00:00Z", 0);
    seconds_are("999999999", 366.0 * 86400);
    const char *bad[] = {"",
                         "soon",
                         "-5",
                         "5 bananas",
                         "6m0",
                         "2025-06-15",
                         "2025-06-15T15:16:40",
                         "2025-06-15T15:16Z",
                         "1x",
                         "NaN",
                         "inf",
                         "--",
                         "m",
                         "11111111111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (retry_seconds(bad[i], 1750000000) >= 0)
            fail_msg("\"%s\" was taken for %g", bad[i], retry_seconds(bad[i], 1750000000));
}

static void test_heap(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct retry_heap h = {0};
    struct rng r = rng_make(9, 9, 9);
    static double at[N];
    assert_true(isinf(retry_next(&h)));
    assert_null(retry_pop(&h, INFINITY));
    for (int i = 0; i < N; i++) {
        at[i] = (double)rng_below(&r, 500);
        assert_int_equal(retry_push(&h, at[i], &at[i], NULL), 0);
    }
    assert_null(retry_pop(&h, -1));
    double *last = NULL;
    int n = 0;
    for (double *x; (x = retry_pop(&h, 250)); last = x, n++) {
        assert_true(*x <= 250);
        if (last) /* by time, and first in, first out */
            assert_true(*last < *x || (*last == *x && last < x));
        assert_true(h.n == 0 || retry_next(&h) >= *x);
    }
    assert_true(retry_next(&h) > 250);
    while (retry_pop(&h, INFINITY))
        n++;
    assert_int_equal(n, N);
    retry_dispose(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_errors_behind_text),
        cmocka_unit_test(test_a_403_of_the_prompt),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
