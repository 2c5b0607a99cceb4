/* Prompt files into the corpus, and selections of traces out of it. */
#ifndef DECANT_DATASET_IMPORT_H
#define DECANT_DATASET_IMPORT_H

#include "dataset/corpus.h"

#include <stdio.h>

struct import_options {
    int64_t limit;      /* read at most this many problems of the file; 0: all */
    bool want;          /* mark them as wanted (corpus_want): what this run generates for */
    const char *source; /* stored with new prompts; NULL: the file's name */
};
struct import_summary {
    int64_t n_lines;     /* problems read */
    int64_t n_added;     /* prompts that were new */
    int64_t n_conflicts; /* prompts that were there with another gold answer, which was kept */
    int64_t n_no_gold;   /* problems without an answer */
};
/* One transaction: on an error nothing of the file stays. Must not be called inside one. */
err_code corpus_import(struct corpus *c, const char *path, const struct import_options *opt,
                       struct import_summary *sum, struct err *e);

/* A selection as JSONL in the chat-messages form: {"messages":[{"role":"user","content":...},
 * {"role":"assistant","content":"<think>\n...\n</think>\n\n..."}], "prompt_id":..., ...provenance}.
 * Streams; memory does not grow. To a file it is an atomic replacement; on_progress as in
 * corpus_verify. */
err_code corpus_export(struct corpus *c, const char *selection, const char *path,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       int64_t *n, struct err *e);
/* The same to an open stream, which stays open. */
err_code corpus_export_stream(struct corpus *c, const char *selection, FILE *f, const char *name,
                              int64_t *n, struct err *e);

#endif
