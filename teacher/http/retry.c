#include "teacher/http/retry.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static enum try_result judge_status(int status)
{
    switch (status) {
    case 401:
    case 402:
    case 403:
        return TRY_FATAL;
    case 429:
    case 498: /* Groq's flex tier is full */
    case 503:
    case 529:
        return TRY_OVERLOAD;
    case 408: /* the server's own time-out */
    case 409: /* a lock elsewhere */
    case 424: /* text-generation-inference: the model broke down */
    case 425:
    case 500:
    case 502:
    case 504:
        return TRY_AGAIN;
    }
    return status >= 520 && status <= 599 ? TRY_AGAIN : TRY_FAILED;
}

/* A 403 that is no matter of the key: the next prompt may be let in. */
static bool is_of_prompt(int status, const struct reply_view *v)
{
    return status == 403 && v->of_prompt;
}

/* An error object in the body of a 200. What was being answered was no bad request, whatever the
 * error calls it: vLLM up to 0.12 and SGLang's plain completions say 400 of all that ends a stream,
 * the engine's death too. */
static enum try_result judge_error(const struct reply_view *v)
{
    if (is_of_prompt(v->status, v))
        return TRY_FAILED;
    enum try_result result =
        v->status >= 400 && v->status <= 599 ? judge_status(v->status) : TRY_AGAIN;
    return result == TRY_FAILED && v->n_reasoning + v->n_answer > 0 ? TRY_AGAIN : result;
}

static bool is_transient(const char *finish)
{
    return finish && (!strcmp(finish, "insufficient_system_resource") ||
                      !strcmp(finish, "aborted") || !strcmp(finish, "abort") ||
                      !strcmp(finish, "error") || !strcmp(finish, "network_error"));
}

enum try_result retry_judge(enum try_break how, int status, bool html, const struct reply_view *v)
{
    if (how == TRY_REFUSED)
        return TRY_FATAL;
    if (how == TRY_UNREACHED)
        return TRY_NO_REACH;
    if (status >= 300 && status < 400)
        return TRY_FATAL; /* a redirect: the URL is wrong, for every request */
    if (is_of_prompt(status, v))
        return TRY_FAILED;
    if (status >= 400)
        return judge_status(status);
    if (status < 200 || html)
        return TRY_AGAIN;
    switch (v->state) {
    case REPLY_STOPPED:
        return TRY_TRACE;
    case REPLY_COMPLETE:
        return is_transient(v->finish_reason) ? TRY_AGAIN : TRY_TRACE;
    case REPLY_BAD:
        return judge_error(v);
    default:
        return TRY_AGAIN;
    }
}

double retry_backoff(struct rng *r, int n_done, double base, double max)
{
    double most = base * exp2(fmin(n_done - 1, 60));
    return rng_uniform(r) * fmin(most, max);
}

static const double year = 366.0 * 86400;

/* "1h2m3.5s", "120ms"; a number without a unit is not one of these. */
static double read_spans(const char *s)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1},
                 {"m", 60},    {"h", 3600},  {"d", 86400}};
    double sum = 0;
    while (*s) {
        char *end;
        double x = strtod(s, &end);
        if (end == s || !(x >= 0))
            return -1;
        size_t i = 0, n = sizeof units / sizeof *units;
        while (i < n && strncmp(end, units[i].unit, strlen(units[i].unit)) != 0)
            i++;
        if (i == n)
            return -1;
        sum += x * units[i].seconds;
        s = end + strlen(units[i].unit);
    }
    return sum;
}

/* RFC 3339: "2026-03-01T12:00:05Z", "2026-03-01T13:00:05.25+01:00"; seconds from now, or -1. */
static double read_moment(const char *s, int64_t unix_now)
{
    struct tm tm = {0};
    char sign[2] = "";
    int n = 0, hours = 0, minutes = 0;
    if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
        return -1;
    s += n;
    if (*s == '.')
        s += 1 + strspn(s + 1, "0123456789");
    if (strcasecmp(s, "z") && sscanf(s, "%1[+-]%2d:%2d", sign, &hours, &minutes) != 3)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    time_t t = timegm(&tm) - (*sign == '-' ? -60 : 60) * (60 * hours + minutes);
    return fmax(0, difftime(t, (time_t)unix_now));
}

double retry_seconds(const char *value, int64_t unix_now)
{
    while (*value == ' ' || *value == '\t')
        value++;
    if (strlen(value) > 64 || !*value)
        return -1;
    double wait = -1;
    if (strchr("0123456789.", *value)) {
        char *end;
        double x = strtod(value, &end);
        end += strspn(end, " \t");
        if (end == value)
            return -1;
        if (*end == '-')
            wait = read_moment(value, unix_now);
        else if (*end)
            wait = read_spans(value);
        else if (x >= 1e12)
            wait = fmax(0, x * 1e-3 - (double)unix_now);
        else if (x >= 1e9)
            wait = fmax(0, x - (double)unix_now);
        else
            wait = x;
    } else {
        time_t t = curl_getdate(value, NULL);
        if (t != -1)
            wait = fmax(0, difftime(t, (time_t)unix_now));
    }
    return wait >= 0 ? fmin(wait, year) : -1;
}

static bool earlier(const struct retry_item *a, const struct retry_item *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

err_code retry_push(struct retry_heap *h, double at, void *what, struct err *e)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? 2 * h->cap : 64;
        err_code rc = mem_grow((void **)&h->items, cap, sizeof *h->items, e);
        if (rc)
            return rc;
        h->cap = cap;
    }
    struct retry_item item = {at, h->n_pushed++, what};
    size_t i = h->n++;
    while (i > 0 && earlier(&item, &h->items[(i - 1) / 2])) {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = item;
    return ERR_OK;
}

void *retry_pop(struct retry_heap *h, double now)
{
    if (h->n == 0 || h->items[0].at > now)
        return NULL;
    void *what = h->items[0].what;
    struct retry_item last = h->items[--h->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && earlier(&h->items[child + 1], &h->items[child]))
            child++;
        if (!earlier(&h->items[child], &last))
            break;
        h->items[i] = h->items[child];
    }
    if (h->n > 0)
        h->items[i] = last;
    return what;
}

double retry_next(const struct retry_heap *h)
{
    return h->n ? h->items[0].at : INFINITY;
}

void retry_dispose(struct retry_heap *h)
{
    mem_free(h->items);
    *h = (struct retry_heap){0};
}
