#include "core/text/tok.h"

static int32_t child_of(const struct tok_trie *t, int32_t node, uint8_t byte)
{
    int32_t c = t->nodes[node].child;
    while (c && t->nodes[c].byte != byte)
        c = t->nodes[c].sibling;
    return c;
}

static err_code node_new(struct tok_trie *t, uint8_t byte, struct err *e)
{
    if (t->n == t->cap) {
        int32_t cap = t->cap ? t->cap * 2 : 256;
        if (cap > 1 << 28)
            return err_set(e, ERR_UNSUPPORTED, "the added tokens are longer than 256 MB together");
        err_code rc = mem_grow((void **)&t->nodes, (size_t)cap, sizeof *t->nodes, e);
        if (rc)
            return rc;
        t->cap = cap;
    }
    t->nodes[t->n++] = (struct tok_trie_node){0, 0, -1, byte};
    return ERR_OK;
}

err_code tok_trie_add(struct tok_trie *t, const char *s, size_t n, int32_t id, struct err *e)
{
    if (!n)
        return ERR_OK;
    err_code rc = t->n ? ERR_OK : node_new(t, 0, e);
    int32_t at = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        uint8_t byte = (uint8_t)s[i];
        int32_t c = child_of(t, at, byte);
        if (!c && !(rc = node_new(t, byte, e))) {
            c = t->n - 1;
            t->nodes[c].sibling = t->nodes[at].child;
            t->nodes[at].child = c;
        }
        at = c;
    }
    if (!rc) {
        t->nodes[at].id = id;
        t->first[(uint8_t)s[0]] = true;
    }
    return rc;
}

int32_t tok_trie_find(const struct tok_trie *t, const char *s, size_t n)
{
    if (!t->n || !n)
        return -1;
    int32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at = child_of(t, at, (uint8_t)s[i]);
        if (!at)
            return -1;
    }
    return t->nodes[at].id;
}

/* The longest token that starts at s; its length in *len. */
static int32_t longest(const struct tok_trie *t, const char *s, size_t n, size_t *len)
{
    int32_t at = 0, id = -1;
    for (size_t i = 0; i < n; i++) {
        at = child_of(t, at, (uint8_t)s[i]);
        if (!at)
            break;
        if (t->nodes[at].id >= 0) {
            id = t->nodes[at].id;
            *len = i + 1;
        }
    }
    return id;
}

/* The code point that ends just before s[at], at > 0, valid UTF-8. */
static size_t before(const char *s, size_t at, uint32_t *cp)
{
    size_t i = at - 1;
    while (i && (s[i] & 0xC0) == 0x80)
        i--;
    tok_utf8(s + i, at - i, cp);
    return i;
}

static bool stands_alone(const struct tok_added_walk *w, size_t start, size_t end)
{
    uint32_t cp = 0;
    if (start) {
        before(w->text, start, &cp);
        if (tok_unicode_is_word(cp))
            return false;
    }
    if (end < w->n) {
        tok_utf8(w->text + end, w->n - end, &cp);
        if (tok_unicode_is_word(cp))
            return false;
    }
    return true;
}

void tok_added_next(const struct tokenizer *t, const struct tok_trie *trie,
                    struct tok_added_walk *w)
{
    for (; w->at < w->n && trie->n; w->at++) {
        size_t len = 0;
        if (!trie->first[(uint8_t)w->text[w->at]])
            continue;
        int32_t id = longest(trie, w->text + w->at, w->n - w->at, &len);
        if (id < 0)
            continue;
        size_t start = w->at, end = w->at + len;
        uint32_t flags = t->entries[id].flags, cp = 0;
        if ((flags & TOK_SINGLE_WORD) && !stands_alone(w, start, end)) {
            w->at = end - 1; /* HF goes on after it, too */
            continue;
        }
        w->at = end;
        if (flags & TOK_LSTRIP)
            while (start > w->taken) {
                size_t i = before(w->text, start, &cp);
                if (!tok_unicode_is_space(cp))
                    break;
                start = i;
            }
        if (flags & TOK_RSTRIP)
            while (end < w->n) {
                size_t k = tok_utf8(w->text + end, w->n - end, &cp);
                if (!tok_unicode_is_space(cp))
                    break;
                end += k;
            }
        *w = (struct tok_added_walk){w->text, w->n, w->at, end, id, start, end};
        return;
    }
    w->at = w->n;
    w->id = -1;
    w->start = w->end = w->n;
}
