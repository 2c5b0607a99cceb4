#include "dataset/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the database file that no database reaches and SQLite never locks (its own are at
 * 2^30). Nothing needs to be there for them to be locked. */
static const off_t claim_byte = (off_t)1 << 62, waiting_byte = ((off_t)1 << 62) + 1;
/* SQLite looks every 100 ms whether it may write. */
static const struct timespec turn = {.tv_nsec = 150000000};

/* Locks of the open file, not of the process: those go when any descriptor of the file is closed,
 * and SQLite's are of that kind. So this one stays open until SQLite has closed its own. */
static struct flock lock_of(off_t byte, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static bool open_claim(struct corpus *c)
{
    if (c->claim < 0)
        c->claim = open(c->path, O_RDWR | O_CLOEXEC);
    return c->claim >= 0;
}

err_code corpus_claim(struct corpus *c, bool alone, bool *claimed, struct err *e)
{
    struct flock lock = lock_of(claim_byte, alone ? F_WRLCK : F_RDLCK);
    *claimed = false;
    if (!open_claim(c))
        return err_errno(e, "cannot open", c->path);
    *claimed = !fcntl(c->claim, F_OFD_SETLK, &lock);
    return *claimed || errno == EAGAIN || errno == EACCES ? ERR_OK
                                                          : err_errno(e, "cannot lock", c->path);
}

void corpus_waits(struct corpus *c, bool waits)
{
    struct flock lock = lock_of(waiting_byte, waits ? F_RDLCK : F_UNLCK);
    if (open_claim(c))
        fcntl(c->claim, F_OFD_SETLK, &lock);
}

void corpus_give_turn(struct corpus *c)
{
    struct flock lock = lock_of(waiting_byte, F_WRLCK);
    if (c->claim >= 0 && !fcntl(c->claim, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK)
        nanosleep(&turn, NULL);
}
