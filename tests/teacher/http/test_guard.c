/* Loops: found soon, however the text comes in; not seen in what repeats itself by rights. */
#include "core/base/mem.h"
#include "core/base/rng.h"
#include "teacher/http/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The length at which the text, growing by step, is called a loop; 0: never. */
static size_t stops_at(const struct buf *b, size_t step)
{
    struct loop_guard g = {0};
    size_t n = 0;
    while (n < b->len) {
        n = n + step < b->len ? n + step : b->len;
        char *copy = malloc(n); /* a sanitizer sees a read past it */
        memcpy(copy, b->data, n);
        bool loop = loop_guard_look(&g, copy, n);
        free(copy);
        if (loop) {
            loop_guard_dispose(&g);
            return n;
        }
    }
    loop_guard_dispose(&g);
    return 0;
}

/* Words of a text that says something: none of its 8-grams comes twice. */
static void prose(struct buf *b, size_t n, uint64_t seed)
{
    static const char *const words[] = {
        "therefore", "number",   "we",     "the",     "of",     "equals", "remainder", "consider",
        "which",     "divides",  "wait",   "because", "square", "prime",  "factor",    "so",
        "twelve",    "triangle", "length", "angle",   "that",   "is",     "suppose",   "instead"};
    struct rng r = rng_make(seed, 0, 0);
    while (b->len < n)
        buf_printf(b, NULL, "%s%s", words[rng_below(&r, 24)], rng_below(&r, 12) ? " " : ".\n");
}

static void units_of_every_length(void **state)
{
    (void)state;
    struct buf b = {0}, unit = {0};
    for (size_t period = 1; period <= LOOP_MAX_UNIT; period += period < 40 ? 1 : 97) {
        buf_clear(&b);
        buf_clear(&unit);
        prose(&b, 5000, 1);
        prose(&unit, period, 2 + period);
        size_t start = b.len, need = period * LOOP_MIN_ROUNDS;
        need = need > LOOP_MIN_BYTES ? need : LOOP_MIN_BYTES;
        while (b.len < start + need + 2000)
            buf_add(&b, unit.data, period, NULL);
        size_t at = stops_at(&b, 7);
        if (at < start + need - 60 || at > start + need + 600)
            fail_msg("period %zu: stopped at %zu, the loop began at %zu", period, at, start);
    }
    buf_dispose(&b);
    buf_dispose(&unit);
}

static void steps_do_not_matter_much(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 3, 100, 511, 512, 513, 4000};
    struct buf b = {0};
    prose(&b, 3000, 3);
    size_t start = b.len;
    while (b.len < 20000)
        buf_str(&b, "Wait, let me check that again. ", NULL);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t at = stops_at(&b, steps[i]);
        assert_true(at >= start + LOOP_MIN_BYTES - 60 && at <= start + LOOP_MIN_BYTES + 8000);
    }
    buf_dispose(&b);
}

/* The same sentences in any order are no unit, and yet nothing new. */
static void sentences_in_any_order(void **state)
{
    (void)state;
    struct buf b = {0}, sentences[6] = {{0}};
    struct rng r = rng_make(4, 4, 4);
    prose(&b, 4000, 5);
    size_t start = b.len;
    for (uint64_t i = 0; i < 6; i++)
        prose(&sentences[i], 240, 10 + i);
    for (int i = 0; i < 200; i++) {
        struct buf *s = &sentences[rng_below(&r, 6)];
        buf_add(&b, s->data, s->len, NULL);
    }
    size_t at = stops_at(&b, 50);
    if (at < start + 8000 || at > start + 35000)
        fail_msg("stopped at %zu, began at %zu", at, start);
    for (size_t i = 0; i < 6; i++)
        buf_dispose(&sentences[i]);
    buf_dispose(&b);
}

static void what_repeats_by_rights(void **state)
{
    (void)state;
    struct buf b = {0}, draft = {0};
    struct rng r = rng_make(6, 6, 6);
    /* a long chain that says something */
    prose(&b, 400000, 7);
    assert_int_equal(stops_at(&b, 3000), 0);
    /* a table of numbers; squares, one a line */
    buf_clear(&b);
    buf_str(&b, "| n | n^2 | prime? |\n|---|---|---|\n", NULL);
    for (int i = 1; i < 3000; i++)
        buf_printf(&b, NULL, "| %d | %d | %s |\n", i, i * i, i % 2 ? "no" : "maybe");
    assert_int_equal(stops_at(&b, 100), 0);
    /* primes; all words of 0 and 1; a walk of heads and tails */
    buf_clear(&b);
    for (int i = 2; b.len < 40000; i++)
        buf_printf(&b, NULL, "%d, ", i * 7 + i % 3);
    assert_int_equal(stops_at(&b, 100), 0);
    buf_clear(&b);
    for (int i = 0; i < 4096; i++)
        buf_printf(&b, NULL, "%d %d %d %d %d %d %d %d %d %d %d %d\n", i >> 11 & 1, i >> 10 & 1,
                   i >> 9 & 1, i >> 8 & 1, i >> 7 & 1, i >> 6 & 1, i >> 5 & 1, i >> 4 & 1,
                   i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1);
    assert_int_equal(stops_at(&b, 100), 0);
    buf_clear(&b);
    for (int i = 0; i < 20000; i++)
        buf_str(&b, rng_below(&r, 2) ? "H " : "T ", NULL);
    assert_int_equal(stops_at(&b, 100), 0);
    /* cases that differ in their numbers only */
    buf_clear(&b);
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, NULL, "If a = %d and b = %d, then a + b = %d, which does not divide %d. ", i,
                   i + 3, 2 * i + 3, i * i + 1);
    assert_int_equal(stops_at(&b, 100), 0);
    /* a ruled line, a row of zeros, blanks: 1,800 bytes, and the text goes on */
    static const char *const rows[] = {"-", "0", " ", "=-", "0, ", "\\_", "| "};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&b);
        prose(&b, 3000, 8);
        size_t end = b.len + 1800;
        while (b.len < end)
            buf_str(&b, rows[i], NULL);
        prose(&b, 9000, 9);
        assert_int_equal(stops_at(&b, 10), 0);
    }
    /* a solution of 1,500 words, drafted, copied out, and discussed */
    buf_clear(&b);
    prose(&draft, 8500, 10);
    buf_add(&b, draft.data, draft.len, NULL);
    buf_add(&b, draft.data, draft.len, NULL);
    prose(&b, 30000, 11);
    assert_int_equal(stops_at(&b, 100), 0);
    buf_dispose(&b);
    buf_dispose(&draft);
}

static void short_texts_and_no_text(void **state)
{
    (void)state;
    struct loop_guard g = {0};
    char zeros[LOOP_MIN_BYTES - 1];
    memset(zeros, '0', sizeof zeros);
    assert_false(loop_guard_look(&g, NULL, 0));
    assert_false(loop_guard_look(&g, "", 0));
    assert_false(loop_guard_look(&g, zeros, sizeof zeros));
    loop_guard_dispose(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_of_every_length),   cmocka_unit_test(steps_do_not_matter_much),
        cmocka_unit_test(sentences_in_any_order),  cmocka_unit_test(what_repeats_by_rights),
        cmocka_unit_test(short_texts_and_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
