#include "distill/generate_http.h"

#include "core/base/json.h"
#include "core/lm/logprobs.h"
#include "teacher/http/retry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What the tries that gave no trace cost, at most. */
static double waste(const struct http_answer *a)
{
    return a->wasted_usd + a->unreported_usd;
}

static void spend(struct http_run *r, double usd)
{
    if (usd <= 0)
        return;
    r->cost += usd;
    r->cost_known = true;
}

/* ,"key":"text" */
static err_code add_member(struct buf *b, const char *key, const char *text, struct err *e)
{
    if (!text || !*text)
        return ERR_OK;
    err_code rc = buf_printf(b, e, "%s\"%s\":", b->len > 1 ? "," : "", key);
    return rc ? rc : json_quote(b, text, strlen(text), e);
}

static err_code make_extra(struct http_run *r, const struct http_answer *a, bool bound,
                           struct err *e)
{
    struct buf *b = &r->extra;
    buf_clear(b);
    err_code rc = buf_str(b, "{", e);
    if (!rc)
        rc = add_member(b, "id", a->reply.id, e);
    if (!rc)
        rc = add_member(b, "system_fingerprint", a->reply.system_fingerprint, e);
    if (!rc)
        rc = add_member(b, "service_tier", a->reply.service_tier, e);
    if (!rc && a->first_byte_ms > 0)
        rc = buf_printf(b, e, "%s\"first_byte_ms\":%.0f", b->len > 1 ? "," : "", a->first_byte_ms);
    if (!rc && a->n_tries > 1)
        rc = buf_printf(b, e, "%s\"tries\":%d", b->len > 1 ? "," : "", a->n_tries);
    if (!rc && a->reply.maybe_doubled)
        rc = buf_printf(b, e, "%s\"maybe_doubled\":true", b->len > 1 ? "," : "");
    if (!rc && bound) /* the server reported no tokens */
        rc = buf_printf(b, e, "%s\"cost\":\"at most\"", b->len > 1 ? "," : "");
    return rc ? rc : buf_str(b, "}", e);
}

static err_code add_failure(struct http_run *r, const struct flight *f, const struct http_answer *a,
                            const char *message, double cost, struct err *e)
{
    struct corpus_failure failure = {.prompt_id = f->prompt_id,
                                     .request_id = r->job.request_id,
                                     .sample_index = f->sample_index,
                                     .endpoint = a->endpoint,
                                     .status = a->status,
                                     .message = message,
                                     .n_tries = a->n_tries,
                                     .cost_usd = cost};
    if (a->outcome != HTTP_TRACE) {
        failure.reasoning = a->reply.reasoning;
        failure.answer = a->reply.answer;
        failure.n_reasoning = a->reply.n_reasoning;
        failure.n_answer = a->reply.n_answer;
    }
    err_code rc = sink_begin(&r->job.sink, e);
    return rc ? rc : corpus_add_failure(r->job.corpus, &failure, e);
}

/* Another process has made the same sample: what it cost here was spent all the same. */
static err_code was_doubled(struct http_run *r, const struct flight *f, const struct http_answer *a,
                            double cost, struct err *e)
{
    run_stop(r, STOP_FATAL,
             "another process makes the same samples in %s, and both are paid for; run one at a "
             "time, or give each its --shard",
             r->job.o->corpus);
    return add_failure(r, f, a, "another process stored this sample first", cost, e);
}

static err_code store(struct http_run *r, const struct flight *f, const struct http_answer *a,
                      double cost, bool bound, struct verdicts *v, struct err *e)
{
    const struct reply_view *reply = &a->reply;
    err_code rc = make_extra(r, a, bound, e);
    struct corpus_trace t = {
        .prompt_id = f->prompt_id,
        .request_id = r->job.request_id,
        .sample_index = f->sample_index,
        .reasoning = reply->reasoning,
        .n_reasoning = reply->n_reasoning,
        .answer = reply->answer,
        .n_answer = reply->n_answer,
        .finish_reason = reply->finish_reason ? reply->finish_reason : "unknown",
        .n_prompt_tokens = reply->n_prompt_tokens,
        .n_reasoning_tokens = reply->n_reasoning_tokens,
        .n_completion_tokens = reply->n_completion_tokens,
        .n_cached_tokens = reply->n_cached_tokens,
        .cost_usd = cost,
        .latency_ms = a->latency_ms,
        .served_model = reply->model,
        .params_json = a->params_json,
        .think_rule = reply->think_rule,
        .endpoint = a->endpoint,
        .extra_json = r->extra.data,
        .has_seed = true,
        .seed = f->seed,
    };
    int64_t id;
    bool added;
    if (!rc)
        rc = sink_trace(&r->job.sink, &t, &id, v, &added, e);
    if (!rc && !added)
        rc = was_doubled(r, f, a, cost, e);
    if (!rc && added && reply->has_logprobs)
        rc = corpus_add_logprobs(r->job.corpus, id, LOGPROBS_FORMAT, r->job.o->n_logprobs,
                                 (int64_t)reply->n_logprob_tokens, reply->logprobs,
                                 reply->n_logprobs, e);
    if (!rc && waste(a) > 0)
        rc = add_failure(r, f, a, "tries that broke off before the one that gave the trace",
                         waste(a), e);
    return rc;
}

/* An answer: it becomes a trace, whatever it is worth. */
static err_code take_trace(struct http_run *r, const struct flight *f, const struct http_answer *a,
                           double *cost, struct err *e)
{
    struct verdicts v = {0};
    bool bound = a->cost_usd < 0;
    double usd = bound ? a->most_usd : a->cost_usd;
    bound = bound && usd >= 0;
    r->n_in_a_row = r->n_refused = 0;
    r->t_answer = clock_now();
    r->n_unpriced += bound;
    r->n_no_logprobs += r->job.o->n_logprobs > 0 && !a->reply.has_logprobs;
    err_code rc = store(r, f, a, usd, bound, &v, e);
    if (rc)
        return rc;
    tell_model(r, a);
    missing_done(r->job.missing, f->i_prompt, sink_is_good(&v) ? MISSING_GOOD : MISSING_MADE);
    *cost = waste(a) > 0 ? (usd > 0 ? usd : 0) + waste(a) : usd;
    return f->kind == ASK_PROBE ? run_canary_answer(r, f, a, !v.no_think, e) : ERR_OK;
}

/* What refuses a prompt (it is too long, say) refuses all of its samples, and says nothing about
 * other prompts. */
static bool is_told_already(struct http_run *r, size_t i_prompt)
{
    for (int i = 0; i < r->n_refused; i++)
        if (r->refused[i] == i_prompt)
            return r->n_refused < STORM_PROMPTS;
    if (r->n_refused < STORM_PROMPTS)
        r->refused[r->n_refused++] = i_prompt;
    return false;
}

/* No answer: the sample is tried again, or left for another run. What its tries cost is noted in
 * any case, and what they said. */
static err_code take_failure(struct http_run *r, const struct flight *f,
                             const struct http_answer *a, double *cost, struct err *e)
{
    const struct generate_options *o = r->job.o;
    bool text = a->reply.n_reasoning || a->reply.n_answer;
    struct earlier earlier = {f->earlier.n_tries + a->n_charged, a->i_endpoint + 1};
    const char *message = a->message && *a->message ? a->message : "no answer";
    err_code rc = ERR_OK;
    *cost = waste(a) > 0 || !text ? waste(a) : -1;
    bool fatal = a->outcome == HTTP_FATAL;
    bool dropped = r->abandoning || (r->stop && a->outcome == HTTP_GAVE_UP);
    bool retry = !r->stop && !fatal && a->outcome == HTTP_GAVE_UP && f->kind == ASK_WORK &&
                 r->budget.limit >= 0 && earlier.n_tries < o->n_tries;
    /* What a probe could not get, the run may, there or elsewhere. */
    bool later =
        f->kind == ASK_PROBE && !r->stop && (r->n_endpoints > 1 || a->outcome == HTTP_GAVE_UP);
    if (fatal && f->kind == ASK_WORK)
        run_stop(r, STOP_FATAL, "%s", message);
    if (!dropped && !fatal && !retry) {
        snprintf(r->last_failure, sizeof r->last_failure, "%s", message);
        r->n_in_a_row +=
            f->kind == ASK_WORK && !(a->outcome == HTTP_FAILED && is_told_already(r, f->i_prompt));
    }
    if (text || *cost > 0 || !(fatal || retry || dropped))
        rc = add_failure(r, f, a, r->abandoning ? "abandoned: the run was stopped" : message, *cost,
                         e);
    if (!rc && f->kind == ASK_PROBE)
        rc = run_canary_answer(r, f, a, false, e);
    if (rc)
        return rc;
    if (retry || later) {
        double wait = later ? 0 : retry_backoff(&r->jitter, earlier.n_tries, 1, 60);
        return run_again(r, f, earlier, clock_now() + wait, e);
    }
    missing_done(r->job.missing, f->i_prompt, MISSING_FAILED);
    r->job.sum->n_abandoned += dropped && a->n_tries > 0; /* else it was never sent */
    r->job.sum->n_failed += !dropped && !fatal;
    return ERR_OK;
}

/* A canary's repeat is no trace, but it has its price. */
static err_code take_repeat(struct http_run *r, const struct flight *f, const struct http_answer *a,
                            double *cost, struct err *e)
{
    double usd = a->cost_usd >= 0 ? a->cost_usd : a->most_usd;
    *cost = (usd > 0 ? usd : 0) + waste(a);
    err_code rc = ERR_OK;
    if (*cost > 0)
        rc = add_failure(r, f, a, CORPUS_CANARY_REPEAT, *cost, e);
    return rc ? rc : run_canary_answer(r, f, a, false, e);
}

err_code run_answer(struct http_run *r, const struct http_answer *a, struct err *e)
{
    struct flight *slot = &r->flights[a->id], f = *slot;
    double cost = 0;
    err_code rc;
    if (f.kind == ASK_REPEAT || f.kind == ASK_REPEAT_SAME)
        rc = take_repeat(r, &f, a, &cost, e);
    else if (a->outcome == HTTP_TRACE)
        rc = take_trace(r, &f, a, &cost, e);
    else
        rc = take_failure(r, &f, a, &cost, e);
    spend(r, cost);
    budget_settle(&r->budget, f.reserved, cost > 0 ? cost : 0);
    slot->next_free = r->free;
    r->free = (int32_t)a->id;
    r->n_flying--;
    return rc;
}
