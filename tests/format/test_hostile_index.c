/* HF directories that are incomplete, inconsistent or made to deceive: every one is refused with an
 * error that names the file, and nothing outside the directory is opened. */
#include "tests/base/temp_dir.h"
#include "tests/fuzz/read_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A safetensors file of one-element F32 tensors with these names, space-separated. */
static void write_shard(const char *path, const char *names)
{
    struct err e;
    struct st_writer *w;
    char name[64];
    int n = 0, at = 0, used;
    assert_int_equal(st_writer_open(&w, path, &e), 0);
    while (sscanf(names + at, "%63s%n", name, &used) == 1) {
        assert_int_equal(st_add_tensor(w, name, DT_F32, 1, (int64_t[]){1}, &e), 0);
        at += used;
        n++;
    }
    assert_int_equal(st_begin_data(w, &e), 0);
    for (float x = 0; n > 0; n--, x++)
        assert_int_equal(st_write(w, &x, sizeof x, &e), 0);
    assert_int_equal(st_commit(w, &e), 0);
    st_writer_close(w);
}

static err_code try_open(const char *path, struct err *e)
{
    struct weights *w;
    e->msg[0] = 0;
    err_code rc = weights_open(path, &w, e);
    if (rc && !strstr(e->msg, temp_dir))
        fail_msg("does not name the file: %s", e->msg);
    if (!rc)
        read_weights(w);
    weights_close(w);
    return rc;
}

/* The directory "m" with shards s1 (a, b) and s2 (c), sub/s3 (d), and above it a file "outside". */
static int setup(void **state)
{
    struct err e;
    if (temp_dir_setup(state) || file_make_dir(in_dir("m/sub"), &e))
        return -1;
    write_shard(in_dir("m/s1.safetensors"), "a b");
    write_shard(in_dir("m/s2.safetensors"), "c");
    write_shard(in_dir("m/s4.safetensors"), "a e");
    write_shard(in_dir("m/sub/s3.safetensors"), "d");
    write_shard(in_dir("outside.safetensors"), "a");
    write_text(in_dir("m/s1.bin"), "not safetensors");
    return 0;
}

static void indexes(void **state)
{
    (void)state;
#define S1 "\"s1.safetensors\""
#define S2 "\"s2.safetensors\""
    static const struct {
        const char *index;
        const char *says; /* NULL: it is valid */
    } cases[] = {
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 "}}", NULL},
        {"{\"metadata\":{},\"weight_map\":{\"c\":" S2 ",\"b\":" S1 ",\"a\":" S1 "}}", NULL},
        {"{\"weight_map\":{\"d\":\"sub/s3.safetensors\"}}", NULL},
        {"{\"metadata\":{\"total_size\":12.0},\"weight_map\":{\"c\":" S2 ",\"b\":" S1
         ",\"\\u0061\":" S1 "}}",
         NULL},
        {" { \"metadata\" : {\"total_size\": 12},\n \"weight_map\":{ \"c\":" S2 "} } ", NULL},
        {"{\"weight_map\":{\"a\":" S1 "}}", "\"b\" of shard s1.safetensors is not listed"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"x\":" S1 "}}",
         "\"x\" is not in its shard s1"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"c\":" S1 "}}",
         "\"c\" is not in its shard s1"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S2 ",\"c\":" S2 "}}",
         "in shard s2.safetensors, but"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"a\":" S2 ",\"c\":" S2 "}}", "\"a\" twice"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"e\":\"s4.safetensors\"}}",
         "\"a\" in shard s1.safetensors, but it is in s4"},
        {"{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"c\":\"absent.safetensors\"}}",
         "absent.safetensors"},
        {"{\"weight_map\":{\"a\":\"../outside.safetensors\"}}", "no file below the directory"},
        {"{\"weight_map\":{\"a\":\"sub/../../outside.safetensors\"}}",
         "no file below the directory"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "no file below the directory"},
        {"{\"weight_map\":{\"a\":\"..\\\\outside.safetensors\"}}", "no file below the directory"},
        {"{\"weight_map\":{\"a\":\"\"}}", "no file below the directory"},
        {"{\"weight_map\":{\"a\":\".\"}}", "not a regular file"},
        {"{\"weight_map\":{\"a\":\"sub\"}}", "not a regular file"},
        {"{\"weight_map\":{\"a\":\"s1.bin\"}}", "s1.bin"},
        {"{\"weight_map\":{\"a\":7}}", "no file below the directory: (no string)"},
        {"{\"weight_map\":{\"a\":null}}", "no file below the directory: (no string)"},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{\"weight_map\":[" S1 "]}", "weight_map"},
        {"{\"weight_map\":" S1 "}", "weight_map"},
        {"{}", "weight_map"},
        {"[]", "weight_map"},
        {"{\"weight_map\":{\"a\":" S1, "not valid JSON"},
        {"", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        write_text(in_dir("m/model.safetensors.index.json"), cases[i].index);
        err_code rc = try_open(in_dir("m"), &e);
        if (cases[i].says ? !rc || !strstr(e.msg, cases[i].says) : rc)
            fail_msg("%s: expected \"%s\": %d %s", cases[i].index,
                     cases[i].says ? cases[i].says : "", rc, e.msg);
    }
}

static void put_index(const char *text, size_t n)
{
    const char *path = in_dir("m/model.safetensors.index.json");
    remove(path); /* some file systems write a file that is truncated to disk at once */
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fwrite(text, 1, n, f);
    fclose(f);
}

static void an_index_cut_and_corrupted(void **state)
{
    (void)state;
    static const char index[] = "{\"weight_map\":{\"a\":" S1 ",\"b\":" S1 ",\"c\":" S2 "}}";
    char text[sizeof index];
    struct err e;
    for (size_t n = 0; n < sizeof index - 1; n++) {
        put_index(index, n);
        assert_int_equal(try_open(in_dir("m"), &e), ERR_FORMAT);
    }
    for (size_t i = 0; i < sizeof index - 1; i++)
        for (int x = 1; x < 256; x += 12) {
            memcpy(text, index, sizeof index);
            text[i] = (char)(text[i] ^ x);
            put_index(text, sizeof index - 1);
            if (!try_open(in_dir("m"), &e))
                fail_msg("opened: %s", text);
        }
    put_index(index, sizeof index - 1);
    assert_int_equal(try_open(in_dir("m"), &e), 0);
}

static void directories_without_weights(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(file_make_dir(in_dir("p"), &e), 0);
    assert_int_equal(try_open(in_dir("p"), &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "model.safetensors"));
    write_text(in_dir("p/pytorch_model.bin"), "PK");
    assert_int_equal(try_open(in_dir("p"), &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "convert it to safetensors"));
    assert_int_equal(try_open(in_dir("p/pytorch_model.bin"), &e), ERR_UNSUPPORTED);
    assert_int_equal(try_open(write_text(in_dir("p/x.pt"), "PK"), &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "convert it to safetensors"));
    assert_int_equal(try_open(in_dir("p/absent.pt"), &e), ERR_NOTFOUND);
    assert_int_equal(try_open(in_dir("absent"), &e), ERR_NOTFOUND);
    assert_int_equal(try_open(write_text(in_dir("p/config.json"), "{}"), &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "did you mean"));
    assert_int_equal(try_open(write_text(in_dir("p/text"), "hello"), &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "GGUF"));
    assert_int_equal(try_open(write_text(in_dir("p/empty.safetensors"), ""), &e), ERR_FORMAT);
    assert_int_equal(try_open(write_text(in_dir("p/empty.gguf"), ""), &e), ERR_FORMAT);
}

static void configs(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"{\"quantization_config\":{\"weight_block_size\":[128,128]}}", NULL},
        {"{\"quantization_config\":null}", NULL},
        {"{\"quantization_config\":{\"weight_block_size\":[0,128]}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":[128]}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":[128,128,1]}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":[128,1e18]}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":[128,2.5]}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":\"128\"}}", "weight_block_size"},
        {"{\"quantization_config\":{\"weight_block_size\":[\"128\",128]}}", "weight_block_size"},
        {"{\"a\":1", "not valid JSON"},
    };
    assert_true(file_make_dir(in_dir("c"), NULL) == 0);
    write_shard(in_dir("c/model.safetensors"), "a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        write_text(in_dir("c/config.json"), cases[i].config);
        err_code rc = try_open(in_dir("c"), &e);
        if (cases[i].says ? rc != ERR_FORMAT || !strstr(e.msg, cases[i].says) : rc)
            fail_msg("%s: %d %s", cases[i].config, rc, e.msg);
    }
}

/* One FP8 matrix [5, 7] and, when a dtype is given, a scale; blocks of 4. pad bytes stand in front
 * of the scale. */
static void write_fp8(const char *name, enum dtype scale, int64_t rows, int64_t cols, int64_t pad)
{
    static const uint8_t zeros[256];
    struct err e;
    struct st_writer *w;
    assert_int_equal(st_writer_open(&w, in_dir("f/model.safetensors"), &e), 0);
    st_add_tensor(w, name, DT_F8_E4M3, 2, (int64_t[]){5, 7}, &e);
    st_add_tensor(w, "pad", DT_U8, 1, &pad, &e);
    if (scale)
        st_add_tensor(w, "x.weight_scale_inv", scale, 2, (int64_t[]){rows, cols}, &e);
    assert_int_equal(st_begin_data(w, &e), 0);
    uint8_t ones[35];
    memset(ones, 0x38, sizeof ones); /* 1.0 */
    st_write(w, ones, 35, &e);
    st_write(w, zeros, (size_t)pad, &e);
    for (int64_t i = 0; i < rows * cols && scale == DT_F32; i++)
        st_write(w, &(float){(float)i + 1}, 4, &e);
    if (scale != DT_F32)
        st_write(w, zeros, (size_t)(rows * cols * 2), &e);
    assert_int_equal(st_commit(w, &e), 0);
    st_writer_close(w);
}

static void fp8_scales(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(file_make_dir(in_dir("f"), &e), 0);
    write_text(in_dir("f/config.json"), "{\"quantization_config\":{\"weight_block_size\":[4,4]}}");
    static const struct {
        const char *name;
        enum dtype scale;
        int64_t rows, cols;
        const char *says;
    } cases[] = {
        {"x.weight", DT_NONE, 0, 0, "x.weight_scale_inv"}, {"x.weight", DT_F32, 2, 1, "[2, 1]"},
        {"x.weight", DT_F32, 1, 2, "wanted f32 [2, 2]"},   {"x.weight", DT_BF16, 2, 2, "bf16"},
        {"y", DT_NONE, 0, 0, "no matrix named X.weight"},
    };
    struct weights *w;
    struct tensor t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_fp8(cases[i].name, cases[i].scale, cases[i].rows, cases[i].cols, 1);
        assert_int_equal(weights_open(in_dir("f"), &w, &e), 0);
        assert_int_not_equal(weights_get(w, cases[i].name, 0, NULL, &t, &e), 0);
        if (!strstr(e.msg, cases[i].says) || !strstr(e.msg, temp_dir))
            fail_msg("expected \"%s\": %s", cases[i].says, e.msg);
        weights_close(w);
    }
    for (int64_t pad = 0; pad < 4; pad++) { /* aligned and not */
        write_fp8("x.weight", DT_F32, 2, 2, pad);
        assert_int_equal(weights_open(in_dir("f"), &w, &e), 0);
        assert_int_equal(weights_get(w, "x.weight", 2, (int64_t[]){5, 7}, &t, &e), 0);
        assert_int_equal((uintptr_t)t.scale % 4, 0);
        float row[7];
        tensor_row_f32(&t, 4, row);
        assert_true(row[0] == 3 && row[6] == 4);
        weights_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes),
        cmocka_unit_test(an_index_cut_and_corrupted),
        cmocka_unit_test(directories_without_weights),
        cmocka_unit_test(configs),
        cmocka_unit_test(fp8_scales),
    };
    return cmocka_run_group_tests(tests, setup, temp_dir_teardown);
}
