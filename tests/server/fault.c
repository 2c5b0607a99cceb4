#include "tests/server/server.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    char group;
} faults[N_FAULTS] = {
    [FAULT_NONE] = {"none", 'o'},
    [FAULT_SLOW_FIRST] = {"slow_first", 'b'},
    [FAULT_COMMENTS] = {"comments", 'b'},
    [FAULT_CUT_CHUNKS] = {"cut_chunks", 'b'},
    [FAULT_USAGE_EARLY] = {"usage_early", 'b'},
    [FAULT_NO_DONE] = {"no_done", 'b'},
    [FAULT_DUP] = {"dup", 'b'},
    [FAULT_GZIP] = {"gzip", 'b'},
    [FAULT_CRLF] = {"crlf", 'b'},
    [FAULT_CLOSE] = {"close", 'b'},
    [FAULT_SPLIT_DATA] = {"split_data", 'b'},
    [FAULT_RESET] = {"reset", 'r'},
    [FAULT_FIN] = {"fin", 'r'},
    [FAULT_CUT_CLEAN] = {"cut_clean", 'r'},
    [FAULT_EMPTY] = {"empty", 'r'},
    [FAULT_408] = {"408", 'r'},
    [FAULT_429] = {"429", 'r'},
    [FAULT_429_AFTER] = {"429_after", 'r'},
    [FAULT_429_DATE] = {"429_date", 'o'},
    [FAULT_500] = {"500", 'r'},
    [FAULT_502_HTML] = {"502_html", 'r'},
    [FAULT_503] = {"503", 'r'},
    [FAULT_504] = {"504", 'r'},
    [FAULT_HTML_200] = {"html_200", 'r'},
    [FAULT_ERROR_MID] = {"error_mid", 'r'},
    [FAULT_ERROR_FIRST] = {"error_first", 'r'},
    [FAULT_BAD_JSON] = {"bad_json", 'r'},
    [FAULT_BIG_LINE] = {"big_line", 'o'},
    [FAULT_LENGTH_LONG] = {"length_long", 'r'},
    [FAULT_LENGTH_SHORT] = {"length_short", 'r'},
    [FAULT_INSUFFICIENT] = {"insufficient", 'r'},
    [FAULT_ABORTED] = {"aborted", 'r'},
    [FAULT_STALL] = {"stall", 'o'},
    [FAULT_400] = {"400", 'x'},
    [FAULT_404] = {"404", 'x'},
    [FAULT_422] = {"422", 'x'},
    [FAULT_401] = {"401", 'f'},
    [FAULT_402] = {"402", 'f'},
    [FAULT_403] = {"403", 'f'},
    [FAULT_401_ECHO] = {"401_echo", 'f'},
    [FAULT_400_ECHO] = {"400_echo", 'x'},
    [FAULT_REDIRECT] = {"redirect", 'o'},
    [FAULT_DUP_TEXT] = {"dup_text", 'o'},
    [FAULT_NO_USAGE] = {"no_usage", 'o'},
    [FAULT_BAD_USAGE] = {"bad_usage", 'o'},
    [FAULT_BAD_UTF8] = {"bad_utf8", 'o'},
};

static struct rule {
    bool take[N_FAULTS];
    int n_take;
    double p;          /* a share, when no range and no text */
    uint64_t from, to; /* requests; from 0: no range */
    const char *in_prompt;
} rules[64];
static int n_rules;

const char *fault_name(enum fault f)
{
    return faults[f].name;
}

void fault_list(FILE *f)
{
    for (int i = 1; i < N_FAULTS; i++)
        fprintf(f, "%s%s", i > 1 ? " " : "", faults[i].name);
    fputc('\n', f);
}

static bool matches(const char *what, size_t n, int f)
{
#define IS(word) (n == sizeof(word) - 1 && !memcmp(what, word, n))
    char g = faults[f].group;
    if (IS("benign"))
        return g == 'b';
    if (IS("retry"))
        return g == 'r';
    if (IS("any"))
        return g == 'b' || g == 'r';
    return strlen(faults[f].name) == n && !memcmp(what, faults[f].name, n);
#undef IS
}

void fault_rule_add(const char *s)
{
    size_t n = strcspn(s, "=@~");
    if (!s[n] || n_rules == 64)
        die("--fault %s: WHAT=SHARE, WHAT@N, WHAT@N-M, WHAT@N- or WHAT~TEXT, at most 64", s);
    struct rule *r = &rules[n_rules++];
    for (int f = 1; f < N_FAULTS; f++)
        if (matches(s, n, f))
            r->take[f] = true, r->n_take++;
    if (!r->n_take)
        die("--fault %s: no such fault; there are benign, retry, any and those of --list", s);
    const char *v = s + n + 1;
    char *end;
    if (s[n] == '~') {
        r->in_prompt = v;
    } else if (s[n] == '=') {
        r->p = strtod(v, &end);
        if (end == v || *end || r->p < 0 || r->p > 1)
            die("--fault %s: a share from 0 to 1 is needed", s);
    } else {
        r->from = r->to = strtoull(v, &end, 10);
        if (*end == '-')
            r->to = end[1] ? strtoull(end + 1, &end, 10) : (end++, UINT64_MAX);
        if (!r->from || r->to < r->from || *end)
            die("--fault %s: a range like 5, 5-9 or 5- is needed", s);
    }
}

enum fault fault_choose(uint64_t n, uint64_t hash, const char *prompt)
{
    for (int i = 0; i < n_rules; i++) {
        const struct rule *r = &rules[i];
        bool hit = r->in_prompt ? strstr(prompt, r->in_prompt) != NULL
                   : r->from    ? n >= r->from && n <= r->to
                                : share(mix(hash, 2 * (uint64_t)i)) < r->p;
        if (!hit)
            continue;
        int nth = (int)(mix(hash, 2 * (uint64_t)i + 1) % (uint64_t)r->n_take);
        for (int f = 1; f < N_FAULTS; f++)
            if (r->take[f] && nth-- == 0)
                return (enum fault)f;
    }
    return FAULT_NONE;
}
