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
 *     struct passing p = passing_begin_read(path);
 *     while (...) {
 *         ... reads on in the file, through whatever descriptor
 *         passing_read_to(&p, where);
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

/* A file under way. What grows: the system is told to write early what is added to it, and to
 * forget it once it is written, all but the last 256 MB. */
struct passing {
    int fd; /* -1: none */
    uint64_t started, forgotten;
    uint64_t bytes; /* of a file that is read and forgotten */
};
/* From the file's present end on. */
struct passing passing_begin(const char *path);
/* Waits for the disk where it is behind by more than 256 MB. */
void passing_written(struct passing *p);
/* A file that is read by others' means, on the whole from front to back: what is behind is
 * forgotten, where the file is larger than a quarter of the memory and most of it was not cached
 * before (which Linux tells since 6.5). A smaller one may stay for who reads it next. */
struct passing passing_begin_read(const char *path);
/* Reading has come about this far. */
void passing_read_to(struct passing *p, uint64_t offset);
/* Closing a file ends all locks (fcntl) that the process holds on it, through whatever descriptor:
 * not while SQLite has it open. */
void passing_end(struct passing *p);

#endif
