/* Repetition: both versions of its steps to the bit, and its verdict against the rule written
 * plainly, word by word. */
#include "dataset/repetition.h"
#include "dataset/verdict.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static unsigned seed = 1;

static size_t below(size_t n)
{
    return (size_t)rand_r(&seed) % n;
}

/* Words of 1 to 40 bytes, many from a small set, some of other bytes; and sometimes one without
 * end.
 */
static void make_text(char *out, size_t n)
{
    size_t vocabulary = 1 + below(400), longest = below(4) ? 9 : 40;
    for (size_t at = 0; at < n;) {
        unsigned word = (unsigned)below(vocabulary);
        size_t len = 1 + rand_r(&word) % longest;
        if (!below(200))
            len = below(3000);
        for (size_t i = 0; i < len && at < n; i++) {
            int c = rand_r(&word) % 70;
            out[at++] = (char)(c < 26   ? 'a' + c
                               : c < 52 ? 'A' + c - 26
                               : c < 62 ? '0' + c - 52
                                        : 200 + c);
        }
        for (size_t i = 1 + (below(9) ? 0 : below(70)); i && at < n; i--)
            out[at++] = " \n.,-@[`{/:\x7f"[below(12)];
    }
}

static bool is_word(char c)
{
    return (unsigned char)c >= 0x80 || isalnum((unsigned char)c);
}

/* Over half of the word 8-grams were there before, with one slot for all whose hashes share it. */
static bool repeats_plainly(const char *text, size_t n)
{
    static uint64_t hashes[20000];
    static uint32_t slots[1 << 16];
    size_t n_words = 0, n_seen = 0, mask = 1023;
    while (mask + 1 < 1 << 16 && mask * 4 < n)
        mask = mask * 2 + 1;
    memset(slots, 0, sizeof slots);
    for (size_t at = 0; at < n;) {
        size_t from = at;
        while (at < n && is_word(text[at]))
            at++;
        if (at == from) {
            at++;
            continue;
        }
        hashes[n_words++] = repetition_hash(text, n, from, at);
        uint64_t gram = 0;
        for (size_t i = n_words - GRAM_WORDS; n_words >= GRAM_WORDS && i < n_words; i++)
            gram = gram * GRAM_BASE + hashes[i];
        uint64_t mixed = (gram ^ gram >> 31) * HASH_MIX;
        uint32_t mark = (uint32_t)(mixed >> 32) | 1;
        if (n_words < GRAM_WORDS)
            continue;
        n_seen += slots[mixed & mask] == mark;
        slots[mixed & mask] = mark;
    }
    return n_words >= 200 && n_seen * 2 > n_words - 7;
}

static bool loops_plainly(const char *text, size_t n)
{
    for (size_t p = 1; p <= 2048 && 3 * p <= n && n >= 200; p++) {
        size_t length = 3 * p < 200 ? 200 : 3 * p;
        if (!memcmp(text + n - length, text + n - length + p, length - p))
            return true;
    }
    return false;
}

static void test_verdict(void **state)
{
    (void)state;
    int n_yes = 0, n_loops = 0;
    for (int i = 0; i < 3000; i++) {
        size_t n = below(10) ? below(12000) : below(5) * PIECE_BYTES + below(130);
        char *text = malloc(n + 1); /* to its last byte, for the address sanitizer */
        make_text(text, n);
        if (n && below(2)) { /* what begins it once more, and again */
            size_t unit = below(n) + 1, from = below(3) ? unit : below(n);
            for (size_t k = from < unit ? unit : from; k < n; k++)
                text[k] = text[k - unit];
        }
        const char *reason;
        bool loops = loops_plainly(text, n), repeats = repeats_plainly(text, n);
        assert_int_equal(verdict_repetition(text, n, &reason), loops || repeats);
        if (loops)
            assert_string_equal(reason, "ends in a loop");
        n_loops += loops;
        n_yes += repeats && !loops;
        free(text);
    }
    assert_true(n_yes > 100 && n_loops > 100);
}

static void test_steps(void **state)
{
    (void)state;
    const struct repetition_steps *a = &repetition_portable, *b = repetition_avx512();
    static uint32_t edges[2][PIECE_BYTES + SPARE_EDGES];
    static uint64_t hashes[2][GRAM_WORDS + PIECE_WORDS + SPARE_WORDS];
    static uint64_t mixed[2][PIECE_WORDS + SPARE_WORDS];
    if (!b)
        skip();
    for (int i = 0; i < 3000; i++) {
        size_t n = below(3) ? below(PIECE_BYTES + 1) : below(200), behind = below(20);
        char *text = malloc(n + behind + 1);
        make_text(text, n + behind);
        bool start = below(2), within[2] = {start, start};
        size_t k = a->find_edges(text, n, &within[0], edges[0]);
        assert_int_equal(b->find_edges(text, n, &within[1], edges[1]), k);
        assert_int_equal(within[0], within[1]);
        assert_memory_equal(edges[0], edges[1], k * sizeof *edges[0]);
        size_t skip = start && k, n_words = (k - skip) / 2;
        for (int m = 0; m < GRAM_WORDS; m++)
            hashes[0][m] = hashes[1][m] = below(2) ? below(1 << 30) * HASH_MIX : 0;
        a->hash_words(text, n + behind, edges[0] + skip, n_words, hashes[0] + GRAM_WORDS);
        b->hash_words(text, n + behind, edges[0] + skip, n_words, hashes[1] + GRAM_WORDS);
        assert_memory_equal(hashes[0], hashes[1], (GRAM_WORDS + n_words) * sizeof *hashes[0]);
        a->mix_grams(hashes[0] + GRAM_WORDS, n_words, mixed[0]);
        b->mix_grams(hashes[0] + GRAM_WORDS, n_words, mixed[1]);
        assert_memory_equal(mixed[0], mixed[1], n_words * sizeof *mixed[0]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdict),
                                       cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
