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
            for_each_pair("pairs_b.tsv", count_pair, &t);
    int n_equal = t.equal[0] + t.equal[1] + t.equal[2], n_unequal = n - n_equal;
    print_message("%d equal: %d correct, %d unknown; %d unequal: %d wrong, %d unknown\n", n_equal,
                  t.equal[ANSWER_CORRECT], t.equal[ANSWER_UNKNOWN], n_unequal,
                  t.unequal[ANSWER_WRONG], t.unequal[ANSWER_UNKNOWN]);
    assert_true(n >= 400 && n_unequal * 100 >= n * 45);
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
    if (problems_open(path, &p, &e))
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

static char *repeat(const char *unit, size_t n)
{
    size_t len = strlen(unit);
    char *s = malloc(n * len + 1);
    for (size_t i = 0; i < n; i++)
        memcpy(s + i * len, unit, len);
    s[n * len] = 0;
    return s;
}

static void test_hostile_text_is_bounded(void **state)
{
    (void)state;
    const char *units[] = {"\\boxed{", "{",       "}",   "\\boxed{1}", "####", "answer is ", "1,",
                           "\\frac{",  "\\text{", "-",   "(",          "9",    "$",          "=",
                           "\\",       "\xff",    "1/",  "\\boxed{{",  "a",    "*",          "\n",
                           "1 ",       "\\!",     "{,}", "^{",         "e9",   "."};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (int wrap = 0; wrap < 3; wrap++) {
            char *body = repeat(units[i], wrap == 1 ? 120 : 200000);
            size_t cap = strlen(body) + 64;
            char *text = malloc(cap);
            snprintf(text, cap, wrap ? "\\boxed{%s}" : "%s", body);
            clock_t start = clock();
            enum answer_verdict v = answer_check(text, strlen(text), "72", 2, NULL);
            answer_check("72", 2, text, strlen(text), NULL);
            assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
            assert_int_not_equal(v, ANSWER_CORRECT);
            free(text);
            free(body);
        }
}

/* Mutated pairs: no crash, and a broken gold answer is never "correct" by another route than
 * equality of the very text. */
static void test_random_text(void **state)
{
    (void)state;
    const char *parts[] = {"\\boxed{", "}", "{",   "\\frac", "1",      "2",      ",",       ".",
                           "/",        "-", "$",   "\\$",    "%",      " ",      "\\text{", "cm",
                           "=",        "x", "\\,", "^",      "\u2212", "\xc3",   "*",       "10",
                           "e",        "(", ")",   "\u00BD", "000",    "million"};
    unsigned seed = 3;
    for (int i = 0; i < 200000; i++) {
        char text[200] = "", gold[200] = "";
        for (int k = rand_r(&seed) % 12; k >= 0; k--)
            strcat(text, parts[(size_t)rand_r(&seed) % (sizeof parts / sizeof *parts)]);
        for (int k = rand_r(&seed) % 4; k >= 0; k--)
            strcat(gold, parts[(size_t)rand_r(&seed) % (sizeof parts / sizeof *parts)]);
        answer_check(text, strlen(text), gold, strlen(gold), NULL);
    }
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
        cmocka_unit_test(test_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
