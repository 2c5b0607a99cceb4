/* GGUF files that are cut short, corrupted or made to deceive: an error that names the file, or a
 * valid parse; never a read out of bounds, never memory beyond the file's own size. */
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/read_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct memory_file file;

static err_code try_open(struct err *e)
{
    struct gguf *g;
    e->msg[0] = 0;
    err_code rc = gguf_open(file.path, &g, e);
    if (rc && !strstr(e->msg, file.path))
        fail_msg("does not name the file: %s", e->msg);
    if (!rc)
        read_gguf(g);
    gguf_close(g);
    return rc;
}

/* A file is put together in this buffer. */
static struct buf b;

static void le(uint64_t v, int n)
{
    for (int i = 0; i < n; i++, v >>= 8)
        assert_int_equal(buf_add(&b, &(uint8_t){(uint8_t)v}, 1, NULL), 0);
}
static void str(const char *s)
{
    le(strlen(s), 8);
    assert_int_equal(buf_str(&b, s, NULL), 0);
}
static void head(uint64_t version, uint64_t n_tensors, uint64_t n_keys)
{
    buf_clear(&b);
    assert_int_equal(buf_str(&b, "GGUF", NULL), 0);
    le(version, 4);
    le(n_tensors, 8);
    le(n_keys, 8);
}
static void key(const char *name, uint64_t type, uint64_t value, int n)
{
    str(name);
    le(type, 4);
    le(value, n);
}
static void tensor(const char *name, int n_dims, const uint64_t *dims, uint64_t type,
                   uint64_t offset)
{
    str(name);
    le((uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims && i < 5; i++)
        le(dims[i], 8);
    le(type, 4);
    le(offset, 8);
}
static void data(size_t n)
{
    while (b.len % 32)
        le(0, 1);
    for (size_t i = 0; i < n; i++)
        le(i, 1);
}

static void expect(const char *what, err_code code, const char *says)
{
    struct err e;
    memory_file_set(&file, b.data, b.len);
    err_code rc = try_open(&e);
    if (rc != code || (says && !strstr(e.msg, says)))
        fail_msg("%s: expected %d \"%s\": %d %s", what, code, says ? says : "", rc,
                 rc ? e.msg : "");
}

static void heads(void **state)
{
    (void)state;
    static const struct {
        uint64_t version, n_tensors, n_keys;
        err_code code;
        const char *says;
    } cases[] = {
        {3, 0, 0, ERR_OK, NULL},
        {2, 0, 0, ERR_OK, NULL},
        {1, 0, 0, ERR_UNSUPPORTED, "version 1"},
        {0, 0, 0, ERR_UNSUPPORTED, "version 0"},
        {4, 0, 0, ERR_UNSUPPORTED, "version 4"},
        {3u << 24, 0, 0, ERR_UNSUPPORTED, "big-endian"},
        {3, 1, 0, ERR_FORMAT, "more than its"},
        {3, 0, 1, ERR_FORMAT, "more than its"},
        {3, ~0ull, 0, ERR_FORMAT, "more than its"},
        {3, 0, ~0ull, ERR_FORMAT, "more than its"},
        {3, 1ull << 63, 1ull << 63, ERR_FORMAT, "more than its"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(cases[i].version, cases[i].n_tensors, cases[i].n_keys);
        expect("head", cases[i].code, cases[i].says);
    }
    head(3, 0, 0);
    b.data[3] = 'X';
    expect("magic", ERR_FORMAT, "not a GGUF file");
}

static void keys(void **state)
{
    (void)state;
    static const struct {
        uint64_t type, value;
        int n_bytes;
        err_code code;
        const char *says;
    } cases[] = {
        {GGUF_U8, 1, 1, ERR_OK, NULL},
        {GGUF_F64, 1, 8, ERR_OK, NULL},
        {GGUF_BOOL, 1, 1, ERR_OK, NULL},
        {GGUF_BOOL, 2, 1, ERR_FORMAT, "truth value"},
        {GGUF_U64, 1, 4, ERR_FORMAT, "past the file's end"},
        {GGUF_STR, 0, 8, ERR_OK, NULL},
        {GGUF_STR, 1, 8, ERR_FORMAT, "past the file's end"},
        {GGUF_STR, ~0ull, 8, ERR_FORMAT, "past the file's end"},
        {13, 0, 8, ERR_FORMAT, "unknown type"},
        {~0u, 0, 8, ERR_FORMAT, "unknown type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(3, 0, 1);
        key("k", cases[i].type, cases[i].value, cases[i].n_bytes);
        expect("key", cases[i].code, cases[i].says);
    }
    static const struct {
        uint64_t type, n;
        err_code code;
        const char *says;
    } arrays[] = {
        {GGUF_U8, 4, ERR_OK, NULL},
        {GGUF_U8, 5, ERR_FORMAT, "past the file's end"},
        {GGUF_I32, 1, ERR_OK, NULL},
        {GGUF_I32, 1ull << 62, ERR_FORMAT, "past the file's end"},
        {GGUF_U64, ~0ull, ERR_FORMAT, NULL},
        {GGUF_STR, 1, ERR_FORMAT, "past the file's end"},
        {GGUF_STR, 0, ERR_OK, NULL},
        {GGUF_STR, ~0ull, ERR_FORMAT, "past the file's end"},
        {GGUF_ARRAY, 1, ERR_UNSUPPORTED, "array of arrays"},
        {99, 1, ERR_FORMAT, "unknown type"},
        {GGUF_BOOL, 4, ERR_FORMAT, "truth value"},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        head(3, 0, 1);
        key("k", GGUF_ARRAY, arrays[i].type, 4);
        le(arrays[i].n, 8);
        le(0x04030201, 4);
        expect("array", arrays[i].code, arrays[i].says);
    }
    head(3, 0, 2);
    key("k", GGUF_U8, 1, 1);
    key("k", GGUF_U16, 1, 2);
    expect("double key", ERR_FORMAT, "\"k\" stands there twice");
    head(3, 0, 1);
    key("", GGUF_U8, 1, 1);
    expect("empty key", ERR_FORMAT, "a key of 0 bytes");
}

static void alignments(void **state)
{
    (void)state;
    static const struct {
        uint64_t type, value;
        int n_bytes;
        const char *says;
    } cases[] = {{GGUF_U32, 32, 4, NULL},
                 {GGUF_U32, 0, 4, "general.alignment"},
                 {GGUF_U32, 24, 4, "no power"},
                 {GGUF_U32, ~0u, 4, "general.alignment"},
                 {GGUF_I32, ~0u, 4, "general.alignment"},
                 {GGUF_F32, 32, 4, "whole number"},
                 {GGUF_U64, ~0ull, 8, "general.alignment"},
                 {GGUF_U32, 8, 4, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(3, 0, 1);
        key("general.alignment", cases[i].type, cases[i].value, cases[i].n_bytes);
        expect("alignment", cases[i].says ? ERR_FORMAT : ERR_OK, cases[i].says);
    }
}

static void tensors(void **state)
{
    (void)state;
    enum { F32 = 0, Q4_K = 12, UNKNOWN = 77 };
    static const struct {
        int n_dims;
        uint64_t dims[5], type, offset;
        size_t n_data;
        const char *says;
    } cases[] = {
        {1, {4}, F32, 0, 16, NULL},
        {2, {4, 0}, F32, 0, 0, NULL},
        {0, {0}, F32, 0, 4, NULL},
        {4, {1, 2, 1, 2}, F32, 0, 16, NULL},
        {5, {1, 1, 1, 1, 4}, F32, 0, 16, "5 dimensions"},
        {-1, {0}, F32, 0, 16, "dimensions"},
        {1, {4}, F32, 0, 15, "past the file's end"},
        {1, {4}, F32, 32, 16, "past the file's end"},
        {1, {4}, F32, 1, 64, "alignment"},
        {1, {4}, F32, ~0ull - 31, 64, "past the file's end"},
        {1, {1ull << 62}, F32, 0, 64, "too large"},
        {1, {~0ull}, F32, 0, 64, "too large"},
        {2, {1ull << 32, 1ull << 32}, F32, 0, 64, "too large"},
        {4, {1ull << 30, 1ull << 30, 1ull << 30, 0}, F32, 0, 64, NULL},
        {4, {0, 1ull << 30, 1ull << 30, 1ull << 30}, F32, 0, 64, "too large"},
        {1, {256}, Q4_K, 0, 144, NULL},
        {1, {128}, Q4_K, 0, 144, "whole number of q4_k blocks"},
        {2, {128, 2}, Q4_K, 0, 144, "whole number of q4_k blocks"},
        {1, {4}, UNKNOWN, 0, 0, NULL},
        {1, {4}, UNKNOWN, 32, 0, "past the file's end"},
        {1, {4}, 4, 0, 0, NULL}, /* types that were removed */
        {1, {4}, ~0u, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(3, 1, 0);
        tensor("t", cases[i].n_dims, cases[i].dims, cases[i].type, cases[i].offset);
        data(cases[i].n_data);
        char what[32];
        snprintf(what, sizeof what, "tensor case %zu", i);
        expect(what, cases[i].says ? ERR_FORMAT : ERR_OK, cases[i].says);
    }
    const uint64_t four = 4, sixteen = 16;
    head(3, 2, 0);
    tensor("t", 1, &four, F32, 0);
    tensor("t", 1, &four, F32, 32);
    data(64);
    expect("double tensor", ERR_FORMAT, "\"t\" stands there twice");
    head(3, 2, 0);
    tensor("t", 1, &sixteen, F32, 0);
    tensor("u", 1, &four, F32, 32);
    data(64);
    expect("overlap", ERR_FORMAT, "overlaps");
    head(3, 2, 0);
    tensor("t", 1, &four, F32, 0);
    tensor("u", 1, &four, F32, 0);
    data(64);
    expect("same place", ERR_FORMAT, "overlaps");
    head(3, 2, 0); /* the other order, with room between: fine */
    tensor("t", 1, &four, F32, 64);
    tensor("u", 1, &four, F32, 0);
    data(80);
    expect("reversed", ERR_OK, NULL);
    head(3, 1, 0);
    tensor("", 1, &four, F32, 0);
    data(64);
    expect("no name", ERR_FORMAT, "name");
    head(3, 1, 0);
    tensor("tu", 1, &four, F32, 0);
    data(64);
    b.data[24 + 8] = 0;
    expect("NUL in a name", ERR_FORMAT, "NUL");
}

static void cut_and_corrupted(void **state)
{
    (void)state;
    struct err e;
    buf_clear(&b);
    assert_int_equal(file_read("tests/vectors/format/mixed.gguf", 1 << 20, &b, &e), 0);
    memory_file_set(&file, b.data, b.len);
    assert_int_equal(try_open(&e), 0);
    /* The last tensor's 176 bytes are padded to 192; without the padding the file still reads. */
    for (size_t n = 0; n < b.len; n++) {
        memory_file_set(&file, b.data, n);
        err_code rc = try_open(&e);
        if ((rc == ERR_OK) != (n >= b.len - 16))
            fail_msg("cut to %zu of %zu bytes: %d %s", n, b.len, rc, e.msg);
    }
    memory_file_set(&file, b.data, b.len);
    enum { N_HEADER = 1088 }; /* the tensors' records end before */
#ifdef __SANITIZE_ADDRESS__
    enum { STEP = 13 };
#else
    enum { STEP = 7 };
#endif
    for (size_t i = 0; i < N_HEADER; i++) {
        for (int x = 1; x < 256; x += STEP) {
            memory_file_patch(&file, i, (uint8_t)(b.data[i] ^ x));
            err_code rc = try_open(&e);
            if (rc != ERR_OK && rc != ERR_FORMAT && rc != ERR_UNSUPPORTED)
                fail_msg("byte %zu: error %d: %s", i, rc, e.msg);
        }
        memory_file_patch(&file, i, (uint8_t)b.data[i]);
    }
}

static void the_writer_refuses(void **state)
{
    (void)state;
    struct err e;
    struct gguf_writer *g;
    static const char path[] = "/tmp/decant-test-no-such-file.gguf";
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    assert_int_equal(gguf_writer_open(&g, "/no/such/directory/x", &e), ERR_NOTFOUND);
    assert_null(g);
    assert_int_equal(gguf_writer_open(&g, path, &e), 0);
    assert_int_equal(gguf_add_tensor(g, "x", DT_F8_E4M3, 1, (int64_t[]){4}, &e), ERR_UNSUPPORTED);
    assert_int_equal(gguf_add_tensor(g, long_name, DT_F32, 1, (int64_t[]){4}, &e), ERR_UNSUPPORTED);
    assert_int_equal(gguf_add_tensor(g, "", DT_F32, 1, (int64_t[]){4}, &e), ERR_UNSUPPORTED);
    assert_int_equal(gguf_add_tensor(g, "x", DT_Q4_K, 2, (int64_t[]){2, 128}, &e), ERR_USAGE);
    assert_int_equal(gguf_add_tensor(g, "x", DT_F32, 2, (int64_t[]){INT64_MAX, 9}, &e), ERR_USAGE);
    assert_int_equal(gguf_add_tensor(g, "x", DT_F32, 5, (int64_t[]){1, 1, 1, 1, 1}, &e), ERR_USAGE);
    assert_int_equal(gguf_array_i32(g, 1, &e), ERR_STATE);
    assert_int_equal(gguf_begin_array(g, "k", GGUF_I32, 2, &e), 0);
    assert_int_equal(gguf_array_f32(g, 1, &e), ERR_STATE);
    assert_int_equal(gguf_array_i32(g, 1, &e), 0);
    assert_int_equal(gguf_add_u32(g, "l", 1, &e), ERR_STATE);
    assert_int_equal(gguf_begin_data(g, &e), ERR_STATE);
    assert_int_equal(gguf_array_i32(g, 2, &e), 0);
    assert_int_equal(gguf_array_i32(g, 3, &e), ERR_STATE);
    assert_int_equal(gguf_add_tensor(g, "x", DT_F32, 1, (int64_t[]){1}, &e), 0);
    assert_int_equal(gguf_write(g, "", 1, &e), ERR_STATE);
    assert_int_equal(gguf_commit(g, &e), ERR_STATE);
    assert_int_equal(gguf_begin_data(g, &e), 0);
    assert_int_equal(gguf_add_u32(g, "l", 1, &e), ERR_STATE);
    assert_int_equal(gguf_write(g, "12345", 5, &e), ERR_STATE);
    assert_int_equal(gguf_write(g, "123", 3, &e), 0);
    assert_int_equal(gguf_end_tensor(g, &e), ERR_STATE);
    assert_int_equal(gguf_write(g, "4", 1, &e), 0);
    assert_int_equal(gguf_commit(g, &e), ERR_STATE);
    assert_int_equal(gguf_end_tensor(g, &e), 0);
    assert_int_equal(gguf_end_tensor(g, &e), ERR_STATE);
    assert_non_null(strstr(e.msg, path));
    gguf_writer_close(g);
    for (int i = 0; i < 2; i++) { /* doubles: keys, tensors */
        assert_int_equal(gguf_writer_open(&g, path, &e), 0);
        assert_int_equal(gguf_add_u32(g, "k", 1, &e), 0);
        assert_int_equal(gguf_add_u32(g, i ? "l" : "k", 1, &e), 0);
        assert_int_equal(gguf_add_tensor(g, "x", DT_F32, 1, (int64_t[]){1}, &e), 0);
        assert_int_equal(gguf_add_tensor(g, i ? "x" : "y", DT_F32, 1, (int64_t[]){1}, &e), 0);
        assert_int_equal(gguf_begin_data(g, &e), ERR_USAGE);
        assert_non_null(strstr(e.msg, "twice"));
        gguf_writer_close(g);
    }
    assert_false(file_exists(path));
}

static int teardown(void **state)
{
    (void)state;
    buf_dispose(&b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(keys),
        cmocka_unit_test(alignments),
        cmocka_unit_test(tensors),
        cmocka_unit_test(cut_and_corrupted),
        cmocka_unit_test(the_writer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
