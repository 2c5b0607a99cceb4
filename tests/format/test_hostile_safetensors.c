/* safetensors files that are cut short, corrupted or made to deceive: an error that names the file,
 * or a valid parse; never a read out of bounds (maps end at the file's end under AddressSanitizer).
 */
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/read_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct memory_file file;

/* Opens the file as it stands; any error must name it. Gives the error's code. */
static err_code try_open(struct err *e)
{
    struct safetensors s;
    e->msg[0] = 0;
    err_code rc = st_open(&s, file.path, e);
    if (rc && !strstr(e->msg, file.path))
        fail_msg("does not name the file: %s", e->msg);
    if (!rc)
        read_safetensors(&s);
    st_close(&s);
    return rc;
}

/* A file of this header (its length in front) and n_data bytes. */
static void set_file(const char *header, size_t n_data)
{
    static uint8_t bytes[1 << 16];
    size_t n = strlen(header);
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(n >> 8 * i);
    memcpy(bytes + 8, header, n);
    memory_file_set(&file, bytes, 8 + n + n_data);
}

static void deceptions(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
        const char *says; /* NULL: it is a valid file */
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, NULL},
        {"{}", 0, NULL},
        {"{\"__metadata__\":{\"format\":\"pt\"}}  ", 0, NULL},
        {"{\"__metadata__\":{\"format\":\"p\\u0074\"}}", 0, NULL},
        {"{\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[2.0],\"more\":[{}],\"data_offsets\":[0,8]}}",
         8, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[0,0]}}", 0, NULL},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,3]}}", 3, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
         "after the file's end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9,
         "belong to no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,12]}}", 12, "by its offsets"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "takes 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0.5,8.5]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"a\":0,\"b\":8}}}", 8,
         "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551616]}}", 8,
         "data_offsets"},
        {"{\"a\":{\"dtype\":\"Q\",\"shape\":[2],\"data_offsets\":[0,9007199254740991]}}", 8, "end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4,
         "no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,4096],\"data_offsets\":[0,0]}}", 0,
         "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":["
         "0,0]}}",
         0, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,1,1,4503599627370496,4503599627370496],"
         "\"data_offsets\":[0,0]}}",
         0, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,6]}}", 6, "no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8, "no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1e999],\"data_offsets\":[0,8]}}", 8, "no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "shape"},
        {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype"},
        {"{\"a\":{\"dtype\":\"0123456789abcdef\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
         "dtype"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype"},
        {"{\"a\":7}", 0, "dtype"},
        {"{\"a\":null}", 0, "dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
         7, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         4, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
         9, "gap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
         8, "twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         4, "twice"},
        {"{\"\\u001b[2J\":7}", 0, "dtype"},
        {"[]", 0, "header"},
        {" {}", 0, "header"},
        {"{", 0, "header"},
        {"{}x", 0, "JSON"},
        {"{\"a\":}", 0, "line 1, column 6"},
        {"{\"a\":1,", 0, "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        set_file(cases[i].header, cases[i].n_data);
        err_code rc = try_open(&e);
        if (!cases[i].says && rc)
            fail_msg("%s: %s", cases[i].header, e.msg);
        if (cases[i].says && (rc != ERR_FORMAT || !strstr(e.msg, cases[i].says)))
            fail_msg("%s: expected \"%s\": %d %s", cases[i].header, cases[i].says, rc, e.msg);
    }
}

/* Opens a file of this header as it is, and once more with an escape in it, which only the thorough
 * reader takes: both should say and give the same. */
static void both_ways(const char *header)
{
    static char longer[4096];
    struct safetensors s, t;
    struct err e = {0}, f = {0};
    set_file(header, 16);
    err_code rc = st_open(&s, file.path, &e);
    snprintf(longer, sizeof longer, "{\"__metadata__\":{\"\\u0041\":\"\"},%s", header + 1);
    set_file(longer, 16);
    if (st_open(&t, file.path, &f) != rc)
        fail_msg("%s: %d %s; %d %s", header, rc, e.msg, f.code, f.msg);
    if (rc)
        return;
    assert_int_equal(s.n_entries, t.n_entries);
    for (int64_t i = 0; i < s.n_entries; i++) {
        struct st_entry *a = &s.entries[i], *b = &t.entries[i];
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->dtype_name, b->dtype_name);
        assert_true(a->offset == b->offset && a->n_bytes == b->n_bytes);
        assert_true(a->tensor.dtype == b->tensor.dtype && a->tensor.n_dims == b->tensor.n_dims &&
                    a->tensor.ld == b->tensor.ld && !a->tensor.data == !b->tensor.data);
        assert_memory_equal(a->tensor.shape, b->tensor.shape, sizeof a->tensor.shape);
    }
    st_close(&s);
    st_close(&t);
}

static void the_quick_reader_takes_what_the_thorough_takes(void **state)
{
    (void)state;
    static const char header[] =
        "{\"ab\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
        "\"ac\" : {\"dtype\":\"U8\", \"shape\":[1,1,2,1,1,2],\"data_offsets\":[8,12]},\n"
        "\"ad\":{\"shape\":[],\"dtype\":\"F32\",\"data_offsets\":[12,16]}}";
    unsigned seed = 11;
    char text[sizeof header];
    both_ways(header);
#ifdef __SANITIZE_ADDRESS__
    enum { N = 3000 };
#else
    enum { N = 30000 };
#endif
    for (int i = 0; i < N; i++) {
        memcpy(text, header, sizeof header);
        for (int k = rand_r(&seed) % 2; k >= 0; k--)
            text[1 + (size_t)rand_r(&seed) % (sizeof header - 2)] =
                "{}[]\":,\\ u0dsx18.e-\xC3\x01"[(size_t)rand_r(&seed) % 22];
        both_ways(text);
    }
}

static void header_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0,          1,          3,          100,       100000001,
                                       1ull << 31, 1ull << 32, 1ull << 63, ~0ull - 8, ~0ull};
    struct err e;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        set_file("{}", 0);
        for (int k = 0; k < 8; k++)
            memory_file_patch(&file, (size_t)k, (uint8_t)(lengths[i] >> 8 * k));
        assert_int_equal(try_open(&e), ERR_FORMAT);
    }
    for (size_t n = 0; n < 10; n++) {
        memory_file_set(&file, "\2\0\0\0\0\0\0\0{}", n);
        assert_int_equal(try_open(&e), ERR_FORMAT);
    }
}

/* A committed file, cut at every length and with every byte of its header changed. */
static void cut_and_corrupted(void **state)
{
    (void)state;
    struct err e;
    struct buf b = {0};
    assert_int_equal(file_read("tests/vectors/format/mixed.safetensors", 1 << 20, &b, &e), 0);
    for (size_t n = 0; n < b.len; n++) {
        memory_file_set(&file, b.data, n);
        if (!try_open(&e))
            fail_msg("cut to %zu bytes, yet it opened", n);
    }
    memory_file_set(&file, b.data, b.len);
    assert_int_equal(try_open(&e), 0);
    size_t n_header = 8 + (size_t)(uint8_t)b.data[0] + 256 * (size_t)(uint8_t)b.data[1];
    assert_true(n_header < b.len);
#ifdef __SANITIZE_ADDRESS__
    enum { STEP = 13 };
#else
    enum { STEP = 5 };
#endif
    for (size_t i = 0; i < n_header; i++) {
        for (int x = 1; x < 256; x += STEP) {
            memory_file_patch(&file, i, (uint8_t)(b.data[i] ^ x));
            err_code rc = try_open(&e);
            if (rc != ERR_OK && rc != ERR_FORMAT)
                fail_msg("byte %zu: error %d: %s", i, rc, e.msg);
        }
        memory_file_patch(&file, i, (uint8_t)b.data[i]);
    }
    buf_dispose(&b);
}

/* Many names that a hash table would put in one place cost no more than others. */
static void many_tensors(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct err e;
    struct buf b = {0};
    assert_int_equal(buf_str(&b, "12345678{", &e), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(
            buf_printf(&b, &e, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                       i ? "," : "", i * 7919 % N, i, i + 1),
            0);
    assert_int_equal(buf_str(&b, "}", &e), 0);
    uint64_t n = b.len - 8;
    for (int i = 0; i < 8; i++)
        b.data[i] = (char)(n >> 8 * i);
    static const char zeros[N];
    assert_int_equal(buf_add(&b, zeros, N, &e), 0);
    memory_file_set(&file, b.data, b.len);
    assert_int_equal(try_open(&e), 0);
    buf_dispose(&b);
}

static void the_writer_refuses(void **state)
{
    (void)state;
    struct err e;
    struct st_writer *w;
    static const char path[] = "/tmp/decant-test-no-such-file.safetensors";
    assert_int_equal(st_writer_open(&w, "/no/such/directory/x", &e), ERR_NOTFOUND);
    assert_null(w);
    assert_int_equal(st_writer_open(&w, path, &e), 0);
    assert_int_equal(st_add_tensor(w, "q", DT_Q4_K, 1, (int64_t[]){256}, &e), ERR_UNSUPPORTED);
    assert_int_equal(st_add_tensor(w, "x", DT_F32, 1, (int64_t[]){-1}, &e), ERR_USAGE);
    assert_int_equal(st_add_tensor(w, "x", DT_F32, 2, (int64_t[]){INT64_MAX, 3}, &e), ERR_USAGE);
    assert_int_equal(st_write(w, "", 1, &e), ERR_STATE);
    assert_int_equal(st_commit(w, &e), ERR_STATE);
    assert_int_equal(st_add_tensor(w, "x", DT_U8, 1, (int64_t[]){3}, &e), 0);
    assert_int_equal(st_begin_data(w, &e), 0);
    assert_int_equal(st_add_tensor(w, "y", DT_U8, 1, (int64_t[]){3}, &e), ERR_STATE);
    assert_int_equal(st_add_metadata(w, "k", "v", &e), ERR_STATE);
    assert_int_equal(st_write(w, "abcd", 4, &e), ERR_STATE);
    assert_int_equal(st_write(w, "ab", 2, &e), 0);
    assert_int_equal(st_commit(w, &e), ERR_STATE);
    assert_non_null(strstr(e.msg, path));
    st_writer_close(w);
    assert_int_equal(st_writer_open(&w, path, &e), 0);
    assert_int_equal(st_add_tensor(w, "x", DT_U8, 1, (int64_t[]){3}, &e), 0);
    assert_int_equal(st_add_tensor(w, "x", DT_U8, 1, (int64_t[]){3}, &e), 0);
    assert_int_equal(st_begin_data(w, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "twice"));
    st_writer_close(w);
    assert_false(file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deceptions),
        cmocka_unit_test(header_lengths),
        cmocka_unit_test(the_quick_reader_takes_what_the_thorough_takes),
        cmocka_unit_test(cut_and_corrupted),
        cmocka_unit_test(many_tensors),
        cmocka_unit_test(the_writer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
