#include "teacher/http/body.h"
#include "teacher/http/scan.h"
#include "core/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct span extra_object(const struct body_options *o)
{
    struct span object = {0};
    if (o->extra_json) {
        struct scan s = scan_text(o->extra_json, strlen(o->extra_json));
        if (!scan_value(&s, &object) || *object.p != '{' || !scan_at_end(&s))
            object.p = NULL;
    }
    return object;
}

err_code body_check(const struct body_options *o, struct err *e)
{
    static const char *const ours[] = {"messages", "prompt", "model", "stream", "n"};
    struct span key, value, extra = extra_object(o);
    struct scan in = scan_into(extra);
    if (!isfinite(o->temperature) || !isfinite(o->top_p))
        return err_set(e, ERR_USAGE, "temperature %g, top_p %g: they must be numbers",
                       o->temperature, o->top_p);
    if (o->extra_json && !extra.p)
        return err_set(e, ERR_USAGE, "--extra: not a JSON object: %.80s", o->extra_json);
    while (scan_member(&in, &key, &value)) {
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            if (span_is(key, ours[i]))
                return err_set(e, ERR_USAGE,
                               "--extra: \"%s\" can't be set there; decant sends its "
                               "own",
                               ours[i]);
        if (memchr(key.p, '\\', key.n)) /* it would pass by all that is asked of names here */
            return err_set(e, ERR_USAGE, "--extra: %.*s: write the name without escapes",
                           (int)(key.n < 80 ? key.n : 80), key.p);
        if (span_is(key, "seed") && !span_is_null(value))
            return err_set(e, ERR_USAGE,
                           "--extra: \"seed\" can't be set there, or all samples of a "
                           "prompt would be the same; null leaves it out");
    }
    return ERR_OK;
}

int64_t body_limit(const struct body_options *o)
{
    struct span key, value;
    struct scan in = scan_into(extra_object(o));
    int64_t ours = o->max_tokens, more = 0, best_of = 1;
    while (scan_member(&in, &key, &value)) {
        int64_t n = scan_count(value);
        n = n > INT32_MAX ? INT32_MAX : n;
        if (span_is(key, "max_tokens"))
            ours = n > 0 ? n : 0;
        else if (span_is(key, "max_completion_tokens"))
            more = n > 0 ? n : 0;
        else if (span_is(key, "best_of"))
            best_of = n > 1 ? n : 1;
    }
    return (ours > more ? ours : more) * best_of;
}

/* A body under construction: what goes wrong first stays. */
struct writer {
    struct buf *out;
    struct span extra;
    bool any;
    err_code rc;
    struct err *e;
};

static void put(struct writer *w, const char *s)
{
    if (!w->rc)
        w->rc = buf_str(w->out, s, w->e);
}

static void quote(struct writer *w, const char *s, size_t n)
{
    if (!w->rc)
        w->rc = json_quote(w->out, s, n, w->e);
}

static bool is_in_extra(const struct writer *w, const char *key)
{
    struct scan in = scan_into(w->extra);
    struct span k, v;
    while (scan_member(&in, &k, &v))
        if (span_is(k, key))
            return true;
    return false;
}

/* "key": with its comma; false when extra has the key. */
static bool put_key(struct writer *w, const char *key)
{
    if (is_in_extra(w, key))
        return false;
    put(w, w->any ? ",\"" : "\"");
    put(w, key);
    put(w, "\":");
    w->any = true;
    return true;
}

static void put_number(struct writer *w, const char *key, double x)
{
    char text[32];
    if (!put_key(w, key))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    put(w, text);
}

static void put_int(struct writer *w, const char *key, int64_t x)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)x);
    if (put_key(w, key))
        put(w, text);
}

static void put_extra(struct writer *w)
{
    struct scan in = scan_into(w->extra);
    struct span key, value;
    while (scan_member(&in, &key, &value)) {
        if (span_is_null(value))
            continue;
        put(w, w->any ? "," : "");
        w->any = true;
        if (!w->rc)
            w->rc = buf_add(w->out, key.p, key.n, w->e);
        put(w, ":");
        if (!w->rc)
            w->rc = buf_add(w->out, value.p, value.n, w->e);
    }
}

static void put_prompt(struct writer *w, const struct body_options *o, const struct body_ask *a)
{
    if (!o->chat) {
        put_key(w, "prompt");
        quote(w, a->prompt, a->n_prompt);
        return;
    }
    put_key(w, "messages");
    put(w, "[");
    if (o->system && *o->system) {
        put(w, "{\"role\":\"system\",\"content\":");
        quote(w, o->system, strlen(o->system));
        put(w, "},");
    }
    put(w, "{\"role\":\"user\",\"content\":");
    quote(w, a->prompt, a->n_prompt);
    put(w, "}]");
}

static err_code write_body(const struct body_options *o, const struct body_ask *a, bool with_prompt,
                           struct buf *out, struct err *e)
{
    struct writer w = {.out = out, .extra = extra_object(o), .e = e};
    put(&w, "{");
    if (o->model && put_key(&w, "model"))
        quote(&w, o->model, strlen(o->model));
    if (with_prompt)
        put_prompt(&w, o, a);
    else if (o->chat && o->system && *o->system && put_key(&w, "system"))
        quote(&w, o->system, strlen(o->system));
    if (o->temperature >= 0)
        put_number(&w, "temperature", o->temperature);
    if (o->top_p > 0)
        put_number(&w, "top_p", o->top_p);
    if (o->top_k != 0)
        put_int(&w, "top_k", o->top_k);
    if (o->max_tokens > 0)
        put_int(&w, "max_tokens", o->max_tokens);
    if (a->has_seed)
        put_int(&w, "seed", a->seed);
    if (o->n_top > 0 && o->chat) {
        if (put_key(&w, "logprobs"))
            put(&w, "true");
        put_int(&w, "top_logprobs", o->n_top);
    } else if (o->n_top > 0) {
        put_int(&w, "logprobs", o->n_top);
    }
    put_key(&w, "stream");
    put(&w, o->stream ? "true" : "false");
    if (o->stream && put_key(&w, "stream_options"))
        put(&w, "{\"include_usage\":true}");
    put_extra(&w);
    put(&w, "}");
    return w.rc;
}

err_code body_write(const struct body_options *o, const struct body_ask *a, struct buf *out,
                    struct err *e)
{
    return write_body(o, a, true, out, e);
}

err_code body_params(const struct body_options *o, const struct body_ask *a, struct buf *out,
                     struct err *e)
{
    return write_body(o, a, false, out, e);
}

err_code body_r1_prompt(bool bos, const char *system, const char *question, size_t n_question,
                        struct buf *out, struct err *e)
{
    err_code rc = buf_str(out, bos ? "<｜begin▁of▁sentence｜>" : "", e);
    if (!rc && system)
        rc = buf_str(out, system, e);
    if (!rc)
        rc = buf_str(out, "<｜User｜>", e);
    if (!rc)
        rc = buf_add(out, question, n_question, e);
    return rc ? rc : buf_str(out, "<｜Assistant｜><think>\n", e);
}

err_code body_form_prompt(const char *form, const char *system, const char *question,
                          size_t n_question, struct buf *out, struct err *e)
{
    static const char PROMPT[] = "{prompt}", SYSTEM[] = "{system}";
    if (!strstr(form, PROMPT))
        return err_set(e, ERR_FORMAT, "the prompt form has no {prompt}: %.80s", form);
    if (system && *system && !strstr(form, SYSTEM))
        return err_set(e, ERR_USAGE,
                       "the prompt form has no {system}, and there is a system prompt: %.80s",
                       form);
    err_code rc = ERR_OK;
    while (*form && !rc) {
        if (!strncmp(form, PROMPT, sizeof PROMPT - 1)) {
            rc = buf_add(out, question, n_question, e);
            form += sizeof PROMPT - 1;
        } else if (!strncmp(form, SYSTEM, sizeof SYSTEM - 1)) {
            rc = buf_str(out, system ? system : "", e);
            form += sizeof SYSTEM - 1;
        } else {
            size_t n = 1 + strcspn(form + 1, "{");
            rc = buf_add(out, form, n, e);
            form += n;
        }
    }
    return rc;
}
