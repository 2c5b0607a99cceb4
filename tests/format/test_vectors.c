/* Files of the published writers (safetensors, gguf from PyPI) read to the exact values, and
 * decant's writers against theirs, byte for byte. vectors/format/make.py made the files and has the
 * formula. */
#include "core/format/gguf.h"
#include "core/format/safetensors.h"
#include "core/format/weights.h"
#include "tests/base/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DIR "tests/vectors/format/"

static float value(int64_t i, int k)
{
    return (float)((i * 7 + k * 3) % 31 - 15) / 8;
}

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s", e.msg);                                                                 \
    } while (0)

/* Every element of a tensor, FP8 scales not applied: the formula times factor. */
static void assert_values(const char *name, struct tensor t, int k, float factor)
{
    t.scale = NULL;
    float row[64];
    for (int64_t i = 0; i < tensor_rows(&t); i++) {
        tensor_row_f32(&t, i, row);
        for (int64_t j = 0; j < tensor_cols(&t); j++)
            if (row[j] != factor * value(i * tensor_cols(&t) + j, k))
                fail_msg("%s [%lld, %lld] is %g", name, (long long)i, (long long)j, row[j]);
    }
}

static void safetensors_of_every_dtype(void **state)
{
    (void)state;
    static const struct {
        const char *name, *dtype;
        int n_dims;
        int64_t shape[4];
        float factor;
        int k;
    } want[] = {
        {"t0.f32", "F32", 2, {2, 3}, 1, 0},
        {"t1.f16", "F16", 2, {3, 5}, 1, 1},
        {"t2.bf16", "BF16", 1, {7}, 1, 2},
        {"t3.f8", "F8_E4M3", 2, {3, 3}, 1, 3},
        {"t4.i64", "I64", 1, {2}, 8, 4},
        {"t5.i32", "I32", 3, {2, 1, 2}, 8, 5},
        {"t6.i8", "I8", 1, {5}, 8, 6},
        {"t7.bool", "BOOL", 1, {3}, 0, 7},
        {"t8.f64", "F64", 1, {2}, 0, 8},
        {"t9.scalar", "F32", 0, {0}, 1, 9},
        {"t10.empty", "F32", 2, {0, 4}, 1, 10},
        {"t11.five", "F32", 4, {1, 2, 1, 6}, 1, 11},
        {"na\"me\\ \xC3\xA9", "F32", 1, {2}, 1, 12},
    };
    enum { N = sizeof want / sizeof *want };
    struct err e;
    struct safetensors s;
    assert_ok(st_open(&s, DIR "mixed.safetensors", &e));
    assert_int_equal(s.n_entries, N);
    int found = 0;
    for (int64_t i = 0; i < s.n_entries; i++)
        for (int k = 0; k < N; k++) {
            const struct st_entry *en = &s.entries[i];
            if (strcmp(en->name, want[k].name))
                continue;
            found++;
            assert_string_equal(en->dtype_name, want[k].dtype);
            assert_int_equal(en->tensor.n_dims, want[k].n_dims);
            for (int d = 0; d < want[k].n_dims; d++)
                assert_int_equal(en->tensor.shape[d], want[k].shape[d]);
            if (want[k].factor != 0)
                assert_values(en->name, en->tensor, want[k].k, want[k].factor);
            else
                assert_true(en->tensor.dtype == DT_NONE && en->tensor.data == NULL);
        }
    assert_int_equal(found, N);
    st_close(&s);
    st_close(&s);
}

static void fp8_weights_carry_their_scales(void **state)
{
    (void)state;
    struct err e;
    struct weights *w;
    struct tensor t;
    assert_ok(weights_open(DIR "fp8", &w, &e));
    assert_false(weights_is_gguf(w));
    assert_null(weights_gguf(w));
    assert_non_null(weights_config(w));
    assert_ok(weights_get(w, "w.weight", 2, (int64_t[]){5, 7}, &t, &e));
    assert_int_equal(t.scale_rows, 4);
    assert_int_equal(t.scale_cols, 4);
    assert_int_equal(t.scale_ld, 2);
    for (int64_t i = 0; i < 5; i++) {
        float row[7];
        tensor_row_f32(&t, i, row);
        for (int64_t j = 0; j < 7; j++)
            assert_true(row[j] == value(i * 7 + j, 0) * value(i / 4 * 2 + j / 4, 1));
    }
    assert_ok(weights_get(w, "model.norm.weight", 1, (int64_t[]){5}, &t, &e));
    assert_null(t.scale);
    assert_values("norm", t, 2, 1);
    assert_true(weights_has(w, "w.weight_scale_inv"));
    assert_false(weights_has(w, "w"));
    weights_close(w);
    weights_close(NULL);

    /* Alone, the file does not say how large the blocks are. */
    assert_ok(weights_open(DIR "fp8/model.safetensors", &w, &e));
    assert_int_equal(weights_get(w, "w.weight", 0, NULL, &t, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "weight_block_size"));
    assert_ok(weights_get(w, "model.norm.weight", 0, NULL, &t, &e));
    weights_close(w);
}

static void shards_are_one_model(void **state)
{
    (void)state;
    static const char *const names[] = {"model.embed_tokens.weight",
                                        "model.layers.0.self_attn.q_proj.weight", "lm_head.weight"};
    struct err e;
    struct weights *w;
    struct tensor t;
    assert_ok(weights_open(DIR "sharded", &w, &e));
    assert_int_equal(weights_count(w), 3);
    for (int k = 0; k < 3; k++) {
        assert_ok(weights_get(w, names[k], 2, (int64_t[]){k == 1 ? 3 : 4, 3}, &t, &e));
        assert_values(names[k], t, k, 1);
    }
    weights_close(w);
}

static void a_get_that_does_not_fit_says_all(void **state)
{
    (void)state;
    struct err e = {0};
    struct weights *w;
    struct tensor t;
    assert_ok(weights_open(DIR "sharded", &w, &e));
    assert_int_equal(weights_get(w, "lm_head.weight", 2, (int64_t[]){3, 4}, &t, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "sharded/model-00002-of-00002.safetensors"));
    assert_non_null(strstr(e.msg, "lm_head.weight"));
    assert_non_null(strstr(e.msg, "f16 [4, 3]"));
    assert_non_null(strstr(e.msg, "wanted [3, 4]"));
    assert_int_equal(weights_get(w, "lm_head.weight", 1, (int64_t[]){12}, &t, &e), ERR_FORMAT);
    assert_int_equal(weights_get(w, "nothing", 1, (int64_t[]){12}, &t, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "nothing"));
    assert_non_null(strstr(e.msg, "[12]"));
    weights_close(w);
    assert_ok(weights_open(DIR "mixed.safetensors", &w, &e));
    assert_int_equal(weights_get(w, "t4.i64", 0, NULL, &t, &e), ERR_FORMAT);
    assert_int_equal(weights_get(w, "t8.f64", 0, NULL, &t, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "F64"));
    weights_close(w);
}

static void gguf_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *hf, *gguf;
        int n_dims;
        int64_t shape[3];
    } want[] = {
        {"model.embed_tokens.weight", "token_embd.weight", 2, {3, 5}},
        {"model.norm.weight", "output_norm.weight", 1, {5}},
        {"model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight", 2, {4, 5}},
        {"model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias", 1, {4}},
        {"model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight", 2, {2, 3}},
        {"rope_freqs.weight", "rope_freqs.weight", 1, {2}},
        {"three", "three", 3, {2, 3, 4}},
    };
    static const char *const files[] = {DIR "mixed.gguf", DIR "aligned-64.gguf"};
    for (int f = 0; f < 2; f++) {
        struct err e;
        struct weights *w;
        struct tensor t;
        assert_ok(weights_open(files[f], &w, &e));
        assert_true(weights_is_gguf(w));
        assert_int_equal(weights_count(w), 10);
        for (int k = 0; k < 7; k++) {
            assert_ok(weights_get(w, want[k].hf, want[k].n_dims, want[k].shape, &t, &e));
            assert_values(want[k].hf, t, k, 1);
            assert_int_equal(gguf_tensor_find(weights_gguf(w), want[k].gguf), k);
        }
        /* GGUF may leave out outer dimensions of 1. */
        assert_ok(weights_get(w, "model.norm.weight", 2, (int64_t[]){1, 5}, &t, &e));
        assert_int_equal(weights_get(w, "model.norm.weight", 2, (int64_t[]){5, 1}, &t, &e),
                         ERR_FORMAT);
        static const char *const raw[] = {"q8", "q4k"};
        static const int raw_bytes[] = {136, 144};
        for (int k = 0; k < 2; k++) {
            assert_ok(weights_get(w, raw[k], 0, NULL, &t, &e));
            assert_int_equal(tensor_bytes(&t), raw_bytes[k]);
            for (int i = 0; i < raw_bytes[k]; i++)
                assert_int_equal(((uint8_t *)t.data)[i], (i * 7 + (k + 7) * 3) % 251);
        }
        assert_int_equal(weights_get(w, "q5k", 0, NULL, &t, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "q5_k"));
        struct weights_stored s;
        weights_stored_at(w, 9, &s);
        assert_string_equal(s.dtype, "q5_k");
        assert_int_equal(s.n_bytes, 176);
        assert_int_equal(weights_get(w, "lm_head.weight", 0, NULL, &t, &e), ERR_NOTFOUND);
        assert_non_null(strstr(e.msg, "output.weight"));
        weights_close(w);
    }
}

static void gguf_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int64_t value;
    } ints[] = {{"k.u8", 200},          {"k.i8", -100},        {"k.u16", 60000},
                {"k.i16", -30000},      {"k.u32", 4000000000}, {"k.i32", -2000000000},
                {"k.i64", -(1ll << 62)}};
    struct err e = {0};
    struct gguf *g;
    int64_t n = 77;
    double d = 0;
    bool t = false;
    assert_ok(gguf_open(DIR "mixed.gguf", &g, &e));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        assert_ok(gguf_int(g, ints[i].key, INT64_MIN, INT64_MAX, &n, &e));
        assert_true(n == ints[i].value);
        assert_ok(gguf_num(g, ints[i].key, &d, &e));
        assert_true(d == (double)ints[i].value);
        assert_int_equal(gguf_int(g, ints[i].key, 1, 2, &n, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, ints[i].key));
    }
    assert_int_equal(gguf_int(g, "k.u64", 0, 1ll << 62, &n, &e), ERR_FORMAT);
    assert_ok(gguf_num(g, "k.u64", &d, &e));
    assert_true(d == 0x1p63);
    assert_ok(gguf_num(g, "k.f32", &d, &e));
    assert_true(d == 1.5);
    assert_ok(gguf_opt_num(g, "k.f64", &d, &e));
    assert_true(d == -2.25);
    assert_ok(gguf_opt_bool(g, "k.true", &t, &e));
    assert_true(t);
    assert_ok(gguf_opt_bool(g, "k.false", &t, &e));
    assert_false(t);
    n = 77;
    assert_ok(gguf_opt_int(g, "absent", 0, 1, &n, &e));
    assert_int_equal(n, 77);
    static const char *const no_int[] = {"k.f32", "k.str", "k.true", "k.ints", "absent", "k.strs"};
    for (size_t i = 0; i < sizeof no_int / sizeof *no_int; i++) {
        assert_int_equal(gguf_int(g, no_int[i], INT64_MIN, INT64_MAX, &n, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "mixed.gguf"));
        assert_non_null(strstr(e.msg, no_int[i]));
    }
    assert_int_equal(gguf_num(g, "k.str", &d, &e), ERR_FORMAT);
    assert_int_equal(gguf_opt_bool(g, "k.u8", &t, &e), ERR_FORMAT);
    gguf_close(g);
    gguf_close(NULL);
}

static void gguf_strings_and_arrays(void **state)
{
    (void)state;
    struct err e = {0};
    struct gguf *g;
    const char *s;
    size_t n;
    assert_ok(gguf_open(DIR "mixed.gguf", &g, &e));
    assert_ok(gguf_str(g, "k.str", &s, &n, &e));
    assert_int_equal(n, 6);
    assert_memory_equal(s, "h\xC3\xA9llo", 6);
    assert_int_equal(gguf_str(g, "k.u8", &s, &n, &e), ERR_FORMAT);
    assert_int_equal(gguf_str(g, "k.strs", &s, &n, &e), ERR_FORMAT);
    assert_int_equal(gguf_str(g, "absent", &s, &n, &e), ERR_FORMAT);
    struct gguf_value v;
    assert_true(gguf_find(g, "k.strs", &v));
    assert_true(v.is_array && v.type == GGUF_STR && v.n == 3);
    static const char *const strs[] = {"a", "", "ccc"};
    uint64_t at = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(gguf_next_str(&v, &at, &s, &n));
        assert_int_equal(n, strlen(strs[i]));
        assert_memory_equal(s, strs[i], n);
    }
    assert_false(gguf_next_str(&v, &at, &s, &n));
    assert_true(gguf_find(g, "k.ints", &v));
    assert_int_equal(v.n, 3);
    assert_int_equal(gguf_elem_int(&v, 1), -2);
    assert_true(gguf_elem_num(&v, 2) == 3);
    at = 0;
    assert_false(gguf_next_str(&v, &at, &s, &n));
    assert_true(gguf_find(g, "k.floats", &v));
    assert_true(gguf_elem_num(&v, 1) == -1.5);
    assert_true(gguf_find(g, "k.bools", &v));
    assert_true(gguf_elem_int(&v, 0) == 1 && gguf_elem_int(&v, 1) == 0);
    int64_t found = 0;
    for (int64_t i = 0; i < gguf_n_keys(g); i++) {
        gguf_key_at(g, i, &s, &n, &v);
        found += n == 5 && !memcmp(s, "k.str", 5);
    }
    assert_int_equal(found, 1);
    gguf_close(g);
}

static void assert_same_file(const char *a, const char *b)
{
    struct file_map ma, mb;
    struct err e;
    assert_ok(file_map_open(&ma, a, &e));
    assert_ok(file_map_open(&mb, b, &e));
    assert_int_equal(ma.size, mb.size);
    assert_memory_equal(ma.data, mb.data, ma.size);
    file_map_close(&ma);
    file_map_close(&mb);
}

static void safetensors_are_written_as_theirs(void **state)
{
    (void)state;
    struct err e;
    struct st_writer *w;
    float a[6];
    uint16_t b[3];
    for (int i = 0; i < 6; i++)
        a[i] = value(i, 0);
    for (int i = 0; i < 3; i++)
        b[i] = bf16_from_f32(value(i, 1));
    assert_ok(st_writer_open(&w, in_dir("w.safetensors"), &e));
    assert_ok(st_add_metadata(w, "format", "pt", &e));
    assert_ok(st_add_tensor(w, "a.weight", DT_F32, 2, (int64_t[]){2, 3}, &e));
    assert_ok(st_add_tensor(w, "b", DT_BF16, 1, (int64_t[]){3}, &e));
    assert_ok(st_begin_data(w, &e));
    assert_ok(st_write(w, a, 5, &e));
    assert_ok(st_write(w, (char *)a + 5, sizeof a - 5, &e));
    assert_ok(st_write(w, b, sizeof b, &e));
    assert_false(file_exists(in_dir("w.safetensors")));
    assert_ok(st_commit(w, &e));
    st_writer_close(w);
    assert_same_file(in_dir("w.safetensors"), DIR "written.safetensors");
}

static void gguf_is_written_as_theirs(void **state)
{
    (void)state;
    struct err e;
    struct gguf_writer *g;
    float a[6];
    uint16_t b[3];
    uint8_t q[68];
    for (int i = 0; i < 6; i++)
        a[i] = value(i, 0);
    for (int i = 0; i < 3; i++)
        b[i] = f16_from_f32(value(i, 1));
    for (int i = 0; i < 68; i++)
        q[i] = (uint8_t)i;
    assert_ok(gguf_writer_open(&g, in_dir("w.gguf"), &e));
    assert_ok(gguf_add_str(g, "general.architecture", "llama", &e));
    assert_ok(gguf_add_u32(g, "k.u32", 7, &e));
    assert_ok(gguf_add_f32(g, "k.f32", 1e-5f, &e));
    assert_ok(gguf_add_bool(g, "k.bool", true, &e));
    assert_ok(gguf_begin_array(g, "k.strs", GGUF_STR, 3, &e));
    assert_ok(gguf_array_str(g, "one", 3, &e));
    assert_ok(gguf_array_str(g, "", 0, &e));
    assert_ok(gguf_array_str(g, "drei", 4, &e));
    assert_ok(gguf_begin_array(g, "k.ints", GGUF_I32, 2, &e));
    assert_ok(gguf_array_i32(g, 1, &e));
    assert_ok(gguf_array_i32(g, -2, &e));
    assert_ok(gguf_begin_array(g, "k.floats", GGUF_F32, 2, &e));
    assert_ok(gguf_array_f32(g, 0.5f, &e));
    assert_ok(gguf_array_f32(g, -1.5f, &e));
    assert_ok(gguf_add_strn(g, "k.str", "h\xC3\xA9llo!", 6, &e));
    assert_ok(gguf_add_tensor(g, "a.weight", DT_F32, 2, (int64_t[]){2, 3}, &e));
    assert_ok(gguf_add_tensor(g, "b.weight", DT_F16, 1, (int64_t[]){3}, &e));
    assert_ok(gguf_add_tensor(g, "q", DT_Q8_0, 2, (int64_t[]){2, 32}, &e));
    assert_ok(gguf_begin_data(g, &e));
    assert_ok(gguf_write(g, a, sizeof a, &e));
    assert_ok(gguf_end_tensor(g, &e));
    assert_ok(gguf_write(g, b, sizeof b, &e));
    assert_ok(gguf_end_tensor(g, &e));
    assert_ok(gguf_write(g, q, 30, &e));
    assert_ok(gguf_write(g, q + 30, 38, &e));
    assert_ok(gguf_end_tensor(g, &e));
    assert_false(file_exists(in_dir("w.gguf")));
    assert_ok(gguf_commit(g, &e));
    gguf_writer_close(g);
    assert_same_file(in_dir("w.gguf"), DIR "written.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_of_every_dtype),
        cmocka_unit_test(fp8_weights_carry_their_scales),
        cmocka_unit_test(shards_are_one_model),
        cmocka_unit_test(a_get_that_does_not_fit_says_all),
        cmocka_unit_test(gguf_tensors),
        cmocka_unit_test(gguf_numbers),
        cmocka_unit_test(gguf_strings_and_arrays),
        cmocka_unit_test(safetensors_are_written_as_theirs),
        cmocka_unit_test(gguf_is_written_as_theirs),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
