/* The budget: the worst case is one, and the limit holds whatever order things end in. */
#include "distill/budget.h"
#include "core/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

static void test_worst_is_at_the_dearest(void **state)
{
    (void)state;
    struct http_endpoint_options ep[] = {
        {.price = {.known = true, .input_hit = 0.1, .input_miss = 1, .output = 2}},
        {.price = {.known = true, .input_hit = 0.1, .input_miss = 0.5, .output = 3}},
        {.price = {.known = true,
                   .input_miss = 0.5,
                   .output = 1,
                   .off_from = 60,
                   .off_to = 120,
                   .off_input_miss = 4,
                   .off_output = 1}},
        {0}};
    double one = budget_worst(ep, 1, 936, 1000000); /* and 64 tokens of the chat form */
    assert_true(fabs(one - (1000e-6 * 1 + 2)) < 1e-12);
    assert_true(fabs(budget_worst(ep, 2, 936, 1000000) - (1000e-6 * 0.5 + 3)) < 1e-12);
    assert_true(fabs(budget_worst(ep + 2, 2, 936, 0) - 1000e-6 * 4) < 1e-12);
    assert_true(budget_worst(ep + 3, 1, 936, 1000000) == 0);
    /* it is no less than what a server can charge */
    assert_true(one >= price_cost(&ep[0].price, 936 + PRICE_FORM_TOKENS, 0, 1000000, 0));
}

static void test_the_limit_holds(void **state)
{
    (void)state;
    struct rng r = rng_make(1, 2, 3);
    struct budget b = {.limit = 10};
    double flying[64];
    int n = 0, n_refused = 0;
    for (int i = 0; i < 20000; i++) {
        double worst = rng_uniform(&r);
        if (n < 64 && rng_below(&r, 2)) {
            if (budget_take(&b, worst))
                flying[n++] = worst;
            else
                n_refused++;
        } else if (n) {
            int k = (int)rng_below(&r, (uint64_t)n);
            budget_settle(&b, flying[k], rng_uniform(&r) < 0.1 ? flying[k] : 1e-3 * flying[k]);
            flying[k] = flying[--n];
        }
        assert_true(b.spent + b.reserved <= 10 + 1e-9);
    }
    assert_true(n_refused > 0 && b.spent > 8);
}

static void test_no_limit(void **state)
{
    (void)state;
    struct budget b = {.limit = -1};
    assert_true(budget_take(&b, 1e9));
    budget_settle(&b, 1e9, 3);
    assert_true(b.spent == 3 && b.reserved == 0);
    b = (struct budget){.limit = 0};
    assert_false(budget_take(&b, 1e-9));
    assert_true(budget_take(&b, 0)); /* what costs nothing may be had for nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_worst_is_at_the_dearest),
                                       cmocka_unit_test(test_the_limit_holds),
                                       cmocka_unit_test(test_no_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
