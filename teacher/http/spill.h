/* spill.h: a temporary file for texts that grow long, side by side, for minutes: a thousand chains
 * of thought of 30,000 tokens are 170 MB, of which only the last bytes are ever looked at. A text
 * is made of blocks, which are mapped side by side; what is let go of leaves memory, and comes back
 * by itself when it is read. The file has no name, and is gone with the process.
 *
 *     struct spill *s;
 *     if ((rc = spill_open(dir, most, SPILL_BLOCKS, &s, e))) return rc; // opens no file yet
 *     char *data = spill_reserve(s);                          // room for one text of most bytes
 *     spill_map(s, data + i * SPILL_BLOCK, &block);           // now there is memory
 *     spill_let_go(block, data + i * SPILL_BLOCK, n);         // written, seldom read from now on
 *     spill_give_back(s, block); ... spill_unreserve(s, data);
 *     spill_close(s);                                         // after all texts
 *
 * Nothing is mapped but what the file system has promised room for, so a full disk is never found
 * by writing to memory. What it can't promise, and all where no file can be made or the file system
 * is not known to keep its promises (ext4, XFS and tmpfs do), stays in memory, after one warning.
 * (A disk that fails while a text is read back ends the process, SIGBUS.) What a
 * server says is written as it came, to a file that only this user's processes could have opened.
 */
#ifndef DECANT_TEACHER_HTTP_SPILL_H
#define DECANT_TEACHER_HTTP_SPILL_H

#include "core/base/mem.h"

enum {
    SPILL_BLOCK = 64 << 10,
    SPILL_BLOCKS = 32000 /* 2 GB. Each is a mapping, and Linux gives a process 65,530 */
};
#define SPILL_IN_MEMORY UINT32_MAX /* a block that is in no file */

struct spill;

/* dir: where the file is to be, copied. most: bytes of one text. n_most: blocks of the file that
 * all texts together have at a time; what is more stays in memory. */
err_code spill_open(const char *dir, size_t most, uint32_t n_most, struct spill **out,
                    struct err *e);
void spill_close(struct spill *s);

/* Addresses for a text of the most bytes, without memory. NULL: there are none, or they are limited
 * (ulimit -v). */
char *spill_reserve(const struct spill *s);
/* The blocks are to be given back besides. */
void spill_unreserve(const struct spill *s, char *data);
size_t spill_most(const struct spill *s); /* a multiple of SPILL_BLOCK */

/* Gives the block of addresses at `at` a block of the file, or of memory; what it holds is not
 * defined. False: out of memory. */
bool spill_map(struct spill *s, char *at, uint32_t *block);
/* Its first n bytes are not looked at for now. */
void spill_let_go(uint32_t block, char *at, size_t n);
void spill_give_back(struct spill *s, uint32_t block);

#endif
