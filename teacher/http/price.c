#include "teacher/http/price.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

enum { DAY_MINUTES = 24 * 60 };

/* A misspelt price would be money spent unseen: members that are not known are refused. */
static err_code check_members(const struct json *j, const cJSON *object, const char *const *known,
                              struct err *e)
{
    for (const cJSON *m = object->child; m; m = m->next) {
        int i = 0;
        while (known[i] && strcmp(known[i], m->string) != 0)
            i++;
        if (!known[i])
            return err_set(e, ERR_FORMAT,
                           "%s: \"%.60s\" is no price; known are input_cache_hit, "
                           "input_cache_miss, output and off_peak (with from, to and prices)",
                           j->name, m->string);
    }
    return ERR_OK;
}

static err_code read_usd(const struct json *j, const cJSON *node, const char *key, double *out,
                         struct err *e)
{
    err_code rc = json_num(j, node, key, out, e);
    if (!rc && !(*out >= 0 && *out <= 1e6))
        rc = err_set(e, ERR_FORMAT, "%s: \"%s\" must be dollars per million tokens, 0 or more",
                     j->name, key);
    return rc;
}

static err_code read_prices(const struct json *j, const cJSON *node, double *hit, double *miss,
                            double *output, struct err *e)
{
    err_code rc = read_usd(j, node, "input_cache_miss", miss, e);
    if (!rc)
        rc = read_usd(j, node, "output", output, e);
    *hit = *miss;
    if (!rc && json_at(node, "input_cache_hit"))
        rc = read_usd(j, node, "input_cache_hit", hit, e);
    return rc;
}

/* "16:30" */
static err_code read_minute(const struct json *j, const cJSON *node, const char *key, int *out,
                            struct err *e)
{
    const char *s;
    err_code rc = json_str(j, node, key, &s, e);
    if (rc)
        return rc;
    int hour, minute, n = 0;
    if (strlen(s) > 5 || strspn(s, "0123456789:") != strlen(s) ||
        sscanf(s, "%2d:%2d%n", &hour, &minute, &n) != 2 || s[n] || hour > 24 || minute > 59 ||
        hour * 60 + minute > DAY_MINUTES)
        return err_set(e, ERR_FORMAT,
                       "%s: off_peak.%s is \"%.20s\"; expected a time of day in UTC as \"16:30\"",
                       j->name, key, s);
    *out = (hour * 60 + minute) % DAY_MINUTES;
    return ERR_OK;
}

static err_code read_off_peak(const struct json *j, const cJSON *off, struct price *p,
                              struct err *e)
{
    static const char *const known[] = {"from",   "to", "input_cache_hit", "input_cache_miss",
                                        "output", NULL};
    if (!cJSON_IsObject(off))
        return err_set(e, ERR_FORMAT, "%s: off_peak must be an object", j->name);
    err_code rc = check_members(j, off, known, e);
    if (!rc)
        rc = read_minute(j, off, "from", &p->off_from, e);
    if (!rc)
        rc = read_minute(j, off, "to", &p->off_to, e);
    if (!rc && p->off_from == p->off_to)
        rc =
            err_set(e, ERR_FORMAT, "%s: off_peak is empty: from and to are the same time", j->name);
    if (!rc)
        rc = read_prices(j, off, &p->off_input_hit, &p->off_input_miss, &p->off_output, e);
    return rc;
}

err_code price_read(const char *path, struct price *p, struct err *e)
{
    static const char *const known[] = {"input_cache_hit", "input_cache_miss", "output", "off_peak",
                                        NULL};
    memset(p, 0, sizeof *p);
    struct json j;
    err_code rc = json_open(&j, path, 1 << 16, e);
    if (rc)
        return rc;
    if (!cJSON_IsObject(j.root))
        rc = err_set(e, ERR_FORMAT, "%s: must be one JSON object of prices", path);
    if (!rc)
        rc = check_members(&j, j.root, known, e);
    if (!rc)
        rc = read_prices(&j, j.root, &p->input_hit, &p->input_miss, &p->output, e);
    const cJSON *off = rc ? NULL : json_at(j.root, "off_peak");
    if (off)
        rc = read_off_peak(&j, off, p, e);
    p->known = !rc;
    json_close(&j);
    return rc;
}

static bool is_off_peak(const struct price *p, int64_t unix_seconds)
{
    int64_t minute = (unix_seconds / 60) % DAY_MINUTES;
    if (minute < 0)
        minute += DAY_MINUTES;
    if (p->off_from <= p->off_to)
        return minute >= p->off_from && minute < p->off_to;
    return minute >= p->off_from || minute < p->off_to;
}

double price_cost(const struct price *p, int64_t n_prompt, int64_t n_cached, int64_t n_completion,
                  int64_t unix_seconds)
{
    n_prompt = n_prompt < 0 ? 0 : n_prompt;
    n_cached = n_cached < 0 ? 0 : n_cached > n_prompt ? n_prompt : n_cached;
    n_completion = n_completion < 0 ? 0 : n_completion;
    bool off = is_off_peak(p, unix_seconds);
    double hit = off ? p->off_input_hit : p->input_hit;
    double miss = off ? p->off_input_miss : p->input_miss;
    double output = off ? p->off_output : p->output;
    return (hit * (double)n_cached + miss * (double)(n_prompt - n_cached) +
            output * (double)n_completion) *
           1e-6;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double price_most(const struct price *p, size_t n_prompt_bytes, int64_t n_completion)
{
    if (!p->known)
        return 0;
    double input = larger(p->input_miss, p->input_hit), output = p->output;
    if (p->off_from != p->off_to) {
        input = larger(input, larger(p->off_input_miss, p->off_input_hit));
        output = larger(output, p->off_output);
    }
    return 1e-6 *
           (((double)n_prompt_bytes + PRICE_FORM_TOKENS) * input + (double)n_completion * output);
}
