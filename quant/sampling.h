/* How the model's maker samples from it, which llama.cpp takes for what the user does not say. */
#ifndef DECANT_QUANT_SAMPLING_H
#define DECANT_QUANT_SAMPLING_H

#include "core/format/gguf.h"

/* general.sampling.*: temperature, top_k, top_p, min_p and repetition_penalty of dir's
 * generation_config.json, those that are there. */
err_code sampling_add_metadata(struct gguf_writer *g, const char *dir, struct err *e);

#endif
