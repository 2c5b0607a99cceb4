#include "core/base/passing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

enum { STEP = 16 << 20, BEHIND = 256 << 20 };

ssize_t passing_read(int fd, void *to, size_t n)
{
    struct iovec v = {to, n};
    ssize_t got = preadv2(fd, &v, 1, -1, RWF_DONTCACHE);
    /* a system or a kind of file that does not know it */
    return got < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) ? read(fd, to, n)
                                                                                  : got;
}

struct passing passing_begin(const char *path)
{
    struct passing p = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct stat st;
    if (p.fd >= 0 && !fstat(p.fd, &st))
        p.started = p.forgotten = (uint64_t)st.st_size / STEP * STEP;
    return p;
}

void passing_written(struct passing *p)
{
    struct stat st;
    if (p->fd < 0 || fstat(p->fd, &st))
        return;
    for (; p->started + STEP <= (uint64_t)st.st_size; p->started += STEP)
        sync_file_range(p->fd, (off_t)p->started, STEP, SYNC_FILE_RANGE_WRITE);
    for (; p->forgotten + BEHIND <= p->started; p->forgotten += STEP) {
        /* what is not written yet is not forgotten; an error comes to whoever calls fsync */
        sync_file_range(p->fd, (off_t)p->forgotten, STEP, SYNC_FILE_RANGE_WAIT_BEFORE);
        posix_fadvise(p->fd, (off_t)p->forgotten, STEP, POSIX_FADV_DONTNEED);
    }
}

void passing_end(struct passing *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}
