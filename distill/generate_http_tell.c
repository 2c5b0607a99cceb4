#include "distill/generate_http.h"

#include <stdio.h>
#include <string.h>

#define SILENCE_SECONDS 60.0

void tell_begin(struct http_run *r)
{
    const struct generate_summary *s = r->job.sum;
    bool prompts = r->job.o->until_good > 0;
    r->counts = r->job.counts;
    r->t0 = r->t_counted = r->t_answer = clock_now();
    progress_begin(&r->progress, prompts ? "prompts" : "traces",
                   (uint64_t)(prompts ? s->n_prompts : s->n_wanted));
    progress_resume(&r->progress, (uint64_t)(prompts ? r->counts.n_settled : s->n_there));
}

static void add(char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, size - n, fmt, ap);
    va_end(ap);
}

/* What the corpus will have cost when nothing is missing any more, going by this run's traces. */
static double projected(const struct http_run *r)
{
    int64_t n = r->job.sum->n_made + r->job.sink.uncommitted.n_made;
    return n ? r->budget.spent + r->cost / (double)n * r->counts.n_expected : -1;
}

static void add_cost(const struct http_run *r, char *text, size_t size)
{
    const struct generate_summary *s = r->job.sum;
    double all = projected(r);
    if (!r->cost_known)
        return;
    add(text, size, all < 1 ? ", $%.4f" : ", $%.2f", r->budget.spent);
    if (all >= 0)
        add(text, size, all < 1 ? " of about $%.4f" : " of about $%.2f", all);
    if (s->n_good)
        add(text, size, ", $%.6f a good trace", r->cost / (double)s->n_good);
}

/* Messages name their endpoint first; where it is named already, once is enough. */
static const char *after_url(const char *message, const char *url)
{
    size_t n = strlen(url);
    return !strncmp(message, url, n) && !strncmp(message + n, ": ", 2) ? message + n + 2 : message;
}

/* Endpoints that fell out are named once; the others' state goes into the line. */
static void add_health(struct http_run *r, char *text, size_t size)
{
    struct http_endpoint_stats s;
    int64_t limit = 0, n_failures = 0;
    int n_well = 0;
    for (int i = 0; i < r->n_endpoints; i++) {
        http_teacher_endpoint(r->teacher, i, &s);
        if (s.off && !r->told_off[i]) {
            r->told_off[i] = true;
            log_warn("%s is left out from here on: %s", s.url, after_url(s.last_message, s.url));
        }
        n_well += !s.off;
        n_failures += s.n_failures;
        limit += s.off ? 0 : s.limit;
    }
    add(text, size, ", %lld in flight (limit %lld)", (long long)r->n_flying, (long long)limit);
    if (r->n_endpoints > 1)
        add(text, size, ", %d of %d endpoints", n_well, r->n_endpoints);
    if (n_failures)
        add(text, size, ", %lld failed %s", (long long)n_failures,
            n_failures == 1 ? "try" : "tries");
}

/* Nothing has come for a while: why, as far as that is known. */
static void tell_silence(struct http_run *r, double now)
{
    if (now - r->t_answer < SILENCE_SECONDS || !r->n_flying)
        return;
    r->t_answer = now;
    for (int i = 0; i < r->n_endpoints; i++) {
        struct http_endpoint_stats s;
        http_teacher_endpoint(r->teacher, i, &s);
        if (!s.off && s.last_message[0])
            log_warn("no answer for %g s; %s: %lld in flight, last failure: %s", SILENCE_SECONDS,
                     s.url, (long long)s.n_in_flight, after_url(s.last_message, s.url));
    }
}

void tell_progress(struct http_run *r)
{
    const struct generate_summary *s = r->job.sum;
    double now = clock_now();
    if (now - r->t_counted < 0.5)
        return;
    r->t_counted = now;
    tell_silence(r, now);
    missing_count(r->job.missing, &r->counts);
    char text[400] = "";
    double t = now - r->t0;
    int64_t n = s->n_made + r->job.sink.uncommitted.n_made;
    add(text, sizeof text, "%.1f traces/s", (double)n / t);
    if (s->n_tokens) /* not every server reports them */
        add(text, sizeof text, ", %.0f tokens/s", (double)s->n_tokens / t);
    add_cost(r, text, sizeof text);
    add_health(r, text, sizeof text);
    if (s->n_failed)
        add(text, sizeof text, ", %lld samples given up", (long long)s->n_failed);
    uint64_t done =
        r->job.o->until_good ? (uint64_t)r->counts.n_settled : (uint64_t)r->counts.n_stored;
    progress_set(&r->progress, done, "%s", text);
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* Many servers answer with a longer form of the name, a shorter one, or a path. */
static bool is_a_form_of(const char *served, const char *asked)
{
    return strcasestr(served, last_part(asked)) || strcasestr(asked, last_part(served));
}

/* Where an endpoint has a model of its own (,model=NAME), the user has said that it is the same. */
void tell_model(struct http_run *r, const struct http_answer *a)
{
    const struct http_endpoint_options *all = r->job.o->endpoints;
    const char *asked = r->job.o->teacher_name;
    char *here = r->served[a->i_endpoint];
    if (!a->reply.model || *here || all[a->i_endpoint].model)
        return;
    snprintf(here, sizeof *r->served, "%s", a->reply.model);
    for (int i = 0; *here && i < r->n_endpoints && !r->told_models; i++) {
        r->told_models = *r->served[i] && strcmp(r->served[i], here);
        if (r->told_models)
            log_warn("%s serves %s, but %s serves %s, and the corpus will call both \"%s\". Two "
                     "names of one model: give --teacher-model, and ,model=NAME after each URL. "
                     "Two models: make a run for each, with a --teacher-model of its own",
                     all[i].url, r->served[i], all[a->i_endpoint].url, here, r->job.sum->teacher);
    }
    if (*here && !r->told_models && asked && !is_a_form_of(here, asked))
        log_warn(
            "%s was asked for \"%s\" and answers as \"%s\", and the corpus will call it \"%s\". "
            "Another model: name it with --teacher-model. Another name of the same: "
            ",model=NAME after the URL says so",
            all[a->i_endpoint].url, asked, here, asked);
}

static void tell_endpoint(const struct http_endpoint_stats *s)
{
    char text[700] = "";
    add(text, sizeof text, "%s: %lld answer%s", s->url, (long long)s->n_traces,
        s->n_traces == 1 ? "" : "s");
    if (s->seconds > 0 && s->n_completion_tokens)
        add(text, sizeof text, ", %.0f tokens/s a stream",
            (double)s->n_completion_tokens / s->seconds);
    if (s->n_rate_limited)
        add(text, sizeof text, ", %lld time%s rate limited", (long long)s->n_rate_limited,
            s->n_rate_limited == 1 ? "" : "s");
    if (s->n_failures)
        add(text, sizeof text, ", %lld %s failed; the last: %s", (long long)s->n_failures,
            s->n_failures == 1 ? "try" : "tries", after_url(s->last_message, s->url));
    log_info("%s", text);
}

void tell_end(struct http_run *r)
{
    struct generate_summary *sum = r->job.sum;
    sum->seconds = clock_now() - r->t0;
    const char *noun = r->job.o->until_good ? "traces " : ""; /* the line begins with "prompts" */
    if (!sum->n_made && !sum->n_failed)
        progress_end(&r->progress, "%s made, %lld were there", *noun ? "no traces" : "none",
                     (long long)sum->n_there);
    else
        progress_end(&r->progress, "%lld %smade, %lld were there, %lld failed, %.1f traces/s",
                     (long long)sum->n_made, noun, (long long)sum->n_there,
                     (long long)sum->n_failed,
                     sum->seconds > 0 ? (double)sum->n_made / sum->seconds : 0.0);
    for (int i = 0; i < r->n_endpoints; i++) {
        struct http_endpoint_stats s;
        http_teacher_endpoint(r->teacher, i, &s);
        if (s.n_traces || s.n_failures)
            tell_endpoint(&s);
    }
    if (r->n_no_logprobs)
        log_warn("%lld answers came without the log-probabilities that were asked for",
                 (long long)r->n_no_logprobs);
    if (r->n_unpriced)
        log_warn("%lld answers came without token counts: their cost is counted as the most that "
                 "their text can have cost",
                 (long long)r->n_unpriced);
}
