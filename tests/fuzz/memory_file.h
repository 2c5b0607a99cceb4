/* A file in memory with a path, for readers that open paths: written and patched fast, many
 * thousand times a second. */
#ifndef DECANT_TESTS_MEMORY_FILE_H
#define DECANT_TESTS_MEMORY_FILE_H

#include "core/base/file.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct memory_file {
    int fd;
    char path[64];
};

static inline void memory_file_set(struct memory_file *f, const void *data, size_t n)
{
    if (!f->path[0]) {
        f->fd = memfd_create("decant-test", MFD_CLOEXEC);
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    }
    if (f->fd < 0 || ftruncate(f->fd, 0) || pwrite(f->fd, data, n, 0) != (ssize_t)n)
        abort();
}

static inline void memory_file_patch(struct memory_file *f, size_t at, uint8_t byte)
{
    if (pwrite(f->fd, &byte, 1, (off_t)at) != 1)
        abort();
}

#endif
