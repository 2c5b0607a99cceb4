#include "dataset/sql.h"
#include "dataset/utf8.h"

#include <math.h>
#include <string.h>

bool verdicts_row(const struct verdicts *v, int i, struct verdict_row *out)
{
    const struct verdict_row all[] = {
        /* in the order of their kinds, as the table has them */
        {"answer", answer_verdict_name(v->answer), v->answer_reason},
        {"empty", v->empty ? "yes" : NULL, NULL},
        {"no_think", v->no_think ? "yes" : NULL, NULL},
        {"refused", v->refused ? "yes" : NULL, NULL},
        {"repetition", v->repetition ? "yes" : NULL, v->repetition_reason},
        {"truncated", v->truncated ? "yes" : NULL, v->truncated_reason},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k].value && i-- == 0) {
            *out = all[k];
            return true;
        }
    return false;
}

static err_code add_verdicts(struct corpus *c, int64_t trace_id, const struct verdicts *v,
                             struct err *e)
{
    sqlite3_stmt *st;
    struct verdict_row row;
    err_code rc = ERR_OK;
    for (int i = 0; !rc && verdicts_row(v, i, &row); i++) {
        rc = sql_get(c, SQL_ADD_VERDICT, &st, e);
        if (rc)
            break;
        sqlite3_bind_int64(st, 1, trace_id);
        sql_bind_text(st, 2, row.kind);
        sql_bind_text(st, 3, row.value);
        sql_bind_text(st, 4, row.reason);
        sqlite3_bind_int64(st, 5, VERDICT_VERSION);
        sql_bind_now(c, st, 6);
        rc = sql_run(c, st, "cannot write verdicts", e);
    }
    return rc;
}

err_code verdicts_store(struct corpus *c, int64_t trace_id, const struct verdicts *v, struct err *e)
{
    sqlite3_stmt *st;
    err_code rc = sql_get(c, SQL_CLEAR_VERDICTS, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, trace_id);
    rc = sql_run(c, st, "cannot write verdicts", e);
    return rc ? rc : add_verdicts(c, trace_id, v, e);
}

/* *s and *n, or a repaired copy in b. */
static err_code make_valid(struct buf *b, const char **s, size_t *n, bool *lossy, struct err *e)
{
    if (!*s) {
        *s = "";
        *n = 0;
    }
    if (utf8_valid(*s, *n) == *n)
        return ERR_OK;
    *lossy = true;
    buf_clear(b);
    err_code rc = utf8_repair(b, *s, *n, e);
    *s = b->data;
    *n = b->len;
    return rc;
}

static err_code insert(struct corpus *c, const struct corpus_trace *t, bool checked, bool *added,
                       struct err *e)
{
    const char *reasoning = t->reasoning, *answer = t->answer;
    size_t n_reasoning = t->n_reasoning, n_answer = t->n_answer;
    bool lossy = false;
    err_code rc = ERR_OK;
    if (!checked)
        rc = make_valid(&c->scratch, &reasoning, &n_reasoning, &lossy, e);
    if (!rc && !checked)
        rc = make_valid(&c->scratch2, &answer, &n_answer, &lossy, e);
    if (!rc && !checked)
        rc = sql_check_json(c, "params_json of a trace", t->params_json, e);
    if (!rc && !checked)
        rc = sql_check_json(c, "extra_json of a trace", t->extra_json, e);
    sqlite3_stmt *st;
    if (!rc)
        rc = sql_get(c, SQL_ADD_TRACE, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, t->prompt_id);
    sqlite3_bind_int64(st, 2, t->request_id);
    sqlite3_bind_int64(st, 3, t->sample_index);
    sql_bind_text(st, 4, t->finish_reason);
    sql_bind_count(st, 5, t->n_prompt_tokens);
    sql_bind_count(st, 6, t->n_cached_tokens);
    sql_bind_count(st, 7, t->n_reasoning_tokens);
    sql_bind_count(st, 8, t->n_completion_tokens);
    if (t->cost_usd >= 0 && isfinite(t->cost_usd))
        sqlite3_bind_double(st, 9, t->cost_usd);
    if (t->latency_ms >= 0 && isfinite(t->latency_ms))
        sqlite3_bind_double(st, 10, t->latency_ms);
    if (t->has_seed)
        sqlite3_bind_int64(st, 11, (sqlite3_int64)t->seed);
    sql_bind_text(st, 12, t->think_rule);
    sql_bind_text(st, 13, t->served_model);
    sql_bind_text(st, 14, t->endpoint);
    sql_bind_text(st, 15, t->params_json);
    sql_bind_text(st, 16, t->extra_json);
    sqlite3_bind_text64(st, 17, answer, n_answer, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_text64(st, 18, reasoning, n_reasoning, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_int(st, 19, lossy);
    sql_bind_text(st, 20, t->program ? t->program : DECANT_VERSION);
    if (t->created_at)
        sql_bind_text(st, 21, t->created_at);
    else
        sql_bind_now(c, st, 21);
    rc = sql_run(c, st, "cannot add a trace", e);
    *added = !rc && sqlite3_changes(c->db) > 0;
    return rc;
}

/* The id of the trace that stands at t's place. */
static err_code find(struct corpus *c, const struct corpus_trace *t, int64_t *id, struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    err_code rc = sql_get(c, SQL_FIND_TRACE, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, t->prompt_id);
    sqlite3_bind_int64(st, 2, t->request_id);
    sqlite3_bind_int64(st, 3, t->sample_index);
    rc = sql_step(c->db, c->path, st, "cannot read a trace", &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_STATE, "%s: a trace vanished while it was added", c->path);
    if (!rc)
        *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc;
}

static err_code judge(struct corpus *c, const struct corpus_trace *t, struct verdicts *v,
                      struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    err_code rc = sql_get(c, SQL_GOLD, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, t->prompt_id);
    rc = sql_step(c->db, c->path, st, "cannot read a prompt", &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_USAGE, "%s: there is no prompt %lld", c->path, (long long)t->prompt_id);
    if (!rc)
        verdict_judge(t->reasoning, t->reasoning ? t->n_reasoning : 0, t->answer,
                      t->answer ? t->n_answer : 0, t->finish_reason, sql_text(st, 0),
                      sql_bytes(st, 0), v);
    sqlite3_reset(st);
    return rc;
}

static err_code run(struct corpus *c, enum sql_statement which, struct err *e)
{
    sqlite3_stmt *st;
    err_code rc = sql_get(c, which, &st, e);
    return rc ? rc : sql_run(c, st, "cannot be written", e);
}

err_code corpus_add_judged(struct corpus *c, const struct corpus_trace *t, bool checked,
                           const struct verdicts *v, int64_t *id, bool *added, struct err *e)
{
    /* A savepoint, so that a trace and its verdicts stand or fall together within the caller's
     * transaction; outside of one it is a transaction itself. */
    err_code rc = c->whole ? ERR_OK : run(c, SQL_SAVEPOINT, e);
    if (rc)
        return rc;
    rc = insert(c, t, checked, added, e);
    if (!rc && *added) {
        *id = sqlite3_last_insert_rowid(c->db);
        rc = add_verdicts(c, *id, v, e);
    } else if (!rc)
        rc = find(c, t, id, e);
    if (!rc && !c->whole)
        rc = run(c, SQL_RELEASE, e);
    if (rc && !c->whole && !sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK TO trace; RELEASE trace", NULL, NULL, NULL);
    return rc;
}

err_code corpus_add_trace(struct corpus *c, const struct corpus_trace *t, int64_t *id, bool *added,
                          struct verdicts *v, struct err *e)
{
    struct verdicts own;
    bool own_added;
    v = v ? v : &own;
    added = added ? added : &own_added;
    *added = false;
    if (!t->finish_reason)
        return err_set(e, ERR_USAGE, "%s: a trace without a finish reason", c->path);
    err_code rc = judge(c, t, v, e);
    return rc ? rc : corpus_add_judged(c, t, false, v, id, added, e);
}
