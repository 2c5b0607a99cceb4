/* The records of a data file, one at a time: JSONL (an object a line), a JSON array of objects, CSV
 * (RFC 4180, with a header line) and TSV (the same with tabs). Streams: memory holds one record.
 * Splitting the file is cheap and done in order; parsing a record can be done on any thread.
 *
 *     struct records *r;
 *     if ((rc = records_open("train.csv", RECORDS_AUTO, &r, e))) return rc;
 *     while (!(rc = records_next(r, &record, &more, e)) && more) {
 *         rc = record_parse(r, &record, place, &arena, &root, e);  // an object, also for a CSV row
 *         ...
 *     }
 *     records_close(r);
 *
 * Errors name file:line and the remedy. Blank lines and a UTF-8 byte order mark are skipped. A
 * record over 64 MiB, a NUL, invalid UTF-8, JSON or CSV that is cut or malformed is ERR_FORMAT. */
#ifndef DECANT_DATASET_RECORDS_H
#define DECANT_DATASET_RECORDS_H

#include "core/base/json_arena.h"

enum records_format {
    RECORDS_AUTO, /* by the name's end (.csv, .tsv); else an array when the text starts with "[" */
    RECORDS_JSONL,
    RECORDS_ARRAY,
    RECORDS_CSV,
    RECORDS_TSV,
};
/* "jsonl", "json", "csv", "tsv"; false: no such name. */
bool records_format_of(const char *name, enum records_format *out);

struct records;
struct record {
    const char *text; /* as it stands in the file, valid until the next call */
    size_t n;
    int64_t line; /* of its first character, from 1 */
    bool spare;   /* set by the caller for a copy that json_arena_quick can read where it stands */
};
err_code records_open(const char *path, enum records_format format, struct records **out,
                      struct err *e);
void records_close(struct records *r);
const char *records_path(const struct records *r);
err_code records_next(struct records *r, struct record *out, bool *more, struct err *e);

/* The record as an object: CSV fields are strings under their column's name. It lives in the arena
 * until that is used again. place receives "path:line" for errors. Reads r only: may run on many
 * threads, each with an arena of its own. */
enum { RECORD_PLACE = 600 };
err_code record_parse(const struct records *r, const struct record *record,
                      char place[RECORD_PLACE], struct json_arena *arena, const cJSON **root,
                      struct err *e);

#endif
