/* Concurrency, load and holding back, against simulated servers: time is a number here. */
#include "teacher/http/endpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_REQUESTS = 4096, MAX_SERVERS = 3 };
static const double step = 0.005;

/* A server that answers after seconds, turns away what is more than capacity, breaks some, and is
 * gone in [gone_from, gone_to). */
struct server {
    double weight, seconds;
    int64_t capacity;
    double p_broken, p_limited;
    double gone_from, gone_to;
    int64_t n_inside, n_sent, n_good, n_refused, n_broken, n_while_gone;
};
struct request {
    int server;
    struct endpoint_ticket sent;
    double t_end;
    enum try_result result;
    bool inside, told;
};
struct world {
    struct server servers[MAX_SERVERS];
    struct endpoint eps[MAX_SERVERS];
    int n;
    int64_t concurrency;
    struct request requests[MAX_REQUESTS];
    int n_requests;
    double now;
    struct rng rng;
};

static struct endpoint_ticket ticket(double t, int64_t level)
{
    return (struct endpoint_ticket){t, level};
}

static void begin(struct world *w, int64_t concurrency)
{
    w->concurrency = concurrency;
    w->now = 1000;
    w->rng = rng_make(7, 7, 7);
    for (int i = 0; i < w->n; i++)
        endpoint_init(&w->eps[i], w->servers[i].weight, concurrency, w->now);
}

static void send_one(struct world *w, int i)
{
    struct server *s = &w->servers[i];
    assert_true(w->n_requests < MAX_REQUESTS);
    struct request *q = &w->requests[w->n_requests++];
    *q = (struct request){.server = i, .t_end = w->now + s->seconds};
    q->sent = endpoint_sent(&w->eps[i], w->now);
    s->n_sent++;
    q->result = TRY_TRACE;
    if (w->now >= s->gone_from && w->now < s->gone_to) {
        q->result = TRY_NO_REACH;
        s->n_while_gone++;
    } else if (s->n_inside >= s->capacity || rng_uniform(&w->rng) < s->p_limited)
        q->result = TRY_OVERLOAD;
    else if (rng_uniform(&w->rng) < s->p_broken)
        q->result = TRY_AGAIN;
    else {
        q->inside = true;
        s->n_inside++;
    }
    if (!q->inside)
        q->t_end = w->now + 2 * step;
    if (q->result != TRY_NO_REACH)
        endpoint_connected(&w->eps[i], w->now);
}

static void end_one(struct world *w, int k)
{
    struct request q = w->requests[k];
    struct server *s = &w->servers[q.server];
    s->n_inside -= q.inside;
    s->n_good += q.result == TRY_TRACE;
    s->n_refused += q.result == TRY_OVERLOAD;
    s->n_broken += q.result == TRY_AGAIN;
    endpoint_ended(&w->eps[q.server], w->now, q.sent, q.result, w->now - q.sent.t);
    w->requests[k] = w->requests[--w->n_requests];
}

static void run(struct world *w, double seconds)
{
    for (double end = w->now + seconds; w->now < end; w->now += step) {
        for (int k = w->n_requests - 1; k >= 0; k--) {
            struct request *q = &w->requests[k];
            if (q->inside && !q->told) {
                endpoint_accepted(&w->eps[q->server], w->now, q->sent);
                q->told = true;
            }
            if (q->inside)
                endpoint_life(&w->eps[q->server], w->now);
            if (q->t_end <= w->now)
                end_one(w, k);
        }
        for (int i = 0; i < w->n; i++)
            endpoint_tick(&w->eps[i], w->now);
        for (int i; w->n_requests < w->concurrency;) {
            i = endpoint_choose(w->eps, w->n, -1, -1, w->now);
            if (i < 0)
                break;
            send_one(w, i);
        }
    }
}

static void forget(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct server *s = &w->servers[i];
        s->n_sent = s->n_good = s->n_refused = s->n_broken = 0;
    }
}

static struct world *new_world(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < MAX_SERVERS; i++)
        w->servers[i] = (struct server){.weight = 1, .seconds = 0.2, .capacity = 1 << 20};
    w->n = 1;
    return w;
}

/* 1,000 in flight is reached within a quarter of a second, but not before a connection stands. */
static void test_ramp(void **state)
{
    (void)state;
    struct world *w = new_world();
    begin(w, 1000);
    for (int i = 0; i < 8; i++) {
        assert_true(endpoint_ready(&w->eps[0], w->now));
        endpoint_sent(&w->eps[0], w->now);
    }
    assert_false(endpoint_ready(&w->eps[0], w->now));
    begin(w, 1000);
    run(w, 0.25);
    assert_int_equal(w->n_requests, 1000);
    forget(w);
    run(w, 4);
    assert_true(w->servers[0].n_good > 0.97 * 1000 * 4 / 0.2 * 0.95);
    free(w);
}

/* A server that bears 50 is found out from 1,000 within seconds and then mostly left in peace. */
/* Requests that share connections wait for new ones by the handful: each has room for many. */
static void test_shared_connections(void **state)
{
    (void)state;
    struct endpoint ep;
    endpoint_init(&ep, 1, 1000, 0);
    endpoint_connected(&ep, 0);
    ep.n_connecting = 200;
    assert_true(endpoint_ready(&ep, 0));
    ep.multiplexed = true;
    assert_false(endpoint_ready(&ep, 0));
    ep.n_connecting = 8;
    assert_false(endpoint_ready(&ep, 0));
    ep.n_connecting = 7;
    assert_true(endpoint_ready(&ep, 0));
}

static void test_finds_the_limit(void **state)
{
    (void)state;
    const int64_t capacities[] = {3, 50, 400};
    for (int k = 0; k < 3; k++) {
        struct world *w = new_world();
        struct server *s = &w->servers[0];
        s->capacity = capacities[k];
        s->seconds = 1;
        begin(w, 1000);
        run(w, 15);
        forget(w);
        run(w, 60);
        double served = (double)s->n_good / (60.0 / s->seconds * (double)s->capacity);
        double refused = (double)s->n_refused / (double)s->n_sent;
        if (served < 0.75 || (refused > 0.35 && s->n_refused > 3 * 60))
            fail_msg("capacity %lld: served %.2f of it, refused %.2f", (long long)s->capacity,
                     served, refused);
        assert_true(w->eps[0].limit < 3 + 1.5 * (double)s->capacity);
        s->capacity = 1 << 20; /* and its recovery is noticed */
        run(w, 180);
        assert_true(w->eps[0].limit > 900);
        free(w);
    }
}

/* One more a window, half when all are turned away. */
static void test_increase_and_decrease(void **state)
{
    (void)state;
    struct endpoint ep;
    double now = 100;
    endpoint_init(&ep, 1, 16, now);
    endpoint_connected(&ep, now);
    for (int k = 0; k < 16; k++)
        endpoint_sent(&ep, now);
    now += 0.3;
    for (int k = 0; k < 16; k++)
        endpoint_ended(&ep, now, ticket(now - 0.3, k), TRY_OVERLOAD, 0);
    assert_true(ep.limit == 8);
    now += 2;
    for (int round = 1; round <= 5; round++) {
        while (endpoint_ready(&ep, now))
            endpoint_sent(&ep, now);
        int64_t n = ep.in_flight;
        assert_true(n == 7 + round || (round == 1 && n == 8));
        now += 1;
        for (int64_t k = 0; k < n; k++) {
            endpoint_accepted(&ep, now, ticket(now - 1, k));
            endpoint_ended(&ep, now, ticket(now - 1, k), TRY_TRACE, 1);
        }
        now += 1;
        endpoint_tick(&ep, now);
        assert_true(ep.limit == 8 + round);
    }
    /* never below one, and one goes out even then */
    for (int k = 0; k < 40; k++) {
        if (endpoint_ready(&ep, now)) {
            endpoint_sent(&ep, now);
            endpoint_ended(&ep, now, ticket(now, 0), TRY_OVERLOAD, 0);
        }
        now += 40;
        endpoint_tick(&ep, now);
    }
    assert_true(ep.limit == 1);
    assert_true(endpoint_ready(&ep, now));
}

/* Faults that come with any load do not starve the run, however small it is. */
static void test_random_faults(void **state)
{
    (void)state;
    const int64_t concurrencies[] = {1, 4, 32, 500};
    for (int k = 0; k < 4; k++) {
        struct world *w = new_world();
        w->servers[0].p_broken = 0.15;
        w->servers[0].p_limited = 0.05;
        begin(w, concurrencies[k]);
        run(w, 5);
        forget(w);
        run(w, 60);
        double all = (double)concurrencies[k] / 0.2 * 60;
        if ((double)w->servers[0].n_good < 0.8 * all)
            fail_msg("concurrency %lld: %lld of %.0f", (long long)concurrencies[k],
                     (long long)w->servers[0].n_good, all);
        assert_false(w->eps[0].down);
        free(w);
    }
}

static void test_weights(void **state)
{
    (void)state;
    for (int64_t concurrency = 1; concurrency <= 64; concurrency *= 8) {
        struct world *w = new_world();
        w->n = 3;
        w->servers[0].weight = 1;
        w->servers[1].weight = 3;
        w->servers[2].weight = 4;
        begin(w, concurrency);
        run(w, 200);
        double all = 0;
        for (int i = 0; i < 3; i++)
            all += (double)w->servers[i].n_good;
        for (int i = 0; i < 3; i++) {
            double got = (double)w->servers[i].n_good / all, want = w->servers[i].weight / 8;
            if (fabs(got - want) > 0.05)
                fail_msg("concurrency %lld: endpoint %d got %.3f of the load, not %.3f",
                         (long long)concurrency, i, got, want);
        }
        free(w);
    }
}

static void test_load_moves_to_the_fast(void **state)
{
    (void)state;
    struct world *w = new_world();
    w->n = 2;
    w->servers[1].seconds = 2; /* ten times as slow */
    begin(w, 100);
    run(w, 30);
    forget(w);
    run(w, 60);
    assert_true(w->eps[1].in_flight < 15 && w->eps[1].in_flight >= 1);
    assert_true((double)w->servers[0].n_good > 0.85 * 100 / 0.2 * 60);
    w->servers[1].seconds = 0.2; /* as fast again: the load comes back */
    run(w, 60);
    assert_true(w->eps[1].in_flight > 35);
    free(w);
}

static void test_load_moves_to_the_well(void **state)
{
    (void)state;
    struct world *w = new_world();
    w->n = 2;
    w->servers[0].p_broken = 0.7;
    begin(w, 100);
    run(w, 20);
    forget(w);
    run(w, 60);
    double sent = (double)(w->servers[0].n_sent + w->servers[1].n_sent);
    /* broken ones end at once, so an even split of places would send most of them there */
    assert_true((double)w->servers[0].n_sent < 0.35 * sent);
    assert_true((double)w->servers[1].n_good > 0.8 * 100 / 0.2 * 60);
    free(w);
}

/* Nobody there: a few probes, not a storm; and back at once when somebody is. */
static void test_down_and_up(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct server *s = &w->servers[0];
    s->gone_from = 1010;
    s->gone_to = 1100;
    begin(w, 200);
    run(w, 11);
    assert_true(w->eps[0].down);
    double lost = endpoint_lost(&w->eps[0], w->now);
    assert_true(lost > 0.5 && lost < 1.1);
    run(w, 84);
    assert_true(w->eps[0].down);
    assert_true(endpoint_lost(&w->eps[0], w->now) > 80);
    /* those that were to go when it went, and a probe at 0.25, 0.5, 1, ... 30 s */
    assert_true(s->n_while_gone < 200 + 20);
    run(w, 31);
    assert_false(w->eps[0].down);
    assert_true(endpoint_lost(&w->eps[0], w->now) == 0);
    forget(w);
    run(w, 5);
    assert_true((double)s->n_good > 0.9 * 200 / 0.2 * 5);
    free(w);
}

/* With a second endpoint the first one's absence costs almost nothing. */
static void test_elsewhere(void **state)
{
    (void)state;
    struct world *w = new_world();
    w->n = 2;
    w->servers[0].gone_from = 1005;
    w->servers[0].gone_to = 1e9;
    begin(w, 100);
    run(w, 10);
    forget(w);
    run(w, 20);
    assert_true((double)w->servers[1].n_good > 0.9 * 100 / 0.2 * 20);
    assert_true(w->servers[0].n_sent <= 5);
    assert_int_equal(endpoint_choose(w->eps, 2, 1, -1, w->now), -1);
    free(w);
}

static void test_avoid(void **state)
{
    (void)state;
    struct endpoint eps[2];
    double now = 10;
    endpoint_init(&eps[0], 100, 10, now);
    endpoint_init(&eps[1], 1, 10, now);
    assert_int_equal(endpoint_choose(eps, 2, -1, -1, now), 0);
    endpoint_sent(&eps[1], now);
    assert_int_equal(endpoint_choose(eps, 2, -1, -1, now), 0);
    assert_int_equal(endpoint_choose(eps, 2, -1, 0, now), 1); /* rather another */
    assert_int_equal(endpoint_choose(eps, 2, 0, 0, now), 1);
    eps[1].off = true;
    assert_int_equal(endpoint_choose(eps, 2, -1, 0, now), 0); /* no other */
    assert_int_equal(endpoint_choose(eps, 2, 0, 0, now), -1);
    assert_true(isinf(endpoint_lost(&eps[1], now)));
    assert_true(isinf(endpoint_wake(&eps[1], now)));
}

static void test_retry_after(void **state)
{
    (void)state;
    struct endpoint ep;
    double now = 50;
    endpoint_init(&ep, 1, 100, now);
    endpoint_connected(&ep, now);
    endpoint_sent(&ep, 50);
    endpoint_sent(&ep, 51);
    endpoint_hold(&ep, 72, ticket(50, 0)); /* of the first */
    assert_false(endpoint_ready(&ep, 52));
    assert_true(endpoint_wake(&ep, 52) == 72);
    assert_true(endpoint_lost(&ep, 52) == 20);
    assert_true(endpoint_ready(&ep, 72));
    /* one that was sent earlier proves nothing, one that was sent later does */
    endpoint_accepted(&ep, 53, ticket(49, 0));
    assert_false(endpoint_ready(&ep, 53));
    endpoint_accepted(&ep, 53, ticket(51, 0));
    assert_true(endpoint_ready(&ep, 53));
    /* also when it was accepted before */
    endpoint_hold(&ep, 90, ticket(50.5, 0));
    assert_true(endpoint_ready(&ep, 54));
    endpoint_hold(&ep, 90, ticket(51.5, 0));
    assert_false(endpoint_ready(&ep, 54));
}

static void test_quota(void **state)
{
    (void)state;
    struct endpoint ep;
    endpoint_init(&ep, 1, 100, 10);
    endpoint_connected(&ep, 10);
    endpoint_set_quota(&ep, QUOTA_REQUESTS, 2, 70);
    endpoint_sent(&ep, 11);
    assert_true(endpoint_ready(&ep, 11));
    endpoint_sent(&ep, 11);
    assert_false(endpoint_ready(&ep, 12));
    assert_true(endpoint_wake(&ep, 12) == 70);
    assert_true(endpoint_ready(&ep, 70));
    endpoint_set_quota(&ep, QUOTA_TOKENS, 0, 99);
    assert_false(endpoint_ready(&ep, 71));
    assert_true(endpoint_lost(&ep, 71) == 28);
    assert_true(endpoint_ready(&ep, 99));
}

/* For want of quota: counted are refusals one after the other, not those of one burst, and any
 * answer to what was sent since the first begins anew. */
static void test_no_quota(void **state)
{
    (void)state;
    struct endpoint ep;
    endpoint_init(&ep, 1, 100, 10);
    endpoint_connected(&ep, 10);
    for (int i = 0; i < 100; i++) /* a burst */
        assert_false(endpoint_no_quota(&ep, 11 + i, ticket(10, i), true, 60));
    for (int i = 0; i < 3; i++)
        assert_false(endpoint_no_quota(&ep, 120 + i, ticket(119.5 + i, 0), true, 60));
    assert_false(endpoint_no_quota(&ep, 123, ticket(10.5, 0), false, 60)); /* sent before */
    assert_true(endpoint_no_quota(&ep, 124, ticket(123.5, 0), true, 60));
    endpoint_accepted(&ep, 130, ticket(129, 0));
    for (int i = 0; i < 60; i++)
        assert_false(endpoint_no_quota(&ep, 140 + i, ticket(139.5 + i, 0), true, 60));
    assert_true(endpoint_no_quota(&ep, 200, ticket(199.5, 0), true, 60));
    assert_false(endpoint_no_quota(&ep, 201, ticket(200.5, 0), false, 60));
    for (int i = 0; i < 20; i++) { /* answers that were begun before still come in */
        assert_false(endpoint_no_quota(&ep, 300 + 10 * i, ticket(299.5 + 10 * i, 0), true, 60));
        endpoint_life(&ep, 305 + 10 * i);
    }
    assert_true(endpoint_no_quota(&ep, 555, ticket(554.5, 0), true, 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ramp),
        cmocka_unit_test(test_shared_connections),
        cmocka_unit_test(test_finds_the_limit),
        cmocka_unit_test(test_increase_and_decrease),
        cmocka_unit_test(test_random_faults),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_load_moves_to_the_fast),
        cmocka_unit_test(test_load_moves_to_the_well),
        cmocka_unit_test(test_down_and_up),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_avoid),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_no_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
