#include "dataset/verdict.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Letters and digits of ASCII, and every byte of a longer character: sixteen a row. */
#define R0 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define R1 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define RDIGITS 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0
#define RA_O 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define RP_Z 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0
static const bool is_word[256] = {R0, R0, R0, RDIGITS, RA_O, RP_Z, RA_O, RP_Z,
                                  R1, R1, R1, R1,      R1,   R1,   R1,   R1};

static bool has_words(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_word[(unsigned char)s[i]])
            return true;
    return false;
}

static void judge_answer(const char *answer, size_t n, const char *gold, size_t n_gold,
                         struct verdicts *v)
{
    struct answer_span span, gold_span;
    const char *unused;
    if (!gold || !answer_gold(gold, n_gold, &gold_span)) {
        v->answer_reason = "no gold answer";
        return;
    }
    if (v->refused) {
        v->answer_reason = "the answer was withheld";
        return;
    }
    if (v->truncated && !(answer_extract(answer, n, &span) && !strcmp(span.rule, "boxed"))) {
        v->answer_reason = "cut off before a boxed answer";
        return;
    }
    bool readable = answer_compare(gold_span.text, gold_span.n, gold_span.text, gold_span.n,
                                   &unused) == ANSWER_CORRECT;
    if (!has_words(answer, n) && readable) {
        v->answer = ANSWER_WRONG;
        v->answer_reason = "no answer given";
        return;
    }
    v->answer = answer_check(answer, n, gold, n_gold, &v->answer_reason);
}

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (!strcasecmp(s, *list))
            return true;
    return false;
}

static void judge_end(const char *finish_reason, struct verdicts *v)
{
    static const char *const complete[] = {"stop",          "eos",      "eos_token", "end_turn",
                                           "stop_sequence", "imported", NULL};
    static const char *const refused[] = {"content_filter", "refusal", "sensitive", NULL};
    static const struct {
        const char *finish_reason, *means;
    } known[] = {{"length", "cut by the token limit"},
                 {"loop", "stopped, since it went in a loop"},
                 {"no_think", "stopped, since it did not think"},
                 {"cut", "the connection broke"}};
    const char *reason = finish_reason ? finish_reason : "none",
               *means = "it did not end by itself";
    v->refused = is_one_of(reason, refused);
    v->truncated = !v->refused && !is_one_of(reason, complete);
    if (!v->truncated)
        return;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(reason, known[i].finish_reason))
            means = known[i].means;
    snprintf(v->truncated_reason, sizeof v->truncated_reason, "%.30s: %s", reason, means);
}

void verdict_judge(const char *reasoning, size_t n_reasoning, const char *answer, size_t n_answer,
                   const char *finish_reason, const char *gold, size_t n_gold, struct verdicts *v)
{
    memset(v, 0, sizeof *v);
    reasoning = reasoning ? reasoning : "";
    answer = answer ? answer : "";
    judge_end(finish_reason, v);
    v->no_think = !has_words(reasoning, n_reasoning);
    v->empty = v->no_think && !has_words(answer, n_answer);
    v->repetition = verdict_repetition(reasoning, n_reasoning, &v->repetition_reason) ||
                    verdict_repetition(answer, n_answer, &v->repetition_reason);
    judge_answer(answer, n_answer, gold, n_gold, v);
}
