#include "tests/server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static FILE *ledger;

void ledger_open(const char *path)
{
    ledger = fopen(path, "a");
    if (!ledger)
        die("--ledger %s: %s", path, strerror(errno));
}

void ledger_add(const struct exchange *x, const char *state)
{
    if (!ledger)
        return;
    int64_t n = x->i_token, r = n < x->answer.n_reasoning ? n : x->answer.n_reasoning;
    double cost =
        ((double)(x->n_prompt_tokens - x->n_cached_tokens) * config.price_miss +
         (double)x->n_cached_tokens * config.price_hit + (double)n * config.price_output) /
        1e6;
    char prompt[81];
    snprintf(prompt, sizeof prompt, "%s", x->prompt ? x->prompt : "");
    for (char *p = prompt; *p; p++)
        if (*p == '\t' || *p == '\n' || *p == '\r')
            *p = ' ';
    fprintf(ledger,
            "%s\t%s\t%s\t%s\t%d\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
            "\t%d\t%d\t%.17g\t%s\n",
            x->id, state, fault_name(x->fault), kind_name(x->answer.kind), x->status, x->seed,
            x->n_prompt_tokens, x->n_cached_tokens, n, r, x->finish_sent, x->usage_sent,
            x->status == 200 ? cost : 0.0, prompt);
}

void ledger_flush(void)
{
    if (ledger)
        fflush(ledger);
}
