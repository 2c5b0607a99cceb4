#include "dataset/sql.h"

#include <string.h>

struct corpus_missing {
    struct corpus *c;
    sqlite3_stmt *next_prompt; /* ?1 cursor, ?2 request, ?3 samples */
    sqlite3_stmt *has_trace;   /* ?1 prompt, ?2 request, ?3 sample */
    int64_t request_id, n_samples;
    int64_t cursor, prompt_id, i_sample; /* i_sample: the next to look at; n_samples: next prompt */
    struct buf prompt, gold;
    bool has_gold;
};

/* Prompts that lack a sample are found one at a time behind the cursor: no read transaction stays
 * open between calls, which would keep the write-ahead log from being recycled. */
#define LACKS                                                                                      \
    "(SELECT count(*) FROM traces t WHERE t.prompt_id = p.id AND t.request_id = ?2 AND "           \
    "t.sample_index < ?3) < ?3 "
static const char next_of_all[] =
    "SELECT p.id, p.id, p.gold, p.text FROM prompts p WHERE p.id > ?1 "
    "AND " LACKS "ORDER BY p.id LIMIT 1";
static const char next_of_wanted[] =
    "SELECT w.seq, p.id, p.gold, p.text FROM temp.wanted w CROSS JOIN prompts p ON p.id = "
    "w.prompt_id WHERE w.seq > ?1 AND " LACKS "ORDER BY w.seq LIMIT 1";
static const char has_trace[] =
    "SELECT 1 FROM traces WHERE prompt_id = ?1 AND request_id = ?2 AND sample_index = ?3";

err_code corpus_missing_open(struct corpus *c, int64_t request_id, int64_t n_samples,
                             enum corpus_scope scope, struct corpus_missing **out, struct err *e)
{
    *out = NULL;
    struct corpus_missing *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    m->c = c;
    m->request_id = request_id;
    m->n_samples = m->i_sample = n_samples;
    err_code rc = sql_prepare(c->db, c->path, scope == CORPUS_ALL ? next_of_all : next_of_wanted,
                              &m->next_prompt, e);
    if (!rc)
        rc = sql_prepare(c->db, c->path, has_trace, &m->has_trace, e);
    if (rc) {
        corpus_missing_close(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void corpus_missing_close(struct corpus_missing *m)
{
    if (!m)
        return;
    sqlite3_finalize(m->next_prompt);
    sqlite3_finalize(m->has_trace);
    buf_dispose(&m->prompt);
    buf_dispose(&m->gold);
    mem_free(m);
}

static err_code copy(struct buf *b, sqlite3_stmt *st, int column, struct err *e)
{
    const char *s = sql_text(st, column);
    buf_clear(b);
    err_code rc = buf_str(b, "", e);
    return rc ? rc : buf_add(b, s ? s : "", sql_bytes(st, column), e);
}

static err_code load_prompt(struct corpus_missing *m, bool *row, struct err *e)
{
    sqlite3_stmt *st = m->next_prompt;
    sqlite3_bind_int64(st, 1, m->cursor);
    sqlite3_bind_int64(st, 2, m->request_id);
    sqlite3_bind_int64(st, 3, m->n_samples);
    err_code rc = sql_step(m->c->db, m->c->path, st, "cannot read prompts", row, e);
    if (rc || !*row)
        return rc;
    m->cursor = sqlite3_column_int64(st, 0);
    m->prompt_id = sqlite3_column_int64(st, 1);
    m->has_gold = sqlite3_column_type(st, 2) != SQLITE_NULL;
    m->i_sample = 0;
    rc = copy(&m->gold, st, 2, e);
    if (!rc)
        rc = copy(&m->prompt, st, 3, e);
    sqlite3_reset(st);
    return rc;
}

err_code corpus_missing_next(struct corpus_missing *m, struct corpus_todo *todo, bool *more,
                             struct err *e)
{
    *more = false;
    for (;;) {
        bool row;
        err_code rc;
        if (m->i_sample >= m->n_samples) {
            rc = load_prompt(m, &row, e);
            if (rc || !row)
                return rc;
        }
        int64_t sample = m->i_sample++;
        sqlite3_bind_int64(m->has_trace, 1, m->prompt_id);
        sqlite3_bind_int64(m->has_trace, 2, m->request_id);
        sqlite3_bind_int64(m->has_trace, 3, sample);
        rc = sql_step(m->c->db, m->c->path, m->has_trace, "cannot read traces", &row, e);
        sqlite3_reset(m->has_trace);
        if (rc)
            return rc;
        if (row)
            continue;
        *todo = (struct corpus_todo){.prompt_id = m->prompt_id,
                                     .sample_index = sample,
                                     .prompt = m->prompt.data,
                                     .n_prompt = m->prompt.len,
                                     .gold = m->has_gold ? m->gold.data : NULL,
                                     .n_gold = m->gold.len};
        *more = true;
        return ERR_OK;
    }
}

err_code corpus_missing_count(struct corpus *c, int64_t request_id, int64_t n_samples,
                              enum corpus_scope scope, int64_t *n_total, int64_t *n_done,
                              struct err *e)
{
    int64_t n_prompts = 0;
    err_code rc = sql_number(c,
                             scope == CORPUS_ALL ? "SELECT count(*) FROM prompts"
                                                 : "SELECT count(*) FROM temp.wanted",
                             &n_prompts, e);
    sqlite3_stmt *st = NULL;
    bool row = false;
    if (!rc)
        rc = sql_prepare(
            c->db, c->path,
            scope == CORPUS_ALL
                ? "SELECT count(*) FROM traces WHERE request_id = ?1 AND sample_index < ?2"
                : "SELECT count(*) FROM temp.wanted w CROSS JOIN traces t ON t.prompt_id = "
                  "w.prompt_id WHERE t.request_id = ?1 AND t.sample_index < ?2",
            &st, e);
    if (!rc) {
        sqlite3_bind_int64(st, 1, request_id);
        sqlite3_bind_int64(st, 2, n_samples);
        rc = sql_step(c->db, c->path, st, "cannot read traces", &row, e);
    }
    *n_done = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    uint64_t total = 0;
    if (!rc && (n_samples < 0 || !mem_mul((uint64_t)n_prompts, (uint64_t)n_samples, &total) ||
                total > INT64_MAX))
        rc = err_set(e, ERR_USAGE, "%lld samples for %lld prompts are too many",
                     (long long)n_samples, (long long)n_prompts);
    *n_total = (int64_t)total;
    return rc;
}
