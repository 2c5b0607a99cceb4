/* Verdicts of a trace: truncated, no-think, repetition, and the answer's. */
#include "dataset/verdict.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct verdicts judge(const char *reasoning, const char *answer, const char *finish,
                             const char *gold)
{
    struct verdicts v;
    verdict_judge(reasoning, strlen(reasoning), answer, strlen(answer), finish, gold,
                  gold ? strlen(gold) : 0, &v);
    return v;
}

static void test_answers(void **state)
{
    (void)state;
    struct verdicts v = judge("1+1=2", "\\boxed{2}", "stop", "2");
    assert_true(v.answer == ANSWER_CORRECT && !v.truncated && !v.no_think && !v.repetition);
    assert_int_equal(judge("r", "\\boxed{3}", "stop", "2").answer, ANSWER_WRONG);
    assert_int_equal(judge("r", "\\boxed{2}", "stop", NULL).answer, ANSWER_UNKNOWN);
    assert_int_equal(judge("r", "\\boxed{2}", "stop", "").answer, ANSWER_UNKNOWN);
    assert_int_equal(judge("r", "\\boxed{blue}", "stop", "blue").answer, ANSWER_CORRECT);
    assert_int_equal(judge("r", "", "stop", "2").answer, ANSWER_WRONG);
    assert_int_equal(judge("r", " \n.", "stop", "2").answer, ANSWER_WRONG);
    assert_int_equal(judge("r", "", "stop", "blue").answer, ANSWER_WRONG);
    /* the reasoning's own box does not count */
    assert_int_equal(judge("\\boxed{2}", "I cannot say.", "stop", "2").answer, ANSWER_UNKNOWN);
}

static void test_truncated(void **state)
{
    (void)state;
    assert_true(judge("so the answer is 2", "", "length", "2").truncated);
    assert_int_equal(judge("so the answer is 2", "", "length", "2").answer, ANSWER_UNKNOWN);
    assert_int_equal(judge("r", "The answer is 2", "length", "24").answer, ANSWER_UNKNOWN);
    assert_int_equal(judge("r", "The answer is 2", "length", "2").answer, ANSWER_UNKNOWN);
    assert_int_equal(judge("r", "It is \\boxed{2}. To see", "length", "2").answer, ANSWER_CORRECT);
    assert_int_equal(judge("r", "It is \\boxed{2}. To see", "length", "3").answer, ANSWER_WRONG);
    static const char *const whole[] = {"stop",     "eos",           "eos_token", "EOS_TOKEN",
                                        "end_turn", "stop_sequence", "imported"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (judge("r", "2", whole[i], "2").truncated)
            fail_msg("%s", whole[i]);
    static const char *const withheld[] = {"content_filter", "refusal", "sensitive"};
    for (size_t i = 0; i < sizeof withheld / sizeof *withheld; i++) {
        struct verdicts v = judge("r", "", withheld[i], "2");
        if (!v.refused || v.truncated)
            fail_msg("%s", withheld[i]);
    }
}

static void test_no_think(void **state)
{
    (void)state;
    assert_true(judge("", "2", "stop", "2").no_think);
    assert_true(judge("\n\n", "2", "stop", "2").no_think);
    assert_true(judge(" ... - ", "2", "stop", "2").no_think);
    assert_false(judge("2", "2", "stop", "2").no_think);
    assert_false(judge("\u55ef", "2", "stop", "2").no_think);
}

static bool repeats(const char *text)
{
    const char *why;
    return verdict_repetition(text, strlen(text), &why);
}

static void add_times(struct buf *b, const char *unit, int n)
{
    for (int i = 0; i < n; i++)
        buf_str(b, unit, NULL);
}

static void test_loops(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_str(&b, "Let me think about it. ", NULL);
    add_times(&b, "Wait, let me check that again. ", 3);
    assert_false(repeats(b.data)); /* three times is thinking */
    add_times(&b, "Wait, let me check that again. ", 20);
    assert_true(repeats(b.data));
    buf_str(&b, "Wait, let", NULL); /* cut in the middle of a round */
    assert_true(repeats(b.data));
    buf_clear(&b);
    add_times(&b, "ha", 99);
    assert_false(repeats(b.data)); /* 198 bytes */
    buf_str(&b, "ha", NULL);
    assert_true(repeats(b.data));
    buf_clear(&b);
    buf_str(&b, "x", NULL); /* a period of over 2048 bytes is not seen at the end */
    for (int i = 0; i < 600; i++)
        buf_printf(&b, NULL, "%d,", i * 7919 % 100003);
    assert_false(repeats(b.data));
    buf_dispose(&b);
}

static void test_long_texts_that_go_in_circles(void **state)
{
    (void)state;
    struct buf b = {0}, round = {0};
    for (int i = 0; i < 500; i++)
        buf_printf(&round, NULL, "word%d ", i * 7919 % 1009); /* 500 words that differ */
    buf_str(&b, round.data, NULL);
    assert_false(repeats(b.data));
    buf_str(&b, "and now ", NULL);
    buf_str(&b, round.data, NULL);
    assert_false(repeats(b.data)); /* said twice: just under half repeats */
    buf_str(&b, "and then ", NULL);
    buf_str(&b, round.data, NULL);
    buf_str(&b, "the end", NULL);
    assert_true(repeats(b.data));
    buf_dispose(&b);
    buf_dispose(&round);
}

/* A million bytes of anything in well under a second. */
static void test_hostile_sizes(void **state)
{
    (void)state;
    const char *units[] = {"a", "a ", "\n", "\xff", "ab ", "0"};
    for (size_t i = 0; i < 6; i++) {
        struct buf b = {0};
        add_times(&b, units[i], 1000000);
        assert_true(repeats(b.data));
        buf_dispose(&b);
    }
    const char *why;
    assert_false(verdict_repetition("", 0, &why));
    unsigned seed = 1;
    char *noise = malloc(1000000);
    for (int i = 0; i < 1000000; i++)
        noise[i] = (char)(rand_r(&seed) % 5 ? 'a' + rand_r(&seed) % 26 : ' ');
    assert_false(verdict_repetition(noise, 1000000, &why));
    free(noise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_no_think),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_long_texts_that_go_in_circles),
        cmocka_unit_test(test_hostile_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
