/* Inside repetition.c: the steps that count a text's repeated word 8-grams, piece by piece. A
 * processor with AVX-512 has its own (repetition_avx512.c), with the same results to the bit. */
#ifndef DECANT_DATASET_REPETITION_H
#define DECANT_DATASET_REPETITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    GRAM_WORDS = 8,
    PIECE_BYTES = 1024,
    PIECE_WORDS = PIECE_BYTES / 2 + 1,
    SPARE_EDGES = 16, /* behind what is asked for: steps may write, and read, whole vectors */
    SPARE_WORDS = 8,
};
#define GRAM_BASE 0xd6e8feb86659fd93u /* odd, so that no word's part is ever shifted out */
#define HASH_MIX 0x9E3779B97F4A7C15u

struct repetition_steps {
    /* How many words are there in the text? Words are letters and digits of ASCII, and every byte
     * of a longer character. */
    size_t (*count_words)(const char *text, size_t n);
    /* Where words begin and end in the n bytes (at most PIECE_BYTES) of a piece, one after the
     * other: how many. *within: does the byte before belong to a word? Then: does the last? */
    size_t (*find_edges)(const char *piece, size_t n, bool *within, uint32_t *edges);
    /* The hashes of words, from edges[2 * i] to edges[2 * i + 1]. n_text bytes stand from piece to
     * the text's end. */
    void (*hash_words)(const char *piece, size_t n_text, const uint32_t *edges, size_t n_words,
                       uint64_t *hashes);
    /* The mixed hashes of the 8-grams that end with each word; hashes[-GRAM_WORDS] and on are of
     * the words before. */
    void (*mix_grams)(const uint64_t *hashes, size_t n_words, uint64_t *mixed);
};
extern const struct repetition_steps repetition_portable;
/* NULL: this processor has none. */
const struct repetition_steps *repetition_avx512(void);

static inline uint64_t repetition_load(const char *s)
{
    uint64_t x;
    memcpy(&x, s, sizeof x);
    return x;
}

/* Of one word, text[from] to text[to] of n bytes; eight bytes a step. */
static inline uint64_t repetition_hash(const char *text, size_t n, size_t from, size_t to)
{
    uint64_t h = to - from, x = 0;
    for (; to - from > 8; from += 8)
        h = ((h ^ repetition_load(text + from)) * HASH_MIX) ^ (h >> 29);
    if (from + 8 > n)
        memcpy(&x, text + from, to - from);
    else /* little-endian: the bytes up to to stay */
        x = repetition_load(text + from) << 8 * (8 - (to - from));
    h = (h ^ x) * HASH_MIX;
    return h ^ h >> 32;
}

#endif
