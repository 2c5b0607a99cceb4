#include "distill/sink.h"

#include "core/base/log.h"

bool sink_is_good(const struct verdicts *v)
{
    return v->answer == ANSWER_CORRECT && !v->truncated && !v->refused && !v->empty &&
           !v->no_think && !v->repetition;
}

static void count(struct generate_summary *s, const struct verdicts *v)
{
    s->n_made++;
    s->n_correct += v->answer == ANSWER_CORRECT;
    s->n_wrong += v->answer == ANSWER_WRONG;
    s->n_unknown += v->answer == ANSWER_UNKNOWN;
    s->n_truncated += v->truncated;
    s->n_refused += v->refused;
    s->n_empty += v->empty;
    s->n_no_think += v->no_think;
    s->n_repetition += v->repetition;
    s->n_good += sink_is_good(v);
}

static void add(struct generate_summary *sum, const struct generate_summary *b)
{
    sum->n_made += b->n_made;
    sum->n_correct += b->n_correct;
    sum->n_wrong += b->n_wrong;
    sum->n_unknown += b->n_unknown;
    sum->n_truncated += b->n_truncated;
    sum->n_refused += b->n_refused;
    sum->n_empty += b->n_empty;
    sum->n_no_think += b->n_no_think;
    sum->n_repetition += b->n_repetition;
    sum->n_good += b->n_good;
    sum->n_tokens += b->n_tokens;
}

/* Has Ctrl-C come, and its grace passed? */
static bool gives_up(struct sink *s)
{
    if (!stop_requested())
        return false;
    if (!s->t_give_up)
        s->t_give_up = clock_now() + s->grace_seconds;
    return clock_now() >= s->t_give_up;
}

err_code sink_begin(struct sink *s, struct err *e)
{
    if (s->in_transaction)
        return ERR_OK;
    err_code rc;
    bool told = false;
    /* What arrives was paid for: rather wait for another writer than lose it. */
    while ((rc = corpus_begin(s->corpus, e)) == ERR_STATE && !gives_up(s)) {
        if (!told)
            log_warn(
                "%s: another process has been writing to it for a while; nothing is stored, and "
                "nothing more asked, until that ends",
                corpus_path(s->corpus));
        told = true;
    }
    if (rc)
        return rc;
    s->in_transaction = true;
    s->t_commit = clock_now() + SINK_SECONDS;
    return ERR_OK;
}

err_code sink_commit(struct sink *s, struct err *e)
{
    if (!s->in_transaction)
        return ERR_OK;
    err_code rc = corpus_commit(s->corpus, e);
    if (rc)
        return rc;
    s->in_transaction = false;
    add(s->sum, &s->uncommitted);
    s->uncommitted = (struct generate_summary){0};
    corpus_give_turn(s->corpus);
    return ERR_OK;
}

err_code sink_tick(struct sink *s, struct err *e)
{
    bool due =
        s->in_transaction && (s->uncommitted.n_made >= SINK_TRACES || clock_now() > s->t_commit);
    return due ? sink_commit(s, e) : ERR_OK;
}

err_code sink_trace(struct sink *s, const struct corpus_trace *t, int64_t *id, struct verdicts *v,
                    bool *added, struct err *e)
{
    err_code rc = sink_begin(s, e);
    if (!rc)
        rc = corpus_add_trace(s->corpus, t, id, added, v, e);
    if (rc || !*added)
        return rc;
    count(&s->uncommitted, v);
    s->uncommitted.n_tokens += t->n_completion_tokens > 0 ? t->n_completion_tokens : 0;
    return ERR_OK;
}
