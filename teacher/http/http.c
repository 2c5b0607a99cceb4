#include "teacher/http/client.h"
#include "core/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { N_EVENTS = 256 };
static const double drain_seconds = 0.2;
static const double linger_seconds = 1; /* after [DONE], for the connection's proper end */

/* ---- libcurl's wishes ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    struct lane *l = user;
    struct http_teacher *t = l->t;
    (void)easy;
    struct epoll_event ev = {.data.u64 = (uint64_t)(l - t->lanes) << 32 | (uint32_t)fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(t->epoll, EPOLL_CTL_DEL, fd, &ev); /* it may be closed already */
        return 0;
    }
    ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    int rc = epoll_ctl(t->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    if (rc && errno == ENOENT)
        rc = epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev);
    else if (rc && errno == EEXIST)
        rc = epoll_ctl(t->epoll, EPOLL_CTL_MOD, fd, &ev);
    if (rc)
        t->rc = err_errno(&t->e, "cannot watch", "a connection");
    if (!known)
        curl_multi_assign(l->multi, fd, l);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *user)
{
    struct lane *l = user;
    (void)multi;
    l->due = ms < 0 ? INFINITY : clock_now() + (double)ms * 1e-3;
    return 0;
}

/* ---- open and close ---- */

static err_code open_lanes(struct http_teacher *t, struct err *e)
{
    int64_t n = (t->o.concurrency + LANE_TRANSFERS - 1) / LANE_TRANSFERS;
    t->lanes = mem_new((size_t)n, sizeof *t->lanes, e);
    if (!t->lanes)
        return ERR_NOMEM;
    t->share = curl_share_init();
    if (!t->share || curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK)
        return err_set(e, ERR_NOMEM, "no memory for %lld requests", (long long)t->o.concurrency);
    for (; t->n_lanes < n; t->n_lanes++) {
        CURLM *multi = curl_multi_init();
        if (!multi)
            return err_set(e, ERR_NOMEM, "no memory for %lld requests",
                           (long long)t->o.concurrency);
        struct lane *l = &t->lanes[t->n_lanes];
        *l = (struct lane){.t = t, .multi = multi, .due = INFINITY};
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, l);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, l);
        int64_t n_left = t->o.concurrency - t->n_lanes * LANE_TRANSFERS;
        /* idle ones of other endpoints are closed rather than kept beside */
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                          (long)(n_left < LANE_TRANSFERS ? n_left : LANE_TRANSFERS));
        curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
        curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)LANE_TRANSFERS);
    }
    return ERR_OK;
}

err_code http_teacher_open(const struct http_options *o, struct http_teacher **out, struct err *e)
{
    *out = NULL;
    struct http_teacher *t = mem_new(1, sizeof *t, e);
    if (!t)
        return ERR_NOMEM;
    t->epoll = -1;
    t->now = clock_now();
    t->rng = rng_make(o->seed, 0x68747470, 0);
    err_code rc = client_setup(t, o, e);
    if (!rc && curl_global_init(CURL_GLOBAL_DEFAULT))
        rc = err_set(e, ERR_NOMEM, "libcurl can't be started");
    if (!rc) {
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        t->busy = mem_new((size_t)o->concurrency, sizeof(void *), e);
        if (t->epoll < 0 || !t->busy)
            rc = err_set(e, ERR_NOMEM, "no memory for %lld requests", (long long)o->concurrency);
    }
    if (!rc)
        rc = open_lanes(t, e);
    if (rc) {
        http_teacher_close(t);
        return rc;
    }
    *out = t;
    return ERR_OK;
}

void http_teacher_close(struct http_teacher *t)
{
    if (!t)
        return;
    while (t->n_busy > 0) {
        struct ask *a = t->busy[0]->ask;
        transfer_release(t, t->busy[0]);
        ask_free(a);
    }
    for (struct transfer *x; (x = t->free_transfers);) {
        t->free_transfers = x->next;
        transfer_free(x);
    }
    for (int64_t i = 0; i < t->n_lanes; i++)
        curl_multi_cleanup(t->lanes[i].multi);
    if (t->share)
        curl_share_cleanup(t->share);
    mem_free(t->lanes);
    if (t->epoll >= 0)
        close(t->epoll);
    for (struct ask *a; (a = retry_pop(&t->later, INFINITY));)
        ask_free(a);
    retry_dispose(&t->later);
    asks_free(&t->ready);
    asks_free(&t->done);
    asks_free(&t->free_asks);
    if (t->handed)
        ask_free(t->handed);
    for (size_t i = 0; i < t->n_free_replies; i++)
        http_reply_free(t->free_replies[i]);
    mem_free(t->free_replies);
    mem_free(t->busy);
    for (int i = 0; t->sites && i < t->n; i++)
        asks_free(&t->sites[i].pinned);
    client_dispose(t);
    mem_free(t);
}

/* ---- the loop ---- */

static err_code read_results(struct lane *l, struct err *e)
{
    struct http_teacher *t = l->t;
    int n_left;
    err_code rc = ERR_OK;
    for (CURLMsg *m; !rc && (m = curl_multi_info_read(l->multi, &n_left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        char *private = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *x = (struct transfer *)private;
        enum try_break how = x->ours || x->t_complete > 0 ? TRY_WHOLE : transfer_break(code);
        if (code == CURLE_OUT_OF_MEMORY)
            rc = err_set(e, ERR_NOMEM, "no memory for a request");
        else
            rc = ask_ended(t, x, how, code, NULL, e);
    }
    return rc;
}

/* What took too long. All transfers are looked at, but only now and then. */
static err_code sweep(struct http_teacher *t, struct err *e)
{
    const struct http_options *o = &t->o;
    err_code rc = ERR_OK;
    char why[80];
    /* Nobody looked when it was due: this process was stopped, or slower than its teachers. What
     * waits in its sockets did come in time. */
    bool was_away = t->now - t->next_sweep > o->idle_seconds / 2;
    for (int64_t i = t->n_busy - 1; !rc && i >= 0; i--) {
        struct transfer *x = t->busy[i];
        if (was_away)
            x->t_last = t->now;
        if (x->t_complete > 0 && t->now - x->t_complete > linger_seconds) {
            rc = ask_ended(t, x, TRY_WHOLE, CURLE_OK, NULL, e);
        } else if (t->now - x->t_last > o->idle_seconds) {
            snprintf(why, sizeof why, "no byte came for %g s", o->idle_seconds);
            rc = ask_ended(t, x, TRY_BROKEN, CURLE_OPERATION_TIMEDOUT, why, e);
        } else if (t->now - x->sent.t > o->total_seconds) {
            snprintf(why, sizeof why, "not at its end after %g s", o->total_seconds);
            rc = ask_ended(t, x, TRY_BROKEN, CURLE_OPERATION_TIMEDOUT, why, e);
        }
    }
    double least = fmin(fmin(o->idle_seconds, o->total_seconds) / 10, linger_seconds / 2);
    t->next_sweep = t->now + fmax(0.01, least);
    return rc;
}

static double next_event(const struct http_teacher *t, double end)
{
    double at = fmin(end, retry_next(&t->later));
    for (int64_t i = 0; i < t->n_lanes; i++)
        at = fmin(at, t->lanes[i].due);
    if (t->n_busy > 0)
        at = fmin(at, t->next_sweep);
    if (asks_waiting(t) > 0 && t->n_busy < t->o.concurrency) {
        at = fmin(at, t->now + 0.25); /* limits grow with time */
        for (int i = 0; i < t->n; i++)
            at = fmin(at, endpoint_wake(&t->endpoints[i], t->now));
    }
    return at;
}

/* Lets libcurl do what its timers call for (also: begin what was added). */
static err_code fire_timers(struct http_teacher *t, struct err *e)
{
    int running;
    err_code rc = ERR_OK;
    for (int64_t i = 0; !rc && i < t->n_lanes; i++) {
        struct lane *l = &t->lanes[i];
        if (l->due > t->now)
            continue;
        l->due = INFINITY;
        curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        rc = read_results(l, e);
    }
    return rc;
}

/* Waits until at, and lets libcurl do what the sockets call for. */
static err_code pump(struct http_teacher *t, double at, int *n_events, struct err *e)
{
    struct epoll_event events[N_EVENTS];
    int running;
    double wait = fmin(fmax(0, at - t->now), 60);
    *n_events = epoll_wait(t->epoll, events, N_EVENTS, (int)ceil(wait * 1e3));
    if (*n_events < 0 && errno != EINTR)
        return err_errno(e, "cannot wait for", "connections");
    t->now = clock_now();
    err_code rc = ERR_OK;
    for (int i = 0; !rc && i < *n_events; i++) {
        struct lane *l = &t->lanes[events[i].data.u64 >> 32];
        unsigned ev = events[i].events;
        int mask = (ev & EPOLLIN ? CURL_CSELECT_IN : 0) | (ev & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (ev & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(l->multi, (curl_socket_t)(uint32_t)events[i].data.u64, mask,
                                 &running);
        rc = read_results(l, e);
    }
    if (!rc && t->rc) {
        if (e)
            *e = t->e;
        rc = t->rc;
    }
    return rc;
}

static err_code turn(struct http_teacher *t, double end, int *n_events, struct err *e)
{
    err_code rc = asks_dispatch(t, e);
    if (!rc)
        rc = fire_timers(t, e);
    if (!rc)
        rc = pump(t, t->done.n > 0 ? t->now : next_event(t, end), n_events, e);
    if (rc || t->n_busy == 0 || t->now < t->next_sweep)
        return rc;
    /* First all is read that was there: epoll tells of each socket in turn. */
    if (*n_events == N_EVENTS && t->n_full++ <= t->n_busy / N_EVENTS)
        return ERR_OK;
    t->n_full = 0;
    return sweep(t, e);
}

err_code http_teacher_poll(struct http_teacher *t, int timeout_ms, struct err *e)
{
    t->now = clock_now();
    double end = t->now + fmax(0, timeout_ms) * 1e-3;
    int n_events = 0;
    err_code rc;
    do {
        rc = turn(t, end, &n_events, e);
        if (n_events < 0)
            break; /* a signal: the caller may want to know */
    } while (!rc && t->done.n == 0 && t->now < end);
    if (!rc)
        rc = asks_dispatch(t, e);
    return rc;
}

void http_teacher_finish(struct http_teacher *t)
{
    t->finishing = true;
    asks_end_waiting(t, HTTP_GAVE_UP, "not sent any more");
}

void http_teacher_abandon(struct http_teacher *t)
{
    int n_events = 1;
    t->now = clock_now();
    /* What has come already was paid for, and counts. */
    for (double end = t->now + drain_seconds; n_events > 0 && t->now < end;)
        if (fire_timers(t, NULL) || pump(t, t->now, &n_events, NULL))
            break;
    for (int64_t i = t->n_busy - 1; i >= 0; i--) {
        struct transfer *x = t->busy[i];
        if (x->t_complete > 0)
            ask_ended(t, x, TRY_WHOLE, CURLE_OK, NULL, NULL);
        else
            ask_abandon(t, x);
    }
    asks_end_waiting(t, HTTP_GAVE_UP, "abandoned");
}

/* ---- endpoints ---- */

int http_teacher_n_endpoints(const struct http_teacher *t)
{
    return t->n;
}

void http_teacher_endpoint(const struct http_teacher *t, int i, struct http_endpoint_stats *s)
{
    const struct endpoint *ep = &t->endpoints[i];
    const struct site *site = &t->sites[i];
    *s = (struct http_endpoint_stats){.url = site->url,
                                      .n_in_flight = ep->in_flight,
                                      .limit = (int64_t)ep->limit,
                                      .n_traces = ep->n_traces,
                                      .n_failures = ep->n_failures,
                                      .n_rate_limited = ep->n_rate_limited,
                                      .n_completion_tokens = site->n_completion_tokens,
                                      .seconds = site->seconds,
                                      .last_message = site->last_message,
                                      .off = ep->off};
}

void http_teacher_leave_out(struct http_teacher *t, int i)
{
    t->endpoints[i].off = true;
    if (!t->sites[i].last_message[0])
        snprintf(t->sites[i].last_message, MESSAGE_BYTES, "%s: left out", t->sites[i].url);
}
