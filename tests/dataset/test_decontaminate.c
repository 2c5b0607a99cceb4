/* Contamination: exact runs as open-r1 finds them, fuzzy shares against brute force, planted
 * problems, and GSM8K's test problems against its training problems (where the files are here). */
#include "core/base/rng.h"
#include "dataset/benchmark.h"
#include "dataset/decontaminate.h"
#include "dataset/problems.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

struct asked {
    struct benchmark *b;
    struct benchmark_scratch s;
};

/* A benchmark of the file's text (JSONL). */
static struct asked benchmark_from(struct fixture *f, const char *jsonl, int n_run)
{
    struct asked a = {0};
    int64_t n;
    write_file(f->file, jsonl, strlen(jsonl));
    ok(f, benchmark_open(n_run, &a.b, &f->e));
    ok(f, benchmark_add(a.b, f->file, NULL, &n, &f->e));
    ok(f, benchmark_build(a.b, &f->e));
    return a;
}

static void dispose(struct asked *a)
{
    benchmark_scratch_dispose(&a->s);
    benchmark_close(a->b);
}

static struct benchmark_match match(struct asked *a, const char *text, double threshold)
{
    struct benchmark_match m;
    assert_int_equal(benchmark_match(a->b, &a->s, text, strlen(text), threshold, &m, NULL), ERR_OK);
    return m;
}

static void test_exact(void **state)
{
    struct fixture *f = *state;
    struct asked a =
        benchmark_from(f,
                       "{\"problem\": \"one two three four five six seven eight nine\"}\n\n"
                       "{\"question\": \"Alpha beta gamma delta  epsilon\\nzeta ETA, theta.\"}\n"
                       "{\"prompt\": \"What is 2+2?\"}\n"
                       "{\"prompt\": \"x one two three four five six seven eight\"}\n",
                       8);
    const struct {
        const char *text;
        int64_t line; /* 0: nothing */
        int64_t word, n;
    } cases[] = {
        {"one two three four five six seven eight", 1, 0, 1},
        {"Say:\n ONE two\tThree four five six seven eight nine ten", 1, 1, 2},
        {"one two three four five six seven", 0, 0, 0},
        {"one two three four, five six seven eight", 0, 0, 0},
        {"one two three four five six seven  eight.", 0, 0, 0},
        {"alpha beta gamma delta epsilon zeta eta, theta.", 3, 0, 1},
        {"alpha beta gamma delta epsilon zeta eta, theta", 0, 0, 0},
        {"what IS\n2+2?", 4, 0, 1},
        {"So what is 2+2?", 0, 0, 0},
        {"x one two three four five six seven", 5, 0, 1},
        {"", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct benchmark_match m = match(&a, cases[i].text, 0);
        int64_t line = 0;
        if (m.exact)
            assert_string_equal(benchmark_file(a.b, m.exact_problem, &line), f->file);
        if (line != cases[i].line || (m.exact && m.exact_word != cases[i].word) ||
            m.n_exact != cases[i].n || m.fuzzy)
            fail_msg("%s: line %d, word %d, %d runs", cases[i].text, (int)line, (int)m.exact_word,
                     (int)m.n_exact);
    }
    dispose(&a);
}

/* ---- against brute force ---- */

/* The words of text as Python's lower().split() has them; ASCII. */
static int split(const char *text, char words[][16], int cap)
{
    int n = 0, len;
    for (char word[16]; n < cap && sscanf(text, "%15s%n", word, &len) == 1; text += len, n++)
        strcpy(words[n], word);
    return n;
}

static bool same_run(char a[][16], char b[][16], int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static void add_words(struct buf *out, struct rng *r, int n, int vocabulary)
{
    for (int i = 0; i < n; i++) /* some words are common */
        buf_printf(out, NULL, "%sw%d", out->len ? " " : "",
                   (int)(rng_uniform(r) * rng_uniform(r) * vocabulary));
}

enum { N_PROBLEMS = 60, N_TEXTS = 60, MOST_WORDS = 200 };

/* The share of problem p in text, by its definition. */
static double brute_share(char (*problems)[MOST_WORDS][16], const int *lengths, int p,
                          char (*text)[16], int n)
{
    double all = 0, best = 0, weights[MOST_WORDS];
    int first[MOST_WORDS]; /* is this pair of the problem its first occurrence? */
    for (int i = 0; i + 1 < lengths[p]; i++) {
        int have = 0;
        first[i] = 1;
        for (int k = 0; k < i; k++)
            first[i] &= !same_run(problems[p] + i, problems[p] + k, 2);
        for (int q = 0; q < N_PROBLEMS; q++) {
            bool in = false;
            for (int k = 0; k + 1 < lengths[q] && lengths[q] >= BENCHMARK_FUZZY_WORDS; k++)
                in |= same_run(problems[p] + i, problems[q] + k, 2);
            have += in;
        }
        weights[i] = log(1 + (double)N_PROBLEMS / have);
        all += first[i] ? weights[i] : 0;
    }
    int length = 2 * lengths[p];
    for (int from = 0; from == 0 || from + length <= n - 1; from++) {
        double share = 0;
        for (int i = 0; i + 1 < lengths[p]; i++) {
            bool in = false;
            for (int k = from; k + 1 < n && k < from + length; k++)
                in |= same_run(problems[p] + i, text + k, 2);
            share += in && first[i] ? weights[i] : 0;
        }
        best = share > best ? share : best;
    }
    return best / all;
}

static void test_against_brute_force(void **state)
{
    struct fixture *f = *state;
    static char problems[N_PROBLEMS][MOST_WORDS][16];
    int lengths[N_PROBLEMS], n_exact = 0, n_fuzzy = 0;
    struct rng r = rng_make(1, 2, 3);
    struct buf jsonl = {0}, one = {0};
    for (int p = 0; p < N_PROBLEMS; p++) {
        buf_clear(&one);
        add_words(&one, &r, p % 10 ? 25 + p % 30 : 10, 150);
        lengths[p] = split(one.data, problems[p], MOST_WORDS);
        buf_printf(&jsonl, NULL, "{\"prompt\": \"%s\"}\n", one.data);
    }
    struct asked a = benchmark_from(f, jsonl.data, 3);
    for (int t = 0; t < N_TEXTS; t++) {
        static char text[MOST_WORDS][16];
        buf_clear(&one);
        add_words(&one, &r, (int)rng_below(&r, 60), 150);
        if (t % 2) { /* some of a problem, with holes */
            int p = (int)rng_below(&r, N_PROBLEMS);
            for (int i = 0; i < lengths[p]; i++)
                if (rng_uniform(&r) > t / 160.0)
                    buf_printf(&one, NULL, " %s", problems[p][i]);
        }
        add_words(&one, &r, 1 + (int)rng_below(&r, 80), 150);
        int n = split(one.data, text, MOST_WORDS), runs = 0;
        for (int i = 0; i + 3 <= n; i++) {
            bool in = false;
            for (int p = 0; p < N_PROBLEMS; p++)
                for (int k = 0; k + 3 <= lengths[p]; k++)
                    in |= same_run(text + i, problems[p] + k, 3);
            runs += in;
        }
        double best = 0;
        int best_problem = -1;
        for (int p = 0; p < N_PROBLEMS; p++) {
            double share =
                lengths[p] < BENCHMARK_FUZZY_WORDS ? 0 : brute_share(problems, lengths, p, text, n);
            if (share > best + 1e-6) {
                best = share;
                best_problem = p;
            }
        }
        struct benchmark_match m = match(&a, one.data, 0.4);
        assert_int_equal(m.n_exact, runs);
        assert_int_equal(m.exact, runs > 0);
        if (fabs(best - 0.4) > 1e-5)
            assert_int_equal(m.fuzzy, best > 0.4);
        if (m.fuzzy && (fabs(m.share - best) > 1e-5 || (int)m.fuzzy_problem != best_problem))
            fail_msg("text %d: %g of %d; should be %g of %d", t, m.share, (int)m.fuzzy_problem,
                     best, best_problem);
        n_exact += m.exact;
        n_fuzzy += m.fuzzy;
    }
    assert_true(n_exact > 20 && n_fuzzy > 10 && n_fuzzy < 40);
    buf_dispose(&jsonl);
    buf_dispose(&one);
    dispose(&a);
}

#define PROBLEM                                                                                    \
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "   \
    "May. How many clips did Natalia sell altogether in April and May?"

static void test_near_copies(void **state)
{
    struct fixture *f = *state;
    struct asked a =
        benchmark_from(f,
                       "{\"prompt\": \"" PROBLEM "\"}\n"
                       "{\"prompt\": "
                       "\"小明有48个苹果，他把其中的一半分给了小红，又吃掉了三个，请问他现在还剩下"
                       "多少个苹果？\"}\n"
                       "{\"prompt\": \"What is the greatest common factor of 32 and 48?\"}\n"
                       "{\"prompt\": \"How many of her friends did she have in April and in May, "
                       "and how many of them "
                       "did she sell clips to in both of those months of the year?\"}\n",
                       8);
    const struct {
        const char *text;
        int64_t line;
    } cases[] = {
        {"Natalia sold clips, to 48 of her friends -- in April; then she sold half as many in May! "
         "How "
         "many clips did Natalia sell, altogether, in April & May?",
         1},
        {"natalia SOLD **clips** to $48$ of her friends in \\text{April}, and then sold half as "
         "many "
         "clips in May; how many did she sell altogether in April and May",
         1},
        {"Natalie sold pins to 48 of her friends in April, and then she sold half as many pins in "
         "June. "
         "How many pins did Natalie sell altogether in April and June?",
         1},
        {"小明有48个苹果，他把其中的一半给了小红，又吃掉三个，请问他现在还剩多少苹果？", 2},
        {"小红有12本书，她借给小明5本，后来又买了7本新书，请问她现在一共有多少本书？", 0},
        {"What is the greatest common factor of 32 and 40, please?", 0}, /* too short to say */
        {"Tom sold 20 books in March. How many did he sell in April if he sold half as many?", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct benchmark_match m = match(&a, cases[i].text, 0.5);
        int64_t line = 0;
        if (m.fuzzy)
            benchmark_file(a.b, m.fuzzy_problem, &line);
        if (line != cases[i].line)
            fail_msg("%s: line %d, %g", cases[i].text, (int)line, m.share);
    }
    dispose(&a);
}

/* ---- in a corpus ---- */

static void write_lines(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

static void test_marks(void **state)
{
    struct fixture *f = *state;
    char second[128], want[1024];
    open_new(f);
    int64_t p = add_prompt(f, "Solve this. " PROBLEM " Think.", "72", NULL);
    add_prompt(f, "what is  2+2?", "4", NULL);
    int64_t q = add_prompt(f, "What is 2+3?", "5", NULL), r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, p, r, 0, "Let me see.", "\\boxed{72}");
    add_trace(f, q, r, 0, "I know this: " PROBLEM, "\\boxed{5}");
    add_trace(f, q, r, 1, "Two and three.", "\\boxed{5}");
    write_lines(f->file, "{\"prompt\": \"" PROBLEM "\"}\n");
    snprintf(second, sizeof second, "%s/second.jsonl", f->dir);
    write_lines(second, "\n{\"question\": \"What is 2+2?\"}\n");
    const char *files[] = {f->file, second};
    struct decontaminate_options opt = {
        .files = files, .n_files = 2, .n_run = 8, .threshold = 0.5, .traces = true};
    struct decontaminate_summary sum;
    ok(f, corpus_decontaminate(f->c, &opt, NULL, NULL, &sum, &f->e));
    snprintf(
        want, sizeof want,
        "8 words in a row of %s:1 (24 such runs): \"Natalia sold clips to 48 of her friends\"; "
        "100 %% of %s:1; the whole of %s:2",
        f->file, f->file, second);
    assert_string_equal(ask(f, "SELECT reason FROM prompt_verdicts"), want);
    snprintf(want, sizeof want,
             "2 8 words in a row of %s:1 (24 such runs): \"Natalia sold clips to "
             "48 of her friends\"",
             f->file);
    assert_string_equal(
        ask(f, "SELECT trace_id || ' ' || reason FROM verdicts WHERE kind = 'contaminated'"), want);
    assert_true(sum.n_problems == 2 && sum.prompts.n_texts == 3 && sum.prompts.n_exact == 2 &&
                sum.prompts.n_fuzzy == 1 && sum.prompts.n_both == 1 && sum.traces.n_exact == 1);
    assert_string_equal(selected(f, "correct", NULL), "What is 2+3?.1");
    /* traces to come are passed over as well */
    add_trace(f, p, r, 5, "Again.", "\\boxed{72}");
    assert_string_equal(selected(f, "correct", NULL), "What is 2+3?.1");
    /* one benchmark fewer: its marks go; those on traces stay when traces are not looked at */
    opt.n_files = 1;
    opt.files = files + 1;
    opt.traces = false;
    ok(f, corpus_decontaminate(f->c, &opt, NULL, NULL, &sum, &f->e));
    assert_int_equal(sum.prompts.marks.n_cleared, 1);
    assert_string_equal(ask(f, "SELECT count(*) FROM verdicts WHERE kind = 'contaminated'"), "1");
    /* a file that is wrong changes nothing */
    write_lines(second, "{\"question\": \"What is 2+2?\"}\n{\"x\": 1}\n");
    assert_int_equal(corpus_decontaminate(f->c, &opt, NULL, NULL, &sum, &f->e), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "second.jsonl:2"));
    write_lines(second, "\n");
    assert_int_equal(corpus_decontaminate(f->c, &opt, NULL, NULL, &sum, &f->e), ERR_FORMAT);
    assert_string_equal(ask(f, "SELECT count(*) FROM prompt_verdicts"), "1");
}

/* ---- GSM8K ---- */

struct texts_of {
    char *items[8000];
    int n;
};

static void read_problems(struct fixture *f, const char *path, struct texts_of *out)
{
    struct problems *p;
    struct problem problem;
    bool more;
    ok(f, problems_open(path, NULL, &p, &f->e));
    for (;;) {
        ok(f, problems_next(p, &problem, &more, &f->e));
        if (!more)
            break;
        assert_true(out->n < 8000);
        out->items[out->n++] = strdup(problem.prompt);
    }
    problems_close(p);
}

/* text with each word replaced by one of another problem with probability change. */
static char *paraphrase(struct rng *r, const char *text, const struct texts_of *others,
                        double change)
{
    struct buf out = {0};
    char word[64];
    int len;
    for (; sscanf(text, "%63s%n", word, &len) == 1; text += len) {
        if (rng_uniform(r) < change) {
            const char *from = others->items[rng_below(r, (uint64_t)others->n)];
            size_t n = strlen(from), at = rng_below(r, n);
            while (at && from[at - 1] != ' ')
                at--;
            sscanf(from + at, "%63s", word);
        }
        buf_printf(&out, NULL, "%s%s", out.len ? " " : "", word);
    }
    return out.data;
}

/* Every test problem inside another prompt is found; of changed copies so many; and of the training
 * problems, which should hold none, so few. */
static void test_gsm8k(void **state)
{
    struct fixture *f = *state;
    const char *shared = getenv("DECANT_SHARED");
    char test[512], train[512];
    snprintf(test, sizeof test, "%s/data/gsm8k/test.jsonl", shared ? shared : "../shared");
    snprintf(train, sizeof train, "%s/data/gsm8k/train.jsonl", shared ? shared : "../shared");
    if (!file_exists(test) || !file_exists(train))
        skip();
    struct texts_of problems = {0}, others = {0};
    struct asked a = {0};
    int64_t n;
    read_problems(f, test, &problems);
    read_problems(f, train, &others);
    ok(f, benchmark_open(8, &a.b, &f->e));
    ok(f, benchmark_add(a.b, test, NULL, &n, &f->e));
    ok(f, benchmark_build(a.b, &f->e));
    struct rng r = rng_make(8, 0, 0);
    int exact = 0;
    struct buf text = {0};
    for (int i = 0; i < problems.n; i++) { /* planted whole, in another case and spacing */
        buf_clear(&text);
        buf_printf(&text, NULL, "%s\n\n", others.items[rng_below(&r, (uint64_t)others.n)]);
        for (const char *s = problems.items[i]; *s; s++)
            buf_printf(&text, NULL, "%s%c", *s == ' ' ? "\t" : "",
                       *s >= 'a' && *s <= 'z' && rng_uniform(&r) < 0.3 ? *s - 32 : *s);
        buf_str(&text, "\nPlease reason step by step.", NULL);
        exact += match(&a, text.data, 0).exact;
    }
    print_message("planted: %d of %d found exactly\n", exact, problems.n);
    assert_int_equal(exact, problems.n);
    static const double changes[] = {0.1, 0.2, 0.3};
    static const double least[] = {0.97, 0.85, 0.35};
    for (int c = 0; c < 3; c++) {
        int fuzzy = 0, run = 0;
        for (int i = 0; i < problems.n; i++) {
            char *changed = paraphrase(&r, problems.items[i], &others, changes[c]);
            struct benchmark_match m = match(&a, changed, 0.5);
            fuzzy += m.fuzzy && (int)m.fuzzy_problem == i;
            run += m.exact;
            free(changed);
        }
        print_message("%.0f %% of the words changed: %.1f %% found by fuzzy, %.1f %% by exact\n",
                      100 * changes[c], 100.0 * fuzzy / problems.n, 100.0 * run / problems.n);
        assert_true(fuzzy >= least[c] * problems.n);
    }
    int n_exact = 0, n_fuzzy = 0;
    for (int i = 0; i < others.n; i++) {
        struct benchmark_match m = match(&a, others.items[i], 0.5);
        n_exact += m.exact;
        n_fuzzy += m.fuzzy;
    }
    print_message("of %d training problems: %d exact, %d fuzzy\n", others.n, n_exact, n_fuzzy);
    assert_int_equal(n_exact, 70); /* what open-r1's rule finds in these files */
    assert_true(n_fuzzy >= 3 && n_fuzzy <= 10);
    for (int i = 0; i < problems.n; i++)
        free(problems.items[i]);
    for (int i = 0; i < others.n; i++)
        free(others.items[i]);
    buf_dispose(&text);
    dispose(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_against_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_near_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gsm8k, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
