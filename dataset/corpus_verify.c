#include "core/base/pipeline.h"
#include "dataset/sql.h"

#include <string.h>

enum {
    GROUP = 2000, /* changed traces a commit */
    RANGE = 128,  /* trace ids that are judged at a time */
};

/* Each thread reads over a connection of its own. */
struct reader {
    sqlite3 *db;
    sqlite3_stmt *traces, *verdicts;
};

struct judged {
    int64_t id;
    struct verdicts v;
};
struct range {
    int64_t from, to;      /* ids, both included */
    struct judged *traces; /* [RANGE] */
    int n;
    struct corpus_verified sum;
};

struct verify {
    struct corpus *c;
    struct reader *readers;
    sqlite3 *db;        /* take_range's own */
    sqlite3_stmt *next; /* ?1: the least id from there on */
    int64_t next_id, total;
    bool at_end;
    struct corpus_verified *out;
    bool (*on_progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
};

static err_code open_reader(struct reader *r, const char *path, struct err *e)
{
    err_code rc = sql_connect(path, CORPUS_READ, &r->db, e);
    if (!rc)
        rc =
            sql_prepare(r->db, path,
                        "SELECT t.id, t.finish_reason, p.gold, t.answer, t.reasoning FROM traces t "
                        "CROSS JOIN prompts p ON p.id = t.prompt_id WHERE t.id BETWEEN ?1 AND ?2 "
                        "ORDER BY t.id",
                        &r->traces, e);
    if (!rc)
        rc = sql_prepare(r->db, path,
                         "SELECT trace_id, kind, value, reason, version FROM verdicts WHERE "
                         "trace_id BETWEEN ?1 AND ?2 AND kind IN (" VERDICT_KINDS
                         ") ORDER BY trace_id, kind",
                         &r->verdicts, e);
    return rc;
}

static void close_reader(struct reader *r)
{
    sqlite3_finalize(r->traces);
    sqlite3_finalize(r->verdicts);
    sqlite3_close(r->db);
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Are v's rows what stands in the corpus? stored is before the trace's first row, or at it (*row);
 * it ends before the first row of a later trace. */
static err_code is_stored(struct reader *r, const char *path, int64_t id, const struct verdicts *v,
                          bool *row, bool *yes, struct err *e)
{
    sqlite3_stmt *st = r->verdicts;
    struct verdict_row want;
    int i = 0;
    *yes = true;
    while (*row && sqlite3_column_int64(st, 0) <= id) {
        if (sqlite3_column_int64(st, 0) == id &&
            (!verdicts_row(v, i++, &want) || !same(sql_text(st, 1), want.kind) ||
             !same(sql_text(st, 2), want.value) || !same(sql_text(st, 3), want.reason) ||
             sqlite3_column_int64(st, 4) != VERDICT_VERSION))
            *yes = false;
        err_code rc = sql_step(r->db, path, st, "cannot read verdicts", row, e);
        if (rc)
            return rc;
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

/* The next ids; gaps are jumped over, so that they may be as wide as they like. */
static err_code take_range(void *ctx, void *slot, bool *more, struct err *e)
{
    struct verify *w = ctx;
    struct range *r = slot;
    bool row;
    *more = false;
    if (w->at_end)
        return ERR_OK;
    sqlite3_bind_int64(w->next, 1, w->next_id);
    err_code rc = sql_step(w->db, w->c->path, w->next, "cannot read traces", &row, e);
    if (rc || !row)
        return rc;
    r->from = sqlite3_column_int64(w->next, 0);
    sqlite3_reset(w->next);
    w->at_end = r->from > INT64_MAX - RANGE;
    r->to = w->at_end ? INT64_MAX : r->from + RANGE - 1;
    w->next_id = w->at_end ? INT64_MAX : r->to + 1;
    *more = true;
    bulk_read_at(w->c, r->from);
    return ERR_OK;
}

static err_code judge_range(void *ctx, int thread, void *slot, struct err *e)
{
    struct verify *w = ctx;
    struct range *r = slot;
    struct reader *in = &w->readers[thread];
    const char *path = w->c->path;
    bool row, stored_row, yes;
    r->n = 0;
    r->sum = (struct corpus_verified){0};
    for (int i = 1; i <= 2; i++) {
        sqlite3_bind_int64(in->traces, i, i == 1 ? r->from : r->to);
        sqlite3_bind_int64(in->verdicts, i, i == 1 ? r->from : r->to);
    }
    err_code rc = sql_step(in->db, path, in->verdicts, "cannot read verdicts", &stored_row, e);
    while (!rc && !(rc = sql_step(in->db, path, in->traces, "cannot read traces", &row, e)) &&
           row) {
        struct judged *j = &r->traces[r->n];
        sqlite3_stmt *st = in->traces;
        j->id = sqlite3_column_int64(st, 0);
        const char *gold = sql_text(st, 2), *answer = sql_text(st, 3), *reasoning = sql_text(st, 4);
        verdict_judge(reasoning, sql_bytes(st, 4), answer, sql_bytes(st, 3), sql_text(st, 1), gold,
                      sql_bytes(st, 2), &j->v);
        tally(&r->sum, &j->v);
        rc = is_stored(in, path, j->id, &j->v, &stored_row, &yes, e);
        r->n += !yes; /* only those that changed are written */
    }
    sqlite3_reset(in->traces);
    sqlite3_reset(in->verdicts);
    return rc;
}

static err_code store(struct corpus *c, const struct judged *j, int64_t n_changed, struct err *e)
{
    err_code rc = ERR_OK;
    if (n_changed % GROUP == 0) {
        if (n_changed)
            rc = corpus_commit(c, e);
        if (!rc)
            rc = corpus_begin(c, e);
    }
    return rc ? rc : verdicts_store(c, j->id, &j->v, e);
}

static err_code write_range(void *ctx, void *slot, struct err *e)
{
    struct verify *w = ctx;
    struct range *r = slot;
    struct corpus_verified *out = w->out;
    err_code rc = ERR_OK;
    for (int i = 0; i < r->n && !rc; i++)
        rc = store(w->c, &r->traces[i], out->n_changed++, e);
    out->n_traces += r->sum.n_traces;
    out->n_correct += r->sum.n_correct;
    out->n_wrong += r->sum.n_wrong;
    out->n_unknown += r->sum.n_unknown;
    out->n_truncated += r->sum.n_truncated;
    out->n_refused += r->sum.n_refused;
    out->n_empty += r->sum.n_empty;
    out->n_no_think += r->sum.n_no_think;
    out->n_repetition += r->sum.n_repetition;
    if (!rc && w->on_progress && !w->on_progress(w->progress_ctx, out->n_traces, w->total))
        rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld traces; run it again to finish",
                     (long long)out->n_traces, (long long)w->total);
    return rc;
}

static err_code run(struct verify *w, int n_threads, struct err *e)
{
    int n_slots = 4 * n_threads;
    struct range *ranges = mem_new((size_t)n_slots, sizeof *ranges, e);
    w->readers = mem_new((size_t)n_threads, sizeof *w->readers, e);
    err_code rc = ranges && w->readers ? ERR_OK : ERR_NOMEM;
    for (int i = 0; i < n_slots && !rc; i++)
        rc = (ranges[i].traces = mem_new(RANGE, sizeof *ranges[i].traces, e)) ? ERR_OK : ERR_NOMEM;
    for (int i = 0; i < n_threads && !rc; i++)
        rc = open_reader(&w->readers[i], w->c->path, e);
    bulk_read_begin(w->c);
    struct pipeline p = {.take = take_range,
                         .work = judge_range,
                         .give = write_range,
                         .ctx = w,
                         .slots = ranges,
                         .slot_bytes = sizeof *ranges,
                         .n_slots = n_slots,
                         .n_threads = n_threads};
    if (!rc)
        rc = pipeline_run(&p, e);
    for (int i = 0; i < n_threads && w->readers; i++)
        close_reader(&w->readers[i]);
    for (int i = 0; i < n_slots && ranges; i++)
        mem_free(ranges[i].traces);
    mem_free(w->readers);
    mem_free(ranges);
    return rc;
}

err_code corpus_verify(struct corpus *c, int n_threads,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct corpus_verified *out, struct err *e)
{
    struct verify w = {
        .c = c, .next_id = INT64_MIN, .out = out, .on_progress = on_progress, .progress_ctx = ctx};
    memset(out, 0, sizeof *out);
    err_code rc = sql_number(c, "SELECT count(*) FROM traces", &w.total, e);
    if (!rc)
        rc = sql_connect(c->path, CORPUS_READ, &w.db, e);
    if (!rc)
        rc = sql_prepare(w.db, c->path, "SELECT id FROM traces WHERE id >= ?1 ORDER BY id LIMIT 1",
                         &w.next, e);
    if (!rc)
        rc = run(&w, pipeline_threads(n_threads), e);
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
    sqlite3_finalize(w.next);
    sqlite3_close(w.db);
    return rc;
}
