/* text.h: text that grows as it arrives. Like struct buf, but made for a thousand long texts that
 * grow side by side: from 1 kB on the bytes lie in a mapping of their own, which grows in place or
 * moves without a copy, leaves no holes in the heap, and takes no memory where nothing was written.
 * With a spill (spill.h), what is longer than SPILL_BLOCK goes to its file, and only its end is in
 * memory; the bytes can be read and changed as ever.
 *
 *     struct text t = {.spill = s};                // NULL: memory alone
 *     char *room = text_room(&t, n, e);            // n bytes to write to; NULL: out of memory
 *     t.len += written;
 *     text_dispose(&t);
 */
#ifndef DECANT_TEACHER_HTTP_TEXT_H
#define DECANT_TEACHER_HTTP_TEXT_H

#include "teacher/http/spill.h"

struct text {
    char *data; /* NULL while nothing was ever added; not NUL-terminated */
    size_t len, cap;
    bool mapped;
    struct spill *spill; /* the owner's; to be set while the text is empty */
    uint32_t *blocks;    /* of the spill, cap / SPILL_BLOCK; NULL: the text is in memory */
};

char *text_room(struct text *t, size_t n, struct err *e);
err_code text_add(struct text *t, const void *data, size_t n, struct err *e);
/* Length 0; memory beyond keep bytes is given back. */
void text_clear(struct text *t, size_t keep);
void text_dispose(struct text *t); /* the spill stays set */

#endif
