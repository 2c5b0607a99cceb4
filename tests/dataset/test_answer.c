/* The answer checker on labelled pairs, on GSM8K's own answers, and on hostile text. */
#include "dataset/answer.h"
#include "core/base/file.h"
#include "dataset/problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static const char line_end[] = "\u23CE";

/* The pair's verdict; fields are cut out of line in place. */
static enum answer_verdict check_line(char *line, char *label, const char **why)
{
    char *given = strchr(line, '\t'), *gold;
    assert_non_null(given);
    gold = strchr(++given, '\t');
    assert_non_null(gold);
    *label = *line;
    *gold++ = 0;
    for (char *s; (s = strstr(given, line_end));) {
        *s = '\n';
        memmove(s + 1, s + 3, strlen(s + 3) + 1);
    }
    for (char *s; (s = strstr(gold, line_end));) {
        *s = '\n';
        memmove(s + 1, s + 3, strlen(s + 3) + 1);
    }
    return answer_check(given, strlen(given), gold, strlen(gold), why);
}

/* Calls one(ctx, ...) for each pair of a file; the number of pairs. */
typedef void (*pair_fn)(void *ctx, char label, enum answer_verdict got, const char *where,
                        const char *why);

static int for_each_pair(const char *file, pair_fn one, void *ctx)
{
    struct buf text = {0};
    struct err e;
    int n = 0, n_line = 0;
    char path[128], where[1200];
    snprintf(path, sizeof path, "tests/vectors/answers/%s", file);
    if (file_read(path, 1 << 20, &text, &e))
        fail_msg("%s", e.msg);
    for (char *next = text.data, *line; (line = strsep(&next, "\n"));) {
        char label;
        const char *why = "";
        n_line++;
        if (!*line || *line == '#')
            continue;
        snprintf(where, sizeof where, "%s:%d: %s", file, n_line, line);
        enum answer_verdict got = check_line(line, &label, &why);
        one(ctx, label, got, where, why);
        n++;
    }
    buf_dispose(&text);
    return n;
}

static void check_rule(void *ctx, char label, enum answer_verdict got, const char *where,
                       const char *why)
{
    enum answer_verdict want = label == '='   ? ANSWER_CORRECT
                               : label == '!' ? ANSWER_WRONG
                                              : ANSWER_UNKNOWN;
    if (got != want) {
        ++*(int *)ctx;
        print_message("%s: %s (%s)\n", where, answer_verdict_name(got), why);
    }
}

static void test_rules(void **state)
{
    (void)state;
    int n_bad = 0;
    assert_true(for_each_pair("rules.tsv", check_rule, &n_bad) >= 300);
    assert_int_equal(n_bad, 0);
}

/* equal[verdict], unequal[verdict] */
struct tally {
    int equal[3], unequal[3];
};

static void count_pair(void *ctx, char label, enum answer_verdict got, const char *where,
                       const char *why)
{
    struct tally *t = ctx;
    assert_true(label == '=' || label == '!');
    (label == '=' ? t->equal : t->unequal)[got]++;
    if (label == '=' ? got != ANSWER_CORRECT : got == ANSWER_CORRECT)
        print_message("%s: %s (%s)\n", where, answer_verdict_name(got), why);
}

/* No unequal pair is called correct, no equal one wrong, and over 97 % of the equal ones correct.
 */
static void test_pairs(void **state)
{
    (void)state;
    struct tally t = {0};
    int n = for_each_pair("pairs_a.tsv", count_pair, &t) +
            for_each_pair("pairs_b.tsv", count_pair, &t) +
            for_each_pair("pairs_c.tsv", count_pair, &t) +
            for_each_pair("pairs_d.tsv", count_pair, &t) +
            for_each_pair("pairs_e.tsv", count_pair, &t) +
            for_each_pair("pairs_f.tsv", count_pair, &t);
    int n_equal = t.equal[0] + t.equal[1] + t.equal[2], n_unequal = n - n_equal;
    print_message("%d equal: %d correct, %d unknown; %d unequal: %d wrong, %d unknown\n", n_equal,
                  t.equal[ANSWER_CORRECT], t.equal[ANSWER_UNKNOWN], n_unequal,
                  t.unequal[ANSWER_WRONG], t.unequal[ANSWER_UNKNOWN]);
    assert_true(n >= 1100 && n_unequal * 100 >= n * 45);
    assert_int_equal(t.unequal[ANSWER_CORRECT], 0);
    assert_int_equal(t.equal[ANSWER_WRONG], 0);
    assert_true(t.equal[ANSWER_CORRECT] * 100 > n_equal * 97);
}

/* Equality does not depend on who is gold, as long as both are bare numbers. */
static void test_compare_is_symmetric(void **state)
{
    (void)state;
    const char *values[] = {"1/2", "0.5",  "50%", "\\frac12", "2",
                            "2.0", "200%", "-3",  "\\$2",     "2 cm"};
    size_t n = sizeof values / sizeof *values;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            assert_int_equal(
                answer_compare(values[i], strlen(values[i]), values[j], strlen(values[j]), NULL),
                answer_compare(values[j], strlen(values[j]), values[i], strlen(values[i]), NULL));
}

static void gsm8k(const char *file)
{
    const char *shared = getenv("DECANT_SHARED");
    char path[512], other[160], boxed[160];
    struct problems *p;
    struct problem q;
    struct err e;
    bool more;
    int n = 0;
    snprintf(path, sizeof path, "%s/data/gsm8k/%s", shared ? shared : "../shared", file);
    if (!file_exists(path)) {
        print_message("no %s\n", path);
        skip();
    }
    if (problems_open(path, NULL, &p, &e))
        fail_msg("%s", e.msg);
    for (;; n++) {
        if (problems_next(p, &q, &more, &e))
            fail_msg("%s", e.msg);
        if (!more)
            break;
        const char *why;
        snprintf(boxed, sizeof boxed, "So it is \\boxed{%s}.", q.gold);
        if (answer_check(boxed, strlen(boxed), q.gold, q.n_gold, &why) != ANSWER_CORRECT)
            fail_msg("%s:%lld: %s: %s", path, (long long)q.line, q.gold, why);
        snprintf(other, sizeof other, "%s1", q.gold); /* ten times as much and one */
        if (strchr(q.gold, ','))
            snprintf(other, sizeof other, "-%s", q.gold);
        if (answer_check(other, strlen(other), q.gold, q.n_gold, &why) != ANSWER_WRONG)
            fail_msg("%s:%lld: %s: %s", path, (long long)q.line, other, why);
    }
    problems_close(p);
    assert_true(n > 1000);
}

static void test_gsm8k_train(void **state)
{
    (void)state;
    gsm8k("train.jsonl");
}

static void test_gsm8k_test(void **state)
{
    (void)state;
    gsm8k("test.jsonl");
}

/* No two different golds of GSM8K are taken for one another. */
static void test_gsm8k_golds_differ(void **state)
{
    (void)state;
    enum { MAX_GOLDS = 1500 };
    const char *shared = getenv("DECANT_SHARED");
    char path[512], *gold[MAX_GOLDS];
    double value[MAX_GOLDS];
    struct problems *p;
    struct problem q;
    struct err e;
    bool more = true;
    int n = 0;
    snprintf(path, sizeof path, "%s/data/gsm8k/test.jsonl", shared ? shared : "../shared");
    if (!file_exists(path)) {
        print_message("no %s\n", path);
        skip();
    }
    if (problems_open(path, NULL, &p, &e))
        fail_msg("%s", e.msg);
    while (n < MAX_GOLDS && !problems_next(p, &q, &more, &e) && more) {
        char digits[64];
        size_t len = 0;
        for (size_t i = 0; i < q.n_gold && len + 1 < sizeof digits; i++)
            if (q.gold[i] != ',')
                digits[len++] = q.gold[i];
        digits[len] = 0;
        value[n] = strtod(digits, NULL);
        bool seen = false;
        for (int i = 0; i < n; i++)
            seen = seen || value[i] == value[n];
        if (!seen)
            gold[n++] = strndup(q.gold, q.n_gold);
    }
    problems_close(p);
    assert_true(n > 200);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (i != k && answer_compare(gold[i], strlen(gold[i]), gold[k], strlen(gold[k]),
                                         NULL) != ANSWER_WRONG)
                fail_msg("%s is not told from %s", gold[i], gold[k]);
    for (int i = 0; i < n; i++)
        free(gold[i]);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Compares in memory of just the right size, so that AddressSanitizer sees a byte too far; the
 * seconds of CPU that it took. */
static double check_tightly(const char *text, size_t n, const char *gold, size_t n_gold)
{
    char *a = malloc(n ? n : 1), *b = malloc(n_gold ? n_gold : 1);
    const char *why;
    memcpy(a, text, n);
    memcpy(b, gold, n_gold);
    double start = cpu_seconds();
    answer_check(a, n, b, n_gold, &why);
    answer_compare(a, n, b, n_gold, &why);
    double seconds = cpu_seconds() - start;
    free(a);
    free(b);
    return seconds;
}

#ifdef __SANITIZE_ADDRESS__
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif

static char *repeat(const char *unit, size_t n)
{
    size_t len = strlen(unit);
    char *s = malloc(n * len + 1);
    for (size_t i = 0; i < n; i++)
        memcpy(s + i * len, unit, len);
    s[n * len] = 0;
    return s;
}

/* A megabyte of one thing, and as much of it as an answer may hold: a millisecond or so for the
 * latter, what reading the text takes for the former. */
static void test_hostile_text_is_bounded(void **state)
{
    (void)state;
    const char *units[] = {"\\boxed{",
                           "{",
                           "}",
                           "\\boxed{1}",
                           "\\boxed",
                           "\\boxed ",
                           "####",
                           "answer is ",
                           "1,",
                           "\\frac{",
                           "\\frac",
                           "\\text{",
                           "-",
                           "(",
                           "9",
                           "$",
                           "=",
                           "\\",
                           "\xff",
                           "1/",
                           "\\boxed{{",
                           "a",
                           "*",
                           "\n",
                           "1 ",
                           "1\n",
                           "1/3\n",
                           "\\!",
                           "{,}",
                           "^{",
                           "e9",
                           ".",
                           "9^",
                           "9^{",
                           "9!",
                           "!",
                           "\\sqrt",
                           "\\sqrt{",
                           "\\sin ",
                           "\\sin(",
                           "|",
                           "|x+",
                           "x+",
                           "x*",
                           "(x+1)",
                           "\\pm 1",
                           "\\pm 1,",
                           "\\{",
                           "[",
                           "\\cup",
                           "(1,2)\\cup",
                           "x,",
                           "x=1,",
                           "1:",
                           "1<",
                           "x<1 or ",
                           "&",
                           "\\\\",
                           "1&",
                           "\\begin{pmatrix}",
                           "\\overline{",
                           "\\bar",
                           "\\binom",
                           "_",
                           "x_{",
                           "\\log_",
                           "\\ln",
                           "**",
                           "**1** and ",
                           "$1$, ",
                           "\\boxed{1} and ",
                           "99999999^99999999 ",
                           "\\frac12",
                           "\\binom{999}{499}+",
                           "2^{999}+",
                           "900!+",
                           "900!-899!,",
                           "x^x^",
                           "999!+",
                           "\\sin x^{\\pi}+",
                           "\\text{a}",
                           "\\mathrm{"};
    double worst_long = 0, worst_short = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (int wrap = 0; wrap < 3; wrap++) {
            size_t n_units = (wrap == 1 ? 1000 : 1000000 / SLOWER) / strlen(units[i]);
            char *body = repeat(units[i], n_units);
            size_t cap = strlen(body) + 64;
            char *text = malloc(cap);
            snprintf(text, cap, wrap ? "\\boxed{%s1}" : "%s", body);
            assert_int_not_equal(answer_check(text, strlen(text), "72", 2, NULL), ANSWER_CORRECT);
            double a = check_tightly(text, strlen(text), "72", 2),
                   b = check_tightly("72", 2, body, strlen(body)),
                   c = wrap == 1 ? check_tightly(body, strlen(body) - 1, body, strlen(body)) : 0;
            double *worst = wrap == 1 ? &worst_short : &worst_long;
            double seconds = a > b ? a : b;
            seconds = seconds > c ? seconds : c;
            if (seconds > (wrap == 1 ? 0.05 : 0.5) * SLOWER)
                fail_msg("%.3f s for %s", seconds, units[i]);
            *worst = seconds > *worst ? seconds : *worst;
            free(text);
            free(body);
        }
    print_message("at most %.1f ms for 1 MB, %.2f ms for 1 kB\n", 1e3 * worst_long,
                  1e3 * worst_short);
}

/* The texts of all pairs. */
struct pool {
    char *text[4000];
    size_t n;
};

static void read_pool(const char *file, struct pool *pool)
{
    struct buf text = {0};
    struct err e;
    char path[128];
    snprintf(path, sizeof path, "tests/vectors/answers/%s", file);
    if (file_read(path, 1 << 20, &text, &e))
        fail_msg("%s", e.msg);
    for (char *next = text.data, *line; (line = strsep(&next, "\n"));)
        for (char *field; line && *line != '#' && (field = strsep(&line, "\t"));)
            if (pool->n < sizeof pool->text / sizeof *pool->text && strlen(field) > 1)
                pool->text[pool->n++] = strdup(field);
    buf_dispose(&text);
}

/* Changes text, which has room for cap bytes, somewhere: a byte gone, another byte, notation or
 * another answer put in. */
static size_t mutate(char *text, size_t n, size_t cap, const struct pool *pool, unsigned *seed)
{
    static const char *const parts[] = {"{",
                                        "}",
                                        "\\{",
                                        "\\}",
                                        "(",
                                        ")",
                                        "[",
                                        "]",
                                        "|",
                                        "^",
                                        "_",
                                        "\\frac",
                                        "\\sqrt",
                                        "\\sin",
                                        "\\log",
                                        "\\pm",
                                        "!",
                                        "9^",
                                        "\\cup",
                                        "\\binom",
                                        "\\begin{pmatrix}",
                                        "\\end{pmatrix}",
                                        "&",
                                        "\\\\",
                                        ",",
                                        "=",
                                        "<",
                                        "x",
                                        "\\overline{",
                                        "\\text{",
                                        "1/",
                                        "-",
                                        "/",
                                        "%",
                                        ":",
                                        "$",
                                        "e",
                                        "i",
                                        "\\infty",
                                        "^\\circ",
                                        "\\boxed{",
                                        "\xce",
                                        "million",
                                        "cm",
                                        "\u00BD"};
    size_t at = n ? (size_t)rand_r(seed) % n : 0, n_times = 1;
    const char *part = parts[(size_t)rand_r(seed) % (sizeof parts / sizeof *parts)];
    switch (rand_r(seed) % 5) {
    case 0:
        if (n)
            memmove(text + at, text + at + 1, --n - at);
        return n;
    case 1:
        if (n)
            text[at] = (char)rand_r(seed);
        return n;
    case 2:
        part = pool->text[(size_t)rand_r(seed) % pool->n];
        break;
    default:
        n_times = rand_r(seed) % 20 ? 1 : (size_t)rand_r(seed) % 300;
    }
    size_t len = strlen(part);
    for (; n_times && n + len < cap; n_times--) {
        memmove(text + at + len, text + at, n - at);
        memcpy(text + at, part, len);
        n += len;
    }
    return n;
}

/* A gold answer with another digit somewhere is never correct. */
static void test_another_digit_is_another_answer(void **state)
{
    (void)state;
    struct pool pool = {.n = 0};
    int n = 0;
    read_pool("pairs_a.tsv", &pool);
    read_pool("pairs_b.tsv", &pool);
    read_pool("pairs_c.tsv", &pool);
    read_pool("pairs_d.tsv", &pool);
    read_pool("pairs_e.tsv", &pool);
    read_pool("pairs_f.tsv", &pool);
    for (size_t i = 0; i < pool.n; i++) {
        size_t len = strlen(pool.text[i]);
        bool prose = strstr(pool.text[i], "\u23CE") || strchr(pool.text[i], '*') ||
                     strstr(pool.text[i], "box") || strstr(pool.text[i], "answer") ||
                     pool.text[i][len - 1] == '.';
        for (size_t k = 0; !prose && k < len; k++) {
            char *digit = &pool.text[i][k], was = *digit;
            if (was < '0' || was > '9')
                continue;
            char *other = strdup(pool.text[i]);
            *digit = was == '9' ? '8' : (char)(was + 1);
            if (answer_compare(other, len, pool.text[i], len, NULL) == ANSWER_CORRECT)
                fail_msg("%s and %s", other, pool.text[i]);
            *digit = was;
            free(other);
            n++;
        }
    }
    assert_true(n > 500);
    for (size_t i = 0; i < pool.n; i++)
        free(pool.text[i]);
}

/* No crash, and none that takes long. */
static void test_mutated_pairs(void **state)
{
    (void)state;
    struct pool pool = {.n = 0};
    unsigned seed = 3;
    double worst = 0;
    read_pool("pairs_a.tsv", &pool);
    read_pool("pairs_b.tsv", &pool);
    read_pool("pairs_c.tsv", &pool);
    read_pool("pairs_d.tsv", &pool);
    read_pool("pairs_e.tsv", &pool);
    read_pool("pairs_f.tsv", &pool);
    read_pool("rules.tsv", &pool);
    for (int i = 0; i < 150000 / SLOWER; i++) {
        char text[2][4000];
        size_t n[2];
        for (int k = 0; k < 2; k++) {
            n[k] = strlen(strcpy(text[k], pool.text[(size_t)rand_r(&seed) % pool.n]));
            for (int m = rand_r(&seed) % 6; m > 0; m--)
                n[k] = mutate(text[k], n[k], sizeof text[k], &pool, &seed);
        }
        double seconds = check_tightly(text[0], n[0], text[1], n[1]);
        worst = seconds > worst ? seconds : worst;
        if (seconds > 0.05 * SLOWER)
            fail_msg("%.3f s for %.*s\nagainst %.*s", seconds, (int)n[0], text[0], (int)n[1],
                     text[1]);
    }
    print_message("at most %.2f ms\n", 1e3 * worst);
    for (size_t i = 0; i < pool.n; i++)
        free(pool.text[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_compare_is_symmetric),
        cmocka_unit_test(test_gsm8k_train),
        cmocka_unit_test(test_gsm8k_test),
        cmocka_unit_test(test_hostile_text_is_bounded),
        cmocka_unit_test(test_gsm8k_golds_differ),
        cmocka_unit_test(test_mutated_pairs),
        cmocka_unit_test(test_another_digit_is_another_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
