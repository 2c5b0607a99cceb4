/* What is still to be made: order, gaps, adaptive sampling, shards, and going on after a stop. */
#include "dataset/missing.h"
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

static struct missing *open_missing(struct fixture *f, int64_t request, int64_t n_samples,
                                    int64_t until_good)
{
    struct missing_options o = {
        .request_id = request, .n_samples = n_samples, .until_good = until_good, .all = true};
    struct missing *m;
    ok(f, missing_open(f->c, &o, &m, &f->e));
    return m;
}

static enum missing_state next(struct fixture *f, struct missing *m, struct missing_sample *s)
{
    enum missing_state state;
    ok(f, missing_next(m, s, &state, &f->e));
    return state;
}

/* What is handed out before the first wait or the end, as "prompt.sample ..."; each one's end is
 * left open. The prompts' places go to places, which may be NULL. */
static char *take(struct fixture *f, struct missing *m, size_t *places)
{
    static char text[2048];
    struct missing_sample s;
    size_t n = 0, i = 0;
    text[0] = 0;
    while (next(f, m, &s) == MISSING_SAMPLE) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s.%lld", n ? " " : "",
                              (int)s.n_prompt, s.prompt, (long long)s.sample_index);
        if (places)
            places[i++] = s.i_prompt;
    }
    return text;
}

static char *missing(struct fixture *f, const struct missing_options *o)
{
    struct missing *m;
    ok(f, missing_open(f->c, o, &m, &f->e));
    char *text = take(f, m, NULL);
    missing_close(m);
    return text;
}

static void test_only_what_is_missing(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL), p = add_prompt(f, "p", "2", NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}"), s = add_request(f, "{\"teacher\":\"s\"}");
    struct missing_options o = {.request_id = r, .n_samples = 2, .all = true};
    assert_string_equal(missing(f, &o), "q.0 q.1 p.0 p.1");
    assert_true(add_trace(f, q, r, 1, "think", "1"));
    assert_false(add_trace(f, q, r, 1, "other", "2")); /* stays as it was */
    assert_true(add_trace(f, p, r, 0, "think", "2"));
    assert_string_equal(missing(f, &o), "q.0 p.1");
    assert_true(add_trace(f, q, r, 0, "think", "1"));
    assert_true(add_trace(f, p, r, 1, "think", "2"));
    assert_string_equal(missing(f, &o), "");
    o.n_samples = 4; /* more of them */
    assert_string_equal(missing(f, &o), "q.2 q.3 p.2 p.3");
    struct missing_options other = {.request_id = s, .n_samples = 1, .all = true};
    assert_string_equal(missing(f, &other), "q.0 p.0");
    other.all = false;
    assert_string_equal(missing(f, &other), "");
    ok(f, corpus_want(f->c, p, &f->e));
    ok(f, corpus_want(f->c, p, &f->e));
    ok(f, corpus_want(f->c, q, &f->e));
    assert_string_equal(missing(f, &other), "p.0 q.0"); /* in the order they were wanted */
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    struct missing_counts k;
    open_new(f);
    int64_t q = add_prompt(f, "q", "1", NULL);
    add_prompt(f, "p", NULL, NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, q, r, 2, "think", "\\boxed{1}");
    add_trace(f, q, r, 7, "think", "\\boxed{1}"); /* beyond what is asked for */
    struct missing *m = open_missing(f, r, 4, 0);
    missing_count(m, &k);
    assert_true(k.n_prompts == 2 && k.n_wanted == 8 && k.n_there == 1 && k.n_stored == 1);
    assert_true(k.n_left == 7 && k.n_settled == 0 && k.n_expected == 7);
    struct missing_sample s;
    while (next(f, m, &s) == MISSING_SAMPLE)
        missing_done(m, s.i_prompt, s.i_prompt == 1 ? MISSING_FAILED : MISSING_MADE);
    missing_count(m, &k);
    assert_true(k.n_there == 1 && k.n_stored == 4 && k.n_left == 4 && k.n_settled == 1);
    missing_close(m);
}

/* Traces may be added while the missing work is read: nothing comes twice, nothing is left out. */
static void test_missing_while_adding(void **state)
{
    struct fixture *f = *state;
    struct missing_sample t;
    int n = 0;
    open_new(f);
    ok(f, corpus_begin(f->c, &f->e));
    for (int i = 0; i < 300; i++) {
        char text[16];
        snprintf(text, sizeof text, "q%d", i);
        add_prompt(f, text, NULL, NULL);
    }
    ok(f, corpus_commit(f->c, &f->e));
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    struct missing *m = open_missing(f, r, 3, 0);
    for (;; n++) {
        if (n % 50 == 0)
            ok(f, corpus_begin(f->c, &f->e));
        enum missing_state s = next(f, m, &t);
        if (s != MISSING_SAMPLE) {
            assert_int_equal(s, MISSING_END);
            break;
        }
        assert_int_equal(t.prompt_id, n / 3 + 1);
        assert_int_equal(t.sample_index, n % 3);
        if (n % 7)
            assert_true(add_trace(f, t.prompt_id, r, t.sample_index, "r", "a"));
        missing_done(m, t.i_prompt, n % 7 ? MISSING_MADE : MISSING_FAILED);
        if (n % 50 == 49)
            ok(f, corpus_commit(f->c, &f->e));
    }
    ok(f, corpus_commit(f->c, &f->e));
    assert_int_equal(n, 900);
    missing_close(m);
    int64_t n_all;
    ok(f, corpus_count(f->c, "all", &n_all, &f->e));
    assert_int_equal(n_all, 900 - 129);
}

/* Two good ones of at most five: never more on their way than could still be needed, and all
 * prompts have their turn before any has its second. */
static void test_until_good(void **state)
{
    struct fixture *f = *state;
    struct missing_counts k;
    size_t i[8];
    open_new(f);
    add_prompt(f, "a", "1", NULL);
    add_prompt(f, "b", "1", NULL);
    add_prompt(f, "c", NULL, NULL); /* nothing can be checked: two are made */
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    struct missing *m = open_missing(f, r, 5, 2);
    missing_count(m, &k);
    assert_true(k.n_wanted == 12 && k.n_left == 12);
    assert_string_equal(take(f, m, i), "a.0 a.1 b.0 b.1 c.0 c.1");
    struct missing_sample s;
    assert_int_equal(next(f, m, &s), MISSING_WAIT);
    missing_done(m, i[4], MISSING_MADE);
    missing_done(m, i[5], MISSING_MADE);
    assert_int_equal(next(f, m, &s), MISSING_WAIT);
    missing_done(m, i[2], MISSING_MADE);   /* b.0 is wrong: one more */
    missing_done(m, i[0], MISSING_FAILED); /* a.0 failed: one more */
    missing_done(m, i[1], MISSING_GOOD);
    assert_string_equal(take(f, m, i), "b.2 a.2");
    missing_count(m, &k);
    assert_true(k.n_good == 0 && k.n_settled == 1);
    missing_done(m, i[1], MISSING_GOOD); /* a has two */
    missing_done(m, 1, MISSING_GOOD);    /* b.1 */
    missing_done(m, i[0], MISSING_MADE);
    assert_string_equal(take(f, m, i), "b.3");
    missing_count(m, &k);
    assert_true(k.n_good == 1 && k.n_settled == 2 && k.n_left == 2);
    /* 3 of 5 checked ones are good, and b needs one more */
    assert_true(k.n_expected > 1.66 && k.n_expected < 1.67);
    missing_done(m, i[0], MISSING_MADE);
    assert_string_equal(take(f, m, i), "b.4");
    missing_done(m, i[0], MISSING_MADE); /* the last that is allowed */
    assert_int_equal(next(f, m, &s), MISSING_END);
    missing_count(m, &k);
    assert_true(k.n_good == 1 && k.n_settled == 3 && k.n_left == 0);
    missing_close(m);
}

/* Prompts may be made to take turns. */
static void test_later(void **state)
{
    struct fixture *f = *state;
    struct missing_sample s;
    open_new(f);
    add_prompt(f, "a", "1", NULL);
    add_prompt(f, "b", "1", NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    struct missing *m = open_missing(f, r, 3, 0);
    assert_int_equal(next(f, m, &s), MISSING_SAMPLE);
    assert_true(s.prompt_id == 1 && s.sample_index == 0);
    missing_later(m);
    assert_int_equal(next(f, m, &s), MISSING_SAMPLE);
    assert_true(s.prompt_id == 2 && s.sample_index == 0);
    missing_later(m);
    missing_later(m); /* there is no other */
    assert_string_equal(take(f, m, NULL), "a.1 a.2 b.1 b.2");
    missing_close(m);
}

/* Another run counts what is stored: verdicts, not what an earlier run remembered. */
static void test_until_good_goes_on(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t a = add_prompt(f, "a", "1", NULL), b = add_prompt(f, "b", "1", NULL);
    add_prompt(f, "c", "1", NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, a, r, 0, "I think", "\\boxed{1}");
    add_trace(f, a, r, 3, "I think", "\\boxed{1}"); /* enough */
    add_trace(f, b, r, 1, "I think", "\\boxed{1}");
    add_trace(f, b, r, 0, "", "\\boxed{1}"); /* right, but it did not think */
    struct missing *m = open_missing(f, r, 4, 2);
    assert_string_equal(take(f, m, NULL), "b.2 c.0 c.1");
    missing_close(m);
    m = open_missing(f, r, 2, 2); /* b has had its two */
    assert_string_equal(take(f, m, NULL), "c.0 c.1");
    missing_close(m);
    m = open_missing(f, r, 6, 3);
    assert_string_equal(take(f, m, NULL), "a.1 b.2 b.3 c.0 c.1 c.2");
    missing_close(m);
}

/* The shards are a partition, by the text alone. */
static void test_shards(void **state)
{
    struct fixture *f = *state;
    char text[16];
    open_new(f);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "q%d", i);
        add_prompt(f, text, NULL, NULL);
    }
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    bool seen[201] = {false};
    int n = 0;
    for (int i = 1; i <= 3; i++) {
        struct missing_options o = {
            .request_id = r, .n_samples = 1, .all = true, .i_shard = i, .n_shards = 3};
        struct missing *m;
        struct missing_sample s;
        int n_here = 0;
        ok(f, missing_open(f->c, &o, &m, &f->e));
        for (; next(f, m, &s) == MISSING_SAMPLE; n++, n_here++) {
            assert_false(seen[s.prompt_id]);
            seen[s.prompt_id] = true;
            assert_int_equal(rng_hash(s.prompt, s.n_prompt) % 3, i - 1);
        }
        assert_true(n_here > 40 && n_here < 95);
        missing_close(m);
    }
    assert_int_equal(n, 200);
}

static void test_marked_prompts_are_passed_over(void **state)
{
    struct fixture *f = *state;
    struct corpus_marks *marks;
    struct marks_summary sum;
    struct missing_counts k;
    open_new(f);
    add_prompt(f, "a", NULL, NULL);
    int64_t b = add_prompt(f, "b", NULL, NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    ok(f, corpus_marks_begin(f->c, "contaminated", CORPUS_MARK_PROMPTS, 1, &marks, &f->e));
    ok(f, corpus_mark(marks, b, NULL, &f->e));
    ok(f, corpus_marks_commit(marks, &sum, &f->e));
    corpus_marks_end(marks);
    struct missing *m = open_missing(f, r, 1, 0);
    assert_string_equal(take(f, m, NULL), "a.0");
    missing_count(m, &k);
    assert_true(k.n_prompts == 1 && k.n_marked == 1);
    missing_close(m);
}

static void test_other_requests(void **state)
{
    struct fixture *f = *state;
    struct buf json = {0};
    int64_t n;
    open_new(f);
    int64_t q = add_prompt(f, "q", NULL, NULL);
    int64_t a = add_request(f, "{\"teacher\":\"t\",\"temperature\":0.6}");
    int64_t b = add_request(f, "{\"teacher\":\"t\",\"temperature\":0.7}");
    int64_t c = add_request(f, "{\"teacher\":\"u\"}");
    ok(f, missing_other_request(f->c, b, &n, &json, &f->e));
    assert_int_equal(n, 0);
    add_trace(f, q, a, 0, "r", "a");
    add_trace(f, q, a, 1, "r", "a");
    add_trace(f, q, c, 0, "r", "a");
    ok(f, missing_other_request(f->c, b, &n, &json, &f->e));
    assert_int_equal(n, 2);
    assert_string_equal(json.data, "{\"teacher\":\"t\",\"temperature\":0.6}");
    buf_dispose(&json);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_only_what_is_missing),
        T(test_counts),
        T(test_missing_while_adding),
        T(test_until_good),
        T(test_later),
        T(test_until_good_goes_on),
        T(test_shards),
        T(test_marked_prompts_are_passed_over),
        T(test_other_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
