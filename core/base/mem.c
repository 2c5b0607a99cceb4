#include "core/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

enum { LAZY_BYTES = 1 << 20 }; /* blocks from this size on are zeroed by the kernel, on touch */

bool mem_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

bool mem_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static err_code no_memory(struct err *e, size_t n, size_t size)
{
    return err_set(e, ERR_NOMEM, "out of memory: %zu x %zu bytes could not be had", n, size);
}

/* Zeroes fresh memory. Of a large block, whole pages are handed back to the kernel, which gives
 * zeroed ones on first touch (private anonymous memory, madvise(2)): an untouched cache of
 * gigabytes costs nothing. */
static void zero(void *p, size_t bytes)
{
#ifdef __linux__
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *first = (char *)(((uintptr_t)p + page - 1) / page * page);
    char *last = (char *)(((uintptr_t)p + bytes) / page * page);
    if (bytes >= LAZY_BYTES && madvise(first, (size_t)(last - first), MADV_DONTNEED) == 0) {
        memset(p, 0, (size_t)(first - (char *)p));
        memset(last, 0, (size_t)((char *)p + bytes - last));
        return;
    }
#endif
    memset(p, 0, bytes);
}

void *mem_new(size_t n, size_t size, struct err *e)
{
    uint64_t total;
    if (!mem_mul(n, size, &total) || total > PTRDIFF_MAX - 64) {
        no_memory(e, n, size);
        return NULL;
    }
    size_t bytes = (total + 63) / 64 * 64;
    if (bytes == 0)
        bytes = 64;
    void *p = aligned_alloc(64, bytes);
    if (!p) {
        no_memory(e, n, size);
        return NULL;
    }
    zero(p, bytes);
    return p;
}

err_code mem_grow(void **p, size_t n, size_t size, struct err *e)
{
    uint64_t total;
    if (!mem_mul(n, size, &total) || total > PTRDIFF_MAX)
        return no_memory(e, n, size);
    void *q = realloc(*p, total ? total : 1);
    if (!q)
        return no_memory(e, n, size);
    *p = q;
    return ERR_OK;
}

void mem_free(void *p)
{
    free(p);
}

void mem_keep_freed(void)
{
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 8 << 20); /* the first call fixes it, at 128 kB */
#endif
}

char *mem_strndup(const char *s, size_t n, struct err *e)
{
    char *p = malloc(n + 1);
    if (!p) {
        no_memory(e, n, 1);
        return NULL;
    }
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *mem_strdup(const char *s, struct err *e)
{
    return mem_strndup(s, strlen(s), e);
}

err_code buf_reserve(struct buf *b, size_t more, struct err *e)
{
    uint64_t need;
    if (!mem_add(b->len, more, &need) || need >= PTRDIFF_MAX)
        return no_memory(e, more, 1);
    if (++need <= b->cap)
        return ERR_OK;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2;
    err_code rc = mem_grow((void **)&b->data, cap, 1, e);
    if (rc == ERR_OK)
        b->cap = cap;
    return rc;
}

err_code buf_add(struct buf *b, const void *data, size_t n, struct err *e)
{
    err_code rc = buf_reserve(b, n, e);
    if (rc)
        return rc;
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
    return ERR_OK;
}

err_code buf_str(struct buf *b, const char *s, struct err *e)
{
    return buf_add(b, s, strlen(s), e);
}

err_code buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    err_code rc = buf_reserve(b, (size_t)n, e);
    if (rc)
        return rc;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return ERR_OK;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}

void buf_dispose(struct buf *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}
