/* What a run trains on: selected traces rendered in the student's own chat form, a part of the
 * prompts held out, both packed into batches. */
#ifndef DECANT_DISTILL_TRAIN_DATA_H
#define DECANT_DISTILL_TRAIN_DATA_H

#include "dataset/pack.h"
#include "distill/train.h"

struct train_data {
    struct tokenizer *tokenizer;
    struct chat chat;
    struct doc_list docs, eval_docs;
    struct pack *pack, *eval_pack; /* eval_pack NULL: nothing is held out */
    struct pack_summary summary, eval_summary;
    uint64_t hash;   /* of the selection: texts, order, and what they were rendered to */
    int64_t last_id; /* the largest of its traces' ids */
    /* steps before each epoch, [epochs + 1] */
    int64_t *first_step;
};
/* Reads the corpus of s (max_length already resolved) with the tokenizer in tokenizer_dir; traces
 * with larger ids than last_id are left out (0: none), as those made since a run was started. A
 * selection without a trace, or a tokenizer with more ids than n_vocab: an error that says what
 * would help. A prompt's traces are held out together: by a hash of its text and the seed. */
err_code train_data_open(struct train_data *t, const struct train_settings *s,
                         const char *tokenizer_dir, int64_t n_vocab, int64_t last_id,
                         struct err *e);
void train_data_close(struct train_data *t);

int64_t train_data_n_steps(const struct train_data *t, const struct train_settings *s);
/* Fills the micro-batches of a step (from 1); *n of them, at most s->accumulation. */
err_code train_data_step(struct train_data *t, const struct train_settings *s, int64_t step,
                         struct batch *batches, int64_t *n, struct err *e);

#endif
