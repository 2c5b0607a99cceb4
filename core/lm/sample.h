/* Choosing the next token from logits. */
#ifndef DECANT_LM_SAMPLE_H
#define DECANT_LM_SAMPLE_H

#include "core/base/rng.h"

#include "core/base/mem.h"

struct sampling {
    float temperature; /* 0: greedy (the lowest id among equals) */
    float top_p;       /* 1: off; nucleus of the tempered distribution */
    int32_t top_k;     /* 0: off */
};
/* Order: top_k, temperature, top_p, then one uniform draw. scratch: n floats and n ints of the
 * caller's. NaN or all -inf logits: returns -1. Greedy draws nothing from r. */
int32_t sample_token(const float *logits, int64_t n, const struct sampling *s, struct rng *r,
                     float *scratch_p, int32_t *scratch_i);
/* log softmax(logits)[id], in double. */
double sample_logprob(const float *logits, int64_t n, int32_t id);

#endif
