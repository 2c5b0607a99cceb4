#include "core/base/file.h"
#include "core/base/json.h"
#include "dataset/sql.h"
#include "dataset/utf8.h"

#include <string.h>
#include <unistd.h>

err_code corpus_open(const char *path, enum corpus_mode mode, struct corpus **out, struct err *e)
{
    *out = NULL;
    struct corpus *c = mem_new(1, sizeof *c, e);
    if (!c)
        return ERR_NOMEM;
    c->mode = mode;
    c->claim = c->bulk.fd = c->reading.fd = -1;
    c->path = mem_strdup(path, e);
    err_code rc = c->path ? sql_connect(path, mode, &c->db, e) : ERR_NOMEM;
    if (!rc)
        rc = schema_prepare(c, e);
    if (rc) {
        corpus_close(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

void corpus_close(struct corpus *c)
{
    if (!c)
        return;
    for (int i = 0; i < SQL_N_STATEMENTS; i++)
        sqlite3_finalize(c->statements[i]);
    sqlite3_close_v2(c->db);
    if (c->db && c->mode == CORPUS_READ)
        sql_tidy(c->path);
    passing_end(&c->bulk);
    passing_end(&c->reading);
    if (c->claim >= 0)
        close(c->claim);
    buf_dispose(&c->scratch);
    buf_dispose(&c->scratch2);
    json_arena_dispose(&c->arena);
    mem_free(c->path);
    mem_free(c);
}

/* What a full disk has kept SQLite from folding into a file that is gone. */
static void remove_log(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm"};
    struct buf name = {0};
    for (int i = 0; i < 2 && path && !file_exists(path); i++) {
        buf_clear(&name);
        if (!buf_str(&name, path, NULL) && !buf_str(&name, ends[i], NULL))
            unlink(name.data);
    }
    buf_dispose(&name);
}

void corpus_discard(struct corpus *c)
{
    int64_t n = 1;
    char *gone = NULL;
    if (c && c->made && !sql_number(c, "SELECT count(*) FROM prompts", &n, NULL) && !n) {
        /* gone while the file is still locked by this connection's close */
        sqlite3_exec(c->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
        unlink(c->path);
        gone = mem_strdup(c->path, NULL);
    }
    corpus_close(c);
    remove_log(gone);
    mem_free(gone);
}

const char *corpus_path(const struct corpus *c)
{
    return c->path;
}

err_code corpus_begin(struct corpus *c, struct err *e)
{
    /* IMMEDIATE takes the write lock now, where waiting for it is possible. */
    corpus_waits(c, true);
    err_code rc = sql_exec(c, "BEGIN IMMEDIATE", "cannot be written", e);
    corpus_waits(c, false);
    return rc;
}

err_code corpus_commit(struct corpus *c, struct err *e)
{
    return sql_exec(c, "COMMIT", "cannot be written", e);
}

void corpus_rollback(struct corpus *c)
{
    if (!sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The canonical text of a prompt (corpus.h says what that is). */
static err_code canonical_prompt(const char *s, size_t n, struct buf *out, struct err *e)
{
    while (n && is_space(*s)) {
        s++;
        n--;
    }
    while (n && is_space(s[n - 1]))
        n--;
    buf_clear(out);
    err_code rc = ERR_OK;
    while (n && !rc) {
        const char *cr = memchr(s, '\r', n);
        size_t line = cr ? (size_t)(cr - s) : n;
        rc = utf8_repair(out, s, line, e);
        s += line;
        n -= line;
        if (cr && !rc) {
            size_t skip = n > 1 && s[1] == '\n' ? 2 : 1;
            rc = buf_str(out, "\n", e);
            s += skip;
            n -= skip;
        }
    }
    return rc;
}

/* The prompt is there already: its id, and its gold answer when it had none. */
static err_code known_prompt(struct corpus *c, const struct buf *text, const struct buf *gold,
                             int64_t *id, bool *conflict, struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    err_code rc = sql_get(c, SQL_FIND_PROMPT, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_text64(st, 1, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
    rc = sql_step(c->db, c->path, st, "cannot read a prompt", &row, e);
    if (rc)
        return rc;
    if (!row)
        return err_set(e, ERR_STATE, "%s: a prompt vanished while it was added", c->path);
    *id = sqlite3_column_int64(st, 0);
    const char *old = sql_text(st, 1);
    bool fill = gold && !old;
    *conflict = gold && old && strcmp(old, gold->data) != 0;
    sqlite3_reset(st);
    if (!fill)
        return ERR_OK;
    rc = sql_get(c, SQL_SET_GOLD, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, *id);
    sqlite3_bind_text64(st, 2, gold->data, gold->len, SQLITE_STATIC, SQLITE_UTF8);
    c->n_golds_filled++;
    return sql_run(c, st, "cannot add a gold answer", e);
}

err_code corpus_add_prompt(struct corpus *c, const struct corpus_prompt *p, int64_t *id,
                           bool *added, bool *conflict, struct err *e)
{
    struct buf *text = &c->scratch, *gold = p->gold ? &c->scratch2 : NULL;
    bool unused;
    conflict = conflict ? conflict : &unused;
    *conflict = *added = false;
    err_code rc = canonical_prompt(p->text, p->n_text, text, e);
    if (!rc && !text->len)
        rc = err_set(e, ERR_USAGE, "%s: a prompt is empty", c->path);
    if (!rc && gold) {
        buf_clear(gold);
        rc = utf8_repair(gold, p->gold, p->n_gold, e);
        if (!rc)
            rc = buf_str(gold, "", e);
    }
    if (!rc)
        rc = sql_check_json(c, "extra_json of a prompt", p->extra_json, e);
    sqlite3_stmt *st;
    if (!rc)
        rc = sql_get(c, SQL_ADD_PROMPT, &st, e);
    if (rc)
        return rc;
    if (gold)
        sqlite3_bind_text64(st, 1, gold->data, gold->len, SQLITE_STATIC, SQLITE_UTF8);
    sql_bind_text(st, 2, p->source);
    sql_bind_text(st, 3, p->extra_json);
    sqlite3_bind_text64(st, 4, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
    sql_bind_now(c, st, 5);
    rc = sql_run(c, st, "cannot add a prompt", e);
    if (rc)
        return rc;
    *added = sqlite3_changes(c->db) > 0;
    if (!*added)
        return known_prompt(c, text, gold, id, conflict, e);
    *id = sqlite3_last_insert_rowid(c->db);
    return ERR_OK;
}

err_code corpus_want(struct corpus *c, int64_t prompt_id, struct err *e)
{
    sqlite3_stmt *st;
    err_code rc = sql_get(c, SQL_WANT, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, prompt_id);
    return sql_run(c, st, "cannot note a prompt", e);
}

err_code corpus_request(struct corpus *c, const char *json, int64_t *id, struct err *e)
{
    struct json j;
    const char *teacher = NULL;
    bool row = false;
    struct buf *text = &c->scratch;
    buf_clear(text);
    err_code rc = corpus_canonical_json("request", json, strlen(json), text, e);
    if (rc)
        return rc;
    rc = json_parse(&j, "request", text->data, text->len, e);
    if (!rc)
        rc = json_str(&j, j.root, "teacher", &teacher, e);
    sqlite3_stmt *st;
    if (!rc)
        rc = sql_get(c, SQL_ADD_REQUEST, &st, e);
    if (!rc) {
        sql_bind_text(st, 1, teacher);
        sqlite3_bind_text64(st, 2, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
        rc = sql_run(c, st, "cannot add a request", e);
    }
    if (!rc)
        rc = sql_get(c, SQL_FIND_REQUEST, &st, e);
    if (!rc) {
        sqlite3_bind_text64(st, 1, text->data, text->len, SQLITE_STATIC, SQLITE_UTF8);
        rc = sql_step(c->db, c->path, st, "cannot read a request", &row, e);
    }
    if (row) {
        *id = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    } else if (!rc)
        rc = err_set(e, ERR_STATE, "%s: a request vanished while it was added", c->path);
    json_close(&j);
    return rc;
}
