#include "teacher/http/spill.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

struct spill {
    char *dir;
    size_t most;
    int fd; /* -1: none yet */
    bool failed, warned;
    uint32_t n_most; /* blocks that texts may have */
    uint32_t n;      /* blocks in the file */
    uint32_t *free;  /* n_free: those of them that no text has; room for n */
    uint32_t n_free, cap;
};

err_code spill_open(const char *dir, size_t most, uint32_t n_most, struct spill **out,
                    struct err *e)
{
    struct spill *s = mem_new(1, sizeof *s, e);
    *out = s;
    if (!s)
        return ERR_NOMEM;
    s->fd = -1;
    s->n_most = n_most;
    s->most = (most + SPILL_BLOCK - 1) / SPILL_BLOCK * SPILL_BLOCK;
    s->dir = mem_strdup(dir, e);
    if (s->dir)
        return ERR_OK;
    spill_close(s);
    *out = NULL;
    return ERR_NOMEM;
}

void spill_close(struct spill *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    mem_free(s->free);
    mem_free(s->dir);
    mem_free(s);
}

size_t spill_most(const struct spill *s)
{
    return s->most;
}

static rlim_t limit(int resource)
{
    struct rlimit l;
    return getrlimit(resource, &l) ? RLIM_INFINITY : l.rlim_cur;
}

char *spill_reserve(const struct spill *s)
{
    if (limit(RLIMIT_AS) != RLIM_INFINITY) /* what is reserved counts */
        return NULL;
    void *p = mmap(NULL, s->most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void spill_unreserve(const struct spill *s, char *data)
{
    munmap(data, s->most);
}

#ifdef __linux__
/* Does the file system of dir keep its promises? Those that copy on write (btrfs, ZFS) need room
 * again for each byte that is changed, and SIGBUS is how they say that there is none; those of
 * other machines may lose what was written. */
static bool keeps_promises(const char *dir)
{
    struct statfs fs;
    if (statfs(dir, &fs))
        return false;
    if (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC)
        return true;
    errno = EOPNOTSUPP;
    return false;
}

/* A file without a name in dir. All of these file systems have such files. */
static int open_nameless(const char *dir)
{
    return keeps_promises(dir) ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
}

/* fallocate and not posix_fallocate, which promises nothing where the file system can't. */
static bool promise(int fd, uint64_t block)
{
    if ((block + 1) * SPILL_BLOCK > limit(RLIMIT_FSIZE)) { /* to try would be SIGXFSZ */
        errno = EFBIG;
        return false;
    }
    return !fallocate(fd, 0, (off_t)(block * SPILL_BLOCK), SPILL_BLOCK);
}
#else
static int open_nameless(const char *dir)
{
    (void)dir;
    errno = ENOSYS;
    return -1;
}

static bool promise(int fd, uint64_t block)
{
    (void)fd, (void)block;
    return false;
}
#endif

static void warn(struct spill *s)
{
    if (!s->warned)
        log_warn("long answers stay in memory while they arrive: no room for them in %s: %s",
                 s->dir, strerror(errno));
    s->warned = true;
}

/* A block of the file with room promised for it; false: there is none. */
static bool take(struct spill *s, uint32_t *block)
{
    if (s->n - s->n_free >= s->n_most) {
        errno = EFBIG;
        warn(s);
        return false;
    }
    if (s->n_free > 0) {
        *block = s->free[--s->n_free];
        return true;
    }
    if (s->failed)
        return false;
    if (s->n == s->cap) { /* so that giving back needs no memory */
        uint32_t cap = 2 * s->cap + 64;
        if (mem_grow((void **)&s->free, cap, sizeof *s->free, NULL))
            return false;
        s->cap = cap;
    }
    if (s->fd < 0 && (s->fd = open_nameless(s->dir)) < 0)
        s->failed = true;
    if (s->failed || !promise(s->fd, s->n)) {
        warn(s);
        return false;
    }
    *block = s->n++;
    return true;
}

bool spill_map(struct spill *s, char *at, uint32_t *block)
{
    if (take(s, block)) {
        off_t offset = (off_t)((uint64_t)*block * SPILL_BLOCK);
        if (mmap(at, SPILL_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->fd, offset) !=
            MAP_FAILED)
            return true;
        spill_give_back(s, *block);
        /* Linux before 6.12 may have unmapped what was there: others must not move in */
        mmap(at, SPILL_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    *block = SPILL_IN_MEMORY;
    return !mprotect(at, SPILL_BLOCK, PROT_READ | PROT_WRITE);
}

void spill_let_go(uint32_t block, char *at, size_t n)
{
    if (block != SPILL_IN_MEMORY) /* the file keeps it */
        madvise(at, n, MADV_DONTNEED);
}

void spill_give_back(struct spill *s, uint32_t block)
{
    if (block != SPILL_IN_MEMORY)
        s->free[s->n_free++] = block;
}
