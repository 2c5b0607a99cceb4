/* MinHash: how alike two texts are, from 128 numbers a text.
 *
 * A text is the set of its runs of 5 words (dataset/words.h, WORDS_SYMBOLS); a text shorter than
 * that is the set of its one run. Two texts are as alike as the Jaccard index of their sets says:
 * common runs over all runs. Position i of a signature agrees with exactly that probability
 * (Broder 1997), so the share of agreeing positions estimates it with a standard deviation of
 * sqrt(j (1 - j) / 128), 0.035 at j = 0.8. A position is stored as 8 bits (b-bit minwise hashing,
 * Li and König 2010); the 1 in 256 that agree by chance are taken out of the estimate.
 *
 * Signatures do not depend on the machine. Texts beyond MINHASH_MAX_BYTES are taken by their
 * beginning. */
#ifndef DECANT_DATASET_MINHASH_H
#define DECANT_DATASET_MINHASH_H

#include "core/base/mem.h"

enum {
    MINHASH_N = 128,   /* permutations */
    MINHASH_WORDS = 5, /* words a run */
    MINHASH_MAX_BYTES = 16 << 20,
};
struct minhash {
    uint8_t at[MINHASH_N];
};
/* A text may come in parts (say reasoning, answer); runs go on from one to the next. */
struct minhash_text {
    const char *text;
    size_t n;
};
/* False when the texts have no word at all: such texts are like no other. */
bool minhash_of(const struct minhash_text *parts, int n_parts, struct minhash *out);
/* The estimate of the Jaccard index, 0 to 1. */
double minhash_similarity(const struct minhash *a, const struct minhash *b);

/* The sets themselves, and their true Jaccard index. Zero-initialise, dispose; may be refilled. */
struct shingle_set {
    uint64_t *hashes; /* sorted, each once */
    size_t n, cap;
};
err_code shingle_set_fill(struct shingle_set *s, const struct minhash_text *parts, int n_parts,
                          struct err *e);
double shingle_set_jaccard(const struct shingle_set *a, const struct shingle_set *b);
void shingle_set_dispose(struct shingle_set *s);

/* The permutations' kernel, for the tests: folds n hashes into 128 minima. */
void minhash_fold(uint32_t mins[MINHASH_N], const uint32_t *hashes, size_t n);
void minhash_fold_portable(uint32_t mins[MINHASH_N], const uint32_t *hashes, size_t n);

#endif
