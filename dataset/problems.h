/* Problem and prompt files: records (dataset/records.h: JSONL, JSON arrays, CSV, TSV) with "prompt"
 * (or "question", "problem", ...) and, when known, "answer"; docs/corpus.md lists the names.
 * Streams record by record; SQLite is not involved.
 *
 *     struct problems *p;
 *     if ((rc = problems_open("test.jsonl", NULL, &p, e))) return rc;
 *     while (!(rc = problems_next(p, &problem, &more, e)) && more) ...
 *     problems_close(p);
 *
 * Errors name file:line and the remedy: what records.h refuses, a missing or empty prompt, a value
 * of the wrong kind. What was read before stays valid. */
#ifndef DECANT_DATASET_PROBLEMS_H
#define DECANT_DATASET_PROBLEMS_H

#include "core/base/mem.h"

struct problems;
struct problem {
    const char *prompt;
    const char *gold;  /* the final answer (after "####" in GSM8K's form); NULL when not known */
    const char *extra; /* JSON object of the other fields, with the whole "answer" when gold is only
                          its end; NULL when there are none. Numbers as doubles */
    size_t n_prompt, n_gold;
    int64_t line; /* from 1 */
};
/* Which fields hold them; NULL, the whole or one: the usual names. */
struct problem_fields {
    const char *prompt, *gold;
};
/* What fields names must live as long as the file is open. */
err_code problems_open(const char *path, const struct problem_fields *fields, struct problems **out,
                       struct err *e);
/* Strings are valid until the next call. */
err_code problems_next(struct problems *p, struct problem *out, bool *more, struct err *e);
void problems_close(struct problems *p);

#endif
