#include "dataset/sql.h"

#include <string.h>

enum { GROUP = 2000 }; /* changed traces a commit */

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Are v's rows what stands in the corpus? */
static err_code is_stored(struct corpus *c, sqlite3_stmt *st, int64_t trace_id,
                          const struct verdicts *v, bool *yes, struct err *e)
{
    struct verdict_row want;
    bool row;
    sqlite3_bind_int64(st, 1, trace_id);
    *yes = true;
    int i = 0;
    for (;; i++) {
        err_code rc = sql_step(c->db, c->path, st, "cannot read verdicts", &row, e);
        if (rc)
            return rc;
        if (!row)
            break;
        if (!verdicts_row(v, i, &want) || !same(sql_text(st, 0), want.kind) ||
            !same(sql_text(st, 1), want.value) || !same(sql_text(st, 2), want.reason) ||
            sqlite3_column_int64(st, 3) != VERDICT_VERSION)
            *yes = false;
    }
    if (verdicts_row(v, i, &want))
        *yes = false;
    return ERR_OK;
}

static void tally(struct corpus_verified *out, const struct verdicts *v)
{
    out->n_traces++;
    out->n_correct += v->answer == ANSWER_CORRECT;
    out->n_wrong += v->answer == ANSWER_WRONG;
    out->n_unknown += v->answer == ANSWER_UNKNOWN;
    out->n_truncated += v->truncated;
    out->n_refused += v->refused;
    out->n_empty += v->empty;
    out->n_no_think += v->no_think;
    out->n_repetition += v->repetition;
}

static err_code store(struct corpus *c, int64_t id, const struct verdicts *v, int64_t n_changed,
                      struct err *e)
{
    err_code rc = ERR_OK;
    if (n_changed % GROUP == 0) {
        if (n_changed)
            rc = corpus_commit(c, e);
        if (!rc)
            rc = corpus_begin(c, e);
    }
    return rc ? rc : verdicts_store(c, id, v, e);
}

static err_code verify_row(struct corpus *c, sqlite3_stmt *stored, const struct corpus_row *r,
                           struct corpus_verified *out, struct err *e)
{
    struct verdicts v;
    bool yes;
    verdict_judge(r->reasoning, r->n_reasoning, r->answer, r->n_answer, r->finish_reason, r->gold,
                  r->n_gold, &v);
    tally(out, &v);
    err_code rc = is_stored(c, stored, r->id, &v, &yes, e);
    if (!rc && !yes) {
        rc = store(c, r->id, &v, out->n_changed, e);
        out->n_changed++;
    }
    return rc;
}

err_code corpus_verify(struct corpus *c,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct corpus_verified *out, struct err *e)
{
    struct corpus_select *s = NULL;
    sqlite3_stmt *stored = NULL;
    struct corpus_row row;
    bool more = false;
    int64_t total = 0;
    memset(out, 0, sizeof *out);
    err_code rc = corpus_count(c, "all", &total, e);
    if (!rc)
        rc = corpus_select_open(c, "all", &s, e);
    if (!rc)
        rc =
            sql_prepare(c->db, c->path,
                        "SELECT kind, value, reason, version FROM verdicts WHERE trace_id = ?1 AND "
                        "kind IN (" VERDICT_KINDS ") ORDER BY kind",
                        &stored, e);
    while (!rc && !(rc = corpus_select_next(s, &row, &more, e)) && more) {
        rc = verify_row(c, stored, &row, out, e);
        if (!rc && on_progress && !on_progress(ctx, out->n_traces, total))
            rc =
                err_set(e, ERR_STOPPED, "stopped after %lld of %lld traces; run it again to finish",
                        (long long)out->n_traces, (long long)total);
    }
    sqlite3_finalize(stored);
    /* What was judged before a stop stays. */
    if (!sqlite3_get_autocommit(c->db)) {
        if (!rc || rc == ERR_STOPPED) {
            struct err commit;
            err_code rc2 = corpus_commit(c, &commit);
            if (rc2)
                rc = err_set(e, rc2, "%s", commit.msg);
        } else
            corpus_rollback(c);
    }
    corpus_select_close(s);
    return rc;
}

err_code corpus_check(struct corpus *c, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(c->db, c->path, "PRAGMA integrity_check(1)", &st, e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be checked", &row, e);
    if (row && strcmp(sql_text(st, 0), "ok") != 0)
        rc = err_set(
            e, ERR_FORMAT,
            "%s: damaged: %.300s; restore a copy, or save what can be read with: sqlite3 %s "
            ".recover | sqlite3 new.db",
            c->path, sql_text(st, 0), c->path);
    sqlite3_finalize(st);
    st = NULL;
    if (!rc)
        rc = sql_prepare(c->db, c->path, "PRAGMA foreign_key_check", &st, e);
    row = false;
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be checked", &row, e);
    if (row)
        rc = err_set(e, ERR_FORMAT, "%s: row %lld of table %s points to a row that is not there",
                     c->path, (long long)sqlite3_column_int64(st, 1), sql_text(st, 0));
    sqlite3_finalize(st);
    return rc;
}
