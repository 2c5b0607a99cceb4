/* Random numbers: counter-based, so that a stream is a pure function of its keys and position and
 * does not depend on who draws beside it. The generator is Philox-4x32-10 (Salmon et al., "Parallel
 * random numbers: as easy as 1, 2, 3", 2011). */
#ifndef DECANT_BASE_RNG_H
#define DECANT_BASE_RNG_H

#include <stdint.h>

/* A stream: copy it to fork it, store its three words to resume it. */
struct rng {
    uint64_t key;    /* which stream */
    uint64_t stream; /* which sub-stream */
    uint64_t n;      /* how many 64-bit words were drawn */
};

/* A stream keyed by a seed and two more numbers (say prompt and sample). */
struct rng rng_make(uint64_t seed, uint64_t a, uint64_t b);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, 1), 53 bits. */
double rng_uniform(struct rng *r);
/* Standard normal (Box-Muller). */
double rng_normal(struct rng *r);
/* Uniform in 0 .. n-1, unbiased; n >= 1. */
uint64_t rng_below(struct rng *r, uint64_t n);

/* The generator itself: block number `block` of a stream, as two 64-bit words. rng_u64 walks it. */
void rng_block(uint64_t key, uint64_t stream, uint64_t block, uint64_t out[2]);

/* 64-bit mix of bytes (FNV-1a finished with the splitmix64 mixer), for keys; not cryptographic. */
uint64_t rng_hash(const void *data, uint64_t n);

#endif
