#include "dataset/sql.h"

err_code bulk_begin(struct corpus *c, struct err *e)
{
    /* Fails when another connection has the file open; then the log stays. */
    sqlite3_busy_timeout(c->db, 0);
    sqlite3_exec(c->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (c->bulk.fd < 0)
        c->bulk = passing_begin(c->path);
    return sql_exec(c, "PRAGMA busy_timeout = 10000; PRAGMA cache_size = -262144",
                    "cannot be written", e);
}

void bulk_wrote(struct corpus *c)
{
    passing_written(&c->bulk);
}

err_code bulk_end(struct corpus *c, struct err *e)
{
    return sql_exec(c, "PRAGMA journal_mode = WAL; PRAGMA cache_size = -16384", "cannot be written",
                    e);
}

void bulk_read_begin(struct corpus *c)
{
    if (c->reading.fd < 0)
        c->reading = passing_begin_read(c->path);
    if (sql_number(c, "SELECT max(id) FROM traces", &c->last_id, NULL))
        c->last_id = 0;
}

/* Traces stand in the file in the order of their ids. */
void bulk_read_at(struct corpus *c, int64_t trace_id)
{
    if (trace_id <= 0 || trace_id > c->last_id)
        return;
    double share = (double)trace_id / (double)c->last_id;
    passing_read_to(&c->reading, (uint64_t)(share * (double)c->reading.bytes));
}
