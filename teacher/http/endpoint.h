/* endpoint: how much one teacher endpoint is given to do, and which one is given the next request.
 * Arithmetic over events, with the time as an argument: no sockets, no clock, no allocation.
 *
 *     endpoint_init(&ep, weight, most, now);
 *     i = endpoint_choose(eps, n, avoid, now);      // -1: none may take a request now
 *     ticket = endpoint_sent(&eps[i], now);
 *     endpoint_accepted(&eps[i], now, ticket);      // 2xx, and its body begins with no error
 *     endpoint_ended(&eps[i], now, ticket, result, seconds);
 *     endpoint_tick(&eps[i], now);                  // now and then
 *     sleep until the earliest endpoint_wake
 *
 * Concurrency. Each endpoint has a limit of requests in flight. It begins at 256 (or the most) and
 * doubles every 20 ms until something goes wrong or the most is reached. (Until a first connection
 * stands it is 8: all would ask for the name and the same handshake. Where requests share
 * connections, as with HTTP/2, no more than 8 ever wait for new ones, which have room for many.) A
 * request that is turned away (429, 503, 529) where as many were never let in shows the limit: it
 * falls to what is in flight, by half at most, and does not rise from near there for a second, then
 * two, up to 30. Other failures count in windows of 0.25 to 1 s: minus half the share of those
 * turned away or, where three tries in four fail, of those that failed; and + 1 (or 1/32) where the
 * limit was reached. So half goes when all is turned away, and little when little is (the rule of
 * DCTCP: Alizadeh et al., SIGCOMM 2010): faults that have nothing to do with load do not starve the
 * run.
 *
 * Load. The next request goes where in-flight divided by (weight * speed * success) is least;
 * speed is the fastest endpoint's mean seconds a trace over this one's, success the share of tries
 * that did not fail, both smoothed. So load moves to the fast and the well, and a trickle stays
 * with the others, that shows when they are better.
 *
 * Holding back. Retry-After (without it, a moment that doubles up to 1.6 s) holds the whole
 * endpoint after 429, 503, 529, until its time has come or a request that was sent after the
 * refused one is accepted (then the refusal was that request's alone). Rate limit headers with
 * nothing left hold it until their reset. A refusal for want of quota (OpenAI's insufficient_quota,
 * where no Retry-After says for how long) is such a one at first: others call the limits of a
 * minute the same. Quota is gone when requests get nothing else for more than a minute, five in a
 * row at least. After 8 tries in a row without a trace (3 when nobody could be reached) and no sign
 * of life for a second it is down: one request at a time probes it, at growing intervals up to 30
 * s, until one is accepted. */
#ifndef DECANT_TEACHER_HTTP_ENDPOINT_H
#define DECANT_TEACHER_HTTP_ENDPOINT_H

#include "teacher/http/retry.h"

/* What a rate limit header said is left until its reset. */
struct endpoint_quota {
    int64_t left;
    double reset_at; /* 0: nothing known */
};
enum endpoint_quota_kind { QUOTA_REQUESTS, QUOTA_TOKENS, QUOTA_KINDS };

/* When a request was sent, and how many were in flight before it. */
struct endpoint_ticket {
    double t;
    int64_t level;
};

struct endpoint {
    double weight;
    int64_t most;      /* never more in flight */
    int64_t in_flight; /* now */
    bool off;          /* gets nothing any more; set by the owner */

    double limit;
    bool ramping, connected;
    bool multiplexed;     /* requests share connections, or may; set by the owner, as is the next */
    int64_t n_connecting; /* in flight, but not on a connection that stands */
    double t_ramp, t_decrease;
    double ceiling, t_ceiling, patience; /* where it was too much last, when, and for how long not
                                            to go there again */
    struct endpoint_ticket proven;       /* the highest level that was let in lately, and when */
    struct {                             /* the window: outcomes since t0 */
        double t0;
        int64_t n, n_overload, n_failed, peak; /* peak: of in_flight */
        bool full;                             /* the limit was reached */
    } window;

    double mean_seconds, failing; /* smoothed */
    int64_t n_traces, n_failures, n_rate_limited;
    double turn; /* stride scheduling between equals: least is next */

    double hold_until, t_held; /* Retry-After; when the refused request was sent */
    double t_accepted;         /* when the last of the accepted ones was sent */
    double t_refused;          /* the last 429 and the like */
    int n_refusals;            /* in a row, of requests that were sent one after the other's end */
    struct endpoint_quota quota[QUOTA_KINDS];

    int n_no_quota; /* refused for want of quota in a row, each sent after the one before */
    double t_no_quota, t_last_no_quota; /* the first and the last of them */

    bool down;
    int n_streak, n_unreached; /* tries in a row without a trace; without a connection */
    int n_probes;
    double t_life;       /* last byte of an answer */
    double t_down, t_up; /* when it went down and came up, last */
    double next_probe;
};

void endpoint_init(struct endpoint *ep, double weight, int64_t most, double now);
/* May it be given a request now? endpoint_open: the same, but down or not, for a request that is
 * meant for this endpoint alone. */
bool endpoint_ready(const struct endpoint *ep, double now);
bool endpoint_open(const struct endpoint *ep, double now);
/* The one that is to get the next request: never `not` (-1: any may), not `avoid` if there is
 * another. -1: none is ready. */
int endpoint_choose(struct endpoint *eps, int n, int not, int avoid, double now);
/* When it may become ready by time alone; INFINITY: by time never. */
double endpoint_wake(const struct endpoint *ep, double now);

struct endpoint_ticket endpoint_sent(struct endpoint *ep, double now);
void endpoint_connected(struct endpoint *ep, double now);
void endpoint_accepted(struct endpoint *ep, double now, struct endpoint_ticket sent);
void endpoint_life(struct endpoint *ep, double now);
/* A request has ended so; seconds: how long a trace took. */
void endpoint_ended(struct endpoint *ep, double now, struct endpoint_ticket sent,
                    enum try_result result, double seconds);
/* To be told before endpoint_ended of each request whether it was refused for want of quota. True:
 * so were all for at least so many seconds, and enough of them. */
bool endpoint_no_quota(struct endpoint *ep, double now, struct endpoint_ticket sent, bool refused,
                       double seconds);
/* A request that ended by the client's own will: no judgement. */
void endpoint_dropped(struct endpoint *ep);
/* Retry-After of a response. */
void endpoint_hold(struct endpoint *ep, double until, struct endpoint_ticket sent);
void endpoint_set_quota(struct endpoint *ep, enum endpoint_quota_kind kind, int64_t left,
                        double reset_at);
void endpoint_tick(struct endpoint *ep, double now);

/* Seconds that it has been, or says it will be, of no use: INFINITY when off, 0 when well. */
double endpoint_lost(const struct endpoint *ep, double now);

#endif
