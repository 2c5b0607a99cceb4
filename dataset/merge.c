#include "dataset/merge.h"
#include "dataset/dedup.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The other corpus is attached as "other". Three temporary tables say what its rows are called
 * here: merge_prompts, merge_requests, merge_traces (old -> new). */
struct merge {
    struct corpus *c;
    struct merge_summary *sum;
    bool (*on_progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
    int64_t n_before, total; /* rows changed when it began; rows that the other corpus has */
    bool stopped;
};

static int progress(void *ctx)
{
    struct merge *m = ctx;
    int64_t done = sqlite3_total_changes64(m->c->db) - m->n_before;
    done = done < m->total ? done : m->total;
    bulk_wrote(m->c);
    m->stopped = m->on_progress && !m->on_progress(m->progress_ctx, done, m->total);
    return m->stopped;
}

static err_code fail(struct merge *m, struct err *e)
{
    return m->stopped ? err_set(e, ERR_STOPPED, "stopped; nothing was merged into %s", m->c->path)
                      : sql_fail(m->c->db, m->c->path, "cannot be merged into", e);
}

static err_code run(struct merge *m, const char *sql, int64_t *n_changed, struct err *e)
{
    int64_t before = sqlite3_total_changes64(m->c->db);
    if (sqlite3_exec(m->c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(m, e);
    if (n_changed)
        *n_changed = sqlite3_total_changes64(m->c->db) - before;
    return ERR_OK;
}

static err_code number(struct merge *m, const char *sql, int64_t *out, struct err *e)
{
    err_code rc = sql_number(m->c, sql, out, e);
    return rc && m->stopped ? fail(m, e) : rc;
}

static const char make_tables[] =
    "CREATE TEMP TABLE merge_prompts (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE merge_requests (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE merge_traces (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER)";
static const char drop_tables[] = "DROP TABLE IF EXISTS temp.merge_prompts;"
                                  "DROP TABLE IF EXISTS temp.merge_requests;"
                                  "DROP TABLE IF EXISTS temp.merge_traces;"
                                  "DROP TABLE IF EXISTS temp.merge_others";

static err_code merge_prompts(struct merge *m, struct err *e)
{
    struct merge_summary *s = m->sum;
    int64_t before = 0, after = 0;
    err_code rc = number(m, "SELECT count(*) FROM main.prompts", &before, e);
    /* gold answers that are missing here; counted before the rows are added */
    if (!rc)
        rc = run(m,
                 "UPDATE main.prompts SET gold = o.gold FROM other.prompts o WHERE o.text = "
                 "prompts.text AND prompts.gold IS NULL AND o.gold IS NOT NULL",
                 &s->n_regold, e);
    if (!rc)
        rc = run(m,
                 "INSERT INTO main.prompts (gold, source, created_at, extra, text) SELECT gold, "
                 "source, created_at, extra, text FROM other.prompts WHERE true ORDER BY id ON "
                 "CONFLICT (text) DO NOTHING;"
                 "INSERT INTO temp.merge_prompts SELECT o.id, p.id FROM other.prompts o CROSS JOIN "
                 "main.prompts p ON p.text = o.text",
                 NULL, e);
    if (!rc)
        rc = number(m, "SELECT count(*) FROM main.prompts", &after, e);
    if (!rc)
        rc =
            number(m,
                   "SELECT count(*) FROM temp.merge_prompts k CROSS JOIN other.prompts o ON o.id = "
                   "k.old CROSS JOIN main.prompts p ON p.id = k.new WHERE p.gold <> o.gold",
                   &s->n_conflicts, e);
    s->n_prompts = after - before;
    return rc;
}

static err_code merge_requests(struct merge *m, struct err *e)
{
    err_code rc = run(m,
                      "INSERT INTO main.requests (teacher, created_at, json) SELECT teacher, "
                      "created_at, json FROM other.requests WHERE true ORDER BY id ON CONFLICT "
                      "(json) DO NOTHING",
                      &m->sum->n_requests, e);
    return rc ? rc
              : run(m,
                    "INSERT INTO temp.merge_requests SELECT o.id, r.id FROM other.requests o JOIN "
                    "main.requests r ON r.json = o.json",
                    NULL, e);
}

#define TRACE_COLUMNS                                                                              \
    "finish_reason, n_prompt_tokens, n_cached_tokens, n_reasoning_tokens, n_completion_tokens, "   \
    "cost_usd, latency_ms, seed, think_rule, served_model, endpoint, created_at, program, lossy, " \
    "params, extra, answer, reasoning"
#define FROM_TRACES                                                                                \
    " FROM temp.merge_traces k CROSS JOIN other.traces t ON t.id = k.old "                         \
    "CROSS JOIN temp.merge_prompts p ON p.old = t.prompt_id "                                      \
    "CROSS JOIN temp.merge_requests r ON r.old = t.request_id "

/* Those of prompts and requests that have no trace here. They go behind all traces that are here,
 * in their own order. */
static err_code add_fresh(struct merge *m, struct err *e)
{
    int64_t last = 0, first = 0, last_other = 0, offset = 0;
    err_code rc = number(m, "SELECT coalesce(max(id), 0) FROM main.traces", &last, e);
    if (!rc)
        rc = number(m, "SELECT coalesce(min(id), 1) FROM other.traces", &first, e);
    if (!rc)
        rc = number(m, "SELECT coalesce(max(id), 1) FROM other.traces", &last_other, e);
    if (rc)
        return rc;
    if (__builtin_sub_overflow(last + 1, first, &offset) || last == INT64_MAX ||
        __builtin_add_overflow(last_other, offset, &last_other))
        return err_set(e, ERR_UNSUPPORTED, "%s: trace ids near 2^63 leave no room for more",
                       m->c->path);
    char sql[1200];
    snprintf(sql, sizeof sql,
             "INSERT INTO main.traces (id, prompt_id, request_id, sample_index, " TRACE_COLUMNS
             ") SELECT t.id + %lld, p.new, r.new, t.sample_index, " TRACE_COLUMNS FROM_TRACES
             "WHERE k.fresh ORDER BY k.old",
             (long long)offset);
    rc = run(m, sql, &m->sum->n_traces, e);
    snprintf(sql, sizeof sql, "UPDATE temp.merge_traces SET new = old + %lld WHERE fresh",
             (long long)offset);
    return rc ? rc : run(m, sql, NULL, e);
}

/* The others, one by one. */
struct placing {
    sqlite3_stmt
        *others;        /* old id, prompt, request, answer, reasoning, sample, is its place taken */
    sqlite3_stmt *copy; /* ?1 old id, ?2 prompt, ?3 request, ?4 sample */
    sqlite3_stmt *change; /* ?1 old, ?2 new */
};

static err_code step(struct merge *m, sqlite3_stmt *st, bool *row, struct err *e)
{
    int code = sqlite3_step(st);
    *row = code == SQLITE_ROW;
    if (!*row)
        sqlite3_reset(st);
    return *row || code == SQLITE_DONE ? ERR_OK : fail(m, e);
}

/* The id of the trace with these texts for this prompt and request, else 0. */
static err_code same_text(struct merge *m, const struct placing *p, int64_t *id, struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    err_code rc = sql_get(m->c, SQL_SAME_TRACE, &st, e);
    if (rc)
        return rc;
    for (int i = 1; i <= 4; i++)
        sqlite3_bind_value(st, i, sqlite3_column_value(p->others, i));
    rc = step(m, st, &row, e);
    *id = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc;
}

/* At its own sample index, or the next that is free when another trace has that. */
static err_code free_sample(struct merge *m, const struct placing *p, int64_t *sample,
                            struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    *sample = sqlite3_column_int64(p->others, 5);
    if (!sqlite3_column_int(p->others, 6))
        return ERR_OK;
    err_code rc = sql_get(m->c, SQL_NEXT_SAMPLE, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_value(st, 1, sqlite3_column_value(p->others, 1));
    sqlite3_bind_value(st, 2, sqlite3_column_value(p->others, 2));
    rc = step(m, st, &row, e);
    *sample = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    m->sum->n_renumbered++;
    return rc;
}

static err_code add_one(struct merge *m, const struct placing *p, int64_t *id, struct err *e)
{
    bool unused;
    int64_t sample;
    err_code rc = free_sample(m, p, &sample, e);
    if (rc)
        return rc;
    for (int i = 1; i <= 3; i++)
        sqlite3_bind_value(p->copy, i, sqlite3_column_value(p->others, i - 1));
    sqlite3_bind_int64(p->copy, 4, sample);
    rc = step(m, p->copy, &unused, e);
    *id = sqlite3_last_insert_rowid(m->c->db);
    m->sum->n_traces++;
    return rc;
}

static err_code place_others(struct merge *m, const struct placing *p, struct err *e)
{
    bool row, unused;
    err_code rc;
    while (!(rc = step(m, p->others, &row, e)) && row) {
        int64_t id;
        rc = same_text(m, p, &id, e);
        if (!rc && !id)
            rc = add_one(m, p, &id, e);
        if (rc)
            break;
        sqlite3_bind_int64(p->change, 1, sqlite3_column_int64(p->others, 0));
        sqlite3_bind_int64(p->change, 2, id);
        if ((rc = step(m, p->change, &unused, e)))
            break;
    }
    return rc;
}

static err_code prepare_placing(struct merge *m, struct placing *p, struct err *e)
{
    sqlite3 *db = m->c->db;
    const char *path = m->c->path;
    err_code rc =
        sql_prepare(db, path,
                    "SELECT k.old, k.prompt_id, k.request_id, t.answer, t.reasoning, "
                    "t.sample_index, k.taken FROM temp.merge_others k CROSS JOIN other.traces t ON "
                    "t.id = k.old ORDER BY k.rowid",
                    &p->others, e);
    if (!rc)
        rc = sql_prepare(
            db, path,
            "INSERT INTO main.traces (prompt_id, request_id, sample_index, " TRACE_COLUMNS
            ") SELECT ?2, ?3, ?4, " TRACE_COLUMNS " FROM other.traces WHERE id = ?1",
            &p->copy, e);
    if (!rc)
        rc = sql_prepare(db, path, "UPDATE temp.merge_traces SET new = ?2 WHERE old = ?1",
                         &p->change, e);
    return rc;
}

static err_code merge_traces(struct merge *m, struct err *e)
{
    int64_t n_other = 0;
    struct placing p = {0};
    err_code rc = run(m,
                      "INSERT INTO temp.merge_traces SELECT t.id, NULL, NOT EXISTS (SELECT 1 FROM "
                      "main.traces h WHERE h.prompt_id = p.new AND h.request_id = r.new) FROM "
                      "other.traces t CROSS JOIN temp.merge_prompts p ON p.old = t.prompt_id "
                      "CROSS JOIN temp.merge_requests r ON r.old = t.request_id",
                      &n_other, e);
    /* made before rows are added; those whose own place is free come first, before others are given
     * new places */
    if (!rc)
        rc = run(m,
                 "CREATE TEMP TABLE merge_others AS SELECT k.old, p.new AS prompt_id, r.new AS "
                 "request_id, EXISTS (SELECT 1 FROM main.traces h WHERE h.prompt_id = p.new AND "
                 "h.request_id = r.new AND h.sample_index = t.sample_index) AS taken" FROM_TRACES
                 "WHERE NOT k.fresh ORDER BY taken, k.old",
                 NULL, e);
    if (!rc)
        rc = add_fresh(m, e);
    if (!rc)
        rc = prepare_placing(m, &p, e);
    if (!rc)
        rc = place_others(m, &p, e);
    sqlite3_finalize(p.others);
    sqlite3_finalize(p.copy);
    sqlite3_finalize(p.change);
    m->sum->n_there = n_other - m->sum->n_traces;
    return rc;
}

/* Prompts (k.old there, k.new here) whose gold answers are not the same: what was said of their
 * traces there does not hold here. */
#define OTHER_GOLD                                                                                 \
    " FROM temp.merge_prompts k CROSS JOIN other.prompts o ON o.id = k.old CROSS JOIN "            \
    "main.prompts p ON p.id = k.new AND p.gold IS NOT o.gold "

/* Traces that came without the verdict on their answer are judged against the gold answer here. */
static err_code judge_anew(struct merge *m, struct err *e)
{
    struct corpus *c = m->c;
    sqlite3_stmt *st = NULL;
    bool row;
    err_code rc = sql_prepare(
        c->db, c->path,
        "SELECT t.id, t.finish_reason, p.gold, t.answer, t.reasoning" OTHER_GOLD
        "CROSS JOIN main.traces t ON t.prompt_id = p.id WHERE NOT EXISTS (SELECT 1 FROM "
        "main.verdicts v WHERE v.trace_id = t.id AND v.kind = 'answer')",
        &st, e);
    while (!rc && !(rc = step(m, st, &row, e)) && row) {
        struct verdicts v;
        const char *gold = sql_text(st, 2), *answer = sql_text(st, 3), *reasoning = sql_text(st, 4);
        verdict_judge(reasoning, sql_bytes(st, 4), answer, sql_bytes(st, 3), sql_text(st, 1), gold,
                      sql_bytes(st, 2), &v);
        rc = verdicts_store(c, sqlite3_column_int64(st, 0), &v, e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* What hangs on traces, prompts and requests. */
static err_code merge_rest(struct merge *m, struct err *e)
{
    err_code rc = run(
        m,
        "INSERT INTO main.verdicts (trace_id, kind, value, reason, version, created_at) SELECT "
        "k.new, v.kind, v.value, v.reason, v.version, v.created_at FROM temp.merge_traces k "
        "CROSS JOIN other.verdicts v ON v.trace_id = k.old WHERE v.kind <> '" DEDUP_KIND
        "' AND (v.kind <> 'answer' OR v.trace_id NOT IN (SELECT t.id" OTHER_GOLD
        "CROSS JOIN other.traces t ON t.prompt_id = o.id)) ON CONFLICT (trace_id, kind) DO "
        "NOTHING;"
        "INSERT INTO main.prompt_verdicts (prompt_id, kind, value, reason, version, created_at) "
        "SELECT k.new, v.kind, v.value, v.reason, v.version, v.created_at FROM "
        "other.prompt_verdicts v JOIN temp.merge_prompts k ON k.old = v.prompt_id WHERE "
        "v.kind <> '" DEDUP_KIND "' ON CONFLICT (prompt_id, kind) DO NOTHING",
        NULL, e);
    if (!rc)
        rc = judge_anew(m, e);
    if (!rc)
        rc = run(m,
                 "INSERT INTO main.logprobs (trace_id, format, k, n_tokens, data) SELECT x.new, "
                 "l.format, l.k, l.n_tokens, l.data FROM other.logprobs l CROSS JOIN "
                 "temp.merge_traces x ON x.old = l.trace_id WHERE true ON CONFLICT (trace_id) DO "
                 "NOTHING",
                 &m->sum->n_logprobs, e);
    if (!rc)
        rc =
            run(m,
                "INSERT INTO main.failures (prompt_id, request_id, sample_index, endpoint, status, "
                "message, n_tries, cost_usd, created_at, updated_at, answer, reasoning) SELECT "
                "p.new, r.new, f.sample_index, f.endpoint, f.status, f.message, f.n_tries, "
                "f.cost_usd, f.created_at, f.updated_at, f.answer, f.reasoning FROM "
                "other.failures f JOIN temp.merge_prompts p ON p.old = f.prompt_id JOIN "
                "temp.merge_requests r ON r.old = f.request_id WHERE true ORDER BY f.id "
                "ON CONFLICT (prompt_id, request_id, sample_index) DO UPDATE SET endpoint = "
                "excluded.endpoint, status = excluded.status, message = excluded.message, n_tries "
                "= excluded.n_tries, cost_usd = excluded.cost_usd, updated_at = "
                "excluded.updated_at, answer = excluded.answer, reasoning = excluded.reasoning "
                "WHERE excluded.n_tries > n_tries",
                &m->sum->n_failures, e);
    return rc;
}

static err_code merge_attached(struct merge *m, struct err *e)
{
    err_code rc = number(m,
                         "SELECT 3 * (SELECT count(*) FROM other.traces) + 2 * (SELECT count(*) "
                         "FROM other.prompts)",
                         &m->total, e);
    if (!rc)
        rc = run(m, make_tables, NULL, e);
    m->n_before = sqlite3_total_changes64(m->c->db);
    if (!rc)
        rc = merge_prompts(m, e);
    if (!rc)
        rc = merge_requests(m, e);
    if (!rc)
        rc = merge_traces(m, e);
    return rc ? rc : merge_rest(m, e);
}

/* A corpus that decant knows, and not this one itself. */
static err_code check_other(struct corpus *c, const char *from, struct err *e)
{
    struct corpus *other;
    struct stat a, b;
    err_code rc = corpus_open(from, CORPUS_READ, &other, e);
    corpus_close(other);
    if (!rc && !stat(from, &a) && !stat(c->path, &b) && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        rc = err_set(e, ERR_USAGE, "%s: is the corpus itself; give another one to merge", from);
    return rc;
}

static err_code attach(struct corpus *c, const char *from, struct err *e)
{
    sqlite3_stmt *st = NULL;
    err_code rc = sql_prepare(c->db, c->path, "ATTACH ?1 AS other", &st, e);
    if (!rc) {
        sql_bind_text(st, 1, from);
        if (sqlite3_step(st) != SQLITE_DONE)
            rc = sql_fail(c->db, from, "cannot be merged", e);
    }
    sqlite3_finalize(st);
    return rc;
}

static err_code merge_in_transaction(struct merge *m, const char *from, struct err *e)
{
    struct corpus *c = m->c;
    err_code rc = attach(c, from, e);
    if (rc)
        return rc;
    sqlite3_progress_handler(c->db, 100000, progress, m);
    rc = corpus_begin(c, e);
    if (!rc)
        rc = merge_attached(m, e);
    sqlite3_progress_handler(c->db, 0, NULL, NULL);
    if (!rc)
        rc = corpus_commit(c, e);
    if (rc)
        corpus_rollback(c);
    sqlite3_exec(c->db, drop_tables, NULL, NULL, NULL);
    for (int i = 0; i < SQL_N_STATEMENTS; i++) /* an unfinished one would hold the other file */
        sqlite3_reset(c->statements[i]);
    sqlite3_exec(c->db, "DETACH other", NULL, NULL, NULL);
    return rc;
}

err_code corpus_merge(struct corpus *c, const char *from,
                      bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct merge_summary *sum, struct err *e)
{
    struct merge m = {.c = c, .sum = sum, .on_progress = on_progress, .progress_ctx = ctx};
    memset(sum, 0, sizeof *sum);
    err_code rc = check_other(c, from, e);
    if (!rc)
        rc = bulk_begin(c, e);
    if (rc)
        return rc;
    rc = merge_in_transaction(&m, from, e);
    struct err end;
    err_code rc2 = bulk_end(c, &end);
    if (rc2 && !rc)
        rc = err_set(e, rc2, "%s", end.msg);
    return rc;
}
