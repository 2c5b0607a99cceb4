#include "distill/canary.h"

#include <stdio.h>
#include <string.h>

/* Texts shorter than this tell nothing when they are equal. */
enum { TELLING_BYTES = 24, KEPT_BYTES = 4096 };

void canary_dispose(struct canary *c)
{
    buf_dispose(&c->first);
    buf_dispose(&c->same);
    buf_dispose(&c->other);
}

/* The beginning of what was said. */
static err_code keep(struct buf *b, const struct reply_view *v, struct err *e)
{
    size_t n = v->n_reasoning < KEPT_BYTES ? v->n_reasoning : KEPT_BYTES;
    buf_clear(b);
    err_code rc = buf_add(b, v->reasoning, n, e);
    n = v->n_answer < KEPT_BYTES ? v->n_answer : KEPT_BYTES;
    return rc ? rc : buf_add(b, v->answer, n, e);
}

static bool is_resumable(int status)
{
    return status == 401 || status == 402 || status == 403 || status == 429 || status == 503 ||
           status == 529;
}

err_code canary_note(struct canary *c, const struct http_answer *a, bool thinks, bool repeated,
                     struct err *e)
{
    const struct reply_view *v = &a->reply;
    c->n_ended++;
    if (a->outcome != HTTP_TRACE) {
        c->n_resumable += is_resumable(a->status);
        const char *message = a->message ? a->message : "";
        size_t n = strlen(c->url);
        if (!strncmp(message, c->url, n) && !strncmp(message + n, ": ", 2))
            message += n + 2; /* the report names it already */
        snprintf(c->message, sizeof c->message, "%s", message);
        return ERR_OK;
    }
    c->n_traces++;
    c->n_thinking += thinks;
    c->n_logprobs += v->has_logprobs;
    c->n_fit += thinks && (v->has_logprobs || !c->want_logprobs);
    c->tokens += v->n_completion_tokens > 0 ? (double)v->n_completion_tokens : 0;
    c->seconds += 1e-3 * a->latency_ms;
    c->first_byte_seconds += 1e-3 * a->first_byte_ms;
    snprintf(c->rule, sizeof c->rule, "%s", v->think_rule ? v->think_rule : "none");
    snprintf(c->model, sizeof c->model, "%s", v->model ? v->model : "");
    if (!repeated)
        return ERR_OK;
    c->has_first = true;
    return keep(&c->first, v, e);
}

err_code canary_repeat(struct canary *c, const struct http_answer *a, bool same_seed, struct err *e)
{
    c->n_repeats_ended++;
    if (a->outcome != HTTP_TRACE)
        return ERR_OK;
    *(same_seed ? &c->has_same : &c->has_other) = true;
    return keep(same_seed ? &c->same : &c->other, &a->reply, e);
}

enum canary_state canary_judge(const struct canary *c)
{
    int need = (c->n_asked + 1) / 2;
    if (!c->n_asked || c->n_fit >= need)
        return c->n_asked ? CANARY_FIT : CANARY_OPEN;
    return c->n_fit + (c->n_asked - c->n_ended) < need ? CANARY_UNFIT : CANARY_OPEN;
}

/* Equal as far as both go; *telling: far enough to mean something. A short answer's whole text may
 * be equal by chance. */
static bool agree(const struct buf *a, const struct buf *b, bool *telling)
{
    size_t n = a->len < b->len ? a->len : b->len;
    bool equal = !n || !memcmp(a->data, b->data, n);
    *telling = !equal || n >= TELLING_BYTES;
    return equal;
}

enum canary_seed canary_seeds(const struct canary *c)
{
    if (!c->has_first || !c->has_same || !c->has_other)
        return CANARY_SEED_UNKNOWN;
    bool told_same, told_other;
    bool same = agree(&c->first, &c->same, &told_same);
    bool other = agree(&c->first, &c->other, &told_other);
    if (!told_same || !told_other)
        return CANARY_SEED_UNKNOWN;
    return !same ? CANARY_SEED_IGNORED : other ? CANARY_NO_SAMPLING : CANARY_SEED_HONOURED;
}

static void report_unfit(const struct canary *c, char *out, size_t size)
{
    if (!c->n_traces)
        snprintf(out, size, "%s is left out: no answer to %d prompts: %s", c->url, c->n_asked,
                 c->message);
    else if (c->n_thinking <= c->n_traces / 2)
        snprintf(out, size,
                 "%s is left out: %d of %d answers hold reasoning; is %s a reasoning model, and is "
                 "the server's reasoning parser on? --raw --prompt-template r1 forces <think>, "
                 "--canary 0 takes what comes%s%s",
                 c->url, c->n_thinking, c->n_ended, c->model[0] ? c->model : "it",
                 c->message[0] ? "; last failure: " : "", c->message);
    else if (c->want_logprobs && c->n_logprobs < c->n_thinking)
        snprintf(out, size,
                 "%s is left out: %d of %d answers hold log-probabilities; does the server offer "
                 "them (vLLM: --max-logprobs)? Without --logprobs it may do",
                 c->url, c->n_logprobs, c->n_ended);
    else
        snprintf(out, size, "%s is left out: %d of %d prompts failed: %s", c->url,
                 c->n_ended - c->n_traces, c->n_asked, c->message);
}

static const char *seed_words(const struct canary *c, double temperature)
{
    switch (canary_seeds(c)) {
    case CANARY_SEED_HONOURED:
        return "seed honoured, temperature in effect";
    case CANARY_SEED_IGNORED:
        return temperature > 0 ? "seed not honoured: the same request gives other text each time"
                               : "not deterministic, although the temperature is 0";
    case CANARY_NO_SAMPLING:
        return temperature > 0 ? "every seed gives the same text: the temperature is not honoured"
                               : "deterministic";
    default:
        return c->unaffordable ? "seed not tried: the budget has no room for the repeats"
                               : "seed not tried";
    }
}

void canary_report(const struct canary *c, double temperature, char *out, size_t size)
{
    if (canary_judge(c) == CANARY_UNFIT) {
        report_unfit(c, out, size);
        return;
    }
    double n = c->n_traces ? c->n_traces : 1;
    char speed[64] = "tokens not reported";
    if (c->tokens > 0 && c->seconds > 0)
        snprintf(speed, sizeof speed, "%.0f tokens/s a stream", c->tokens / c->seconds);
    int k = snprintf(out, size,
                     "%s: %d of %d answers hold reasoning (%s), first byte after %.1f s, %s, %s",
                     c->url, c->n_thinking, c->n_ended, c->rule[0] ? c->rule : "none",
                     c->first_byte_seconds / n, speed, seed_words(c, temperature));
    if (c->want_logprobs && k > 0 && (size_t)k < size)
        k += snprintf(out + k, size - (size_t)k, ", log-probabilities in %d", c->n_logprobs);
    if (c->model[0] && k > 0 && (size_t)k < size)
        snprintf(out + k, size - (size_t)k, ", model %s", c->model);
}
