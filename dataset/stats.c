#include "dataset/stats.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

#define REPEAT "'" CORPUS_CANARY_REPEAT "'"

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

/* Correct, nothing marked against the trace; then those whose prompt is marked are taken off. */
static err_code count_good(struct corpus *c, int64_t *n, struct err *e)
{
    int64_t n_off = 0;
    err_code rc = sql_number(
        c,
        "SELECT count(*) FROM verdicts a WHERE a.kind = 'answer' AND a.value = 'correct' AND NOT "
        "EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = a.trace_id AND v.kind <> 'answer')",
        n, e);
    if (!rc)
        rc = sql_number(
            c,
            "SELECT count(*) FROM (SELECT DISTINCT prompt_id FROM prompt_verdicts) m CROSS JOIN "
            "traces t ON t.prompt_id = m.prompt_id CROSS JOIN verdicts a ON a.trace_id = t.id AND "
            "a.kind = 'answer' WHERE a.value = 'correct' AND NOT EXISTS (SELECT 1 FROM verdicts v "
            "WHERE v.trace_id = t.id AND v.kind <> 'answer')",
            &n_off, e);
    *n -= n_off;
    return rc;
}

static err_code count_traces(struct corpus *c, struct corpus_stats *s, struct err *e)
{
    int64_t *const prompts[] = {&s->n_prompts,  &s->n_with_gold, &s->n_traced,
                                &s->n_requests, &s->n_traces,    &s->n_lossy};
    err_code rc = numbers(
        c,
        "SELECT (SELECT count(*) FROM prompts), (SELECT count(gold) FROM prompts), "
        "(SELECT count(*) FROM prompts p WHERE EXISTS (SELECT 1 FROM traces t WHERE t.prompt_id = "
        "p.id)), (SELECT count(*) FROM requests), (SELECT count(*) FROM traces), "
        "(SELECT coalesce(sum(lossy), 0) FROM traces)",
        prompts, 6, e);
    int64_t *const verdicts[] = {&s->n_correct, &s->n_wrong, &s->n_unknown,  &s->n_truncated,
                                 &s->n_refused, &s->n_empty, &s->n_no_think, &s->n_repetition};
    if (!rc)
        rc = numbers(c,
                     "SELECT coalesce(sum(kind = 'answer' AND value = 'correct'), 0), "
                     "coalesce(sum(kind = 'answer' AND value = 'wrong'), 0), "
                     "coalesce(sum(kind = 'answer' AND value = 'unknown'), 0), "
                     "coalesce(sum(kind = 'truncated'), 0), coalesce(sum(kind = 'refused'), 0), "
                     "coalesce(sum(kind = 'empty'), 0), coalesce(sum(kind = 'no_think'), 0), "
                     "coalesce(sum(kind = 'repetition'), 0) FROM verdicts",
                     verdicts, 8, e);
    s->n_unverified = s->n_traces - s->n_correct - s->n_wrong - s->n_unknown;
    return rc ? rc : count_good(c, &s->n_good, e);
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
    return rc;
}

static err_code money(struct corpus *c, struct corpus_stats *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(
        c->db, c->path,
        "SELECT (SELECT count(*) FROM traces WHERE cost_usd > 0), (SELECT total(cost_usd) FROM "
        "traces), (SELECT count(*) FROM v_failures WHERE NOT made AND message <> " REPEAT "), "
        "(SELECT count(*) FROM v_failures WHERE made AND message <> " REPEAT "), "
        "(SELECT total(cost_usd) FROM failures WHERE message <> " REPEAT "), "
        "(SELECT coalesce(sum(n_tries), 0) FROM failures WHERE message = " REPEAT "), "
        "(SELECT total(cost_usd) FROM failures WHERE message = " REPEAT ")",
        &st, e);
    if (!rc)
        rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e);
    if (row) {
        s->n_priced = sqlite3_column_int64(st, 0);
        s->cost_usd = sqlite3_column_double(st, 1);
        s->n_failures = sqlite3_column_int64(st, 2);
        s->n_failed_before = sqlite3_column_int64(st, 3);
        s->failed_cost_usd = sqlite3_column_double(st, 4);
        s->n_repeats = sqlite3_column_int64(st, 5);
        s->repeats_cost_usd = sqlite3_column_double(st, 6);
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
    if (!rc)
        rc = money(c, out, e);
    corpus_rollback(c);
    return rc;
}

err_code corpus_stats_marks(struct corpus *c,
                            void (*on_mark)(void *, const char *kind, bool on_prompts, int64_t n),
                            void *ctx, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row;
    err_code rc = sql_prepare(c->db, c->path,
                              "SELECT kind, 0, count(*) FROM verdicts WHERE kind <> 'answer' GROUP "
                              "BY kind UNION ALL SELECT kind, 1, count(*) FROM prompt_verdicts "
                              "GROUP BY kind ORDER BY 2, 1",
                              &st, e);
    while (!rc && !(rc = sql_step(c->db, c->path, st, "cannot be counted", &row, e)) && row)
        on_mark(ctx, sql_text(st, 0) ? sql_text(st, 0) : "", sqlite3_column_int(st, 1),
                sqlite3_column_int64(st, 2));
    sqlite3_finalize(st);
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
                    "n_unknown, n_completion_tokens, coalesce(cost_usd + failed_cost_usd, "
                    "cost_usd, failed_cost_usd), n_failures - (SELECT count(*) FROM failures f "
                    "WHERE f.request_id = r.id AND f.message = " REPEAT ") FROM v_requests r "
                    "ORDER BY teacher, id",
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
                                                  : sqlite3_column_double(st, 9),
                                  .n_failures = sqlite3_column_int64(st, 10)};
        on_request(ctx, &r);
    }
    sqlite3_finalize(st);
    return rc;
}
