/* What decant corpus show has in a file of its own. */
#ifndef DECANT_CLI_CORPUS_SHOW_H
#define DECANT_CLI_CORPUS_SHOW_H

#include "cli/corpus.h"
#include "dataset/corpus.h"

/* Appends to b a line a token, or a JSON array (null when there are none): its text, its
 * log-probability, and the candidates with theirs. */
err_code show_logprobs(struct corpus *c, const struct corpus_row *row, bool json, struct buf *b,
                       struct err *e);

#endif
