/* Files: maps, limits, atomic replacement, trees, contained paths. */
#include "tests/base/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <dirent.h>
#include <cmocka.h>

static void assert_content(const char *path, const char *want)
{
    struct buf b = {0};
    struct err e;
    assert_int_equal(file_read(path, 1 << 20, &b, &e), 0);
    assert_string_equal(b.data, want);
    buf_dispose(&b);
}

static int n_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void a_map_shows_the_file(void **state)
{
    (void)state;
    struct err e = {0};
    struct file_map m;
    assert_int_equal(file_map_open(&m, write_text(in_dir("m"), "hello"), &e), 0);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    file_map_close(&m);
    file_map_close(&m);
    assert_int_equal(file_map_open(&m, write_text(in_dir("empty"), ""), &e), 0);
    assert_true(m.data == NULL && m.size == 0);
    file_map_close(&m);
}

static void what_cannot_be_mapped_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct file_map m;
    assert_int_equal(file_map_open(&m, in_dir("absent"), &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, in_dir("absent")));
    assert_int_equal(file_map_open(&m, temp_dir, &e), ERR_IO);
    assert_non_null(strstr(e.msg, temp_dir));
    file_map_close(&m);
}

static void reading_has_a_limit(void **state)
{
    (void)state;
    struct err e = {0};
    char text[10001];
    memset(text, 'a', 10000);
    text[10000] = 0;
    const char *path = write_text(in_dir("long"), text);
    struct buf b = {0};
    assert_int_equal(file_read(path, 10000, &b, &e), 0);
    assert_int_equal(b.len, 10000);
    assert_string_equal(b.data, text);
    buf_clear(&b);
    assert_int_equal(file_read(path, 9999, &b, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, path));
    buf_clear(&b);
    assert_int_equal(file_read(temp_dir, 9999, &b, &e), ERR_IO);
    assert_int_equal(file_read(in_dir("absent"), 9999, &b, &e), ERR_NOTFOUND);
    buf_dispose(&b);
}

static void a_file_is_replaced_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    struct err e = {0};
    const char *path = write_text(in_dir("replaced"), "old");
    int n = n_entries(temp_dir);
    struct file_writer w;
    assert_int_equal(file_writer_open(&w, path, &e), 0);
    assert_int_equal(file_writer_add(&w, "ne", 2, &e), 0);
    assert_content(path, "old");
    file_writer_close(&w); /* given up */
    assert_content(path, "old");
    assert_int_equal(n_entries(temp_dir), n);

    assert_int_equal(file_writer_open(&w, path, &e), 0);
    assert_int_equal(file_writer_add(&w, "ne", 2, &e), 0);
    assert_int_equal(file_writer_add(&w, "w!", 2, &e), 0);
    assert_int_equal(w.n_bytes, 4);
    assert_content(path, "old");
    assert_int_equal(file_writer_commit(&w, &e), 0);
    file_writer_close(&w);
    file_writer_close(&w);
    assert_content(path, "new!");
    assert_int_equal(n_entries(temp_dir), n);
}

static void writing_where_one_cannot_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_replace(in_dir("no/such/dir/x"), "a", 1, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, in_dir("no/such/dir/x: there is no directory")));
    assert_null(strstr(e.msg, ".tmp")); /* what the user named, not what we write meanwhile */
    char name[260] = "";
    memset(name, 'n', sizeof name - 1);
    assert_int_equal(file_replace(in_dir(name), "a", 1, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "nnn: File name too long"));
    /* A full disk shows at the latest when the file is committed. */
    struct file_writer w;
    if (file_exists("/dev/full") && file_writer_open(&w, in_dir("full"), &e) == 0) {
        assert_non_null(freopen("/dev/full", "w", w.f));
        err_code rc = file_writer_add(&w, "x", 1, &e);
        assert_int_equal(rc ? rc : file_writer_commit(&w, &e), ERR_IO);
        assert_null(strstr(e.msg, ".tmp"));
        file_writer_close(&w);
        assert_false(file_exists(in_dir("full")));
    }
}

static void only_a_file_is_replaced(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(file_replace(in_dir("pipe"), "a", 1, &e), ERR_IO);
    assert_non_null(strstr(e.msg, in_dir("pipe")));
    struct stat st;
    assert_int_equal(stat(in_dir("pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(unlink(in_dir("pipe")), 0);
    assert_int_equal(file_replace(temp_dir, "a", 1, &e), ERR_IO);
}

static void trees_are_made_and_removed(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_make_dir(in_dir("t/u/v"), &e), 0);
    assert_int_equal(file_make_dir(in_dir("t/u/v/"), &e), 0);
    write_text(in_dir("t/u/f"), "x");
    assert_int_equal(file_make_dir(in_dir("t/u/f"), &e), ERR_IO);
    assert_int_not_equal(file_make_dir(in_dir("t/u/f/g"), &e), 0);
    assert_int_equal(file_make_dir("", &e), ERR_USAGE);
    assert_int_equal(file_make_dir("/", &e), 0);
    /* A link out of the tree is removed; what it points to stays. */
    write_text(in_dir("kept"), "kept");
    assert_int_equal(symlink(temp_dir, in_dir("t/out")), 0);
    assert_int_equal(file_remove_tree(in_dir("t"), &e), 0);
    assert_false(file_exists(in_dir("t")));
    assert_content(in_dir("kept"), "kept");
    assert_int_equal(file_remove_tree(in_dir("t"), &e), 0);
}

static void a_near_directory_is_suggested(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_make_dir(in_dir("s/model"), &e), 0);
    assert_int_equal(file_make_dir(in_dir("s/other"), &e), 0);
    err_set(&e, ERR_NOTFOUND, "not here");
    file_suggest_below(in_dir("s"), "config.json", &e);
    assert_string_equal(e.msg, "not here"); /* nothing below has one */
    char want[600];
    assert_int_equal(file_make_dir(in_dir("s/other/final"), &e), 0);
    write_text(in_dir("s/other/final/config.json"), "{}");
    err_set(&e, ERR_NOTFOUND, "not here");
    file_suggest_below(in_dir("s"), "config.json", &e); /* only further down */
    snprintf(want, sizeof want, "not here; did you mean %s?", in_dir("s/other/final"));
    assert_string_equal(e.msg, want);
    write_text(in_dir("s/model/config.json"), "{}");
    err_set(&e, ERR_NOTFOUND, "not here");
    file_suggest_below(in_dir("s"), "config.json", &e);
    snprintf(want, sizeof want, "not here; did you mean %s?", in_dir("s/model"));
    assert_string_equal(e.msg, want);
    write_text(in_dir("s/other/config.json"), "{}");
    err_set(&e, ERR_NOTFOUND, "not here");
    file_suggest_below(in_dir("s/"), "config.json", &e);
    snprintf(want, sizeof want, "not here; did you mean %s or %s?", in_dir("s/model"),
             in_dir("s/other"));
    assert_string_equal(e.msg, want);
    file_suggest_below(in_dir("absent"), "config.json", &e);
    assert_string_equal(e.msg, want);
}

static void copies_are_equal(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_copy(write_text(in_dir("c1"), "copy"), in_dir("c2"), &e), 0);
    assert_content(in_dir("c2"), "copy");
    assert_int_equal(file_copy(write_text(in_dir("c1"), ""), in_dir("c2"), &e), 0);
    assert_content(in_dir("c2"), "");
    uint64_t n = 9;
    assert_int_equal(file_size(in_dir("c2"), &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(file_size(in_dir("absent"), &n, &e), ERR_NOTFOUND);
}

static void climbing_paths_are_seen(void **state)
{
    (void)state;
    static const char *const good[] = {"a",       "a/b", "a..b",  "..a",
                                       "a/..b/c", "...", "a/./b", ".hidden"};
    static const char *const bad[] = {"",       "/",    "/a",    "..",      "../a",   "a/..",
                                      "a/../b", "a\\b", "..\\a", "a/b/../", "./../a", "a//.."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!path_is_contained(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (path_is_contained(bad[i]))
            fail_msg("%s", bad[i]);
}

static void paths_are_joined(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < 4; i++) {
        char *p = path_join(cases[i][0], cases[i][1], NULL);
        assert_string_equal(p, cases[i][2]);
        mem_free(p);
    }
    assert_string_equal(path_base("a/b.c"), "b.c");
    assert_string_equal(path_base("b.c"), "b.c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_shows_the_file),
        cmocka_unit_test(what_cannot_be_mapped_is_named),
        cmocka_unit_test(reading_has_a_limit),
        cmocka_unit_test(a_file_is_replaced_as_a_whole_or_not_at_all),
        cmocka_unit_test(writing_where_one_cannot_is_named),
        cmocka_unit_test(only_a_file_is_replaced),
        cmocka_unit_test(trees_are_made_and_removed),
        cmocka_unit_test(a_near_directory_is_suggested),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(climbing_paths_are_seen),
        cmocka_unit_test(paths_are_joined),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
