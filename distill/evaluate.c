#include "distill/evaluate.h"

#include "core/base/log.h"
#include "core/lm/sched.h"
#include "dataset/answer.h"
#include "dataset/problems.h"
#include "distill/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct item {
    char *prompt, *gold;
    size_t n_prompt, n_gold;
    struct token_list tokens;
    int64_t n_left, n_correct; /* samples */
};

struct evaluate {
    const struct evaluate_options *o;
    struct evaluate_summary *sum;
    struct model model;
    struct item *items;
    int64_t n_items, cap, i_next; /* i_next counts samples: item = i / n_samples */
    struct reply reply;
    struct progress progress;
    double t0;
    err_code next_rc;
    struct err next_err;
};

/* A gold answer that cannot be compared with itself cannot judge anything. */
static bool usable_gold(const struct problem *p)
{
    return p->gold &&
           answer_compare(p->gold, p->n_gold, p->gold, p->n_gold, NULL) == ANSWER_CORRECT;
}

static err_code add_item(struct evaluate *v, const struct problem *p, struct err *e)
{
    if (v->n_items == v->cap) {
        int64_t cap = v->cap ? 2 * v->cap : 256;
        err_code rc = mem_grow((void **)&v->items, (size_t)cap, sizeof *v->items, e);
        if (rc)
            return rc;
        v->cap = cap;
    }
    struct item *it = &v->items[v->n_items++];
    memset(it, 0, sizeof *it);
    it->prompt = mem_strndup(p->prompt, p->n_prompt, e);
    it->gold = mem_strndup(p->gold, p->n_gold, e);
    it->n_prompt = p->n_prompt;
    it->n_gold = p->n_gold;
    it->n_left = v->o->n_samples;
    return it->prompt && it->gold ? ERR_OK : ERR_NOMEM;
}

static err_code load_problems(struct evaluate *v, struct err *e)
{
    struct problems *file;
    struct problem p;
    bool more = true;
    err_code rc = problems_open(v->o->problems, &v->o->fields, &file, e);
    if (rc)
        return rc;
    while (!rc && (v->o->limit == 0 || v->n_items < v->o->limit) &&
           !(rc = problems_next(file, &p, &more, e)) && more) {
        if (usable_gold(&p))
            rc = add_item(v, &p, e);
        else
            v->sum->n_no_gold++;
    }
    problems_close(file);
    if (!rc && v->n_items == 0)
        rc = err_set(e, ERR_FORMAT,
                     "%s: no problem with an answer that can be checked; each line needs "
                     "\"%s\" and \"%s\"",
                     v->o->problems, v->o->fields.prompt ? v->o->fields.prompt : "prompt",
                     v->o->fields.gold ? v->o->fields.gold : "answer");
    return rc;
}

static bool next(void *ctx, struct gen_request *r, bool *end)
{
    struct evaluate *v = ctx;
    if (v->i_next == v->n_items * v->o->n_samples) {
        *end = true;
        return false;
    }
    int64_t sample = v->i_next % v->o->n_samples;
    struct item *it = &v->items[v->i_next / v->o->n_samples];
    if (sample == 0) {
        struct chat_turn turn = {.user = it->prompt};
        v->next_rc = chat_prompt(&v->model.chat, NULL, &turn, 1, &it->tokens, &v->next_err);
        if (v->next_rc) {
            *end = true;
            return false;
        }
    }
    r->id = (uint64_t)v->i_next++;
    r->prompt = it->tokens.ids;
    r->n_prompt = it->tokens.n;
    r->max_tokens = v->o->max_tokens;
    r->sampling = v->o->sampling;
    r->rng = rng_make(v->o->seed, rng_hash(it->prompt, it->n_prompt), (uint64_t)sample);
    r->n_stops = tokenizer_stops(v->model.tok, &r->stops);
    return true;
}

static err_code done(void *ctx, const struct gen_result *r, struct err *e)
{
    struct evaluate *v = ctx;
    struct evaluate_summary *s = v->sum;
    struct item *it = &v->items[r->id / (uint64_t)v->o->n_samples];
    err_code rc = reply_decode(&v->reply, &v->model, r->tokens, r->n_tokens, e);
    if (rc)
        return rc;
    const struct chat_split *sp = &v->reply.split;
    bool cut = r->finish != FINISH_STOP;
    enum answer_verdict verdict =
        answer_check(sp->answer, sp->n_answer, it->gold, it->n_gold, NULL);
    bool correct = !cut && verdict == ANSWER_CORRECT;
    s->n_answers++;
    s->n_cut_tokens += cut && r->n_tokens >= v->o->max_tokens;
    s->n_cut_context += cut && r->n_tokens < v->o->max_tokens;
    s->n_correct += correct;
    s->n_wrong += !cut && verdict == ANSWER_WRONG;
    s->n_unread += !cut && verdict == ANSWER_UNKNOWN;
    s->n_tokens += r->n_tokens;
    it->n_correct += correct;
    if (--it->n_left == 0)
        token_list_dispose(&it->tokens);
    double t = clock_now() - v->t0;
    progress_set(&v->progress, (uint64_t)s->n_answers, "%.1f %% correct, %.0f tokens/s",
                 100.0 * (double)s->n_correct / (double)s->n_answers,
                 t > 0 ? (double)s->n_tokens / t : 0.0);
    return ERR_OK;
}

static void summarise(struct evaluate *v)
{
    struct evaluate_summary *s = v->sum;
    double n = (double)v->n_items, mean = 0, var = 0;
    for (int64_t i = 0; i < v->n_items; i++)
        mean += (double)v->items[i].n_correct / (double)v->o->n_samples / n;
    for (int64_t i = 0; i < v->n_items; i++) {
        double d = (double)v->items[i].n_correct / (double)v->o->n_samples - mean;
        var += d * d;
    }
    s->n_problems = v->n_items;
    s->accuracy = mean;
    s->standard_error = v->n_items > 1 ? sqrt(var / (n - 1) / n) : 0;
    s->n_params = v->model.lm->n_params;
    s->n_bytes = v->model.lm->n_bytes;
    s->context = v->model.lm->max_context;
}

err_code evaluate_run(const struct evaluate_options *o, struct evaluate_summary *sum, struct err *e)
{
    struct evaluate v = {.o = o, .sum = sum};
    *sum = (struct evaluate_summary){0};
    struct sched_job job = {.next = next, .done = done, .ctx = &v, .n_slots = o->concurrency};
    struct sched_stats st;
    err_code rc = load_problems(&v, e);
    if (!rc)
        rc = model_open(&v.model, o->model, o->n_threads, MODEL_TEXT, e);
    if (!rc) {
        progress_begin(&v.progress, "answers", (uint64_t)(v.n_items * o->n_samples));
        v.t0 = clock_now();
        job.n_choose = tokenizer_size(v.model.tok);
        job.n_threads = v.model.device->n_threads;
        rc = sched_run(v.model.lm, &job, &st, e);
        sum->seconds = clock_now() - v.t0;
        if (!rc && v.next_rc) {
            rc = v.next_rc;
            if (e)
                *e = v.next_err;
        }
        if (rc == ERR_STOPPED)
            err_set(e, rc,
                    "stopped after %lld of %lld answers; no result: run it again, or with "
                    "--limit for fewer problems",
                    (long long)sum->n_answers, (long long)(v.n_items * o->n_samples));
        progress_end(&v.progress, "%lld of %lld correct", (long long)sum->n_correct,
                     (long long)sum->n_answers);
    }
    if (!rc)
        summarise(&v);
    for (int64_t i = 0; i < v.n_items; i++) {
        mem_free(v.items[i].prompt);
        mem_free(v.items[i].gold);
        token_list_dispose(&v.items[i].tokens);
    }
    mem_free(v.items);
    reply_dispose(&v.reply);
    model_close(&v.model);
    return rc;
}
