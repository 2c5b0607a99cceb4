#include "dataset/sql.h"

#include <stdio.h>

/* dataset/schema.sql, as the Makefile turns it into string literals. */
static const char schema_sql[] =
#include "dataset/schema.inc"
    ;

/* migrations[v] takes a corpus from version v to v + 1; none yet, since 1 is the first. */
static const char *const migrations[SCHEMA_VERSION] = {NULL};

static err_code read_version(struct corpus *c, int64_t *app, int64_t *version, int64_t *n_tables,
                             struct err *e)
{
    err_code rc = sql_number(c, "PRAGMA application_id", app, e);
    if (!rc)
        rc = sql_number(c, "PRAGMA user_version", version, e);
    if (!rc)
        rc = sql_number(c, "SELECT count(*) FROM sqlite_schema", n_tables, e);
    return rc;
}

static err_code set_version(struct corpus *c, struct err *e)
{
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    return sql_exec(c, sql, "cannot be made", e);
}

/* Within BEGIN IMMEDIATE, after looking again: another process may have been first. */
static err_code create(struct corpus *c, struct err *e)
{
    int64_t app, version, n_tables;
    err_code rc = sql_exec(c, "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE", "cannot be made", e);
    if (rc)
        return rc;
    rc = read_version(c, &app, &version, &n_tables, e);
    if (!rc && !n_tables) {
        rc = sql_exec(c, schema_sql, "cannot be made", e);
        if (!rc)
            rc = set_version(c, e);
    }
    if (!rc)
        rc = sql_exec(c, "COMMIT", "cannot be made", e);
    if (rc)
        corpus_rollback(c);
    return rc;
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
    int64_t n = 0;
    err_code rc =
        sql_number(c,
                   "SELECT count(*) FROM sqlite_schema WHERE name IN ('prompts', 'requests', "
                   "'traces', 'verdicts', 'logprobs', 'v_traces', 'v_prompts', 'v_requests')",
                   &n, e);
    if (!rc && n != 8)
        rc = err_set(e, ERR_FORMAT,
                     "%s: tables of the corpus are missing; restore a copy of the file", c->path);
    return rc;
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
