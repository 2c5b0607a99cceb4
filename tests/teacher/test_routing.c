/* Routing against stable sorts in PyTorch, over logits full of exact ties. */
#include "tests/teacher/common.h"

static struct tensor at(const struct safetensors *s, int i, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%d.%s", i, what);
    return st_tensor(s, name);
}

static void check_case(struct device *d, const struct safetensors *s, int i)
{
    struct tensor params = at(s, i, "params"), scale = at(s, i, "scale"), bias = at(s, i, "bias");
    struct tensor logits = at(s, i, "logits"), ids = at(s, i, "ids"), w = at(s, i, "weights");
    const int32_t *p = params.data;
    struct route r = {.n_experts = p[0], .top_k = p[1], .n_group = p[2], .topk_group = p[3]};
    r.sigmoid = p[4];
    r.group_top2 = p[5];
    r.norm_topk = p[6];
    r.scale = *(const float *)scale.data;
    r.bias = r.group_top2 ? bias.data : NULL;
    int64_t n = tensor_n(&ids);
    int32_t *got = mem_new((size_t)n, sizeof *got, NULL);
    float *weights = mem_new((size_t)n, sizeof *weights, NULL);
    d->moe_route(d, got, weights, &logits, &r);
    for (int64_t j = 0; j < n; j++)
        if (got[j] != ((const int32_t *)ids.data)[j])
            fail_msg("%s, case %d, row %lld, choice %lld: expert %d, not %d", d->name, i,
                     (long long)(j / r.top_k), (long long)(j % r.top_k), got[j],
                     ((const int32_t *)ids.data)[j]);
    assert_near(weights, w.data, n, 1e-6);
    mem_free(weights);
    mem_free(got);
}

static void test_ties(void **state)
{
    (void)state;
    struct safetensors s;
    struct err err = {0};
    const char *const names[] = {"cpu", "ref"};
    assert_ok(st_open(&s, VECTORS "/routing.safetensors", &err));
    for (int j = 0; j < 2; j++) {
        struct device *d;
        assert_ok(device_open(names[j], 2, &d, &err));
        for (int i = 0; i < 6; i++)
            check_case(d, &s, i);
        device_close(d);
    }
    st_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ties)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
