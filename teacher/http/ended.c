/* What becomes of an ask whose try has ended: an answer, a failure, or another try. */
#include "teacher/http/client.h"
#include "core/base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const double backoff_base = 0.5, backoff_most = 60, pinned_backoff_most = 5;
static const double pinned_most = 60;   /* seconds of overload that cost a pinned ask nothing */
static const double no_quota_most = 65; /* longer than limits of a minute */

/* One line that names the endpoint; whatever came from outside is made harmless and rid of the
 * key. */
static void say(const struct site *s, char message[MESSAGE_BYTES], const char *fmt, ...)
{
    int n = snprintf(message, MESSAGE_BYTES, "%s: ", s->url);
    n = n < MESSAGE_BYTES ? n : MESSAGE_BYTES - 1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message + n, MESSAGE_BYTES - (size_t)n, fmt, ap);
    va_end(ap);
    size_t length = strlen(message);
    key_scrub(&s->key, message + n, length - (size_t)n);
    for (char *p = message; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
    while (length > 0 && ((unsigned char)message[length - 1] & 0xC0) == 0x80)
        length--; /* a character that was cut */
    if (strlen(message) == MESSAGE_BYTES - 1 && length > 0)
        message[(unsigned char)message[length - 1] >= 0xC0 ? length - 1 : length] = 0;
}

static const char *status_hint(const struct site *s, int status, bool no_quota)
{
    if (no_quota)
        return "; the account's quota or money is used up";
    switch (status) {
    case 401:
        return "; the key is missing or wrong (--api-key-env, --api-key-file)";
    case 402:
        return "; the account has no money left";
    case 404:
        return strstr(s->url, "/v1") ? "; is the model's name right?"
                                     : "; does the URL lack its /v1?";
    }
    return status >= 300 && status < 400
               ? "; redirects are not followed (a key must not go elsewhere): give the final URL"
               : "";
}

static void say_transport(const struct site *s, const struct transfer *x, CURLcode code,
                          const char *why, char message[MESSAGE_BYTES])
{
    char words[TRANSFER_WORDS];
    transfer_words(x->easy, code, x->curl_error, words);
    const char *text = why ? why : words;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_ISSUER_ERROR)
        say(s, message,
            "the server's certificate can't be trusted: %s; name the file of its "
            "authority: --ca-file",
            text);
    else if (x->n_bytes > 0)
        say(s, message, "the answer broke off after %llu bytes: %s", (unsigned long long)x->n_bytes,
            text);
    else
        say(s, message, "no answer: %s", text);
}

static void explain(const struct transfer *x, enum try_break how, CURLcode code, const char *why,
                    const struct reply_view *v, char message[MESSAGE_BYTES])
{
    const struct site *s = &x->t->sites[x->endpoint];
    const char *words = v->message ? v->message : "";
    if (x->status >= 300)
        say(s, message, "HTTP %d%s%s%s", x->status, *words ? ": " : "", words,
            status_hint(s, x->status, v->no_quota));
    else if (v->state == REPLY_BAD && v->status)
        say(s, message, "error %d in the answer: %s%s", v->status, words,
            status_hint(s, v->status, v->no_quota));
    else if (v->state == REPLY_BAD)
        say(s, message, "%s", *words ? words : "the answer can't be understood");
    else if (how != TRY_WHOLE)
        say_transport(s, x, code, why, message);
    else if (x->html)
        say(s, message, "HTTP %d with a page of HTML instead of an answer", x->status);
    else if (v->state == REPLY_COMPLETE)
        say(s, message, "the answer ended with finish reason %s",
            v->finish_reason ? v->finish_reason : "?");
    else if (v->state == REPLY_CUT)
        say(s, message, "the answer broke off after %llu bytes without a finish reason",
            (unsigned long long)x->n_bytes);
    else
        say(s, message, "HTTP %d with an empty answer", x->status);
}

static bool has_text(const struct reply_view *v)
{
    return v->n_reasoning + v->n_answer > 0;
}

static double cost_of(const struct site *s, const struct reply_view *v)
{
    if (v->cost_usd >= 0)
        return v->cost_usd;
    if (!s->price.known || v->n_completion_tokens < 0 || v->n_prompt_tokens < 0)
        return -1;
    return price_cost(&s->price, v->n_prompt_tokens, v->n_cached_tokens, v->n_completion_tokens,
                      (int64_t)time(NULL));
}

/* A token is a byte of text at least, but for a few that show nothing. What the server has counted
 * (of the prompt alone, say) is no less. */
static double most_of_text(const struct http_teacher *t, const struct site *s, const struct ask *a,
                           const struct reply_view *v)
{
    size_t n_system = t->system ? strlen(t->system) : 0;
    if (!s->price.known)
        return -1;
    double prompt = fmax((double)(a->body_ask.n_prompt + n_system), (double)v->n_prompt_tokens);
    double text = fmax((double)(v->n_reasoning + v->n_answer) + 16, (double)v->n_completion_tokens);
    return price_most(&s->price, (size_t)prompt, (int64_t)text);
}

/* What a try without a trace cost. */
static void note_waste(const struct http_teacher *t, const struct site *s, struct ask *a,
                       const struct reply_view *v)
{
    double usd = cost_of(s, v);
    if (usd > 0)
        a->wasted_usd += usd;
    if (usd < 0 && (has_text(v) || v->n_completion_tokens > 0))
        a->unreported_usd += fmax(0, most_of_text(t, s, a, v));
}

static void finish_ask(struct http_teacher *t, struct ask *a, enum http_outcome outcome)
{
    a->outcome = outcome;
    buf_clear(&a->body);
    ask_push(&t->done, a);
}

void ask_fail(struct http_teacher *t, struct ask *a, enum http_outcome outcome, const char *message)
{
    if (message)
        snprintf(a->message, sizeof a->message, "%s", message);
    a->cost_usd = -1;
    finish_ask(t, a, outcome);
}

/* Is there another endpoint, which will be of use sooner than in so many seconds? */
static bool has_elsewhere(const struct http_teacher *t, const struct ask *a, int endpoint,
                          double seconds)
{
    if (a->pinned >= 0)
        return false;
    for (int i = 0; i < t->n; i++)
        if (i != endpoint && !t->endpoints[i].down &&
            endpoint_lost(&t->endpoints[i], t->now) <= fmax(0, seconds))
            return true;
    return false;
}

/* Waiting for a rate limit, or for an endpoint that is gone, would use up all tries of all asks in
 * no time; these are free until an ask has met nothing else for as long as endpoints may be down.
 * A pinned ask wants to know how its endpoint does: it waits out a short overload alone. */
static void charge(struct http_teacher *t, struct ask *a, enum try_result result)
{
    double most = a->pinned < 0 ? t->o.down_seconds : fmin(pinned_most, t->o.down_seconds);
    bool is_free = result == TRY_OVERLOAD || (result == TRY_NO_REACH && a->pinned < 0);
    if (is_free && a->n_free++ == 0)
        a->t_first_free = t->now;
    if (!is_free || t->now - a->t_first_free > most)
        a->n_charged++;
}

static err_code try_again(struct http_teacher *t, struct ask *a, int endpoint, double retry_after,
                          struct err *e)
{
    /* Longer than endpoints may be down no ask waits: there may be others, or this one think better
     * of it. A pinned one is to tell how its endpoint does. */
    bool in_vain = a->pinned >= 0 && t->n > 1 && retry_after > t->o.down_seconds;
    retry_after = fmin(retry_after, t->o.down_seconds);
    if (a->n_charged >= a->max_tries || t->finishing || in_vain) {
        ask_fail(t, a, HTTP_GAVE_UP, NULL);
        return ERR_OK;
    }
    double wait = retry_backoff(&t->rng, a->n_charged + a->n_free,
                                t->o.backoff_seconds > 0 ? t->o.backoff_seconds : backoff_base,
                                a->pinned < 0 ? backoff_most : pinned_backoff_most);
    a->avoid = endpoint;
    a->avoid_until = t->now + fmax(0, retry_after);
    if (retry_after >= 0 && !has_elsewhere(t, a, endpoint, retry_after))
        wait = retry_after + rng_uniform(&t->rng) * fmin(1, 0.05 + retry_after / 10);
    err_code rc = retry_push(&t->later, t->now + wait, a, e);
    if (rc)
        ask_fail(t, a, HTTP_GAVE_UP, NULL);
    return rc;
}

/* Keeps the longest text of the broken tries. It may be given with another endpoint's failure: the
 * key of its own is hidden now. */
static void keep_partial(const struct site *s, struct ask *a, const struct reply_view *v)
{
    size_t n = v->n_reasoning + v->n_answer;
    if (n == 0 || (a->best && n <= a->n_best))
        return;
    reply_hide_key(&s->key, v);
    struct http_reply *r = a->best;
    a->best = a->reply;
    a->n_best = n;
    a->reply = r; /* NULL: dispatch finds another */
}

static void note_trace(struct http_teacher *t, struct ask *a, struct site *s,
                       const struct reply_view *v)
{
    if (v->n_completion_tokens > 0)
        s->n_completion_tokens += v->n_completion_tokens;
    s->seconds += a->latency_ms * 1e-3;
    if (s->said_down)
        log_info("%s answers again", s->url);
    s->said_down = false;
    a->cost_usd = cost_of(s, v);
    a->most_usd = a->cost_usd < 0 ? most_of_text(t, s, a, v) : -1;
    a->message[0] = 0;
    finish_ask(t, a, HTTP_TRACE);
}

err_code ask_ended(struct http_teacher *t, struct transfer *x, enum try_break how, CURLcode code,
                   const char *why, struct err *e)
{
    struct ask *a = x->ask;
    struct site *s = &t->sites[x->endpoint];
    struct endpoint *ep = &t->endpoints[x->endpoint];
    int endpoint = x->endpoint;
    if (!x->begun) {
        long status = 0;
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        x->status = (int)status;
        http_reply_begin(a->reply, NULL);
    }
    struct reply_view v;
    http_reply_end(a->reply);
    http_reply_view(a->reply, &v);
    enum try_result result = retry_judge(how, x->status, x->html, &v);
    /* A whole body whose frame is broken may lack anything; a stream that gave its finish reason
     * lacks no text. */
    if (result == TRY_TRACE && how == TRY_BROKEN && !t->o.stream)
        result = TRY_AGAIN;
    /* "No such model" is said at once and would draw all asks to the endpoint that lost it. */
    if (result == TRY_FAILED && x->status == 404 && has_elsewhere(t, a, endpoint, 0))
        result = TRY_AGAIN;
    /* A smaller context, another server: what one refuses another may answer. */
    if (result == TRY_FAILED && !has_text(&v) && a->refused_by < 0 && !t->finishing &&
        has_elsewhere(t, a, endpoint, t->o.down_seconds))
        result = TRY_ELSEWHERE;
    bool no_quota = x->status == 429 && v.no_quota && x->retry_after < 0;
    v.no_quota =
        endpoint_no_quota(ep, t->now, x->sent, no_quota, fmin(no_quota_most, t->o.down_seconds));
    if (v.no_quota) /* for good */
        result = TRY_FATAL;
    a->n_sent++;
    a->endpoint = endpoint;
    a->status = v.state == REPLY_BAD && v.status && x->status < 300 ? v.status : x->status;
    a->latency_ms = (t->now - x->sent.t) * 1e3;
    a->first_byte_ms = x->t_first > 0 ? (x->t_first - x->sent.t) * 1e3 : a->latency_ms;
    if (x->retry_after >= 0 && x->status >= 400)
        endpoint_hold(ep, t->now + x->retry_after, x->sent);
    if (result == TRY_TRACE)
        transfer_accepted(x);
    endpoint_ended(ep, t->now, x->sent, result, a->latency_ms * 1e-3);
    if (result == TRY_TRACE) {
        transfer_release(t, x);
        note_trace(t, a, s, &v);
        return ERR_OK;
    }
    explain(x, how, code, why, &v, a->message);
    memcpy(s->last_message, a->message, sizeof a->message);
    if (ep->down && !s->said_down) {
        s->said_down = true;
        log_warn("%s; it is asked now and then until it answers", a->message);
    }
    double retry_after = x->status >= 400 ? x->retry_after : -1;
    transfer_release(t, x);
    note_waste(t, s, a, &v);
    bool worked = has_text(&v);
    keep_partial(s, a, &v);
    if (result == TRY_FATAL) {
        ep->off = true;
        ask_fail(t, a, HTTP_FATAL, NULL);
        return ERR_OK;
    }
    if (result == TRY_FAILED) {
        ask_fail(t, a, HTTP_FAILED, NULL);
        return ERR_OK;
    }
    if (result == TRY_ELSEWHERE) {
        a->refused_by = endpoint;
        err_code rc = retry_push(&t->later, t->now, a, e);
        if (rc)
            ask_fail(t, a, HTTP_FAILED, NULL);
        return rc;
    }
    /* Overload that shows in the middle of an answer has had its price. */
    charge(t, a, worked ? TRY_AGAIN : result);
    return try_again(t, a, endpoint, retry_after, e);
}

void ask_abandon(struct http_teacher *t, struct transfer *x)
{
    struct ask *a = x->ask;
    int endpoint = x->endpoint;
    struct reply_view v;
    if (!x->begun)
        http_reply_begin(a->reply, NULL);
    http_reply_end(a->reply);
    http_reply_view(a->reply, &v);
    a->n_sent++;
    a->endpoint = endpoint;
    a->status = x->status;
    a->latency_ms = (t->now - x->sent.t) * 1e3;
    a->first_byte_ms = x->t_first > 0 ? (x->t_first - x->sent.t) * 1e3 : a->latency_ms;
    endpoint_dropped(&t->endpoints[endpoint]);
    note_waste(t, &t->sites[endpoint], a, &v);
    transfer_release(t, x);
    keep_partial(&t->sites[endpoint], a, &v);
    ask_fail(t, a, HTTP_GAVE_UP, "abandoned");
}
