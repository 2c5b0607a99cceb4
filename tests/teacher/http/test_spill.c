/* Long texts in a file without a name: they read as they would in memory, take little of it, and
 * stay in memory where the file can't take them. */
#include "teacher/http/reply.h"
#include "teacher/http/text.h"
#include "core/base/log.h"
#include "tests/base/temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

enum { N_TEXTS = 40, PIECE = 3000, N_PIECES = 100, LENGTH = PIECE * N_PIECES };

static long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = -1;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) >> 10);
}

static char byte_of(int text, size_t i)
{
    return (char)('a' + (i * 7919 + i / 65536 + (size_t)text) % 26);
}

/* Texts side by side; each byte as it should be, also after one was changed in place. */
static void grow_and_check(struct spill *s)
{
    struct text t[N_TEXTS];
    char piece[PIECE];
    for (int k = 0; k < N_TEXTS; k++)
        t[k] = (struct text){.spill = s};
    for (size_t at = 0; at < LENGTH; at += PIECE)
        for (int k = 0; k < N_TEXTS; k++) {
            for (size_t i = 0; i < PIECE; i++)
                piece[i] = byte_of(k, at + i);
            assert_int_equal(text_add(&t[k], piece, PIECE, NULL), 0);
            if (at == 70 * PIECE)
                t[k].data[5] = '?';
        }
    for (int k = 0; k < N_TEXTS; k++) {
        assert_int_equal(t[k].len, LENGTH);
        for (size_t i = 0; i < LENGTH; i++)
            if (t[k].data[i] != (i == 5 ? '?' : byte_of(k, i)))
                fail_msg("text %d, byte %zu", k, i);
        if (k % 2)
            text_clear(&t[k], 8 << 10);
        else
            text_dispose(&t[k]);
        assert_true(t[k].spill == s && !t[k].data);
    }
}

static void texts_read_as_in_memory(void **state)
{
    (void)state;
    struct spill *s;
    struct err e;
    assert_int_equal(spill_open(temp_dir, LENGTH, SPILL_BLOCKS, &s, &e), 0);
    grow_and_check(s);
    grow_and_check(s); /* in the same blocks */
    spill_close(s);
    spill_close(NULL);
    grow_and_check(NULL);
}

/* Is there such a file here? Not on every file system. */
static bool takes_files(void)
{
    struct spill *s;
    uint32_t block = SPILL_IN_MEMORY;
    assert_int_equal(spill_open(temp_dir, SPILL_BLOCK, 1, &s, NULL), 0);
    char *data = spill_reserve(s);
    assert_true(data && spill_map(s, data, &block));
    spill_unreserve(s, data);
    spill_close(s);
    return block != SPILL_IN_MEMORY;
}

static void they_take_little_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    if (!takes_files())
        skip();
    struct spill *s;
    struct text t[N_TEXTS];
    static char piece[PIECE];
    memset(piece, 'x', PIECE);
    assert_int_equal(spill_open(temp_dir, LENGTH, SPILL_BLOCKS, &s, NULL), 0);
    long before = resident_kb();
    for (int k = 0; k < N_TEXTS; k++)
        t[k] = (struct text){.spill = s};
    for (int i = 0; i < N_PIECES; i++)
        for (int k = 0; k < N_TEXTS; k++)
            assert_int_equal(text_add(&t[k], piece, PIECE, NULL), 0);
    long used = resident_kb() - before;
    if (used > N_TEXTS * 100)
        fail_msg("%ld kB for %d texts of %d kB", used, N_TEXTS, LENGTH / 1000);
    for (int k = 0; k < N_TEXTS; k++)
        text_dispose(&t[k]);
    spill_close(s);
}

static void where_no_file_can_be_they_stay_in_memory(void **state)
{
    (void)state;
    struct spill *s;
    assert_int_equal(spill_open("/no/such/directory", LENGTH, SPILL_BLOCKS, &s, NULL), 0);
    grow_and_check(s);
    spill_close(s);
    assert_int_equal(spill_open(temp_dir, 2 * SPILL_BLOCK, SPILL_BLOCKS, &s, NULL), 0);
    struct text t = {.spill = s};
    struct err e;
    assert_non_null(text_room(&t, 2 * SPILL_BLOCK, &e)); /* the most was a promise */
    t.len = 2 * SPILL_BLOCK;
    assert_null(text_room(&t, 1, &e));
    assert_int_equal(e.code, ERR_NOMEM);
    text_dispose(&t);
    spill_close(s);
}

/* Blocks of the file that texts grown side by side come to have, of LENGTH bytes each. */
static int blocks_in_file(struct spill *s)
{
    struct text t[N_TEXTS];
    int n = 0;
    for (int k = 0; k < N_TEXTS; k++)
        t[k] = (struct text){.spill = s};
    for (size_t at = 0; at < LENGTH; at += PIECE)
        for (int k = 0; k < N_TEXTS; k++) {
            assert_non_null(text_room(&t[k], PIECE, NULL));
            t[k].len += PIECE;
        }
    for (int k = 0; k < N_TEXTS; k++) {
        for (size_t i = 0; t[k].blocks && i < t[k].cap / SPILL_BLOCK; i++)
            n += t[k].blocks[i] != SPILL_IN_MEMORY;
        text_dispose(&t[k]);
    }
    return n;
}

/* Each is a mapping, and a process has only so many. */
static void blocks_have_a_limit(void **state)
{
    (void)state;
    struct spill *s;
    assert_int_equal(spill_open(temp_dir, LENGTH, 30, &s, NULL), 0);
    if (takes_files())
        for (int i = 0; i < 2; i++) /* given back, they can be had again */
            assert_int_equal(blocks_in_file(s), 30);
    grow_and_check(s);
    spill_close(s);
}

/* Reserved addresses would count: the process could have no memory for anything else. */
static void limited_addresses_are_not_reserved(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    struct spill *s;
    struct rlimit had, l;
    getrlimit(RLIMIT_AS, &had);
    l = had;
    l.rlim_cur = 1 << 30;
    assert_int_equal(setrlimit(RLIMIT_AS, &l), 0);
    assert_int_equal(spill_open(temp_dir, REPLY_MAX_BYTES, SPILL_BLOCKS, &s, NULL), 0);
    struct text t[N_TEXTS];
    for (int k = 0; k < N_TEXTS; k++) {
        t[k] = (struct text){.spill = s};
        assert_non_null(text_room(&t[k], LENGTH, NULL));
    }
    void *p = malloc(200 << 20);
    assert_non_null(p);
    free(p);
    for (int k = 0; k < N_TEXTS; k++)
        text_dispose(&t[k]);
    spill_close(s);
    setrlimit(RLIMIT_AS, &had);
}

/* As on a full disk: the file may grow to 20 blocks and no further. */
static void what_the_disk_has_no_room_for_stays_in_memory(void **state)
{
    (void)state;
    struct spill *s;
    struct rlimit had, l;
    getrlimit(RLIMIT_FSIZE, &had); /* SIGXFSZ would end this process */
    l = had;
    l.rlim_cur = 20 * SPILL_BLOCK;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
    assert_int_equal(spill_open(temp_dir, LENGTH, SPILL_BLOCKS, &s, NULL), 0);
    grow_and_check(s);
    grow_and_check(s);
    spill_close(s);
    setrlimit(RLIMIT_FSIZE, &had);
}

/* A whole answer by way of the file. */
static void an_answer_is_the_same(void **state)
{
    (void)state;
    struct spill *s;
    struct http_reply *r[2];
    struct reply_view v[2];
    char chunk[200];
    assert_int_equal(spill_open(temp_dir, REPLY_MAX_BYTES, SPILL_BLOCKS, &s, NULL), 0);
    for (int k = 0; k < 2; k++) {
        struct reply_rules rules = {.chat = true, .stop_loops = true, .spill = k ? s : NULL};
        assert_int_equal(http_reply_new(&rules, &r[k], NULL), 0);
        for (int i = 0; i < 12000; i++) {
            int n = snprintf(
                chunk, sizeof chunk,
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%sword%d \"}}]}\n\n",
                i == 0       ? "<think>"
                : i == 11000 ? "</think>"
                             : "",
                i * 7919);
            assert_int_equal(http_reply_feed(r[k], chunk, (size_t)n), REPLY_READING);
        }
        static const char end[] =
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
            "data: [DONE]\n\n";
        http_reply_feed(r[k], end, sizeof end - 1);
        assert_int_equal(http_reply_end(r[k]), REPLY_COMPLETE);
        http_reply_view(r[k], &v[k]);
    }
    assert_true(v[0].n_reasoning > 2 * SPILL_BLOCK && v[0].n_reasoning == v[1].n_reasoning);
    assert_memory_equal(v[0].reasoning, v[1].reasoning, v[0].n_reasoning);
    assert_int_equal(v[0].n_answer, v[1].n_answer);
    assert_memory_equal(v[0].answer, v[1].answer, v[0].n_answer);
    http_reply_free(r[0]);
    http_reply_free(r[1]);
    spill_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_read_as_in_memory),
        cmocka_unit_test(they_take_little_memory),
        cmocka_unit_test(where_no_file_can_be_they_stay_in_memory),
        cmocka_unit_test(blocks_have_a_limit),
        cmocka_unit_test(limited_addresses_are_not_reserved),
        cmocka_unit_test(what_the_disk_has_no_room_for_stays_in_memory),
        cmocka_unit_test(an_answer_is_the_same),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
