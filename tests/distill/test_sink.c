/* The sink waits for another process that writes to the corpus: what arrives was paid for. */
#include "dataset/sql.h"
#include "distill/sink.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static void *let_go(void *other)
{
    usleep(300000);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    return NULL;
}

static void waits_for_another_writer(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_sink_XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/c.db", dir);
    struct err e = {0};
    struct corpus *c;
    sqlite3 *other;
    pthread_t thread;
    if (corpus_open(path, CORPUS_CREATE, &c, &e))
        fail_msg("%s", e.msg);
    sqlite3_busy_timeout(c->db, 20); /* a tenth of a second is long here */
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, let_go, other), 0);
    struct generate_summary sum = {0};
    struct sink s = {.corpus = c, .sum = &sum};
    if (sink_begin(&s, &e))
        fail_msg("%s", e.msg);
    assert_true(s.in_transaction);
    assert_int_equal(sink_commit(&s, &e), ERR_OK);
    pthread_join(thread, NULL);
    sqlite3_close(other);
    corpus_close(c);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(waits_for_another_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
