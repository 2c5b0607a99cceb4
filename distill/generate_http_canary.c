#include "distill/generate_http.h"

#include <stdio.h>

/* Once an endpoint is fit, the others have so long to show it before the run begins; once all are
 * found unfit, what is on its way has so long to end. */
#define CANARY_PATIENCE_SECONDS 60.0

err_code run_canary_open(struct http_run *r, struct err *e)
{
    r->running = !r->job.o->n_canary;
    if (r->running)
        return ERR_OK;
    r->canaries = mem_new((size_t)r->n_endpoints, sizeof *r->canaries, e);
    if (!r->canaries)
        return ERR_NOMEM;
    for (int i = 0; i < r->n_endpoints; i++) {
        r->canaries[i].url = r->job.o->endpoints[i].url;
        r->canaries[i].want_logprobs = r->job.o->n_logprobs > 0;
    }
    return ERR_OK;
}

void run_canary_close(struct http_run *r)
{
    for (int i = 0; r->canaries && i < r->n_endpoints; i++)
        canary_dispose(&r->canaries[i]);
    mem_free(r->canaries);
    r->canaries = NULL;
}

/* All probes and repeats at once, each probe another prompt. */
static err_code ask_probes(struct http_run *r, struct err *e)
{
    err_code rc = ERR_OK;
    for (int64_t k = 0; k < r->job.o->n_canary; k++)
        for (int i = 0; i < r->n_endpoints; i++) {
            struct flight *f;
            rc = run_work(r, ASK_PROBE, i, &f, e);
            if (rc || !f) /* less is missing than would be probed, or affordable */
                return rc;
            missing_later(r->job.missing); /* one odd prompt should not decide */
            f->first_probe = !r->canaries[i].n_asked++;
            if (f->first_probe && ((rc = run_repeat(r, ASK_REPEAT_SAME, f, e)) ||
                                   (rc = run_repeat(r, ASK_REPEAT, f, e))))
                return rc;
        }
    return rc;
}

static err_code none_fit(const struct http_run *r, struct err *e)
{
    bool resumable = false;
    for (int i = 0; i < r->n_endpoints; i++)
        resumable = resumable || r->canaries[i].n_resumable;
    char why[700];
    canary_report(&r->canaries[0], (double)r->job.o->sampling.temperature, why, sizeof why);
    return err_set(e, resumable ? ERR_STOPPED : ERR_NETWORK, "no endpoint passed the canary%s%s",
                   r->n_endpoints > 1 ? "; the first: " : ": ", why);
}

/* Has every endpoint been judged, or waited for long enough? */
static err_code decide(struct http_run *r, struct err *e)
{
    int n_open = 0, n_fit = 0, n_unasked = 0;
    for (int i = 0; i < r->n_endpoints; i++) {
        enum canary_state s = canary_judge(&r->canaries[i]);
        n_unasked += !r->canaries[i].n_asked;
        n_open += s == CANARY_OPEN && r->canaries[i].n_asked;
        n_fit += s == CANARY_FIT;
    }
    bool none = !n_fit && !n_unasked && !n_open;
    if ((n_fit || none) && !r->t_canary)
        r->t_canary = clock_now() + CANARY_PATIENCE_SECONDS;
    if (n_open && (!n_fit || clock_now() < r->t_canary))
        return ERR_OK;
    if (none && r->n_flying && clock_now() < r->t_canary)
        return ERR_OK; /* what is on its way was asked for, and costs */
    r->running = true;
    return n_fit || n_unasked ? ERR_OK : none_fit(r, e);
}

err_code run_canary_fill(struct http_run *r, struct err *e)
{
    if (!r->canaries[0].n_asked && !r->at_end) {
        err_code rc = ask_probes(r, e);
        if (rc || r->stop)
            return rc;
        if (r->n_flying)
            log_info("trying %d endpoint%s with up to %d prompt%s each%s", r->n_endpoints,
                     r->n_endpoints > 1 ? "s" : "", r->canaries[0].n_asked,
                     r->canaries[0].n_asked > 1 ? "s" : "",
                     r->has_held ? ": the budget has no room for more" : "");
    }
    return decide(r, e);
}

/* What was found is told when all is known; that an endpoint is unfit, at once. */
static void tell(struct http_run *r, int i)
{
    struct canary *c = &r->canaries[i];
    bool unfit = canary_judge(c) == CANARY_UNFIT;
    bool whole = c->n_ended == c->n_asked && c->n_repeats_ended == c->n_repeats;
    if (c->told || !(unfit || whole))
        return;
    char line[700];
    c->told = true;
    canary_report(c, (double)r->job.o->sampling.temperature, line, sizeof line);
    if (!unfit)
        log_info("%s", line);
    else {
        http_teacher_leave_out(r->teacher, i);
        r->told_off[i] = true;
        if (r->n_endpoints > 1)
            log_warn("%s", line);
    }
}

err_code run_canary_answer(struct http_run *r, const struct flight *f, const struct http_answer *a,
                           bool thinks, struct err *e)
{
    struct canary *c = &r->canaries[f->endpoint];
    if (r->abandoning || (r->stop && a->outcome == HTTP_GAVE_UP))
        return ERR_OK;
    err_code rc = f->kind == ASK_PROBE ? canary_note(c, a, thinks, f->first_probe, e)
                                       : canary_repeat(c, a, f->kind == ASK_REPEAT_SAME, e);
    tell(r, f->endpoint);
    return rc;
}
