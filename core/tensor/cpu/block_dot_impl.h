/* What the versions of block_dot share: the rounded activations. Private to block_dot*.c. */
#ifndef DECANT_TENSOR_CPU_BLOCK_DOT_IMPL_H
#define DECANT_TENSOR_CPU_BLOCK_DOT_IMPL_H

#include "core/tensor/cpu/block_dot.h"

/* 256 activations. A row whose length is no multiple of 256 (32-blocks only) is filled up with
 * zeros, so that no kernel needs a tail on this side. */
struct act_block {
    int8_t q[256];
    int16_t sums[16]; /* of each 16 q (K types) */
    float d[8];       /* scale of each 32; K types use d[0] for all */
};
_Static_assert(sizeof(struct act_block) == 320, "a multiple of 64");

/* A call's arguments, as the versions take them. */
struct block_job {
    const uint8_t *weights;
    uint64_t row_bytes;
    int64_t n_rows, T, n_groups;  /* groups: blocks of 256, the last one perhaps partly filled */
    int64_t n_last;               /* 32-blocks in the last group, 1..8 */
    const struct act_block *acts; /* row t starts at acts + t * n_groups */
    float *y;
    int64_t ld_y;
    bool add;
};

void block_dot_avx2(enum dtype w, const struct block_job *job);
void block_dot_avx512(enum dtype w, const struct block_job *job);

#endif
