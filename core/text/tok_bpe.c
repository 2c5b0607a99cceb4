/* BPE of one pre-token: its bytes are the first symbols, neighbours merge in order of rank, then of
 * place, until no pair has a merge. A heap holds the candidates; one that has gone stale (a symbol
 * of it was merged elsewhere) is recognised when it comes up. O(n log n). */
#include "core/text/tok.h"

static err_code grow(struct tok_scratch *s, size_t n, struct err *e)
{
    /* each merge takes one candidate away and brings at most two: 2n is never reached */
    if (n > s->cap_symbols) {
        size_t cap = n + n / 2 + 64;
        err_code rc = mem_grow((void **)&s->symbols, cap, sizeof *s->symbols, e);
        if (rc)
            return rc;
        s->cap_symbols = cap;
    }
    if (2 * n > s->cap_heap) {
        size_t cap = 3 * n + 128;
        err_code rc = mem_grow((void **)&s->heap, cap, sizeof *s->heap, e);
        if (rc)
            return rc;
        s->cap_heap = cap;
    }
    return ERR_OK;
}

static void heap_push(struct tok_scratch *s, struct tok_candidate c)
{
    size_t i = s->n_heap++;
    for (; i && s->heap[(i - 1) / 2].key > c.key; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
}

static struct tok_candidate heap_pop(struct tok_scratch *s)
{
    struct tok_candidate top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0, n = s->n_heap;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= n)
            break;
        if (c + 1 < n && s->heap[c + 1].key < s->heap[c].key)
            c++;
        if (s->heap[c].key >= last.key)
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    s->heap[i] = last;
    return top;
}

static void consider(const struct tokenizer *t, struct tok_scratch *s, int32_t at)
{
    int32_t next = s->symbols[at].next;
    if (next < 0)
        return;
    int32_t left = s->symbols[at].id, right = s->symbols[next].id;
    const struct tok_merge_slot *m = tok_merge_find(t, left, right);
    if (m)
        heap_push(s, (struct tok_candidate){(uint64_t)(uint32_t)m->rank << 32 | (uint32_t)at, left,
                                            right});
}

static err_code no_byte(const struct tokenizer *t, unsigned char byte, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: the text has the byte 0x%02X, and the vocabulary has no token for it (a "
                   "byte-level vocabulary has one for each of the 256)",
                   t->name, byte);
}

static err_code symbols_init(const struct tokenizer *t, struct tok_scratch *s, const char *word,
                             size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = t->byte_id[(unsigned char)word[i]];
        if (id < 0)
            id = t->unk;
        if (id < 0)
            return no_byte(t, (unsigned char)word[i], e);
        s->symbols[i] = (struct tok_symbol){id, (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
    }
    return ERR_OK;
}

static void merge_all(const struct tokenizer *t, struct tok_scratch *s)
{
    struct tok_symbol *y = s->symbols;
    while (s->n_heap) {
        struct tok_candidate c = heap_pop(s);
        int32_t at = (int32_t)(uint32_t)c.key, next = y[at].next;
        if (y[at].id != c.left || next < 0 || y[next].id != c.right)
            continue;
        y[at].id = t->merges[c.key >> 32].out;
        y[at].next = y[next].next;
        y[next].id = -1;
        if (y[at].next >= 0)
            y[y[at].next].prev = at;
        if (y[at].prev >= 0)
            consider(t, s, y[at].prev);
        consider(t, s, at);
    }
}

err_code tok_bpe(const struct tokenizer *t, struct tok_scratch *s, const char *word, size_t n,
                 struct token_list *out, struct err *e)
{
    if (!n)
        return ERR_OK;
    if (n >= INT32_MAX / 4)
        return err_set(e, ERR_UNSUPPORTED, "a single word of %zu bytes; %d is the most", n,
                       INT32_MAX / 4);
    if (t->ignore_merges) {
        int32_t whole = tok_vocab_find_text(t, word, n);
        if (whole >= 0)
            return token_list_add(out, whole, e);
    }
    err_code rc = grow(s, n, e);
    if (!rc)
        rc = symbols_init(t, s, word, n, e);
    if (rc)
        return rc;
    s->n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++)
        consider(t, s, (int32_t)i);
    merge_all(t, s);
    for (int32_t i = 0; i >= 0 && !rc; i = s->symbols[i].next)
        rc = token_list_add(out, s->symbols[i].id, e);
    return rc;
}
