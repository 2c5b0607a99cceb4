#include "dataset/verdict.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The loop at the end of a text: for some period p its last max(MIN_LOOP, MIN_PERIODS * p) bytes
 * are the same as those p bytes before them. Most periods fail on the last eight bytes. */
enum { MAX_PERIOD = 2048, MIN_PERIODS = 3, MIN_LOOP = 200 };

static uint64_t load(const char *s)
{
    uint64_t x;
    memcpy(&x, s, sizeof x);
    return x;
}

static bool ends_in_loop(const char *text, size_t n)
{
    if (n < MIN_LOOP)
        return false;
    uint64_t last = load(text + n - 8);
    for (size_t p = 1; p <= MAX_PERIOD && MIN_PERIODS * p <= n; p++) {
        if (load(text + n - 8 - p) != last)
            continue;
        size_t length = MIN_PERIODS * p < MIN_LOOP ? MIN_LOOP : MIN_PERIODS * p;
        if (!memcmp(text + n - length, text + n - length + p, length - p))
            return true;
    }
    return false;
}

enum { WORDS = 8, MIN_WORDS = 200, SLOTS = 1 << 16 };
#define BASE 0xd6e8feb86659fd93u /* odd, so that no word's part is ever shifted out */

/* Letters and digits of ASCII, and every byte of a longer character: sixteen a row. */
#define R0 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define R1 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define RDIGITS 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0
#define RA_O 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define RP_Z 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0
static const bool is_word[256] = {R0, R0, R0, RDIGITS, RA_O, RP_Z, RA_O, RP_Z,
                                  R1, R1, R1, R1,      R1,   R1,   R1,   R1};

/* The len bytes (at most 8) at text[at], the others 0. */
static uint64_t load_some(const char *text, size_t n, size_t at, size_t len)
{
    uint64_t x = 0;
    if (at + 8 > n)
        memcpy(&x, text + at, len);
    else if (len)
        x = load(text + at) << 8 * (8 - len); /* little-endian: the first len bytes stay */
    return x;
}

/* The word that starts at text[*i]; moves *i behind it. Eight bytes a step. */
static uint64_t hash_word(const char *text, size_t n, size_t *i)
{
    size_t from = *i, to = from;
    while (to < n && is_word[(unsigned char)text[to]])
        to++;
    *i = to;
    uint64_t h = to - from;
    for (; to - from > 8; from += 8)
        h = ((h ^ load(text + from)) * 0x9E3779B97F4A7C15u) ^ (h >> 29);
    h = (h ^ load_some(text, n, from, to - from)) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

/* Share of word 8-grams that occurred before. Each 8-gram's hash has one slot that remembers the
 * last one there: two that collide forget each other, so the share can come out too low, never too
 * high. */
static bool repeats_words(const char *text, size_t n)
{
    uint32_t slots[SLOTS];
    uint64_t words[WORDS] = {0}, gram = 0, oldest_power = 1;
    size_t n_words = 0, n_seen = 0;
    size_t mask = 1023;
    if (n < 2 * MIN_WORDS - 1)
        return false;
    for (int i = 0; i < WORDS; i++)
        oldest_power *= BASE;
    while (mask + 1 < SLOTS && mask * 4 < n)
        mask = mask * 2 + 1;
    memset(slots, 0, (mask + 1) * sizeof *slots);
    for (size_t i = 0; i < n;) {
        if (!is_word[(unsigned char)text[i]]) {
            i++;
            continue;
        }
        uint64_t h = hash_word(text, n, &i);
        /* a rolling hash (Rabin and Karp): the new word in, the one 8 words ago out */
        gram = gram * BASE + h - words[n_words % WORDS] * oldest_power;
        words[n_words++ % WORDS] = h;
        if (n_words < WORDS)
            continue;
        uint64_t mixed = (gram ^ gram >> 31) * 0x9E3779B97F4A7C15u;
        uint32_t mark = (uint32_t)(mixed >> 32) | 1;
        uint32_t *slot = &slots[mixed & mask];
        n_seen += *slot == mark;
        *slot = mark;
    }
    return n_words >= MIN_WORDS && n_seen * 2 > n_words - WORDS + 1;
}

bool verdict_repetition(const char *text, size_t n, const char **reason)
{
    *reason = NULL;
    if (n && ends_in_loop(text, n))
        *reason = "ends in a loop";
    else if (repeats_words(text, n))
        *reason = "over half of its word 8-grams repeat";
    return *reason != NULL;
}

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
    static const char *const complete[] = {"stop",          "eos",      "end_turn",
                                           "stop_sequence", "imported", NULL};
    static const char *const refused[] = {"content_filter", "refusal", NULL};
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
