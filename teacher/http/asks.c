/* Asks on their way: queues, pools, who is sent where, answers handed out. */
#include "teacher/http/client.h"
#include "core/base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void ask_push(struct ask_queue *q, struct ask *a)
{
    a->next = NULL;
    if (q->last)
        q->last->next = a;
    else
        q->first = a;
    q->last = a;
    q->n++;
}

struct ask *ask_pop(struct ask_queue *q)
{
    struct ask *a = q->first;
    if (a) {
        q->first = a->next;
        q->last = a->next ? q->last : NULL;
        q->n--;
    }
    return a;
}

/* ---- pools ---- */

static err_code get_reply(struct http_teacher *t, struct http_reply **out, struct err *e)
{
    if (t->n_free_replies > 0) {
        *out = t->free_replies[--t->n_free_replies];
        return ERR_OK;
    }
    return http_reply_new(&t->o.rules, out, e);
}

static void give_reply(struct http_teacher *t, struct http_reply *r)
{
    if (!r)
        return;
    if (t->n_free_replies == t->cap_free_replies) {
        size_t cap = t->cap_free_replies ? 2 * t->cap_free_replies : 64;
        if (mem_grow((void **)&t->free_replies, cap, sizeof *t->free_replies, NULL)) {
            http_reply_free(r);
            return;
        }
        t->cap_free_replies = cap;
    }
    http_reply_begin(r, NULL); /* lets go of a very long text's memory */
    t->free_replies[t->n_free_replies++] = r;
}

static void recycle(struct http_teacher *t, struct ask *a)
{
    give_reply(t, a->reply);
    give_reply(t, a->best);
    mem_free(a->prompt);
    buf_clear(&a->body);
    buf_clear(&a->params);
    struct buf body = a->body, params = a->params;
    memset(a, 0, sizeof *a);
    a->body = body;
    a->params = params;
    ask_push(&t->free_asks, a);
}

void ask_free(struct ask *a)
{
    http_reply_free(a->reply);
    http_reply_free(a->best);
    mem_free(a->prompt);
    buf_dispose(&a->body);
    buf_dispose(&a->params);
    mem_free(a);
}

void asks_free(struct ask_queue *q)
{
    for (struct ask *a; (a = ask_pop(q));)
        ask_free(a);
}

/* ---- asking ---- */

/* Some more than can be in flight are taken, so that an answer's place is taken again at once. */
static int64_t n_ahead(const struct http_teacher *t)
{
    return t->o.concurrency / 8;
}

int64_t asks_waiting(const struct http_teacher *t)
{
    int64_t n = t->ready.n;
    for (int i = 0; i < t->n; i++)
        n += t->sites[i].pinned.n;
    return n;
}

int64_t http_teacher_room(const struct http_teacher *t)
{
    int64_t now = t->o.concurrency + n_ahead(t) - t->n_busy - asks_waiting(t);
    int64_t all = 2 * t->o.concurrency + n_ahead(t) - t->n_open;
    int64_t room = now < all ? now : all;
    return room > 0 ? room : 0;
}

int64_t http_teacher_in_flight(const struct http_teacher *t)
{
    return t->n_open;
}

static void enqueue(struct http_teacher *t, struct ask *a)
{
    ask_push(a->pinned >= 0 ? &t->sites[a->pinned].pinned : &t->ready, a);
}

err_code http_teacher_ask(struct http_teacher *t, const struct http_ask *q, struct err *e)
{
    if (q->endpoint < -1 || q->endpoint >= t->n || q->max_tokens < 0 || q->n_tries < 0 ||
        q->avoid < 0 || q->avoid > t->n)
        return err_set(e, ERR_USAGE, "ask %llu: endpoint %d of %d, max_tokens %lld, %d tries",
                       (unsigned long long)q->id, q->endpoint, t->n, (long long)q->max_tokens,
                       q->n_tries);
    struct ask *a = ask_pop(&t->free_asks);
    if (!a)
        a = mem_new(1, sizeof *a, e);
    if (!a)
        return ERR_NOMEM;
    a->prompt = mem_strndup(q->prompt, q->n_prompt, e);
    if (!a->prompt) {
        ask_push(&t->free_asks, a);
        return ERR_NOMEM;
    }
    a->id = q->id;
    a->body_ask = (struct body_ask){a->prompt, q->n_prompt, q->has_seed, q->seed};
    a->max_tokens = q->max_tokens;
    a->max_tries = q->n_tries ? q->n_tries : t->o.n_tries;
    a->pinned = q->endpoint;
    a->endpoint = q->endpoint >= 0 ? q->endpoint : 0;
    a->avoid = q->avoid - 1;
    a->refused_by = -1;
    t->n_open++;
    enqueue(t, a);
    return ERR_OK;
}

static struct body_options body_options(const struct http_teacher *t, const struct ask *a,
                                        int endpoint)
{
    const struct http_options *o = &t->o;
    return (struct body_options){.chat = !o->raw,
                                 .stream = o->stream,
                                 .model = t->sites[endpoint].model,
                                 .system = t->system,
                                 .temperature = o->temperature,
                                 .top_p = o->top_p,
                                 .top_k = o->top_k,
                                 .max_tokens = a->max_tokens ? a->max_tokens : o->max_tokens,
                                 .n_top = o->rules.n_top,
                                 .extra_json = t->extra_json};
}

static err_code send_ask(struct http_teacher *t, struct ask *a, int endpoint, struct err *e)
{
    struct body_options o = body_options(t, a, endpoint);
    buf_clear(&a->body);
    err_code rc = body_write(&o, &a->body_ask, &a->body, e);
    if (!rc && !a->reply)
        rc = get_reply(t, &a->reply, e);
    if (!rc)
        rc = transfer_begin(t, a, endpoint, e);
    if (rc)
        enqueue(t, a);
    return rc;
}

/* Why nothing will come of waiting: every endpoint is off, gone for too long, or asks for too long
 * a wait; the nearest to being of use says so. False: one at least may be of use. */
static bool is_lost_cause(const struct http_teacher *t, char text[MESSAGE_BYTES])
{
    double least = INFINITY;
    int best = 0;
    for (int i = 0; i < t->n; i++) {
        double lost = endpoint_lost(&t->endpoints[i], t->now);
        if (lost <= t->o.down_seconds)
            return false;
        if (lost < least) {
            least = lost;
            best = i;
        }
    }
    const struct site *s = &t->sites[best];
    const char *last = s->last_message[0] ? s->last_message : s->url;
    int room = MESSAGE_BYTES - 100;
    if (isinf(least))
        snprintf(text, MESSAGE_BYTES, "%s", last);
    else if (t->endpoints[best].down)
        snprintf(text, MESSAGE_BYTES, "%.*s; no endpoint has been of use for %.0f s", room, last,
                 least);
    else
        snprintf(text, MESSAGE_BYTES, "%.*s; no endpoint wants requests in the next %.0f s", room,
                 last, least);
    return true;
}

void asks_end_waiting(struct http_teacher *t, enum http_outcome outcome, const char *message)
{
    for (struct ask *a; (a = ask_pop(&t->ready));)
        ask_fail(t, a, outcome, message);
    for (int i = 0; i < t->n; i++)
        for (struct ask *a; (a = ask_pop(&t->sites[i].pinned));)
            ask_fail(t, a, outcome, message);
    for (struct ask *a; (a = retry_pop(&t->later, INFINITY));)
        ask_fail(t, a, outcome, message);
}

/* Asks for one endpoint alone, which is of no use while others are. */
static void end_pinned_in_vain(struct http_teacher *t)
{
    for (int i = 0; i < t->n; i++) {
        struct site *s = &t->sites[i];
        while (s->pinned.n > 0 && endpoint_lost(&t->endpoints[i], t->now) > t->o.down_seconds) {
            struct ask *a = ask_pop(&s->pinned);
            ask_fail(t, a, HTTP_GAVE_UP, a->message[0] ? NULL : s->last_message);
        }
    }
}

static err_code dispatch_pinned(struct http_teacher *t, int i, struct err *e)
{
    struct site *s = &t->sites[i];
    struct endpoint *ep = &t->endpoints[i];
    err_code rc = ERR_OK;
    while (!rc && s->pinned.n > 0 && t->n_busy < t->o.concurrency && endpoint_open(ep, t->now))
        rc = send_ask(t, ask_pop(&s->pinned), i, e);
    while (ep->off && s->pinned.n > 0) {
        struct ask *a = ask_pop(&s->pinned);
        ask_fail(t, a, HTTP_GAVE_UP, a->message[0] ? NULL : s->last_message);
    }
    return rc;
}

/* Is no other endpoint of use in the foreseeable future? */
static bool is_last(const struct http_teacher *t, int endpoint)
{
    for (int i = 0; i < t->n; i++)
        if (i != endpoint && endpoint_lost(&t->endpoints[i], t->now) <= t->o.down_seconds)
            return false;
    return true;
}

err_code asks_dispatch(struct http_teacher *t, struct err *e)
{
    char text[MESSAGE_BYTES];
    err_code rc = ERR_OK;
    for (struct ask *a; (a = retry_pop(&t->later, t->now));)
        enqueue(t, a);
    for (int i = 0; i < t->n; i++) {
        endpoint_tick(&t->endpoints[i], t->now);
        if (!rc && t->sites[i].pinned.n > 0)
            rc = dispatch_pinned(t, i, e);
    }
    while (!rc && t->ready.n > 0 && t->n_busy < t->o.concurrency) {
        struct ask *a = t->ready.first;
        int not = a->avoid_until > t->now ? a->avoid : -1;
        if (a->refused_by >= 0 && !is_last(t, a->refused_by))
            not = a->refused_by;
        int i = endpoint_choose(t->endpoints, t->n, not, a->avoid, t->now);
        if (i >= 0)
            rc = send_ask(t, ask_pop(&t->ready), i, e);
        else if (not >= 0) { /* let others pass that may go where this one may not */
            rc = retry_push(&t->later, t->now + 0.05, a, e);
            if (!rc)
                ask_pop(&t->ready);
        } else
            break;
    }
    if (!rc && t->n_open > t->done.n + t->n_busy && is_lost_cause(t, text))
        asks_end_waiting(t, HTTP_FATAL, text);
    end_pinned_in_vain(t);
    return rc;
}

/* ---- answers ---- */

void reply_hide_key(const struct key *k, const struct reply_view *v)
{
    const char *const names[] = {v->finish_reason, v->model, v->id, v->system_fingerprint,
                                 v->service_tier};
    if (!k->text)
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i])
            key_hide(k, (char *)names[i], strlen(names[i]));
    if (v->n_reasoning)
        key_hide(k, (char *)v->reasoning, v->n_reasoning);
    if (v->n_answer)
        key_hide(k, (char *)v->answer, v->n_answer);
    if (v->n_logprobs) /* the tokens' bytes stand in it as they are */
        key_hide(k, (char *)v->logprobs, v->n_logprobs);
    if (v->message)
        key_scrub(k, (char *)v->message, strlen(v->message));
}

bool http_teacher_next(struct http_teacher *t, struct http_answer *out)
{
    memset(out, 0, sizeof *out);
    if (t->handed) {
        recycle(t, t->handed);
        t->handed = NULL;
    }
    struct ask *a = ask_pop(&t->done);
    if (!a)
        return false;
    t->handed = a;
    t->n_open--;
    struct body_options o = body_options(t, a, a->endpoint);
    buf_clear(&a->params);
    bool have = body_params(&o, &a->body_ask, &a->params, NULL) == ERR_OK;
    struct http_reply *r = a->outcome == HTTP_TRACE ? a->reply : a->best;
    *out = (struct http_answer){.id = a->id,
                                .outcome = a->outcome,
                                .status = a->status,
                                .message = a->message,
                                .endpoint = t->sites[a->endpoint].url,
                                .i_endpoint = a->endpoint,
                                .params_json = have ? a->params.data : "{}",
                                .n_tries = a->n_sent,
                                .n_charged = a->n_charged,
                                .latency_ms = a->latency_ms,
                                .first_byte_ms = a->first_byte_ms,
                                .cost_usd = a->outcome == HTTP_TRACE ? a->cost_usd : -1,
                                .most_usd = a->outcome == HTTP_TRACE ? a->most_usd : -1,
                                .wasted_usd = a->wasted_usd,
                                .unreported_usd = a->unreported_usd};
    if (r) {
        http_reply_view(r, &out->reply);
        reply_hide_key(&t->sites[a->endpoint].key, &out->reply);
    } else
        out->reply = (struct reply_view){.state = REPLY_EMPTY,
                                         .reasoning = "",
                                         .answer = "",
                                         .think_rule = "none",
                                         .n_prompt_tokens = -1,
                                         .n_completion_tokens = -1,
                                         .n_reasoning_tokens = -1,
                                         .n_cached_tokens = -1,
                                         .cost_usd = -1};
    return true;
}
