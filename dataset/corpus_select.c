#include "core/base/rng.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <string.h>

struct corpus_select {
    sqlite3 *db; /* its own, read-only */
    char *path;
    sqlite3_stmt *st;
    uint64_t hash;
    int64_t n;
};

/* What a selection may do: read. */
static int only_reads(void *ctx, int action, const char *a, const char *b, const char *db,
                      const char *trigger)
{
    (void)ctx;
    (void)db;
    (void)trigger;
    switch (action) {
    case SQLITE_READ: /* newer versions of SQLite show pragmas as tables */
        return a && !sqlite3_strnicmp(a, "pragma_", 7) ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return b && !sqlite3_stricmp(b, "load_extension") ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

#define COLUMNS                                                                                    \
    "id, prompt_id, request_id, sample_index, prompt, gold, source, request, teacher, reasoning, " \
    "answer, finish_reason, n_prompt_tokens, n_reasoning_tokens, n_completion_tokens, cost_usd, "  \
    "latency_ms, served_model, params, think_rule, endpoint, created_at, program, verdict, "       \
    "verdict_reason, marks, lossy, seed, n_cached_tokens, extra"
#define ORDER " ORDER BY prompt_id, request_id, sample_index"

/* A condition of the user's stands in a subquery of its own: whatever it closes or opens, the rows
 * that come out are rows of the view. The line ends keep a comment from swallowing what follows. */
static err_code build_sql(const char *selection, const char *columns, const char *order,
                          struct buf *sql, struct err *e)
{
    if (!strcmp(selection, "all"))
        return buf_printf(sql, e, "SELECT %s FROM v_traces%s", columns, order);
    if (!strcmp(selection, "correct"))
        return buf_printf(sql, e, "SELECT %s FROM v_traces WHERE good%s", columns, order);
    return buf_printf(
        sql, e, "SELECT %s FROM v_traces WHERE id IN (SELECT id FROM v_traces WHERE (\n%s\n))%s",
        columns, selection, order);
}

static err_code prepare(struct corpus_select *s, const char *selection, const char *columns,
                        const char *order, struct err *e)
{
    struct buf sql = {0};
    const char *tail = NULL;
    err_code rc = build_sql(selection, columns, order, &sql, e);
    sqlite3_set_authorizer(s->db, only_reads, NULL);
    /* or a misspelt column in double quotes would be a string, and a condition false everywhere */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    if (!rc && sqlite3_prepare_v2(s->db, sql.data, -1, &s->st, &tail) != SQLITE_OK) {
        int code = sqlite3_errcode(s->db);
        rc = code == SQLITE_ERROR || code == SQLITE_AUTH
                 ? err_set(e, ERR_USAGE,
                           "selection \"%.300s\": %s; it should be \"correct\", \"all\", or an SQL "
                           "condition on the columns of v_traces, text in single quotes "
                           "(docs/corpus.md)",
                           selection, sqlite3_errmsg(s->db))
                 : sql_fail(s->db, s->path, "cannot be selected from", e);
    }
    if (!rc && tail && *tail)
        rc = err_set(e, ERR_USAGE, "selection \"%.300s\": one condition, without \";\"", selection);
    if (!rc && sqlite3_bind_parameter_count(s->st) > 0)
        rc = err_set(e, ERR_USAGE,
                     "selection \"%.300s\": has a parameter (?, :name); give its value", selection);
    buf_dispose(&sql);
    return rc;
}

/* From here on the connection sees no verdicts of that kind: temporary views stand before the
 * corpus's own. v_traces is made anew, for the corpus's view looks into the corpus only. */
static err_code hide_kind(struct corpus_select *s, const char *kind, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    struct buf sql = {0};
    static const char start[] = "CREATE VIEW";
    err_code rc = sql_prepare(s->db, s->path,
                              "SELECT sql FROM sqlite_schema WHERE name = 'v_traces'", &st, e);
    if (!rc)
        rc = sql_step(s->db, s->path, st, "cannot be read", &row, e);
    const char *view = row ? sql_text(st, 0) : NULL;
    if (!rc && (!view || strncmp(view, start, sizeof start - 1) != 0))
        rc = err_set(e, ERR_FORMAT, "%s: \"v_traces\" is no view; restore a copy of the file",
                     s->path);
    char *quoted = sqlite3_mprintf("%Q", kind);
    if (!rc)
        rc = buf_printf(&sql, e,
                        "CREATE TEMP VIEW verdicts AS SELECT * FROM main.verdicts WHERE kind <> "
                        "%s; CREATE TEMP VIEW%s",
                        quoted ? quoted : "''", view + sizeof start - 1);
    if (!rc && sqlite3_exec(s->db, sql.data, NULL, NULL, NULL) != SQLITE_OK)
        rc = sql_fail(s->db, s->path, "cannot be selected from", e);
    sqlite3_free(quoted);
    sqlite3_finalize(st);
    buf_dispose(&sql);
    return rc;
}

static err_code open_with(struct corpus *c, const char *selection, const char *columns,
                          const char *order, const char *hidden, struct corpus_select **out,
                          struct err *e)
{
    *out = NULL;
    struct corpus_select *s = mem_new(1, sizeof *s, e);
    if (!s)
        return ERR_NOMEM;
    s->path = mem_strdup(c->path, e);
    err_code rc = s->path ? sql_connect(c->path, CORPUS_READ, &s->db, e) : ERR_NOMEM;
    if (!rc && hidden)
        rc = hide_kind(s, hidden, e);
    if (!rc)
        rc = prepare(s, selection, columns, order, e);
    if (rc) {
        corpus_select_close(s);
        return rc;
    }
    *out = s;
    return ERR_OK;
}

err_code corpus_select_open(struct corpus *c, const char *selection, struct corpus_select **out,
                            struct err *e)
{
    return open_with(c, selection, COLUMNS, ORDER, NULL, out, e);
}

void corpus_select_close(struct corpus_select *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->st);
    sqlite3_close(s->db);
    mem_free(s->path);
    mem_free(s);
}

/* The selection may be arbitrary SQL, so a step can fail in the user's own terms. */
static err_code step(struct corpus_select *s, bool *row, struct err *e)
{
    int code = sqlite3_step(s->st);
    *row = code == SQLITE_ROW;
    if (*row || code == SQLITE_DONE)
        return ERR_OK;
    if (sqlite3_errcode(s->db) == SQLITE_ERROR)
        return err_set(e, ERR_USAGE, "%s: the selection: %s", s->path, sqlite3_errmsg(s->db));
    return sql_fail(s->db, s->path, "cannot be read", e);
}

static int64_t count_or_unknown(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, i);
}

static double amount_or_unknown(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_double(st, i);
}

/* Is kind one of "no_think,truncated"? */
static bool has_mark(const char *marks, const char *kind)
{
    size_t n = strlen(kind);
    for (const char *s = marks; s && *s; s += strcspn(s, ","), s += *s == ',')
        if (strcspn(s, ",") == n && !memcmp(s, kind, n))
            return true;
    return false;
}

static void read_row(sqlite3_stmt *st, struct corpus_row *r)
{
    r->id = sqlite3_column_int64(st, 0);
    r->prompt_id = sqlite3_column_int64(st, 1);
    r->request_id = sqlite3_column_int64(st, 2);
    r->sample_index = sqlite3_column_int64(st, 3);
    r->prompt = sql_text(st, 4);
    r->n_prompt = sql_bytes(st, 4);
    r->gold = sql_text(st, 5);
    r->n_gold = sql_bytes(st, 5);
    r->source = sql_text(st, 6);
    r->request = sql_text(st, 7);
    r->teacher = sql_text(st, 8);
    r->reasoning = sql_text(st, 9);
    r->n_reasoning = sql_bytes(st, 9);
    r->answer = sql_text(st, 10);
    r->n_answer = sql_bytes(st, 10);
    r->finish_reason = sql_text(st, 11);
    r->n_prompt_tokens = count_or_unknown(st, 12);
    r->n_reasoning_tokens = count_or_unknown(st, 13);
    r->n_completion_tokens = count_or_unknown(st, 14);
    r->cost_usd = amount_or_unknown(st, 15);
    r->latency_ms = amount_or_unknown(st, 16);
    r->served_model = sql_text(st, 17);
    r->params_json = sql_text(st, 18);
    r->think_rule = sql_text(st, 19);
    r->endpoint = sql_text(st, 20);
    r->created_at = sql_text(st, 21);
    r->program = sql_text(st, 22);
    r->verdict = sql_text(st, 23);
    r->verdict_reason = sql_text(st, 24);
    r->marks = sql_text(st, 25);
    r->truncated = has_mark(r->marks, "truncated");
    r->refused = has_mark(r->marks, "refused");
    r->empty = has_mark(r->marks, "empty");
    r->no_think = has_mark(r->marks, "no_think");
    r->repetition = has_mark(r->marks, "repetition");
    r->lossy = sqlite3_column_int(st, 26);
    r->has_seed = sqlite3_column_type(st, 27) != SQLITE_NULL;
    r->seed = (uint64_t)sqlite3_column_int64(st, 27);
    r->n_cached_tokens = count_or_unknown(st, 28);
    r->extra_json = sql_text(st, 29);
}

static uint64_t chain(uint64_t hash, const char *s, size_t n)
{
    uint64_t both[2] = {hash, rng_hash(s, n)};
    return rng_hash(both, sizeof both);
}

/* The schema forbids NULL in these: memory ran out, or the file was tampered with. */
static err_code check_row(sqlite3 *db, const char *path, const struct corpus_row *row,
                          struct err *e)
{
    if (row->prompt && row->reasoning && row->answer && row->finish_reason && row->request &&
        row->teacher && row->created_at && row->program)
        return ERR_OK;
    return sqlite3_errcode(db) == SQLITE_NOMEM
               ? err_set(e, ERR_NOMEM, "%s: out of memory reading trace %lld", path,
                         (long long)row->id)
               : err_set(e, ERR_FORMAT, "%s: trace %lld lacks its texts; restore a copy", path,
                         (long long)row->id);
}

err_code corpus_select_next(struct corpus_select *s, struct corpus_row *row, bool *more,
                            struct err *e)
{
    err_code rc = step(s, more, e);
    if (rc || !*more)
        return rc;
    read_row(s->st, row);
    rc = check_row(s->db, s->path, row, e);
    if (rc) {
        *more = false;
        return rc;
    }
    s->hash = chain(s->hash, row->prompt, row->n_prompt);
    s->hash = chain(s->hash, row->reasoning, row->n_reasoning);
    s->hash = chain(s->hash, row->answer, row->n_answer);
    s->n++;
    return ERR_OK;
}

err_code corpus_select_open_ids(struct corpus *c, const char *selection, const char *hidden,
                                struct corpus_select **out, struct err *e)
{
    return open_with(c, selection, "id", "", hidden, out, e);
}

err_code corpus_select_next_id(struct corpus_select *s, int64_t *id, bool *more, struct err *e)
{
    err_code rc = step(s, more, e);
    *id = *more ? sqlite3_column_int64(s->st, 0) : 0;
    return rc;
}

err_code select_ids_open(struct corpus *c, const char *selection, struct corpus_select **out,
                         struct err *e)
{
    return open_with(c, selection, "id", ORDER, NULL, out, e);
}

err_code row_reader_open(struct row_reader *r, const char *path, struct err *e)
{
    r->path = path;
    err_code rc = sql_connect(path, CORPUS_READ, &r->db, e);
    return rc ? rc
              : sql_prepare(r->db, path, "SELECT " COLUMNS " FROM v_traces WHERE id = ?1", &r->st,
                            e);
}

err_code row_reader_read(struct row_reader *r, int64_t id, struct corpus_row *row, struct err *e)
{
    bool found;
    sqlite3_reset(r->st);
    sqlite3_bind_int64(r->st, 1, id);
    err_code rc = sql_step(r->db, r->path, r->st, "cannot be read", &found, e);
    if (!rc && !found)
        rc = err_set(e, ERR_STATE, "%s: trace %lld vanished while it was read", r->path,
                     (long long)id);
    if (rc)
        return rc;
    read_row(r->st, row);
    return check_row(r->db, r->path, row, e);
}

void row_reader_close(struct row_reader *r)
{
    sqlite3_finalize(r->st);
    sqlite3_close(r->db);
}

uint64_t corpus_select_hash(const struct corpus_select *s)
{
    return s->hash;
}

int64_t corpus_select_count(const struct corpus_select *s)
{
    return s->n;
}

err_code corpus_count(struct corpus *c, const char *selection, int64_t *n, struct err *e)
{
    struct corpus_select *s;
    bool row = false;
    *n = 0;
    err_code rc = open_with(c, selection, "count(*)", "", NULL, &s, e);
    if (!rc)
        rc = step(s, &row, e);
    if (row)
        *n = sqlite3_column_int64(s->st, 0);
    corpus_select_close(s);
    return rc;
}

err_code corpus_explain_none(struct corpus *c, char out[CORPUS_EXPLAIN], struct err *e)
{
    int64_t n, n_correct, n_good;
    err_code rc = corpus_count(c, "all", &n, e);
    if (!rc)
        rc = corpus_count(c, "verdict = 'correct'", &n_correct, e);
    if (!rc)
        rc = corpus_count(c, "correct", &n_good, e);
    if (rc)
        return rc;
    const char *help = "look at the condition";
    if (!n)
        help = "decant generate-traces makes some, decant corpus import --traces brings some";
    else if (!n_correct)
        help = "decant corpus stats says what they are, and --select all takes them";
    else if (!n_good)
        help = "decant corpus stats lists the marks, and --select \"verdict = 'correct'\" takes "
               "the marked too";
    snprintf(out, CORPUS_EXPLAIN,
             "the corpus has %lld trace%s, %lld of them correct, %lld of these "
             "marked; %s",
             (long long)n, n == 1 ? "" : "s", (long long)n_correct, (long long)(n_correct - n_good),
             help);
    return ERR_OK;
}

err_code corpus_count_prompts(struct corpus *c, int64_t *n, struct err *e)
{
    return sql_number(c, "SELECT count(*) FROM prompts", n, e);
}
