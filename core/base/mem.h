/* Memory: allocation with checked sizes, and a growable byte buffer. */
#ifndef DECANT_BASE_MEM_H
#define DECANT_BASE_MEM_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n × size bytes, zeroed, aligned to 64; NULL with e filled when the product overflows or memory
 * is short. n × size == 0 gives a valid pointer. Freed with mem_free. Large blocks take no memory
 * until they are touched. */
void *mem_new(size_t n, size_t size, struct err *e);

/* realloc with a checked product; on failure *p stays valid. New bytes are not zeroed. */
err_code mem_grow(void **p, size_t n, size_t size, struct err *e);

void mem_free(void *p);

/* From now on memory that is freed stays with the process, up to 64 MB in each of malloc's arenas,
 * for work that takes and frees as much for each of a million texts. glibc would hand it back and
 * ask for it again several times a text, and each time stop all threads to tell them so. */
void mem_keep_freed(void);

/* A copy of s (n bytes, NUL added); NULL with e filled when memory is short. */
char *mem_strndup(const char *s, size_t n, struct err *e);
char *mem_strdup(const char *s, struct err *e);

/* *out = a + b or a * b; false when that does not fit. For sizes and offsets out of files. */
bool mem_add(uint64_t a, uint64_t b, uint64_t *out);
bool mem_mul(uint64_t a, uint64_t b, uint64_t *out);

/* A growable byte string. Zero-initialise; data is NUL-terminated once anything was added. */
struct buf {
    char *data;
    size_t len, cap;
};
err_code buf_reserve(struct buf *b, size_t more, struct err *e);
err_code buf_add(struct buf *b, const void *data, size_t n, struct err *e);
err_code buf_str(struct buf *b, const char *s, struct err *e);
err_code buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void buf_clear(struct buf *b); /* length 0, memory kept */
void buf_dispose(struct buf *b);

#endif
