/* Joining corpora; full-text search; the check of a file. */
#include "dataset/merge.h"
#include "dataset/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

/* Another corpus beside the fixture's. */
static void in_other(struct fixture *f, char *path, void (*fill)(struct fixture *f))
{
    struct fixture o = *f;
    snprintf(o.db, sizeof o.db, "%s/other.db", f->dir);
    strcpy(path, o.db);
    o.c = NULL;
    open_new(&o);
    ok(&o, corpus_begin(o.c, &o.e));
    fill(&o);
    ok(&o, corpus_commit(o.c, &o.e));
    corpus_close(o.c);
}

static void add_failure(struct fixture *f, int64_t prompt, int64_t request, int64_t n_tries)
{
    struct corpus_failure x = {.prompt_id = prompt,
                               .request_id = request,
                               .sample_index = 9,
                               .message = "busy",
                               .n_tries = n_tries,
                               .cost_usd = 0.5};
    ok(f, corpus_add_failure(f->c, &x, &f->e));
}

static void fill_here(struct fixture *f)
{
    int64_t r = add_request(f, "{\"teacher\":\"t\",\"temperature\":0.6}");
    int64_t a = add_prompt(f, "a", NULL, NULL), b = add_prompt(f, "b", "2", NULL);
    add_trace(f, a, r, 0, "think a0", "\\boxed{1}");
    add_trace(f, b, r, 0, "think b0", "\\boxed{2}");
    add_trace(f, b, r, 1, "think b1", "\\boxed{3}");
    add_failure(f, b, r, 3);
}

/* Other ids for the same things, and things of its own. */
static void fill_there(struct fixture *f)
{
    int64_t other = add_request(f, "{\"teacher\":\"u\"}");
    int64_t r = add_request(f, "{\"temperature\":0.60,\"teacher\":\"t\"}");
    int64_t c = add_prompt(f, "c", "5", NULL), b = add_prompt(f, "b", "7", NULL),
            a = add_prompt(f, "a", "1", NULL);
    add_trace(f, c, other, 0, "think c0", "\\boxed{5}");
    add_trace(f, b, r, 0, "think b0", "\\boxed{2}");        /* the same */
    add_trace(f, b, r, 1, "think otherwise", "\\boxed{2}"); /* its place is taken */
    int64_t id = add_trace_as(f, a, r, 1, "think a1", "\\boxed{1}", "length", NULL);
    ok(f, corpus_add_logprobs(f->c, id, "top", 2, 1, "\1\2", 2, &f->e));
    add_failure(f, b, r, 2);
    add_failure(f, c, other, 4);
    struct corpus_prompt p = {.text = "d", .n_text = 1};
    bool added;
    ok(f, corpus_add_prompt(f->c, &p, &id, &added, NULL, &f->e));
}

static void test_merge(void **state)
{
    struct fixture *f = *state;
    struct merge_summary s;
    struct marks_summary marked;
    struct corpus_marks *m;
    char other[96];
    in_other(f, other, fill_there);
    struct corpus *o;
    ok(f, corpus_open(other, CORPUS_WRITE, &o, &f->e));
    ok(f, corpus_marks_begin(o, "contaminated", CORPUS_MARK_PROMPTS, 1, &m, &f->e));
    ok(f, corpus_mark(m, 1, "in the test set", &f->e));
    ok(f, corpus_marks_commit(m, &marked, &f->e));
    corpus_marks_end(m);
    ok(f, corpus_marks_begin(o, "duplicate", CORPUS_MARK_PROMPTS, 1, &m, &f->e));
    ok(f, corpus_mark(m, 1, "the same words as prompt 2", &f->e)); /* there; here it is another */
    ok(f, corpus_marks_commit(m, &marked, &f->e));
    corpus_marks_end(m);
    corpus_close(o);
    open_new(f);
    ok(f, corpus_begin(f->c, &f->e));
    fill_here(f);
    ok(f, corpus_commit(f->c, &f->e));
    ok(f, corpus_merge(f->c, other, NULL, NULL, &s, &f->e));
    assert_true(s.n_prompts == 2 && s.n_requests == 1 && s.n_traces == 3 && s.n_there == 1);
    assert_true(s.n_renumbered == 1 && s.n_conflicts == 1 && s.n_regold == 1);
    assert_true(s.n_logprobs == 1);
    assert_string_equal(selected(f, "all", NULL), "a.0 a.1 b.0 b.1 b.2 c.0");
    assert_string_equal(selected(f, "reasoning = 'think otherwise'", NULL), "b.2");
    assert_string_equal(selected(f, "marks = 'contaminated' AND teacher = 'u'", NULL), "c.0");
    assert_string_equal(selected(f, "truncated", NULL), "a.1");
    assert_string_equal(ask(f, "SELECT p.text || p.gold FROM prompts p WHERE gold NOT NULL ORDER "
                               "BY text"),
                        "a1; b2; c5");
    assert_string_equal(ask(f,
                            "SELECT p.text || t.sample_index || hex(data) FROM logprobs l JOIN "
                            "traces t ON t.id = l.trace_id JOIN prompts p ON p.id = t.prompt_id"),
                        "a10102");
    assert_string_equal(ask(f, "SELECT prompt || teacher || n_tries FROM v_failures ORDER BY 1"),
                        "bt3; cu4");
    assert_string_equal(ask(f, "SELECT count(*) FROM traces t WHERE NOT EXISTS (SELECT 1 FROM "
                               "verdicts v WHERE v.trace_id = t.id AND v.kind = 'answer')"),
                        "0");
    /* wrong by the gold answer that it came with, right by the one that stays */
    assert_string_equal(selected(f, "verdict = 'correct' AND prompt = 'b'", NULL), "b.0 b.2");
    assert_string_equal(ask(f, "PRAGMA journal_mode"), "wal");
    ok(f, corpus_check(f->c, &f->e));
    /* once more: nothing changes */
    char *before = strdup(ask(f, "SELECT group_concat(id || prompt || sample_index || reasoning || "
                                 "coalesce(marks, '')) FROM (SELECT * FROM v_traces ORDER BY id)"));
    ok(f, corpus_merge(f->c, other, NULL, NULL, &s, &f->e));
    assert_true(!s.n_prompts && !s.n_requests && !s.n_traces && s.n_there == 4 && !s.n_regold);
    assert_true(!s.n_renumbered && !s.n_logprobs && !s.n_failures);
    assert_string_equal(
        ask(f, "SELECT group_concat(id || prompt || sample_index || reasoning || coalesce(marks, "
               "'')) FROM (SELECT * FROM v_traces ORDER BY id)"),
        before);
    free(before);
    double usd;
    ok(f, corpus_spent(f->c, 0, &usd, &f->e));
    assert_true(usd == 1.0);
    /* and the other way round into a new corpus: the same traces */
    struct corpus *n;
    snprintf(f->file, sizeof f->file, "%s/new.db", f->dir);
    ok(f, corpus_open(f->file, CORPUS_CREATE, &n, &f->e));
    ok(f, corpus_merge(n, other, NULL, NULL, &s, &f->e));
    assert_true(s.n_traces == 4 && s.n_prompts == 4);
    ok(f, corpus_merge(n, f->db, NULL, NULL, &s, &f->e));
    assert_true(s.n_traces == 2 && s.n_renumbered == 1);
    int64_t total;
    ok(f, corpus_count(n, "all", &total, &f->e));
    assert_int_equal(total, 6);
    ok(f, corpus_check(n, &f->e));
    corpus_close(n);
}

static bool stop(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    return done >= 0 && total < 0;
}

static void many(struct fixture *f)
{
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    for (int i = 0; i < 3000; i++) {
        char text[16];
        snprintf(text, sizeof text, "q%d", i);
        add_trace(f, add_prompt(f, text, "1", NULL), r, 0, "think", "\\boxed{1}");
    }
}

static void test_a_merge_is_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct merge_summary s;
    char other[96];
    in_other(f, other, many);
    open_new(f);
    add_prompt(f, "q5", NULL, NULL);
    assert_int_equal(corpus_merge(f->c, other, stop, NULL, &s, &f->e), ERR_STOPPED);
    assert_string_equal(ask(f, "SELECT count(*) || coalesce(max(gold), '-') FROM prompts"), "1-");
    ok(f, corpus_merge(f->c, other, NULL, NULL, &s, &f->e));
    assert_true(s.n_traces == 3000 && s.n_prompts == 2999);
    assert_int_equal(corpus_merge(f->c, f->db, NULL, NULL, &s, &f->e), ERR_USAGE);
    assert_int_equal(corpus_merge(f->c, "/nonexistent.db", NULL, NULL, &s, &f->e), ERR_NOTFOUND);
    write_file(f->file, "text", 4);
    assert_int_equal(corpus_merge(f->c, f->file, NULL, NULL, &s, &f->e), ERR_FORMAT);
    /* another reader keeps the log in place: it works all the same */
    struct corpus *reader;
    int64_t n;
    ok(f, corpus_open(f->db, CORPUS_READ, &reader, &f->e));
    ok(f, corpus_count_prompts(reader, &n, &f->e));
    ok(f, corpus_merge(f->c, other, NULL, NULL, &s, &f->e));
    assert_int_equal(s.n_there, 3000);
    corpus_close(reader);
}

/* An importer or merger that is killed in the middle: what it had begun is taken back, also when
 * the next one only reads. */
static void test_a_killed_writer(void **state)
{
    struct fixture *f = *state;
    struct corpus_checked k;
    open_new(f);
    ok(f, corpus_begin(f->c, &f->e));
    many(f);
    ok(f, corpus_commit(f->c, &f->e));
    corpus_close(f->c);
    pid_t pid = fork();
    if (!pid) {
        sqlite3 *db;
        sqlite3_open(f->db, &db);
        int code = sqlite3_exec(db,
                                "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; BEGIN "
                                "IMMEDIATE; UPDATE traces SET reasoning = hex(randomblob(500))",
                                NULL, NULL, NULL);
        _exit(code != SQLITE_OK);
    }
    int status;
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
    char journal[120];
    snprintf(journal, sizeof journal, "%s-journal", f->db);
    assert_true(file_exists(journal));
    ok(f, corpus_open(f->db, CORPUS_READ, &f->c, &f->e));
    int64_t n;
    ok(f, corpus_count(f->c, "reasoning = 'think'", &n, &f->e));
    assert_int_equal(n, 3000);
    ok(f, corpus_check_all(f->c, NULL, NULL, &k, &f->e));
    corpus_close(f->c);
    ok(f, corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e)); /* and the log is back */
    assert_string_equal(ask(f, "PRAGMA journal_mode"), "wal");
}

struct found {
    char text[2000];
};
static err_code note(void *ctx, const struct search_hit *h, struct err *e)
{
    struct found *x = ctx;
    (void)e;
    size_t n = strlen(x->text);
    snprintf(x->text + n, sizeof x->text - n, "%s%lld:%s", n ? "; " : "", (long long)h->id,
             h->snippet);
    return ERR_OK;
}

static const char *search(struct fixture *f, enum search_in in, const char *query)
{
    static struct found x;
    int64_t n_all;
    char mistake[SEARCH_MISTAKE_BYTES];
    memset(&x, 0, sizeof x);
    ok(f, search_update(f->c, in, NULL, NULL, &f->e));
    ok(f, search_run(f->c, in, query, 10, note, &x, &n_all, mistake, &f->e));
    return x.text;
}

static void test_search(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}"),
            q = add_prompt(f, "How many apples?", "1", NULL);
    add_trace(f, q, r, 0, "The apples are Pommes or pommés.", "\\boxed{\\frac{1}{2}}");
    add_trace(f, q, r, 1, "Pears, then; no apple.", "The answer is x^2.");
    assert_string_equal(search(f, SEARCH_TRACES, "apples"), "1:The \x02"
                                                            "apples\x03 are Pommes or pommés.");
    assert_string_equal(search(f, SEARCH_TRACES, "appl*  NOT pears"),
                        "1:The \x02"
                        "apples\x03 are Pommes or pommés.");
    assert_non_null(strstr(search(f, SEARCH_TRACES, "pommes"), "\x02pommés\x03"));
    assert_string_equal(search(f, SEARCH_TRACES, "answer: apple"), "");
    assert_non_null(strstr(search(f, SEARCH_TRACES, "answer, is"), "\x02"));
    assert_string_equal(search(f, SEARCH_TRACES, "\\frac{1}{2}"), "1:\\boxed{\\\x02"
                                                                  "frac{1}{2\x03}}");
    /* what came since is found too */
    add_trace(f, q, r, 2, "Only apricots.", "");
    assert_string_equal(search(f, SEARCH_TRACES, "apricots OR apple"),
                        "3:Only \x02"
                        "apricots\x03.; 2:Pears, then; no \x02"
                        "apple\x03.");
    assert_string_equal(search(f, SEARCH_PROMPTS, "many \"apples\""), "1:How \x02many\x03 \x02"
                                                                      "apples\x03?");
    struct found x = {0};
    int64_t n_all;
    char mistake[SEARCH_MISTAKE_BYTES];
    assert_int_equal(search_run(f->c, SEARCH_TRACES, " ", 10, note, &x, &n_all, mistake, &f->e),
                     ERR_USAGE);
    ok(f, search_run(f->c, SEARCH_TRACES, "\"", 10, note, &x, &n_all, mistake, &f->e));
    assert_true(!n_all);
    assert_string_equal(mistake, "unterminated string");
    ok(f, search_run(f->c, SEARCH_TRACES, "\"apples\"", 10, note, &x, &n_all, mistake, &f->e));
    assert_string_equal(mistake, "");
    ok(f, search_run(f->c, SEARCH_TRACES, "nowhere:apples", 10, note, &x, &n_all, mistake, &f->e));
    assert_string_equal(mistake, "no such column: nowhere");
    ok(f, corpus_check(f->c, &f->e));
    ok(f, search_drop(f->c, &f->e));
    assert_string_equal(ask(f, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'search%'"),
                        "0");
    assert_non_null(strstr(search(f, SEARCH_TRACES, "pears"), "2:"));
}

static err_code gather(void *ctx, const char *text, struct err *e)
{
    (void)e;
    strncat(ctx, text, 900);
    return ERR_OK;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    struct corpus_checked k;
    char text[1000] = "";
    open_new(f);
    fill_here(f);
    ok(f, corpus_check_all(f->c, gather, text, &k, &f->e));
    assert_true(!k.n_damaged && !k.n_dangling && !k.n_unjudged && k.n_traces == 3 && !*text);
    assert_int_equal(k.schema_version, 2);
    sql(f,
        "PRAGMA foreign_keys = OFF; DELETE FROM verdicts WHERE trace_id = 2; UPDATE verdicts SET "
        "version = 1 WHERE trace_id = 1; DELETE FROM prompts WHERE id = 1; DELETE FROM requests");
    ok(f, corpus_check_all(f->c, gather, text, &k, &f->e));
    assert_true(!k.n_damaged && k.n_dangling == 5 && k.n_unjudged == 2);
    assert_non_null(strstr(text, "of table traces points to a row of prompts"));
    assert_int_equal(corpus_check(f->c, &f->e), ERR_FORMAT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_merge),           T(test_a_merge_is_whole_or_not_at_all),
        T(test_a_killed_writer), T(test_search),
        T(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
