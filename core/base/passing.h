/* Files of gigabytes that are read or written once, from front to back: they pass through the page
 * cache and do not fill it. The memory that they pass through is used again and again, which on a
 * virtual machine, whose free memory its host has taken back, costs a fraction of what fresh memory
 * does (docs/performance.md); and what is cached of other files stays.
 *
 *     char *buf = mem_alloc(PASSING_READ_BYTES, e);
 *     while ((n = passing_read(fd, buf, PASSING_READ_BYTES)) > 0)
 *         ...
 *
 *     struct passing p = passing_begin(path);
 *     while (...) {
 *         ... writes more to the file, through whatever descriptor
 *         passing_written(&p);
 *     }
 *     passing_end(&p);
 *
 * All of it is advice to the system: where it is not taken, the file is read and written as usual.
 */
#ifndef DECANT_BASE_PASSING_H
#define DECANT_BASE_PASSING_H

#include <stdint.h>
#include <sys/types.h>

/* The cache's largest unit: of a smaller piece's unit the rest would be read from the disk again.
 */
enum { PASSING_READ_BYTES = 2 << 20 };

/* read(2) that leaves nothing in the page cache (Linux 6.14); what was there before stays. */
ssize_t passing_read(int fd, void *to, size_t n);

/* A file that grows: the system is told to write early what is added to it, and to forget it once
 * it is written, all but the last 256 MB. */
struct passing {
    int fd; /* -1: none */
    uint64_t started, forgotten;
};
/* From the file's present end on. */
struct passing passing_begin(const char *path);
/* Waits for the disk where it is behind by more than 256 MB. */
void passing_written(struct passing *p);
/* Closing a file ends all locks (fcntl) that the process holds on it, through whatever descriptor:
 * not while SQLite has it open. */
void passing_end(struct passing *p);

#endif
