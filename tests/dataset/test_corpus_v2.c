/* What version 2 of the schema brought: the migration from version 1, failures, money,
 * log-probabilities, marks, and verdicts on traces that did not end well. */
#include "dataset/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

/* A corpus that decant 0.1.0 made with version 1 of the schema (tests/vectors/corpus/README.md). */
static void use_version_1(struct fixture *f)
{
    ok(f, file_copy("tests/vectors/corpus/version-1.db", f->db, &f->e));
    assert_string_equal(ask(f, "PRAGMA user_version"), "1");
}

static void test_version_1_is_migrated(void **state)
{
    struct fixture *f = *state;
    use_version_1(f);
    /* reading alone changes nothing, and says what to do */
    assert_int_equal(corpus_open(f->db, CORPUS_READ, &f->c, &f->e), ERR_STATE);
    assert_non_null(strstr(f->e.msg, "schema version 1"));
    assert_string_equal(ask(f, "PRAGMA user_version"), "1");
    ok(f, corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e));
    assert_string_equal(ask(f, "PRAGMA user_version"), "2");
    assert_string_equal(ask(f, "SELECT count(*) FROM v_traces"), "12");
    assert_string_equal(ask(f, "SELECT count(*) FROM v_traces WHERE good"), "9");
    assert_string_equal(ask(f, "SELECT marks FROM v_traces WHERE id = 3"), "duplicate");
    assert_string_equal(ask(f, "SELECT count(*) FROM logprobs"), "1");
    /* verify brings the verdicts up to date too */
    struct corpus_verified v;
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_true(v.n_traces == 12 && v.n_changed == 12 && v.n_truncated == 2);
    assert_string_equal(ask(f, "SELECT DISTINCT reason FROM verdicts WHERE kind = 'truncated'"),
                        "length: cut by the token limit");
    ok(f, corpus_check(f->c, &f->e));
    /* and once more: it is there already */
    corpus_close(f->c);
    ok(f, corpus_open(f->db, CORPUS_READ, &f->c, &f->e));
}

/* A migrated corpus has what a new one has, to the letter. */
static void test_migrated_and_new_are_the_same(void **state)
{
    struct fixture *f = *state;
    const char *schema = "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema "
                         "WHERE name NOT IN ('prompts', 'requests', 'traces', 'verdicts', "
                         "'logprobs') AND sql NOT NULL ORDER BY name)";
    const char *columns =
        "SELECT group_concat(x, char(10)) FROM (SELECT t.name || '.' || i.name || ' ' || i.type AS "
        "x FROM sqlite_schema t, pragma_table_info(t.name) i WHERE t.type = 'table' ORDER BY "
        "t.name, i.cid)";
    char *old[2];
    use_version_1(f);
    ok(f, corpus_open(f->db, CORPUS_WRITE, &f->c, &f->e));
    old[0] = strdup(ask(f, schema));
    old[1] = strdup(ask(f, columns));
    corpus_close(f->c);
    f->c = NULL;
    strcat(f->db, "2");
    open_new(f);
    assert_true(strlen(old[0]) > 1000 && strlen(old[1]) > 500);
    assert_string_equal(ask(f, schema), old[0]);
    assert_string_equal(ask(f, columns), old[1]);
    free(old[0]);
    free(old[1]);
}

static void test_failures_add_up(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL), r = add_request(f, "{\"teacher\":\"t\"}");
    struct corpus_failure fail = {.prompt_id = q,
                                  .request_id = r,
                                  .sample_index = 2,
                                  .endpoint = "http://a/v1",
                                  .status = 503,
                                  .message = "busy",
                                  .n_tries = 3,
                                  .cost_usd = -1,
                                  .reasoning = "long\xff partial",
                                  .n_reasoning = 13};
    ok(f, corpus_add_failure(f->c, &fail, &f->e));
    assert_string_equal(ask(f, "SELECT cost_usd IS NULL AND n_tries = 3 FROM failures"), "1");
    fail.status = 0;
    fail.message = "timeout";
    fail.n_tries = 2;
    fail.cost_usd = 0.25;
    fail.reasoning = "short";
    fail.n_reasoning = 5;
    ok(f, corpus_add_failure(f->c, &fail, &f->e));
    fail.endpoint = "http://b/v1";
    fail.cost_usd = 0.5;
    ok(f, corpus_add_failure(f->c, &fail, &f->e));
    assert_string_equal(ask(f, "SELECT n_tries || ' ' || cost_usd || ' ' || endpoint || ' ' || "
                               "coalesce(status, '-') || ' ' || message || ' ' || reasoning FROM "
                               "failures"),
                        "7 0.75 http://b/v1 - timeout long\uFFFD partial");
    assert_string_equal(ask(f, "SELECT n_failures || ' ' || failed_cost_usd FROM v_requests"),
                        "1 0.75");
    assert_string_equal(ask(f, "SELECT made FROM v_failures"), "0");
    /* a trace that cost something on top */
    int64_t id;
    struct corpus_trace t = {.prompt_id = q,
                             .request_id = r,
                             .sample_index = 2,
                             .finish_reason = "stop",
                             .cost_usd = 1.5};
    double usd;
    ok(f, corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e));
    assert_string_equal(ask(f, "SELECT made FROM v_failures"), "1");
    ok(f, corpus_spent(f->c, 0, &usd, &f->e));
    assert_true(usd == 2.25);
    ok(f, corpus_spent(f->c, r, &usd, &f->e));
    assert_true(usd == 2.25);
    ok(f, corpus_spent(f->c, add_request(f, "{\"teacher\":\"u\"}"), &usd, &f->e));
    assert_true(usd == 0);
    fail.prompt_id = 99;
    assert_int_not_equal(corpus_add_failure(f->c, &fail, &f->e), 0);
}

static void test_logprobs_stand_beside_a_trace(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL), r = add_request(f, "{\"teacher\":\"t\"}");
    ok(f, corpus_begin(f->c, &f->e));
    int64_t id = add_trace_as(f, q, r, 0, "think", "1", NULL, NULL);
    ok(f, corpus_add_logprobs(f->c, id, "top", 5, 2, "\0\1\2", 3, &f->e));
    corpus_rollback(f->c); /* with its trace */
    assert_string_equal(ask(f, "SELECT count(*) FROM logprobs"), "0");
    id = add_trace_as(f, q, r, 0, "think", "1", NULL, NULL);
    ok(f, corpus_add_logprobs(f->c, id, "top", 5, 2, "\0\1\2", 3, &f->e));
    ok(f, corpus_add_logprobs(f->c, id, "top", 6, 2, "xyz", 3, &f->e));
    assert_string_equal(ask(f, "SELECT k || hex(data) FROM logprobs"), "5000102");
    assert_int_not_equal(corpus_add_logprobs(f->c, 99, "top", 5, 0, NULL, 0, &f->e), 0);
}

static void test_nothing_but_a_complete_answer_is_good(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *finish, *reasoning, *answer, *marks;
    } cases[] = {
        {"stop", "think", "\\boxed{1}", "NULL"},
        {"STOP", "think", "\\boxed{1}", "NULL"},
        {"imported", "think", "\\boxed{1}", "NULL"},
        {"length", "think", "\\boxed{1}", "truncated"},
        {"loop", "think", "\\boxed{1}", "truncated"},
        {"no_think", "", "\\boxed{1}", "no_think,truncated"},
        {"cut", "think", "\\boxed{1}", "truncated"},
        {"tool_calls", "think", "\\boxed{1}", "truncated"},
        {"", "think", "\\boxed{1}", "truncated"},
        {"content_filter", "think", "\\boxed{1}", "refused"},
        {"stop", "", " .", "empty,no_think"},
        {"length", "", "", "empty,no_think,truncated"},
    };
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL), r = add_request(f, "{\"teacher\":\"t\"}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t id = add_trace_as(f, q, r, (int64_t)i, cases[i].reasoning, cases[i].answer,
                                  cases[i].finish, NULL);
        char query[80];
        snprintf(query, sizeof query, "SELECT marks FROM v_traces WHERE id = %d", (int)id);
        assert_string_equal(ask(f, query), cases[i].marks);
    }
    assert_string_equal(selected(f, "correct", NULL), "q.0 q.1 q.2");
    assert_string_equal(
        ask(f, "SELECT reason FROM verdicts WHERE kind = 'truncated' ORDER BY trace_id LIMIT 4"),
        "length: cut by the token limit; loop: stopped, since it went in a loop; no_think: "
        "stopped, since it did not think; cut: the connection broke");
    assert_string_equal(selected(f, "refused", NULL), "q.9");
    assert_string_equal(selected(f, "empty", NULL), "q.10 q.11");
    assert_string_equal(selected(f, "refused and verdict = 'unknown'", NULL), "q.9");
}

static void mark(struct fixture *f, const char *kind, enum corpus_mark_on on, int version,
                 int64_t from, int64_t to, const char *reason, struct marks_summary *sum)
{
    struct corpus_marks *m;
    ok(f, corpus_marks_begin(f->c, kind, on, version, &m, &f->e));
    for (int64_t id = from; id <= to; id++)
        ok(f, corpus_mark(m, id, reason, &f->e));
    if (sum)
        ok(f, corpus_marks_commit(m, sum, &f->e));
    corpus_marks_end(m);
}

static void test_marks_of_a_kind_are_replaced(void **state)
{
    struct fixture *f = *state;
    struct marks_summary s;
    open_new(f);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    for (int i = 0; i < 5; i++) {
        char text[16];
        snprintf(text, sizeof text, "q%d", i + 1);
        add_trace(f, add_prompt(f, text, "1", NULL), r, 0, "think", "\\boxed{1}");
    }
    mark(f, "duplicate", CORPUS_MARK_TRACES, 1, 1, 3, "same", &s);
    assert_true(s.n_marked == 3 && s.n_new == 3 && s.n_cleared == 0);
    assert_string_equal(selected(f, "correct", NULL), "q4.0 q5.0");
    mark(f, "duplicate", CORPUS_MARK_TRACES, 1, 1, 5, NULL, NULL); /* given up: as before */
    assert_string_equal(selected(f, "correct", NULL), "q4.0 q5.0");
    mark(f, "duplicate", CORPUS_MARK_TRACES, 2, 3, 4, NULL, &s);
    assert_true(s.n_marked == 2 && s.n_new == 1 && s.n_cleared == 2);
    assert_string_equal(
        ask(f, "SELECT trace_id || version || coalesce(reason, '-') FROM verdicts WHERE kind = "
               "'duplicate' ORDER BY 1"),
        "32-; 42-");
    mark(f, "filter:code", CORPUS_MARK_TRACES, 1, 5, 5, "code", &s);
    assert_string_equal(selected(f, "correct", NULL), "q1.0 q2.0");
    /* on prompts: all their traces, those to come too; ids that are not there are passed over */
    mark(f, "contaminated", CORPUS_MARK_PROMPTS, 1, 0, 1, "in the test set", &s);
    assert_true(s.n_marked == 1 && s.n_new == 1);
    assert_string_equal(selected(f, "correct", NULL), "q2.0");
    add_trace(f, 1, r, 1, "think", "\\boxed{1}");
    assert_string_equal(selected(f, "correct", NULL), "q2.0");
    assert_string_equal(selected(f, "marks = 'contaminated' AND n_marks = 1", NULL), "q1.0 q1.1");
    assert_string_equal(ask(f, "SELECT marks FROM v_prompts WHERE id = 1"), "contaminated");
    mark(f, "contaminated", CORPUS_MARK_PROMPTS, 1, 7, 6, NULL, &s); /* none: all is cleared */
    assert_true(s.n_marked == 0 && s.n_new == 0 && s.n_cleared == 1);
    assert_string_equal(selected(f, "correct", NULL), "q1.0 q1.1 q2.0");
    /* verify leaves other checkers' marks alone */
    struct corpus_verified v;
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_string_equal(selected(f, "correct", NULL), "q1.0 q1.1 q2.0");
    struct corpus_marks *m;
    static const char *const bad[] = {"truncated", "answer", "", "Upper", "a b", "x'y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(corpus_marks_begin(f->c, bad[i], CORPUS_MARK_TRACES, 1, &m, &f->e),
                         ERR_USAGE);
}

static bool keep_going(void *ctx, int64_t done, int64_t total)
{
    assert_true(total >= done);
    return done < *(int64_t *)ctx;
}

/* Many traces over several threads, ids with gaps between them; stopped, and run again. */
static void test_verify_in_parallel(void **state)
{
    struct fixture *f = *state;
    struct corpus_verified v;
    open_new(f);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}"), stop = 400;
    ok(f, corpus_begin(f->c, &f->e));
    for (int i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "q%d", i);
        add_trace(f, add_prompt(f, text, "1", NULL), r, 0, i % 4 ? "think" : "",
                  i % 3 ? "\\boxed{1}" : "\\boxed{2}");
    }
    ok(f, corpus_commit(f->c, &f->e));
    char *before = strdup(ask(f, "SELECT group_concat(kind || value, '') FROM verdicts WHERE "
                                 "trace_id > 300 AND trace_id < 700 OR trace_id > 990"));
    sql(f, "PRAGMA foreign_keys = OFF; UPDATE verdicts SET trace_id = 9223372036854775807 WHERE "
           "trace_id = 1000; UPDATE traces SET id = 9223372036854775807 WHERE id = 1000;"
           "UPDATE verdicts SET trace_id = -5 WHERE trace_id = 1; UPDATE traces SET id = -5 WHERE "
           "id = 1; DELETE FROM verdicts WHERE trace_id % 5 = 0; UPDATE verdicts SET reason = 'x' "
           "WHERE trace_id % 7 = 0");
    assert_int_equal(corpus_verify(f->c, 3, keep_going, &stop, &v, &f->e), ERR_STOPPED);
    assert_true(v.n_traces >= 400 && v.n_traces < 1000 && v.n_changed > 100);
    int64_t n_changed = v.n_changed;
    ok(f, corpus_verify(f->c, 3, NULL, NULL, &v, &f->e));
    assert_true(v.n_traces == 1000 && v.n_no_think == 250 && v.n_wrong == 334 &&
                v.n_correct == 666);
    assert_string_equal(ask(f, "SELECT count(*) FROM traces t WHERE (SELECT count(*) FROM verdicts "
                               "v WHERE v.trace_id = t.id AND kind = 'answer') <> 1"),
                        "0");
    assert_int_equal(n_changed + v.n_changed, 200 + 143 - 28); /* 7 divides 2^63 - 1 */
    ok(f, corpus_verify(f->c, 3, NULL, NULL, &v, &f->e));
    assert_int_equal(v.n_changed, 0);
    assert_string_equal(ask(f, "SELECT group_concat(kind || value, '') FROM verdicts WHERE "
                               "trace_id > 300 AND trace_id < 700 OR trace_id > 990"),
                        before);
    ok(f, corpus_check(f->c, &f->e));
    free(before);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_version_1_is_migrated),
        T(test_migrated_and_new_are_the_same),
        T(test_failures_add_up),
        T(test_logprobs_stand_beside_a_trace),
        T(test_nothing_but_a_complete_answer_is_good),
        T(test_marks_of_a_kind_are_replaced),
        T(test_verify_in_parallel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
