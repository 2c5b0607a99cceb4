/* Inside dataset/dedup.c: the texts that were kept so far, and whether a new one is like one of
 * them. */
#ifndef DECANT_DATASET_DEDUP_INDEX_H
#define DECANT_DATASET_DEDUP_INDEX_H

#include "dataset/lsh.h"

/* A text's words between white space in lower case, as 128 bits. */
struct digest {
    uint64_t a, b;
};
struct digest digest_of(const struct minhash_text *parts, int n_parts);

/* Everything about a text that is compared. */
struct dedup_key {
    int64_t id;
    uint64_t group; /* only texts of the same group are alike */
    struct digest digest;
    struct minhash minhash;
    bool has_words; /* without words only digests are compared */
};
void dedup_key_fill(struct dedup_key *k, const struct minhash_text *parts, int n_parts, bool near);

struct dedup_index;
/* threshold 0: exact only. */
err_code dedup_index_open(double threshold, int64_t n_most, struct dedup_index **out,
                          struct err *e);
void dedup_index_close(struct dedup_index *x);
size_t dedup_index_bytes(const struct dedup_index *x); /* a text */
void dedup_index_shape(const struct dedup_index *x, int *n_bands, int *n_rows);
/* The kept text that is exactly like k; false when there is none. */
bool dedup_index_exact(const struct dedup_index *x, const struct dedup_key *k, int64_t *id);
/* Kept texts that may be near, the likeliest first. */
struct dedup_near {
    int64_t id;
    double similarity;
};
size_t dedup_index_near(struct dedup_index *x, const struct dedup_key *k,
                        struct dedup_near out[LSH_MAX_FOUND], bool *cut);
void dedup_index_keep(struct dedup_index *x, const struct dedup_key *k);

#endif
