/* Inside generate-traces over HTTP: one run, and who does what in it.
 *   generate_http.c          opens everything, asks, waits, knows when it is over
 *   generate_http_answer.c   what becomes of an answer: stored, tried again, noted as a failure
 *   generate_http_canary.c   the probes before the run (distill/canary.h judges them)
 *   generate_http_tell.c     the progress line, the summary's words */
#ifndef DECANT_DISTILL_GENERATE_HTTP_H
#define DECANT_DISTILL_GENERATE_HTTP_H

#include "core/base/log.h"
#include "core/base/rng.h"
#include "distill/budget.h"
#include "distill/canary.h"
#include "distill/generate_job.h"

enum ask_kind {
    ASK_WORK,
    ASK_PROBE, /* work, pinned to an endpoint by the canary */
    ASK_REPEAT_SAME,
    ASK_REPEAT, /* the canary's short repeats: the same seed, another one */
};

/* What came of a sample's earlier asks. */
struct earlier {
    int n_tries;
    int avoid; /* as http_ask's: where the last one failed */
};

/* One ask on its way; its place in http_run.flights is the ask's id. */
struct flight {
    enum ask_kind kind;
    int endpoint; /* pinned to; -1: any */
    size_t i_prompt;
    int64_t prompt_id, sample_index;
    uint64_t seed;
    double reserved; /* of the budget */
    struct earlier earlier;
    int max_tries; /* of this ask */
    bool first_probe;
    int32_t next_free;
};

/* A sample that is to be tried again, not before its time. */
struct again {
    size_t i_prompt;
    int64_t prompt_id, sample_index;
    struct earlier earlier;
    double at;
};

enum stop_reason {
    STOP_NOT,
    STOP_REQUESTED, /* Ctrl-C */
    STOP_FATAL,     /* 401, 402, 403, a quota used up (429), or no endpoint left */
    STOP_BUDGET,
    STOP_STORM, /* nothing but failures */
};

/* After so many refused prompts each refusal counts, be it the same prompt's or not. */
enum { STORM_PROMPTS = 64 };

struct http_run {
    struct generate_job job;
    struct http_teacher *teacher;
    char *spill_dir; /* the corpus's */
    int n_endpoints;
    struct prompt_form form;
    struct buf text, extra;
    struct flight *flights;
    int64_t n_flights;
    int32_t free;     /* head of the list of free flights; -1: none */
    int64_t n_flying; /* asks */
    struct again *again;
    size_t n_again, cap_again;
    struct rng jitter;

    struct budget budget;
    double worst; /* of the last ask that was weighed against it */
    bool cost_known;
    double cost;                /* of this run */
    int64_t n_unpriced;         /* answers whose cost is not known */
    int64_t n_no_logprobs;      /* answers without them, though they were asked for */
    struct missing_sample held; /* taken, but the budget has no room for it yet */
    bool has_held;
    struct earlier held_earlier;
    bool at_end; /* nothing is missing any more but what is on its way */

    bool running; /* the canary is over */
    struct canary *canaries;
    double
        t_canary; /* when the run begins, whatever the canary still waits for; 0: not yet known */

    enum stop_reason stop;
    char stop_message[600], last_failure[600];
    int64_t n_in_a_row;            /* failures since the last trace; a prompt's refusals are one */
    size_t refused[STORM_PROMPTS]; /* prompts that were refused since then */
    int n_refused;
    bool told_stop, abandoning;
    double t_abandon;

    struct progress progress;
    double t0, t_counted, t_answer;
    struct missing_counts counts; /* of t_counted */
    bool *told_off;               /* endpoints whose end was announced */
    char (*served)[128];          /* the model that each endpoint's first answer named, or "" */
    bool told_models;
};

/* Asks for the next sample, of an endpoint or (-1) any. *out NULL: there is none now, or the budget
 * has no room. A flight must be free. */
err_code run_work(struct http_run *r, enum ask_kind kind, int endpoint, struct flight **out,
                  struct err *e);
/* Repeats what was just asked (r->text), in short. Left out when the budget has no room. */
err_code run_repeat(struct http_run *r, enum ask_kind kind, const struct flight *of, struct err *e);
void run_stop(struct http_run *r, enum stop_reason why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
err_code run_again(struct http_run *r, const struct flight *f, struct earlier earlier, double at,
                   struct err *e);
err_code run_answer(struct http_run *r, const struct http_answer *a, struct err *e);

err_code run_canary_open(struct http_run *r, struct err *e);
/* Asks the probes; afterwards tells whether the run may begin (r->running). No endpoint fit:
 * ERR_NETWORK, or ERR_STOPPED where one has no money, a wrong key, or too much to do. */
err_code run_canary_fill(struct http_run *r, struct err *e);
err_code run_canary_answer(struct http_run *r, const struct flight *f, const struct http_answer *a,
                           bool thinks, struct err *e);
void run_canary_close(struct http_run *r);

void tell_begin(struct http_run *r);
void tell_progress(struct http_run *r);
/* Warns, once, when a trace tells that the endpoints do not all serve one model; else, once for
 * each endpoint, when it does not serve the one that --teacher-model asks for. */
void tell_model(struct http_run *r, const struct http_answer *a);
void tell_end(struct http_run *r);

#endif
