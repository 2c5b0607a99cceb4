#include "dataset/sql.h"
#include "core/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static err_code cannot_open(const char *path, const char *msg, struct err *e)
{
    char *dir = path_dir(path, e);
    err_code rc =
        !dir ? ERR_NOMEM
        : file_exists(dir)
            ? err_set(e, ERR_IO, "%s: cannot be opened (%s); are the file and its directory yours?",
                      path, msg)
            : err_set(e, ERR_NOTFOUND, "%s: there is no directory %s; make it first", path, dir);
    mem_free(dir);
    return rc;
}

err_code sql_fail(sqlite3 *db, const char *path, const char *what, struct err *e)
{
    int code = sqlite3_extended_errcode(db);
    const char *msg = sqlite3_errmsg(db);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_STATE,
                       "%s: %s: another process is writing to it; wait for that to end, or stop it",
                       path, what);
    case SQLITE_NOTADB:
        return err_set(e, ERR_FORMAT, "%s: not a SQLite database; give a corpus that decant made",
                       path);
    case SQLITE_CORRUPT:
        return err_set(
            e, ERR_FORMAT,
            "%s: %s: the database is damaged (%s); restore a copy, or save what can be read "
            "with: sqlite3 %s .recover | sqlite3 new.db",
            path, what, msg, path);
    case SQLITE_FULL:
        return err_set(e, ERR_IO, "%s: %s: the disk is full; free some space and run again", path,
                       what);
    case SQLITE_READONLY:
        if (code == SQLITE_READONLY_ROLLBACK)
            return err_set(e, ERR_IO,
                           "%s: %s: what a killed import wrote is still to be taken back, and the "
                           "file cannot be written; open it once where it can",
                           path, what);
        return err_set(e, ERR_IO,
                       "%s: %s: the file or its directory cannot be written (%s); work on a copy",
                       path, what, msg);
    case SQLITE_NOMEM:
        return err_set(e, ERR_NOMEM, "%s: %s: out of memory", path, what);
    case SQLITE_CANTOPEN:
        return cannot_open(path, msg, e);
    case SQLITE_IOERR:
        return err_set(e, ERR_IO, "%s: %s: %s (SQLite code %d)", path, what, msg, code);
    case SQLITE_TOOBIG:
        return err_set(e, ERR_UNSUPPORTED, "%s: %s: a text is larger than SQLite's 1 GB", path,
                       what);
    default:
        return err_set(e, ERR_STATE, "%s: %s: %s (SQLite code %d)", path, what, msg, code);
    }
}

err_code sql_exec(struct corpus *c, const char *sql, const char *what, struct err *e)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? ERR_OK
               : sql_fail(c->db, c->path, what, e);
}

err_code sql_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **out,
                     struct err *e)
{
    return sqlite3_prepare_v2(db, sql, -1, out, NULL) == SQLITE_OK
               ? ERR_OK
               : sql_fail(db, path, "cannot be queried", e);
}

#define NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

#define LONGER                                                                                     \
    "length(excluded.reasoning) + length(excluded.answer) > length(reasoning) + length(answer)"

static const char *const statement_text[SQL_N_STATEMENTS] = {
    [SQL_ADD_PROMPT] =
        "INSERT INTO prompts (gold, source, extra, text, created_at) VALUES (?1, ?2, ?3, "
        "?4, ?5) ON CONFLICT (text) DO NOTHING",
    [SQL_FIND_PROMPT] = "SELECT id, gold FROM prompts WHERE text = ?1",
    [SQL_SET_GOLD] = "UPDATE prompts SET gold = ?2 WHERE id = ?1",
    [SQL_WANT] = "INSERT OR IGNORE INTO temp.wanted (prompt_id) VALUES (?1)",
    [SQL_ADD_REQUEST] = "INSERT INTO requests (teacher, json, created_at) VALUES (?1, ?2, " NOW
                        ") ON CONFLICT (json) DO NOTHING",
    [SQL_FIND_REQUEST] = "SELECT id FROM requests WHERE json = ?1",
    [SQL_ADD_TRACE] =
        "INSERT INTO traces (prompt_id, request_id, sample_index, finish_reason, n_prompt_tokens, "
        "n_cached_tokens, n_reasoning_tokens, n_completion_tokens, cost_usd, latency_ms, seed, "
        "think_rule, served_model, endpoint, params, extra, answer, reasoning, lossy, program, "
        "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, "
        "?17, ?18, ?19, ?20, ?21) ON CONFLICT (prompt_id, request_id, sample_index) DO NOTHING",
    [SQL_FIND_TRACE] =
        "SELECT id FROM traces WHERE prompt_id = ?1 AND request_id = ?2 AND sample_index = ?3",
    [SQL_GOLD] = "SELECT gold FROM prompts WHERE id = ?1",
    [SQL_CLEAR_VERDICTS] =
        "DELETE FROM verdicts WHERE trace_id = ?1 AND kind IN (" VERDICT_KINDS ")",
    [SQL_ADD_VERDICT] = "INSERT INTO verdicts (trace_id, kind, value, reason, version, created_at) "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_ADD_MARK] = "INSERT INTO verdicts (trace_id, kind, value, reason, version, created_at) "
                     "VALUES (?1, ?2, 'yes', 'as imported', 0, ?3) ON CONFLICT DO NOTHING",
    /* The longest text is kept as a whole: its reasoning and its answer belong together. */
    [SQL_ADD_FAILURE] =
        "INSERT INTO failures (prompt_id, request_id, sample_index, endpoint, status, message, "
        "n_tries, cost_usd, reasoning, answer, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6, ?7, ?8, ?9, ?10, " NOW ", " NOW ") "
        "ON CONFLICT (prompt_id, request_id, sample_index) DO UPDATE SET endpoint = "
        "excluded.endpoint, status = excluded.status, message = excluded.message, "
        "n_tries = n_tries + excluded.n_tries, "
        "cost_usd = coalesce(cost_usd + excluded.cost_usd, cost_usd, excluded.cost_usd), "
        "reasoning = iif(" LONGER ", excluded.reasoning, reasoning), "
        "answer = iif(" LONGER ", excluded.answer, answer), updated_at = excluded.updated_at",
    [SQL_SAVEPOINT] = "SAVEPOINT trace",
    [SQL_RELEASE] = "RELEASE trace",
    [SQL_SAME_TRACE] =
        "SELECT id FROM traces WHERE prompt_id = ?1 AND request_id = ?2 AND answer = "
        "?3 AND reasoning = ?4 LIMIT 1",
    [SQL_NEXT_SAMPLE] =
        "SELECT coalesce(max(sample_index) + 1, 0) FROM traces WHERE prompt_id = ?1 "
        "AND request_id = ?2",
    [SQL_ADD_LOGPROBS] = "INSERT INTO logprobs (trace_id, format, k, n_tokens, data) VALUES (?1, "
                         "?2, ?3, ?4, ?5) ON CONFLICT (trace_id) DO NOTHING",
};

err_code sql_get(struct corpus *c, enum sql_statement which, sqlite3_stmt **out, struct err *e)
{
    sqlite3_stmt **st = &c->statements[which];
    if (!*st && sqlite3_prepare_v3(c->db, statement_text[which], -1, SQLITE_PREPARE_PERSISTENT, st,
                                   NULL) != SQLITE_OK)
        return sql_fail(c->db, c->path, "cannot be used", e);
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
    *out = *st;
    return ERR_OK;
}

err_code sql_step(sqlite3 *db, const char *path, sqlite3_stmt *st, const char *what, bool *row,
                  struct err *e)
{
    int code = sqlite3_step(st);
    *row = code == SQLITE_ROW;
    if (*row)
        return ERR_OK;
    err_code rc = code == SQLITE_DONE ? ERR_OK : sql_fail(db, path, what, e);
    sqlite3_reset(st);
    return rc;
}

err_code sql_run(struct corpus *c, sqlite3_stmt *st, const char *what, struct err *e)
{
    bool row;
    err_code rc = sql_step(c->db, c->path, st, what, &row, e);
    sqlite3_reset(st);
    return rc;
}

err_code sql_number(struct corpus *c, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(c->db, c->path, sql, &st, e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be read", &row, e);
    *out = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return rc;
}

void sql_bind_text(sqlite3_stmt *st, int i, const char *s)
{
    if (s)
        sqlite3_bind_text64(st, i, s, strlen(s), SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_count(sqlite3_stmt *st, int i, int64_t n)
{
    if (n >= 0)
        sqlite3_bind_int64(st, i, n);
}

void sql_bind_now(struct corpus *c, sqlite3_stmt *st, int i)
{
    struct timespec t;
    struct tm day;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    if (now_ms != c->now_ms) {
        gmtime_r(&t.tv_sec, &day);
        size_t n = strftime(c->now, sizeof c->now, "%Y-%m-%dT%H:%M:%S", &day);
        snprintf(c->now + n, sizeof c->now - n, ".%03dZ", (int)(now_ms % 1000));
        c->now_ms = now_ms;
    }
    sql_bind_text(st, i, c->now);
}

const char *sql_text(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

size_t sql_bytes(sqlite3_stmt *st, int i)
{
    return (size_t)sqlite3_column_bytes(st, i);
}

err_code sql_check_json(struct corpus *c, const char *what, const char *json, struct err *e)
{
    const cJSON *root;
    if (!json)
        return ERR_OK;
    err_code rc = json_arena_parse(&c->arena, what, json, strlen(json), &root, e);
    if (!rc && !cJSON_IsObject(root))
        rc = err_set(e, ERR_USAGE, "%s: should be a JSON object", what);
    return rc ? err_context(e, "%s", c->path) : ERR_OK;
}

/* A database in WAL mode on a medium that cannot be written has no place for its shared-memory
 * file. When there is no log to read, the file alone is the whole database: "immutable" opens it
 * so. */
static int open_immutable(const char *path, sqlite3 **db)
{
    struct buf uri = {0};
    err_code rc = buf_str(&uri, "file:", NULL);
    for (const char *s = path; *s && !rc; s++)
        rc = strchr("%?#", *s) ? buf_printf(&uri, NULL, "%%%02X", (unsigned char)*s)
                               : buf_add(&uri, s, 1, NULL);
    if (!rc)
        rc = buf_str(&uri, "?immutable=1", NULL);
    int code = rc ? SQLITE_NOMEM
                  : sqlite3_open_v2(uri.data, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    buf_dispose(&uri);
    return code;
}

/* Did a database fail to open only for want of a place to write in? */
static bool wants_to_write(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db);
    return (code & 0xff) == SQLITE_CANTOPEN ||
           ((code & 0xff) == SQLITE_READONLY && code != SQLITE_READONLY_ROLLBACK);
}

int64_t sql_log_size(const char *path)
{
    struct buf wal = {0};
    uint64_t bytes = 0;
    char *real = realpath(path, NULL);
    err_code rc = real ? buf_printf(&wal, NULL, "%s-wal", real) : ERR_NOMEM;
    int64_t n = INT64_MAX;
    if (!rc)
        n = file_size(wal.data, &bytes, NULL) ? -1 : (int64_t)bytes;
    buf_dispose(&wal);
    free(real);
    return n;
}

/* A connection that could write does two things by looking and closing that one which only reads
 * may not do: it takes back what a killed import or merge had begun (bulk_begin leaves a journal),
 * and the last one to go takes the log and its index with it. */
static void look(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, 10000);
        sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
    }
    sqlite3_close(db);
}

static const char settings[] = "PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;"
                               "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                               "PRAGMA cache_size = -16384;";

static int open_database(const char *path, int flags, sqlite3 **db)
{
    /* No two threads use a connection at once, and nobody asks how much memory SQLite uses: without
     * its locks for both, an import takes a twentieth less. The second is for the whole process,
     * and refused (without harm) when SQLite is in use already. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int code = sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*db, settings, NULL, NULL, NULL);
    if (code == SQLITE_OK) /* reads page 1, so that a file that is no database is found here */
        code = sqlite3_exec(*db, "PRAGMA schema_version", NULL, NULL, NULL);
    return code;
}

void sql_tidy(const char *path)
{
    if (sql_log_size(path) == 0)
        look(path);
}

err_code sql_connect(const char *path, enum corpus_mode mode, sqlite3 **out, struct err *e)
{
    *out = NULL;
    /* SQLite takes "" and ":memory:" for databases that vanish. */
    if (!*path || *path == ':')
        return err_set(e, ERR_USAGE, "corpus \"%s\": give the path of a file", path);
    if (file_is_dir(path))
        return err_set(e, ERR_IO, "%s: a directory; a corpus is one file, such as %s/corpus.db",
                       path, path);
    if (mode != CORPUS_CREATE && !file_exists(path))
        return err_set(e, ERR_NOTFOUND,
                       "%s: no such corpus; decant corpus import --corpus %s --prompts FILE.jsonl "
                       "makes one",
                       path, path);
    int flags = mode == CORPUS_READ    ? SQLITE_OPEN_READONLY
                : mode == CORPUS_WRITE ? SQLITE_OPEN_READWRITE
                                       : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3 *db = NULL;
    int code = open_database(path, flags, &db);
    if (code != SQLITE_OK && db && sqlite3_extended_errcode(db) == SQLITE_READONLY_ROLLBACK) {
        look(path);
        sqlite3_close(db);
        code = open_database(path, flags, &db);
    }
    if (code != SQLITE_OK && mode == CORPUS_READ && db && wants_to_write(db) &&
        sql_log_size(path) <= 0) {
        sqlite3_close(db);
        code = open_immutable(path, &db);
        if (code == SQLITE_OK)
            code = sqlite3_exec(db, settings, NULL, NULL, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        err_code rc = db ? sql_fail(db, path, "cannot be opened", e)
                         : err_set(e, ERR_NOMEM, "%s: out of memory", path);
        sqlite3_close(db);
        return rc;
    }
    if (mode != CORPUS_READ &&
        sqlite3_db_readonly(db, "main") > 0) { /* SQLite opens it all the same */
        sqlite3_close(db);
        return err_set(e, ERR_IO, "%s: the file cannot be written; work on a copy", path);
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    *out = db;
    return ERR_OK;
}
