#include "teacher/http/reply_parts.h"

#include <stdio.h>
#include <string.h>

enum { KEEP = 8 << 10, MOST_MAX_BYTES = 1 << 30, PAGE_BYTES = 4 << 10 };

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
        r->rules.max_bytes = REPLY_MAX_BYTES;
    if (r->rules.max_bytes > MOST_MAX_BYTES)
        r->rules.max_bytes = MOST_MAX_BYTES;
    r->sse.max_bytes = r->rules.max_bytes;
    r->sse.event = take_event;
    r->sse.ctx = r;
    r->reasoning.spill = r->content.spill = rules->spill;
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

bool reply_bad(struct http_reply *r, int status, const char *text, size_t n)
{
    size_t len = n < REPLY_MESSAGE_BYTES ? n : REPLY_MESSAGE_BYTES;
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

bool reply_bad_text(struct http_reply *r, const char *text)
{
    return reply_bad(r, 0, text, strlen(text));
}

bool reply_bad_sample(struct http_reply *r, const char *what, const char *sample, size_t n)
{
    char text[REPLY_MESSAGE_BYTES];
    snprintf(text, sizeof text, "%s: %.*s", what, (int)(n < 120 ? n : 120), sample);
    return reply_bad_text(r, text);
}

bool reply_bad_memory(struct http_reply *r)
{
    return reply_bad_text(r, "out of memory for an answer");
}

bool reply_bad_length(struct http_reply *r)
{
    char text[100];
    snprintf(text, sizeof text, "the answer has more than %zu bytes", r->rules.max_bytes);
    return reply_bad_text(r, text);
}

static bool has_text(const struct http_reply *r)
{
    return r->reasoning.len + r->content.len > 0;
}

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
    if (!reply_take(r, ev->data, ev->n, ev->last_part, ev, same))
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
        reply_bad_length(r);
    else if (text_add(&r->whole, p, n, NULL))
        reply_bad_memory(r);
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
        reply_bad_length(r);
    else if (r->sse.problem == SSE_NO_MEMORY)
        reply_bad_memory(r);
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
        reply_bad_sample(r, "an HTML page instead of an answer", title + 7,
                         (size_t)(end - title - 7));
    else
        reply_bad_sample(r, "a page instead of an answer", page, r->whole.len);
}

bool http_reply_lives(const struct http_reply *r)
{
    return r->state != REPLY_BAD &&
           (r->body == BODY_UNKNOWN || (r->body == BODY_EVENTS && r->sse.n_events > 0));
}

enum reply_state http_reply_end(struct http_reply *r)
{
    if (r->state != REPLY_READING)
        return r->state;
    if (r->body == BODY_PAGE) {
        bad_page(r);
    } else if (r->body == BODY_JSON) {
        if (reply_take(r, r->whole.data, r->whole.len, true, NULL, false)) {
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
            reply_bad_sample(r, "neither JSON nor an event stream", r->sse.other, r->sse.n_other);
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

/* Was the text counted to its end? Some servers count once at its beginning, and a stream that
 * breaks off may have been counted long ago. The last chunk may come behind the count. */
static bool is_counted(const struct http_reply *r)
{
    return r->n_text_chunks <= r->n_counted_chunks + 1;
}

void http_reply_view(struct http_reply *r, struct reply_view *v)
{
    bool stopped = !strcmp(r->finish, "stop");
    struct think_text x = {.reasoning = r->reasoning.data,
                           .n_reasoning = r->reasoning.len,
                           .content = r->content.data,
                           .n_content = r->content.len,
                           .field = r->field,
                           .n_before = r->n_before_field,
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
                            .n_completion_tokens = is_counted(r) ? r->n_completion : -1,
                            .n_reasoning_tokens = r->n_reasoning,
                            .n_cached_tokens = r->n_cached,
                            .n_text_chunks = r->n_text_chunks,
                            .maybe_doubled = r->n_same_chunks > 0 && r->n_completion >= 0 &&
                                             r->n_text_chunks > r->n_completion,
                            .cost_usd = r->cost,
                            .message = or_null(r->message),
                            .status = r->status,
                            .of_prompt = r->of_prompt,
                            .no_quota = r->no_quota,
                            .has_logprobs = has_logprobs,
                            .logprobs = has_logprobs ? r->logprobs.data : NULL,
                            .n_logprobs = has_logprobs ? r->logprobs.len : 0,
                            .n_logprob_tokens = has_logprobs ? r->tokens.writer.n_tokens : 0};
}
