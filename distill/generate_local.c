#include "distill/generate.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/lm/sched.h"
#include "dataset/corpus.h"
#include "dataset/import.h"
#include "distill/model.h"

#include <stdlib.h>
#include <string.h>

/* A commit takes a flush to disk: several traces share one, for at most this long. */
enum { COMMIT_TRACES = 256 };
#define COMMIT_SECONDS 0.5

/* One sample on its way. */
struct flight {
    bool used;
    int64_t prompt_id, sample_index;
    struct token_list prompt;
};

struct generate {
    const struct generate_options *o;
    struct generate_summary *sum;
    struct model model;
    struct corpus *corpus;
    struct corpus_missing *missing;
    int64_t request_id;
    struct buf params;      /* the request's JSON, stored with each trace as what was sent */
    struct flight *flights; /* [concurrency] */
    struct reply reply;
    struct progress progress;
    struct err next_err; /* why next() or on_token() gave up */
    err_code next_rc;
    bool in_transaction;
    int64_t n_uncommitted, n_tokens_seen;
    double t_commit, t0;
};

/* Everything that decides what the teacher says, and nothing else. */
static err_code make_request(struct generate *g, struct err *e)
{
    const struct generate_options *o = g->o;
    uint64_t mark;
    err_code rc = model_fingerprint(o->teacher, &mark, e);
    if (rc)
        return rc;
    struct buf *b = &g->params;
    char *path = mem_strdup(o->teacher, e);
    if (!path)
        return ERR_NOMEM;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
    const char *name = o->teacher_name ? o->teacher_name : path_base(path);
    if (!(rc = buf_str(b, "{\"teacher\":", e)) && !(rc = json_quote(b, name, strlen(name), e)))
        rc = buf_printf(b, e,
                        ",\"fingerprint\":\"%016llx\",\"chat\":\"%s\",\"temperature\":%.7g,"
                        "\"top_p\":%.7g,\"top_k\":%d,\"max_tokens\":%lld,\"seed\":%llu}",
                        (unsigned long long)mark, chat_form_name(g->model.chat.form),
                        (double)o->sampling.temperature, (double)o->sampling.top_p,
                        o->sampling.top_k, (long long)o->max_tokens, (unsigned long long)o->seed);
    mem_free(path);
    return rc ? rc : corpus_request(g->corpus, b->data, &g->request_id, e);
}

static struct flight *free_flight(struct generate *g, uint64_t *id)
{
    for (int64_t i = 0; i < g->o->concurrency; i++)
        if (!g->flights[i].used) {
            *id = (uint64_t)i;
            return &g->flights[i];
        }
    return NULL;
}

static err_code take_off(struct generate *g, struct gen_request *r, bool *more, struct err *e)
{
    struct corpus_todo todo;
    err_code rc = corpus_missing_next(g->missing, &todo, more, e);
    if (rc || !*more)
        return rc;
    struct flight *f = free_flight(g, &r->id);
    token_list_clear(&f->prompt);
    struct chat_turn turn = {.user = todo.prompt};
    if ((rc = chat_prompt(&g->model.chat, NULL, &turn, 1, &f->prompt, e)))
        return rc;
    f->used = true;
    f->prompt_id = todo.prompt_id;
    f->sample_index = todo.sample_index;
    r->prompt = f->prompt.ids;
    r->n_prompt = f->prompt.n;
    r->max_tokens = g->o->max_tokens;
    r->sampling = g->o->sampling;
    r->rng =
        rng_make(g->o->seed, rng_hash(todo.prompt, todo.n_prompt), (uint64_t)todo.sample_index);
    r->n_stops = tokenizer_stops(g->model.tok, &r->stops);
    return ERR_OK;
}

static bool next(void *ctx, struct gen_request *r, bool *end)
{
    struct generate *g = ctx;
    bool more = false;
    g->next_rc = take_off(g, r, &more, &g->next_err);
    *end = g->next_rc || !more;
    return !*end;
}

/* Traces count as made once they are on disk. */
static err_code commit(struct generate *g, struct err *e)
{
    if (!g->in_transaction)
        return ERR_OK;
    err_code rc = corpus_commit(g->corpus, e);
    if (rc)
        return rc;
    g->in_transaction = false;
    g->sum->n_made += g->n_uncommitted;
    g->n_uncommitted = 0;
    return ERR_OK;
}

/* Also keeps the promise of COMMIT_SECONDS when the next trace takes minutes to end: until then a
 * kill would lose those before it, and no one else could write to the corpus. */
static bool on_token(void *ctx, uint64_t id, int32_t token)
{
    (void)id;
    (void)token;
    struct generate *g = ctx;
    g->n_tokens_seen++;
    double now = clock_now(), s = now - g->t0;
    progress_set(&g->progress, (uint64_t)(g->sum->n_there + g->sum->n_made), "%.0f tokens/s",
                 s > 0 ? (double)g->n_tokens_seen / s : 0.0);
    if (g->in_transaction && now > g->t_commit && !g->next_rc)
        g->next_rc = commit(g, &g->next_err);
    return !g->next_rc;
}

static void count(struct generate_summary *s, const struct verdicts *v)
{
    s->n_correct += v->answer == ANSWER_CORRECT;
    s->n_wrong += v->answer == ANSWER_WRONG;
    s->n_unknown += v->answer == ANSWER_UNKNOWN;
    s->n_truncated += v->truncated;
    s->n_no_think += v->no_think;
    s->n_repetition += v->repetition;
}

static err_code done(void *ctx, const struct gen_result *r, struct err *e)
{
    struct generate *g = ctx;
    struct flight *f = &g->flights[r->id];
    if (g->next_rc) { /* the corpus failed: a cancelled sequence is no trace */
        if (e)
            *e = g->next_err;
        return g->next_rc;
    }
    err_code rc = reply_decode(&g->reply, &g->model, r->tokens, r->n_tokens, e);
    if (rc)
        return rc;
    const struct chat_split *sp = &g->reply.split;
    struct corpus_trace t = {
        .prompt_id = f->prompt_id,
        .request_id = g->request_id,
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
        .served_model = g->o->teacher,
        .params_json = g->params.data,
        .think_rule = sp->closed ? "tag" : "none",
        .has_seed = true,
        .seed = g->o->seed,
    };
    if (!g->in_transaction) {
        if ((rc = corpus_begin(g->corpus, e)))
            return rc;
        g->in_transaction = true;
        g->t_commit = clock_now() + COMMIT_SECONDS;
    }
    int64_t id;
    struct verdicts v;
    bool added;
    if ((rc = corpus_add_trace(g->corpus, &t, &id, &added, &v, e)))
        return rc;
    f->used = false;
    g->sum->n_tokens += r->n_tokens;
    if (added) { /* else another process was quicker */
        count(g->sum, &v);
        g->n_uncommitted++;
    }
    return g->n_uncommitted >= COMMIT_TRACES || clock_now() > g->t_commit ? commit(g, e) : ERR_OK;
}

static err_code open_all(struct generate *g, struct err *e)
{
    const struct generate_options *o = g->o;
    struct import_options opt = {.limit = o->limit, .want = true};
    struct import_summary imported;
    err_code rc = model_open(&g->model, o->teacher, o->n_threads, MODEL_TEXT, e);
    if (rc || (rc = corpus_open(o->corpus, CORPUS_CREATE, &g->corpus, e)) ||
        (rc = corpus_import(g->corpus, o->prompts, &opt, &imported, e)) ||
        (rc = make_request(g, e)) ||
        (rc = corpus_missing_count(g->corpus, g->request_id, o->n_samples, CORPUS_WANTED,
                                   &g->sum->n_wanted, &g->sum->n_there, e)))
        return rc;
    if (imported.n_conflicts)
        log_warn("%lld prompts of %s have another gold answer in %s, which was kept",
                 (long long)imported.n_conflicts, o->prompts, o->corpus);
    g->flights = mem_new((size_t)o->concurrency, sizeof *g->flights, e);
    if (!g->flights)
        return ERR_NOMEM;
    return corpus_missing_open(g->corpus, g->request_id, o->n_samples, CORPUS_WANTED, &g->missing,
                               e);
}

static err_code drive(struct generate *g, struct err *e)
{
    struct sched_job job = {.next = next,
                            .token = on_token,
                            .done = done,
                            .ctx = g,
                            .n_slots = g->o->concurrency,
                            .n_choose = tokenizer_size(g->model.tok)};
    struct sched_stats st;
    progress_begin(&g->progress, "traces", (uint64_t)g->sum->n_wanted);
    progress_resume(&g->progress, (uint64_t)g->sum->n_there);
    g->t0 = clock_now();
    err_code rc = sched_run(g->model.lm, &job, &st, e);
    if (!rc && g->next_rc) {
        rc = g->next_rc;
        if (e)
            *e = g->next_err;
    }
    /* What was finished before a stop or an error is kept. */
    struct err kept = {0};
    err_code rc2 = commit(g, &kept);
    if (rc2 && (!rc || rc == ERR_STOPPED)) { /* then a stop is not all that happened */
        rc = rc2;
        if (e)
            *e = kept;
    }
    g->sum->seconds = clock_now() - g->t0;
    progress_end(&g->progress, "%lld made, %lld were there, %.0f tokens/s",
                 (long long)g->sum->n_made, (long long)g->sum->n_there,
                 g->sum->seconds > 0 ? (double)g->sum->n_tokens / g->sum->seconds : 0.0);
    return rc;
}

err_code generate_run(const struct generate_options *o, struct generate_summary *sum, struct err *e)
{
    struct generate_options local = *o;
    if (!local.concurrency)
        local.concurrency = 64;
    o = &local;
    struct generate g = {.o = o, .sum = sum};
    *sum = (struct generate_summary){.cost_usd = -1, .corpus_usd = -1};
    if (o->n_endpoints)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: HTTP teachers are being built; give an HF directory or a GGUF file",
                       o->endpoints[0].url);
    err_code rc = open_all(&g, e);
    if (!rc)
        rc = drive(&g, e);
    corpus_missing_close(g.missing);
    for (int64_t i = 0; g.flights && i < o->concurrency; i++)
        token_list_dispose(&g.flights[i].prompt);
    mem_free(g.flights);
    reply_dispose(&g.reply);
    buf_dispose(&g.params);
    corpus_close(g.corpus);
    model_close(&g.model);
    return rc;
}
