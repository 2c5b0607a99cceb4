/* Rules that say which traces not to train on, after the DeepSeek-R1 paper (section 2.3.3: chains
 * with mixed languages, long paragraphs and code blocks were left out), bounds on length, and any
 * SQL condition. Traces are marked, never deleted; each rule has a kind of its own:
 *
 *     mixed_language   dataset/scripts.h
 *     long_paragraph   a line of the reasoning, outside code, is longer than max_paragraph bytes
 *     code_block       a line of the reasoning begins with ``` or ~~~
 *     length           the completion has fewer or more tokens than the bounds, or reasoning and
 *                      answer fewer or more bytes; traces whose tokens were not counted are passed
 *                      over and counted
 *     any name         the SQL condition on v_traces is true
 *
 * A run replaces the marks of the rules that it was given and leaves those of others alone. */
#ifndef DECANT_DATASET_FILTER_H
#define DECANT_DATASET_FILTER_H

#include "dataset/corpus.h"

#define FILTER_VERSION 1

enum filter_rule {
    FILTER_MIXED_LANGUAGE,
    FILTER_LONG_PARAGRAPH,
    FILTER_CODE_BLOCK,
    FILTER_LENGTH,
    FILTER_N
};
const char *filter_kind(enum filter_rule r);

struct filter_options {
    bool use[FILTER_N];
    double max_foreign;                                   /* scripts_mixed: 0.005 */
    int64_t max_paragraph;                                /* bytes: 3000 */
    int64_t min_tokens, max_tokens, min_bytes, max_bytes; /* below 0: no bound */
};
struct filter_summary {
    int64_t n_traces;
    int64_t n_uncounted;                  /* with a bound on tokens, and none known */
    struct marks_summary rules[FILTER_N]; /* of those used */
};
/* on_progress as in corpus_dedup. */
err_code corpus_filter(struct corpus *c, const struct filter_options *opt,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct filter_summary *out, struct err *e);

/* Marks the traces of a selection (corpus.h) with a kind of the caller's. The condition does
 * not see the kind's own marks, of an earlier run: "good" is good but for them. */
err_code corpus_filter_where(struct corpus *c, const char *selection, const char *kind,
                             struct marks_summary *out, struct err *e);

/* Takes the marks of a kind away. A kind that is no rule's and marks nothing: ERR_NOTFOUND with
 * those that do. */
err_code corpus_filter_clear(struct corpus *c, const char *kind, struct marks_summary *out,
                             struct err *e);

/* The rules themselves, on one reasoning. True: marked, and reason is filled. */
enum { FILTER_REASON = 160 };
bool filter_long_paragraph(const char *text, size_t n, int64_t max_bytes,
                           char reason[FILTER_REASON]);
bool filter_code_block(const char *text, size_t n, char reason[FILTER_REASON]);

#endif
