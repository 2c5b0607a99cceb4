#include "teacher/http/tokens.h"

#include <math.h>
#include <string.h>

enum { REASONING, CONTENT }; /* the raw texts */

struct token_chunk {
    uint32_t first_token;
    struct token_mark before, after;
};

/* ---- what a server sends ---- */

/* Names are spans of scratch while it may still move: at + 1, or 0 for none. */
struct name {
    int64_t id;
    size_t at, n;
    bool has_bytes;
    float logprob;
};

static float number_or_nan(struct span v)
{
    double x;
    return scan_number(v, &x) ? (float)x : NAN;
}

/* vLLM's "token_id:123": the id, or -1. */
static int64_t id_of_name(const char *s, size_t n)
{
    static const char prefix[] = "token_id:";
    size_t i = sizeof prefix - 1;
    int64_t id = 0;
    if (n <= i || n > i + 9 || memcmp(s, prefix, i))
        return -1;
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        id = id * 10 + (s[i] - '0');
    }
    return id;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "bytes: \xe2\x80" names a token that holds a part of a character, in plain completions of
 * OpenAI's form: escapes among plain letters. */
static size_t unescape_bytes(char *s, size_t n)
{
    static const char prefix[] = "bytes:";
    size_t from = sizeof prefix - 1, to = 0;
    if (n <= from || memcmp(s, prefix, from) || !memmem(s, n, "\\x", 2))
        return n;
    for (size_t i = from; i < n; to++) {
        bool escape = n - i >= 4 && s[i] == '\\' && s[i + 1] == 'x' && hex(s[i + 2]) >= 0 &&
                      hex(s[i + 3]) >= 0;
        s[to] = escape ? (char)(hex(s[i + 2]) << 4 | hex(s[i + 3])) : s[i];
        i += escape ? 4 : 1;
    }
    return to;
}

/* A token's text, as a string, into scratch. */
static err_code take_name(struct token_log *log, struct span token, struct name *name,
                          struct err *e)
{
    struct text *t = &log->scratch;
    if (!span_is_string(token))
        return ERR_OK;
    if (!text_room(t, token.n, e))
        return ERR_NOMEM;
    name->at = t->len;
    scan_unquote(token, t->data, &t->len);
    name->n = t->len - name->at;
    name->id = id_of_name(t->data + name->at, name->n);
    name->has_bytes = name->id < 0;
    if (name->has_bytes) {
        name->n = unescape_bytes(t->data + name->at, name->n);
        t->len = name->at + name->n;
    }
    return ERR_OK;
}

/* "bytes": an array of whole numbers below 256. Of a token_id name, vLLM sends the bytes of that
 * very name for candidates: these say nothing. */
static err_code take_bytes(struct token_log *log, struct span bytes, struct name *name,
                           struct err *e)
{
    struct text *t = &log->scratch;
    struct scan in = scan_into(bytes);
    struct span item;
    size_t at = t->len;
    if (!bytes.p || *bytes.p != '[')
        return ERR_OK;
    if (!text_room(t, bytes.n, e))
        return ERR_NOMEM;
    for (size_t n = 0; scan_item(&in, &item); n++) {
        int64_t byte = scan_count(item);
        if (byte < 0 || byte > 255)
            return ERR_OK;
        t->data[at + n] = (char)byte;
        t->len = at + n + 1;
    }
    size_t n = t->len - at;
    if (n == 0 ||
        (!name->has_bytes && n == name->n && !memcmp(t->data + at, t->data + name->at, n)))
        return ERR_OK;
    name->at = at;
    name->n = n;
    name->has_bytes = true;
    return ERR_OK;
}

/* An object of the chat form, which was entered, to its end. */
static err_code take_entry(struct token_log *log, struct scan *in, struct name *name,
                           struct span *top, struct err *e)
{
    struct span key, value, token = {0}, bytes = {0}, id = {0}, logprob = {0};
    *top = (struct span){0};
    while (scan_member(in, &key, &value))
        if (span_is(key, "token"))
            token = value;
        else if (span_is(key, "bytes"))
            bytes = value;
        else if (span_is(key, "id"))
            id = value;
        else if (span_is(key, "logprob"))
            logprob = value;
        else if (span_is(key, "top_logprobs"))
            *top = value;
    *name = (struct name){.id = -1, .logprob = number_or_nan(logprob)};
    err_code rc = take_name(log, token, name, e);
    if (!rc)
        rc = take_bytes(log, bytes, name, e);
    if (name->id < 0)
        name->id = scan_count(id);
    return rc;
}

static struct logprob as_logprob(const struct token_log *log, const struct name *x)
{
    return (struct logprob){.id = x->id < INT32_MAX ? x->id : -1,
                            .bytes = x->has_bytes ? log->scratch.data + x->at : NULL,
                            .n_bytes = x->has_bytes ? x->n : 0,
                            .logprob = x->logprob};
}

static bool is_same(const struct logprob *a, const struct logprob *b)
{
    if (a->logprob != b->logprob)
        return false;
    if (a->id >= 0 && b->id >= 0)
        return a->id == b->id;
    return a->n_bytes == b->n_bytes && (!a->n_bytes || !memcmp(a->bytes, b->bytes, a->n_bytes));
}

static bool is_among(const struct logprob *x, const struct logprob *list, size_t n)
{
    size_t i = 0;
    while (i < n && !is_same(x, &list[i]))
        i++;
    return i < n;
}

/* Candidates: an array of the chat form's objects, or an object {token: logprob}. One more than
 * asked for may come: servers add the chosen token when it is not among the best. doubtful: they
 * are kept only when it is. */
static err_code add_token(struct token_log *log, const struct name *chosen, struct span top,
                          bool doubtful, struct err *e)
{
    struct name names[LOGPROBS_MAX_TOP];
    struct logprob list[LOGPROBS_MAX_TOP], first;
    struct scan in = scan_into(top);
    struct span key, value, unused;
    size_t n = 0, most = log->n_top + 1 < LOGPROBS_MAX_TOP ? log->n_top + 1 : LOGPROBS_MAX_TOP;
    err_code rc = ERR_OK;
    bool object = top.p && *top.p == '{';
    while (n < most && !rc && (object ? scan_member(&in, &key, &value) : scan_enter_item(&in))) {
        if (object) {
            names[n] = (struct name){.id = -1, .logprob = number_or_nan(value)};
            rc = take_name(log, key, &names[n++], e);
        } else {
            rc = take_entry(log, &in, &names[n++], &unused, e);
        }
    }
    for (size_t i = 0; i < n; i++)
        list[i] = as_logprob(log, &names[i]);
    first = as_logprob(log, chosen);
    if (doubtful && !is_among(&first, list, n))
        n = 0;
    if (!rc)
        rc = logprobs_add(&log->writer, &first, list, n, e);
    log->scratch.len = 0;
    return rc;
}

/* SGLang's chat streams repeat the candidates of a chunk's first token for its others (sgl-project/
 * sglang issue 39260): a list that is the last one to the byte, and whose token is not among it as
 * it was chosen, is another token's. */
static err_code take_entries(struct token_log *log, struct span entries, struct err *e)
{
    struct scan in = entries.p && *entries.p == '[' ? scan_into(entries) : (struct scan){0};
    struct span top, last = {0};
    struct name name;
    err_code rc = ERR_OK;
    while (!rc && scan_enter_item(&in)) {
        rc = take_entry(log, &in, &name, &top, e);
        bool again = top.p && last.p && top.n == last.n && !memcmp(top.p, last.p, top.n);
        last = top;
        if (!rc)
            rc = add_token(log, &name, top, again, e);
    }
    return rc;
}

static err_code take_arrays(struct token_log *log, struct span logprobs, struct err *e)
{
    struct span token, number, top, id;
    struct scan tokens = scan_into(scan_at(logprobs, "tokens")),
                numbers = scan_into(scan_at(logprobs, "token_logprobs")),
                tops = scan_into(scan_at(logprobs, "top_logprobs")),
                ids = scan_into(scan_at(logprobs, "token_ids"));
    err_code rc = ERR_OK;
    while (!rc && scan_item(&tokens, &token)) {
        number = top = id = (struct span){0};
        scan_item(&numbers, &number);
        scan_item(&tops, &top);
        scan_item(&ids, &id);
        struct name name = {.id = -1, .logprob = number_or_nan(number)};
        rc = take_name(log, token, &name, e);
        if (name.id < 0)
            name.id = scan_count(id);
        if (!rc)
            rc = add_token(log, &name, top, false, e);
    }
    return rc;
}

static err_code begin_chunk(struct token_log *log, const struct token_mark *before,
                            const struct token_mark *after, struct err *e)
{
    struct token_chunk c = {log->writer.n_tokens, *before, *after};
    return text_add(&log->chunks, &c, sizeof c, e);
}

err_code token_log_take(struct token_log *log, struct span logprobs,
                        const struct token_mark *before, const struct token_mark *after,
                        struct err *e)
{
    err_code rc = ERR_OK;
    if (!logprobs.p || *logprobs.p != '{')
        return rc;
    log->scratch.len = 0;
    struct span reasoning = scan_at(logprobs, "reasoning_content"),
                content = scan_at(logprobs, "content");
    struct token_mark between = {{after->len[REASONING], before->len[CONTENT]}};
    if (reasoning.p) { /* its tokens stand for the reasoning alone, and content's for the content */
        rc = begin_chunk(log, before, &between, e);
        if (!rc)
            rc = take_entries(log, reasoning, e);
    }
    if (!rc)
        rc = begin_chunk(log, reasoning.p ? &between : before, after, e);
    if (!rc && content.p)
        rc = take_entries(log, content, e);
    else if (!rc)
        rc = take_arrays(log, logprobs, e);
    return rc;
}

size_t token_log_size(const struct token_log *log)
{
    return logprobs_size(&log->writer) + log->chunks.len;
}

/* ---- where tokens stand ---- */

enum { MAX_GAP = 256 };

struct placer {
    const char *text[2];
    uint64_t n[2], at[2]; /* at: where the next token is looked for */
    uint64_t n_reasoning; /* without white space at its end */
    int which;            /* the text that the last token stood in */
    /* The last token whose bytes are not known, and how many bytes it and those like it before it
     * may stand for: none after a token that was found. */
    uint32_t unknown;
    uint64_t unknown_bytes;
    const struct think_split *split;
    struct logprobs_place *places;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What of [from, to) of the text lies in the part is the token's place. */
static bool clip(const struct placer *p, uint32_t token, uint64_t from, uint64_t to,
                 const char *part, size_t n_part, enum logprobs_part name)
{
    const char *text = p->text[p->which];
    if (!n_part || part < text || part + n_part > text + p->n[p->which])
        return false; /* the part lies in the other text */
    uint64_t first = (uint64_t)(part - text), last = first + n_part;
    from = from > first ? from : first;
    to = to < last ? to : last;
    if (from >= to)
        return false;
    p->places[token] = (struct logprobs_place){name, from - first, to - from};
    return true;
}

static bool put(struct placer *p, uint32_t token, uint64_t from, uint64_t to)
{
    const struct think_split *s = p->split;
    if (!clip(p, token, from, to, s->reasoning, s->n_reasoning, LOGPROBS_REASONING))
        clip(p, token, from, to, s->answer, s->n_answer, LOGPROBS_ANSWER);
    p->at[p->which] = to;
    p->unknown_bytes = 0;
    return true;
}

/* Text up to `to` was passed over. When there were tokens of unknown bytes, and no more text than
 * they may stand for, it is the last one's. */
static void close_gap(struct placer *p, uint64_t to)
{
    uint64_t at = p->at[p->which];
    if (to > at && to - at <= p->unknown_bytes)
        put(p, p->unknown, at, to);
}

/* Is the rest of what did not fit only what servers take away: white space or a tag? */
static bool is_taken_away(const char *s, uint64_t n)
{
    while (n && is_space(*s)) {
        s++;
        n--;
    }
    return n == 0 || *s == '<';
}

/* A token's bytes right at the cursor of one text, whole, without the white space that was taken
 * away at its start, or as far as the text goes. */
static bool place_at(struct placer *p, uint32_t token, int which, const char *bytes, uint64_t n)
{
    uint64_t at = p->at[which], left = p->n[which] - at;
    const char *text = p->text[which] + at;
    if (left == 0)
        return false;
    if (at == 0)
        for (; n && is_space(*bytes) && *bytes != *text; bytes++)
            n--;
    bool whole = n && n <= left && !memcmp(text, bytes, n);
    if (!whole &&
        !(n > left && !memcmp(text, bytes, left) && is_taken_away(bytes + left, n - left)))
        return false;
    p->which = which;
    return put(p, token, at, at + (whole ? n : left));
}

/* Behind tokens whose bytes are not known (parts of characters, mostly) one stands a few bytes on.
 */
static bool place_behind_gap(struct placer *p, uint32_t token, const char *bytes, uint64_t n)
{
    uint64_t at = p->at[p->which], left = p->n[p->which] - at;
    uint64_t gap = p->unknown_bytes < MAX_GAP ? p->unknown_bytes : MAX_GAP;
    if (gap == 0 || n == 0 || left == 0)
        return false;
    const char *hit = memmem(p->text[p->which] + at, gap + n < left ? gap + n : left, bytes, n);
    if (!hit)
        return false;
    uint64_t from = (uint64_t)(hit - p->text[p->which]);
    close_gap(p, from);
    return put(p, token, from, from + n);
}

static void place_token(struct placer *p, uint32_t token, const char *bytes, uint64_t n)
{
    bool spent = p->at[REASONING] >= p->n_reasoning;
    if (place_at(p, token, p->which, bytes, n) ||
        (p->which == REASONING && spent && place_at(p, token, CONTENT, bytes, n)) ||
        place_behind_gap(p, token, bytes, n))
        return;
    if (memmem(bytes, n, "\xEF\xBF\xBD", 3)) { /* up to three bytes each, and what stands by it */
        p->unknown = token;
        p->unknown_bytes += n;
    }
}

/* The cursor goes on to the chunk's text, and to the text that grew. */
static void enter_chunk(struct placer *p, const struct token_chunk *c)
{
    bool grew[2];
    for (int i = 0; i < 2; i++) {
        grew[i] = c->after.len[i] > c->before.len[i];
        if (p->at[i] >= c->before.len[i])
            continue;
        if (i == p->which)
            close_gap(p, c->before.len[i]);
        p->at[i] = c->before.len[i];
        p->unknown_bytes = 0;
    }
    if (grew[REASONING] != grew[CONTENT])
        p->which = grew[CONTENT] ? CONTENT : REASONING;
}

/* Tokens first .. last - 1 came with one chunk. */
static void place_chunk(struct placer *p, const struct token_log *log, const struct token_chunk *c,
                        uint32_t last)
{
    bool none_known = last > c->first_token;
    enter_chunk(p, c);
    for (uint32_t t = c->first_token; t < last; t++) {
        size_t n;
        const char *bytes = logprobs_token_bytes(&log->writer, t, &n);
        if (bytes)
            place_token(p, t, bytes, n);
        none_known &= !bytes;
    }
    if (none_known && p->at[p->which] < c->after.len[p->which])
        put(p, last - 1, p->at[p->which], c->after.len[p->which]);
    else
        close_gap(p, c->after.len[p->which]);
}

static void place_all(const struct token_log *log, const struct think_text *x,
                      const struct think_split *s, struct logprobs_place *places)
{
    struct placer p = {.text = {x->reasoning, x->content},
                       .n = {x->n_reasoning, x->n_content},
                       .n_reasoning = x->n_reasoning,
                       .split = s,
                       .places = places};
    while (p.n_reasoning && is_space(x->reasoning[p.n_reasoning - 1]))
        p.n_reasoning--;
    size_t n_chunks = log->chunks.len / sizeof(struct token_chunk);
    for (size_t i = 0; i < n_chunks; i++) {
        struct token_chunk c, next = {.first_token = log->writer.n_tokens};
        memcpy(&c, log->chunks.data + i * sizeof c, sizeof c);
        if (i + 1 < n_chunks)
            memcpy(&next, log->chunks.data + (i + 1) * sizeof c, sizeof c);
        place_chunk(&p, log, &c, next.first_token);
    }
}

err_code token_log_finish(struct token_log *log, const struct think_text *x,
                          const struct think_split *split, struct buf *out, struct err *e)
{
    struct logprobs_place *places = mem_new(log->writer.n_tokens, sizeof *places, e);
    if (!places)
        return ERR_NOMEM;
    place_all(log, x, split, places);
    err_code rc = logprobs_finish(&log->writer, places, out, e);
    mem_free(places);
    return rc;
}

void token_log_reset(struct token_log *log)
{
    logprobs_reset(&log->writer);
    text_clear(&log->chunks, 4 << 10);
    text_clear(&log->scratch, 4 << 10);
}

void token_log_dispose(struct token_log *log)
{
    logprobs_writer_dispose(&log->writer);
    text_dispose(&log->chunks);
    text_dispose(&log->scratch);
}
