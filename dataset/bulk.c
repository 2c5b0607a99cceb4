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
