/* Files that pass through: what is read and what was written is the same as ever. */
#include "core/base/passing.h"
#include "tests/base/temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

static void all_is_read_in_order(void **state)
{
    (void)state;
    size_t n = 2 * PASSING_READ_BYTES + 12345, at = 0;
    uint8_t *bytes = malloc(n), *got = malloc(n + PASSING_READ_BYTES);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    int fd = open(write_file(in_dir("read"), bytes, n), O_RDONLY);
    for (ssize_t k; (k = passing_read(fd, got + at, PASSING_READ_BYTES)) != 0; at += (size_t)k)
        assert_true(k > 0 && at + (size_t)k <= n);
    assert_int_equal(at, n);
    assert_memory_equal(got, bytes, n);
    close(fd);
    free(bytes);
    free(got);
}

static void a_pipe_can_be_read(void **state)
{
    (void)state;
    int ends[2];
    char got[16] = "";
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "hello", 5), 5);
    close(ends[1]);
    assert_int_equal(passing_read(ends[0], got, sizeof got), 5);
    assert_string_equal(got, "hello");
    assert_int_equal(passing_read(ends[0], got, sizeof got), 0);
    close(ends[0]);
    assert_int_equal(passing_read(ends[0], got, sizeof got), -1);
}

static void what_is_written_stays(void **state)
{
    (void)state;
    enum { N = 24, PIECE = 20 << 20 }; /* with holes, so that it takes no time */
    int fd = open(in_dir("written"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct passing p = passing_begin(in_dir("written"));
    assert_true(p.fd >= 0);
    for (int i = 0; i < N; i++) {
        off_t at = (off_t)i * PIECE;
        assert_int_equal(pwrite(fd, &i, sizeof i, at + PIECE - (off_t)sizeof i), sizeof i);
        passing_written(&p);
        if (i) /* also what lies far behind may change */
            assert_int_equal(pwrite(fd, &i, sizeof i, at / 2), sizeof i);
    }
    assert_true(p.started > (uint64_t)(N - 1) * PIECE && p.forgotten > PIECE);
    passing_end(&p);
    passing_end(&p);
    for (int i = 0; i < N; i++) {
        int last = -1, changed = -1;
        off_t at = (off_t)i * PIECE;
        assert_int_equal(pread(fd, &last, sizeof last, at + PIECE - (off_t)sizeof last),
                         sizeof last);
        assert_int_equal(pread(fd, &changed, sizeof changed, at / 2), sizeof changed);
        assert_true(last == i && changed == i);
    }
    close(fd);
}

static void a_file_that_is_not_there_is_let_be(void **state)
{
    (void)state;
    struct passing p = passing_begin(in_dir("absent"));
    assert_int_equal(p.fd, -1);
    passing_written(&p);
    passing_end(&p);
}

static void what_is_read_may_be_forgotten(void **state)
{
    (void)state;
    struct passing p = passing_begin_read(write_file(in_dir("small"), "hello", 5));
    assert_int_equal(p.fd, -1);
    passing_read_to(&p, 1 << 30);
    int fd = open(in_dir("huge"), O_RDWR | O_CREAT | O_TRUNC, 0600); /* of holes */
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    p = passing_begin_read(in_dir("huge"));
    assert_true(p.fd >= 0);
    if (p.bytes) { /* else the system does not tell what is cached */
        assert_true(p.bytes == (uint64_t)1 << 40);
        assert_int_equal(pwrite(fd, "hello", 5, 12345), 5);
        passing_read_to(&p, 1000);
        assert_true(p.forgotten == 0);
        passing_read_to(&p, 1 << 30);
        assert_true(p.forgotten > 800 << 20 && p.forgotten < 1 << 30);
        char got[5];
        assert_int_equal(pread(fd, got, 5, 12345), 5);
        assert_memory_equal(got, "hello", 5);
    }
    passing_end(&p);
    close(fd);
    unlink(in_dir("huge"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_read_in_order),
        cmocka_unit_test(a_pipe_can_be_read),
        cmocka_unit_test(what_is_written_stays),
        cmocka_unit_test(a_file_that_is_not_there_is_let_be),
        cmocka_unit_test(what_is_read_may_be_forgotten),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
