/* What the parts of `decant corpus` share: one file a part (corpus_*.c), each with its own option
 * table and a struct command whose name starts with "corpus ". A new part adds two lines to the
 * table in cmd_corpus.c. */
#ifndef DECANT_CLI_CORPUS_H
#define DECANT_CLI_CORPUS_H

#include "cli/cli.h"
#include "core/base/log.h"
#include "core/base/mem.h"

/* Options that many parts have. */
#define CORPUS_OPTION(path)                                                                        \
    {                                                                                              \
        "corpus", CLI_STR, &(path), "FILE.db", "the corpus", .required = true                      \
    }
#define SELECT_OPTION(selection)                                                                   \
    {                                                                                              \
        "select", CLI_STR, &(selection), "WHICH",                                                  \
            "correct, all, or an SQL condition on v_traces (docs/corpus.md)"                       \
    }
#define JSON_OPTION(json)                                                                          \
    {                                                                                              \
        "json", CLI_FLAG, &(json), "", "print one JSON object"                                     \
    }

/* Ends a part that printed JSON into b (when all went well): prints and disposes it. */
int corpus_end_json(err_code rc, struct buf *b, struct err *e);
/* A bar for the jobs' on_progress; ctx is a struct progress that was begun. False after Ctrl-C. */
bool corpus_on_progress(void *ctx, int64_t done, int64_t total);
/* Its last line, "12 traces verified" for what "trace" and rest " verified"; none after an error.
 */
void corpus_end_progress(struct progress *p, err_code rc, int64_t n, const char *what,
                         const char *rest);
/* Text that a model or a stranger wrote, without the control characters that could steer the
 * terminal. */
void print_text(const char *text);

#endif
