/* Sampling: frequencies against the exact distribution, the nucleus' edge, greedy ties. */
#include "core/lm/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { V = 8, DRAWS = 200000 };
static const float logits[V] = {1.0f, 3.0f, -2.0f, 3.0f, 0.5f, -INFINITY, 2.0f, 0.0f};

/* The distribution that sampling from `logits` should give, by the definition. */
static void expected(const struct sampling *s, double *p)
{
    double sum = 0;
    int order[V];
    for (int i = 0; i < V; i++) {
        p[i] = exp((double)logits[i] / (double)s->temperature);
        order[i] = i;
    }
    for (int i = 0; i < V; i++)
        for (int j = i + 1; j < V; j++)
            if (p[order[j]] > p[order[i]] || (p[order[j]] == p[order[i]] && order[j] < order[i])) {
                int t = order[i];
                order[i] = order[j];
                order[j] = t;
            }
    int n = s->top_k > 0 && s->top_k < V ? s->top_k : V, kept = 0;
    for (int i = 0; i < n; i++)
        sum += p[order[i]];
    double mass = 0;
    while (kept < n && (kept == 0 || mass < (double)s->top_p * sum))
        mass += p[order[kept++]];
    for (int i = 0; i < V; i++)
        if (i >= kept)
            p[order[i]] = 0;
    for (int i = 0; i < V; i++)
        p[i] /= mass;
}

static void check_frequencies(struct sampling s)
{
    double p[V], n[V] = {0};
    float sp[V];
    int32_t si[V];
    struct rng r = rng_make(5, 6, 7);
    expected(&s, p);
    for (int i = 0; i < DRAWS; i++)
        n[sample_token(logits, V, &s, &r, sp, si)]++;
    double chi2 = 0;
    for (int i = 0; i < V; i++) {
        if (p[i] == 0)
            assert_true(n[i] == 0);
        else
            chi2 += (n[i] - p[i] * DRAWS) * (n[i] - p[i] * DRAWS) / (p[i] * DRAWS);
    }
    assert_true(chi2 < 30); /* 7 degrees of freedom: exceeded once in 10,000 seeds */
}

static void frequencies(void **state)
{
    (void)state;
    check_frequencies((struct sampling){1.0f, 1.0f, 0});
    check_frequencies((struct sampling){0.6f, 1.0f, 0});
    check_frequencies((struct sampling){0.6f, 0.95f, 0});
    check_frequencies((struct sampling){1.5f, 0.5f, 0});
    check_frequencies((struct sampling){1.0f, 1.0f, 3});
    check_frequencies((struct sampling){1.0f, 0.8f, 4});
    check_frequencies((struct sampling){1.0f, 0.01f, 0});
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    float sp[V];
    int32_t si[V];
    struct sampling s = {0, 1, 0};
    struct rng r = rng_make(1, 2, 3);
    assert_int_equal(sample_token(logits, V, &s, &r, sp, si), 1);
    assert_int_equal(r.n, 0);
    float bad[V] = {0, 1, NAN};
    assert_int_equal(sample_token(bad, V, &s, &r, sp, si), -1);
    for (int i = 0; i < V; i++)
        bad[i] = -INFINITY;
    assert_int_equal(sample_token(bad, V, &s, &r, sp, si), -1);
}

/* 1 / temperature past the floats: the best alone, not whatever NaN picks. */
static void colder_than_floats_is_greedy(void **state)
{
    (void)state;
    float sp[V];
    int32_t si[V];
    struct rng r = rng_make(1, 2, 3);
    for (float top_p = 0.5f; top_p <= 1; top_p += 0.5f)
        for (int i = 0; i < 20; i++) {
            struct sampling s = {1e-40f, top_p, 0};
            assert_int_equal(sample_token(logits, V, &s, &r, sp, si), 1);
        }
    float peak[V] = {0, 1, INFINITY, 3};
    struct sampling warm = {1, 0.9f, 0};
    assert_int_equal(sample_token(peak, V, &warm, &r, sp, si), 2);
}

static void logprobs_sum_to_one(void **state)
{
    (void)state;
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp(sample_logprob(logits, V, i));
    assert_true(fabs(sum - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(colder_than_floats_is_greedy),
        cmocka_unit_test(logprobs_sum_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
