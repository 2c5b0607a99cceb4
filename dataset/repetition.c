/* Does a text loop, or repeat itself (verdict_repetition in verdict.h)? */
#include "dataset/repetition.h"
#include "dataset/verdict.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The loop at the end of a text: for some period p its last max(MIN_LOOP, MIN_PERIODS * p) bytes
 * are the same as those p bytes before them. Most periods fail on the last eight bytes. */
enum { MAX_PERIOD = 2048, MIN_PERIODS = 3, MIN_LOOP = 200 };

static bool is_period(const char *text, size_t n, size_t p)
{
    size_t length = MIN_PERIODS * p < MIN_LOOP ? MIN_LOOP : MIN_PERIODS * p;
    return repetition_load(text + n - 8 - p) == repetition_load(text + n - 8) &&
           !memcmp(text + n - length, text + n - length + p, length - p);
}

static bool ends_in_loop(const char *text, size_t n)
{
    size_t last = MIN_PERIODS * MAX_PERIOD <= n ? MAX_PERIOD : n / MIN_PERIODS, p = 1;
    if (n < MIN_LOOP)
        return false;
#ifdef __SSE2__
    /* sixteen at once by their last two bytes */
    const __m128i a = _mm_set1_epi8(text[n - 2]), b = _mm_set1_epi8(text[n - 1]);
    for (; p + 15 <= last; p += 16) {
        const char *s = text + n - p - 16; /* [i]: the last byte but p + 15 - i */
        __m128i same = _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(s - 1)), a),
                                     _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)s), b));
        for (unsigned bits = (unsigned)_mm_movemask_epi8(same); bits; bits &= bits - 1)
            if (is_period(text, n, p + 15 - (size_t)__builtin_ctz(bits)))
                return true;
    }
#endif
    for (; p <= last; p++)
        if (is_period(text, n, p))
            return true;
    return false;
}

/* Which of the n bytes (at most 64) at s belong to words, a bit each. */
static uint64_t word_bits(const char *s, size_t n)
{
    uint64_t bits = 0;
    if (n < 64) {
        char tail[64] = {0};
        return word_bits(memcpy(tail, s, n), 64);
    }
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
    for (int i = 0; i < 64; i++) {
        unsigned char c = (unsigned char)s[i], letter = (c | 0x20) - 'a', digit = c - '0';
        unsigned word = c >> 7 | (letter < 26) | (digit < 10); /* without a branch */
        bits |= (uint64_t)word << i;
    }
#endif
    return bits;
}

static size_t count_words(const char *text, size_t n)
{
    size_t n_words = 0;
    uint64_t before = 0;
    for (size_t at = 0; at < n; at += 64) {
        uint64_t bits = word_bits(text + at, n - at);
        n_words += (size_t)__builtin_popcountll(bits & ~(bits << 1 | before));
        before = bits >> 63;
    }
    return n_words;
}

static size_t find_edges(const char *piece, size_t n, bool *within, uint32_t *edges)
{
    size_t k = 0;
    for (size_t at = 0; at < n; at += 64) {
        uint64_t bits = word_bits(piece + at, n - at);
        /* where a bit differs from the one before it */
        for (uint64_t x = bits ^ (bits << 1 | *within); x; x &= x - 1)
            edges[k++] = (uint32_t)at + (uint32_t)__builtin_ctzll(x);
        *within = bits >> 63;
    }
    return k;
}

static void hash_words(const char *piece, size_t n_text, const uint32_t *edges, size_t n_words,
                       uint64_t *hashes)
{
    for (size_t i = 0; i < n_words; i++)
        hashes[i] = repetition_hash(piece, n_text, edges[2 * i], edges[2 * i + 1]);
}

/* A rolling hash (Rabin and Karp): the new word in, the one 8 words ago out. */
static void mix_grams(const uint64_t *hashes, size_t n_words, uint64_t *mixed)
{
    uint64_t power = 1, gram = 0;
    for (const uint64_t *h = hashes - GRAM_WORDS; h < hashes; h++) {
        gram = gram * GRAM_BASE + *h;
        power *= GRAM_BASE;
    }
    for (size_t i = 0; i < n_words; i++) {
        gram = gram * GRAM_BASE + (hashes[i] - *(hashes + i - GRAM_WORDS) * power);
        mixed[i] = (gram ^ gram >> 31) * HASH_MIX;
    }
}

const struct repetition_steps repetition_portable = {count_words, find_edges, hash_words,
                                                     mix_grams};

enum { MIN_WORDS = 200, SLOTS = 1 << 16 };

/* Word 8-grams that occurred before. Each 8-gram's hash has one slot that remembers the last one
 * there: two that collide forget each other, so the count can come out too low, never too high. */
struct grams {
    const struct repetition_steps *steps;
    size_t n_all, n_words; /* in the text, and those that were looked at */
    size_t n_seen, mask;
    uint64_t hashes[GRAM_WORDS + PIECE_WORDS + SPARE_WORDS]; /* the first GRAM_WORDS: of before */
    uint64_t mixed[PIECE_WORDS + SPARE_WORDS];
    uint32_t edges[PIECE_BYTES + SPARE_EDGES];
    uint32_t slots[SLOTS];
};

static void count(struct grams *g, size_t n_words)
{
    size_t first = g->n_words < GRAM_WORDS - 1 ? GRAM_WORDS - 1 - g->n_words : 0, n_seen = 0;
    g->steps->mix_grams(g->hashes + GRAM_WORDS, n_words, g->mixed);
    for (size_t i = first; i < n_words; i++) {
        uint32_t mark = (uint32_t)(g->mixed[i] >> 32) | 1;
        uint32_t *slot = &g->slots[g->mixed[i] & g->mask];
        n_seen += *slot == mark;
        *slot = mark;
    }
    g->n_words += n_words;
    g->n_seen += n_seen;
    memmove(g->hashes, g->hashes + n_words, GRAM_WORDS * sizeof *g->hashes);
}

static bool is_over_half(const struct grams *g, size_t n_seen)
{
    return n_seen * 2 > g->n_all - GRAM_WORDS + 1;
}

/* Of most texts the first half decides: even if all that follows was there before, it is less than
 * half. */
static void count_all(struct grams *g, const char *text, size_t n)
{
    size_t start = 0; /* of the word that goes on from piece to piece */
    bool within = false;
    for (size_t at = 0; at < n && !is_over_half(g, g->n_seen) &&
                        is_over_half(g, g->n_seen + g->n_all - g->n_words);
         at += PIECE_BYTES) {
        uint64_t *hashes = g->hashes + GRAM_WORDS;
        bool open = within, last = n - at <= PIECE_BYTES;
        size_t k = g->steps->find_edges(text + at, last ? n - at : PIECE_BYTES, &within, g->edges);
        if (open && (k || last))
            *hashes++ = repetition_hash(text, n, start, k ? at + g->edges[0] : n);
        open = open && k;
        size_t n_words = (k - open) / 2;
        g->steps->hash_words(text + at, n - at, g->edges + open, n_words, hashes);
        hashes += n_words;
        if ((k - open) % 2) {
            start = at + g->edges[k - 1];
            if (last)
                *hashes++ = repetition_hash(text, n, start, n);
        }
        count(g, (size_t)(hashes - g->hashes) - GRAM_WORDS);
    }
}

static bool repeats_words(const char *text, size_t n)
{
    struct grams g; /* its slots are cleared as far as they are used */
    if (n < 2 * MIN_WORDS - 1)
        return false;
    g.steps = repetition_avx512();
    if (!g.steps)
        g.steps = &repetition_portable;
    g.n_all = g.steps->count_words(text, n);
    if (g.n_all < MIN_WORDS)
        return false;
    memset(g.hashes, 0, GRAM_WORDS * sizeof *g.hashes);
    g.n_words = g.n_seen = 0;
    g.mask = 1023;
    while (g.mask + 1 < SLOTS && g.mask * 4 < n)
        g.mask = g.mask * 2 + 1;
    memset(g.slots, 0, (g.mask + 1) * sizeof *g.slots);
    count_all(&g, text, n);
    return is_over_half(&g, g.n_seen);
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
