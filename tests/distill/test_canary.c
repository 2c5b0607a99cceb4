/* What the canary makes of an endpoint's answers. */
#include "distill/canary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TEXT "The first digit is two, so the sum begins with it, and ends in one"

static struct http_answer trace(const char *reasoning, const char *answer)
{
    return (struct http_answer){.outcome = HTTP_TRACE,
                                .latency_ms = 2000,
                                .first_byte_ms = 500,
                                .reply = {.reasoning = reasoning,
                                          .answer = answer,
                                          .n_reasoning = strlen(reasoning),
                                          .n_answer = strlen(answer),
                                          .n_completion_tokens = 100,
                                          .think_rule = "tag",
                                          .model = "r1"}};
}

static void note(struct canary *c, const struct http_answer *a, bool thinks, bool first)
{
    assert_int_equal(canary_note(c, a, thinks, first, NULL), ERR_OK);
}

static void test_fit_and_unfit(void **state)
{
    (void)state;
    struct http_answer good = trace(TEXT, "21"), bare = trace("", "21");
    struct http_answer bad = {.outcome = HTTP_GAVE_UP, .message = "http://a/v1: HTTP 500: oh"};
    char line[700];
    struct canary c = {.url = "http://a/v1", .n_asked = 3};
    assert_int_equal(canary_judge(&c), CANARY_OPEN);
    note(&c, &bad, false, true);
    note(&c, &good, true, false);
    assert_int_equal(canary_judge(&c), CANARY_OPEN); /* one of each: the third decides */
    note(&c, &good, true, false);
    assert_int_equal(canary_judge(&c), CANARY_FIT);
    canary_report(&c, 0.6, line, sizeof line);
    assert_non_null(strstr(line, "2 of 3 answers hold reasoning (tag)"));
    assert_non_null(strstr(line, "50 tokens/s"));
    assert_non_null(strstr(line, "seed not tried"));
    canary_dispose(&c);

    c = (struct canary){.url = "http://a/v1", .n_asked = 3};
    note(&c, &bad, false, false);
    note(&c, &bad, false, false);
    assert_int_equal(canary_judge(&c), CANARY_UNFIT); /* at once */
    canary_report(&c, 0.6, line, sizeof line);
    assert_string_equal(line, "http://a/v1 is left out: no answer to 3 prompts: HTTP 500: oh");
    assert_int_equal(c.n_resumable, 0);
    bad.outcome = HTTP_FATAL; /* what waited for an endpoint that was left out ends so as well */
    note(&c, &bad, false, false);
    assert_int_equal(c.n_resumable, 0);
    bad.status = 402;
    note(&c, &bad, false, false);
    bad =
        (struct http_answer){.outcome = HTTP_GAVE_UP, .status = 429, .message = "http://a/v1: no"};
    note(&c, &bad, false, false);
    assert_int_equal(c.n_resumable, 2);
    canary_dispose(&c);

    c = (struct canary){.url = "http://a/v1", .n_asked = 3};
    note(&c, &bare, false, false);
    note(&c, &bare, false, false);
    assert_int_equal(canary_judge(&c), CANARY_UNFIT);
    canary_report(&c, 0.6, line, sizeof line);
    assert_non_null(strstr(line, "0 of 2 answers hold reasoning"));
    assert_non_null(strstr(line, "--raw --prompt-template r1"));
    canary_dispose(&c);

    c = (struct canary){.url = "http://a/v1", .n_asked = 1};
    note(&c, &good, true, true);
    assert_int_equal(canary_judge(&c), CANARY_FIT);
    canary_dispose(&c);
    c = (struct canary){.url = "http://a/v1"}; /* nothing was missing: nothing is known */
    assert_int_equal(canary_judge(&c), CANARY_OPEN);
}

static void test_logprobs_are_part_of_it(void **state)
{
    (void)state;
    struct http_answer a = trace(TEXT, "21");
    char line[700];
    struct canary c = {.url = "http://a/v1", .n_asked = 2, .want_logprobs = true};
    note(&c, &a, true, false);
    note(&c, &a, true, false);
    assert_int_equal(canary_judge(&c), CANARY_UNFIT);
    canary_report(&c, 0.6, line, sizeof line);
    assert_non_null(strstr(line, "0 of 2 answers hold log-probabilities"));
    canary_dispose(&c);
    a.reply.has_logprobs = true;
    c = (struct canary){.url = "http://a/v1", .n_asked = 2, .want_logprobs = true};
    note(&c, &a, true, false);
    assert_int_equal(canary_judge(&c), CANARY_FIT);
    canary_dispose(&c);
}

static enum canary_seed seeds(const char *same, const char *other)
{
    struct canary c = {.url = "u", .n_asked = 1};
    struct http_answer first = trace(TEXT, "21"), a = trace("", same), b = trace(other, "");
    note(&c, &first, true, true);
    assert_int_equal(canary_seeds(&c), CANARY_SEED_UNKNOWN);
    assert_int_equal(canary_repeat(&c, &a, true, NULL), ERR_OK);
    assert_int_equal(canary_repeat(&c, &b, false, NULL), ERR_OK);
    enum canary_seed s = canary_seeds(&c);
    canary_dispose(&c);
    return s;
}

/* A short repeat is cut inside the chain, and without its closing tag may count as an answer: the
 * texts are compared as they stand. */
static void test_seeds(void **state)
{
    (void)state;
    const char *cut = "The first digit is two, so the sum begins", *else_ = "Let me see: the sum";
    assert_int_equal(seeds(cut, else_), CANARY_SEED_HONOURED);
    assert_int_equal(seeds(cut, cut), CANARY_NO_SAMPLING);
    assert_int_equal(seeds(else_, else_), CANARY_SEED_IGNORED);
    assert_int_equal(seeds(TEXT "21", "Let"), CANARY_SEED_HONOURED);  /* the whole of it */
    assert_int_equal(seeds("The first", else_), CANARY_SEED_UNKNOWN); /* too short to tell */
    struct canary c = {.url = "u", .n_asked = 1};
    struct http_answer first = trace(TEXT, "21"), bad = {.outcome = HTTP_FAILED};
    note(&c, &first, true, true);
    canary_repeat(&c, &bad, true, NULL);
    canary_repeat(&c, &bad, false, NULL);
    assert_int_equal(canary_seeds(&c), CANARY_SEED_UNKNOWN);
    canary_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fit_and_unfit),
                                       cmocka_unit_test(test_logprobs_are_part_of_it),
                                       cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
