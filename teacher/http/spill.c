#include "teacher/http/spill.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct spill {
    char *dir;
    size_t most;
    int fd; /* -1: none yet */
    bool failed, warned;
    uint32_t n;     /* blocks in the file */
    uint32_t *free; /* n_free: those of them that no text has; room for n */
    uint32_t n_free, cap;
};

err_code spill_open(const char *dir, size_t most, struct spill **out, struct err *e)
{
    struct spill *s = mem_new(1, sizeof *s, e);
    *out = s;
    if (!s)
        return ERR_NOMEM;
    s->fd = -1;
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

char *spill_reserve(const struct spill *s)
{
    void *p = mmap(NULL, s->most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void spill_unreserve(const struct spill *s, char *data)
{
    munmap(data, s->most);
}

#ifdef __linux__
/* A file without a name in dir. */
static int open_nameless(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char name[4096];
    if (fd >= 0 || snprintf(name, sizeof name, "%s/.decant-XXXXXX", dir) >= (int)sizeof name)
        return fd;
    fd = mkostemp(name, O_CLOEXEC); /* file systems without such files */
    if (fd >= 0)
        unlink(name);
    return fd;
}

/* fallocate and not posix_fallocate, which promises nothing where the file system can't. */
static bool promise(int fd, uint64_t block)
{
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
    if (s->n_free > 0) {
        *block = s->free[--s->n_free];
        return true;
    }
    if (s->failed || s->n == SPILL_IN_MEMORY)
        return false;
    if (s->n == s->cap) { /* so that giving back needs no memory */
        uint32_t cap = s->cap < UINT32_MAX / 2 ? 2 * s->cap + 64 : UINT32_MAX;
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
    }
    *block = SPILL_IN_MEMORY;
    return mmap(at, SPILL_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                -1, 0) != MAP_FAILED;
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
