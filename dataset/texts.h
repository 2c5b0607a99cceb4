/* Texts of a corpus in batches, for threads to look at: read in one snapshot on a connection of its
 * own, so that nobody who writes waits. Memory is that of a batch.
 *
 *     struct texts t;
 *     rc = texts_open(&t, c, "SELECT id, text FROM prompts", 0, 1, e);
 *     while (!rc && !(rc = texts_next(&t, e)) && t.n_items)
 *         #pragma omp parallel for
 *         for (int i = 0; i < t.n_items; i++) ...t.items[i].id, texts_part(&t, i, 0)...
 *     texts_close(&t);
 */
#ifndef DECANT_DATASET_TEXTS_H
#define DECANT_DATASET_TEXTS_H

#include "dataset/minhash.h"
#include "dataset/sql.h"

enum {
    TEXTS_MAX_ITEMS = 256,
    TEXTS_MAX_BYTES = 16 << 20,
    TEXTS_MAX_PARTS = 2,
    TEXTS_MAX_NUMBERS = 2
};

struct text_item {
    int64_t id;
    int64_t numbers[TEXTS_MAX_NUMBERS]; /* -1 for NULL */
    size_t at[TEXTS_MAX_PARTS], n[TEXTS_MAX_PARTS];
};
struct texts {
    sqlite3 *db;
    sqlite3_stmt *st;
    const char *path;
    int n_numbers, n_parts;
    struct text_item *items;
    int n_items;
    struct buf bytes;
    bool ended;
};
/* sql gives an id, then n_numbers whole numbers, then n_parts texts. */
err_code texts_open(struct texts *t, struct corpus *c, const char *sql, int n_numbers, int n_parts,
                    struct err *e);
/* The next batch; n_items is 0 at the end. */
err_code texts_next(struct texts *t, struct err *e);
struct minhash_text texts_part(const struct texts *t, int i, int part);
void texts_close(struct texts *t);

#endif
