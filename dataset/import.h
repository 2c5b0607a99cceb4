/* Data files into the corpus, and selections of traces out of it. */
#ifndef DECANT_DATASET_IMPORT_H
#define DECANT_DATASET_IMPORT_H

#include "dataset/corpus.h"
#include "dataset/fields.h"
#include "dataset/records.h"

#include <stdio.h>

struct import_options {
    enum records_format format;
    struct field_names names; /* of the fields; NULL: the usual ones */
    bool traces;              /* records hold traces made elsewhere, too */
    const char *teacher;      /* of traces that do not name theirs */
    const char *source; /* stored with new prompts; NULL: the record's own, or the file's name */
    int64_t limit;      /* read at most this many records of the file; 0: all */
    bool want;          /* mark the prompts as wanted (corpus_want): what this run generates for */
    bool skip_bad;      /* pass over records that do not fit, and count them */
    int n_threads;      /* 0: all cores */
    bool (*on_progress)(void *ctx, int64_t done, int64_t total); /* in bytes; may be NULL */
    void *progress_ctx;
};
struct import_summary {
    int64_t n_lines;          /* records read */
    int64_t n_added;          /* prompts that were new */
    int64_t n_conflicts;      /* prompts that were there with another gold answer, which was kept */
    char first_conflict[512]; /* the first of them: FILE:LINE */
    int64_t n_no_gold; /* records without a gold answer, of prompts that had none in the corpus */
    int64_t n_traces;  /* traces that were new */
    int64_t n_traces_there; /* traces that were there already */
    int64_t n_regold; /* prompts that were there and got their first gold answer: traces that they
                         had want verifying */
    int64_t n_many_turns; /* conversations of several turns, of which the first was taken */
    int64_t n_bad;        /* passed over, with skip_bad */
    bool ended_bad;       /* a record that skip_bad would have passed over ended the import */
    char first_bad[512];  /* why the first of them was */
};
/* One transaction: on an error nothing of the file stays. Must not be called inside one.
 *
 * An imported trace's request is the record's "request" when that is an object that names a teacher
 * (as in decant's own export), else {"origin":"imported","system":...,"teacher":...}. Its sample
 * index is the record's when it has a request of its own, else the next that is free; the same text
 * for the same prompt and request is not added twice. Its finish reason is the record's, "cut" when
 * its thinking does not end, else "imported". */
err_code corpus_import(struct corpus *c, const char *path, const struct import_options *opt,
                       struct import_summary *sum, struct err *e);

/* A selection as JSONL, an object a line. What the assistant says is R1's chat form,
 * "<think>\n...\n</think>\n\n..." (without reasoning just the answer); a system prompt in the
 * request comes first. */
enum export_format {
    EXPORT_MESSAGES, /* {"messages":[{"role":"user","content":...},{"role":"assistant",...}]} */
    EXPORT_SHAREGPT, /* {"conversations":[{"from":"human","value":...},{"from":"gpt",...}]} */
    EXPORT_PROMPT_COMPLETION, /* {"prompt":...,"completion":...}; a system prompt under "system" */
};
/* "messages", "sharegpt", "prompt-completion"; false: no such name. */
bool export_format_of(const char *name, enum export_format *out);

struct export_options {
    const char *selection;
    enum export_format format;
    bool bare;     /* without the fields that say where a trace came from */
    int n_threads; /* 0: all cores */
    bool (*on_progress)(void *ctx, int64_t done, int64_t total); /* as in corpus_verify; or NULL */
    void *progress_ctx;
};
/* Streams: memory does not grow with the corpus. To a file it is an atomic replacement, of an older
 * export alone. A selection without a trace is ERR_NOTFOUND. */
err_code corpus_export(struct corpus *c, const struct export_options *o, const char *path,
                       int64_t *n, struct err *e);
/* The same to an open stream, which stays open. */
err_code corpus_export_stream(struct corpus *c, const struct export_options *o, FILE *f,
                              const char *name, int64_t *n, struct err *e);

#endif
