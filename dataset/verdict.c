#include "dataset/verdict.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* Which of the 64 bytes at s belong to words, a bit each. */
static uint64_t word_bits(const char *s)
{
    uint64_t bits = 0;
#ifdef __SSE2__
    for (int i = 0; i < 4; i++) {
        __m128i c = _mm_loadu_si128((const __m128i *)(s + 16 * i));
        __m128i low = _mm_or_si128(c, _mm_set1_epi8(0x20));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)),
                                       _mm_cmplt_epi8(low, _mm_set1_epi8('z' + 1)));
        __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(c, _mm_set1_epi8('0' - 1)),
                                      _mm_cmplt_epi8(c, _mm_set1_epi8('9' + 1)));
        /* the sign bit of c itself: a byte of a longer character */
        __m128i any = _mm_or_si128(c, _mm_or_si128(letter, digit));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(any) << 16 * i;
    }
#else
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)is_word[(unsigned char)s[i]] << i;
#endif
    return bits;
}

static uint64_t hash_word(const char *text, size_t n, size_t from, size_t to)
{
    uint64_t h = to - from;
    for (; to - from > 8; from += 8)
        h = ((h ^ load(text + from)) * 0x9E3779B97F4A7C15u) ^ (h >> 29);
    h = (h ^ load_some(text, n, from, to - from)) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

/* Word 8-grams that occurred before. Each 8-gram's hash has one slot that remembers the last one
 * there: two that collide forget each other, so the count can come out too low, never too high. */
struct grams {
    uint32_t slots[SLOTS];
    size_t mask;
    uint64_t words[WORDS], gram, oldest_power;
    size_t n_words, n_seen;
};

static void add_word(struct grams *g, uint64_t h)
{
    /* a rolling hash (Rabin and Karp): the new word in, the one 8 words ago out */
    g->gram = g->gram * BASE + h - g->words[g->n_words % WORDS] * g->oldest_power;
    g->words[g->n_words++ % WORDS] = h;
    if (g->n_words < WORDS)
        return;
    uint64_t mixed = (g->gram ^ g->gram >> 31) * 0x9E3779B97F4A7C15u;
    uint32_t mark = (uint32_t)(mixed >> 32) | 1;
    uint32_t *slot = &g->slots[mixed & g->mask];
    g->n_seen += *slot == mark;
    *slot = mark;
}

static bool repeats_words(const char *text, size_t n)
{
    struct grams g; /* its slots are cleared as far as they are used */
    bool within = false;
    size_t start = 0;
    if (n < 2 * MIN_WORDS - 1)
        return false;
    memset((char *)&g + offsetof(struct grams, mask), 0, sizeof g - offsetof(struct grams, mask));
    g.mask = 1023;
    g.oldest_power = 1;
    for (int i = 0; i < WORDS; i++)
        g.oldest_power *= BASE;
    while (g.mask + 1 < SLOTS && g.mask * 4 < n)
        g.mask = g.mask * 2 + 1;
    memset(g.slots, 0, (g.mask + 1) * sizeof *g.slots);
    for (size_t at = 0; at < n; at += 64) {
        char tail[64] = {0};
        if (n - at < 64)
            memcpy(tail, text + at, n - at);
        uint64_t bits = word_bits(n - at < 64 ? tail : text + at);
        /* where words begin and end: where a bit differs from the one before it */
        for (uint64_t edges = bits ^ (bits << 1 | within); edges; edges &= edges - 1) {
            size_t i = at + (size_t)__builtin_ctzll(edges);
            if (within)
                add_word(&g, hash_word(text, n, start, i));
            start = i;
            within = !within;
        }
    }
    if (within)
        add_word(&g, hash_word(text, n, start, n));
    return g.n_words >= MIN_WORDS && g.n_seen * 2 > g.n_words - WORDS + 1;
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
