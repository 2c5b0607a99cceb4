#include "distill/generate_http.h"

#include "core/base/file.h"
#include "teacher/http/body.h"
#include "teacher/http/retry.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many failures without a trace between them, beside as many as are on their way (a refusal
 * comes at once, a trace takes its time): nothing will come of the rest either. */
enum { STORM = 200, POLL_MS = 100, POLL_AGAIN_MS = 20 };

static struct flight *free_flight(struct http_run *r)
{
    if (r->free < 0)
        return NULL;
    struct flight *f = &r->flights[r->free];
    int32_t next = f->next_free;
    *f = (struct flight){.endpoint = -1, .next_free = next};
    return f;
}

static err_code send_ask(struct http_run *r, struct flight *f, int64_t max_tokens, struct err *e)
{
    struct http_ask ask = {.id = (uint64_t)(f - r->flights),
                           .prompt = r->text.data,
                           .n_prompt = r->text.len,
                           .has_seed = true,
                           .seed = (int64_t)f->seed,
                           .endpoint = f->endpoint,
                           .max_tokens = max_tokens,
                           .n_tries = f->max_tries,
                           .avoid = f->earlier.avoid};
    err_code rc = http_teacher_ask(r->teacher, &ask, e);
    if (rc)
        return rc;
    r->free = f->next_free;
    r->n_flying++;
    return ERR_OK;
}

void run_stop(struct http_run *r, enum stop_reason why, const char *fmt, ...)
{
    if (r->stop)
        return;
    r->stop = why;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->stop_message, sizeof r->stop_message, fmt, ap);
    va_end(ap);
}

err_code run_again(struct http_run *r, const struct flight *f, struct earlier earlier, double at,
                   struct err *e)
{
    if (r->n_again == r->cap_again) {
        size_t cap = r->cap_again ? 2 * r->cap_again : 64;
        err_code rc = mem_grow((void **)&r->again, cap, sizeof *r->again, e);
        if (rc)
            return rc;
        r->cap_again = cap;
    }
    r->again[r->n_again++] = (struct again){.i_prompt = f->i_prompt,
                                            .prompt_id = f->prompt_id,
                                            .sample_index = f->sample_index,
                                            .earlier = earlier,
                                            .at = at};
    return ERR_OK;
}

/* A sample whose time to be tried again has come; its text stands in s. */
static err_code next_again(struct http_run *r, struct missing_sample *s, struct earlier *earlier,
                           bool *found, struct err *e)
{
    double now = r->n_again ? clock_now() : 0;
    *found = false;
    for (size_t i = 0; i < r->n_again && !*found; i++)
        if (r->again[i].at <= now) {
            struct again a = r->again[i];
            r->again[i] = r->again[--r->n_again];
            *found = true;
            *earlier = a.earlier;
            *s = (struct missing_sample){
                .i_prompt = a.i_prompt, .prompt_id = a.prompt_id, .sample_index = a.sample_index};
            return missing_prompt(r->job.missing, a.i_prompt, &s->prompt, &s->n_prompt, e);
        }
    return ERR_OK;
}

/* Takes the worst that an ask of r->text can cost from the budget: each of its tries may cost as
 * much as a whole answer, also when it breaks off. So under a budget work has one try an ask, and
 * is asked anew (run_again); a canary's probe has more as long as they can be afforded. */
static bool afford(struct http_run *r, int64_t max_tokens, struct flight *f)
{
    const struct generate_options *o = r->job.o;
    struct body_options body = {.max_tokens = max_tokens, .extra_json = o->extra_json};
    int n_tries = f->kind == ASK_PROBE ? CANARY_TRIES : 1;
    n_tries = o->n_tries < n_tries ? (int)o->n_tries : n_tries;
    f->max_tries = f->kind == ASK_WORK ? (int)o->n_tries : n_tries;
    if (r->budget.limit < 0)
        return true;
    size_t n_system = o->system ? strlen(o->system) : 0;
    double worst =
        budget_worst(o->endpoints, o->n_endpoints, r->text.len + n_system, body_limit(&body));
    for (;; n_tries = 1) {
        f->max_tries = n_tries;
        f->reserved = r->worst = n_tries * worst;
        if (budget_take(&r->budget, f->reserved))
            return true;
        if (n_tries == 1)
            return false;
    }
}

static void out_of_budget(struct http_run *r)
{
    if (!r->n_flying)
        run_stop(
            r, STOP_BUDGET,
            "the next request could pass the budget of $%g: $%.4f is spent, and it may cost up "
            "to $%.4f; to go on, raise --budget to $%.4f or more (%s)",
            r->budget.limit, r->budget.spent, r->worst,
            ceil((r->budget.spent + r->worst) * 1e4 + 0.5) * 1e-4,
            r->job.sum->n_there + r->job.sum->n_made + r->job.sink.uncommitted.n_made
                ? "a lower --max-tokens would be another request, and all samples new"
                : "or lower --max-tokens: the worst case counts, an answer of that length");
}

/* What is to be made next: what the budget had no room for, what failed before, what is missing. */
static err_code next_sample(struct http_run *r, struct missing_sample *s, struct earlier *earlier,
                            bool *found, struct err *e)
{
    enum missing_state state;
    *earlier = r->has_held ? r->held_earlier : (struct earlier){0};
    *found = r->has_held;
    if (r->has_held) {
        *s = r->held;
        return ERR_OK;
    }
    err_code rc = next_again(r, s, earlier, found, e);
    if (rc || *found)
        return rc;
    rc = missing_next(r->job.missing, s, &state, e);
    *found = state == MISSING_SAMPLE;
    r->at_end = state == MISSING_END;
    return rc;
}

err_code run_work(struct http_run *r, enum ask_kind kind, int endpoint, struct flight **out,
                  struct err *e)
{
    struct missing_sample s;
    struct earlier earlier;
    bool found;
    *out = NULL;
    err_code rc = next_sample(r, &s, &earlier, &found, e);
    if (rc || !found)
        return rc;
    if ((rc = prompt_form_fill(&r->form, s.prompt, s.n_prompt, &r->text, e)))
        return rc;
    struct flight *f = free_flight(r);
    f->kind = kind;
    f->endpoint = endpoint;
    f->earlier = earlier;
    f->i_prompt = s.i_prompt;
    f->prompt_id = s.prompt_id;
    f->sample_index = s.sample_index;
    f->seed = request_seed(r->job.o->seed, s.prompt, s.n_prompt, s.sample_index);
    r->has_held = false;
    if (!afford(r, r->job.o->max_tokens, f)) {
        r->has_held = true;
        r->held = s;
        r->held_earlier = earlier;
        out_of_budget(r);
        return ERR_OK;
    }
    rc = send_ask(r, f, 0, e);
    *out = rc ? NULL : f;
    return rc;
}

err_code run_repeat(struct http_run *r, enum ask_kind kind, const struct flight *of, struct err *e)
{
    struct flight *f = free_flight(r);
    if (!f)
        return ERR_OK;
    f->kind = kind;
    f->endpoint = of->endpoint;
    f->prompt_id = of->prompt_id;
    f->sample_index = of->sample_index;
    f->seed = kind == ASK_REPEAT_SAME ? of->seed : of->seed ^ 1;
    if (!afford(r, CANARY_REPEAT_TOKENS, f)) {
        r->canaries[of->endpoint].unaffordable = true;
        return ERR_OK;
    }
    r->canaries[of->endpoint].n_repeats++;
    return send_ask(r, f, CANARY_REPEAT_TOKENS, e);
}

static err_code fill(struct http_run *r, struct err *e)
{
    struct flight *f;
    err_code rc = ERR_OK;
    if (r->stop)
        return ERR_OK;
    if (!r->running)
        rc = run_canary_fill(r, e);
    while (!rc && r->running && !r->stop && r->free >= 0 && http_teacher_room(r->teacher) > 0) {
        rc = run_work(r, ASK_WORK, -1, &f, e);
        if (!f)
            break;
    }
    return rc;
}

static int64_t n_on_their_way(const struct http_run *r)
{
    struct http_endpoint_stats s;
    int64_t n = 0;
    for (int i = 0; i < r->n_endpoints; i++) {
        http_teacher_endpoint(r->teacher, i, &s);
        n += s.n_in_flight;
    }
    return n;
}

/* Ctrl-C, and the end of its grace; a run that makes nothing but failures. */
static void check_stop(struct http_run *r)
{
    const struct generate_options *o = r->job.o;
    double now = clock_now();
    if (r->n_in_a_row >= STORM + r->n_flying)
        run_stop(r, STOP_STORM, "%lld requests in a row failed; the last: %s",
                 (long long)r->n_in_a_row, r->last_failure);
    bool asked = stop_requested() && !r->t_abandon;
    if (asked)
        run_stop(r, STOP_REQUESTED, "stopped on request");
    if (r->stop && !r->told_stop)
        http_teacher_finish(r->teacher);
    int64_t n = asked || (r->stop && !r->told_stop) ? n_on_their_way(r) : 0;
    if (asked) {
        r->t_abandon = now + o->grace_seconds;
        if (n)
            log_info("stopping: nothing more is asked, and %lld answers on their way have %g s to "
                     "end; Ctrl-C again drops them at once",
                     (long long)n, o->grace_seconds);
    }
    if (r->stop && !r->t_abandon && !r->told_stop && n)
        log_info("%s. Nothing more is asked; %lld answers on their way may end, and Ctrl-C gives "
                 "them %g s",
                 r->stop_message, (long long)n, o->grace_seconds);
    r->told_stop = r->told_stop || r->stop;
    if (r->t_abandon && now >= r->t_abandon && !r->abandoning && r->n_flying) {
        r->abandoning = true;
        http_teacher_abandon(r->teacher);
    }
}

static err_code turn(struct http_run *r, struct err *e)
{
    struct http_answer a;
    err_code rc = http_teacher_poll(r->teacher, r->n_again ? POLL_AGAIN_MS : POLL_MS, e);
    while (!rc && http_teacher_next(r->teacher, &a))
        rc = run_answer(r, &a, e);
    if (!rc)
        rc = sink_tick(&r->job.sink, e);
    tell_progress(r);
    return rc;
}

/* Nothing is on its way, and nothing more will be. */
static bool is_over(const struct http_run *r)
{
    return !r->n_flying && (r->stop || (r->running && r->at_end));
}

static err_code drive(struct http_run *r, struct err *e)
{
    tell_begin(r);
    err_code rc = ERR_OK;
    for (;;) {
        check_stop(r);
        if ((rc = fill(r, e)) || is_over(r) || (rc = turn(r, e)))
            break;
    }
    struct err kept = {0};
    err_code rc2 = sink_commit(&r->job.sink, &kept);
    if (rc2 && (!rc || rc == ERR_STOPPED)) { /* then a stop is not all that happened */
        rc = rc2;
        if (e)
            *e = kept;
    }
    tell_end(r);
    return rc;
}

/* How the run ended, for who called it. */
static err_code ending(const struct http_run *r, struct err *e)
{
    const struct generate_summary *s = r->job.sum;
    if (r->stop)
        return err_set(e, ERR_STOPPED, "%s", r->stop_message);
    if (s->n_failed)
        return err_set(e, ERR_STOPPED, "%lld samples could not be made; the last: %s",
                       (long long)s->n_failed, r->last_failure);
    return ERR_OK;
}

/* 0.6 and not 0.60000002384: the number that a person gave. */
static double plain(float x)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

static void fill_options(const struct http_run *r, const char *model, struct http_options *h)
{
    const struct generate_options *o = r->job.o;
    *h = (struct http_options){
        .endpoints = o->endpoints,
        .n_endpoints = o->n_endpoints,
        .model = model,
        .stream = !o->no_stream,
        .raw = o->raw,
        .system = o->raw ? NULL : o->system,
        .temperature = plain(o->sampling.temperature),
        .top_p = plain(o->sampling.top_p),
        .top_k = o->sampling.top_k,
        .max_tokens = o->max_tokens,
        .extra_json = o->extra_json,
        .rules = {.chat = !o->raw,
                  .thinking_open = r->form.thinking_open,
                  .max_bytes = (size_t)64 << 20,
                  .n_top = (int32_t)o->n_logprobs,
                  .stop_loops = o->stop_loops,
                  .no_think_bytes = o->no_think_bytes},
        .concurrency = o->concurrency,
        .n_tries = (int)o->n_tries,
        .connect_seconds = 30,
        .idle_seconds = o->idle_seconds,
        .total_seconds = o->total_seconds,
        .seed = (uint64_t)(clock_now() * 1e9), /* of the jitter: no two machines the same */
        .ca_file = o->ca_file,
        .spill_dir = r->spill_dir,
    };
}

/* The one model that the first endpoint serves. */
static err_code find_model(struct http_run *r, char name[256], struct err *e)
{
    const char *url = r->job.o->endpoints[0].url;
    char **names = NULL;
    int n = 0;
    struct http_options h;
    struct http_teacher *t = NULL;
    fill_options(r, "", &h);
    err_code rc = http_teacher_open(&h, &t, e);
    if (rc)
        return rc;
    rc = http_teacher_models(t, 0, &names, &n, e);
    if (!rc && n == 1)
        snprintf(name, 256, "%s", names[0]);
    else if (!rc) {
        char list[300] = "";
        size_t k = 0;
        for (int i = 0; i < n && i < 5 && k < sizeof list; i++)
            k += (size_t)snprintf(list + k, sizeof list - k, "%s%.60s", i ? ", " : ": ", names[i]);
        rc = err_set(e, ERR_USAGE, "%s serves %d models%s%s; choose one with --teacher-model", url,
                     n, list, n > 5 ? ", ..." : "");
    }
    for (int i = 0; i < n; i++)
        mem_free(names[i]);
    mem_free(names);
    http_teacher_close(t);
    return rc;
}

static err_code make_flights(struct http_run *r, struct err *e)
{
    /* beside the concurrency, the canary's */
    r->n_flights = r->job.o->concurrency + (int64_t)r->n_endpoints * (r->job.o->n_canary + 2);
    r->flights = mem_new((size_t)r->n_flights, sizeof *r->flights, e);
    r->told_off = mem_new((size_t)r->n_endpoints, sizeof *r->told_off, e);
    r->served = mem_new((size_t)r->n_endpoints, sizeof *r->served, e);
    if (!r->flights || !r->told_off || !r->served)
        return ERR_NOMEM;
    for (int64_t i = 0; i < r->n_flights; i++)
        r->flights[i].next_free = i + 1 < r->n_flights ? (int32_t)(i + 1) : -1;
    return ERR_OK;
}

/* What another run has on its way is not known here: a budget can hold for one run at a time. */
static err_code claim(struct http_run *r, struct err *e)
{
    bool alone = r->job.o->budget_usd >= 0, claimed;
    err_code rc = corpus_claim(r->job.corpus, alone, &claimed, e);
    if (rc)
        return alone ? rc : ERR_OK;
    if (claimed)
        return ERR_OK;
    if (alone)
        return err_set(e, ERR_STATE,
                       "%s: another run over HTTP is under way in it, and --budget could not know "
                       "what that one spends; wait for its end, or give all endpoints to one run",
                       r->job.o->corpus);
    return err_set(e, ERR_STATE,
                   "%s: a run with --budget is under way in it, which could not know what this one "
                   "spends; wait for its end, or use another corpus (decant corpus merge)",
                   r->job.o->corpus);
}

static err_code open_all(struct http_run *r, struct err *e)
{
    const struct generate_options *o = r->job.o;
    struct generate_summary *sum = r->job.sum;
    struct http_options h;
    struct body_options body = {.max_tokens = o->max_tokens, .extra_json = o->extra_json};
    if (o->budget_usd >= 0 && !body_limit(&body))
        return err_set(e, ERR_USAGE,
                       "--budget needs a limit of tokens, and --extra takes max_tokens away; set "
                       "max_completion_tokens there");
    err_code rc = prompt_form_open(o, &r->form, e);
    if (rc)
        return rc;
    if (!(r->spill_dir = path_dir(o->corpus, e)))
        return ERR_NOMEM;
    if (o->teacher_name)
        snprintf(sum->teacher, sizeof sum->teacher, "%s", o->teacher_name);
    else if ((rc = find_model(r, sum->teacher, e)))
        return rc;
    fill_options(r, sum->teacher, &h);
    if ((rc = request_http(o, sum->teacher, &r->job.request, e)) ||
        (rc = http_teacher_open(&h, &r->teacher, e)) || (rc = job_open(&r->job, e)) ||
        (rc = claim(r, e)) || (rc = make_flights(r, e)) ||
        (rc = corpus_spent(r->job.corpus, 0, &r->budget.spent, e)))
        return rc;
    r->budget.limit = o->budget_usd;
    r->jitter = rng_make((uint64_t)(clock_now() * 1e9), 1, 0);
    for (int i = 0; i < o->n_endpoints; i++)
        r->cost_known = r->cost_known || o->endpoints[i].price.known;
    return run_canary_open(r, e);
}

err_code generate_http(const struct generate_options *o, struct generate_summary *sum,
                       struct err *e)
{
    mem_keep_freed();
    struct http_run r = {.job = {.o = o, .sum = sum}, .n_endpoints = o->n_endpoints, .free = 0};
    err_code rc = open_all(&r, e);
    if (!rc)
        rc = drive(&r, e);
    if (r.job.sink.corpus) { /* what was spent does not depend on how it ended */
        sum->cost_usd = r.cost_known ? r.cost : -1;
        sum->corpus_usd = r.cost_known ? r.budget.spent : -1;
    }
    if (!rc)
        rc = ending(&r, e);
    job_close(&r.job);
    run_canary_close(&r);
    http_teacher_close(r.teacher);
    prompt_form_close(&r.form);
    mem_free(r.spill_dir);
    buf_dispose(&r.text);
    buf_dispose(&r.extra);
    mem_free(r.flights);
    mem_free(r.again);
    mem_free(r.told_off);
    mem_free(r.served);
    return rc;
}
