/* Duplicates: which text is kept, which are marked and why, against brute force on random texts. */
#include "core/base/rng.h"
#include "dataset/dedup.h"
#include "dataset/minhash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

static struct dedup_summary dedup_with(struct fixture *f, struct dedup_options opt)
{
    struct dedup_summary sum;
    if (opt.threshold == 0)
        opt.threshold = 0.8;
    ok(f, corpus_dedup(f->c, &opt, NULL, NULL, &sum, &f->e));
    return sum;
}

static struct dedup_summary dedup(struct fixture *f)
{
    return dedup_with(f, (struct dedup_options){.prompts = true, .traces = true});
}

#define PROMPT_MARKS                                                                               \
    "SELECT prompt_id || ': ' || reason FROM prompt_verdicts WHERE kind = 'duplicate'"
#define TRACE_MARKS "SELECT trace_id || ': ' || reason FROM verdicts WHERE kind = 'duplicate'"

#define PROBLEM                                                                                    \
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "   \
    "May. How many clips did Natalia sell altogether in April and May, when every friend bought "  \
    "just one of them and nobody gave any back afterwards?"

static void test_exact_and_near_prompts(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    add_prompt(f, PROBLEM, "72", NULL);                              /* 1 */
    add_prompt(f, "What is 5 + 3?", "8", NULL);                      /* 2 */
    add_prompt(f, "what  is 5\n+ 3?", "8", NULL);                    /* 3: like 2 */
    add_prompt(f, "What is 5 - 3?", "2", NULL);                      /* 4 */
    add_prompt(f, PROBLEM " Think step by step.", "72", NULL);       /* 5: near 1 */
    add_prompt(f, PROBLEM " Please answer.", NULL, NULL);            /* 6: near 1, gold unknown */
    add_prompt(f, "A cat had " PROBLEM " Why?", "36", NULL);         /* 7: a variant of 1 */
    add_prompt(f, "...", NULL, NULL);                                /* 8: no words */
    add_prompt(f, "?!", NULL, NULL);                                 /* 9: no words, and another */
    add_prompt(f, "How tall is the old tree behind it?", "3", NULL); /* 10 */
    struct dedup_summary sum = dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS),
                        "3: the same words as prompt 2; 5: Jaccard 0.91 with prompt 1; "
                        "6: Jaccard 0.95 with prompt 1");
    assert_int_equal(sum.prompts.n_texts, 10);
    assert_int_equal(sum.prompts.n_exact, 1);
    assert_int_equal(sum.prompts.n_near, 2);
    assert_int_equal(sum.prompts.n_variants, 1);
    assert_int_equal(sum.prompts.marks.n_new, 3);
    assert_int_equal(sum.traces.n_texts, 0);
    /* exact only; then all again: marks are replaced, not added up */
    sum = dedup_with(f, (struct dedup_options){.prompts = true, .exact_only = true});
    assert_string_equal(ask(f, PROMPT_MARKS), "3: the same words as prompt 2");
    assert_int_equal(sum.prompts.marks.n_cleared, 2);
    sum = dedup_with(f, (struct dedup_options){.prompts = true, .threshold = 0.93});
    assert_string_equal(ask(f, PROMPT_MARKS),
                        "3: the same words as prompt 2; 6: Jaccard 0.95 with prompt 1");
}

/* The prompt that traces were paid for is kept, and the one with good ones first. */
static void test_the_best_prompt_is_kept(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t a = add_prompt(f, "What is 5 + 3?", NULL, NULL); /* 1 */
    int64_t b = add_prompt(f, "What is 5 +  3?", "8", NULL); /* 2 */
    int64_t c = add_prompt(f, "What is 5 + 3 now?", "8", NULL),
            r = add_request(f, "{\"teacher\":\"t\"}");
    int64_t d = add_prompt(f, "what is 5 + 3?", "8", NULL); /* 4 */
    assert_true(a == 1 && b == 2 && c == 3 && d == 4);
    dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS), /* 3 has a word more */
                        "1: the same words as prompt 2; 4: the same words as prompt 2");
    add_trace(f, a, r, 0, "five and three", "9");
    dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS),
                        "2: the same words as prompt 1; 4: the same words as prompt 1");
    add_trace(f, d, r, 0, "five and three", "\\boxed{8}");
    dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS),
                        "1: the same words as prompt 4; 2: the same words as prompt 4");
    assert_string_equal(selected(f, "correct", NULL), "what is 5 + 3?.0");
    /* its own marks do not sway it, those of others do */
    sql(f, "INSERT INTO prompt_verdicts VALUES (4, 'contaminated', 'yes', NULL, 1, '2026')");
    dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS),
                        "2: the same words as prompt 1; 4: the same words as prompt 1");
}

#define CHAIN                                                                                      \
    "Natalia sold 48 clips in April. In May she sold half of that, which is 48 / 2 = 24 clips. "   \
    "Altogether she sold 48 + 24 = 72 clips. Let me check that: 72 - 24 is 48, so it is right. "

static void test_traces(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t p = add_prompt(f, PROBLEM, "72", NULL), q = add_prompt(f, "Another one", "72", NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, p, r, 0, CHAIN, "It is 7");               /* 1: wrong, and like 2 */
    add_trace(f, p, r, 1, CHAIN, "\\boxed{72}");           /* 2: good */
    add_trace(f, p, r, 2, CHAIN "Yes.", "\\boxed{72}");    /* 3: near 2 */
    add_trace(f, p, r, 3, "  " CHAIN "\n", "\\boxed{72}"); /* 4: like 2 */
    add_trace(f, q, r, 0, CHAIN, "\\boxed{72}");           /* 5: like 2, to another prompt */
    add_trace(f, p, r, 4, "Quite another way to 72", "\\boxed{72}");
    add_trace(f, p, r, 5, "", "\\boxed{72}");
    add_trace(f, p, r, 6, "\\boxed{72}", ""); /* 8: the same words in another part */
    struct dedup_summary sum = dedup(f);
    assert_string_equal(ask(f, TRACE_MARKS),
                        "1: Jaccard 0.85 with trace 2; 3: Jaccard 0.81 with trace 2; 4: the same "
                        "words as trace 2; 8: Jaccard 1.00 with trace 7");
    assert_int_equal(sum.traces.n_texts, 8);
    assert_int_equal(sum.traces.n_exact, 1);
    assert_int_equal(sum.traces.n_near, 3);
    /* correct passes over them, and nothing is gone */
    assert_string_equal(selected(f, "good AND prompt_id = 1 AND sample_index < 4", NULL),
                        PROBLEM ".1");
    assert_string_equal(ask(f, "SELECT count(*) FROM traces"), "8");
    /* a second run says the same and writes nothing */
    char *before = strdup(ask(f, "SELECT group_concat(quote(created_at)) FROM verdicts"));
    sum = dedup(f);
    assert_int_equal(sum.traces.marks.n_new, 0);
    assert_int_equal(sum.traces.marks.n_cleared, 0);
    assert_int_equal(sum.traces.marks.n_marked, 4);
    assert_string_equal(ask(f, "SELECT group_concat(quote(created_at)) FROM verdicts"), before);
    free(before);
    /* verify and dedup leave each other's rows alone */
    struct corpus_verified v;
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_string_equal(ask(f, "SELECT count(*) FROM verdicts WHERE kind = 'duplicate'"), "4");
    dedup_with(f, (struct dedup_options){.traces = true, .any_prompt = true});
    assert_string_equal(ask(f, TRACE_MARKS " AND trace_id = 5"), "5: the same words as trace 2");
    struct marks_summary marks;
    ok(f, corpus_marks_clear(f->c, DEDUP_KIND, CORPUS_MARK_TRACES, &marks, &f->e));
    assert_int_equal(marks.n_cleared, 5);
    assert_string_equal(ask(f, TRACE_MARKS), "");
}

/* Between prompts that are duplicates of each other traces are compared, and the kept prompt's own
 * trace stays: or none of the two would be trained on. */
static void test_traces_of_duplicate_prompts(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    int64_t a = add_prompt(f, "What is 5 + 3?", "8", NULL),
            r = add_request(f, "{\"teacher\":\"t\"}");
    int64_t b = add_prompt(f, "what is 5 + 3?", "8", NULL);
    add_trace(f, b, r, 0, CHAIN, "\\boxed{8}"); /* 1 */
    add_trace(f, a, r, 0, CHAIN, "\\boxed{8}"); /* 2 */
    add_trace(f, b, r, 1, "Something else", "\\boxed{8}");
    dedup(f);
    assert_string_equal(ask(f, PROMPT_MARKS), "2: the same words as prompt 1");
    assert_string_equal(ask(f, TRACE_MARKS), "1: the same words as trace 2");
    assert_string_equal(selected(f, "correct", NULL), "What is 5 + 3?.0");
}

/* ---- against brute force ---- */

enum { N_TRIES = 600, N_FAMILIES = 120 };

/* Text i: of one of the families, with some words changed. */
static char *make_text(int i)
{
    struct rng r = rng_make(3, (uint64_t)i, 0), words = rng_make(4, (uint64_t)i % N_FAMILIES, 0);
    int n_words = 30 + (int)rng_below(&words, 120);
    double change = rng_uniform(&r) * 0.05;
    char *text = calloc((size_t)n_words, 8), *at = text;
    for (int k = 0; k < n_words; k++) {
        unsigned word = (unsigned)rng_below(&words, 3000);
        if (rng_uniform(&r) < change)
            word = 3000 + (unsigned)rng_below(&r, 3000);
        at += sprintf(at, "%sw%u", k ? " " : "", word);
    }
    return text;
}

/* Keep-the-first over all pairs: which texts are duplicates. */
static void brute_force(const struct shingle_set *sets, int n_texts, double threshold,
                        bool *duplicate, int *n_duplicates, int *n_almost)
{
    *n_duplicates = *n_almost = 0;
    for (int i = 0; i < n_texts; i++) {
        duplicate[i] = false;
        for (int k = 0; k < i; k++) {
            double j = duplicate[k] ? 0 : shingle_set_jaccard(&sets[i], &sets[k]);
            duplicate[i] |= j >= threshold;
            *n_almost += j > threshold - 0.1 && j < threshold;
        }
        *n_duplicates += duplicate[i];
    }
}

/* Are the marks on just these texts, each naming a kept one that is truly so near? */
static void check_marks(struct fixture *f, const struct shingle_set *sets, int n_texts,
                        const bool *duplicate, double threshold)
{
    char *at = ask(f, "SELECT prompt_id || ' ' || reason FROM prompt_verdicts");
    int last = 0, i, k, len;
    double j;
    for (; sscanf(at, "%d Jaccard %lf with prompt %d%n", &i, &j, &k, &len) == 3; last = i) {
        for (int between = last; between < i - 1; between++)
            if (duplicate[between])
                fail_msg("threshold %g: %d was missed", threshold, between + 1);
        double is = shingle_set_jaccard(&sets[i - 1], &sets[k - 1]);
        if (!duplicate[i - 1] || duplicate[k - 1] || is < threshold || is - j > 0.006 ||
            j - is > 0.006)
            fail_msg("threshold %g: %d is said to be near %d (%g)", threshold, i, k, is);
        at += len;
        at += strspn(at, "; ");
    }
    assert_string_equal(at, "");
    for (int between = last; between < n_texts; between++)
        assert_false(duplicate[between]);
}

static void test_against_brute_force(void **state)
{
    struct fixture *f = *state;
    struct shingle_set sets[N_TRIES] = {0};
    bool duplicate[N_TRIES], added;
    int n = 0;
    open_new(f);
    ok(f, corpus_begin(f->c, &f->e));
    for (int i = 0; i < N_TRIES; i++) {
        char *text = make_text(i);
        struct minhash_text part = {text, strlen(text)};
        int64_t id = add_prompt(f, text, NULL, &added);
        assert_true(!added || id == n + 1);
        if (added)
            ok(f, shingle_set_fill(&sets[n++], &part, 1, &f->e));
        free(text);
    }
    ok(f, corpus_commit(f->c, &f->e));
    static const double thresholds[] = {0.5, 0.7, 0.8, 0.9};
    for (int t = 0; t < 4; t++) {
        int n_duplicates, n_almost;
        brute_force(sets, n, thresholds[t], duplicate, &n_duplicates, &n_almost);
        assert_true(n_duplicates > 10 && n_almost > 50);
        dedup_with(f, (struct dedup_options){.prompts = true, .threshold = thresholds[t]});
        check_marks(f, sets, n, duplicate, thresholds[t]);
    }
    for (int i = 0; i < n; i++)
        shingle_set_dispose(&sets[i]);
}

/* ---- stopping, others at work ---- */

static bool stop_at_once(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static bool write_meanwhile(void *ctx, int64_t done, int64_t total)
{
    struct fixture *f = ctx;
    (void)done;
    (void)total;
    sql(f, "INSERT INTO prompts (text, created_at) VALUES ('What is 5 + 3? ' || random(), '')");
    return true;
}

static void test_stopping_and_writers(void **state)
{
    struct fixture *f = *state;
    struct dedup_options opt = {.prompts = true, .traces = true, .threshold = 0.8};
    struct dedup_summary sum;
    open_new(f);
    add_prompt(f, "What is 5 + 3?", "8", NULL);
    add_prompt(f, "what is 5 + 3?", "8", NULL);
    sql(f, "INSERT INTO prompt_verdicts VALUES (1, 'duplicate', 'yes', 'old', 1, '2026')");
    assert_int_equal(corpus_dedup(f->c, &opt, stop_at_once, NULL, &sum, &f->e), ERR_STOPPED);
    assert_string_equal(ask(f, PROMPT_MARKS), "1: old");
    ok(f, corpus_dedup(f->c, &opt, write_meanwhile, f, &sum, &f->e));
    assert_string_equal(ask(f, PROMPT_MARKS), "2: the same words as prompt 1");
    opt.threshold = 0.3;
    assert_int_equal(corpus_dedup(f->c, &opt, NULL, NULL, &sum, &f->e), ERR_USAGE);
}

/* An empty corpus, texts of a megabyte, and many alike. */
static void test_extremes(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    assert_int_equal(dedup(f).prompts.n_texts, 0);
    struct buf b = {0};
    for (int i = 0; i < 200000; i++)
        assert_int_equal(buf_printf(&b, NULL, "word%d ", i % 50000), ERR_OK);
    add_prompt(f, b.data, NULL, NULL);
    memcpy(b.data, "another", 7);
    add_prompt(f, b.data, NULL, NULL);
    buf_dispose(&b);
    ok(f, corpus_begin(f->c, &f->e));
    for (int i = 0; i < 3000; i++) {
        char text[64];
        snprintf(text, sizeof text, "Thesamewords%*s again", i + 1 > 40 ? 40 : i + 1, "");
        for (int k = 0; k < 12; k++)
            text[k] = (char)(i >> k & 1 ? text[k] ^ 32 : text[k]);
        add_prompt(f, text, NULL, NULL);
    }
    ok(f, corpus_commit(f->c, &f->e));
    struct dedup_summary sum = dedup(f);
    assert_int_equal(sum.prompts.n_near, 1);
    assert_true(sum.prompts.n_exact > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact_and_near_prompts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_best_prompt_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_traces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_traces_of_duplicate_prompts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_against_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopping_and_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extremes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
