/* What came of a sample beside its trace: log-probabilities, failures, money. */
#include "dataset/sql.h"
#include "dataset/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

err_code corpus_add_logprobs(struct corpus *c, int64_t trace_id, const char *format, int64_t k,
                             int64_t n_tokens, const void *data, size_t n, struct err *e)
{
    sqlite3_stmt *st;
    err_code rc = sql_get(c, SQL_ADD_LOGPROBS, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, trace_id);
    sql_bind_text(st, 2, format);
    sqlite3_bind_int64(st, 3, k);
    sqlite3_bind_int64(st, 4, n_tokens);
    /* NULL data would be bound as SQL's NULL */
    sqlite3_bind_blob64(st, 5, n ? data : "", n, SQLITE_STATIC);
    return sql_run(c, st, "cannot add log-probabilities", e);
}

err_code corpus_logprobs_of(struct corpus *c, int64_t trace_id, struct corpus_logprobs *out,
                            bool *found, struct err *e)
{
    sqlite3_stmt *st = NULL;
    *out = (struct corpus_logprobs){0};
    *found = false;
    err_code rc =
        sql_prepare(c->db, c->path,
                    "SELECT format, k, n_tokens, data FROM logprobs WHERE trace_id = ?1", &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, trace_id);
    rc = sql_step(c->db, c->path, st, "cannot be read", found, e);
    if (!rc && *found) {
        snprintf(out->format, sizeof out->format, "%s", sql_text(st, 0) ? sql_text(st, 0) : "");
        out->k = sqlite3_column_int64(st, 1);
        out->n_tokens = sqlite3_column_int64(st, 2);
        const void *data = sqlite3_column_blob(st, 3);
        rc = buf_add(&out->data, data ? data : "", sql_bytes(st, 3), e);
    }
    sqlite3_finalize(st);
    return rc;
}

static err_code bind_valid(sqlite3_stmt *st, int i, const char *s, size_t n, struct buf *b,
                           struct err *e)
{
    buf_clear(b);
    err_code rc = utf8_repair(b, s ? s : "", s ? n : 0, e);
    if (!rc)
        sqlite3_bind_text64(st, i, b->len ? b->data : "", b->len, SQLITE_STATIC, SQLITE_UTF8);
    return rc;
}

err_code corpus_add_failure(struct corpus *c, const struct corpus_failure *f, struct err *e)
{
    struct buf message = {0};
    sqlite3_stmt *st;
    err_code rc = sql_get(c, SQL_ADD_FAILURE, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, f->prompt_id);
    sqlite3_bind_int64(st, 2, f->request_id);
    sqlite3_bind_int64(st, 3, f->sample_index);
    sql_bind_text(st, 4, f->endpoint);
    if (f->status)
        sqlite3_bind_int(st, 5, f->status);
    sqlite3_bind_int64(st, 7, f->n_tries);
    if (f->cost_usd >= 0 && isfinite(f->cost_usd))
        sqlite3_bind_double(st, 8, f->cost_usd);
    rc = bind_valid(st, 6, f->message, f->message ? strlen(f->message) : 0, &message, e);
    if (!rc)
        rc = bind_valid(st, 9, f->reasoning, f->n_reasoning, &c->scratch, e);
    if (!rc)
        rc = bind_valid(st, 10, f->answer, f->n_answer, &c->scratch2, e);
    if (!rc)
        rc = sql_run(c, st, "cannot note a failure", e);
    buf_dispose(&message);
    return rc;
}

err_code corpus_spent(struct corpus *c, int64_t request_id, double *usd, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    *usd = 0;
    err_code rc = sql_prepare(
        c->db, c->path,
        request_id ? "SELECT (SELECT total(cost_usd) FROM traces WHERE request_id = ?1) + "
                     "(SELECT total(cost_usd) FROM failures WHERE request_id = ?1)"
                   : "SELECT (SELECT total(cost_usd) FROM traces) + "
                     "(SELECT total(cost_usd) FROM failures)",
        &st, e);
    if (!rc && request_id)
        sqlite3_bind_int64(st, 1, request_id);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be added up", &row, e);
    if (row)
        *usd = sqlite3_column_double(st, 0);
    sqlite3_finalize(st);
    return rc;
}
