#include "dataset/texts.h"

err_code texts_open(struct texts *t, struct corpus *c, const char *sql, int n_numbers, int n_parts,
                    struct err *e)
{
    *t = (struct texts){.path = c->path, .n_numbers = n_numbers, .n_parts = n_parts};
    t->items = mem_new(TEXTS_MAX_ITEMS, sizeof *t->items, e);
    err_code rc = t->items ? sql_connect(c->path, CORPUS_READ, &t->db, e) : ERR_NOMEM;
    return rc ? rc : sql_prepare(t->db, t->path, sql, &t->st, e);
}

static err_code read_item(struct texts *t, struct text_item *it, struct err *e)
{
    err_code rc = ERR_OK;
    it->id = sqlite3_column_int64(t->st, 0);
    for (int i = 0; i < t->n_numbers; i++)
        it->numbers[i] = sqlite3_column_type(t->st, 1 + i) == SQLITE_NULL
                             ? -1
                             : sqlite3_column_int64(t->st, 1 + i);
    for (int i = 0; i < t->n_parts && !rc; i++) {
        int column = 1 + t->n_numbers + i;
        const char *text = sql_text(t->st, column);
        it->at[i] = t->bytes.len;
        it->n[i] = text ? sql_bytes(t->st, column) : 0;
        rc = text ? buf_add(&t->bytes, text, it->n[i], e)
                  : err_set(e, ERR_NOMEM, "%s: out of memory reading a text of row %lld", t->path,
                            (long long)it->id);
    }
    return rc;
}

err_code texts_next(struct texts *t, struct err *e)
{
    t->n_items = 0;
    buf_clear(&t->bytes);
    while (!t->ended && t->n_items < TEXTS_MAX_ITEMS && t->bytes.len < TEXTS_MAX_BYTES) {
        bool row;
        err_code rc = sql_step(t->db, t->path, t->st, "cannot be read", &row, e);
        if (!rc && row)
            rc = read_item(t, &t->items[t->n_items], e);
        if (rc)
            return rc;
        t->ended = !row;
        t->n_items += row;
    }
    return ERR_OK;
}

struct minhash_text texts_part(const struct texts *t, int i, int part)
{
    const struct text_item *it = &t->items[i];
    return (struct minhash_text){it->n[part] ? t->bytes.data + it->at[part] : "", it->n[part]};
}

void texts_close(struct texts *t)
{
    sqlite3_finalize(t->st);
    sqlite3_close(t->db);
    buf_dispose(&t->bytes);
    mem_free(t->items);
    *t = (struct texts){0};
}
