#include "teacher/http/guard.h"

#include "core/base/mem.h"

#include <string.h>

enum { STEP = 512, TAIL = LOOP_MAX_UNIT * LOOP_MIN_ROUNDS, PROBE = 16 };

/* With the text's tail reversed, "its last L bytes have period p" is "the prefix of length L has
 * period p", and the shortest such p is L minus the prefix function of Knuth, Morris and Pratt. */
static bool ends_in_loop(const char *text, size_t n)
{
    uint16_t fail[TAIL + 1];
    size_t m = n < TAIL ? n : TAIL, k = 0;
    const char *last = text + n - 1; /* last[-i] is the reversed tail */
    fail[0] = fail[1] = 0;
    for (size_t i = 1; i < m; i++) {
        while (k && last[-(ptrdiff_t)i] != last[-(ptrdiff_t)k])
            k = fail[k];
        k += last[-(ptrdiff_t)i] == last[-(ptrdiff_t)k];
        fail[i + 1] = (uint16_t)k;
        size_t length = i + 1, period = length - k;
        if (length >= LOOP_MIN_BYTES && period <= LOOP_MAX_UNIT &&
            length >= LOOP_MIN_ROUNDS * period)
            return true;
    }
    return false;
}

/* Do the last bytes stand once more within one unit before? Without that there is no loop. */
static bool may_loop(const char *text, size_t n)
{
    size_t before = n - PROBE < LOOP_MAX_UNIT ? n - PROBE : LOOP_MAX_UNIT;
    return memmem(text + n - PROBE - before, before + PROBE - 1, text + n - PROBE, PROBE) != NULL;
}

enum { SLOTS = 4096, LONG_WORD = 256 };
#define BASE 0xd6e8feb86659fd93u /* odd, so that no word's part is ever shifted out */

static bool is_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

/* The 8-gram that ends in the last word: has it been before? Each has one slot, which remembers a
 * byte of the last one there: old ones are forgotten, and one new one in 255 is taken for an old one,
 * which LOOP_NEW makes up for many times over. */
static void count_gram(struct loop_guard *g)
{
    uint64_t mixed = (g->gram ^ g->gram >> 31) * 0x9E3779B97F4A7C15u;
    uint8_t mark = (uint8_t)((mixed >> 48) % 255 + 1), *slot = &g->seen[mixed >> 16 & (SLOTS - 1)];
    bool again = *slot == mark && g->gram_bytes >= LOOP_GRAM_BYTES;
    *slot = mark;
    g->score += again ? 1 : -LOOP_NEW;
    g->score = g->score < 0 ? 0 : g->score;
}

/* A rolling hash (Rabin and Karp): the new word in, the one 8 words ago out. */
static void add_word(struct loop_guard *g, const char *word, size_t n)
{
    const uint64_t base2 = (uint64_t)BASE * BASE, base4 = base2 * base2, base8 = base4 * base4;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)word[i]) * 0x100000001b3u;
    size_t i = g->n_words++ % LOOP_GRAM;
    g->gram = g->gram * BASE + h - g->words[i] * base8;
    g->gram_bytes += n - g->lengths[i];
    g->words[i] = h;
    g->lengths[i] = n;
    if (g->n_words >= LOOP_GRAM)
        count_gram(g);
}

/* All words that are whole: one that the text ends in may go on, unless it is very long. */
static bool repeats_words(struct loop_guard *g, const char *text, size_t n)
{
    if (!g->seen && !(g->seen = mem_new(SLOTS, sizeof *g->seen, NULL)))
        return false;
    size_t tail = 0;
    while (tail < LONG_WORD && tail < n && is_word((unsigned char)text[n - 1 - tail]))
        tail++;
    n -= tail < LONG_WORD ? tail : 0;
    for (size_t i = g->n_read; i < n; g->n_read = i) {
        size_t first = i;
        while (i < n && is_word((unsigned char)text[i]))
            i++;
        if (i > first)
            add_word(g, text + first, i - first);
        i += i == first;
    }
    return g->score >= LOOP_MAX_SCORE;
}

bool loop_guard_look(struct loop_guard *g, const char *text, size_t n)
{
    if (n < LOOP_MIN_BYTES || n - g->n_looked < STEP)
        return false;
    g->n_looked = n;
    return (may_loop(text, n) && ends_in_loop(text, n)) || repeats_words(g, text, n);
}

void loop_guard_dispose(struct loop_guard *g)
{
    mem_free(g->seen);
    memset(g, 0, sizeof *g);
}
