#include "core/lm/sched.h"
#include "core/base/log.h"

#include <omp.h>
#include <string.h>

/* One sequence in flight. */
struct slot {
    struct gen_request req;
    struct lm_seq *seq; /* NULL: the slot is free */
    int64_t n_fed;      /* tokens of the prompt that are in the cache */
    int32_t *tokens;    /* generated so far */
    int64_t n_tokens, cap;
    int32_t next; /* the token to feed, once the prompt is in */
    double t0;
};

struct sched {
    struct lm *lm;
    const struct sched_job *job;
    struct sched_stats *st;
    struct slot *slots;
    int64_t n_active;
    bool end; /* next said that there is nothing more, ever */
    struct lm_item *items;
    int64_t *item_slot; /* which slot an item belongs to */
    float *logits, *scratch_p;
    int32_t *scratch_i;
    int n_threads;
};

static void slot_free(struct sched *s, struct slot *sl)
{
    if (sl->seq) {
        lm_seq_close(sl->seq);
        sl->seq = NULL;
        s->n_active--;
    }
}

static err_code finish(struct sched *s, struct slot *sl, enum finish why, struct err *e)
{
    struct gen_result r = {.id = sl->req.id,
                           .tokens = sl->tokens,
                           .n_tokens = sl->n_tokens,
                           .n_prompt = sl->req.n_prompt,
                           .finish = why,
                           .seconds = clock_now() - sl->t0};
    s->st->n_done++;
    slot_free(s, sl);
    return s->job->done(s->job->ctx, &r, e);
}

/* Takes a request into a free slot. One whose prompt fills the context ends at once. */
static err_code take(struct sched *s, struct slot *sl, struct err *e)
{
    struct gen_request *r = &sl->req;
    int64_t room = s->lm->max_context - r->n_prompt;
    sl->n_fed = sl->n_tokens = 0;
    sl->t0 = clock_now();
    if (r->n_prompt < 1)
        return err_set(e, ERR_USAGE, "request %llu has an empty prompt", (unsigned long long)r->id);
    if (room < 1 || r->max_tokens < 1) {
        return finish(s, sl, FINISH_LENGTH, e);
    }
    if (r->max_tokens > room)
        r->max_tokens = room;
    err_code rc = lm_seq_open(s->lm, r->n_prompt + r->max_tokens, &sl->seq, e);
    if (!rc)
        s->n_active++;
    return rc;
}

static err_code fill_slots(struct sched *s, struct err *e)
{
    for (int64_t i = 0; i < s->job->n_slots && !s->end; i++) {
        struct slot *sl = &s->slots[i];
        while (!sl->seq && !s->end) {
            memset(&sl->req, 0, sizeof sl->req);
            bool end = false;
            bool got = s->job->next(s->job->ctx, &sl->req, &end);
            s->end |= end;
            if (!got)
                return ERR_OK;
            err_code rc = take(s, sl, e);
            if (rc)
                return rc;
        }
    }
    return ERR_OK;
}

/* What this step feeds: one token of every decoding sequence, and prompt chunks within a budget. */
static int64_t plan_step(struct sched *s)
{
    int64_t n = 0, budget = s->job->prefill_chunk > 0 ? s->job->prefill_chunk : 512;
    for (int64_t i = 0; i < s->job->n_slots; i++) {
        struct slot *sl = &s->slots[i];
        if (!sl->seq)
            continue;
        struct lm_item it = {.seq = sl->seq, .logits = LM_LAST, .tokens = &sl->next, .n_tokens = 1};
        int64_t todo = sl->req.n_prompt - sl->n_fed;
        if (todo > 0) {
            if (budget == 0)
                continue;
            it.tokens = sl->req.prompt + sl->n_fed;
            it.n_tokens = todo < budget ? todo : budget;
            it.logits = it.n_tokens == todo ? LM_LAST : LM_NONE;
            budget -= it.n_tokens;
        }
        s->item_slot[n] = i;
        s->items[n++] = it;
    }
    return n;
}

/* Samples for all items with logits; each slot draws from its own stream. */
static void sample_all(struct sched *s, int64_t n_items, int32_t *picked)
{
    int64_t V = s->lm->n_vocab, row = 0;
    int64_t n = s->job->n_choose > 0 && s->job->n_choose < V ? s->job->n_choose : V;
    int64_t rows[n_items > 0 ? n_items : 1];
    for (int64_t i = 0; i < n_items; i++)
        rows[i] = s->items[i].logits == LM_NONE ? -1 : row++;
#pragma omp parallel for schedule(dynamic, 1) num_threads(s->n_threads) if (row * V > 65536)
    for (int64_t i = 0; i < n_items; i++) {
        if (rows[i] < 0)
            continue;
        struct slot *sl = &s->slots[s->item_slot[i]];
        int t = omp_get_thread_num();
        picked[i] = sample_token(s->logits + rows[i] * V, n, &sl->req.sampling, &sl->req.rng,
                                 s->scratch_p + t * V, s->scratch_i + t * V);
    }
}

static bool is_stop(const struct gen_request *r, int32_t id)
{
    for (int i = 0; i < r->n_stops; i++)
        if (r->stops[i] == id)
            return true;
    return false;
}

static err_code accept(struct sched *s, struct slot *sl, int32_t id, struct err *e)
{
    if (id < 0)
        return err_set(
            e, ERR_STATE,
            "the model gave no usable logits (NaN) for request %llu; its weights are damaged",
            (unsigned long long)sl->req.id);
    s->st->n_tokens++;
    if (is_stop(&sl->req, id))
        return finish(s, sl, FINISH_STOP, e);
    if (sl->n_tokens == sl->cap) {
        int64_t cap = sl->cap ? 2 * sl->cap : 256;
        err_code rc = mem_grow((void **)&sl->tokens, (size_t)cap, sizeof *sl->tokens, e);
        if (rc)
            return rc;
        sl->cap = cap;
    }
    sl->tokens[sl->n_tokens++] = id;
    sl->next = id;
    if (s->job->token && !s->job->token(s->job->ctx, sl->req.id, id))
        return finish(s, sl, FINISH_CANCELLED, e);
    if (sl->n_tokens >= sl->req.max_tokens)
        return finish(s, sl, FINISH_LENGTH, e);
    return ERR_OK;
}

static err_code step(struct sched *s, int32_t *picked, struct err *e)
{
    int64_t n = plan_step(s);
    err_code rc = lm_forward(s->lm, s->items, n, s->logits, e);
    if (rc)
        return rc;
    sample_all(s, n, picked);
    for (int64_t i = 0; i < n; i++) {
        struct slot *sl = &s->slots[s->item_slot[i]];
        const struct lm_item *it = &s->items[i];
        if (it->tokens != &sl->next) {
            sl->n_fed += it->n_tokens;
            s->st->n_prompt_tokens += it->n_tokens;
        }
        if (it->logits != LM_NONE && (rc = accept(s, sl, picked[i], e)))
            return rc;
    }
    return ERR_OK;
}

static err_code run(struct sched *s, int32_t *picked, struct err *e)
{
    for (;;) {
        if (stop_requested())
            return err_set(e, ERR_STOPPED, "stopped on request");
        err_code rc = fill_slots(s, e);
        if (rc)
            return rc;
        if (s->n_active == 0)
            return s->end ? ERR_OK : err_set(e, ERR_STATE, "the job has no requests and no end");
        if ((rc = step(s, picked, e)))
            return rc;
    }
}

err_code sched_run(struct lm *lm, const struct sched_job *job, struct sched_stats *st,
                   struct err *e)
{
    int n_threads = job->n_threads > 0 ? job->n_threads : omp_get_max_threads();
    struct sched s = {.lm = lm, .job = job, .st = st, .n_threads = n_threads};
    size_t B = (size_t)job->n_slots, V = (size_t)lm->n_vocab, N = (size_t)s.n_threads;
    *st = (struct sched_stats){0};
    double t0 = clock_now();
    err_code rc = ERR_NOMEM;
    int32_t *picked = mem_new(B, sizeof *picked, e);
    s.slots = mem_new(B, sizeof *s.slots, e);
    s.items = mem_new(B, sizeof *s.items, e);
    s.item_slot = mem_new(B, sizeof *s.item_slot, e);
    s.logits = mem_new(B * V, sizeof *s.logits, e);
    s.scratch_p = mem_new(N * V, sizeof *s.scratch_p, e);
    s.scratch_i = mem_new(N * V, sizeof *s.scratch_i, e);
    if (picked && s.slots && s.items && s.item_slot && s.logits && s.scratch_p && s.scratch_i)
        rc = run(&s, picked, e);
    for (int64_t i = 0; s.slots && i < job->n_slots; i++) {
        slot_free(&s, &s.slots[i]);
        mem_free(s.slots[i].tokens);
    }
    mem_free(picked);
    mem_free(s.slots);
    mem_free(s.items);
    mem_free(s.item_slot);
    mem_free(s.logits);
    mem_free(s.scratch_p);
    mem_free(s.scratch_i);
    st->seconds = clock_now() - t0;
    return rc;
}
