#include "dataset/search.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

enum { GROUP = 2000 }; /* texts a commit */

/* Words are folded (case, accents). Rows are found by id, so a row that went away is passed over.
 */
static const struct {
    const char *create, *last, *add, *count, *left, *hits, *n_hits;
} searches[] = {
    [SEARCH_TRACES] =
        {"CREATE VIRTUAL TABLE IF NOT EXISTS search_traces USING fts5(reasoning, answer, "
         "content='traces', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\")",
         "SELECT coalesce(max(id), 0) FROM search_traces_docsize",
         "INSERT INTO search_traces (rowid, reasoning, answer) SELECT id, reasoning, answer FROM "
         "traces WHERE id > ?1 ORDER BY id LIMIT ?2",
         "SELECT count(*) FROM traces", "SELECT count(*) FROM search_traces_docsize",
         "SELECT s.rowid, t.prompt_id, s.snippet, p.text, v.value, r.teacher, 0 FROM (SELECT "
         "rowid, "
         "snippet(search_traces, -1, char(2), char(3), '...', 24) AS snippet FROM search_traces "
         "WHERE search_traces MATCH ?1 ORDER BY rank LIMIT ?2) s JOIN traces t ON t.id = s.rowid "
         "JOIN prompts p ON p.id = t.prompt_id JOIN requests r ON r.id = t.request_id LEFT JOIN "
         "verdicts v ON v.trace_id = t.id AND v.kind = 'answer'",
         "SELECT count(*) FROM search_traces WHERE search_traces MATCH ?1"},
    [SEARCH_PROMPTS] =
        {"CREATE VIRTUAL TABLE IF NOT EXISTS search_prompts USING fts5(text, content='prompts', "
         "content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\")",
         "SELECT coalesce(max(id), 0) FROM search_prompts_docsize",
         "INSERT INTO search_prompts (rowid, text) SELECT id, text FROM prompts WHERE id > ?1 "
         "ORDER "
         "BY id LIMIT ?2",
         "SELECT count(*) FROM prompts", "SELECT count(*) FROM search_prompts_docsize",
         "SELECT s.rowid, s.rowid, s.snippet, p.text, NULL, NULL, (SELECT count(*) FROM traces t "
         "WHERE t.prompt_id = p.id) FROM (SELECT rowid, snippet(search_prompts, -1, char(2), "
         "char(3), '...', 24) AS snippet FROM search_prompts WHERE search_prompts MATCH ?1 ORDER "
         "BY "
         "rank LIMIT ?2) s JOIN prompts p ON p.id = s.rowid",
         "SELECT count(*) FROM search_prompts WHERE search_prompts MATCH ?1"},
};

static err_code add_group(struct corpus *c, enum search_in in, int64_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int64_t last;
    *n = 0;
    err_code rc = corpus_begin(c, e);
    if (rc)
        return rc;
    rc = sql_number(c, searches[in].last, &last, e);
    if (!rc)
        rc = sql_prepare(c->db, c->path, searches[in].add, &st, e);
    if (!rc) {
        sqlite3_bind_int64(st, 1, last);
        sqlite3_bind_int64(st, 2, GROUP);
        rc = sql_run(c, st, "cannot be indexed", e);
        *n = sqlite3_changes64(c->db);
    }
    sqlite3_finalize(st);
    if (!rc)
        rc = corpus_commit(c, e);
    if (rc)
        corpus_rollback(c);
    return rc;
}

err_code search_update(struct corpus *c, enum search_in in,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct err *e)
{
    int64_t total = 0, done = 0, n = GROUP;
    err_code rc = sql_number(c, searches[in].count, &total, e);
    if (!rc)
        rc = sql_exec(c, searches[in].create, "cannot be indexed", e);
    if (!rc)
        rc = sql_number(c, searches[in].left, &done, e);
    /* a large index is merged in memory before it is written */
    if (!rc)
        rc = sql_exec(c, "PRAGMA cache_size = -262144", "cannot be indexed", e);
    while (!rc && n == GROUP) {
        rc = add_group(c, in, &n, e);
        done += n;
        if (!rc && n && on_progress && !on_progress(ctx, done, total))
            rc = err_set(e, ERR_STOPPED,
                         "stopped after %lld of %lld texts; the next search goes on there",
                         (long long)done, (long long)total);
    }
    sqlite3_exec(c->db, "PRAGMA cache_size = -16384", NULL, NULL, NULL);
    return rc;
}

err_code search_missing(struct corpus *c, enum search_in in, int64_t *n, struct err *e)
{
    static const char *const exists[] = {
        [SEARCH_TRACES] = "SELECT count(*) FROM sqlite_schema WHERE name = 'search_traces'",
        [SEARCH_PROMPTS] = "SELECT count(*) FROM sqlite_schema WHERE name = 'search_prompts'"};
    int64_t there = 0, total = 0, done = 0;
    err_code rc = sql_number(c, exists[in], &there, e);
    if (!rc && !there)
        rc = err_set(e, ERR_STATE,
                     "%s: has no index to search, and cannot be written, so that none can be made; "
                     "search a copy",
                     c->path);
    if (!rc)
        rc = sql_number(c, searches[in].count, &total, e);
    if (!rc)
        rc = sql_number(c, searches[in].left, &done, e);
    *n = total - done;
    return rc;
}

err_code search_drop(struct corpus *c, struct err *e)
{
    return sql_exec(c,
                    "DROP TABLE IF EXISTS search_traces; DROP TABLE IF EXISTS search_prompts;"
                    "VACUUM",
                    "cannot be cleared of its index", e);
}

/* The query's words, each in quotes: all of them must be there. */
static err_code quote_words(const char *query, struct buf *out, struct err *e)
{
    err_code rc = buf_str(out, "", e);
    while (*query && !rc) {
        size_t n = strcspn(query, " \t\r\n");
        if (n) {
            rc = buf_str(out, out->len ? " \"" : "\"", e);
            for (size_t i = 0; i < n && !rc; i++)
                rc = query[i] == '"' ? buf_str(out, "\"\"", e) : buf_add(out, query + i, 1, e);
            if (!rc)
                rc = buf_str(out, "\"", e);
        }
        query += n + (query[n] != 0);
    }
    return rc;
}

static err_code hits(struct corpus *c, sqlite3_stmt *st,
                     err_code (*on_hit)(void *ctx, const struct search_hit *hit, struct err *e),
                     void *ctx, struct err *e)
{
    bool row;
    err_code rc;
    while (!(rc = sql_step(c->db, c->path, st, "cannot be searched", &row, e)) && row) {
        struct search_hit h = {.id = sqlite3_column_int64(st, 0),
                               .prompt_id = sqlite3_column_int64(st, 1),
                               .snippet = sql_text(st, 2) ? sql_text(st, 2) : "",
                               .prompt = sql_text(st, 3) ? sql_text(st, 3) : "",
                               .verdict = sql_text(st, 4),
                               .teacher = sql_text(st, 5),
                               .n_traces = sqlite3_column_int64(st, 6)};
        rc = on_hit(ctx, &h, e);
        if (rc)
            break;
    }
    return rc;
}

/* Counts what fits. mistake: why it is no query of FTS5, or "". */
static err_code count(struct corpus *c, enum search_in in, const char *query, int64_t *n,
                      char mistake[SEARCH_MISTAKE_BYTES], struct err *e)
{
    static const char prefix[] = "fts5: ";
    sqlite3_stmt *st = NULL;
    err_code rc = sql_prepare(c->db, c->path, searches[in].n_hits, &st, e);
    if (rc)
        return rc;
    sql_bind_text(st, 1, query);
    int code = sqlite3_step(st);
    mistake[0] = 0;
    if (code == SQLITE_ERROR) {
        const char *why = sqlite3_errmsg(c->db);
        why += strncmp(why, prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1;
        snprintf(mistake, SEARCH_MISTAKE_BYTES, "%s", why);
    }
    *n = code == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (code != SQLITE_ROW && code != SQLITE_ERROR)
        rc = sql_fail(c->db, c->path, "cannot be searched", e);
    sqlite3_finalize(st);
    return rc;
}

err_code search_run(struct corpus *c, enum search_in in, const char *query, int64_t limit,
                    err_code (*on_hit)(void *ctx, const struct search_hit *hit, struct err *e),
                    void *ctx, int64_t *n_all, char mistake[SEARCH_MISTAKE_BYTES], struct err *e)
{
    struct buf words = {0};
    sqlite3_stmt *st = NULL;
    char none[SEARCH_MISTAKE_BYTES];
    err_code rc = count(c, in, query, n_all, mistake, e);
    if (!rc && *mistake) {
        rc = quote_words(query, &words, e);
        query = words.data;
        if (!rc)
            rc = count(c, in, query, n_all, none, e);
        if (!rc && *none)
            rc = err_set(e, ERR_USAGE, "query \"%.200s\": holds no words to search for", query);
    }
    if (!rc)
        rc = sql_prepare(c->db, c->path, searches[in].hits, &st, e);
    if (!rc) {
        sql_bind_text(st, 1, query);
        sqlite3_bind_int64(st, 2, limit);
        rc = hits(c, st, on_hit, ctx, e);
    }
    sqlite3_finalize(st);
    buf_dispose(&words);
    return rc;
}
