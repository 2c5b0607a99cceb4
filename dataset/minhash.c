#include "dataset/minhash.h"
#include "dataset/words.h"

#include <stdlib.h>
#include <string.h>

/* Permutation i takes hash x to x * factors[i] + offsets[i] modulo 2^32, with an odd factor: a
 * bijection. x is a well-mixed hash already, so that linear functions suffice. The numbers are the
 * outputs of splitmix64 from 0. */
struct permutations {
    uint32_t factors[MINHASH_N], offsets[MINHASH_N];
};

static void make_permutations(struct permutations *p)
{
    for (uint64_t i = 0; i < MINHASH_N; i++) {
        uint64_t z = words_mix((i + 1) * 0x9E3779B97F4A7C15u);
        p->factors[i] = (uint32_t)z | 1;
        p->offsets[i] = (uint32_t)(z >> 32);
    }
}

static void fold(const struct permutations *p, uint32_t *mins, const uint32_t *hashes, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < MINHASH_N; i++) {
            uint32_t v = hashes[k] * p->factors[i] + p->offsets[i];
            mins[i] = v < mins[i] ? v : mins[i];
        }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Four vectors of permutations stay in registers while all hashes pass by. */
__attribute__((target("avx2"))) static void fold_avx2(const struct permutations *p, uint32_t *mins,
                                                      const uint32_t *hashes, size_t n)
{
    enum { LANES = 8, ROWS = 4 };
    for (int i = 0; i < MINHASH_N; i += LANES * ROWS) {
        __m256i f[ROWS], o[ROWS], m[ROWS];
        for (int r = 0; r < ROWS; r++) {
            f[r] = _mm256_loadu_si256((const __m256i *)(p->factors + i + r * LANES));
            o[r] = _mm256_loadu_si256((const __m256i *)(p->offsets + i + r * LANES));
            m[r] = _mm256_loadu_si256((const __m256i *)(mins + i + r * LANES));
        }
        for (size_t k = 0; k < n; k++) {
            __m256i h = _mm256_set1_epi32((int)hashes[k]);
            for (int r = 0; r < ROWS; r++)
                m[r] = _mm256_min_epu32(m[r], _mm256_add_epi32(_mm256_mullo_epi32(h, f[r]), o[r]));
        }
        for (int r = 0; r < ROWS; r++)
            _mm256_storeu_si256((__m256i *)(mins + i + r * LANES), m[r]);
    }
}

__attribute__((target("avx512f"))) static void
fold_avx512(const struct permutations *p, uint32_t *mins, const uint32_t *hashes, size_t n)
{
    enum { LANES = 16, ROWS = 8 };
    __m512i f[ROWS], o[ROWS], m[ROWS];
    for (int r = 0; r < ROWS; r++) {
        f[r] = _mm512_loadu_si512(p->factors + r * LANES);
        o[r] = _mm512_loadu_si512(p->offsets + r * LANES);
        m[r] = _mm512_loadu_si512(mins + r * LANES);
    }
    for (size_t k = 0; k < n; k++) {
        __m512i h = _mm512_set1_epi32((int)hashes[k]);
        for (int r = 0; r < ROWS; r++)
            m[r] = _mm512_min_epu32(m[r], _mm512_add_epi32(_mm512_mullo_epi32(h, f[r]), o[r]));
    }
    for (int r = 0; r < ROWS; r++)
        _mm512_storeu_si512(mins + r * LANES, m[r]);
}
#endif

static void fold_best(const struct permutations *p, uint32_t *mins, const uint32_t *hashes,
                      size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        fold_avx512(p, mins, hashes, n);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        fold_avx2(p, mins, hashes, n);
        return;
    }
#endif
    fold(p, mins, hashes, n);
}

void minhash_fold(uint32_t mins[MINHASH_N], const uint32_t *hashes, size_t n)
{
    struct permutations p;
    make_permutations(&p);
    fold_best(&p, mins, hashes, n);
}

void minhash_fold_portable(uint32_t mins[MINHASH_N], const uint32_t *hashes, size_t n)
{
    struct permutations p;
    make_permutations(&p);
    fold(&p, mins, hashes, n);
}

/* Passes a text's runs one by one, the parts joined. */
struct runs {
    const struct minhash_text *parts;
    int n_parts, i;
    size_t left; /* bytes that may still be read */
    struct words w;
    struct shingles s;
    bool ended;
};

static void next_part(struct runs *r)
{
    const struct minhash_text *part = &r->parts[r->i];
    size_t n = part->n < r->left ? part->n : r->left;
    r->left -= n;
    r->w = words_of(part->text, n, WORDS_SYMBOLS);
}

static struct runs runs_of(const struct minhash_text *parts, int n_parts)
{
    struct runs r = {.parts = parts, .n_parts = n_parts, .left = MINHASH_MAX_BYTES};
    r.s = shingles_of(MINHASH_WORDS);
    if (n_parts)
        next_part(&r);
    else
        r.ended = true;
    return r;
}

static bool runs_next(struct runs *r, uint64_t *hash)
{
    uint64_t word;
    while (!r->ended) {
        if (words_next(&r->w, &word)) {
            if (shingles_add(&r->s, word, hash))
                return true;
            continue;
        }
        if (++r->i < r->n_parts) {
            next_part(r);
            continue;
        }
        r->ended = true;
        *hash = words_mix(r->s.sum + r->s.n); /* a short text is one run */
        return r->s.n > 0 && r->s.n < MINHASH_WORDS;
    }
    return false;
}

bool minhash_of(const struct minhash_text *parts, int n_parts, struct minhash *out)
{
    enum { BLOCK = 512 };
    struct permutations p;
    uint32_t mins[MINHASH_N], block[BLOCK];
    uint64_t hash;
    size_t n = 0, total = 0;
    make_permutations(&p);
    memset(mins, 0xFF, sizeof mins);
    for (struct runs r = runs_of(parts, n_parts); runs_next(&r, &hash); total++) {
        block[n++] = (uint32_t)(hash >> 32);
        if (n == BLOCK) {
            fold_best(&p, mins, block, n);
            n = 0;
        }
    }
    fold_best(&p, mins, block, n);
    for (int i = 0; i < MINHASH_N; i++) /* all bits of the minimum go into the eight */
        out->at[i] = (uint8_t)(mins[i] * 0x9E3779B1u >> 24);
    return total > 0;
}

double minhash_similarity(const struct minhash *a, const struct minhash *b)
{
    int same = 0;
    for (int i = 0; i < MINHASH_N; i++)
        same += a->at[i] == b->at[i];
    double j = ((double)same / MINHASH_N - 1.0 / 256) / (1 - 1.0 / 256);
    return j > 0 ? j : 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

err_code shingle_set_fill(struct shingle_set *s, const struct minhash_text *parts, int n_parts,
                          struct err *e)
{
    uint64_t hash;
    s->n = 0;
    for (struct runs r = runs_of(parts, n_parts); runs_next(&r, &hash);) {
        if (s->n == s->cap) {
            size_t cap = s->cap ? s->cap * 2 : 1024;
            void *grown = s->hashes;
            err_code rc = mem_grow(&grown, cap, sizeof *s->hashes, e);
            if (rc)
                return rc;
            s->hashes = grown;
            s->cap = cap;
        }
        s->hashes[s->n++] = hash;
    }
    if (!s->n)
        return ERR_OK;
    qsort(s->hashes, s->n, sizeof *s->hashes, by_value);
    size_t n = 1;
    for (size_t i = 1; i < s->n; i++)
        if (s->hashes[i] != s->hashes[n - 1])
            s->hashes[n++] = s->hashes[i];
    s->n = n;
    return ERR_OK;
}

double shingle_set_jaccard(const struct shingle_set *a, const struct shingle_set *b)
{
    size_t i = 0, k = 0, both = 0;
    while (i < a->n && k < b->n) {
        uint64_t x = a->hashes[i], y = b->hashes[k];
        both += x == y;
        i += x <= y;
        k += y <= x;
    }
    size_t all = a->n + b->n - both;
    return all ? (double)both / (double)all : 0;
}

void shingle_set_dispose(struct shingle_set *s)
{
    mem_free(s->hashes);
    *s = (struct shingle_set){0};
}
