#include "core/base/passing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* of all architectures but Alpha */
#endif

enum { STEP = 16 << 20, BEHIND = 256 << 20, READ_BEHIND = 64 << 20 };

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

/* Is less than half of the file cached? false where the system does not tell. */
static bool is_cold(int fd, uint64_t bytes)
{
    struct {
        uint64_t at, n;
    } range = {0, 0}; /* all of it */
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted; /* pages */
    } stat = {0};
    return !syscall(SYS_cachestat, fd, &range, &stat, 0) &&
           stat.cached < bytes / 2 / (uint64_t)sysconf(_SC_PAGESIZE);
}

struct passing passing_begin_read(const char *path)
{
    struct passing p = {.fd = -1};
    struct stat st;
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (stat(path, &st) || (uint64_t)st.st_size <= memory / 4)
        return p;
    p.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (p.fd >= 0 && is_cold(p.fd, (uint64_t)st.st_size))
        p.bytes = (uint64_t)st.st_size; /* else it stays open all the same: see passing_end */
    return p;
}

void passing_read_to(struct passing *p, uint64_t offset)
{
    for (; p->bytes && p->forgotten + STEP + READ_BEHIND <= offset; p->forgotten += STEP)
        posix_fadvise(p->fd, (off_t)p->forgotten, STEP, POSIX_FADV_DONTNEED);
}

void passing_end(struct passing *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}
