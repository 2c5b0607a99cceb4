#include "cli/generate_print.h"

#include "core/base/mem.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

static void usd(const char *key, double v)
{
    if (v >= 0)
        printf(",\"%s\":%.6f", key, v);
    else
        printf(",\"%s\":null", key);
}

void generate_print_json(const struct generate_summary *s)
{
    struct buf name = {0};
    bool named = !json_quote(&name, s->teacher, strlen(s->teacher), NULL);
    printf("{\"teacher\":%s,\"prompts\":%lld,\"wanted\":%lld,\"were_there\":%lld,\"made\":%lld,"
           "\"good\":%lld,\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,\"truncated\":%lld,"
           "\"no_think\":%lld,\"repetition\":%lld,\"satisfied\":%lld,\"failed\":%lld,"
           "\"abandoned\":%lld,\"missing\":%lld,\"tokens\":%lld,\"seconds\":%.3f",
           named ? name.data : "null", (long long)s->n_prompts, (long long)s->n_wanted,
           (long long)s->n_there, (long long)s->n_made, (long long)s->n_good,
           (long long)s->n_correct, (long long)s->n_wrong, (long long)s->n_unknown,
           (long long)s->n_truncated, (long long)s->n_no_think, (long long)s->n_repetition,
           (long long)s->n_satisfied, (long long)s->n_failed, (long long)s->n_abandoned,
           (long long)s->n_missing, (long long)s->n_tokens, s->seconds);
    usd("cost_usd", s->cost_usd);
    usd("corpus_cost_usd", s->corpus_usd);
    usd("cost_per_good_usd", s->cost_usd >= 0 && s->n_good ? s->cost_usd / (double)s->n_good : -1);
    printf("}\n");
    buf_dispose(&name);
}

static void print_cost(const struct generate_summary *s)
{
    printf("cost $%.4f", s->cost_usd);
    if (s->n_good)
        printf(", $%.4f a good trace", s->cost_usd / (double)s->n_good);
    if (s->corpus_usd >= 0)
        printf("; the corpus has cost $%.4f", s->corpus_usd);
    printf("\n");
}

void generate_print_text(const struct generate_options *o, const struct generate_summary *s)
{
    printf("%lld traces made", (long long)s->n_made);
    if (s->n_made && s->seconds > 0)
        printf(" in %.1f s (%.0f tokens/s)", s->seconds, (double)s->n_tokens / s->seconds);
    printf(", %lld were there, %s%lld wanted: %s\n", (long long)s->n_there,
           o->until_good ? "at most " : "", (long long)s->n_wanted, o->corpus);
    if (s->n_made)
        printf("of the new ones: %lld good; %lld correct, %lld wrong, %lld unknown; %lld "
               "truncated, %lld without reasoning, %lld repeating\n",
               (long long)s->n_good, (long long)s->n_correct, (long long)s->n_wrong,
               (long long)s->n_unknown, (long long)s->n_truncated, (long long)s->n_no_think,
               (long long)s->n_repetition);
    if (o->until_good)
        printf("%lld of %lld prompts have %lld good traces\n", (long long)s->n_satisfied,
               (long long)s->n_prompts, (long long)o->until_good);
    if (s->cost_usd >= 0 && !o->teacher)
        print_cost(s);
    if (s->n_missing)
        printf("%s%lld samples are missing: %lld asks failed, %lld were abandoned\n",
               o->until_good ? "up to " : "", (long long)s->n_missing, (long long)s->n_failed,
               (long long)s->n_abandoned);
}
