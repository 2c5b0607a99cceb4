/* Mixture-of-experts routing, worked by hand. */
#include "tests/tensor/util.h"

static float logit(double p)
{
    return (float)log(p / (1 - p));
}

static void check(const struct route *r, const float *logits, const int32_t *ids,
                  const double *weights)
{
    struct device *all[7];
    int n = open_all_cpus(all);
    all[n++] = open_ref();
    for (int i = 0; i < n; i++) {
        int32_t got[8];
        float w[8], rows[2 * 64];
        memcpy(rows, logits, (size_t)r->n_experts * 4);
        memcpy(rows + 64, logits, (size_t)r->n_experts * 4);
        struct tensor t = tensor_strided(rows, 2, r->n_experts, 64);
        all[i]->moe_route(all[i], got, w, &t, r);
        for (int64_t j = 0; j < 2 * r->top_k; j++) {
            assert_int_equal(got[j], ids[j % r->top_k]);
            assert_true(fabs(w[j] - weights[j % r->top_k]) < 1e-6);
        }
    }
    close_all(all, n);
}

static void test_sigmoid_groups_top2(void **state)
{
    (void)state;
    /* groups {0,1} {2,3} {4,5}: top-2 sums 1.0, 1.1, 0.95: keep the first two */
    float x[6] = {logit(0.9), logit(0.1), logit(0.5), logit(0.6), logit(0.94), logit(0.01)};
    struct route r = {.n_experts = 6,
                      .top_k = 2,
                      .n_group = 3,
                      .topk_group = 2,
                      .sigmoid = true,
                      .group_top2 = true,
                      .norm_topk = true,
                      .scale = 2.5f};
    check(&r, x, (int32_t[]){0, 3}, (double[]){2.5 * 0.9 / 1.5, 2.5 * 0.6 / 1.5});
    /* by the best of each group (V2), the last group comes first */
    r.group_top2 = false;
    check(&r, x, (int32_t[]){4, 0}, (double[]){2.5 * 0.94 / 1.84, 2.5 * 0.9 / 1.84});
}

static void test_bias_chooses_only(void **state)
{
    (void)state;
    float x[4] = {logit(0.9), logit(0.8), logit(0.2), logit(0.1)};
    float bias[4] = {0, -1, 0, 2};
    struct route r = {.n_experts = 4,
                      .top_k = 2,
                      .n_group = 1,
                      .topk_group = 1,
                      .sigmoid = true,
                      .scale = 1,
                      .bias = bias};
    check(&r, x, (int32_t[]){3, 0}, (double[]){0.1, 0.9});
}

static void test_ties_take_the_lower_index(void **state)
{
    (void)state;
    float x[8] = {1, 2, 2, 1, 2, 1, 1, 2};
    struct route r = {.n_experts = 8,
                      .top_k = 3,
                      .n_group = 4,
                      .topk_group = 2,
                      .sigmoid = true,
                      .group_top2 = true,
                      .norm_topk = true,
                      .scale = 1};
    /* every group sums the same: groups 0 and 1 stay; 1 and 2 tie, then 0 before 3 */
    double s1 = 1 / (1 + exp(-1)), s2 = 1 / (1 + exp(-2)), sum = 2 * s2 + s1;
    check(&r, x, (int32_t[]){1, 2, 0}, (double[]){s2 / sum, s2 / sum, s1 / sum});
}

static void test_softmax(void **state)
{
    (void)state;
    float x[4] = {0, 1, 2, -1};
    double sum = exp(0) + exp(1) + exp(2) + exp(-1);
    struct route r = {.n_experts = 4, .top_k = 2, .n_group = 1, .topk_group = 1, .scale = 16};
    check(&r, x, (int32_t[]){2, 1}, (double[]){16 * exp(2) / sum, 16 * exp(1) / sum});
}

/* Negative choosing scores: an expert outside the kept groups (which would be 0 in a masked table)
 * is never chosen. */
static void test_masked_experts_stay_out(void **state)
{
    (void)state;
    float x[4] = {logit(0.5), logit(0.4), logit(0.1), logit(0.1)};
    float bias[4] = {-1, -1, -2, -2};
    struct route r = {.n_experts = 4,
                      .top_k = 2,
                      .n_group = 2,
                      .topk_group = 1,
                      .sigmoid = true,
                      .group_top2 = true,
                      .scale = 1,
                      .bias = bias};
    check(&r, x, (int32_t[]){0, 1}, (double[]){0.5, 0.4});
}

/* A NaN, in a logit or a bias, of an expert that is chosen or of one that is not: no usable weights
 * come of it, and ids that are experts all the same. */
static void test_a_nan_is_seen(void **state)
{
    (void)state;
    struct device *all[7];
    int n = open_all_cpus(all);
    all[n++] = open_ref();
    for (int k = 0; k < 32; k++) {
        float x[6] = {1, 2, 3, 4, 5, 6}, bias[6] = {0}, w[2];
        int32_t ids[2];
        (k < 24 ? x : bias)[k % 6] = NAN;
        struct route r = {.n_experts = 6,
                          .top_k = 2,
                          .n_group = 3,
                          .topk_group = 1 + k / 12 % 2,
                          .sigmoid = k / 6 % 2 || k >= 24,
                          .group_top2 = k % 2,
                          .norm_topk = k / 2 % 2,
                          .scale = 1,
                          .bias = k >= 24 ? bias : NULL};
        struct tensor t = tensor_2d(DT_F32, x, 1, 6);
        for (int i = 0; i < n; i++) {
            all[i]->moe_route(all[i], ids, w, &t, &r);
            for (int j = 0; j < 2; j++)
                assert_true(isnan(w[j]) && ids[j] >= 0 && ids[j] < 6);
        }
    }
    close_all(all, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigmoid_groups_top2),       cmocka_unit_test(test_bias_chooses_only),
        cmocka_unit_test(test_ties_take_the_lower_index), cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_masked_experts_stay_out),   cmocka_unit_test(test_a_nan_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
