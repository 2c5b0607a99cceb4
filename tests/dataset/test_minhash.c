/* Words, MinHash signatures, and the index that finds those alike, against theory and brute force.
 */
#include "core/base/rng.h"
#include "dataset/lsh.h"
#include "dataset/words.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- words ---- */

static size_t words(const char *text, enum words_form form, uint64_t *out, size_t cap)
{
    struct words w = words_of(text, strlen(text), form);
    size_t n = 0;
    while (n < cap && words_next(&w, &out[n]))
        n++;
    return n;
}

/* Do the texts have the same words? */
static bool same(const char *a, const char *b, enum words_form form)
{
    uint64_t x[64], y[64];
    size_t n = words(a, form, x, 64), m = words(b, form, y, 64);
    return n == m && !memcmp(x, y, n * sizeof *x);
}

static size_t count(const char *text, enum words_form form)
{
    uint64_t x[64];
    return words(text, form, x, 64);
}

static void test_spaced_words(void **state)
{
    (void)state;
    assert_int_equal(count("", WORDS_SPACED), 0);
    assert_int_equal(count(" \t\n", WORDS_SPACED), 0);
    assert_int_equal(count("Tom has 5 apples, and\n\n3 pears.", WORDS_SPACED), 7);
    assert_true(same("  Tom HAS\t5\r\napples ", "tom has 5 apples", WORDS_SPACED));
    assert_false(same("apples,", "apples", WORDS_SPACED)); /* punctuation belongs to words */
    assert_false(same("ap ples", "apples", WORDS_SPACED));
    /* Unicode's white space and lower case, as Python has them */
    assert_true(same("a\u00a0b\u2003c\u3000d\u2028e\x1c"
                     "f",
                     "a b c d e f", WORDS_SPACED));
    assert_true(same("ÄPFEL ΟΔΟΣ Москва", "äpfel οδος москва", WORDS_SPACED));
    assert_true(same("İ", "i\u0307", WORDS_SPACED));
    assert_int_equal(count("a\u200bb", WORDS_SPACED), 1); /* a zero-width space is none */
    assert_int_equal(count("a\xff\xfe"
                           "b",
                           WORDS_SPACED),
                     2);
}

static void test_words_and_symbols(void **state)
{
    (void)state;
    const struct {
        const char *a, *b;
        bool symbols, bare; /* are they the same in each form? */
    } cases[] = {
        {"Tom has 5 apples, and 3 pears.", "tom has 5 apples and 3 pears", true, true},
        {"3 + 5", "3 * 5", false, true},
        {"3+5=8", "3 + 5 = 8", true, true},
        {"(2+3)*4", "2+(3*4)", false, true},
        {"don't", "don\u2019t", true, true},
        {"don't", "dont", true, true},
        {"'tis", "tis", true, true},
        {"1,000 sheep", "1000 sheep", true, true},
        {"1,2,3", "1 2 3", true, true},
        {"1,0000", "10000", false, false},
        {"12,345,678", "12345678", true, true},
        {"3.5", "35", false, false},
        {"3.5", "3 5", false, false},
        {"It is 3.", "it is 3", true, true},
        {"3.5.2", "3.5.2", true, true},
        {"well-known", "well known", false, true},
        {"$x^2$", "x^2", true, true},
        {"\\frac{1}{2}", "frac{1}{2}", true, true},
        {"\\frac{1}{2}", "frac 1 2", false, true},
        {"5 − 3", "5 - 3", true, true},
        {"5 × 3 ÷ 2", "5 * 3 / 2", true, true},
        {"x ≤ 3", "x ≥ 3", false, true},
        {"「你好」", "你好", true, true},
        {"１２＋３", "12+3", true, true},
        {"**bold**", "bold", false, true},
        {"“quoted”", "quoted", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (same(cases[i].a, cases[i].b, WORDS_SYMBOLS) != cases[i].symbols ||
            same(cases[i].a, cases[i].b, WORDS_BARE) != cases[i].bare)
            fail_msg("%s | %s", cases[i].a, cases[i].b);
    assert_int_equal(count("小明有5个苹果。", WORDS_BARE), 7);
    assert_int_equal(count("ひらがな カタ", WORDS_BARE), 6);
    assert_int_equal(count("안녕 세상", WORDS_BARE), 2); /* Korean has spaces */
    assert_int_equal(count("สวัสดี", WORDS_BARE), 6);
    assert_int_equal(count("\xff\xfe\xe2\x80", WORDS_BARE), 0);
    assert_int_equal(count("a'", WORDS_BARE), 1);
    assert_int_equal(count("5.", WORDS_BARE), 1);
    assert_int_equal(count("5,", WORDS_BARE), 1);
}

/* Any bytes: it comes to an end, reads no byte too far, and cutting a text changes no words
 * but those by the cut. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    struct rng r = rng_make(9, 0, 0);
    static const char *const pieces[] = {
        "a",  "Z", "7", ",", ".",  "'", "\xe2\x80\x99", " ",        "\xff", "\xe2",  "\xe2\x80",
        "木", "ก", "é", "İ", "\0", "+", "\xf4",         "\xcc\x81", "\n",   "\u3000"};
    enum { N = sizeof pieces / sizeof *pieces };
    for (int i = 0; i < 30000; i++) {
        char text[128];
        size_t n = 0;
        for (int k = (int)rng_below(&r, 24); k > 0; k--) {
            const char *p = pieces[rng_below(&r, N)];
            size_t len = *p ? strlen(p) : 1;
            memcpy(text + n, p, len);
            n += len;
        }
        size_t part = n ? rng_below(&r, n + 1) : 0;
        char *whole = malloc(n + 1), *cut = malloc(part + 1); /* so that a byte too far is found */
        memcpy(whole, text, n);
        memcpy(cut, text, part);
        for (enum words_form form = WORDS_SPACED; form <= WORDS_BARE; form++) {
            struct words w = words_of(whole, n, form), c = words_of(cut, part, form);
            uint64_t x, y;
            int n_words = 0;
            bool same = true;
            while (words_next(&c, &y)) {
                same = same && words_next(&w, &x) && x == y;
                assert_true(same || c.end - c.at <= 8); /* what follows may belong to the word */
                assert_true(++n_words <= (int)part);
            }
            n_words = 0;
            while (words_next(&w, &x))
                assert_true(++n_words <= (int)n + 1);
            assert_true(w.at == w.end);
        }
        free(whole);
        free(cut);
    }
}

/* ---- signatures ---- */

static struct minhash signature(const char *text)
{
    struct minhash m;
    struct minhash_text part = {text, strlen(text)};
    assert_true(minhash_of(&part, 1, &m));
    return m;
}

/* A text of words w0..w4999, each drawn from r; every word is changed with probability change. */
static char *make_text(uint64_t seed, int n_words, double change, uint64_t change_seed)
{
    struct rng r = rng_make(seed, 0, 0), c = rng_make(change_seed, 1, 0);
    char *text = calloc((size_t)n_words, 8), *at = text;
    for (int i = 0; i < n_words; i++) {
        uint64_t word = rng_below(&r, 5000);
        if (rng_uniform(&c) < change)
            word = 5000 + rng_below(&c, 5000);
        at += sprintf(at, "%sw%d", i ? " " : "", (int)word);
    }
    return text;
}

/* The Jaccard index of 5-word runs, computed on the strings themselves. */
static double brute_jaccard(const char *a, const char *b)
{
    const char *texts[2] = {a, b};
    static char runs[2][2000][48];
    int n[2] = {0, 0};
    for (int t = 0; t < 2; t++) {
        char words[2000][8];
        int n_words = 0, len = 0;
        for (const char *s = texts[t]; sscanf(s, "%7s%n", words[n_words], &len) == 1; s += len)
            n_words++;
        for (int i = 0; i + 5 <= n_words; i++) {
            char *run = runs[t][n[t]];
            run[0] = 0;
            for (int k = 0; k < 5; k++) {
                strcat(run, words[i + k]);
                strcat(run, " ");
            }
            bool seen = false;
            for (int k = 0; k < n[t] && !seen; k++)
                seen = !strcmp(runs[t][k], run);
            n[t] += !seen;
        }
    }
    int both = 0;
    for (int i = 0; i < n[0]; i++)
        for (int k = 0; k < n[1]; k++)
            both += !strcmp(runs[0][i], runs[1][k]);
    return (double)both / (n[0] + n[1] - both);
}

static double true_jaccard(const char *a, const char *b)
{
    struct shingle_set x = {0}, y = {0};
    struct minhash_text p = {a, strlen(a)}, q = {b, strlen(b)};
    assert_int_equal(shingle_set_fill(&x, &p, 1, NULL), ERR_OK);
    assert_int_equal(shingle_set_fill(&y, &q, 1, NULL), ERR_OK);
    double j = shingle_set_jaccard(&x, &y);
    shingle_set_dispose(&x);
    shingle_set_dispose(&y);
    return j;
}

/* The true index against strings; the estimate within what binomial counts allow. */
static void test_jaccard_and_its_estimate(void **state)
{
    (void)state;
    double sum = 0, sum2 = 0;
    int n = 0;
    for (int i = 0; i < 400; i++) {
        double change = (i % 40) / 200.0;
        char *a = make_text((uint64_t)i, 60 + i % 300, 0, 1);
        char *b = make_text((uint64_t)i, 60 + i % 300, change, (uint64_t)i + 7);
        double j = true_jaccard(a, b);
        if (i < 100)
            assert_true(fabs(brute_jaccard(a, b) - j) < 1e-12);
        struct minhash x = signature(a), y = signature(b);
        double sigma = sqrt(j * (1 - j) / MINHASH_N), d = minhash_similarity(&x, &y) - j;
        if (j == 1)
            assert_true(fabs(d) < 1e-12);
        else {
            sum += d / sigma;
            sum2 += d * d / (sigma * sigma);
            assert_true(fabs(d) < 4.5 * sigma + 0.005);
            n++;
        }
        free(a);
        free(b);
    }
    double mean = sum / n, variance = sum2 / n - mean * mean;
    assert_true(fabs(mean) < 4 / sqrt(n));                     /* no bias */
    assert_true(variance > 0.8 && variance < 1.25 && n > 350); /* nor more spread than theory's */
}

static void test_short_and_empty_texts(void **state)
{
    (void)state;
    struct minhash m;
    assert_false(minhash_of(NULL, 0, &m));
    assert_false(minhash_of(&(struct minhash_text){" \n.,;!", 6}, 1, &m));
    assert_true(true_jaccard("what is 5?", "What is 5") == 1);
    assert_true(true_jaccard("what is 5?", "What is 6") == 0);
    assert_true(true_jaccard("a", "a a") == 0);
    assert_true(true_jaccard("a b c d e", "a b c d") == 0);
    assert_true(true_jaccard("", "") == 0);
    /* parts are read as one text */
    struct minhash whole = signature("one two three four five six seven");
    struct minhash_text parts[] = {{"one two three", 13}, {" ", 1}, {"four five six seven", 19}};
    assert_true(minhash_of(parts, 3, &m));
    assert_memory_equal(&m, &whole, sizeof m);
}

/* Signatures are the same on every machine and in every version, or stored reasons would not hold.
 */
static void test_signature_is_fixed(void **state)
{
    (void)state;
    struct minhash m = signature("The quick brown fox jumps over the lazy dog; 1,000 + 3.5 ≤ 小明");
    assert_int_equal(rng_hash(&m, sizeof m), 0xF2708F1484C8ADFAu);
}

static void test_kernels_agree(void **state)
{
    (void)state;
    struct rng r = rng_make(5, 0, 0);
    uint32_t hashes[1000], a[MINHASH_N], b[MINHASH_N];
    for (int i = 0; i < 1000; i++)
        hashes[i] = (uint32_t)rng_u64(&r);
    for (size_t n = 0; n <= 1000; n = n * 2 + 1) {
        memset(a, 0xFF, sizeof a);
        memset(b, 0xFF, sizeof b);
        minhash_fold(a, hashes, n);
        minhash_fold_portable(b, hashes, n);
        assert_memory_equal(a, b, sizeof a);
    }
}

/* ---- the index ---- */

/* Two signatures that agree at each position with probability j. */
static void make_pair(struct rng *r, double j, struct minhash *a, struct minhash *b)
{
    for (int i = 0; i < MINHASH_N; i++) {
        a->at[i] = (uint8_t)rng_u64(r);
        b->at[i] = rng_uniform(r) < j ? a->at[i] : (uint8_t)(a->at[i] + 1 + rng_below(r, 255));
    }
}

/* The share of pairs that are found among 3000 others. */
static double share_found(double threshold, double j, int n_pairs)
{
    struct lsh *l;
    struct lsh_near near[LSH_MAX_FOUND];
    struct rng r = rng_make(11, (uint64_t)(j * 1000), (uint64_t)(threshold * 1000));
    struct minhash *b = calloc((size_t)n_pairs, sizeof *b), a;
    int found = 0;
    bool cut;
    assert_int_equal(lsh_open(threshold, n_pairs, &l, NULL), ERR_OK);
    for (int i = 0; i < n_pairs; i++) {
        make_pair(&r, j, &a, &b[i]);
        assert_int_equal(lsh_add(l, &a, 7), i);
    }
    for (int i = 0; i < n_pairs; i++) {
        size_t n = lsh_find(l, &b[i], 7, near, &cut);
        assert_false(cut);
        for (size_t k = 0; k < n; k++)
            found += near[k].i == (uint32_t)i;
        assert_int_equal(lsh_find(l, &b[i], 8, near, &cut), 0); /* another group */
    }
    lsh_close(l);
    free(b);
    return (double)found / n_pairs;
}

/* Against the probability of meeting in a band and passing the estimate's bound. The simulated
 * positions agree by j alone, without the chance agreements of hashed ones. */
static double theory(double threshold, double j, int n_bands, int n_rows)
{
    double least = threshold - 4 * sqrt(threshold * (1 - threshold) / MINHASH_N), passes = 0;
    for (int same = 0; same <= MINHASH_N; same++) {
        double estimate = ((double)same / MINHASH_N - 1.0 / 256) / (1 - 1.0 / 256);
        if (estimate >= least)
            passes += exp(lgamma(MINHASH_N + 1) - lgamma(same + 1) - lgamma(MINHASH_N - same + 1) +
                          same * log(j) + (MINHASH_N - same) * log1p(-j));
    }
    double meets = 1 - pow(1 - pow(j, n_rows), n_bands);
    return j < threshold ? fmin(meets, passes) : meets + passes - 1;
}

static void test_found_as_theory_says(void **state)
{
    (void)state;
    enum { N = 3000 };
    static const double thresholds[] = {0.5, 0.7, 0.8, 0.9};
    for (int t = 0; t < 4; t++) {
        struct lsh *l;
        int n_bands, n_rows;
        double at = thresholds[t];
        assert_int_equal(lsh_open(at, 1, &l, NULL), ERR_OK);
        lsh_shape(l, &n_bands, &n_rows);
        lsh_close(l);
        assert_true(n_bands * n_rows <= MINHASH_N);
        for (int k = 0; k < 3; k++) {
            double j = at + k * (1 - at) / 3;
            double low = theory(at, j, n_bands, n_rows), share = share_found(at, j, N);
            assert_true(low > 0.995);
            if (share < low - 4 * sqrt(low * (1 - low) / N) - 1.0 / N)
                fail_msg("threshold %g, j %g: found %g; theory: at least %g", at, j, share, low);
        }
        /* of those far below it few are looked at */
        double j = at - 0.3;
        double high = theory(at, j, n_bands, n_rows), share = share_found(at, j, N);
        assert_true(share <= high + 4 * sqrt(high * (1 - high) / N) + 2.0 / N && share < 0.02);
    }
    struct lsh *l;
    struct err e;
    assert_int_equal(lsh_open(0.4, 1, &l, &e), ERR_USAGE);
    assert_int_equal(lsh_open(NAN, 1, &l, &e), ERR_USAGE);
    assert_int_equal(lsh_open(1.01, 1, &l, &e), ERR_USAGE);
}

/* The most alike come first, of equals the oldest; long chains are cut, and say so. */
static void test_order_and_limits(void **state)
{
    (void)state;
    struct lsh *l;
    struct lsh_near near[LSH_MAX_FOUND];
    struct minhash m = signature("one two three four five six seven eight nine ten"), o = m;
    bool cut;
    assert_int_equal(lsh_open(0.8, 5000, &l, NULL), ERR_OK);
    for (int i = 0; i < 100; i++) {
        o = m;
        for (int k = 0; k < i % 10; k++)
            o.at[127 - k]++;
        lsh_add(l, &o, 0);
    }
    size_t n = lsh_find(l, &m, 0, near, &cut);
    assert_true(n == LSH_MAX_FOUND && !cut);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(near[i].i % 10, i / 10);
        assert_int_equal(near[i].i / 10, i % 10);
    }
    for (int i = 0; i < LSH_MAX_CHAIN; i++)
        lsh_add(l, &m, 0);
    n = lsh_find(l, &m, 0, near, &cut);
    assert_true(n == LSH_MAX_FOUND && cut);
    lsh_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spaced_words),
        cmocka_unit_test(test_words_and_symbols),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_jaccard_and_its_estimate),
        cmocka_unit_test(test_short_and_empty_texts),
        cmocka_unit_test(test_signature_is_fixed),
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_found_as_theory_says),
        cmocka_unit_test(test_order_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
