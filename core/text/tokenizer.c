#include "core/text/tokenizer.h"
#include "core/format/gguf.h"
#include "core/text/tok.h"

err_code token_list_add(struct token_list *l, int32_t id, struct err *e)
{
    if (l->n == l->cap) {
        int64_t cap = l->cap ? l->cap + l->cap / 2 : 256;
        err_code rc = mem_grow((void **)&l->ids, (size_t)cap, sizeof *l->ids, e);
        if (rc)
            return rc;
        l->cap = cap;
    }
    l->ids[l->n++] = id;
    return ERR_OK;
}

void token_list_clear(struct token_list *l)
{
    l->n = 0;
}

void token_list_dispose(struct token_list *l)
{
    mem_free(l->ids);
    memset(l, 0, sizeof *l);
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    tok_split_dispose(t);
    mem_free(t->added.nodes);
    mem_free(t->added_normalized.nodes);
    mem_free(t->entries);
    mem_free(t->by_raw);
    mem_free(t->by_text);
    mem_free(t->merges);
    mem_free(t->slots);
    mem_free(t->chat_template);
    mem_free(t->name);
    buf_dispose(&t->arena);
    mem_free(t);
}

/* ---- encoding ---- */

struct encoder {
    const struct tokenizer *t;
    struct tok_scratch s;
    struct token_list *out;
    bool special;
};

/* Valid, normalized UTF-8 without added tokens. */
static err_code encode_words(struct encoder *x, const char *text, size_t n, struct err *e)
{
    err_code rc = tok_split_run(x->t, &x->s, &text, n, e);
    for (size_t i = 0; i < x->s.spans.n && !rc; i++) {
        const struct tok_span *p = &x->s.spans.v[i];
        rc = tok_bpe(x->t, &x->s, text + p->start, p->end - p->start, x->out, e);
    }
    return rc;
}

/* Valid UTF-8 in which the tokens that are matched before the normalizer have been found. */
static err_code encode_valid(struct encoder *x, const char *text, size_t n, struct err *e)
{
    err_code rc = x->t->nfc ? tok_nfc(&x->s, &text, &n, e) : ERR_OK;
    if (rc || !x->special || !x->t->added_normalized.n)
        return rc ? rc : encode_words(x, text, n, e);
    struct tok_added_walk w = {.text = text, .n = n};
    for (size_t from = 0; !rc && from < n; from = w.end) {
        tok_added_next(x->t, &x->t->added_normalized, &w);
        if (w.start > from)
            rc = encode_words(x, text + from, w.start - from, e);
        if (!rc && w.id >= 0)
            rc = token_list_add(x->out, w.id, e);
    }
    return rc;
}

/* Any UTF-8: the added tokens first. */
static err_code encode_run(struct encoder *x, const char *text, size_t n, struct err *e)
{
    if (!x->special)
        return encode_valid(x, text, n, e);
    err_code rc = ERR_OK;
    struct tok_added_walk w = {.text = text, .n = n};
    for (size_t from = 0; !rc && from < n; from = w.end) {
        tok_added_next(x->t, &x->t->added, &w);
        if (w.start > from)
            rc = encode_valid(x, text + from, w.start - from, e);
        if (!rc && w.id >= 0)
            rc = token_list_add(x->out, w.id, e);
    }
    return rc;
}

err_code tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
                          struct token_list *out, struct err *e)
{
    struct encoder x = {.t = t, .out = out, .special = flags & TOK_SPECIAL};
    err_code rc = ERR_OK;
    size_t from = 0;
    for (size_t i = 0; i < n && !rc;) {
        uint32_t cp;
        size_t len = tok_utf8(text + i, n - i, &cp);
        if (len) {
            i += len;
            continue;
        }
        if (i > from)
            rc = encode_run(&x, text + from, i - from, e);
        if (!rc) /* a byte that is no UTF-8: its own token */
            rc = tok_bpe(t, &x.s, text + i, 1, out, e);
        from = ++i;
    }
    if (!rc && n > from)
        rc = encode_run(&x, text + from, n - from, e);
    tok_scratch_dispose(&x.s);
    return rc;
}

/* ---- decoding ---- */

static bool known_id(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n;
}

static err_code decode_one(const struct tokenizer *t, int32_t id, bool skip_special,
                           struct buf *out, struct err *e)
{
    if (!known_id(t, id))
        return err_set(e, ERR_USAGE, "token %d is outside the vocabulary of %lld tokens", id,
                       (long long)t->n);
    if (skip_special && tokenizer_is_special(t, id))
        return ERR_OK;
    size_t n;
    const char *s = tokenizer_text(t, id, &n);
    return buf_add(out, s, n, e);
}

err_code tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n,
                          bool skip_special, struct buf *out, struct err *e)
{
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n && !rc; i++)
        rc = decode_one(t, ids[i], skip_special, out, e);
    return rc;
}

/* Could s, which is no valid sequence yet, become one when more bytes come? */
static bool is_prefix(const char *s, size_t n)
{
    static const char more[2][3] = {{'\x80', '\x80', '\x80'}, {'\xBF', '\xBF', '\xBF'}};
    char whole[8];
    uint32_t cp;
    for (int fill = 0; fill < 2; fill++)
        for (size_t k = 1; n + k <= 4; k++) {
            memcpy(whole, s, n);
            memcpy(whole + n, more[fill], k);
            if (tok_utf8(whole, n + k, &cp) == n + k)
                return true;
        }
    return false;
}

err_code tokenizer_stream(const struct tokenizer *t, struct token_stream *s, int32_t id,
                          bool skip_special, struct buf *out, struct err *e)
{
    struct buf b = {0};
    err_code rc = buf_add(&b, s->pending, (size_t)s->n_pending, e);
    if (!rc)
        rc = decode_one(t, id, skip_special, &b, e);
    size_t i = 0;
    while (i < b.len && !rc) {
        uint32_t cp;
        size_t len = tok_utf8(b.data + i, b.len - i, &cp);
        if (!len && b.len - i < 4 && is_prefix(b.data + i, b.len - i))
            break;
        i += len ? len : 1; /* a byte that can be no part of a character goes out as it is */
    }
    if (!rc && i)
        rc = buf_add(out, b.data, i, e);
    if (!rc) {
        s->n_pending = (int)(b.len - i);
        if (s->n_pending)
            memcpy(s->pending, b.data + i, b.len - i);
    }
    buf_dispose(&b);
    return rc;
}

err_code tokenizer_stream_end(struct token_stream *s, struct buf *out, struct err *e)
{
    err_code rc = buf_add(out, s->pending, (size_t)s->n_pending, e);
    s->n_pending = 0;
    return rc;
}

/* ---- look-ups ---- */

int64_t tokenizer_size(const struct tokenizer *t)
{
    return t->n;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text)
{
    size_t n = strlen(text);
    int32_t id = tok_vocab_find_raw(t, text, n);
    if (id >= 0 && tokenizer_is_added(t, id))
        return id;
    int32_t by_text = tok_vocab_find_text(t, text, n);
    if (by_text >= 0)
        return by_text;
    /* a token that is not written in the byte alphabet is its own text */
    return id >= 0 && !(t->entries[id].flags & TOK_ALPHABET) ? id : -1;
}

const char *tokenizer_text(const struct tokenizer *t, int32_t id, size_t *n)
{
    *n = 0;
    if (!known_id(t, id) || !(t->entries[id].flags & TOK_PRESENT))
        return "";
    const struct tok_entry *x = &t->entries[id];
    /* an added token's text is its content, whatever the byte alphabet would make of it */
    bool added = x->flags & TOK_ADDED;
    *n = added ? x->n_raw : x->n_text;
    return t->arena.data + (added ? x->raw : x->text);
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return known_id(t, id) && (t->entries[id].flags & TOK_IS_SPECIAL);
}

bool tokenizer_is_added(const struct tokenizer *t, int32_t id)
{
    return known_id(t, id) && (t->entries[id].flags & TOK_ADDED);
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_pad(const struct tokenizer *t)
{
    return t->pad;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->adds_bos;
}

int tokenizer_stops(const struct tokenizer *t, const int32_t **ids)
{
    *ids = t->stops;
    return t->n_stops;
}

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}

const char *tokenizer_raw(const struct tokenizer *t, int32_t id)
{
    if (!known_id(t, id) || !(t->entries[id].flags & TOK_PRESENT))
        return NULL;
    return t->arena.data + t->entries[id].raw;
}

int64_t tokenizer_n_merges(const struct tokenizer *t)
{
    return t->n_merges;
}

err_code tokenizer_merge(const struct tokenizer *t, int64_t i, struct buf *out, struct err *e)
{
    if (i < 0 || i >= t->n_merges)
        return err_set(e, ERR_USAGE, "merge %lld of %lld", (long long)i, (long long)t->n_merges);
    const struct tok_entry *a = &t->entries[t->merges[i].left],
                           *b = &t->entries[t->merges[i].right];
    err_code rc = buf_add(out, t->arena.data + a->raw, a->n_raw, e);
    if (!rc)
        rc = buf_add(out, " ", 1, e);
    return rc ? rc : buf_add(out, t->arena.data + b->raw, b->n_raw, e);
}

const char *tokenizer_pre_name(const struct tokenizer *t)
{
    return t->pre_name;
}

/* ---- opening ---- */

err_code tok_add_stop(struct tokenizer *t, int32_t id, struct err *e)
{
    for (int i = 0; i < t->n_stops; i++)
        if (t->stops[i] == id)
            return ERR_OK;
    if (t->n_stops == TOK_MAX_STOPS)
        return err_set(e, ERR_UNSUPPORTED, "%s: more than %d tokens that end generation", t->name,
                       TOK_MAX_STOPS);
    t->stops[t->n_stops++] = id;
    return ERR_OK;
}

/* The first of the names that is an added token. */
static int32_t well_known(const struct tokenizer *t, const char *const *names)
{
    for (; *names; names++) {
        int32_t id = tokenizer_find(t, *names);
        if (id >= 0 && tokenizer_is_added(t, id))
            return id;
    }
    return -1;
}

err_code tok_finish(struct tokenizer *t, struct err *e)
{
    static const char *const begins[] = {"<｜begin▁of▁sentence｜>", "<|begin_of_text|>", "<s>",
                                         NULL};
    static const char *const ends[] = {"<｜end▁of▁sentence｜>", "<|end_of_text|>", "</s>",
                                       "<|endoftext|>", NULL};
    static const char *const turns[] = {"<｜end▁of▁sentence｜>", "<|im_end|>", "<|eot_id|>", NULL};
    int32_t id;
    err_code rc = tok_vocab_index_added(t, e);
    if (rc)
        return rc;
    if (t->bos < 0)
        t->bos = well_known(t, begins);
    if (t->eos < 0)
        t->eos = well_known(t, ends);
    if (t->eos >= 0)
        rc = tok_add_stop(t, t->eos, e);
    /* a base model's EOS ends a document; its chat form ends a turn with one of these */
    for (int i = 0; turns[i] && !rc; i++)
        if ((id = well_known(t, (const char *const[]){turns[i], NULL})) >= 0)
            rc = tok_add_stop(t, id, e);
    if (!t->pre_name)
        t->pre_name = tok_split_name(t);
    if (t->pre_name && !strcmp(t->pre_name, "qwen2") && tokenizer_find(t, "<｜User｜>") >= 0)
        t->pre_name = "deepseek-r1-qwen";
    return rc;
}

static struct tokenizer *tokenizer_new(struct err *e)
{
    struct tokenizer *t = mem_new(1, sizeof *t, e);
    if (t)
        tok_vocab_init(t);
    return t;
}

/* Hands t over, or closes it when rc says that loading failed. */
static err_code opened(struct tokenizer *t, err_code rc, struct tokenizer **out, struct err *e)
{
    if (!rc)
        rc = tok_finish(t, e);
    if (rc)
        tokenizer_close(t);
    else
        *out = t;
    return rc;
}

err_code tokenizer_open_gguf(const struct gguf *g, struct tokenizer **out, struct err *e)
{
    *out = NULL;
    struct tokenizer *t = tokenizer_new(e);
    return t ? opened(t, tok_gguf_load(t, g, e), out, e) : ERR_NOMEM;
}

static bool is_gguf(const char *path)
{
    char magic[4] = {0};
    FILE *f = file_is_dir(path) ? NULL : fopen(path, "rbe");
    bool is = f && fread(magic, 1, 4, f) == 4 && !memcmp(magic, "GGUF", 4);
    if (f)
        fclose(f);
    return is;
}

err_code tokenizer_open(const char *path, struct tokenizer **out, struct err *e)
{
    *out = NULL;
    if (is_gguf(path)) {
        struct gguf *g;
        err_code rc = gguf_open(path, &g, e);
        if (rc)
            return rc;
        rc = tokenizer_open_gguf(g, out, e);
        gguf_close(g);
        return rc;
    }
    struct tokenizer *t = tokenizer_new(e);
    return t ? opened(t, tok_hf_load(t, path, e), out, e) : ERR_NOMEM;
}
