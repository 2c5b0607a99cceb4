/* The trained example against HF transformers: tests/vectors/teacher/make_tiny_r1.py. */
#include "tests/teacher/common.h"

#include "core/base/file.h"

#define MODEL "examples/tiny-r1/model"
#define EXPECTED VECTORS "/tiny-r1.safetensors"

/* The vectors are of these very weights. */
static void check_file(const struct safetensors *s)
{
    struct err err = {0};
    struct file_map map;
    int64_t sum = 0, want;
    struct tensor t = st_tensor(s, "file_sum");
    memcpy(&want, t.data, sizeof want);
    assert_ok(file_map_open(&map, MODEL "/model.safetensors", &err));
    for (size_t i = 0; i < map.size; i++)
        sum += map.data[i];
    file_map_close(&map);
    if (sum != want)
        fail_msg("%s is of another %s: run make_tiny_r1.py again", EXPECTED, MODEL);
}

static void test_logits(void **state)
{
    (void)state;
    if (!file_exists(MODEL "/model.safetensors") || !file_exists(EXPECTED))
        skip();
    struct err err = {0};
    struct device *d;
    struct lm *lm;
    struct safetensors s;
    assert_ok(device_open("cpu", 1, &d, &err));
    assert_ok(teacher_open(MODEL, d, &lm, &err));
    assert_ok(st_open(&s, EXPECTED, &err));
    check_file(&s);
    struct tensor tokens = st_tensor(&s, "tokens"), logits = st_tensor(&s, "logits");
    struct tensor mtp = st_tensor(&s, "mtp_logits");
    int64_t n = tensor_cols(&tokens), V = lm->n_vocab, C = teacher_config_of(lm)->n_hidden;
    assert_int_equal(tensor_cols(&logits), V);
    float *got = mem_new((size_t)(n * V), sizeof *got, NULL);
    float *hidden = mem_new((size_t)(n * C), sizeof *hidden, NULL);
    const int64_t cuts[] = {n, 1, 7};
    for (int i = 0; i < 6; i++) {
        struct lm_seq *seq = seq_new(lm);
        teacher_set_form(lm, i < 3 ? MLA_ABSORBED : MLA_EXPANDED);
        feed(lm, seq, tokens.data, n, cuts[i % 3], got);
        assert_near(got, logits.data, n * V, 2e-5);
        lm_seq_close(seq);
    }
    assert_true(teacher_has_mtp(lm));
    struct lm_seq *seq = seq_new(lm);
    struct lm_item it = {.seq = seq, .tokens = tokens.data, .n_tokens = n};
    assert_ok(teacher_forward_hidden(lm, &it, 1, NULL, hidden, &err));
    struct mtp_item mi = {seq, hidden, (const int32_t *)tokens.data + 1, n - 1};
    assert_ok(teacher_mtp_forward(lm, &mi, 1, got, &err));
    assert_near(got, mtp.data, tensor_n(&mtp), 2e-5);
    lm_seq_close(seq);
    mem_free(hidden);
    mem_free(got);
    st_close(&s);
    lm_close(lm);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
