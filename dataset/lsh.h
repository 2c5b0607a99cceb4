/* An index of MinHash signatures that finds those alike without looking at all of them:
 * locality-sensitive hashing by bands (Indyk and Motwani 1998; Leskovec, Rajaraman and Ullman,
 * "Mining of massive datasets", 3.4). A signature is cut into bands of rows; two that agree in a
 * whole band are candidates. Of Jaccard index j, a pair becomes one with probability
 * 1 - (1 - j^rows)^bands. The bands are chosen for the threshold: the most rows with which a pair
 * just at it is missed less often than once in 300 (0.8: 21 bands of 6).
 *
 *     struct lsh *l;
 *     if ((rc = lsh_open(0.8, n_most, &l, e))) return rc;
 *     n = lsh_find(l, &signature, group, near, LSH_MAX_FOUND, &cut);  // most alike first
 *     ...no fitting one among them: i = lsh_add(l, &signature, group);
 *     lsh_close(l);
 *
 * Only signatures of the same group are candidates. Memory: lsh_bytes for each of the n_most
 * signatures, taken from the system as they are added. Not for several threads at once. */
#ifndef DECANT_DATASET_LSH_H
#define DECANT_DATASET_LSH_H

#include "dataset/minhash.h"

struct lsh;
struct lsh_near {
    uint32_t i;       /* as lsh_add counted it */
    float similarity; /* the signatures' estimate */
};
enum {
    LSH_MAX_FOUND = 64,  /* candidates that a search gives */
    LSH_MAX_CHAIN = 2000 /* signatures that it looks at in one band */
};

/* threshold in [0.5, 1]. */
err_code lsh_open(double threshold, int64_t n_most, struct lsh **out, struct err *e);
void lsh_close(struct lsh *l);
void lsh_shape(const struct lsh *l, int *n_bands, int *n_rows);
size_t lsh_bytes(const struct lsh *l);

/* Those whose estimate is not below the threshold by more than four standard deviations: the most
 * alike first, of equals the one that was added first. *cut (may be NULL) is set when a band held
 * more than LSH_MAX_CHAIN, of which the newest were looked at. */
size_t lsh_find(struct lsh *l, const struct minhash *m, uint64_t group,
                struct lsh_near out[LSH_MAX_FOUND], bool *cut);
/* Adds a signature; counts from 0. At most n_most can be added. */
uint32_t lsh_add(struct lsh *l, const struct minhash *m, uint64_t group);

#endif
