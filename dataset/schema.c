#include "core/base/log.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <time.h>

enum { PATIENCE_SECONDS = 10 };

/* The .sql files of this directory, as the Makefile turns them into string literals. */
static const char tables_sql[] =
#include "dataset/schema.inc"
    ;
static const char views_sql[] =
#include "dataset/views.inc"
    ;
static const char to_2_sql[] =
#include "dataset/schema_2.inc"
    ;

/* migrations[v] takes a corpus's tables from version v to v + 1. */
static const char *const migrations[SCHEMA_VERSION] = {[1] = to_2_sql};

/* Views hold nothing: a migration drops them and makes this version's. */
static const char *const views[] = {"v_traces", "v_prompts", "v_requests", "v_failures"};
static const char *const tables[] = {"prompts",         "requests", "traces",  "verdicts",
                                     "prompt_verdicts", "logprobs", "failures"};
enum { N_VIEWS = sizeof views / sizeof *views, N_TABLES = sizeof tables / sizeof *tables };

/* In one transaction, begun here where there is none: while another process makes the corpus, what
 * is read one by one would be of before and of after. */
static err_code read_version(struct corpus *c, int64_t *app, int64_t *version, int64_t *n_tables,
                             struct err *e)
{
    bool own = sqlite3_get_autocommit(c->db);
    err_code rc = own ? sql_exec(c, "BEGIN", "cannot be read", e) : ERR_OK;
    if (!rc)
        rc = sql_number(c, "PRAGMA application_id", app, e);
    if (!rc)
        rc = sql_number(c, "PRAGMA user_version", version, e);
    if (!rc)
        rc = sql_number(c, "SELECT count(*) FROM sqlite_schema", n_tables, e);
    if (own)
        corpus_rollback(c);
    return rc;
}

static err_code set_version(struct corpus *c, struct err *e)
{
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    return sql_exec(c, sql, "cannot be made", e);
}

/* SQLite's own patience (busy_timeout) does not extend to the change of the journal: where another
 * process is making the same corpus, that fails at once. */
static err_code use_log(struct corpus *c, struct err *e)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    double end = clock_now() + PATIENCE_SECONDS;
    err_code rc;
    while ((rc = sql_exec(c, "PRAGMA journal_mode = WAL", "cannot be made", e)) == ERR_STATE &&
           clock_now() < end)
        nanosleep(&pause, NULL);
    return rc;
}

/* Within BEGIN IMMEDIATE, after looking again: another process may have been first. */
static err_code create(struct corpus *c, struct err *e)
{
    int64_t app, version, n_tables;
    /* Pages of 8 KB: fewer to read and write for a long text than with 4 KB; with 16 KB a text of
     * 10 KB would leave much of its page empty. */
    err_code rc = sql_exec(c, "PRAGMA page_size = 8192", "cannot be made", e);
    if (rc || (rc = use_log(c, e)) || (rc = sql_exec(c, "BEGIN IMMEDIATE", "cannot be made", e)))
        return rc;
    rc = read_version(c, &app, &version, &n_tables, e);
    if (!rc && !n_tables) {
        rc = sql_exec(c, tables_sql, "cannot be made", e);
        if (!rc)
            rc = sql_exec(c, views_sql, "cannot be made", e);
        if (!rc)
            rc = set_version(c, e);
        c->made = !rc;
    }
    if (!rc)
        rc = sql_exec(c, "COMMIT", "cannot be made", e);
    if (rc)
        corpus_rollback(c);
    return rc;
}

static err_code renew_views(struct corpus *c, struct err *e)
{
    err_code rc = ERR_OK;
    for (int i = 0; i < N_VIEWS && !rc; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "DROP VIEW IF EXISTS %s", views[i]);
        rc = sql_exec(c, sql, "cannot be migrated", e);
    }
    return rc ? rc : sql_exec(c, views_sql, "cannot be migrated", e);
}

static err_code migrate(struct corpus *c, int64_t from, struct err *e)
{
    err_code rc = sql_exec(c, "BEGIN IMMEDIATE", "cannot be migrated", e);
    if (rc)
        return rc;
    /* Another process may have migrated it meanwhile. */
    rc = sql_number(c, "PRAGMA user_version", &from, e);
    for (int64_t v = from; v < SCHEMA_VERSION && !rc; v++)
        rc = migrations[v] ? sql_exec(c, migrations[v], "cannot be migrated", e)
                           : err_set(e, ERR_FORMAT, "%s: schema version %lld was never used",
                                     c->path, (long long)v);
    if (!rc && from < SCHEMA_VERSION)
        rc = renew_views(c, e);
    if (!rc)
        rc = set_version(c, e);
    if (!rc)
        rc = sql_exec(c, "COMMIT", "cannot be migrated", e);
    if (rc)
        corpus_rollback(c);
    return rc;
}

/* A file can carry the right numbers and lack its tables (damaged, or edited by hand). */
static err_code check_tables(struct corpus *c, struct err *e)
{
    for (int i = 0; i < N_TABLES + N_VIEWS; i++) {
        const char *name = i < N_TABLES ? tables[i] : views[i - N_TABLES];
        char sql[96];
        int64_t n = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
        err_code rc = sql_number(c, sql, &n, e);
        if (rc)
            return rc;
        if (n != 1)
            return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing; restore a copy of the file",
                           c->path, name);
    }
    return ERR_OK;
}

err_code schema_prepare(struct corpus *c, struct err *e)
{
    int64_t app, version, n_tables;
    err_code rc = read_version(c, &app, &version, &n_tables, e);
    if (rc)
        return rc;
    if (!app && !version && !n_tables) {
        if (c->mode != CORPUS_CREATE)
            return err_set(e, ERR_FORMAT, "%s: an empty database, not a corpus", c->path);
        rc = create(c, e);
        if (!rc)
            rc = read_version(c, &app, &version, &n_tables, e);
        if (rc)
            return rc;
    }
    if (app != SCHEMA_APPLICATION_ID)
        return err_set(e, ERR_FORMAT,
                       "%s: a database of another program (application id 0x%llx), not a decant "
                       "corpus; give another file",
                       c->path, (unsigned long long)app);
    if (version > SCHEMA_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: schema version %lld, of a newer decant than this one, which knows %d; "
                       "use that one",
                       c->path, (long long)version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION && c->mode == CORPUS_READ)
        return err_set(
            e, ERR_STATE,
            "%s: schema version %lld; open it once for writing (decant corpus verify) to "
            "bring it to %d",
            c->path, (long long)version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        rc = migrate(c, version, e);
    if (!rc)
        rc = check_tables(c, e);
    if (!rc && c->mode != CORPUS_READ)
        rc = sql_exec(
            c,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TEMP TABLE wanted (seq INTEGER PRIMARY KEY, prompt_id INTEGER NOT NULL "
            "UNIQUE)",
            "cannot be written", e);
    return rc;
}
