/* mtp.h: the multi-token-prediction module (DeepSeek-V3 technical report, section 2.2): one more
 * layer that looks at the model's state at a position and at the token that follows it, and
 * predicts the token after that. It is what speculative decoding drafts with.
 *
 *     h'_t = layer(eh_proj [enorm(embed(token_{t+1})) ; hnorm(h_t)]),  logits = head(norm(h'_t))
 *
 * h_t is the model's hidden state before its final norm; the module's position is h_t's. Stored as
 * layer num_hidden_layers; its embed_tokens and shared_head.head repeat the model's when present.
 */
#ifndef DECANT_TEACHER_MTP_H
#define DECANT_TEACHER_MTP_H

#include "teacher/layer.h"

struct mtp {
    struct tensor enorm, hnorm, eh_proj, norm; /* [C], [C], [C, 2C], [C] */
    struct tensor embed, head;                 /* [V, C] */
    struct layer layer;
};

/* Is the module in the files? */
bool mtp_present(const struct weights *w, const struct teacher_config *c);
/* embed and head: the model's, used when the module does not bring its own. */
err_code mtp_load(struct mtp *m, struct loader *l, struct device *d, const struct teacher_config *c,
                  const struct tensor *embed, const struct tensor *head, struct err *e);
void mtp_dispose(struct mtp *m, struct device *d);
/* x[T,C] = h' of hidden[T,C] and next[T]; its cache is number n_layers of the sequences. */
err_code mtp_forward(const struct mtp *m, const struct pass *p, struct tensor *x,
                     const struct tensor *hidden, const int32_t *next, struct err *e);

#endif
