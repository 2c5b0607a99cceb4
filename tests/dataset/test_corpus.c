/* The corpus: schema, uniqueness, selection, verification, hostile files. */
#include "dataset/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

static void refused(struct fixture *f, err_code want, const char *part)
{
    f->c = NULL;
    err_code rc = corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e);
    if (rc != want || !strstr(f->e.msg, part) || !strstr(f->e.msg, f->db))
        fail_msg("got %d %s; wanted %d with \"%s\"", rc, f->e.msg, want, part);
    assert_null(f->c);
}

static void test_prompts_are_unique_by_canonical_text(void **state)
{
    struct fixture *f = *state;
    bool added;
    open_new(f);
    int64_t a = add_prompt(f, "two\r\nlines\rthree", NULL, &added);
    assert_true(added);
    assert_int_equal(add_prompt(f, " \t\n two\nlines\nthree \r\n", "7", &added), a);
    assert_false(added);
    assert_int_not_equal(add_prompt(f, "two\nlines\n three", NULL, NULL), a);
    /* the gold answer was filled in, and is kept when another comes */
    struct corpus_prompt p = {.text = "two\nlines\nthree", .n_text = 15, .gold = "8", .n_gold = 1};
    int64_t id;
    bool conflict;
    ok(f, corpus_add_prompt(f->c, &p, &id, &added, &conflict, &f->e));
    assert_true(id == a && !added && conflict);
    p.gold = "7";
    ok(f, corpus_add_prompt(f->c, &p, &id, &added, &conflict, &f->e));
    assert_false(conflict);
    p.text = " \r\n";
    p.n_text = 3;
    assert_int_equal(corpus_add_prompt(f->c, &p, &id, &added, NULL, &f->e), ERR_USAGE);
}

static void test_requests_are_canonical(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t a = add_request(
        f, "{\"teacher\":\"r1\",\"temperature\":0.6,\"top_p\":0.95,\"x\":{\"b\":1,\"a\":[1,2]}}");
    assert_int_equal(add_request(f, " {\"x\": {\"a\": [1.0, 2], \"b\": 1e0}, \"top_p\": 0.950,"
                                    "\"teacher\": \"r1\",\n\"temperature\": 6e-1}"),
                     a);
    assert_int_not_equal(add_request(f, "{\"teacher\":\"r1\",\"temperature\":0.61}"), a);
    int64_t id;
    assert_int_equal(corpus_request(f->c, "{\"temperature\":0.6}", &id, &f->e), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "teacher"));
    assert_int_equal(corpus_request(f->c, "{\"teacher\":\"a\",\"teacher\":\"b\"}", &id, &f->e),
                     ERR_FORMAT);
    assert_int_equal(
        corpus_request(f->c, "{\"teacher\":\"a\",\"seed\":18446744073709551615}", &id, &f->e),
        ERR_FORMAT);
    struct buf b = {0};
    const char *json = "{\"b\":[true,null,\"\\u00e9\\\"\"],\"a\":{},\"c\":-0.1}";
    ok(f, corpus_canonical_json("t", json, strlen(json), &b, &f->e));
    assert_string_equal(b.data, "{\"a\":{},\"b\":[true,null,\"\u00e9\\\"\"],\"c\":-0.1}");
    buf_dispose(&b);
}

static void fill(struct fixture *f)
{
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL), p = add_prompt(f, "p", NULL, NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, p, r, 0, "think", "2");
    add_trace(f, q, r, 2, "think", "\\boxed{2}");
    add_trace(f, q, r, 1, "", "\\boxed{1}");
    add_trace(f, q, r, 0, "think", "\\boxed{1}");
}

static void test_selections(void **state)
{
    struct fixture *f = *state;
    uint64_t a, b, c;
    fill(f);
    assert_string_equal(selected(f, "all", &a), "q.0 q.1 q.2 p.0");
    assert_string_equal(selected(f, "correct", &b), "q.0"); /* q.1 did not think */
    assert_string_equal(selected(f, "verdict = 'correct'", NULL), "q.0 q.1");
    assert_string_equal(selected(f, "verdict = 'unknown' -- a comment", NULL), "p.0");
    assert_string_equal(selected(f, "pass_rate > 0.6 and not no_think", NULL), "q.0 q.2");
    assert_string_equal(selected(f, "good", &c), "q.0");
    assert_true(a != b && b == c);
    assert_string_equal(selected(f, "1) UNION SELECT 1 WHERE (1", NULL), "q.0 q.1 q.2 p.0");
    int64_t n;
    ok(f, corpus_count(f->c, "sample_index = 0", &n, &f->e));
    assert_int_equal(n, 2);
    ok(f, corpus_count_prompts(f->c, &n, &f->e));
    assert_int_equal(n, 2);
}

static void test_selections_may_only_read(void **state)
{
    struct fixture *f = *state;
    struct corpus_select *s;
    fill(f);
    const char *bad[] = {"",
                         "no_such_column = 1",
                         "1; DELETE FROM traces",
                         "1)); DELETE FROM traces; --",
                         "load_extension('x')",
                         "1) --",
                         "(SELECT 1 FROM pragma_user_version)",
                         "'unclosed"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err_code rc = corpus_select_open(f->c, bad[i], &s, &f->e);
        if (rc != ERR_USAGE)
            fail_msg("%s: %d", bad[i], rc);
        assert_null(s);
        assert_non_null(strstr(f->e.msg, "selection"));
    }
    assert_string_equal(selected(f, "all", NULL), "q.0 q.1 q.2 p.0");
}

static void test_a_row_has_everything(void **state)
{
    struct fixture *f = *state;
    struct corpus_select *s;
    struct corpus_row r;
    bool more;
    fill(f);
    ok(f, corpus_select_open(f->c, "correct", &s, &f->e));
    ok(f, corpus_select_next(s, &r, &more, &f->e));
    assert_true(more);
    assert_string_equal(r.teacher, "t");
    assert_string_equal(r.request, "{\"teacher\":\"t\"}");
    assert_string_equal(r.reasoning, "think");
    assert_string_equal(r.gold, "1");
    assert_string_equal(r.verdict, "correct");
    assert_string_equal(r.program, DECANT_VERSION);
    assert_int_equal(r.n_reasoning_tokens, -1);
    assert_int_equal(r.n_completion_tokens, 9);
    assert_true(r.cost_usd < 0 && r.latency_ms == 2.5);
    assert_true(r.has_seed && r.seed == UINT64_MAX);
    assert_null(r.endpoint);
    corpus_select_close(s);
}

static void test_bytes_that_are_not_text(void **state)
{
    struct fixture *f = *state;
    struct corpus_select *s;
    struct corpus_row r;
    bool more;
    int64_t id;
    open_new(f);
    struct corpus_trace t = {.prompt_id = add_prompt(f, "q", NULL, NULL),
                             .request_id = add_request(f, "{\"teacher\":\"t\"}"),
                             .reasoning = "a\xff"
                                          "b\0c\xe4\xbd",
                             .n_reasoning = 7,
                             .answer = NULL,
                             .finish_reason = "stop"};
    ok(f, corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e));
    ok(f, corpus_select_open(f->c, "lossy", &s, &f->e));
    ok(f, corpus_select_next(s, &r, &more, &f->e));
    assert_true(more && r.lossy);
    assert_string_equal(r.reasoning, "a\uFFFDb\uFFFDc\uFFFD\uFFFD");
    assert_int_equal(r.n_reasoning, 15);
    assert_string_equal(r.answer, "");
    corpus_select_close(s);
    assert_int_not_equal(
        (t.finish_reason = NULL, corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e)), 0);
    t.finish_reason = "stop";
    t.prompt_id = 99;
    assert_int_equal(corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e), ERR_USAGE);
    t.prompt_id = 1;
    t.request_id = 99; /* a foreign key */
    assert_int_not_equal(corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e), 0);
    t.request_id = 1;
    t.sample_index = 1;
    t.params_json = "{not json";
    assert_int_not_equal(corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e), 0);
    ok(f, corpus_check(f->c, &f->e));
}

static void test_rollback_takes_all(void **state)
{
    struct fixture *f = *state;
    int64_t n;
    open_new(f);
    ok(f, corpus_begin(f->c, &f->e));
    add_prompt(f, "q", NULL, NULL);
    corpus_rollback(f->c);
    ok(f, corpus_count_prompts(f->c, &n, &f->e));
    assert_int_equal(n, 0);
    ok(f, corpus_begin(f->c, &f->e));
    add_prompt(f, "q", NULL, NULL);
    corpus_close(f->c); /* closed within a transaction */
    open_new(f);
    ok(f, corpus_count_prompts(f->c, &n, &f->e));
    assert_int_equal(n, 0);
}

static void test_verify_recomputes(void **state)
{
    struct fixture *f = *state;
    struct corpus_verified v;
    fill(f);
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_true(v.n_traces == 4 && v.n_changed == 0 && v.n_correct == 2 && v.n_wrong == 1 &&
                v.n_unknown == 1 && v.n_no_think == 1 && v.n_truncated == 0);
    corpus_close(f->c);
    sql(f,
        "UPDATE verdicts SET value = 'wrong' WHERE value = 'correct'; DELETE FROM verdicts WHERE "
        "kind = 'no_think'; UPDATE prompts SET gold = '2' WHERE text = 'p';"
        "INSERT INTO verdicts VALUES (1, 'duplicate', 'yes', NULL, 1, '2026');"
        "UPDATE verdicts SET version = 0 WHERE trace_id = 2");
    open_new(f);
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_int_equal(v.n_changed, 4);
    assert_true(v.n_correct == 3 && v.n_wrong == 1);
    assert_string_equal(selected(f, "correct", NULL), "q.0");
    assert_string_equal(selected(f, "verdict = 'correct' and n_marks = 1", NULL), "q.1 p.0");
    ok(f, corpus_check(f->c, &f->e));
}

static void test_files_that_are_no_corpus(void **state)
{
    struct fixture *f = *state;
    char text[9000];
    memset(text, 'x', sizeof text);
    refused(f, ERR_NOTFOUND, "no such corpus");
    write_file(f->db, "", 0);
    refused(f, ERR_FORMAT, "empty database");
    write_file(f->db, text, 300);
    refused(f, ERR_FORMAT, "not a SQLite database");
    write_file(f->db, text, sizeof text);
    refused(f, ERR_FORMAT, "not a SQLite database");
    unlink(f->db);
    sql(f, "CREATE TABLE mine (x)");
    refused(f, ERR_FORMAT, "another program");
    sql(f, "PRAGMA application_id = 77");
    refused(f, ERR_FORMAT, "another program");
    /* and it was left alone */
    assert_int_equal(corpus_open(f->db, CORPUS_CREATE, &f->c, &f->e), ERR_FORMAT);
    sql(f, "INSERT INTO mine VALUES (1)");
    unlink(f->db);
    open_new(f);
    corpus_close(f->c);
    sql(f, "PRAGMA user_version = 9");
    refused(f, ERR_UNSUPPORTED, "newer decant");
    sql(f, "PRAGMA user_version = 2; DROP VIEW v_traces");
    refused(f, ERR_FORMAT, "missing");
    strcpy(f->db, f->dir);
    refused(f, ERR_IO, "directory");
    strcpy(f->db, ":memory:");
    refused(f, ERR_USAGE, "path of a file");
}

static void test_an_empty_file_becomes_a_corpus(void **state)
{
    struct fixture *f = *state;
    write_file(f->db, "", 0);
    open_new(f);
    add_prompt(f, "q", NULL, NULL);
}

static void test_locked_by_a_writer(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;
    open_new(f);
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3 *own = *(sqlite3 **)f->c; /* its first member; ten seconds would make a slow test */
    sqlite3_busy_timeout(own, 50);
    assert_int_equal(corpus_begin(f->c, &f->e), ERR_STATE);
    assert_non_null(strstr(f->e.msg, "another process is writing"));
    int64_t n; /* reading goes on */
    ok(f, corpus_count(f->c, "all", &n, &f->e));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    ok(f, corpus_begin(f->c, &f->e));
    ok(f, corpus_commit(f->c, &f->e));
}

static void test_reading_only(void **state)
{
    struct fixture *f = *state;
    int64_t id;
    bool added;
    fill(f);
    corpus_close(f->c);
    ok(f, corpus_open(f->db, CORPUS_READ, &f->c, &f->e));
    assert_string_equal(selected(f, "correct", NULL), "q.0");
    struct corpus_prompt p = {.text = "x", .n_text = 1};
    assert_int_not_equal(corpus_add_prompt(f->c, &p, &id, &added, NULL, &f->e), 0);
}

static int64_t bytes_beside(const char *db, const char *suffix)
{
    char side[200];
    uint64_t bytes;
    snprintf(side, sizeof side, "%s%s", db, suffix);
    return file_size(side, &bytes, NULL) ? -1 : (int64_t)bytes;
}

/* Who only read leaves nothing beside the corpus; a writer's log stays, also a killed one's. */
static void test_reading_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct corpus *reader;
    char copy[128], from[160], to[160];
    int64_t n, log;
    fill(f);
    ok(f, corpus_open(f->db, CORPUS_READ, &reader, &f->e));
    ok(f, corpus_count(reader, "all", &n, &f->e));
    corpus_close(reader);
    log = bytes_beside(f->db, "-wal");
    assert_true(log > 0);
    snprintf(copy, sizeof copy, "%s/copy.db", f->dir);
    ok(f, file_copy(f->db, copy, &f->e)); /* as a killed process leaves it */
    snprintf(from, sizeof from, "%s-wal", f->db);
    snprintf(to, sizeof to, "%s-wal", copy);
    ok(f, file_copy(from, to, &f->e));
    ok(f, corpus_open(copy, CORPUS_READ, &reader, &f->e));
    corpus_close(reader);
    assert_true(bytes_beside(copy, "-wal") == log);

    corpus_close(f->c);
    f->c = NULL;
    assert_true(bytes_beside(f->db, "-wal") < 0);
    ok(f, corpus_open(f->db, CORPUS_READ, &f->c, &f->e));
    ok(f, corpus_open(f->db, CORPUS_READ, &reader, &f->e));
    assert_string_equal(selected(f, "correct", NULL), "q.0");
    corpus_close(reader);
    assert_string_equal(selected(f, "correct", NULL), "q.0");
    corpus_close(f->c);
    f->c = NULL;
    assert_true(bytes_beside(f->db, "-wal") < 0);
    assert_true(bytes_beside(f->db, "-shm") < 0);

    char links[100], link[128]; /* the log stands beside the file, not beside a link to it */
    snprintf(links, sizeof links, "%s/links", f->dir);
    ok(f, file_make_dir(links, &f->e));
    snprintf(link, sizeof link, "%s/link.db", links);
    assert_int_equal(symlink("../c.db", link), 0);
    ok(f, corpus_open(link, CORPUS_READ, &f->c, &f->e));
    assert_string_equal(selected(f, "correct", NULL), "q.0");
    corpus_close(f->c);
    f->c = NULL;
    assert_true(bytes_beside(f->db, "-wal") < 0);
    assert_true(bytes_beside(f->db, "-shm") < 0);
}

/* Everything that reading a damaged corpus may do: give an error or go on, never crash. */
static void read_it_all(struct fixture *f)
{
    struct corpus_select *s;
    struct corpus_row r;
    struct corpus_verified v;
    bool more;
    if (corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e)) {
        assert_true(strlen(f->e.msg) > 0);
        f->c = NULL;
        return;
    }
    sqlite3_busy_timeout(*(sqlite3 **)f->c, 1);
    if (!corpus_select_open(f->c, "all", &s, &f->e)) {
        while (!corpus_select_next(s, &r, &more, &f->e) && more)
            ;
        corpus_select_close(s);
    }
    corpus_verify(f->c, 1, NULL, NULL, &v, &f->e);
    corpus_check(f->c, &f->e);
    corpus_close(f->c);
    f->c = NULL;
}

static void remove_db(struct fixture *f)
{
    char side[128];
    snprintf(side, sizeof side, "%s-wal", f->db);
    unlink(side);
    snprintf(side, sizeof side, "%s-shm", f->db);
    unlink(side);
    unlink(f->db);
}

static void test_damaged_files(void **state)
{
    struct fixture *f = *state;
    struct buf good = {0};
    unsigned seed = 1;
    fill(f);
    ok(f, corpus_begin(f->c, &f->e));
    for (int i = 0; i < 60; i++) {
        char text[40];
        snprintf(text, sizeof text, "prompt number %d", i);
        add_trace(f, add_prompt(f, text, "1", NULL), 1, 0, "thinking long", "\\boxed{1}");
    }
    ok(f, corpus_commit(f->c, &f->e));
    corpus_close(f->c);
    f->c = NULL;
    ok(f, file_read(f->db, 1 << 24, &good, &f->e));
    for (size_t n = 0; n < good.len; n += 3000) { /* truncated */
        remove_db(f);
        write_file(f->db, good.data, n);
        read_it_all(f);
    }
    char *bad = malloc(good.len);
    for (int i = 0; i < 150; i++) { /* some bytes changed */
        memcpy(bad, good.data, good.len);
        for (int k = 0; k < 1 + i % 16; k++) {
            size_t at = (size_t)rand_r(&seed) % (i % 3 ? good.len : 4096);
            bad[at] = (char)rand_r(&seed);
        }
        remove_db(f);
        write_file(f->db, bad, good.len);
        read_it_all(f);
    }
    /* a whole page of zeros in the middle is found and named */
    memcpy(bad, good.data, good.len);
    memset(bad + 16384, 0, 3 * 16384);
    remove_db(f);
    write_file(f->db, bad, good.len);
    err_code rc = corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e);
    if (!rc)
        rc = corpus_check(f->c, &f->e);
    assert_int_equal(rc, ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "damaged"));
    assert_non_null(strstr(f->e.msg, ".recover"));
    free(bad);
    buf_dispose(&good);
}

/* Eight processes that all find no file. */
static void test_made_by_several_at_once(void **state)
{
    struct fixture *f = *state;
    pid_t pids[8];
    for (int turn = 0; turn < 10; turn++) {
        for (int i = 0; i < 8; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (!pids[i])
                _exit(corpus_open(f->db, CORPUS_CREATE, &f->c, &f->e));
        }
        for (int i = 0; i < 8; i++) {
            int status;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_int_equal(status, 0);
        }
        open_new(f);
        corpus_close(f->c);
        f->c = NULL;
        unlink(f->db);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_prompts_are_unique_by_canonical_text),
        T(test_requests_are_canonical),
        T(test_selections),
        T(test_selections_may_only_read),
        T(test_a_row_has_everything),
        T(test_bytes_that_are_not_text),
        T(test_rollback_takes_all),
        T(test_verify_recomputes),
        T(test_files_that_are_no_corpus),
        T(test_an_empty_file_becomes_a_corpus),
        T(test_made_by_several_at_once),
        T(test_locked_by_a_writer),
        T(test_reading_only),
        T(test_reading_leaves_nothing),
        T(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
