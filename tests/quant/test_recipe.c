/* The mixes: the layers that get more bits, the head, and what happens to odd shapes. That the
 * whole list of types is llama.cpp's own is checked in tests/interop. */
#include "quant_test.h"
#include "quant/recipe.h"

static enum dtype choose(const char *recipe, const char *name, int layer, int n_layers,
                         int64_t cols, bool tied)
{
    struct recipe_tensor t = {name, 2, cols, layer, n_layers, tied};
    return recipe_choose(recipe_find(recipe), &t);
}

static void test_find(void **state)
{
    (void)state;
    assert_string_equal(recipe_find("Q4_K_M")->name, "q4_k_m");
    assert_null(recipe_find("q4_k"));
    assert_null(recipe_find(""));
    int n = 0;
    for (; recipe_at(n); n++)
        assert_ptr_equal(recipe_find(recipe_at(n)->name), recipe_at(n));
    assert_int_equal(n, 4);
    assert_int_equal(recipe_find("f16")->file_type, 1);
    assert_int_equal(recipe_find("q4_0")->file_type, 2);
    assert_int_equal(recipe_find("q8_0")->file_type, 7);
    assert_int_equal(recipe_find("q4_k_m")->file_type, 15);
}

/* The totals that are published for Qwen2.5 7B (28 layers) and 14B (48): 29 and 49 tensors in Q6_K,
 * of which one is the head. */
static void test_more_bits(void **state)
{
    (void)state;
    static const int layers[] = {28, 48}, want[] = {28, 48};
    for (int m = 0; m < 2; m++) {
        int n = 0;
        for (int i = 0; i < layers[m]; i++) {
            n += choose("q4_k_m", "blk.0.attn_v.weight", i, layers[m], 512, false) == DT_Q6_K;
            n += choose("q4_k_m", "blk.0.ffn_down.weight", i, layers[m], 512, false) == DT_Q6_K;
            assert_int_equal(choose("q4_k_m", "blk.0.ffn_up.weight", i, layers[m], 512, false),
                             DT_Q4_K);
            assert_int_equal(choose("q4_0", "blk.0.attn_v.weight", i, layers[m], 512, false),
                             DT_Q4_0);
        }
        assert_int_equal(n, want[m]);
    }
    assert_int_equal(choose("q4_k_m", "blk.0.attn_v.weight", 20, 80, 512, false), DT_Q6_K);
    assert_int_equal(choose("q4_k_m", "blk.0.ffn_down.weight", 10, 80, 512, false), DT_Q4_K);
}

static void test_head(void **state)
{
    (void)state;
    assert_int_equal(choose("q4_k_m", "output.weight", -1, 8, 512, false), DT_Q6_K);
    assert_int_equal(choose("q4_k_m", "token_embd.weight", -1, 8, 512, false), DT_Q4_K);
    assert_int_equal(choose("q4_k_m", "token_embd.weight", -1, 8, 512, true), DT_Q6_K);
    assert_int_equal(choose("q4_0", "token_embd.weight", -1, 8, 512, true), DT_Q6_K);
    assert_int_equal(choose("q4_0", "token_embd.weight", -1, 8, 96, true), DT_Q8_0);
    assert_int_equal(choose("q8_0", "output.weight", -1, 8, 512, false), DT_Q8_0);
    assert_int_equal(choose("f16", "output.weight", -1, 8, 512, false), DT_F16);
}

static void test_shapes(void **state)
{
    (void)state;
    assert_int_equal(choose("q4_k_m", "blk.3.ffn_up.weight", 3, 24, 896, true), DT_Q5_0);
    assert_int_equal(choose("q4_k_m", "blk.0.attn_v.weight", 0, 24, 896, true), DT_Q8_0);
    assert_int_equal(choose("q4_k_m", "token_embd.weight", -1, 24, 896, true), DT_Q8_0);
    assert_int_equal(choose("q4_k_m", "blk.3.ffn_up.weight", 3, 24, 100, true), DT_F16);
    assert_int_equal(choose("q4_k_m", "output.weight", -1, 24, 100, false), DT_F16);
    assert_int_equal(choose("q4_0", "blk.3.ffn_up.weight", 3, 24, 100, true), DT_F16);
    assert_int_equal(choose("q8_0", "blk.3.ffn_up.weight", 3, 24, 33, true), DT_F16);
    struct recipe_tensor norm = {"blk.0.attn_norm.weight", 1, 512, 0, 8, false};
    for (int i = 0; recipe_at(i); i++)
        assert_int_equal(recipe_choose(recipe_at(i), &norm), DT_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_more_bits),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
