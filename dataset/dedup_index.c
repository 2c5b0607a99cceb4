#include "dataset/dedup_index.h"
#include "dataset/words.h"

struct kept {
    int64_t id;
    struct digest digest; /* with the group mixed in */
};
struct dedup_index {
    struct lsh *lsh; /* NULL: exact only */
    struct kept *kept;
    uint32_t *lsh_ids; /* the lsh's numbers to ours: texts without words are not in it */
    uint64_t n, n_lsh, n_slots;
    uint32_t *slots; /* open addressing by digest: 1 + index in kept; 0: free */
};

struct digest digest_of(const struct minhash_text *parts, int n_parts)
{
    struct digest d = {0x243F6A8885A308D3u, 0x13198A2E03707344u};
    uint64_t word;
    for (int i = 0; i < n_parts; i++) {
        struct words w = words_of(parts[i].text, parts[i].n, WORDS_SPACED);
        while (words_next(&w, &word)) {
            d.a = (d.a ^ word) * 0x9E3779B97F4A7C15u;
            d.b = (d.b + word) * 0xD6E8FEB86659FD93u;
            d.b ^= d.b >> 29;
        }
        d.a = words_mix(d.a + 1); /* where a part ends matters */
        d.b = words_mix(d.b + 2);
    }
    return d;
}

void dedup_key_fill(struct dedup_key *k, const struct minhash_text *parts, int n_parts, bool near)
{
    k->digest = digest_of(parts, n_parts);
    k->has_words = near && minhash_of(parts, n_parts, &k->minhash);
}

err_code dedup_index_open(double threshold, int64_t n_most, struct dedup_index **out, struct err *e)
{
    *out = NULL;
    n_most = n_most < 1 ? 1 : n_most;
    if (n_most >= UINT32_MAX)
        return err_set(e, ERR_UNSUPPORTED, "more than 4 billion texts to compare");
    struct dedup_index *x = mem_new(1, sizeof *x, e);
    if (!x)
        return ERR_NOMEM;
    err_code rc = threshold > 0 ? lsh_open(threshold, n_most, &x->lsh, e) : ERR_OK;
    x->n_slots = 2 * (uint64_t)n_most;
    if (!rc) {
        x->kept = mem_new((size_t)n_most, sizeof *x->kept, e);
        x->lsh_ids = x->kept ? mem_new((size_t)n_most, sizeof *x->lsh_ids, e) : NULL;
        x->slots = x->lsh_ids ? mem_new(x->n_slots, sizeof *x->slots, e) : NULL;
        rc = x->slots ? ERR_OK : ERR_NOMEM;
    }
    if (rc) {
        dedup_index_close(x);
        return rc;
    }
    *out = x;
    return ERR_OK;
}

void dedup_index_close(struct dedup_index *x)
{
    if (!x)
        return;
    lsh_close(x->lsh);
    mem_free(x->kept);
    mem_free(x->lsh_ids);
    mem_free(x->slots);
    mem_free(x);
}

size_t dedup_index_bytes(const struct dedup_index *x)
{
    return sizeof *x->kept + 2 * sizeof *x->slots +
           (x->lsh ? lsh_bytes(x->lsh) + sizeof *x->lsh_ids : 0);
}

void dedup_index_shape(const struct dedup_index *x, int *n_bands, int *n_rows)
{
    *n_bands = *n_rows = 0;
    if (x->lsh)
        lsh_shape(x->lsh, n_bands, n_rows);
}

static struct digest in_group(const struct dedup_key *k)
{
    uint64_t g = words_mix(k->group + 0x9E3779B97F4A7C15u);
    return (struct digest){k->digest.a ^ g, k->digest.b + g};
}

/* The slot of d, or the free one where it belongs. */
static uint32_t *find_slot(const struct dedup_index *x, struct digest d)
{
    uint64_t at = words_mix(d.a) % x->n_slots;
    for (;; at = at + 1 == x->n_slots ? 0 : at + 1) {
        uint32_t *slot = &x->slots[at];
        if (!*slot)
            return slot;
        const struct digest *o = &x->kept[*slot - 1].digest;
        if (o->a == d.a && o->b == d.b)
            return slot;
    }
}

bool dedup_index_exact(const struct dedup_index *x, const struct dedup_key *k, int64_t *id)
{
    uint32_t slot = *find_slot(x, in_group(k));
    if (slot)
        *id = x->kept[slot - 1].id;
    return slot != 0;
}

size_t dedup_index_near(struct dedup_index *x, const struct dedup_key *k,
                        struct dedup_near out[LSH_MAX_FOUND], bool *cut)
{
    struct lsh_near found[LSH_MAX_FOUND];
    *cut = false;
    if (!x->lsh || !k->has_words)
        return 0;
    size_t n = lsh_find(x->lsh, &k->minhash, k->group, found, cut);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct dedup_near){x->kept[x->lsh_ids[found[i].i]].id, found[i].similarity};
    return n;
}

void dedup_index_keep(struct dedup_index *x, const struct dedup_key *k)
{
    struct digest d = in_group(k);
    x->kept[x->n++] = (struct kept){k->id, d};
    *find_slot(x, d) = (uint32_t)x->n;
    if (x->lsh && k->has_words) {
        uint32_t i = lsh_add(x->lsh, &k->minhash, k->group);
        x->lsh_ids[i] = (uint32_t)(x->n - 1);
    }
}
