/* Any model on disk, opened: language model, tokenizer and chat form together. An HF directory or a
 * GGUF file; the architecture ("model_type", "general.architecture") decides who reads it.
 *
 *     struct model m;
 *     if ((rc = model_open(&m, "models/r1-distill.gguf", 0, MODEL_TEXT, e))) return rc;
 *     ... m.lm, m.tok, &m.chat ...
 *     model_close(&m);
 */
#ifndef DECANT_DISTILL_MODEL_H
#define DECANT_DISTILL_MODEL_H

#include "core/lm/lm.h"
#include "core/tensor/device.h"
#include "core/text/chat.h"

struct model {
    struct device *device;
    struct lm *lm;
    struct tokenizer *tok; /* NULL with MODEL_BARE */
    struct chat chat;
};
enum model_parts {
    MODEL_BARE, /* the lm alone: no tokenizer needed */
    MODEL_TEXT, /* with tokenizer and chat form */
};
/* n_threads 0: all cores. An architecture that decant does not run is ERR_UNSUPPORTED and named; a
 * vocabulary larger than the model's is ERR_FORMAT. On error nothing is open. */
err_code model_open(struct model *m, const char *path, int n_threads, enum model_parts parts,
                    struct err *e);
void model_close(struct model *m);

/* A 64-bit mark of the model's content: its configuration, its tensors' names, types and shapes and
 * 4 KiB out of up to 512 of them. Quick at any size; two trainings of one shape differ in it. */
err_code model_fingerprint(const char *path, uint64_t *out, struct err *e);

/* How much reasoning and answer a generated text has. */
struct reply {
    struct buf text;         /* all of it, decoded */
    struct chat_split split; /* spans of text */
    int64_t n_reasoning_tokens;
};
/* Decodes generated ids and splits them; reusing r keeps its memory. reply_dispose frees it. */
err_code reply_decode(struct reply *r, const struct model *m, const int32_t *ids, int64_t n,
                      struct err *e);
void reply_dispose(struct reply *r);

#endif
