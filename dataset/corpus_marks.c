#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

/* Marks gather in a temporary table of the connection, (kind, id) -> reason, one for traces and one
 * for prompts, and are compared with what the corpus has in one transaction at the end. */
struct corpus_marks {
    struct corpus *c;
    char *kind;
    enum corpus_mark_on on;
    int version;
    sqlite3_stmt *add;
};

static err_code check_kind(const char *kind, struct err *e)
{
    char quoted[40];
    size_t n = strlen(kind);
    int len = snprintf(quoted, sizeof quoted, "'%.30s'", kind);
    if (!n || n > 30 || strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_:") != n)
        return err_set(
            e, ERR_USAGE,
            "kind of verdict \"%.60s\": at most 30 lower-case letters, digits, _ and :", kind);
    if (len > 0 && strstr(VERDICT_KINDS, quoted))
        return err_set(e, ERR_USAGE,
                       "kind of verdict \"%s\": decant's own, which corpus verify decides; a mark "
                       "takes another name",
                       kind);
    return ERR_OK;
}

err_code corpus_add_mark(struct corpus *c, int64_t trace_id, const char *kind, struct err *e)
{
    sqlite3_stmt *st;
    if (check_kind(kind, NULL)) /* decant's own say how it judged, which it does anew */
        return ERR_OK;
    err_code rc = sql_get(c, SQL_ADD_MARK, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, trace_id);
    sql_bind_text(st, 2, kind);
    sql_bind_now(c, st, 3);
    return sql_run(c, st, "cannot be marked", e);
}

#define CREATE(MARKED)                                                                             \
    "CREATE TEMP TABLE IF NOT EXISTS " MARKED " (kind TEXT NOT NULL, id INTEGER NOT NULL, "        \
    "reason TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID"
#define INSERT(MARKED)                                                                             \
    "INSERT OR REPLACE INTO temp." MARKED " (kind, id, reason) VALUES (?1, ?2, ?3)"
static const char *const create_statements[] = {
    [CORPUS_MARK_TRACES] = CREATE("marked_traces"),
    [CORPUS_MARK_PROMPTS] = CREATE("marked_prompts"),
};
static const char *const add_statements[] = {
    [CORPUS_MARK_TRACES] = INSERT("marked_traces"),
    [CORPUS_MARK_PROMPTS] = INSERT("marked_prompts"),
};

err_code corpus_marks_begin(struct corpus *c, const char *kind, enum corpus_mark_on on, int version,
                            struct corpus_marks **out, struct err *e)
{
    *out = NULL;
    err_code rc = check_kind(kind, e);
    if (rc)
        return rc;
    struct corpus_marks *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    *m = (struct corpus_marks){.c = c, .on = on, .version = version, .kind = mem_strdup(kind, e)};
    rc = m->kind ? sql_exec(c, create_statements[on], "cannot be marked", e) : ERR_NOMEM;
    if (!rc)
        rc = sql_prepare(c->db, c->path, add_statements[on], &m->add, e);
    if (rc) {
        corpus_marks_end(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

err_code corpus_mark(struct corpus_marks *m, int64_t id, const char *reason, struct err *e)
{
    sqlite3_clear_bindings(m->add);
    sql_bind_text(m->add, 1, m->kind);
    sqlite3_bind_int64(m->add, 2, id);
    sql_bind_text(m->add, 3, reason);
    return sql_run(m->c, m->add, "cannot be marked", e);
}

/* Runs sql, in which ?1 is the kind and ?2 the version; *n: rows that it changed. */
static err_code run(struct corpus_marks *m, const char *sql, int64_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    err_code rc = sql_prepare(m->c->db, m->c->path, sql, &st, e);
    if (!rc) {
        sql_bind_text(st, 1, m->kind);
        if (sqlite3_bind_parameter_count(st) > 1)
            sqlite3_bind_int(st, 2, m->version);
        rc = sql_run(m->c, st, "cannot be marked", e);
    }
    *n = rc ? 0 : sqlite3_changes64(m->c->db);
    sqlite3_finalize(st);
    return rc;
}

#define NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
/* An id that is not (or no longer) in the corpus is passed over. A row that stays as it was is not
 * written; one with another reason or version counts neither as new nor as cleared. */
#define SQL(TABLE, ID, OF, MARKED)                                                                 \
    {                                                                                              \
        "DELETE FROM " TABLE " WHERE kind = ?1 AND " ID " NOT IN (SELECT id FROM temp." MARKED     \
        " WHERE kind = ?1)",                                                                       \
            "UPDATE " TABLE " SET reason = k.reason, version = ?2, created_at = " NOW              \
            " FROM temp." MARKED " k WHERE k.kind = ?1 AND " TABLE ".kind = ?1 AND " TABLE "." ID  \
            " = k.id AND (" TABLE ".reason IS NOT k.reason OR " TABLE ".version <> ?2)",           \
            "INSERT INTO " TABLE " (" ID ", kind, value, reason, version, created_at) "            \
            "SELECT k.id, k.kind, 'yes', k.reason, ?2, " NOW " FROM temp." MARKED " k JOIN " OF    \
            " o ON o.id = k.id WHERE k.kind = ?1 ON CONFLICT (" ID ", kind) DO NOTHING",           \
            "SELECT count(*) FROM " TABLE " WHERE kind = ?1",                                      \
            "DELETE FROM temp." MARKED " WHERE kind = ?1"                                          \
    }
enum { CLEAR, UPDATE, ADD, COUNT, FORGET };
static const char *const statements[][5] = {
    [CORPUS_MARK_TRACES] = SQL("verdicts", "trace_id", "traces", "marked_traces"),
    [CORPUS_MARK_PROMPTS] = SQL("prompt_verdicts", "prompt_id", "prompts", "marked_prompts"),
};

static err_code count(struct corpus_marks *m, int64_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    err_code rc = sql_prepare(m->c->db, m->c->path, statements[m->on][COUNT], &st, e);
    if (!rc) {
        sql_bind_text(st, 1, m->kind);
        rc = sql_step(m->c->db, m->c->path, st, "cannot be counted", &row, e);
    }
    *n = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return rc;
}

static err_code replace(struct corpus_marks *m, struct marks_summary *sum, struct err *e)
{
    int64_t n_updated;
    err_code rc = run(m, statements[m->on][CLEAR], &sum->n_cleared, e);
    if (!rc)
        rc = run(m, statements[m->on][UPDATE], &n_updated, e);
    if (!rc)
        rc = run(m, statements[m->on][ADD], &sum->n_new, e);
    return rc ? rc : count(m, &sum->n_marked, e);
}

err_code corpus_marks_commit_all(struct corpus_marks *const *marks, int n,
                                 struct marks_summary *const *sums, struct err *e)
{
    struct corpus *c = NULL;
    err_code rc = ERR_OK;
    for (int i = 0; i < n && !rc; i++) {
        if (!marks[i])
            continue;
        if (!c)
            rc = corpus_begin(c = marks[i]->c, e);
        *sums[i] = (struct marks_summary){0};
        if (!rc)
            rc = replace(marks[i], sums[i], e);
    }
    if (c && !rc)
        rc = corpus_commit(c, e);
    if (c && rc)
        corpus_rollback(c);
    return rc;
}

err_code corpus_marks_commit(struct corpus_marks *m, struct marks_summary *sum, struct err *e)
{
    return corpus_marks_commit_all(&m, 1, &sum, e);
}

void corpus_marks_end(struct corpus_marks *m)
{
    int64_t n;
    if (!m)
        return;
    sqlite3_finalize(m->add);
    if (m->kind)
        run(m, statements[m->on][FORGET], &n, NULL);
    mem_free(m->kind);
    mem_free(m);
}

err_code corpus_marks_clear(struct corpus *c, const char *kind, enum corpus_mark_on on,
                            struct marks_summary *sum, struct err *e)
{
    struct corpus_marks *m;
    err_code rc = corpus_marks_begin(c, kind, on, 0, &m, e);
    if (!rc)
        rc = corpus_marks_commit(m, sum, e);
    corpus_marks_end(m);
    return rc;
}

err_code corpus_marks_of(struct corpus *c, int64_t trace_id,
                         err_code (*on_mark)(void *ctx, const struct corpus_mark_row *m,
                                             struct err *e),
                         void *ctx, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row;
    err_code rc = sql_prepare(
        c->db, c->path,
        "SELECT 0, kind, reason FROM verdicts WHERE trace_id = ?1 AND kind <> 'answer' UNION ALL "
        "SELECT 1, m.kind, m.reason FROM traces t JOIN prompt_verdicts m ON m.prompt_id = "
        "t.prompt_id WHERE t.id = ?1 ORDER BY 1, 2",
        &st, e);
    if (!rc)
        sqlite3_bind_int64(st, 1, trace_id);
    while (!rc && !(rc = sql_step(c->db, c->path, st, "cannot be read", &row, e)) && row) {
        struct corpus_mark_row m = {.kind = sql_text(st, 1),
                                    .reason = sql_text(st, 2),
                                    .on = sqlite3_column_int(st, 0) ? CORPUS_MARK_PROMPTS
                                                                    : CORPUS_MARK_TRACES};
        rc = m.kind ? on_mark(ctx, &m, e)
                    : err_set(e, ERR_NOMEM, "%s: out of memory reading marks", c->path);
    }
    sqlite3_finalize(st);
    return rc;
}
