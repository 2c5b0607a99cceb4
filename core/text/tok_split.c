#include "core/text/tok.h"

#define GPT2_REGEX                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define QWEN2_REGEX                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"      \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_REGEX                                                                               \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+" \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3_REGEX                                                                            \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"           \
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* What llama.cpp calls by a name (its tokenizer.ggml.pre), with the patterns of the model's own
 * tokenizer.json. Where two names share patterns, the first is the one that tok_split_name gives.
 */
static const struct known {
    const char *name;
    const char *patterns[3];
    bool ignore_merges, nfc;
} known[] = {
    {"qwen2", {QWEN2_REGEX}, false, true},
    {"deepseek-r1-qwen", {QWEN2_REGEX}, false, true},
    {"deepseek-v3",
     {"\\p{N}{1,3}",
      "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
      DEEPSEEK3_REGEX},
     false,
     false},
    {"llama-bpe", {LLAMA3_REGEX}, true, false},
    {"llama3", {LLAMA3_REGEX}, true, false},
    {"llama-v3", {LLAMA3_REGEX}, true, false},
    {"gpt-2", {GPT2_REGEX}, false, false},
};
enum { N_KNOWN = sizeof known / sizeof *known };

static err_code compile(const struct tokenizer *t, const char *where, const char *pattern,
                        struct tok_stage *s, struct err *e)
{
    int error;
    PCRE2_SIZE at;
    pcre2_compile_context *c = pcre2_compile_context_create(NULL);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory for a regex");
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    s->re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                          &at, c);
    pcre2_compile_context_free(c);
    if (!s->re) {
        PCRE2_UCHAR msg[200];
        pcre2_get_error_message(error, msg, sizeof msg);
        return err_set(e, ERR_FORMAT, "%s: %s: regex \"%.200s\": %s", t->name, where, pattern,
                       (char *)msg);
    }
    pcre2_jit_compile(s->re, PCRE2_JIT_COMPLETE); /* without a JIT the interpreter does */
    return ERR_OK;
}

static err_code stage_new(struct tokenizer *t, const char *where, struct tok_stage **s,
                          struct err *e)
{
    if (t->n_stages == TOK_MAX_STAGES)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s has more than %d steps", t->name, where,
                       TOK_MAX_STAGES);
    if (t->byte_level)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s: a step after ByteLevel is not supported",
                       t->name, where);
    *s = &t->stages[t->n_stages++];
    return ERR_OK;
}

err_code tok_split_add(struct tokenizer *t, const char *where, const char *pattern,
                       enum tok_behavior behavior, bool invert, struct err *e)
{
    struct tok_stage *s = NULL;
    struct buf pcre = {0};
    err_code rc = stage_new(t, where, &s, e);
    if (rc)
        return rc;
    s->behavior = behavior;
    s->invert = invert;
    rc = tok_regex_translate(pattern, &pcre, e);
    if (rc)
        err_context(e, "%s: %s", t->name, where);
    else
        rc = compile(t, where, pcre.data, s, e);
    s->pattern = pcre.data;
    return rc;
}

err_code tok_split_add_byte_level(struct tokenizer *t, const char *where, bool prefix_space,
                                  bool use_regex, struct err *e)
{
    struct tok_stage *s;
    err_code rc = ERR_OK;
    if (use_regex)
        rc = tok_split_add(t, where, GPT2_REGEX, TOK_ISOLATED, false, e);
    else if (prefix_space)
        rc = stage_new(t, where, &s, e);
    if (!rc && prefix_space)
        t->stages[t->n_stages - 1].prefix_space = true;
    if (!rc && t->byte_level)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s: ByteLevel twice", t->name, where);
    t->byte_level = true;
    return rc;
}

err_code tok_split_add_named(struct tokenizer *t, const char *where, const char *name, size_t n,
                             struct err *e)
{
    for (int k = 0; k < N_KNOWN; k++) {
        if (strlen(known[k].name) != n || memcmp(known[k].name, name, n))
            continue;
        err_code rc = ERR_OK;
        for (int i = 0; i < 3 && known[k].patterns[i] && !rc; i++)
            rc = tok_split_add(t, where, known[k].patterns[i], TOK_ISOLATED, false, e);
        t->ignore_merges = known[k].ignore_merges;
        t->nfc = known[k].nfc;
        t->byte_level = true;
        t->pre_name = known[k].name;
        return rc;
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: %s is \"%.*s\"; known are qwen2, deepseek-r1-qwen, deepseek-v3, llama-bpe, "
                   "gpt-2",
                   t->name, where, n > 60 ? 60 : (int)n, name);
}

static bool same_stages(const struct tokenizer *t, const struct known *k)
{
    int n = 0;
    while (n < 3 && k->patterns[n])
        n++;
    if (t->n_stages != n || t->ignore_merges != k->ignore_merges)
        return false;
    for (int i = 0; i < n; i++) {
        const struct tok_stage *s = &t->stages[i];
        struct buf pcre = {0};
        bool same = !tok_regex_translate(k->patterns[i], &pcre, NULL) && s->pattern &&
                    !strcmp(s->pattern, pcre.data) && s->behavior == TOK_ISOLATED && !s->invert &&
                    !s->prefix_space;
        buf_dispose(&pcre);
        if (!same)
            return false;
    }
    return true;
}

const char *tok_split_name(const struct tokenizer *t)
{
    for (int k = 0; k < N_KNOWN; k++)
        if (same_stages(t, &known[k]))
            return known[k].name;
    return NULL;
}

static err_code span_add(struct tok_spans *l, size_t start, size_t end, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        err_code rc = mem_grow((void **)&l->v, cap, sizeof *l->v, e);
        if (rc)
            return rc;
        l->cap = cap;
    }
    l->v[l->n++] = (struct tok_span){start, end};
    return ERR_OK;
}

/* How the pieces of one span are put together from matches and what lies between them. */
struct joiner {
    enum tok_behavior behavior;
    bool last_matched; /* HF's previous_match */
    size_t n_first;    /* pieces before this span */
    struct tok_spans *out;
};

/* Merging into the piece after a match: HF walks backwards; a match goes in front of what follows
 * it unless that is a match. Here the decision is made when the follower comes. */
static err_code join(struct joiner *j, size_t start, size_t end, bool match, struct err *e)
{
    struct tok_spans *o = j->out;
    bool any = o->n > j->n_first, merge = false;
    bool last = j->last_matched;
    j->last_matched = match;
    switch (j->behavior) {
    case TOK_REMOVED:
        if (match)
            return ERR_OK;
        break;
    case TOK_ISOLATED:
        break;
    case TOK_MERGED_PREVIOUS:
        merge = match && !last && any;
        break;
    case TOK_MERGED_NEXT:
        merge = !match && last && any;
        break;
    case TOK_CONTIGUOUS:
        merge = match == last && any;
        break;
    }
    if (merge) {
        o->v[o->n - 1].end = end;
        return ERR_OK;
    }
    return span_add(o, start, end, e);
}

static err_code match_error(const struct tokenizer *t, int code, struct err *e)
{
    PCRE2_UCHAR msg[200];
    pcre2_get_error_message(code, msg, sizeof msg);
    return err_set(e, ERR_UNSUPPORTED, "%s: pre_tokenizer: a regex gave up on the text: %s",
                   t->name, (char *)msg);
}

static int match_once(const struct tok_stage *st, struct tok_scratch *s, const char *text, size_t n,
                      size_t from)
{
    int k = pcre2_match(st->re, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, s->match, s->limits);
    if (k == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its state on the heap */
        k = pcre2_match(st->re, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        s->match, s->limits);
    return k;
}

/* Splits one span. seen is the text as the regex sees it, byte for byte as long as the text. */
static err_code split_span(const struct tokenizer *t, const struct tok_stage *st,
                           struct tok_scratch *s, const char *seen, struct tok_span span,
                           struct err *e)
{
    struct joiner j = {st->behavior, false, s->next.n, &s->next};
    const char *text = seen + span.start;
    size_t n = span.end - span.start, at = 0, prev = 0, last_end = SIZE_MAX;
    err_code rc = ERR_OK;
    while (at <= n && !rc) {
        int k = match_once(st, s, text, n, at);
        if (k == PCRE2_ERROR_NOMATCH)
            break;
        if (k < 0)
            return match_error(t, k, e);
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->match);
        size_t start = v[0], end = v[1];
        if (start == end && end == last_end) { /* no empty match right after a match */
            uint32_t cp;
            at += at < n ? tok_utf8(text + at, n - at, &cp) : 1;
            continue;
        }
        at = last_end = end;
        if (start > prev)
            rc = join(&j, span.start + prev, span.start + start, st->invert, e);
        if (!rc)
            rc = join(&j, span.start + start, span.start + end, !st->invert, e);
        prev = end;
    }
    if (!rc && prev < n)
        rc = join(&j, span.start + prev, span.end, st->invert, e);
    return rc;
}

/* A space in front of every span that does not begin with one: a new text, new spans. */
static err_code add_spaces(struct tok_scratch *s, const char **text, struct err *e)
{
    buf_clear(&s->prefixed);
    err_code rc = ERR_OK;
    for (size_t i = 0; i < s->spans.n && !rc; i++) {
        struct tok_span *p = &s->spans.v[i];
        size_t from = s->prefixed.len;
        if (p->start == p->end) { /* HF drops these */
            *p = (struct tok_span){from, from};
            continue;
        }
        if ((*text)[p->start] != ' ')
            rc = buf_add(&s->prefixed, " ", 1, e);
        if (!rc)
            rc = buf_add(&s->prefixed, *text + p->start, p->end - p->start, e);
        *p = (struct tok_span){from, s->prefixed.len};
    }
    *text = s->prefixed.data ? s->prefixed.data : *text;
    return rc;
}

/* The text as PCRE2 should see it: code points newer than its tables replaced by older ones of the
 * same category and length. The text itself when there are none. */
static err_code stand_in(struct tok_scratch *s, const char *text, size_t n, const char **seen,
                         struct err *e)
{
    bool copied = false;
    *seen = text;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t len = tok_utf8(text + i, n - i, &cp);
        uint32_t older = len > 2 ? tok_unicode_stand_in(cp) : 0;
        if (older && !copied) {
            buf_clear(&s->proxy);
            err_code rc = buf_add(&s->proxy, text, n, e);
            if (rc)
                return rc;
            *seen = s->proxy.data;
            copied = true;
        }
        if (older) {
            char bytes[4];
            memcpy(s->proxy.data + i, bytes, tok_utf8_put(older, bytes));
        }
        i += len;
    }
    return ERR_OK;
}

static err_code prepare(struct tok_scratch *s, size_t n, struct err *e)
{
    if (!s->match)
        s->match = pcre2_match_data_create(1, NULL);
    if (!s->limits)
        s->limits = pcre2_match_context_create(NULL);
    if (!s->match || !s->limits)
        return err_set(e, ERR_NOMEM, "out of memory for a regex's match");
    /* enough for one match over the whole text, too little to run for minutes */
    uint64_t limit = 2000000 + 8 * (uint64_t)n;
    pcre2_set_match_limit(s->limits, limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit);
    pcre2_set_heap_limit(s->limits, 1 << 20); /* KiB */
    return ERR_OK;
}

err_code tok_split_run(const struct tokenizer *t, struct tok_scratch *s, const char **text,
                       size_t n, struct err *e)
{
    const char *seen = *text;
    s->spans.n = 0;
    err_code rc = prepare(s, n, e);
    if (!rc && n)
        rc = span_add(&s->spans, 0, n, e);
    if (!rc)
        rc = stand_in(s, *text, n, &seen, e);
    for (int i = 0; i < t->n_stages && !rc; i++) {
        const struct tok_stage *st = &t->stages[i];
        if (st->prefix_space) {
            rc = add_spaces(s, text, e);
            if (!rc)
                rc = stand_in(s, *text, s->prefixed.len, &seen, e);
        }
        if (!st->re)
            continue;
        s->next.n = 0;
        for (size_t k = 0; k < s->spans.n && !rc; k++)
            if (s->spans.v[k].end > s->spans.v[k].start)
                rc = split_span(t, st, s, seen, s->spans.v[k], e);
        struct tok_spans done = s->spans;
        s->spans = s->next;
        s->next = done;
    }
    return rc;
}

void tok_split_dispose(struct tokenizer *t)
{
    for (int i = 0; i < t->n_stages; i++) {
        pcre2_code_free(t->stages[i].re);
        mem_free(t->stages[i].pattern);
    }
}

void tok_scratch_dispose(struct tok_scratch *s)
{
    buf_dispose(&s->normal);
    buf_dispose(&s->proxy);
    buf_dispose(&s->prefixed);
    mem_free(s->spans.v);
    mem_free(s->next.v);
    mem_free(s->symbols);
    mem_free(s->heap);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->limits);
    memset(s, 0, sizeof *s);
}
