#include "teacher/http/reply.h"
#include "teacher/http/guard.h"
#include "teacher/http/scan.h"
#include "teacher/http/sse.h"
#include "teacher/http/think.h"
#include "teacher/http/tokens.h"

#include <stdio.h>
#include <string.h>

enum { KEEP = 8 << 10, DEFAULT_MAX_BYTES = 64 << 20, PAGE_BYTES = 4 << 10, MESSAGE = 500 };

enum body { BODY_UNKNOWN, BODY_EVENTS, BODY_JSON, BODY_PAGE };

/* A number that each chunk carries. When it was seen to grow, and never to stand still from one
 * chunk to a different one, the same number twice is the same chunk twice. */
struct running {
    int64_t last; /* -1: none yet */
    bool grew, stood;
};

struct http_reply {
    struct reply_rules rules;
    enum body body;
    enum reply_state state;
    bool html, in_comment, done;
    int n_bom;
    struct sse sse;
    struct text whole; /* a body that is no event stream */
    struct text reasoning, content;
    enum think_rule field;
    struct think_tags tags;
    struct loop_guard reasoning_loop, content_loop;
    bool refused;
    char finish[64], model[192], id[192], fingerprint[96], tier[64], message[MESSAGE + 1];
    int status;
    int64_t n_prompt, n_completion, n_reasoning, n_cached;
    double cost;
    uint64_t last_hash;
    struct running ids, counts;
    struct token_log tokens;
    struct buf logprobs; /* of the finished answer, made when it is asked for */
    int64_t n_text_chunks, n_same_chunks;
};

static bool take_event(void *ctx, const struct sse_event *ev);

err_code http_reply_new(const struct reply_rules *rules, struct http_reply **out, struct err *e)
{
    struct http_reply *r = mem_new(1, sizeof *r, e);
    *out = r;
    if (!r)
        return ERR_NOMEM;
    r->rules = *rules;
    r->tokens.n_top = rules->n_top > 0 ? (size_t)rules->n_top : 0;
    if (r->rules.max_bytes == 0)
        r->rules.max_bytes = DEFAULT_MAX_BYTES;
    r->sse.max_bytes = r->rules.max_bytes;
    r->sse.event = take_event;
    r->sse.ctx = r;
    http_reply_begin(r, NULL);
    return ERR_OK;
}

void http_reply_free(struct http_reply *r)
{
    if (!r)
        return;
    sse_dispose(&r->sse);
    text_dispose(&r->whole);
    text_dispose(&r->reasoning);
    text_dispose(&r->content);
    token_log_dispose(&r->tokens);
    buf_dispose(&r->logprobs);
    loop_guard_dispose(&r->reasoning_loop);
    loop_guard_dispose(&r->content_loop);
    mem_free(r);
}

void http_reply_begin(struct http_reply *r, const char *content_type)
{
    sse_reset(&r->sse);
    text_clear(&r->whole, KEEP);
    text_clear(&r->reasoning, KEEP);
    text_clear(&r->content, KEEP);
    token_log_reset(&r->tokens);
    buf_dispose(&r->logprobs);
    loop_guard_dispose(&r->reasoning_loop);
    loop_guard_dispose(&r->content_loop);
    struct http_reply fresh = {.rules = r->rules,
                               .sse = r->sse,
                               .whole = r->whole,
                               .reasoning = r->reasoning,
                               .content = r->content,
                               .tokens = r->tokens,
                               .n_prompt = -1,
                               .n_completion = -1,
                               .n_reasoning = -1,
                               .n_cached = -1,
                               .cost = -1,
                               .ids.last = -1,
                               .counts.last = -1};
    *r = fresh;
    r->html = content_type && !strncasecmp(content_type, "text/html", 9);
}

/* The answer is of no use; what came before stays. Control characters become spaces, and the text
 * is cut between characters. */
static bool bad(struct http_reply *r, int status, const char *text, size_t n)
{
    size_t len = n < MESSAGE ? n : MESSAGE;
    while (len && len < n && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        r->message[i] = (char)(c < 0x20 || c == 0x7F ? ' ' : c);
    }
    r->message[len] = 0;
    r->status = status;
    r->state = REPLY_BAD;
    return false;
}

static bool bad_text(struct http_reply *r, const char *text)
{
    return bad(r, 0, text, strlen(text));
}

/* "what: the first bytes of it" */
static bool bad_sample(struct http_reply *r, const char *what, const char *sample, size_t n)
{
    char text[MESSAGE];
    snprintf(text, sizeof text, "%s: %.*s", what, (int)(n < 120 ? n : 120), sample);
    return bad_text(r, text);
}

static bool bad_memory(struct http_reply *r)
{
    return bad_text(r, "out of memory for an answer");
}

static bool bad_length(struct http_reply *r)
{
    char text[100];
    snprintf(text, sizeof text, "the answer has more than %zu bytes", r->rules.max_bytes);
    return bad_text(r, text);
}

static bool has_text(const struct http_reply *r)
{
    return r->reasoning.len + r->content.len > 0;
}

/* ---- members ---- */

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
        return bad_length(r);
    if (!text_room(t, v.n, NULL))
        return bad_memory(r);
    scan_unquote(v, t->data, &t->len);
    return true;
}

/* A string, or an array of parts of which those of type text count. */
static bool add_content(struct http_reply *r, struct span v)
{
    struct scan in = scan_into(v);
    struct span part;
    if (!v.p || *v.p != '[')
        return add_string(r, &r->content, v);
    while (scan_item(&in, &part))
        if (!add_string(r, &r->content, scan_at(part, "text")))
            return false;
    return true;
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
    if (!add_string(r, &r->reasoning, older ? p->reasoning_content : p->reasoning))
        return false;
    if (r->field == THINK_NONE && r->reasoning.len > before)
        r->field = older ? THINK_REASONING_CONTENT : THINK_REASONING;
    r->refused |= is_said(p->refusal);
    return add_content(r, p->content) && add_string(r, &r->content, p->refusal);
}

/* ---- errors ---- */

/* An error as servers write it: an object with message and code, or a bare string. */
static bool bad_error(struct http_reply *r, struct span error)
{
    char text[2048];
    size_t n = 0;
    double code = 0;
    struct span message = error, number = {0};
    if (*error.p == '{') {
        static const char *const words[] = {"message", "detail", "msg", "type", "code"};
        message = (struct span){0};
        for (size_t i = 0; i < sizeof words / sizeof *words && !is_said(message); i++) {
            message = scan_at(error, words[i]);
            struct scan in = scan_into(message); /* FastAPI: a list of {"loc", "msg"} */
            if (message.p && *message.p == '[' && scan_item(&in, &message))
                message = scan_at(message, "msg");
        }
        number = scan_at(error, "code");
        if (!number.p)
            number = scan_at(error, "status");
    }
    if (number.p && span_is_string(number) && number.n == 5)
        number = (struct span){number.p + 1, 3}; /* "429" */
    if (!scan_number(number, &code) || !(code >= 100 && code < 600))
        code = 0;
    if (is_said(message) && message.n <= sizeof text)
        scan_unquote(message, text, &n);
    else
        n = (size_t)snprintf(text, sizeof text, "an error: %.*s",
                             (int)(error.n < 400 ? error.n : 400), error.p);
    return bad(r, (int)code, text, n);
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

static void take_usage(struct http_reply *r, struct span usage)
{
    double cost;
    keep_count(usage, "prompt_tokens", &r->n_prompt);
    keep_count(usage, "completion_tokens", &r->n_completion);
    keep_count(usage, "reasoning_tokens", &r->n_reasoning);
    keep_count(scan_at(usage, "completion_tokens_details"), "reasoning_tokens", &r->n_reasoning);
    keep_count(scan_at(usage, "prompt_tokens_details"), "cached_tokens", &r->n_cached);
    keep_count(usage, "prompt_cache_hit_tokens", &r->n_cached);
    if (scan_number(scan_at(usage, "cost"), &cost) && cost >= 0 && cost < 1e6)
        r->cost = cost;
}

static bool add_logprobs(struct http_reply *r, struct span logprobs,
                         const struct token_mark *before)
{
    struct token_mark after = {{r->reasoning.len, r->content.len}};
    if (r->tokens.n_top == 0)
        return true;
    if (token_log_take(&r->tokens, logprobs, before, &after, NULL))
        return bad_memory(r);
    return token_log_size(&r->tokens) / 8 <= r->rules.max_bytes || bad_length(r);
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
    struct token_mark before = {{r->reasoning.len, r->content.len}};
    while (scan_member(&in, &key, &value))
        find_part(&c->parts, key, value);
    if (!add_parts(r, &c->parts) || !add_logprobs(r, c->logprobs, &before))
        return false;
    if (is_error(c->error))
        return bad_error(r, c->error);
    if (!r->finish[0])
        keep_string(c->finish, r->finish, sizeof r->finish);
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
static bool came_again(struct running *x, int64_t value, bool same)
{
    bool again = same && value >= 0 && value == x->last && x->grew && !x->stood;
    if (value >= 0 && x->last >= 0 && !again) {
        x->grew |= value > x->last;
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
    bool again = came_again(&r->ids, ev ? ev->id : -1, same);
    if (o->choices.n > 2) /* the last chunk has usage and no choice */
        again |= came_again(&r->counts, scan_count(scan_at(o->usage, "completion_tokens")), same);
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
    if (is_error(o->error))
        return bad_error(r, o->error);
    if (!strcmp(r->finish, "error"))
        return bad_text(r, "the server ended the answer with an error");
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
        return ev && ev->error ? bad_error(r, v) : bad_sample(r, "not an answer", v.p, v.n);
    struct scan in = scan_into(v);
    while (scan_enter_item(&in))
        if (find_object(&in, &o) && !take_object(r, &o, ev, same))
            return false;
    return true;
}

/* All values of a body or an event's data: one, mostly. may_be_cut: the last may be half there. */
static bool take_values(struct http_reply *r, const char *text, size_t n, bool may_be_cut,
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
        return s.bad &&
               ((may_be_cut && s.cut) || bad_sample(r, "not JSON", first, (size_t)(s.end - first)));
    }
    return true;
}

/* ---- streams ---- */

/* To tell equal neighbours; not for keys. */
static uint64_t hash(const char *p, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15u, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    w = 0;
    memcpy(&w, p, n);
    h = (h ^ w) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

static void stop(struct http_reply *r, const char *why)
{
    snprintf(r->finish, sizeof r->finish, "%s", why);
    r->state = REPLY_STOPPED;
}

static void guard(struct http_reply *r)
{
    const struct reply_rules *rules = &r->rules;
    if (rules->stop_loops &&
        (loop_guard_look(&r->reasoning_loop, r->reasoning.data, r->reasoning.len) ||
         loop_guard_look(&r->content_loop, r->content.data, r->content.len)))
        stop(r, "loop");
    else if (rules->no_think_bytes > 0 && !rules->thinking_open && r->field == THINK_NONE &&
             !r->tags.opened && !r->tags.closed &&
             r->content.len >= (uint64_t)rules->no_think_bytes)
        stop(r, "no_think");
}

static void finish(struct http_reply *r)
{
    r->state = r->finish[0] ? REPLY_COMPLETE : has_text(r) ? REPLY_CUT : REPLY_EMPTY;
}

static bool take_event(void *ctx, const struct sse_event *ev)
{
    struct http_reply *r = ctx;
    uint64_t h = hash(ev->data, ev->n);
    bool same = h == r->last_hash;
    r->last_hash = h;
    if (!take_values(r, ev->data, ev->n, ev->last_part, ev, same))
        return false;
    think_look(&r->tags, r->content.data, r->content.len);
    if (r->done)
        finish(r);
    else if (!r->finish[0])
        guard(r);
    return r->state == REPLY_READING;
}

/* Leading bytes that say nothing: a byte order mark, white space, comment lines. Then the first
 * byte tells: { and [ begin JSON, < a page, anything else an event stream. */
static size_t look_at_start(struct http_reply *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (r->in_comment) {
            r->in_comment = p[i] != '\n' && p[i] != '\r';
        } else if (p[i] == ':') {
            r->in_comment = true;
        } else if (r->n_bom < 3 && p[i] == "\xEF\xBB\xBF"[r->n_bom]) {
            r->n_bom++;
        } else if (!strchr(" \t\r\n", p[i]) || !p[i]) {
            r->body = r->html || p[i] == '<'       ? BODY_PAGE
                      : p[i] == '{' || p[i] == '[' ? BODY_JSON
                                                   : BODY_EVENTS;
            return i;
        }
    }
    return n;
}

static void add_whole(struct http_reply *r, const char *p, size_t n)
{
    if (r->body == BODY_PAGE && r->whole.len + n > PAGE_BYTES)
        n = PAGE_BYTES - r->whole.len;
    if (n > r->rules.max_bytes || r->whole.len > r->rules.max_bytes - n)
        bad_length(r);
    else if (text_add(&r->whole, p, n, NULL))
        bad_memory(r);
}

enum reply_state http_reply_feed(struct http_reply *r, const char *data, size_t n)
{
    if (r->state != REPLY_READING)
        return r->state;
    if (r->body == BODY_UNKNOWN) {
        size_t skipped = look_at_start(r, data, n);
        data += skipped;
        n -= skipped;
    }
    if (n == 0)
        return r->state;
    if (r->body != BODY_EVENTS)
        add_whole(r, data, n);
    else if (!sse_feed(&r->sse, data, n) && r->sse.problem == SSE_TOO_LONG)
        bad_length(r);
    else if (r->sse.problem == SSE_NO_MEMORY)
        bad_memory(r);
    return r->state;
}

/* An HTML page says what is wrong in its title, if anywhere. */
static void bad_page(struct http_reply *r)
{
    char page[PAGE_BYTES + 1];
    memcpy(page, r->whole.data, r->whole.len);
    page[r->whole.len] = 0;
    const char *title = strcasestr(page, "<title>"), *end = title ? strchr(title + 7, '<') : NULL;
    if (end)
        bad_sample(r, "an HTML page instead of an answer", title + 7, (size_t)(end - title - 7));
    else
        bad_sample(r, "a page instead of an answer", page, r->whole.len);
}

enum reply_state http_reply_end(struct http_reply *r)
{
    if (r->state != REPLY_READING)
        return r->state;
    if (r->body == BODY_PAGE) {
        bad_page(r);
    } else if (r->body == BODY_JSON) {
        if (take_values(r, r->whole.data, r->whole.len, true, NULL, false)) {
            think_look(&r->tags, r->content.data, r->content.len);
            finish(r);
            if (r->state == REPLY_EMPTY && r->whole.len)
                r->state = REPLY_CUT;
        }
        text_clear(&r->whole, KEEP);
    } else if (r->body == BODY_EVENTS) {
        sse_end(&r->sse);
        if (r->state != REPLY_READING)
            return r->state;
        if (!r->sse.n_events && r->sse.n_other)
            bad_sample(r, "neither JSON nor an event stream", r->sse.other, r->sse.n_other);
        else
            finish(r);
    } else {
        finish(r);
    }
    return r->state;
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

/* In the format of core/lm/logprobs.h; false when there are none or memory is short. */
static bool make_logprobs(struct http_reply *r, const struct think_text *x,
                          const struct think_split *parts)
{
    if (r->tokens.writer.n_tokens == 0 || r->state == REPLY_READING)
        return false;
    if (r->logprobs.len == 0 && token_log_finish(&r->tokens, x, parts, &r->logprobs, NULL)) {
        buf_dispose(&r->logprobs);
        return false;
    }
    return true;
}

void http_reply_view(struct http_reply *r, struct reply_view *v)
{
    bool stopped = !strcmp(r->finish, "stop");
    struct think_text x = {.reasoning = r->reasoning.data,
                           .n_reasoning = r->reasoning.len,
                           .content = r->content.data,
                           .n_content = r->content.len,
                           .field = r->field,
                           .thinking_open = r->rules.thinking_open,
                           .raw = !r->rules.chat,
                           .cut = r->state != REPLY_COMPLETE || !stopped};
    struct think_split parts;
    think_split(&r->tags, &x, &parts);
    bool has_logprobs = make_logprobs(r, &x, &parts);
    *v =
        (struct reply_view){.state = r->state,
                            .reasoning = parts.reasoning,
                            .n_reasoning = parts.n_reasoning,
                            .answer = parts.answer,
                            .n_answer = parts.n_answer,
                            .think_rule = think_rule_name(parts.rule),
                            .finish_reason = r->refused && stopped ? "refusal" : or_null(r->finish),
                            .model = or_null(r->model),
                            .id = or_null(r->id),
                            .system_fingerprint = or_null(r->fingerprint),
                            .service_tier = or_null(r->tier),
                            .n_prompt_tokens = r->n_prompt,
                            .n_completion_tokens = r->n_completion,
                            .n_reasoning_tokens = r->n_reasoning,
                            .n_cached_tokens = r->n_cached,
                            .n_text_chunks = r->n_text_chunks,
                            .maybe_doubled = r->n_same_chunks > 0 && r->n_completion >= 0 &&
                                             r->n_text_chunks > r->n_completion,
                            .cost_usd = r->cost,
                            .message = or_null(r->message),
                            .status = r->status,
                            .has_logprobs = has_logprobs,
                            .logprobs = has_logprobs ? r->logprobs.data : NULL,
                            .n_logprobs = has_logprobs ? r->logprobs.len : 0,
                            .n_logprob_tokens = has_logprobs ? r->tokens.writer.n_tokens : 0};
}
