/* A writer killed with SIGKILL at random moments: no trace that it reported as done is lost, none
 * is doubled, the file is sound, and the next writer goes on where it stopped. */
#include "core/base/file.h"
#include "core/base/rng.h"
#include "dataset/missing.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { N_PROMPTS = 400, N_SAMPLES = 5, N_KILLS = 20 };

struct fixture {
    char dir[64], db[96];
    struct err e;
};

#define ok(f, call)                                                                                \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s", (f)->e.msg);                                                            \
    } while (0)

struct done {
    int64_t prompt_id, sample_index;
};

static err_code add_prompts(struct corpus *c, struct err *e)
{
    err_code rc = corpus_begin(c, e);
    for (int i = 0; i < N_PROMPTS && !rc; i++) {
        char text[32];
        int64_t id;
        bool added;
        snprintf(text, sizeof text, "What is %d + 1?", i);
        struct corpus_prompt p = {.text = text, .n_text = strlen(text), .gold = "1", .n_gold = 1};
        rc = corpus_add_prompt(c, &p, &id, &added, NULL, e);
    }
    return rc ? rc : corpus_commit(c, e);
}

/* A trace of some kilobytes, different for each sample. */
static err_code add_one(struct corpus *c, const struct missing_sample *t, int64_t request,
                        struct err *e)
{
    char reasoning[6000];
    struct rng r = rng_make(1, (uint64_t)t->prompt_id, (uint64_t)t->sample_index);
    size_t n = 100 + rng_below(&r, sizeof reasoning - 101);
    for (size_t i = 0; i < n; i++)
        reasoning[i] = (char)('a' + rng_below(&r, 26));
    struct corpus_trace trace = {.prompt_id = t->prompt_id,
                                 .request_id = request,
                                 .sample_index = t->sample_index,
                                 .reasoning = reasoning,
                                 .n_reasoning = n,
                                 .answer = "\\boxed{1}",
                                 .n_answer = 9,
                                 .finish_reason = "stop"};
    int64_t id;
    bool added;
    err_code rc = corpus_add_trace(c, &trace, &id, &added, NULL, e);
    return !rc && !added ? err_set(e, ERR_STATE, "handed out a trace that is there") : rc;
}

/* The child: makes what is missing in groups of 1 to 20, and reports each group after its commit.
 */
static err_code work(const char *db, int report, uint64_t seed, struct err *e)
{
    struct corpus *c;
    struct missing *m = NULL;
    struct done group[20];
    struct rng r = rng_make(seed, 0, 0);
    struct missing_options o = {.n_samples = N_SAMPLES, .all = true};
    enum missing_state state = MISSING_SAMPLE;
    err_code rc = corpus_open(db, CORPUS_CREATE, &c, e);
    if (!rc)
        rc = add_prompts(c, e);
    if (!rc)
        rc = corpus_request(c, "{\"teacher\":\"crash\"}", &o.request_id, e);
    if (!rc)
        rc = missing_open(c, &o, &m, e);
    while (!rc && state == MISSING_SAMPLE) {
        size_t n = 0, want = 1 + rng_below(&r, 20);
        rc = corpus_begin(c, e);
        while (!rc && n < want) {
            struct missing_sample t;
            rc = missing_next(m, &t, &state, e);
            if (rc || state != MISSING_SAMPLE)
                break;
            rc = add_one(c, &t, o.request_id, e);
            missing_done(m, t.i_prompt, MISSING_MADE);
            group[n++] = (struct done){t.prompt_id, t.sample_index};
        }
        if (!rc)
            rc = corpus_commit(c, e);
        if (!rc && write(report, group, n * sizeof *group) < 0)
            rc = err_errno(e, "cannot write", "report");
    }
    missing_close(m);
    corpus_close(c);
    return rc;
}

static bool has(struct corpus *c, const struct done *d, struct fixture *f)
{
    char where[80];
    int64_t n;
    snprintf(where, sizeof where, "prompt_id = %lld AND sample_index = %lld",
             (long long)d->prompt_id, (long long)d->sample_index);
    ok(f, corpus_count(c, where, &n, &f->e));
    return n == 1;
}

/* After a kill: all that was reported is there, once; every trace has its verdict. */
static int64_t check(struct fixture *f, const struct done *reported, size_t n_reported)
{
    struct corpus *c;
    int64_t n = 0, n_judged = 0;
    if (!file_exists(f->db))
        return 0;
    if (corpus_open(f->db, CORPUS_READ, &c, &f->e)) {
        /* killed before the schema was there */
        assert_int_equal(n_reported, 0);
        return 0;
    }
    ok(f, corpus_check(c, &f->e));
    ok(f, corpus_count(c, "all", &n, &f->e));
    ok(f, corpus_count(c, "verdict IS NOT NULL", &n_judged, &f->e));
    assert_int_equal(n, n_judged);
    assert_true(n >= (int64_t)n_reported);
    size_t step = n_reported > 40 ? n_reported / 40 : 1; /* a look at some, and at the newest */
    for (size_t i = 0; i < n_reported; i += step)
        assert_true(has(c, &reported[i], f));
    if (n_reported)
        assert_true(has(c, &reported[n_reported - 1], f));
    corpus_close(c);
    return n;
}

static size_t collect(int fd, struct done *reported, size_t n)
{
    struct done d;
    while (read(fd, &d, sizeof d) == sizeof d) {
        assert_true(n <
                    N_PROMPTS * N_SAMPLES); /* never more than there is to do: none is doubled */
        reported[n++] = d;
    }
    return n;
}

/* Runs a child for at most micros (0: to its end); true when it came to its end. */
static bool run_child(struct fixture *f, struct done *reported, size_t *n, unsigned micros,
                      uint64_t seed)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        close(fds[0]);
        struct err e = {0};
        err_code rc = work(f->db, fds[1], seed, &e);
        if (rc)
            dprintf(2, "child: %s\n", e.msg);
        _exit(rc ? 1 : 0);
    }
    close(fds[1]);
    if (micros) {
        usleep(micros);
        kill(pid, SIGKILL);
    }
    *n =
        collect(fds[0], reported, *n); /* a pipe holds 64 KiB, all that a child can report: 32 kB */
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFEXITED(status);
}

static void test_killed_at_random_moments(void **state)
{
    struct fixture f = {0};
    struct done *reported = calloc(N_PROMPTS * N_SAMPLES, sizeof *reported);
    struct rng r = rng_make(42, 0, 0);
    size_t n = 0;
    int64_t n_traces = 0, n_partial = 0;
    (void)state;
    strcpy(f.dir, "/tmp/decant-crash-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    snprintf(f.db, sizeof f.db, "%s/c.db", f.dir);
    for (int i = 0; i < N_KILLS; i++) {
        run_child(&f, reported, &n, 500 + (unsigned)rng_below(&r, 150000), (uint64_t)i);
        int64_t now = check(&f, reported, n);
        assert_true(now >= n_traces);
        n_partial += now > n_traces && now < N_PROMPTS * N_SAMPLES;
        n_traces = now;
    }
    assert_true(run_child(&f, reported, &n, 0, 99));
    assert_int_equal(check(&f, reported, n), N_PROMPTS * N_SAMPLES);
    print_message("%lld of %d kills came in the middle of the work\n", (long long)n_partial,
                  N_KILLS);
    free(reported);
    ok(&f, file_remove_tree(f.dir, &f.e));
}

/* A writer without the log, as import and merge are, that dies with half of it in the file: who
 * only reads next sees what was there before. */
static void test_half_an_import_is_taken_back(void **state)
{
    struct fixture f = {0};
    struct corpus *c;
    int64_t n = 0;
    int status;
    char journal[128];
    (void)state;
    strcpy(f.dir, "/tmp/decant-crash-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    snprintf(f.db, sizeof f.db, "%s/c.db", f.dir);
    snprintf(journal, sizeof journal, "%s-journal", f.db);
    ok(&f, corpus_open(f.db, CORPUS_CREATE, &c, &f.e));
    ok(&f, add_prompts(c, &f.e));
    corpus_close(c);
    pid_t pid = fork();
    if (!pid) {
        sqlite3 *db;
        int code = sqlite3_open(f.db, &db);
        if (!code) /* a cache so small that pages go to the file before the commit */
            code = sqlite3_exec(db,
                                "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; BEGIN;"
                                "UPDATE prompts SET gold = hex(zeroblob(4000))",
                                NULL, NULL, NULL);
        _exit(code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(file_exists(journal));
    ok(&f, corpus_open(f.db, CORPUS_READ, &c, &f.e));
    ok(&f, corpus_check(c, &f.e));
    ok(&f, corpus_count_prompts(c, &n, &f.e));
    assert_int_equal(n, N_PROMPTS);
    corpus_close(c);
    file_remove_tree(f.dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_at_random_moments),
                                       cmocka_unit_test(test_half_an_import_is_taken_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
