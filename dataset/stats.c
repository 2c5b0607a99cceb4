#include "dataset/stats.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

/* One row of whole numbers into out. */
static err_code numbers(struct corpus *c, const char *sql, int64_t *const *out, int n,
                        struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(c->db, c->path, sql, &st, e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
    for (int i = 0; i < n; i++)
        *out[i] = row ? sqlite3_column_int64(st, i) : 0;
    sqlite3_finalize(st);
    return rc;
}

static err_code count_traces(struct corpus *c, struct corpus_stats *s, struct err *e)
{
    int64_t *const prompts[] = {&s->n_prompts, &s->n_with_gold, &s->n_traced, &s->n_requests,
                                &s->n_traces,  &s->n_lossy,     &s->n_good};
    err_code rc = numbers(
        c,
        "SELECT (SELECT count(*) FROM prompts), (SELECT count(gold) FROM prompts), "
        "(SELECT count(*) FROM prompts p WHERE EXISTS (SELECT 1 FROM traces t WHERE t.prompt_id = "
        "p.id)), (SELECT count(*) FROM requests), (SELECT count(*) FROM traces), "
        "(SELECT count(*) FROM traces WHERE lossy), (SELECT count(*) FROM v_traces WHERE good)",
        prompts, 7, e);
    int64_t *const verdicts[] = {&s->n_correct,   &s->n_wrong,    &s->n_unknown,
                                 &s->n_truncated, &s->n_no_think, &s->n_repetition};
    if (!rc)
        rc = numbers(c,
                     "SELECT coalesce(sum(kind = 'answer' AND value = 'correct'), 0), "
                     "coalesce(sum(kind = 'answer' AND value = 'wrong'), 0), "
                     "coalesce(sum(kind = 'answer' AND value = 'unknown'), 0), "
                     "coalesce(sum(kind = 'truncated'), 0), coalesce(sum(kind = 'no_think'), 0), "
                     "coalesce(sum(kind = 'repetition'), 0) FROM verdicts",
                     verdicts, 6, e);
    s->n_unverified = s->n_traces - s->n_correct - s->n_wrong - s->n_unknown;
    return rc;
}

static err_code lengths(struct corpus *c, const char *column, struct stats_lengths *l,
                        struct err *e)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(%s), coalesce(sum(%s), 0) FROM traces", column, column);
    int64_t *const totals[] = {&l->n, &l->sum};
    err_code rc = numbers(c, sql, totals, 2, e);
    if (rc || !l->n)
        return rc;
    snprintf(sql, sizeof sql, "SELECT %s FROM traces WHERE %s IS NOT NULL ORDER BY 1", column,
             column);
    sqlite3_stmt *st = NULL;
    bool row = true;
    rc = sql_prepare(c->db, c->path, sql, &st, e);
    for (int64_t i = 0; !rc && row; i++) {
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
        if (rc || !row)
            break;
        int64_t x = sqlite3_column_int64(st, 0), last = l->n - 1;
        l->p10 = i <= last * 10 / 100 ? x : l->p10;
        l->p50 = i <= last * 50 / 100 ? x : l->p50;
        l->p90 = i <= last * 90 / 100 ? x : l->p90;
        l->p99 = i <= last * 99 / 100 ? x : l->p99;
        l->max = x;
    }
    sqlite3_finalize(st);
    return rc;
}

static err_code pass_rates(struct corpus *c, struct corpus_stats *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(
        c->db, c->path,
        "SELECT count(*), coalesce(sum(rate = 0), 0), coalesce(sum(rate > 0 AND rate < 1), 0), "
        "coalesce(sum(rate = 1), 0), coalesce(avg(rate), 0) FROM (SELECT avg(v.value = 'correct') "
        "AS "
        "rate FROM traces t JOIN prompts p ON p.id = t.prompt_id JOIN verdicts v ON v.trace_id = "
        "t.id "
        "AND v.kind = 'answer' WHERE p.gold IS NOT NULL GROUP BY t.prompt_id)",
        &st, e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
    if (row) {
        s->n_rated = sqlite3_column_int64(st, 0);
        s->n_never = sqlite3_column_int64(st, 1);
        s->n_sometimes = sqlite3_column_int64(st, 2);
        s->n_always = sqlite3_column_int64(st, 3);
        s->mean_pass_rate = sqlite3_column_double(st, 4);
    }
    sqlite3_finalize(st);
    st = NULL;
    row = false;
    if (!rc)
        rc = sql_prepare(c->db, c->path, "SELECT count(cost_usd), total(cost_usd) FROM traces", &st,
                         e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
    if (row) {
        s->n_priced = sqlite3_column_int64(st, 0);
        s->cost_usd = sqlite3_column_double(st, 1);
    }
    sqlite3_finalize(st);
    return rc;
}

err_code corpus_stats(struct corpus *c, struct corpus_stats *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    /* One snapshot for all figures. */
    err_code rc = sql_exec(c, "BEGIN", "cannot be counted", e);
    if (rc)
        return rc;
    rc = count_traces(c, out, e);
    if (!rc)
        rc = lengths(c, "n_prompt_tokens", &out->prompt_tokens, e);
    if (!rc)
        rc = lengths(c, "n_reasoning_tokens", &out->reasoning_tokens, e);
    if (!rc)
        rc = lengths(c, "n_completion_tokens", &out->completion_tokens, e);
    if (!rc)
        rc = pass_rates(c, out, e);
    corpus_rollback(c);
    return rc;
}

err_code corpus_stats_requests(struct corpus *c,
                               void (*on_request)(void *, const struct stats_request *), void *ctx,
                               struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = true;
    err_code rc =
        sql_prepare(c->db, c->path,
                    "SELECT id, teacher, json, n_traces, n_prompts, n_correct, n_wrong, "
                    "n_unknown, n_completion_tokens, cost_usd FROM v_requests ORDER BY id",
                    &st, e);
    while (!rc && row) {
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
        if (rc || !row)
            break;
        struct stats_request r = {.id = sqlite3_column_int64(st, 0),
                                  .teacher = sql_text(st, 1) ? sql_text(st, 1) : "",
                                  .json = sql_text(st, 2) ? sql_text(st, 2) : "{}",
                                  .n_traces = sqlite3_column_int64(st, 3),
                                  .n_prompts = sqlite3_column_int64(st, 4),
                                  .n_correct = sqlite3_column_int64(st, 5),
                                  .n_wrong = sqlite3_column_int64(st, 6),
                                  .n_unknown = sqlite3_column_int64(st, 7),
                                  .n_completion_tokens = sqlite3_column_int64(st, 8),
                                  .cost_usd = sqlite3_column_type(st, 9) == SQLITE_NULL
                                                  ? -1
                                                  : sqlite3_column_double(st, 9)};
        on_request(ctx, &r);
    }
    sqlite3_finalize(st);
    return rc;
}
