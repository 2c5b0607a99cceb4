/* A text as a sequence of words, each a 64-bit hash: what near-duplicates and contamination are
 * measured on. Nothing is copied; one pass, no memory.
 *
 *     struct words w = words_of(text, n, WORDS_SYMBOLS);
 *     while (words_next(&w, &hash)) ...
 *
 * All forms are lower case. Bytes that are not UTF-8 separate words. */
#ifndef DECANT_DATASET_WORDS_H
#define DECANT_DATASET_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum words_form {
    /* What stands between white space, punctuation included: str.lower().split() in Python, the
     * words of open-r1's decontamination. */
    WORDS_SPACED,
    /* Runs of letters and digits, and each symbol that a formula is made of (+ - * / = < > ^ % |
     * _ brackets, and Unicode's symbols) as a word of its own. Other punctuation separates, but
     * goes from within a word: "don't" is "dont", "1,000" is "1000"; 3.5 is one word. Characters
     * of scripts that are written without spaces (Han, kana, Thai, ...) are words of their own. */
    WORDS_SYMBOLS,
    /* The same without the symbols. */
    WORDS_BARE,
};
struct words {
    const char *at, *end;
    enum words_form form;
};
struct words words_of(const char *text, size_t n, enum words_form form);
bool words_next(struct words *w, uint64_t *hash);

/* Mixes the bits of h; 0 stays 0. (The finalizer of splitmix64: Steele, Lea and Flood 2014.) */
static inline uint64_t words_mix(uint64_t h)
{
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    h = (h ^ h >> 27) * 0x94D049BB133111EBu;
    return h ^ h >> 31;
}

/* Runs of k words, each as one hash, over any sequence of words:
 *     struct shingles s = shingles_of(5);
 *     while (words_next(&w, &word)) if (shingles_add(&s, word, &hash)) ...
 * A sequence shorter than k gives none. k is at most 16. A run's hash is a polynomial in its
 * words' hashes that is kept up to date in constant time (Rabin and Karp 1987), then mixed. */
enum { SHINGLES_MAX_K = 16 };
struct shingles {
    uint64_t words[SHINGLES_MAX_K]; /* the last k */
    uint64_t sum, oldest_power, n;  /* n words were added */
    unsigned k, at;
};
struct shingles shingles_of(unsigned k);
bool shingles_add(struct shingles *s, uint64_t word, uint64_t *hash);

#endif
