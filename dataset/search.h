/* Full-text search, by SQLite's FTS5: words, "phrases", prefix*, AND OR NOT, column filters
 * (reasoning: and answer:). The index is made in the corpus file when it is first asked for and
 * brought up to date before each search; it refers to the texts where they stand and does not hold
 * them again. */
#ifndef DECANT_DATASET_SEARCH_H
#define DECANT_DATASET_SEARCH_H

#include "dataset/corpus.h"

enum search_in { SEARCH_TRACES, SEARCH_PROMPTS };

/* Adds to the index what it lacks, in commits of some thousand texts: stopped (on_progress returned
 * false: ERR_STOPPED) it goes on there the next time. The corpus must be open for writing. */
err_code search_update(struct corpus *c, enum search_in in,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct err *e);
/* What the index lacks when it cannot be brought up to date: *n texts. ERR_STATE without an index.
 */
err_code search_missing(struct corpus *c, enum search_in in, int64_t *n, struct err *e);
/* Takes the index away again. */
err_code search_drop(struct corpus *c, struct err *e);

struct search_hit {
    int64_t id; /* of the trace or prompt */
    int64_t prompt_id;
    const char *snippet;                    /* around the hits, which stand between \x02 and \x03 */
    const char *prompt, *verdict, *teacher; /* of a trace; verdict may be NULL */
    int64_t n_traces;                       /* of a prompt */
};
/* The best limit hits (BM25). *n_all: how many there are. What is no query of FTS5 (\frac{1}{2}) is
 * searched for as the words that it holds, all of them, and mistake says why it is none, in FTS5's
 * words ("" for a query). Strings of a hit are valid during the call.
 */
enum { SEARCH_MISTAKE_BYTES = 200 };
err_code search_run(struct corpus *c, enum search_in in, const char *query, int64_t limit,
                    err_code (*on_hit)(void *ctx, const struct search_hit *hit, struct err *e),
                    void *ctx, int64_t *n_all, char mistake[SEARCH_MISTAKE_BYTES], struct err *e);

#endif
