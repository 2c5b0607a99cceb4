/* The tokenizer's part of a GGUF file's metadata. */
#ifndef DECANT_QUANT_VOCAB_H
#define DECANT_QUANT_VOCAB_H

#include "core/format/gguf.h"
#include "core/text/tokenizer.h"

/* tokenizer.*: model "gpt2", the pre-tokenizer by llama.cpp's name, n_rows tokens with their types
 * (the ids that no token has are called [PADi]), merges, special ids and the chat template. eot is
 * the token that ends a turn in the model's chat form; eom one that ends an answer, too. bos:
 * what config.json says, taken where the tokenizer says nothing; -1 when it does not either. (Of
 * its eos the tokenizer knows.)
 * ERR_UNSUPPORTED when llama.cpp has no name for the pre-tokenizer; ERR_FORMAT when there are more
 * tokens than n_rows, or two of the same text. */
err_code vocab_add_metadata(struct gguf_writer *g, const struct tokenizer *t, const char *path,
                            int64_t n_rows, int64_t bos, struct err *e);

#endif
