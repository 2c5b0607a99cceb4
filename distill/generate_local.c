#include "distill/generate_job.h"

#include "core/base/log.h"
#include "core/lm/sched.h"

#include <stdlib.h>
#include <string.h>

/* One sample on its way. */
struct flight {
    bool used;
    size_t i_prompt;
    int64_t prompt_id, sample_index;
    uint64_t seed; /* the sample's own: the beginning of its stream, as HTTP teachers are sent it */
    struct token_list prompt;
};

struct local {
    struct generate_job job;
    struct model model;
    struct prompt_form form;
    struct buf text;
    struct flight *flights; /* [concurrency] */
    struct reply reply;
    struct progress progress;
    struct err next_err; /* why next() or on_token() gave up */
    err_code next_rc;
    int64_t n_tokens_seen;
    int64_t n_no_room; /* samples whose prompt fills the context */
    double t0;
};

static struct flight *free_flight(struct local *g, uint64_t *id)
{
    for (int64_t i = 0; i < g->job.o->concurrency; i++)
        if (!g->flights[i].used) {
            *id = (uint64_t)i;
            return &g->flights[i];
        }
    return NULL;
}

static err_code take_off(struct local *g, struct gen_request *r, enum missing_state *state,
                         struct err *e)
{
    const struct generate_options *o = g->job.o;
    struct missing_sample todo;
    err_code rc = missing_next(g->job.missing, &todo, state, e);
    if (rc || *state != MISSING_SAMPLE)
        return rc;
    struct flight *f = free_flight(g, &r->id);
    token_list_clear(&f->prompt);
    if ((rc = prompt_form_fill(&g->form, todo.prompt, todo.n_prompt, &g->text, e)))
        return rc;
    struct chat_turn turn = {.user = g->text.data};
    if ((rc = chat_prompt(&g->model.chat, o->system, &turn, 1, &f->prompt, e)))
        return rc;
    f->used = true;
    f->i_prompt = todo.i_prompt;
    f->prompt_id = todo.prompt_id;
    f->sample_index = todo.sample_index;
    f->seed = request_seed(o->seed, todo.prompt, todo.n_prompt, todo.sample_index);
    r->prompt = f->prompt.ids;
    r->n_prompt = f->prompt.n;
    r->max_tokens = o->max_tokens;
    r->sampling = o->sampling;
    r->rng = rng_make(o->seed, rng_hash(todo.prompt, todo.n_prompt), (uint64_t)todo.sample_index);
    r->n_stops = tokenizer_stops(g->model.tok, &r->stops);
    return ERR_OK;
}

static bool next(void *ctx, struct gen_request *r, bool *end)
{
    struct local *g = ctx;
    enum missing_state state = MISSING_END;
    g->next_rc = take_off(g, r, &state, &g->next_err);
    *end = g->next_rc || state == MISSING_END;
    return !g->next_rc && state == MISSING_SAMPLE;
}

/* Also keeps the sink's promise when the next trace takes minutes to end: until then a kill would
 * lose those before it, and no one else could write to the corpus. */
static bool on_token(void *ctx, uint64_t id, int32_t token)
{
    (void)id;
    (void)token;
    struct local *g = ctx;
    const struct generate_summary *sum = g->job.sum;
    g->n_tokens_seen++;
    double s = clock_now() - g->t0;
    progress_set(&g->progress, (uint64_t)(sum->n_there + sum->n_made), "%.0f tokens/s",
                 s > 0 ? (double)g->n_tokens_seen / s : 0.0);
    if (!g->next_rc)
        g->next_rc = sink_tick(&g->job.sink, &g->next_err);
    return !g->next_rc;
}

static err_code store(struct local *g, const struct gen_result *r, const struct flight *f,
                      enum missing_result *result, struct err *e)
{
    const struct chat_split *sp = &g->reply.split;
    const struct generate_options *o = g->job.o;
    struct corpus_trace t = {
        .prompt_id = f->prompt_id,
        .request_id = g->job.request_id,
        .sample_index = f->sample_index,
        .reasoning = sp->reasoning,
        .n_reasoning = sp->n_reasoning,
        .answer = sp->answer,
        .n_answer = sp->n_answer,
        .finish_reason = r->finish == FINISH_STOP ? "stop" : "length",
        .n_prompt_tokens = r->n_prompt,
        .n_reasoning_tokens = g->reply.n_reasoning_tokens,
        .n_completion_tokens = r->n_tokens,
        .n_cached_tokens = -1,
        .cost_usd = 0,
        .latency_ms = 1e3 * r->seconds,
        .served_model = o->teacher,
        .params_json = g->job.request.data,
        .think_rule = sp->closed ? "tag" : "none",
        .has_seed = true,
        .seed = f->seed,
    };
    int64_t id;
    struct verdicts v;
    bool added;
    err_code rc = sink_trace(&g->job.sink, &t, &id, &v, &added, e);
    *result = !rc && sink_is_good(&v) ? MISSING_GOOD : MISSING_MADE;
    return rc;
}

static err_code done(void *ctx, const struct gen_result *r, struct err *e)
{
    struct local *g = ctx;
    struct flight *f = &g->flights[r->id];
    if (g->next_rc) { /* the corpus failed: a cancelled sequence is no trace */
        if (e)
            *e = g->next_err;
        return g->next_rc;
    }
    enum missing_result result;
    g->n_no_room += r->n_prompt >= g->model.lm->max_context;
    err_code rc = reply_decode(&g->reply, &g->model, r->tokens, r->n_tokens, e);
    if (!rc)
        rc = store(g, r, f, &result, e);
    if (!rc)
        missing_done(g->job.missing, f->i_prompt, result);
    f->used = false;
    return rc ? rc : sink_tick(&g->job.sink, e);
}

static err_code open_all(struct local *g, struct err *e)
{
    const struct generate_options *o = g->job.o;
    err_code rc = model_open(&g->model, o->teacher, o->n_threads, MODEL_TEXT, e);
    if (rc || (rc = prompt_form_open(o, &g->form, e)) ||
        (rc = request_local(o, &g->model, &g->job.request, g->job.sum->teacher, e)) ||
        (rc = job_open(&g->job, e)))
        return rc;
    g->flights = mem_new((size_t)o->concurrency, sizeof *g->flights, e);
    return g->flights ? ERR_OK : ERR_NOMEM;
}

static err_code drive(struct local *g, struct err *e)
{
    struct generate_summary *sum = g->job.sum;
    struct sched_job job = {.next = next,
                            .token = on_token,
                            .done = done,
                            .ctx = g,
                            .n_slots = g->job.o->concurrency,
                            .n_choose = tokenizer_size(g->model.tok),
                            .n_threads = g->model.device->n_threads};
    struct sched_stats st;
    progress_begin(&g->progress, "traces", (uint64_t)sum->n_wanted);
    progress_resume(&g->progress, (uint64_t)sum->n_there);
    g->t0 = clock_now();
    err_code rc = sched_run(g->model.lm, &job, &st, e);
    if (!rc && g->next_rc) {
        rc = g->next_rc;
        if (e)
            *e = g->next_err;
    }
    /* What was finished before a stop or an error is kept. */
    struct err kept = {0};
    err_code rc2 = sink_commit(&g->job.sink, &kept);
    if (rc2 && (!rc || rc == ERR_STOPPED)) { /* then a stop is not all that happened */
        rc = rc2;
        if (e)
            *e = kept;
    }
    sum->seconds = clock_now() - g->t0;
    if (g->n_no_room)
        log_warn("the prompt%s of %lld sample%s no room for an answer in the teacher's "
                 "context of %lld tokens: such traces are empty, and marked truncated",
                 g->n_no_room == 1 ? "" : "s", (long long)g->n_no_room,
                 g->n_no_room == 1 ? " leaves" : "s leave", (long long)g->model.lm->max_context);
    if (!sum->n_made)
        progress_end(&g->progress, "none made, %lld were there", (long long)sum->n_there);
    else
        progress_end(&g->progress, "%lld made, %lld were there, %.0f tokens/s",
                     (long long)sum->n_made, (long long)sum->n_there,
                     sum->seconds > 0 ? (double)sum->n_tokens / sum->seconds : 0.0);
    return rc;
}

err_code generate_local(const struct generate_options *o, struct generate_summary *sum,
                        struct err *e)
{
    struct local g = {.job = {.o = o, .sum = sum}};
    err_code rc = open_all(&g, e);
    if (!rc)
        rc = drive(&g, e);
    job_close(&g.job);
    for (int64_t i = 0; g.flights && i < o->concurrency; i++)
        token_list_dispose(&g.flights[i].prompt);
    mem_free(g.flights);
    reply_dispose(&g.reply);
    prompt_form_close(&g.form);
    buf_dispose(&g.text);
    model_close(&g.model);
    return rc;
}
