#include "core/base/names.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

err_code names_reserve(struct names *x, int64_t n, struct err *e)
{
    if (n > INT32_MAX)
        return err_set(e, ERR_NOMEM, "%lld names are more than one table holds", (long long)n);
    uint64_t n_slots = 4;
    while (3 * n_slots < 4 * (uint64_t)n)
        n_slots *= 2;
    err_code rc = mem_grow((void **)&x->refs, (size_t)n, sizeof *x->refs, e);
    if (rc || !(x->slots = mem_new(n_slots, sizeof *x->slots, e)))
        return ERR_NOMEM;
    if (getentropy(x->key, sizeof x->key)) { /* a kernel without it: addresses are random too */
        x->key[0] = (uintptr_t)x->slots * 0x9E3779B97F4A7C15u;
        x->key[1] = (uintptr_t)&n_slots * 0xD1B54A32D192ED03u;
    }
    x->cap = n;
    x->mask = (uint32_t)(n_slots - 1);
    return ERR_OK;
}

/* Both halves of the 128-bit product, folded: every bit of a and b reaches every bit of it. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Eight bytes at a time, each multiplied by what came before. */
static uint64_t hash(const struct names *x, const char *s, size_t len)
{
    uint64_t h = x->key[0] ^ len, word;
    for (; len >= 8; s += 8, len -= 8) {
        memcpy(&word, s, 8);
        h = fold(word ^ x->key[1], h ^ x->key[0]);
    }
    word = 0;
    memcpy(&word, s, len);
    return fold(word ^ x->key[1], h ^ x->key[0]);
}

/* Where the name is, or the free slot where it would go. */
static uint32_t *find(const struct names *x, const char *s, size_t len, uint64_t h)
{
    for (uint32_t at = (uint32_t)h;; at++) {
        uint32_t *slot = &x->slots[at & x->mask];
        if (!*slot)
            return slot;
        if ((*slot ^ (uint32_t)(h >> 32)) & ~x->mask)
            continue;
        const struct name_ref *r = &x->refs[(*slot & x->mask) - 1];
        if (r->len == len && !memcmp(r->s, s, len))
            return slot;
    }
}

int64_t names_add(struct names *x, const char *s, size_t len, int64_t id)
{
    assert(x->n < x->cap);
    uint64_t h = hash(x, s, len);
    uint32_t *slot = find(x, s, len, h);
    if (*slot)
        return x->refs[(*slot & x->mask) - 1].id;
    x->refs[x->n++] = (struct name_ref){s, len, id};
    *slot = ((uint32_t)(h >> 32) & ~x->mask) | (uint32_t)x->n;
    return -1;
}

int64_t names_find(const struct names *x, const char *s, size_t len)
{
    if (!x->n)
        return -1;
    const uint32_t *slot = find(x, s, len, hash(x, s, len));
    return *slot ? x->refs[(*slot & x->mask) - 1].id : -1;
}

void names_dispose(struct names *x)
{
    mem_free(x->refs);
    mem_free(x->slots);
    memset(x, 0, sizeof *x);
}
