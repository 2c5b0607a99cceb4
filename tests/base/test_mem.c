/* Memory: checked sizes, zeroed and aligned blocks that cost nothing untouched, buffers, names. */
#include "core/base/mem.h"
#include "core/base/names.h"
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void sums_and_products_are_checked(void **state)
{
    (void)state;
    uint64_t x;
    assert_true(mem_add(UINT64_MAX - 1, 1, &x) && x == UINT64_MAX);
    assert_false(mem_add(UINT64_MAX, 1, &x));
    assert_true(mem_mul(1ull << 32, (1ull << 32) - 1, &x));
    assert_false(mem_mul(1ull << 32, 1ull << 32, &x));
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_null(mem_new(SIZE_MAX / 2, 4, &e));
    assert_int_equal(e.code, ERR_NOMEM);
    assert_null(mem_new(SIZE_MAX, 1, &e));
    void *p = NULL;
    assert_int_equal(mem_grow(&p, SIZE_MAX / 8 + 1, 16, &e), ERR_NOMEM);
    assert_null(p);
    struct buf b = {0};
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &e), ERR_NOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 1, &e), ERR_NOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 2 + 2, &e), ERR_NOMEM);
    assert_null(b.data);
}

static void blocks_are_zeroed_and_aligned(void **state)
{
    (void)state;
    struct err e;
    static const size_t sizes[] = {0,      1,       63,      64,      65,     4096,
                                   100000, 1 << 20, 3000001, 5000000, 9999999};
    for (int round = 0; round < 3; round++) /* later rounds meet memory that was written before */
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *p = mem_new(sizes[i], 1, &e);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            for (size_t k = 0; k < sizes[i]; k++)
                if (p[k])
                    fail_msg("byte %zu of %zu is %d", k, sizes[i], p[k]);
            memset(p, 0xAB, sizes[i]);
            mem_free(p);
        }
}

/* Resident memory in bytes (Linux). */
static long resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, pages = 0;
    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
        pages = -1;
    if (f)
        fclose(f);
    return pages * 4096;
}

static void a_large_block_costs_nothing_until_touched(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer's shadow takes an eighth */
#endif
    struct err e = {0};
    long before = resident();
    if (before < 0)
        skip();
    char *p = mem_new(4, (size_t)1 << 30, &e);
    if (!p)
        skip(); /* an address space limit */
    assert_true(resident() - before < 16 << 20);
    assert_int_equal(p[(size_t)3 << 30], 0);
    mem_free(p);
}

static void a_block_can_grow(void **state)
{
    (void)state;
    struct err e;
    int *p = mem_new(4, sizeof *p, &e);
    p[3] = 42;
    assert_int_equal(mem_grow((void **)&p, 1000000, sizeof *p, &e), 0);
    assert_int_equal(p[3], 42);
    mem_free(p);
    mem_free(NULL);
}

static void buffers_grow_and_end_in_nul(void **state)
{
    (void)state;
    struct err e;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&b, &e, "%03d,", i), 0);
    assert_int_equal(b.len, 4000);
    assert_int_equal(b.data[4000], 0);
    assert_memory_equal(b.data + 4 * 777, "777,", 4);
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    assert_int_equal(buf_add(&b, "a\0b", 3, &e), 0);
    assert_int_equal(buf_add(&b, NULL, 0, &e), 0);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_dispose(&b);
    buf_dispose(&b);
    char *s = mem_strndup("hello", 3, &e);
    assert_string_equal(s, "hel");
    mem_free(s);
}

static void names_are_found(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct err e;
    static char text[N][24];
    struct names x = {0};
    assert_int_equal(names_find(&x, "a", 1), -1);
    assert_int_equal(names_reserve(&x, N, &e), 0);
    for (int64_t i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "blk.%lld.w", (long long)(i * 7919 % N));
        assert_int_equal(names_add(&x, text[i], strlen(text[i]), i), -1);
    }
    for (int64_t i = 0; i < N; i++)
        if (names_find(&x, text[i], strlen(text[i])) != i)
            fail_msg("%s", text[i]);
    assert_int_equal(names_find(&x, "blk.1.", 6), -1);
    assert_int_equal(names_find(&x, "blk.1.wx", 8), -1);
    assert_int_equal(names_find(&x, "", 0), -1);
    names_dispose(&x);
}

static void a_double_name_is_found(void **state)
{
    (void)state;
    struct err e;
    struct names x = {0};
    assert_int_equal(names_reserve(&x, 4, &e), 0);
    assert_int_equal(names_add(&x, "ab", 2, 5), -1);
    assert_int_equal(names_add(&x, "a", 1, 6), -1);
    assert_int_equal(names_add(&x, "abc", 3, 7), -1);
    assert_int_equal(names_add(&x, "abc", 2, 8), 5);
    assert_int_equal(names_find(&x, "ab", 2), 5);
    assert_int_equal(names_find(&x, "abc", 3), 7);
    names_dispose(&x);
    assert_int_equal(names_reserve(&x, 0, &e), 0);
    assert_int_equal(names_find(&x, "", 0), -1);
    names_dispose(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_are_checked),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(blocks_are_zeroed_and_aligned),
        cmocka_unit_test(a_large_block_costs_nothing_until_touched),
        cmocka_unit_test(a_block_can_grow),
        cmocka_unit_test(buffers_grow_and_end_in_nul),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(a_double_name_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
