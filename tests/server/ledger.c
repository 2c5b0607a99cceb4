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

/* Tokens [from, to) without outer white space and with line feeds as \\n. */
static void add_text(struct text *t, const struct answer *a, int64_t from, int64_t to)
{
    char s[TOKEN_BYTES];
    struct text raw = {0};
    text_puts(&raw, "");
    for (int64_t i = from; i < to; i++)
        text_add(&raw, s, answer_token(a, i, s));
    size_t begin = strspn(raw.s, " \n"), end = raw.n;
    while (end > begin && (raw.s[end - 1] == ' ' || raw.s[end - 1] == '\n'))
        end--;
    for (size_t i = begin; i < end; i++)
        raw.s[i] == '\n' ? text_puts(t, "\\n") : text_add(t, raw.s + i, 1);
    text_free(&raw);
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
    struct text said = {0};
    text_puts(&said, "");
    if (n <= 1000) {
        add_text(&said, &x->answer, 0, r);
        text_puts(&said, "\t");
        add_text(&said, &x->answer, x->answer.n_reasoning, n);
    } else {
        text_puts(&said, "-\t-");
    }
    char prompt[81];
    snprintf(prompt, sizeof prompt, "%s", x->prompt ? x->prompt : "");
    for (char *p = prompt; *p; p++)
        if (*p == '\t' || *p == '\n' || *p == '\r')
            *p = ' ';
    fprintf(ledger,
            "%s\t%s\t%s\t%s\t%d\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
            "\t%d\t%d\t%.17g\t%s\t%s\n",
            x->id, state, fault_name(x->fault), kind_name(x->answer.kind), x->status, x->seed,
            x->n_prompt_tokens, x->n_cached_tokens, n, r, x->finish_sent, x->usage_sent,
            x->status == 200 ? cost : 0.0, prompt, said.s);
    text_free(&said);
}

void ledger_flush(void)
{
    if (ledger)
        fflush(ledger);
}
