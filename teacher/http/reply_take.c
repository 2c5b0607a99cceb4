#include "teacher/http/reply_parts.h"
#include "teacher/http/scan.h"

#include <stdio.h>
#include <string.h>

/* ---- text ---- */

/* A string into a fixed array, cut to its size; an empty one or another kind leaves it. */
static void keep_string(struct span v, char *out, size_t size)
{
    char text[1024];
    size_t n = 0;
    if (!span_is_string(v) || v.n <= 2 || v.n > sizeof text)
        return;
    scan_unquote(v, text, &n);
    n = n < size - 1 ? n : size - 1;
    memcpy(out, text, n);
    out[n] = 0;
}

static void keep_first(struct span v, char *out, size_t size)
{
    if (!out[0])
        keep_string(v, out, size);
}

static bool add_string(struct http_reply *r, struct text *t, struct span v)
{
    if (!span_is_string(v) || v.n <= 2)
        return true;
    if (v.n > r->rules.max_bytes || r->reasoning.len + r->content.len > r->rules.max_bytes - v.n)
        return reply_bad_length(r);
    if (!text_room(t, v.n, NULL))
        return reply_bad_memory(r);
    scan_unquote(v, t->data, &t->len);
    return true;
}

/* A string, or an array of parts of which those with a text count. */
static bool add_texts(struct http_reply *r, struct text *t, struct span v)
{
    struct scan in = scan_into(v);
    struct span part;
    if (!v.p || *v.p != '[')
        return add_string(r, t, v);
    while (scan_item(&in, &part))
        if (!add_string(r, t, scan_at(part, "text")))
            return false;
    return true;
}

/* The same, with parts that hold the reasoning: {"type": "thinking", "thinking": texts}. Where a
 * field gives it, it is not taken twice. */
static bool add_content(struct http_reply *r, struct span v)
{
    struct scan in = v.p && *v.p == '[' ? scan_into(v) : (struct scan){0};
    struct span part;
    size_t before = r->reasoning.len;
    while (scan_item(&in, &part))
        if ((r->field == THINK_NONE || r->field == THINK_PARTS) &&
            !add_texts(r, &r->reasoning, scan_at(part, "thinking")))
            return false;
    if (r->reasoning.len > before)
        r->field = THINK_PARTS;
    return add_texts(r, &r->content, v);
}

struct parts {
    struct span content, reasoning_content, reasoning, refusal;
};

static void find_part(struct parts *p, struct span key, struct span value)
{
    if (span_is(key, "content") || span_is(key, "text"))
        p->content = value;
    else if (span_is(key, "reasoning_content"))
        p->reasoning_content = value;
    else if (span_is(key, "reasoning"))
        p->reasoning = value;
    else if (span_is(key, "refusal"))
        p->refusal = value;
}

static bool is_said(struct span v)
{
    return span_is_string(v) && v.n > 2;
}

/* One delta's or message's text. Of two reasoning fields (servers that changed the name send both)
 * the first in the rules' order counts. */
static bool add_parts(struct http_reply *r, const struct parts *p)
{
    bool older = is_said(p->reasoning_content);
    size_t before = r->reasoning.len;
    if (before == 0)
        r->n_before_field = r->content.len;
    if (!add_string(r, &r->reasoning, older ? p->reasoning_content : p->reasoning))
        return false;
    if (r->field == THINK_NONE && r->reasoning.len > before)
        r->field = older ? THINK_REASONING_CONTENT : THINK_REASONING;
    r->refused |= is_said(p->refusal);
    return add_content(r, p->content) && add_string(r, &r->content, p->refusal);
}

/* ---- errors ---- */

/* What an error says under one of these names: a string, or FastAPI's list of {"loc", "msg"}, of
 * which the first counts; where: the last of its loc. */
static struct span find_words(struct span error, struct span *where)
{
    static const char *const words[] = {"message", "detail", "msg", "type", "code"};
    struct span message = {0}, item;
    for (size_t i = 0; i < sizeof words / sizeof *words && !is_said(message); i++) {
        message = scan_at(error, words[i]);
        if (message.p && *message.p == '{') /* Mistral: {"detail": the list} */
            message = scan_at(message, "detail");
        struct scan in = scan_into(message);
        if (!message.p || *message.p != '[' || !scan_item(&in, &item))
            continue;
        message = scan_at(item, "msg");
        for (in = scan_into(scan_at(item, "loc")); scan_item(&in, &item);)
            *where = item;
    }
    return message;
}

/* Needs room for words.n + 2 bytes. */
static void add_words(char *text, size_t *n, struct span words)
{
    if (*n) {
        text[(*n)++] = ':';
        text[(*n)++] = ' ';
    }
    scan_unquote(words, text, n);
}

/* Are prompt and answer together too long for the model? Most servers say 400 of that, Together
 * 403:
 * "`inputs` tokens + `max_new_tokens` must be <= 4097", "... less than the context length ...". */
static bool is_too_long(const char *text)
{
    static const char *const lengths[] = {"max_new_tokens", "context length", "context window",
                                          "context limit"};
    bool found = false;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        found = found || strcasestr(text, lengths[i]);
    return found && strcasestr(text, "token");
}

/* An error as servers write it: an object with message and code, or a bare string. */
static bool bad_error(struct http_reply *r, struct span error)
{
    char text[2049];
    size_t n = 0;
    double code = 0;
    struct span message = error, number = {0}, where = {0}, raw = {0};
    if (*error.p == '{') {
        message = find_words(error, &where);
        raw = scan_at(scan_at(error, "metadata"), "raw"); /* OpenRouter: the provider's words */
        number = scan_at(error, "code");
        if (!number.p)
            number = scan_at(error, "status");
        r->of_prompt = scan_at(scan_at(error, "metadata"), "flagged_input").p;
        r->no_quota = span_is(number, "insufficient_quota") ||
                      span_is(scan_at(error, "type"), "insufficient_quota");
    }
    if (number.p && span_is_string(number) && number.n == 5)
        number = (struct span){number.p + 1, 3}; /* "429" */
    if (!scan_number(number, &code) || !(code >= 100 && code < 600))
        code = 0;
    if (is_said(message) && message.n + where.n <= sizeof text - 3) {
        if (is_said(where))
            add_words(text, &n, where);
        add_words(text, &n, message);
        if (is_said(raw) && raw.n <= sizeof text - 3 - n)
            add_words(text, &n, raw);
    } else
        n = (size_t)snprintf(text, sizeof text, "an error: %.*s",
                             (int)(error.n < 400 ? error.n : 400), error.p);
    text[n] = 0;
    r->of_prompt |= is_too_long(text);
    return reply_bad(r, (int)code, text, n);
}

static bool is_error(struct span v)
{
    return v.p && *v.p != 'n' && *v.p != 'f' && !(span_is_string(v) && v.n == 2);
}

/* ---- usage, choices ---- */

static void keep_count(struct span usage, const char *key, int64_t *out)
{
    int64_t n = scan_count(scan_at(usage, key));
    if (n >= 0)
        *out = n;
}

static bool is_cost(struct span v, double *cost)
{
    return scan_number(v, cost) && *cost >= 0 && *cost < 1e6;
}

static void take_usage(struct http_reply *r, struct span usage)
{
    double cost, upstream;
    struct span byok = scan_at(usage, "is_byok"), details = scan_at(usage, "cost_details");
    keep_count(usage, "prompt_tokens", &r->n_prompt);
    keep_count(usage, "completion_tokens", &r->n_completion);
    keep_count(usage, "reasoning_tokens", &r->n_reasoning);
    keep_count(scan_at(usage, "completion_tokens_details"), "reasoning_tokens", &r->n_reasoning);
    keep_count(scan_at(usage, "prompt_tokens_details"), "cached_tokens", &r->n_cached);
    keep_count(usage, "prompt_cache_hit_tokens", &r->n_cached);
    if (!is_cost(scan_at(usage, "cost"), &cost))
        return;
    r->cost = cost;
    /* With a key of one's own OpenRouter takes a fee alone; the provider's bill comes besides. */
    if (byok.p && *byok.p == 't' && is_cost(scan_at(details, "upstream_inference_cost"), &upstream))
        r->cost += upstream;
}

static struct token_mark mark(const struct http_reply *r)
{
    return (struct token_mark){{(uint32_t)r->reasoning.len, (uint32_t)r->content.len}};
}

static bool add_logprobs(struct http_reply *r, struct span logprobs,
                         const struct token_mark *before)
{
    struct token_mark after = mark(r);
    if (r->tokens.n_top == 0)
        return true;
    if (token_log_take(&r->tokens, logprobs, before, &after, NULL))
        return reply_bad_memory(r);
    return token_log_size(&r->tokens) / 8 <= r->rules.max_bytes || reply_bad_length(r);
}

/* The members of a choice that count. */
struct choice {
    struct span delta, message, finish, error, logprobs, index;
    struct parts parts; /* of a plain completion */
};

static void find_members(struct scan *in, struct choice *c)
{
    struct span key, value;
    while (scan_member(in, &key, &value))
        if (span_is(key, "delta"))
            c->delta = value;
        else if (span_is(key, "message"))
            c->message = value;
        else if (span_is(key, "finish_reason"))
            c->finish = value;
        else if (span_is(key, "error"))
            c->error = value;
        else if (span_is(key, "logprobs"))
            c->logprobs = value;
        else if (span_is(key, "index"))
            c->index = value;
        else
            find_part(&c->parts, key, value);
}

static bool take_choice(struct http_reply *r, struct choice *c)
{
    struct span key, value;
    struct scan in = scan_into(c->delta.p && *c->delta.p == '{' ? c->delta : c->message);
    struct token_mark before = mark(r);
    while (scan_member(&in, &key, &value))
        find_part(&c->parts, key, value);
    if (!add_parts(r, &c->parts) || !add_logprobs(r, c->logprobs, &before))
        return false;
    if (is_error(c->error))
        return bad_error(r, c->error);
    struct span type = scan_at(c->finish, "type"); /* SGLang's own form: {"type": "stop", ...} */
    if (!r->finish[0])
        keep_string(type.p ? type : c->finish, r->finish, sizeof r->finish);
    return true;
}

/* Choice 0; one without an index counts when it is the first. */
static bool take_choices(struct http_reply *r, struct span choices)
{
    struct scan in = choices.p && *choices.p == '[' ? scan_into(choices) : (struct scan){0};
    for (int i = 0; scan_enter_item(&in); i++) {
        struct choice c = {0};
        find_members(&in, &c);
        if (span_is_null(c.index) ? i == 0 : scan_count(c.index) == 0)
            return take_choice(r, &c);
    }
    return true;
}

/* ---- one JSON value of a body or an event ---- */

/* Does the number say that this chunk, equal to the one before, is that one again? */
static bool came_again(struct running *x, int64_t value, bool same, int64_t enough)
{
    bool again = same && value >= 0 && value == x->last && x->n_grew >= enough && !x->stood;
    if (value >= 0 && x->last >= 0 && !again) {
        x->n_grew += value > x->last;
        x->stood |= value == x->last;
    }
    if (value >= 0)
        x->last = value;
    return again;
}

/* The members of a whole answer, a chunk or an error that count. */
struct object {
    struct span choices, usage, error, words, whole;
    struct span id, model, fingerprint, tier;
};

/* Reads the object that was entered to its end; false when it is malformed. Nothing of it is kept
 * before all of it was seen to be right. */
static bool find_object(struct scan *s, struct object *o)
{
    struct span key, value;
    const char *first = s->p - 1;
    *o = (struct object){0};
    while (scan_member(s, &key, &value))
        if (span_is(key, "choices"))
            o->choices = value;
        else if (span_is(key, "usage"))
            o->usage = value;
        else if (span_is(key, "error"))
            o->error = value;
        else if (span_is(key, "message") || span_is(key, "detail"))
            o->words = value;
        else if (span_is(key, "id"))
            o->id = value;
        else if (span_is(key, "model"))
            o->model = value;
        else if (span_is(key, "system_fingerprint"))
            o->fingerprint = value;
        else if (span_is(key, "service_tier"))
            o->tier = value;
    o->whole = (struct span){first, (size_t)(s->p - first)};
    return !s->bad;
}

static bool take_object(struct http_reply *r, const struct object *o, const struct sse_event *ev,
                        bool same)
{
    size_t before = r->reasoning.len + r->content.len;
    bool again = came_again(&r->ids, ev ? ev->id : -1, same, RUNNING_ID);
    if (o->choices.n > 2) /* the last chunk has usage and no choice */
        again |= came_again(&r->counts, scan_count(scan_at(o->usage, "completion_tokens")), same,
                            RUNNING_COUNT);
    if (again)
        return true;
    keep_first(o->id, r->id, sizeof r->id);
    keep_first(o->model, r->model, sizeof r->model);
    keep_first(o->fingerprint, r->fingerprint, sizeof r->fingerprint);
    keep_first(o->tier, r->tier, sizeof r->tier);
    take_usage(r, o->usage);
    if (!take_choices(r, o->choices))
        return false;
    if (r->reasoning.len + r->content.len > before) {
        r->n_text_chunks++;
        r->n_same_chunks += same;
    }
    if (scan_count(scan_at(o->usage, "completion_tokens")) >= 0)
        r->n_counted_chunks = r->n_text_chunks;
    if (is_error(o->error))
        return bad_error(r, o->error);
    if (!strcmp(r->finish, "error"))
        return reply_bad_text(r, "the server ended the answer with an error");
    if (span_is_null(o->choices) && span_is_null(o->usage) &&
        (is_error(o->words) || (ev && ev->error)))
        return bad_error(r, o->whole);
    return true;
}

static bool starts_done(const struct scan *s)
{
    return s->end - s->p >= 6 && !memcmp(s->p, "[DONE]", 6);
}

/* The next value of a body or an event's data: an object, or an array of objects, as some wrap
 * errors. Malformed: false, and s->bad. */
static bool take_value(struct http_reply *r, struct scan *s, const struct sse_event *ev, bool same)
{
    struct object o;
    struct span v;
    if (scan_enter(s, '{'))
        return find_object(s, &o) && take_object(r, &o, ev, same);
    if (!scan_value(s, &v))
        return false;
    if (*v.p != '[')
        return ev && ev->error ? bad_error(r, v) : reply_bad_sample(r, "not an answer", v.p, v.n);
    struct scan in = scan_into(v);
    while (scan_enter_item(&in))
        if (find_object(&in, &o) && !take_object(r, &o, ev, same))
            return false;
    return true;
}

bool reply_take(struct http_reply *r, const char *text, size_t n, bool may_be_cut,
                const struct sse_event *ev, bool same)
{
    struct scan s = scan_text(text, n);
    while (!scan_at_end(&s)) {
        if (starts_done(&s)) {
            r->done = true;
            return true;
        }
        const char *first = s.p;
        if (take_value(r, &s, ev, same))
            continue;
        return s.bad && ((may_be_cut && s.cut) ||
                         reply_bad_sample(r, "not JSON", first, (size_t)(s.end - first)));
    }
    return true;
}
