#include "teacher/http/endpoint.h"

#include <math.h>
#include <string.h>

static const double first_limit = 256, ramp_seconds = 0.02, unconnected_limit = 8;
static const double window_min = 0.25, window_max = 1;
static const int64_t window_outcomes = 8;
static const int down_streak = 8, down_unreached = 3;
static const double down_silence = 1, probe_first = 0.25, probe_max = 30, flap_seconds = 30;
static const double hold_first = 0.05, hold_doublings = 5;
static const double proven_seconds = 10;
static const int proven_refusals = 3;
static const double patience_first = 1, patience_max = 30;
static const int no_quota_refusals = 5;
static const double least_share = 0.05;

void endpoint_init(struct endpoint *ep, double weight, int64_t most, double now)
{
    memset(ep, 0, sizeof *ep);
    ep->weight = weight;
    ep->most = most;
    ep->limit = fmin((double)most, first_limit);
    ep->ramping = true;
    ep->t_ramp = ep->window.t0 = ep->t_life = now;
}

static double limit_now(const struct endpoint *ep)
{
    return ep->connected ? ep->limit : fmin(ep->limit, unconnected_limit);
}

static bool quota_spent(const struct endpoint_quota *q, double now)
{
    return q->reset_at > now && q->left <= 0;
}

bool endpoint_open(const struct endpoint *ep, double now)
{
    if (ep->off || ep->hold_until > now ||
        (ep->multiplexed && (double)ep->n_connecting >= unconnected_limit))
        return false;
    for (int i = 0; i < QUOTA_KINDS; i++)
        if (quota_spent(&ep->quota[i], now))
            return false;
    return ep->in_flight < ep->most && (double)ep->in_flight + 1 <= fmax(1, limit_now(ep));
}

bool endpoint_ready(const struct endpoint *ep, double now)
{
    return endpoint_open(ep, now) && !(ep->down && ep->next_probe > now);
}

double endpoint_wake(const struct endpoint *ep, double now)
{
    if (ep->off)
        return INFINITY;
    double at = ep->hold_until;
    if (ep->down)
        at = fmax(at, ep->next_probe);
    for (int i = 0; i < QUOTA_KINDS; i++)
        if (quota_spent(&ep->quota[i], now))
            at = fmax(at, ep->quota[i].reset_at);
    if (at > now)
        return at;
    if (ep->ramping && ep->connected && ep->limit < (double)ep->most)
        return ep->t_ramp + ramp_seconds;
    return INFINITY; /* ready, or waiting for a request to end */
}

static double share(const struct endpoint *ep, double fastest)
{
    double s = ep->weight * fmax(least_share, 1 - ep->failing);
    if (ep->n_traces >= 4 && ep->mean_seconds > 0)
        s *= fmax(least_share, fmin(1, fastest / ep->mean_seconds));
    return s;
}

int endpoint_choose(struct endpoint *eps, int n, int not, int avoid, double now)
{
    double fastest = INFINITY;
    for (int i = 0; i < n; i++)
        if (!eps[i].off && eps[i].n_traces >= 4)
            fastest = fmin(fastest, eps[i].mean_seconds);
    int best = -1;
    double best_load = 0;
    for (int i = 0; i < n; i++) {
        if (i == not || !endpoint_ready(&eps[i], now))
            continue;
        double load = (double)eps[i].in_flight / share(&eps[i], fastest);
        bool better =
            best < 0 || load < best_load || (load == best_load && eps[i].turn < eps[best].turn);
        if (best >= 0 && (i == avoid || best == avoid))
            better = best == avoid;
        if (better) {
            best = i;
            best_load = load;
        }
    }
    if (best < 0)
        return -1;
    /* One that was away must not make up for it: no turn lags by more than one. */
    double turn = eps[best].turn;
    for (int i = 0; i < n; i++)
        if (i != best && endpoint_ready(&eps[i], now))
            turn = fmax(turn, eps[i].turn - 1 / eps[i].weight);
    eps[best].turn = turn + 1 / share(&eps[best], fastest);
    return best;
}

struct endpoint_ticket endpoint_sent(struct endpoint *ep, double now)
{
    struct endpoint_ticket ticket = {now, ep->in_flight};
    ep->in_flight++;
    if (ep->in_flight > ep->window.peak)
        ep->window.peak = ep->in_flight;
    if (ep->in_flight >= (int64_t)limit_now(ep))
        ep->window.full = true;
    ep->quota[QUOTA_REQUESTS].left--;
    if (ep->down) {
        double pause = fmin(probe_max, probe_first * exp2(fmin(ep->n_probes, 30)));
        ep->next_probe = now + pause;
        ep->n_probes++;
    }
    return ticket;
}

void endpoint_connected(struct endpoint *ep, double now)
{
    if (ep->connected)
        return;
    ep->connected = true;
    ep->t_ramp = now;
}

static void close_window(struct endpoint *ep, double now)
{
    double bad = (double)ep->window.n_overload;
    if (4 * ep->window.n_failed > 3 * ep->window.n)
        bad += (double)ep->window.n_failed;
    double good = (double)ep->window.n - bad;
    if (ep->window.n < window_outcomes) /* few: those that are being answered count as well */
        good = fmax(good, (double)ep->window.peak - bad);
    double share = bad / fmax(1, bad + good);
    double step = ep->window.full ? fmax(1, ep->limit / 32) : 0;
    if (ep->limit + step > 0.8 * ep->ceiling && now < ep->t_ceiling + ep->patience)
        step = 0;
    if (bad > 0) {
        ep->ramping = false;
        ep->t_decrease = now; /* what was sent before says nothing about the new limit */
        /* Where most fail, a limit that was never reached is no measure: begin at what was used. */
        if (share > 0.5)
            ep->limit = fmin(ep->limit, (double)ep->window.peak);
        ep->limit = ep->limit * (1 - share / 2) + (share < 0.2 ? step : 0);
    } else if (!ep->ramping)
        ep->limit += step;
    ep->limit = fmax(1, fmin(ep->limit, (double)ep->most));
    ep->window.t0 = now;
    ep->window.n = ep->window.n_overload = ep->window.n_failed = 0;
    ep->window.full = ep->in_flight >= (int64_t)ep->limit;
    ep->window.peak = ep->in_flight;
}

static void count_outcome(struct endpoint *ep, double now, bool overload, bool failed)
{
    if (ep->window.n == 0 && now - ep->window.t0 > window_max)
        ep->window.t0 = now; /* nothing happened before */
    ep->window.n++;
    ep->window.n_overload += overload;
    ep->window.n_failed += failed;
    double age = now - ep->window.t0;
    if (age >= window_max || (age >= window_min && ep->window.n >= window_outcomes))
        close_window(ep, now);
}

void endpoint_tick(struct endpoint *ep, double now)
{
    if (ep->ramping && ep->connected && now - ep->t_ramp >= ramp_seconds) {
        ep->limit = fmin((double)ep->most, 2 * ep->limit);
        ep->t_ramp = now;
        ep->ramping = ep->limit < (double)ep->most;
    }
    double age = now - ep->window.t0;
    bool streams = ep->in_flight > 0 && now - ep->t_life < window_max;
    if (age >= window_max && (ep->window.n > 0 || (streams && ep->window.full)))
        close_window(ep, now);
}

static void come_up(struct endpoint *ep, double now)
{
    if (!ep->down)
        return;
    ep->down = false;
    ep->t_up = now;
}

void endpoint_life(struct endpoint *ep, double now)
{
    ep->t_life = now;
}

bool endpoint_no_quota(struct endpoint *ep, double now, struct endpoint_ticket sent, bool refused,
                       double seconds)
{
    if (!refused) { /* what was sent before the first of them says nothing */
        if (sent.t >= ep->t_no_quota)
            ep->n_no_quota = 0;
        return false;
    }
    if (ep->n_no_quota == 0)
        ep->t_no_quota = now;
    else if (sent.t < ep->t_last_no_quota)
        return false;
    ep->t_last_no_quota = now;
    ep->n_no_quota++;
    return ep->n_no_quota >= no_quota_refusals && now - fmax(ep->t_no_quota, ep->t_life) >= seconds;
}

void endpoint_accepted(struct endpoint *ep, double now, struct endpoint_ticket sent)
{
    ep->t_life = now;
    ep->t_accepted = fmax(ep->t_accepted, sent.t);
    ep->n_refusals = 0;
    if (sent.level >= ep->proven.level || now - ep->proven.t > proven_seconds)
        ep->proven = (struct endpoint_ticket){now, sent.level};
    if (sent.t > ep->t_held)
        ep->hold_until = 0;
    endpoint_no_quota(ep, now, sent, false, 0);
    if (!ep->down || sent.t >= ep->t_down)
        come_up(ep, now);
    ep->n_unreached = 0;
    count_outcome(ep, now, false, false);
}

static void go_down(struct endpoint *ep, double now)
{
    ep->down = true;
    if (now - ep->t_up > flap_seconds || ep->t_down == 0) {
        ep->t_down = now;
        ep->n_probes = 0;
    }
    double pause = fmin(probe_max, probe_first * exp2(fmin(ep->n_probes, 30)));
    ep->next_probe = now + pause;
}

/* Was a request turned away because the house is full? Not when as many were let in lately, and
 * not yet again and again refused; not when what was sent later was let in. */
static bool is_full(const struct endpoint *ep, double now, struct endpoint_ticket sent)
{
    bool is_proven = sent.level <= ep->proven.level && now - ep->proven.t <= proven_seconds;
    return sent.t > ep->t_accepted && (!is_proven || ep->n_refusals >= proven_refusals);
}

/* As many as are in flight now are what it bears. */
static void full_house(struct endpoint *ep, double now, struct endpoint_ticket sent)
{
    endpoint_hold(ep, now + hold_first * exp2(fmin(ep->n_refusals - 1, hold_doublings)), sent);
    if (sent.t >= ep->t_decrease) { /* a new round, not more of the same burst */
        bool again = fabs(ep->limit - ep->ceiling) <= 1 + ep->ceiling / 4;
        ep->patience = again ? fmin(patience_max, 2 * ep->patience) : patience_first;
        ep->ceiling = ep->limit;
        ep->ramping = false;
        ep->t_decrease = ep->t_ceiling = now;
    }
    double least = fmax(ep->ceiling / 2, (double)ep->in_flight);
    ep->limit = fmax(1, fmin(ep->limit, least));
}

static void count_failure(struct endpoint *ep, double now, struct endpoint_ticket sent,
                          enum try_result result)
{
    bool is_overload = result == TRY_OVERLOAD, counts = sent.t >= ep->t_decrease;
    ep->n_failures++;
    ep->n_streak++;
    ep->n_unreached = result == TRY_NO_REACH ? ep->n_unreached + 1 : 0;
    if (is_overload) {
        ep->n_rate_limited++;
        if (sent.t >= ep->t_refused)
            ep->n_refusals++;
        ep->t_refused = now;
        if (is_full(ep, now, sent)) {
            full_house(ep, now, sent);
            counts = false;
        }
    } else
        ep->failing += (1 - ep->failing) * 0.05;
    bool silent = ep->n_streak >= down_streak && now - ep->t_life > down_silence;
    if (!ep->down && (silent || ep->n_unreached >= down_unreached))
        go_down(ep, now);
    /* Nobody there is no matter of load: the limit stays for when somebody is. */
    if (counts && result != TRY_NO_REACH)
        count_outcome(ep, now, is_overload, !is_overload);
}

void endpoint_ended(struct endpoint *ep, double now, struct endpoint_ticket sent,
                    enum try_result result, double seconds)
{
    ep->in_flight--;
    switch (result) {
    case TRY_TRACE:
        ep->n_traces++;
        ep->mean_seconds += (seconds - ep->mean_seconds) * fmax(0.05, 1 / (double)ep->n_traces);
        ep->failing *= 0.95;
        /* fall through */
    case TRY_FAILED:
    case TRY_ELSEWHERE:
        ep->n_failures += result != TRY_TRACE;
        if (result == TRY_ELSEWHERE)
            ep->failing += (1 - ep->failing) * 0.05;
        ep->t_life = now;
        ep->n_streak = ep->n_unreached = ep->n_probes = 0;
        come_up(ep, now);
        ep->t_down = 0; /* the next outage is another one */
        return;
    case TRY_FATAL:
        ep->n_failures++;
        return;
    default:
        count_failure(ep, now, sent, result);
    }
}

void endpoint_dropped(struct endpoint *ep)
{
    ep->in_flight--;
}

void endpoint_hold(struct endpoint *ep, double until, struct endpoint_ticket sent)
{
    if (sent.t < ep->t_accepted)
        return;
    ep->hold_until = fmax(ep->hold_until, until);
    ep->t_held = fmax(ep->t_held, sent.t);
}

void endpoint_set_quota(struct endpoint *ep, enum endpoint_quota_kind kind, int64_t left,
                        double reset_at)
{
    ep->quota[kind] = (struct endpoint_quota){left, reset_at};
}

double endpoint_lost(const struct endpoint *ep, double now)
{
    if (ep->off)
        return INFINITY;
    double lost = ep->down ? now - ep->t_down : 0;
    lost = fmax(lost, ep->hold_until - now);
    for (int i = 0; i < QUOTA_KINDS; i++)
        if (quota_spent(&ep->quota[i], now))
            lost = fmax(lost, ep->quota[i].reset_at - now);
    return fmax(0, lost);
}
