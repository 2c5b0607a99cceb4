/* A training batch: packed documents. The dataset fills batches and knows nothing of models; a
 * student trains on one and knows nothing of SQLite. */
#ifndef DECANT_LM_BATCH_H
#define DECANT_LM_BATCH_H

#include "core/base/mem.h"

struct batch {
    int64_t n_tokens, cap; /* T */
    int32_t *tokens;       /* [T] */
    int32_t *targets;      /* [T]: the id that should follow, or -1: no loss here */
    float *weights;        /* [T]: weight of the row's loss (1 by default; 0 where targets is -1) */
    int32_t *positions;    /* [T]: restart at 0 with each document */
    int32_t *doc_start;    /* [T]: index of the first row of this row's document */
    int64_t n_docs;
    int64_t n_valid; /* rows with targets >= 0 */
};
err_code batch_init(struct batch *b, int64_t cap, struct err *e);
void batch_clear(struct batch *b);
void batch_dispose(struct batch *b);
/* Appends one document: loss on the targets whose token is at index >= n_prompt. A document's last
 * token has no target. False when it does not fit in the room left. */
bool batch_add(struct batch *b, const int32_t *tokens, int64_t n, int64_t n_prompt);

#endif
