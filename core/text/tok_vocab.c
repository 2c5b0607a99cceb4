#include "core/base/rng.h"
#include "core/text/tok.h"

/* GPT-2's byte alphabet: the printable bytes of Latin-1 stand for themselves, the others for
 * U+0100 and on. */
static bool byte_is_printable(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

/* The byte of a letter of the alphabet, -1 when cp is none. */
static int alphabet_byte(uint32_t cp)
{
    if (cp < 256)
        return byte_is_printable((int)cp) ? (int)cp : -1;
    if (cp < 256 + 33)
        return (int)cp - 256;
    if (cp < 256 + 33 + 34)
        return (int)cp - 256 - 33 + 127;
    return cp == 256 + 33 + 34 ? 173 : -1;
}

void tok_vocab_init(struct tokenizer *t)
{
    for (int b = 0; b < 256; b++)
        t->byte_id[b] = -1;
    t->unk = t->bos = t->eos = t->pad = -1;
}

static err_code arena_add(struct tokenizer *t, const char *s, size_t n, uint32_t *at, struct err *e)
{
    if (t->arena.len + n + 1 >= UINT32_MAX)
        return err_set(e, ERR_FORMAT, "%s: the vocabulary is larger than 4 GB", t->name);
    *at = (uint32_t)t->arena.len;
    err_code rc = buf_add(&t->arena, s, n, e);
    return rc ? rc : buf_add(&t->arena, "", 1, e);
}

/* Decodes raw from the byte alphabet to the end of the arena; false when it is not written in it.
 */
static err_code arena_decode(struct tokenizer *t, struct tok_entry *x, const char *raw, size_t n,
                             struct err *e)
{
    bool same = true, alphabet = true;
    for (size_t i = 0; i < n && alphabet;) {
        uint32_t cp = 0;
        i += tok_utf8(raw + i, n - i, &cp);
        int b = alphabet_byte(cp);
        alphabet = b >= 0;
        same = same && cp < 0x80;
    }
    x->text = x->raw;
    x->n_text = x->n_raw;
    if (!alphabet)
        return ERR_OK;
    x->flags |= TOK_ALPHABET;
    if (same)
        return ERR_OK;
    err_code rc = buf_reserve(&t->arena, n + 1, e);
    if (rc)
        return rc;
    x->text = (uint32_t)t->arena.len;
    x->n_text = 0;
    for (size_t i = 0; i < n; x->n_text++) {
        uint32_t cp = 0;
        i += tok_utf8(raw + i, n - i, &cp);
        t->arena.data[t->arena.len++] = (char)alphabet_byte(cp);
    }
    t->arena.data[t->arena.len++] = 0;
    return ERR_OK;
}

err_code tok_vocab_add(struct tokenizer *t, const char *where, const char *raw, size_t n,
                       int64_t id, uint32_t flags, struct err *e)
{
    int shown = n > 60 ? 60 : (int)n;
    if (id < 0 || id > TOK_MAX_ID)
        return err_set(e, ERR_FORMAT, "%s: %s: token \"%.*s\" has the id %lld; ids go from 0 to %d",
                       t->name, where, shown, raw, (long long)id, TOK_MAX_ID);
    if (memchr(raw, 0, n) || !tok_utf8_valid(raw, n))
        return err_set(e, ERR_FORMAT, "%s: %s: the token of id %lld is not valid UTF-8", t->name,
                       where, (long long)id);
    if (id >= t->cap) {
        int64_t cap = t->cap ? t->cap : 1024;
        while (cap <= id)
            cap *= 2;
        err_code rc = mem_grow((void **)&t->entries, (size_t)cap, sizeof *t->entries, e);
        if (rc)
            return rc;
        memset(t->entries + t->cap, 0, (size_t)(cap - t->cap) * sizeof *t->entries);
        t->cap = cap;
    }
    struct tok_entry *x = &t->entries[id];
    if (x->flags & TOK_PRESENT)
        return err_set(e, ERR_FORMAT, "%s: %s: \"%.60s\" and \"%.*s\" have the same id %lld",
                       t->name, where, t->arena.data + x->raw, shown, raw, (long long)id);
    x->flags = TOK_PRESENT | flags;
    x->n_raw = (uint32_t)n;
    err_code rc = arena_add(t, raw, n, &x->raw, e);
    if (!rc)
        rc = arena_decode(t, x, raw, n, e);
    if (id >= t->n)
        t->n = id + 1;
    return rc;
}

/* Where s is in the table, or the free slot where it would go. */
static uint32_t *slot_of(const struct tokenizer *t, uint32_t *table, bool raw, const char *s,
                         size_t n)
{
    for (uint64_t i = rng_hash(s, n);; i++) {
        uint32_t *slot = &table[i & t->mask];
        if (!*slot)
            return slot;
        const struct tok_entry *x = &t->entries[*slot - 1];
        size_t len = raw ? x->n_raw : x->n_text;
        if (len == n && !memcmp(t->arena.data + (raw ? x->raw : x->text), s, n))
            return slot;
    }
}

err_code tok_vocab_index(struct tokenizer *t, const char *where, struct err *e)
{
    uint64_t slots = 16;
    while (slots < 2 * (uint64_t)t->n)
        slots *= 2;
    t->mask = (uint32_t)(slots - 1);
    t->by_raw = mem_new(slots, sizeof *t->by_raw, e);
    t->by_text = mem_new(slots, sizeof *t->by_text, e);
    if (!t->by_raw || !t->by_text)
        return ERR_NOMEM;
    for (int64_t id = 0; id < t->n; id++) {
        const struct tok_entry *x = &t->entries[id];
        if (!(x->flags & TOK_PRESENT))
            continue;
        const char *raw = t->arena.data + x->raw, *text = t->arena.data + x->text;
        uint32_t *slot = slot_of(t, t->by_raw, true, raw, x->n_raw);
        if (*slot)
            return err_set(e, ERR_FORMAT,
                           "%s: %s: token \"%.60s\" is there twice, as %lld and %lld", t->name,
                           where, raw, (long long)*slot - 1, (long long)id);
        *slot = (uint32_t)id + 1;
        if ((x->flags & TOK_ALPHABET) && (x->flags & TOK_MODEL)) {
            *slot_of(t, t->by_text, false, text, x->n_text) = (uint32_t)id + 1;
            if (x->n_text == 1)
                t->byte_id[(unsigned char)text[0]] = (int32_t)id;
        }
    }
    return ERR_OK;
}

int32_t tok_vocab_find_raw(const struct tokenizer *t, const char *raw, size_t n)
{
    return t->by_raw ? (int32_t)*slot_of(t, t->by_raw, true, raw, n) - 1 : -1;
}

int32_t tok_vocab_find_text(const struct tokenizer *t, const char *text, size_t n)
{
    return t->by_text ? (int32_t)*slot_of(t, t->by_text, false, text, n) - 1 : -1;
}

err_code tok_vocab_merge(struct tokenizer *t, const char *where, const char *a, size_t na,
                         const char *b, size_t nb, struct err *e)
{
    char both[1024];
    struct tok_merge m = {tok_vocab_find_raw(t, a, na), tok_vocab_find_raw(t, b, nb), -1};
    if (na + nb <= sizeof both) {
        memcpy(both, a, na);
        memcpy(both + na, b, nb);
        m.out = tok_vocab_find_raw(t, both, na + nb);
    } else {
        struct buf long_one = {0};
        err_code rc = buf_add(&long_one, a, na, e);
        if (!rc)
            rc = buf_add(&long_one, b, nb, e);
        if (!rc)
            m.out = tok_vocab_find_raw(t, long_one.data, long_one.len);
        buf_dispose(&long_one);
        if (rc)
            return rc;
    }
    if (m.left < 0 || m.right < 0 || m.out < 0)
        return err_set(e, ERR_FORMAT,
                       "%s: %s: merge %lld (\"%.*s\" + \"%.*s\"): %s not in the vocabulary",
                       t->name, where, (long long)t->n_merges, na > 60 ? 60 : (int)na, a,
                       nb > 60 ? 60 : (int)nb, b,
                       m.left < 0    ? "the left part is"
                       : m.right < 0 ? "the right part is"
                                     : "the result is");
    if (t->n_merges >= INT32_MAX / 2)
        return err_set(e, ERR_FORMAT, "%s: %s: more than %d merges", t->name, where, INT32_MAX / 2);
    if (t->n_merges == t->cap_merges) {
        int64_t cap = t->cap_merges ? t->cap_merges * 2 : 1024;
        err_code rc = mem_grow((void **)&t->merges, (size_t)cap, sizeof *t->merges, e);
        if (rc)
            return rc;
        t->cap_merges = cap;
    }
    t->merges[t->n_merges++] = m;
    return ERR_OK;
}

err_code tok_vocab_merge_line(struct tokenizer *t, const char *where, const char *s, size_t n,
                              struct err *e)
{
    const char *space = memchr(s, ' ', n);
    size_t na = space ? (size_t)(space - s) : 0;
    if (!space || !na || na + 1 == n || memchr(space + 1, ' ', n - na - 1))
        return err_set(
            e, ERR_FORMAT,
            "%s: %s: merge %lld is \"%.*s\"; it should be two tokens with a space between", t->name,
            where, (long long)t->n_merges, n > 60 ? 60 : (int)n, s);
    return tok_vocab_merge(t, where, s, na, space + 1, n - na - 1, e);
}

err_code tok_vocab_index_merges(struct tokenizer *t, struct err *e)
{
    uint64_t slots = 16;
    while (slots * 2 < 3 * (uint64_t)t->n_merges)
        slots *= 2;
    t->slot_mask = slots - 1;
    t->slots = mem_new(slots, sizeof *t->slots, e);
    if (!t->slots)
        return ERR_NOMEM;
    for (uint64_t i = 0; i < slots; i++)
        t->slots[i].key = UINT64_MAX;
    for (int64_t i = 0; i < t->n_merges; i++) {
        const struct tok_merge *m = &t->merges[i];
        uint64_t key = (uint64_t)(uint32_t)m->left << 32 | (uint32_t)m->right;
        uint64_t at = (key * 0x9E3779B97F4A7C15u) >> 32;
        while (t->slots[at & t->slot_mask].key != UINT64_MAX &&
               t->slots[at & t->slot_mask].key != key)
            at++;
        /* a pair that is there twice has its last rank, as in HF */
        t->slots[at & t->slot_mask] = (struct tok_merge_slot){key, (int32_t)i, m->out};
    }
    return ERR_OK;
}

err_code tok_vocab_index_added(struct tokenizer *t, struct err *e)
{
    err_code rc = ERR_OK;
    for (int64_t id = 0; id < t->n && !rc; id++) {
        const struct tok_entry *x = &t->entries[id];
        if (!(x->flags & TOK_ADDED) || !x->n_raw)
            continue;
        const char *s = t->arena.data + x->raw;
        size_t n = x->n_raw;
        if (n > TOK_MAX_ADDED_LEN)
            return err_set(e, ERR_UNSUPPORTED, "%s: added token %lld is longer than %d bytes",
                           t->name, (long long)id, TOK_MAX_ADDED_LEN);
        struct tok_scratch scratch = {0};
        if ((x->flags & TOK_NORMALIZED) && t->nfc)
            rc = tok_nfc(&scratch, &s, &n, e);
        if (!rc)
            rc = tok_trie_add(x->flags & TOK_NORMALIZED ? &t->added_normalized : &t->added, s, n,
                              (int32_t)id, e);
        tok_scratch_dispose(&scratch);
    }
    return rc;
}
