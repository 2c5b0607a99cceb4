/* Inside the dataset: a connection to a corpus file, its statements, and SQLite's errors in words.
 */
#ifndef DECANT_DATASET_SQL_H
#define DECANT_DATASET_SQL_H

#include "core/base/json_arena.h"
#include "core/base/passing.h"
#include "dataset/corpus.h"

#include <sqlite3.h>

enum sql_statement {
    SQL_ADD_PROMPT,
    SQL_FIND_PROMPT,
    SQL_SET_GOLD,
    SQL_WANT,
    SQL_ADD_REQUEST,
    SQL_FIND_REQUEST,
    SQL_ADD_TRACE,
    SQL_FIND_TRACE,
    SQL_GOLD,
    SQL_CLEAR_VERDICTS,
    SQL_ADD_VERDICT,
    SQL_ADD_MARK,
    SQL_ADD_FAILURE,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_SAME_TRACE,
    SQL_NEXT_SAMPLE,
    SQL_ADD_LOGPROBS,
    SQL_N_STATEMENTS
};

struct corpus {
    sqlite3 *db;
    char *path;
    enum corpus_mode mode;
    sqlite3_stmt *statements[SQL_N_STATEMENTS]; /* prepared when first used */
    struct buf scratch, scratch2;
    struct json_arena arena; /* of sql_check_json */
    int64_t now_ms;          /* of now, since 1970 */
    char now[32];
    int64_t n_golds_filled; /* by this connection, of prompts that had none */
    bool made;              /* this connection made the file */
    bool whole;             /* the transaction under way ends whole or not at all: no savepoints */
    int claim;              /* descriptor of corpus_claim; -1: none */
    struct passing bulk;    /* of bulk_begin */
    struct passing reading; /* of bulk_read_begin; last_id: the last trace's */
    int64_t last_id;
};

/* ERR_* with "path: what: ..." and the remedy for the code that db ended with. */
err_code sql_fail(sqlite3 *db, const char *path, const char *what, struct err *e);
err_code sql_exec(struct corpus *c, const char *sql, const char *what, struct err *e);
/* A statement of the table, reset and without bindings. */
err_code sql_get(struct corpus *c, enum sql_statement which, sqlite3_stmt **out, struct err *e);
err_code sql_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **out,
                     struct err *e);
/* Runs to its end a statement that gives no rows, and resets it. */
err_code sql_run(struct corpus *c, sqlite3_stmt *st, const char *what, struct err *e);
/* One step; *row tells whether there is a row. At the end or on an error the statement is reset. */
err_code sql_step(sqlite3 *db, const char *path, sqlite3_stmt *st, const char *what, bool *row,
                  struct err *e);
/* A query of one whole number. */
err_code sql_number(struct corpus *c, const char *sql, int64_t *out, struct err *e);

/* NULL text is bound as NULL. The text must live until the statement was run. */
void sql_bind_text(sqlite3_stmt *st, int i, const char *s);
/* The time in UTC, to the millisecond, as created_at has it: many rows have one, and SQLite's
 * strftime would reckon it anew for each. */
void sql_bind_now(struct corpus *c, sqlite3_stmt *st, int i);
void sql_bind_count(sqlite3_stmt *st, int i, int64_t n); /* below 0: NULL */
const char *sql_text(sqlite3_stmt *st, int i);           /* NULL for NULL */
size_t sql_bytes(sqlite3_stmt *st, int i);

/* Is json NULL or an object? what names it in the error. (SQLite's own json_valid cannot stand in
 * the schema: with trusted_schema off, older versions refuse it there.) */
err_code sql_check_json(struct corpus *c, const char *what, const char *json, struct err *e);
/* corpus_add_trace with verdicts that are known already; they must be those against the prompt's
 * gold answer. checked: the texts, not NULL, are known to be UTF-8, and the JSON to be objects. */
err_code corpus_add_judged(struct corpus *c, const struct corpus_trace *t, bool checked,
                           const struct verdicts *v, int64_t *id, bool *added, struct err *e);
/* Stores v as the trace's verdicts in place of the old ones (dataset/corpus_trace.c). */
err_code verdicts_store(struct corpus *c, int64_t trace_id, const struct verdicts *v,
                        struct err *e);
/* Long work that mostly adds: import, merge. Until bulk_end the file has a rollback journal and no
 * write-ahead log (when no one else has it open, else all is as usual): what is added is written
 * once instead of twice. And it has a larger cache, of 256 MB, for indexes whose keys come in no
 * order. Outside of transactions. */
err_code bulk_begin(struct corpus *c, struct err *e);
err_code bulk_end(struct corpus *c, struct err *e);
/* From time to time, where much was added: for the disk to work alongside (core/base/passing.h). */
void bulk_wrote(struct corpus *c);
/* Work that reads all traces, about in the order of their ids: what is behind leaves the page cache
 * again, where the corpus is too large to stay there (core/base/passing.h). */
void bulk_read_begin(struct corpus *c);
void bulk_read_at(struct corpus *c, int64_t trace_id);
/* The kinds that it writes, which no other checker may use. */
#define VERDICT_KINDS "'answer', 'empty', 'no_think', 'refused', 'repetition', 'truncated'"
/* What verdicts_store would write: kind, value and reason of row i; false when there are no more.
 */
struct verdict_row {
    const char *kind, *value, *reason;
};
bool verdicts_row(const struct verdicts *v, int i, struct verdict_row *out);

/* A selection's ids in its order (corpus_select_next_id, corpus_select_close), and rows by their id
 * over a connection of one's own: so that several threads can read the rows of one selection.
 * Strings of a row are valid until the reader's next call. */
err_code select_ids_open(struct corpus *c, const char *selection, struct corpus_select **out,
                         struct err *e);
struct row_reader {
    sqlite3 *db;
    sqlite3_stmt *st;
    const char *path; /* the caller's */
};
err_code row_reader_open(struct row_reader *r, const char *path, struct err *e);
err_code row_reader_read(struct row_reader *r, int64_t id, struct corpus_row *row, struct err *e);
void row_reader_close(struct row_reader *r);

/* A connection with decant's settings; read_only never writes, even to the log. */
err_code sql_connect(const char *path, enum corpus_mode mode, sqlite3 **out, struct err *e);

/* Bytes of the log, which stands beside the file itself, be path a symbolic link to it; -1: there
 * is none; INT64_MAX: that could not be told. */
int64_t sql_log_size(const char *path);

/* Removes the empty log that connections which only read leave, unless someone has the file open. A
 * log that holds something (a writer was killed) is left to the next writer. */
void sql_tidy(const char *path);

/* Checks that the file is a corpus, creates the schema in an empty one (when mode is CORPUS_CREATE)
 * and migrates older ones (dataset/schema.c). */
err_code schema_prepare(struct corpus *c, struct err *e);
enum { SCHEMA_VERSION = 2, SCHEMA_APPLICATION_ID = 0x64636e74 /* "dcnt" */ };

/* Lets others see that this process waits to write, or no longer does. */
void corpus_waits(struct corpus *c, bool waits);

#endif
