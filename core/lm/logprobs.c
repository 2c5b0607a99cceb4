#include "core/lm/logprobs.h"
#include "core/tensor/dtype.h"

#include <math.h>
#include <string.h>

#define MAX_VARINT (1ull << 48)

static const char MAGIC[4] = {'D', 'L', 'P', 1};

struct logprobs_name {
    size_t at; /* of the bytes in names */
    size_t n;
    int64_t id;
    bool has_bytes;
};

/* ---- writer ---- */

static err_code put_varint(struct buf *b, uint64_t x, struct err *e)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (uint8_t)(x | 0x80);
    bytes[n++] = (uint8_t)x;
    return buf_add(b, bytes, n, e);
}

static err_code put_logprob(struct buf *b, float x, struct err *e)
{
    uint16_t h = f16_from_f32(x > 0 ? 0 : x);
    uint8_t bytes[2] = {(uint8_t)h, (uint8_t)(h >> 8)};
    return buf_add(b, bytes, 2, e);
}

static uint64_t hash(const struct logprob *x, uint64_t seed)
{
    uint64_t h = seed ^ (uint64_t)x->id * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; x->bytes && i < x->n_bytes; i++)
        h = (h ^ (unsigned char)x->bytes[i]) * 0x100000001B3u;
    h = (h ^ h >> 31) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

static bool is_name(const struct logprobs_writer *w, uint32_t i, const struct logprob *x)
{
    const struct logprobs_name *k = &w->known[i];
    return k->id == x->id && k->has_bytes == !!x->bytes &&
           (!x->bytes ||
            (k->n == x->n_bytes && !memcmp(w->names.data + k->at, x->bytes, x->n_bytes)));
}

/* The slot of a name, or the empty one where it would be put. */
static uint32_t *find_slot(const struct logprobs_writer *w, const struct logprob *x)
{
    uint32_t mask = w->n_slots - 1, i = (uint32_t)hash(x, w->seed) & mask;
    while (w->slots[i] && !is_name(w, w->slots[i] - 1, x))
        i = (i + 1) & mask;
    return &w->slots[i];
}

static err_code grow_names(struct logprobs_writer *w, struct err *e)
{
    uint32_t n_slots = w->n_slots ? w->n_slots * 2 : 256;
    if (w->n_names >= 1u << 28)
        return err_set(e, ERR_NOMEM, "log-probabilities: too many different tokens");
    uint32_t *slots = mem_new(n_slots, sizeof *slots, e);
    if (!slots)
        return ERR_NOMEM;
    mem_free(w->slots);
    w->slots = slots;
    w->seed = (uintptr_t)slots; /* nobody outside can choose names that all collide */
    w->n_slots = n_slots;
    for (uint32_t i = 0; i < w->n_names; i++) {
        const struct logprobs_name *k = &w->known[i];
        struct logprob x = {k->id, k->has_bytes ? w->names.data + k->at : NULL, k->n, 0};
        *find_slot(w, &x) = i + 1;
    }
    if (n_slots / 2 <= w->cap_names)
        return ERR_OK;
    w->cap_names = n_slots / 2;
    return mem_grow((void **)&w->known, w->cap_names, sizeof *w->known, e);
}

static err_code name_of(struct logprobs_writer *w, const struct logprob *x, uint32_t *name,
                        struct err *e)
{
    err_code rc = ERR_OK;
    if (x->id < -1 || x->id >= INT32_MAX)
        return err_set(e, ERR_USAGE, "log-probabilities: token id %lld", (long long)x->id);
    if (w->n_names * 2 >= w->n_slots && (rc = grow_names(w, e)))
        return rc;
    uint32_t *slot = find_slot(w, x);
    if (*slot) {
        *name = *slot - 1;
        return ERR_OK;
    }
    if ((rc = put_varint(&w->names, (uint64_t)(x->id + 1), e)) ||
        (rc = put_varint(&w->names, x->bytes ? x->n_bytes + 1 : 0, e)))
        return rc;
    struct logprobs_name k = {w->names.len, x->n_bytes, x->id, x->bytes != NULL};
    if (x->bytes && (rc = buf_add(&w->names, x->bytes, x->n_bytes, e)))
        return rc;
    *name = w->n_names;
    w->known[w->n_names++] = k;
    *slot = w->n_names;
    return ERR_OK;
}

/* By id where both have one: servers may tell the bytes of the chosen token alone. */
static bool same_token(const struct logprob *a, const struct logprob *b)
{
    if (a->id >= 0 && b->id >= 0)
        return a->id == b->id;
    return a->bytes && b->bytes && a->n_bytes == b->n_bytes &&
           !memcmp(a->bytes, b->bytes, a->n_bytes);
}

err_code logprobs_add(struct logprobs_writer *w, const struct logprob *chosen,
                      const struct logprob *top, size_t n_top, struct err *e)
{
    err_code rc;
    uint32_t name;
    size_t rank = 0;
    if (n_top > LOGPROBS_MAX_TOP || w->n_tokens == UINT32_MAX)
        return err_set(e, ERR_USAGE, "log-probabilities: %zu candidates of a token", n_top);
    if (w->n_tokens == w->cap_tokens) {
        uint32_t cap = w->cap_tokens ? w->cap_tokens + w->cap_tokens / 2 : 64;
        if ((rc = mem_grow((void **)&w->chosen, cap, sizeof *w->chosen, e)))
            return rc;
        w->cap_tokens = cap;
    }
    while (rank < n_top && !same_token(&top[rank], chosen))
        rank++;
    rank = rank < n_top ? rank + 1 : 0;
    if ((rc = name_of(w, chosen, &name, e)) || (rc = put_varint(&w->tokens, name, e)) ||
        (rc = put_logprob(&w->tokens, chosen->logprob, e)) ||
        (rc = put_varint(&w->tokens, rank, e)) ||
        (rc = put_varint(&w->tokens, n_top - (rank > 0), e)))
        return rc;
    w->chosen[w->n_tokens++] = name;
    for (size_t i = 0; i < n_top; i++)
        if (i + 1 != rank &&
            ((rc = name_of(w, &top[i], &name, e)) || (rc = put_varint(&w->tokens, name, e)) ||
             (rc = put_logprob(&w->tokens, top[i].logprob, e))))
            return rc;
    w->n_top = n_top > w->n_top ? (uint32_t)n_top : w->n_top;
    return ERR_OK;
}

const char *logprobs_token_bytes(const struct logprobs_writer *w, uint32_t i, size_t *n)
{
    const struct logprobs_name *k = &w->known[w->chosen[i]];
    *n = k->has_bytes ? k->n : 0;
    return k->has_bytes ? w->names.data + k->at : NULL;
}

size_t logprobs_size(const struct logprobs_writer *w)
{
    return w->names.len + w->tokens.len;
}

static err_code put_places(const struct logprobs_writer *w, const struct logprobs_place *places,
                           struct buf *out, struct err *e)
{
    uint64_t at[3] = {0};
    err_code rc = ERR_OK;
    for (uint32_t i = 0; i < w->n_tokens && !rc; i++) {
        const struct logprobs_place *p = &places[i];
        if (p->part == LOGPROBS_NOWHERE) {
            rc = put_varint(out, 0, e);
            continue;
        }
        if (p->part > LOGPROBS_ANSWER || p->at < at[p->part] || p->at > MAX_VARINT / 4 ||
            p->n > MAX_VARINT / 4)
            return err_set(e, ERR_USAGE, "log-probabilities: token %u stands before the last one",
                           i);
        rc = put_varint(out, (p->at - at[p->part]) << 2 | p->part, e);
        if (!rc)
            rc = put_varint(out, p->n, e);
        at[p->part] = p->at + p->n;
    }
    return rc;
}

err_code logprobs_finish(const struct logprobs_writer *w, const struct logprobs_place *places,
                         struct buf *out, struct err *e)
{
    struct buf place = {0};
    err_code rc = put_places(w, places, &place, e);
    if (!rc)
        rc = buf_add(out, MAGIC, sizeof MAGIC, e);
    const uint64_t head[] = {w->n_names, w->n_tokens, w->n_top, w->names.len, place.len};
    for (size_t i = 0; i < sizeof head / sizeof *head && !rc; i++)
        rc = put_varint(out, head[i], e);
    if (!rc)
        rc = buf_add(out, w->names.data, w->names.len, e);
    if (!rc)
        rc = buf_add(out, place.data, place.len, e);
    if (!rc)
        rc = buf_add(out, w->tokens.data, w->tokens.len, e);
    buf_dispose(&place);
    return rc;
}

void logprobs_writer_dispose(struct logprobs_writer *w)
{
    buf_dispose(&w->names);
    buf_dispose(&w->tokens);
    mem_free(w->known);
    mem_free(w->slots);
    mem_free(w->chosen);
    memset(w, 0, sizeof *w);
}

void logprobs_reset(struct logprobs_writer *w)
{
    if (w->names.cap + w->tokens.cap > 16 << 10 || w->n_slots > 1024) {
        logprobs_writer_dispose(w);
        return;
    }
    buf_clear(&w->names);
    buf_clear(&w->tokens);
    if (w->slots)
        memset(w->slots, 0, w->n_slots * sizeof *w->slots);
    w->n_names = w->n_tokens = w->n_top = 0;
}

/* ---- reader ---- */

/* false: cut, or above MAX_VARINT. */
static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *x)
{
    uint64_t v = 0;
    for (int shift = 0; *p < end && shift < 56; shift += 7) {
        uint8_t byte = *(*p)++;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *x = v;
            return v <= MAX_VARINT;
        }
    }
    return false;
}

static bool get_logprob(const uint8_t **p, const uint8_t *end, float *x)
{
    if (end - *p < 2)
        return false;
    *x = f16_to_f32((uint16_t)((*p)[0] | (*p)[1] << 8));
    *p += 2;
    return !(*x > 0);
}

static bool get_names(struct logprobs_reader *r, const uint8_t *p, const uint8_t *end)
{
    for (uint64_t i = 0; i < r->n_names; i++) {
        uint64_t id, n;
        if (!get_varint(&p, end, &id) || id > INT32_MAX || !get_varint(&p, end, &n) ||
            (n && n - 1 > (uint64_t)(end - p)))
            return false;
        r->names[i] =
            (struct logprob){(int64_t)id - 1, n ? (const char *)p : NULL, n ? n - 1 : 0, 0};
        p += n ? n - 1 : 0;
    }
    return p == end;
}

/* One place and one token; false when they do not hold together. */
static bool get_token(struct logprobs_reader *r, struct logprobs_token *t)
{
    uint64_t place, n = 0, name, rank, n_others;
    float x;
    if (!get_varint(&r->places, r->first_token, &place) || (place & 3) == 3 ||
        ((place & 3) == 0 && place) || (place && !get_varint(&r->places, r->first_token, &n)))
        return false;
    enum logprobs_part part = place & 3;
    uint64_t at = r->at[part] + (place >> 2);
    if (at > MAX_VARINT || n > MAX_VARINT)
        return false;
    r->at[part] = part ? at + n : 0;
    if (!get_varint(&r->p, r->end, &name) || name >= r->n_names ||
        !get_logprob(&r->p, r->end, &x) || !get_varint(&r->p, r->end, &rank) ||
        !get_varint(&r->p, r->end, &n_others) || n_others + (rank > 0) > r->n_top ||
        rank > n_others + 1)
        return false;
    t->chosen = r->names[name];
    t->chosen.logprob = x;
    t->place = (struct logprobs_place){part, at, n};
    t->rank = rank;
    t->top = r->top;
    t->n_top = n_others + (rank > 0);
    for (uint64_t i = 0; i < t->n_top; i++) {
        if (i + 1 == rank) {
            r->top[i] = t->chosen;
            continue;
        }
        if (!get_varint(&r->p, r->end, &name) || name >= r->n_names ||
            !get_logprob(&r->p, r->end, &x))
            return false;
        r->top[i] = r->names[name];
        r->top[i].logprob = x;
    }
    return true;
}

static err_code check_all(struct logprobs_reader *r, struct err *e)
{
    struct logprobs_token t;
    for (uint64_t i = 0; i < r->n_tokens; i++)
        if (!get_token(r, &t))
            return err_set(e, ERR_FORMAT, "log-probabilities: token %llu does not hold together",
                           (unsigned long long)i);
    if (r->p != r->end || r->places != r->first_token)
        return err_set(e, ERR_FORMAT, "log-probabilities: bytes are left over");
    r->n_reasoning = r->at[LOGPROBS_REASONING];
    r->n_answer = r->at[LOGPROBS_ANSWER];
    logprobs_rewind(r);
    return ERR_OK;
}

err_code logprobs_open(struct logprobs_reader *r, const void *data, size_t n, struct err *e)
{
    const uint8_t *p = data, *end = p + n;
    uint64_t n_name_bytes, n_place_bytes;
    memset(r, 0, sizeof *r);
    if (n < sizeof MAGIC || memcmp(p, MAGIC, 3))
        return err_set(e, ERR_FORMAT, "log-probabilities: not in decant's format");
    if (p[3] != MAGIC[3])
        return err_set(e, ERR_UNSUPPORTED, "log-probabilities: version %d; this decant reads %d",
                       p[3], MAGIC[3]);
    p += sizeof MAGIC;
    /* a name, a place and a token take a byte or more each, so that counts are bounded by n */
    if (!get_varint(&p, end, &r->n_names) || !get_varint(&p, end, &r->n_tokens) ||
        !get_varint(&p, end, &r->n_top) || r->n_top > LOGPROBS_MAX_TOP ||
        !get_varint(&p, end, &n_name_bytes) || !get_varint(&p, end, &n_place_bytes) ||
        n_name_bytes > (uint64_t)(end - p) || n_place_bytes > (uint64_t)(end - p) - n_name_bytes ||
        r->n_names > n_name_bytes / 2 || r->n_tokens > n_place_bytes)
        return err_set(e, ERR_FORMAT, "log-probabilities: the header does not fit %zu bytes", n);
    r->first_place = p + n_name_bytes;
    r->first_token = r->first_place + n_place_bytes;
    r->end = end;
    r->names = mem_new(r->n_names, sizeof *r->names, e);
    r->top = mem_new(r->n_top, sizeof *r->top, e);
    err_code rc = r->names && r->top ? ERR_OK : ERR_NOMEM;
    if (!rc && !get_names(r, p, r->first_place))
        rc = err_set(e, ERR_FORMAT, "log-probabilities: a token's name does not hold together");
    logprobs_rewind(r);
    if (!rc)
        rc = check_all(r, e);
    if (rc)
        logprobs_close(r);
    return rc;
}

bool logprobs_next(struct logprobs_reader *r, struct logprobs_token *t)
{
    return r->i++ < r->n_tokens && get_token(r, t);
}

void logprobs_rewind(struct logprobs_reader *r)
{
    r->places = r->first_place;
    r->p = r->first_token;
    r->i = 0;
    memset(r->at, 0, sizeof r->at);
}

void logprobs_close(struct logprobs_reader *r)
{
    mem_free(r->names);
    mem_free(r->top);
    memset(r, 0, sizeof *r);
}
