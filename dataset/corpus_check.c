#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FINDINGS = 100 };

typedef err_code on_finding(void *ctx, const char *text, struct err *e);

static err_code check_integrity(struct corpus *c, on_finding *give, void *ctx, int64_t *n,
                                struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(c->db, c->path, "PRAGMA integrity_check(100)", &st, e);
    while (!rc && !(rc = sql_step(c->db, c->path, st, "cannot be checked", &row, e)) && row) {
        const char *text = sql_text(st, 0);
        if (!strcmp(text, "ok"))
            continue;
        ++*n;
        rc = give(ctx, text, e);
    }
    sqlite3_finalize(st);
    return rc;
}

static err_code check_references(struct corpus *c, on_finding *give, void *ctx, int64_t *n,
                                 struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    char text[200];
    err_code rc = sql_prepare(c->db, c->path, "PRAGMA foreign_key_check", &st, e);
    while (!rc && *n < MAX_FINDINGS &&
           !(rc = sql_step(c->db, c->path, st, "cannot be checked", &row, e)) && row) {
        const char *table = sql_text(st, 0), *to = sql_text(st, 2);
        snprintf(text, sizeof text, "row %lld of table %s points to a row of %s that is not there",
                 (long long)sqlite3_column_int64(st, 1), table ? table : "?", to ? to : "?");
        ++*n;
        rc = give(ctx, text, e);
    }
    sqlite3_finalize(st);
    return rc;
}

err_code corpus_check_all(struct corpus *c, on_finding *give, void *ctx, struct corpus_checked *out,
                          struct err *e)
{
    char sql[256];
    int64_t page_bytes = 0;
    memset(out, 0, sizeof *out);
    err_code rc = sql_number(c, "PRAGMA user_version", &out->schema_version, e);
    if (!rc)
        rc = sql_number(c, "PRAGMA page_count", &out->n_pages, e);
    if (!rc)
        rc = sql_number(c, "PRAGMA page_size", &page_bytes, e);
    out->has_log = !rc && sql_log_size(c->path) > 0;
    out->n_bytes = out->n_pages * page_bytes;
    if (!rc)
        rc = check_integrity(c, give, ctx, &out->n_damaged, e);
    /* in a damaged file the rest would stumble over the same */
    if (rc || out->n_damaged)
        return rc;
    rc = check_references(c, give, ctx, &out->n_dangling, e);
    if (!rc)
        rc = sql_number(c, "SELECT count(*) FROM traces", &out->n_traces, e);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM verdicts WHERE kind = 'answer' AND version = %d",
             VERDICT_VERSION);
    if (!rc)
        rc = sql_number(c, sql, &out->n_unjudged, e);
    out->n_unjudged = out->n_traces - out->n_unjudged;
    return rc;
}

static err_code first_finding(void *ctx, const char *text, struct err *e)
{
    struct corpus *c = ctx;
    return err_set(e, ERR_FORMAT,
                   "%s: damaged: %.300s; restore a copy, or save what can be read with: sqlite3 %s "
                   ".recover | sqlite3 new.db",
                   c->path, text, c->path);
}

err_code corpus_check(struct corpus *c, struct err *e)
{
    struct corpus_checked unused;
    return corpus_check_all(c, first_finding, c, &unused, e);
}
