/* From traces to training batches: rendering into tokens, then packing documents into batches of at
 * most batch_tokens tokens.
 *
 *     struct doc_list docs = {0};
 *     while (corpus_select_next(...)) doc_list_add(&docs, &chat, &row, TARGET_TRACE, e);
 *     struct pack *p;
 *     rc = pack_open(&docs, &opt, &p, e);
 *     for (epoch = 0; epoch < n_epochs; epoch++)
 *         for (i = 0; i < n; i++)                   // rc = pack_n_batches(p, epoch, &n, e)
 *             rc = pack_get(p, epoch, i, &batch, e);
 *
 * What a batch holds is a pure function of (documents, options, epoch, index): resuming needs those
 * two numbers, ranks may take every n-th index, and threads change nothing. */
#ifndef DECANT_DATASET_PACK_H
#define DECANT_DATASET_PACK_H

#include "core/lm/batch.h"
#include "core/text/chat.h"
#include "dataset/corpus.h"

/* Documents in memory: 4 bytes a token and 24 a document. Zero-initialise. */
struct doc_list {
    struct token_list tokens; /* of all documents, one after another */
    int64_t *start;           /* [n]: first token of each */
    int64_t *n_prompt;        /* [n]: its tokens without loss */
    int64_t n, cap;
};
enum doc_target {
    TARGET_TRACE,  /* reasoning and answer */
    TARGET_ANSWER, /* the answer alone, with empty reasoning */
};
/* The document of a trace: chat_prompt, then chat_completion. */
err_code doc_list_add(struct doc_list *l, const struct chat *chat, const struct corpus_row *row,
                      enum doc_target target, struct err *e);
/* The same from tokens: the first n_prompt carry no loss. */
err_code doc_list_add_tokens(struct doc_list *l, const int32_t *tokens, int64_t n, int64_t n_prompt,
                             struct err *e);
int64_t doc_list_length(const struct doc_list *l, int64_t i);
void doc_list_dispose(struct doc_list *l);

enum pack_over { PACK_SKIP, PACK_CUT };
struct pack_options {
    int64_t batch_tokens; /* capacity of a batch; at least max_length */
    int64_t max_length;   /* of a document */
    enum pack_over over;  /* longer ones: leave out, or cut their end off */
    uint64_t seed;
    int64_t window; /* documents that are packed together (default 1024 when 0) */
};
struct pack_summary {
    int64_t n_docs, n_tokens, n_target_tokens; /* of what is packed, in one epoch */
    int64_t n_skipped; /* longer than max_length, or (always) without a token to learn */
    int64_t n_cut;
    int64_t n_longest; /* of all documents, before cutting */
};
struct pack;
/* Documents are shuffled by (seed, epoch), then windows of them are packed by best fit decreasing;
 * the batches of a window are shuffled again, so that long documents do not come first. docs must
 * outlive the pack. No document fits: ERR_NOTFOUND with the lengths. */
err_code pack_open(const struct doc_list *docs, const struct pack_options *opt, struct pack **out,
                   struct err *e);
void pack_close(struct pack *p);
void pack_get_summary(const struct pack *p, struct pack_summary *out);
/* Differs a little from epoch to epoch. */
err_code pack_n_batches(struct pack *p, int64_t epoch, int64_t *n, struct err *e);
/* Fills b, which was made by batch_init with at least batch_tokens. */
err_code pack_get(struct pack *p, int64_t epoch, int64_t i_batch, struct batch *b, struct err *e);

#endif
