#include "dataset/lsh.h"
#include "dataset/words.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { MAX_BANDS = 64, NONE = 0 };

/* One signature's row in the index: group, signature, then the next one of each band's chain. A
 * search touches these together. Chains are numbered from 1; 0 ends them. */
struct entry {
    uint64_t group;
    struct minhash m;
    uint32_t seen; /* the last search that looked at it */
    uint32_t next[];
};

struct lsh {
    int n_bands, n_rows;
    double least; /* estimates below this are no candidates */
    uint64_t n_most, n;
    size_t entry_bytes;
    char *entries;
    uint32_t *heads; /* [n_bands][n_most] */
    uint32_t search;
};

static double missed(double j, int n_bands, int n_rows)
{
    return pow(1 - pow(j, n_rows), n_bands);
}

static void choose_bands(double threshold, int *n_bands, int *n_rows)
{
    const double most_missed = 1.0 / 300;
    *n_rows = 2;
    for (int rows = 3; rows <= 16; rows++)
        if (missed(threshold, MINHASH_N / rows, rows) < most_missed)
            *n_rows = rows;
    *n_bands = MINHASH_N / *n_rows;
}

err_code lsh_open(double threshold, int64_t n_most, struct lsh **out, struct err *e)
{
    *out = NULL;
    if (!(threshold >= 0.5 && threshold <= 1))
        return err_set(e, ERR_USAGE, "threshold %g: should be from 0.5 to 1", threshold);
    if (n_most < 1)
        n_most = 1;
    if (n_most >= UINT32_MAX)
        return err_set(e, ERR_UNSUPPORTED, "more than 4 billion texts to compare");
    struct lsh *l = mem_new(1, sizeof *l, e);
    if (!l)
        return ERR_NOMEM;
    l->n_most = (uint64_t)n_most;
    choose_bands(threshold, &l->n_bands, &l->n_rows);
    l->least = threshold - 4 * sqrt(threshold * (1 - threshold) / MINHASH_N);
    size_t bytes = sizeof(struct entry) + (size_t)l->n_bands * sizeof(uint32_t);
    l->entry_bytes = (bytes + 7) / 8 * 8;
    l->entries = mem_new(l->n_most, l->entry_bytes, e);
    if (l->entries)
        l->heads = mem_new(l->n_most, (size_t)l->n_bands * sizeof *l->heads, e);
    if (!l->heads) {
        lsh_close(l);
        return ERR_NOMEM;
    }
    *out = l;
    return ERR_OK;
}

void lsh_close(struct lsh *l)
{
    if (!l)
        return;
    mem_free(l->entries);
    mem_free(l->heads);
    mem_free(l);
}

void lsh_shape(const struct lsh *l, int *n_bands, int *n_rows)
{
    *n_bands = l->n_bands;
    *n_rows = l->n_rows;
}

size_t lsh_bytes(const struct lsh *l)
{
    return l->entry_bytes + (size_t)l->n_bands * sizeof *l->heads;
}

static struct entry *entry_at(const struct lsh *l, uint32_t number)
{
    return (struct entry *)(l->entries + (size_t)(number - 1) * l->entry_bytes);
}

/* Where band b's chain of signatures like m begins. */
static uint32_t *head_of(const struct lsh *l, const struct minhash *m, uint64_t group, int b)
{
    uint64_t h = group * 0x9E3779B97F4A7C15u + (uint64_t)b;
    const uint8_t *row = m->at + b * l->n_rows;
    for (int i = 0; i < l->n_rows; i++)
        h = (h ^ row[i]) * 0x100000001B3u;
    h = words_mix(h) >> 32;
    return &l->heads[(uint64_t)b * l->n_most + h * l->n_most / ((uint64_t)1 << 32)];
}

/* Keeps out sorted: the most alike first, then the first added; the last falls out when full. */
static size_t keep(struct lsh_near *out, size_t n, struct lsh_near new)
{
    size_t at = n;
    while (at && (out[at - 1].similarity < new.similarity ||
                  (out[at - 1].similarity == new.similarity &&out[at - 1].i > new.i)))
        at--;
    if (at == LSH_MAX_FOUND)
        return n;
    n = n < LSH_MAX_FOUND ? n + 1 : n;
    memmove(out + at + 1, out + at, (n - at - 1) * sizeof *out);
    out[at] = new;
    return n;
}

size_t lsh_find(struct lsh *l, const struct minhash *m, uint64_t group,
                struct lsh_near out[LSH_MAX_FOUND], bool *cut)
{
    size_t n = 0;
    if (cut)
        *cut = false;
    if (++l->search == 0) { /* after 4 billion searches: forget what was seen */
        for (uint32_t k = 1; k <= l->n; k++)
            entry_at(l, k)->seen = 0;
        l->search = 1;
    }
    for (int b = 0; b < l->n_bands; b++) {
        uint32_t at = *head_of(l, m, group, b);
        for (int length = 0; at != NONE; length++) {
            if (length == LSH_MAX_CHAIN) {
                if (cut)
                    *cut = true;
                break;
            }
            struct entry *o = entry_at(l, at);
            uint32_t number = at;
            at = o->next[b];
            if (o->seen == l->search || o->group != group ||
                memcmp(o->m.at + b * l->n_rows, m->at + b * l->n_rows, (size_t)l->n_rows) != 0)
                continue;
            o->seen = l->search;
            double similarity = minhash_similarity(m, &o->m);
            if (similarity >= l->least)
                n = keep(out, n, (struct lsh_near){number - 1, (float)similarity});
        }
    }
    return n;
}

uint32_t lsh_add(struct lsh *l, const struct minhash *m, uint64_t group)
{
    assert(l->n < l->n_most);
    uint32_t number = (uint32_t)++l->n;
    struct entry *o = entry_at(l, number);
    o->group = group;
    o->m = *m;
    for (int b = 0; b < l->n_bands; b++) {
        uint32_t *head = head_of(l, m, group, b);
        o->next[b] = *head;
        *head = number;
    }
    return number - 1;
}
