#include "dataset/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A byte of the database file that no database reaches and SQLite never locks (its own are at
 * 2^30). Nothing needs to be there for it to be locked. */
static const off_t claim_byte = (off_t)1 << 62;

err_code corpus_claim(struct corpus *c, bool alone, bool *claimed, struct err *e)
{
    /* Of the open file, not of the process: those go when any descriptor of the file is closed, and
     * SQLite's are of that kind. So this one stays open until SQLite has closed its own. */
    struct flock lock = {.l_type = alone ? F_WRLCK : F_RDLCK,
                         .l_whence = SEEK_SET,
                         .l_start = claim_byte,
                         .l_len = 1};
    *claimed = false;
    if (c->claim < 0)
        c->claim = open(c->path, O_RDWR | O_CLOEXEC);
    if (c->claim < 0)
        return err_errno(e, "cannot open", c->path);
    *claimed = !fcntl(c->claim, F_OFD_SETLK, &lock);
    return *claimed || errno == EAGAIN || errno == EACCES ? ERR_OK
                                                          : err_errno(e, "cannot lock", c->path);
}
