/* retry: what an ended try means, when to try again, and the heap of asks that wait for it. Times
 * are seconds of any monotonic clock. */
#ifndef DECANT_TEACHER_HTTP_RETRY_H
#define DECANT_TEACHER_HTTP_RETRY_H

#include "core/base/rng.h"
#include "teacher/http/reply.h"

/* How a try ended, as the transfer saw it. */
enum try_break {
    TRY_WHOLE,     /* the body came to its proper end, or reading was stopped on purpose */
    TRY_UNREACHED, /* no connection: name not found, refused, no route, time ran out connecting */
    TRY_BROKEN,    /* connected, then reset, cut, garbled or timed out */
    TRY_REFUSED,   /* will never work: TLS not to be trusted, a redirect, no such protocol */
};

enum try_result {
    TRY_TRACE,     /* an answer */
    TRY_FAILED,    /* this request can't be answered; the endpoint is well */
    TRY_ELSEWHERE, /* not here, that is (never of retry_judge): the ask keeps its tries */
    TRY_AGAIN,     /* costs the ask one of its tries */
    TRY_OVERLOAD,  /* 429, 503, 529: the endpoint turns requests away; the ask keeps its tries */
    TRY_NO_REACH,  /* nobody there; the ask keeps its tries */
    TRY_FATAL,     /* 401, 402, 403, ...: the run must stop; not for a 403 that is of the prompt.
                      (A 429 for want of quota that lasts is made one: endpoint.h) */
};
/* status: of the HTTP response, 0 when there was none; html: its content type says so. v: the
 * reply's view after http_reply_end. */
enum try_result retry_judge(enum try_break how, int status, bool html, const struct reply_view *v);

/* Seconds to wait before try number n_done + 1, n_done >= 1 failed: uniform in
 * [0, min(max, base * 2^(n_done-1))), "full jitter" (M. Brooker, AWS Architecture Blog,
 * "Exponential Backoff and Jitter"). */
double retry_backoff(struct rng *r, int n_done, double base, double max);

/* A response header's time to wait, in seconds from now: "20", "1.5", "6m0s", "120ms", "1h2m", an
 * HTTP date, or a point in time in RFC 3339 or in Unix seconds or milliseconds (unix_now is the
 * same clock's now). Negative: not understood. Never more than a year. */
double retry_seconds(const char *value, int64_t unix_now);

/* A binary heap of pointers by time; zero-initialise. */
struct retry_heap {
    struct retry_item {
        double at;
        uint64_t order; /* first in, first out at one time */
        void *what;
    } * items;
    size_t n, cap;
    uint64_t n_pushed;
};
err_code retry_push(struct retry_heap *h, double at, void *what, struct err *e);
/* The earliest, taken off, if its time has come; else NULL. */
void *retry_pop(struct retry_heap *h, double now);
double retry_next(const struct retry_heap *h); /* its time; INFINITY when empty */
void retry_dispose(struct retry_heap *h);

#endif
