#include "cli/generate_print.h"
#include "cli/cli.h"

#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

static void number(const char *key, int64_t v)
{
    printf(",\"%s\":%lld", key, (long long)v);
}

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
    printf("{\"teacher\":%s", named ? name.data : "null");
    buf_dispose(&name);
    number("prompts", s->n_prompts);
    number("wanted", s->n_wanted);
    number("were_there", s->n_there);
    number("made", s->n_made);
    number("good", s->n_good);
    number("correct", s->n_correct);
    number("wrong", s->n_wrong);
    number("unknown", s->n_unknown);
    number("truncated", s->n_truncated);
    number("refused", s->n_refused);
    number("empty", s->n_empty);
    number("no_think", s->n_no_think);
    number("repetition", s->n_repetition);
    number("satisfied", s->n_satisfied);
    number("failed", s->n_failed);
    number("abandoned", s->n_abandoned);
    number("missing", s->n_missing);
    number("tokens", s->n_tokens);
    printf(",\"seconds\":%.3f", s->seconds);
    usd("cost_usd", s->cost_usd);
    usd("corpus_cost_usd", s->corpus_usd);
    usd("cost_per_good_usd", s->cost_usd >= 0 && s->n_good ? s->cost_usd / (double)s->n_good : -1);
    printf("}\n");
}

static void print_marks(const struct generate_summary *s)
{
    const struct {
        int64_t n;
        const char *what;
    } marks[] = {{s->n_truncated, "truncated"},
                 {s->n_no_think, "without reasoning"},
                 {s->n_repetition, "repeating"},
                 {s->n_refused, "refused"},
                 {s->n_empty, "empty"}};
    printf("of the new ones: %lld good; %lld correct, %lld wrong, %lld unknown",
           (long long)s->n_good, (long long)s->n_correct, (long long)s->n_wrong,
           (long long)s->n_unknown);
    const char *sign = ";";
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i].n) {
            printf("%s %lld %s", sign, (long long)marks[i].n, marks[i].what);
            sign = ",";
        }
    printf("\n");
}

static void print_cost(const struct generate_summary *s)
{
    printf("cost $%.4f", s->cost_usd);
    if (s->n_good)
        printf(", $%.6f a good trace", s->cost_usd / (double)s->n_good);
    if (s->corpus_usd >= 0)
        printf("; the corpus has cost $%.4f", s->corpus_usd);
    printf("\n");
}

void generate_print_text(const struct generate_options *o, const struct generate_summary *s)
{
    const char *most = o->until_good ? "at most " : "";
    printf("%lld trace%s made", (long long)s->n_made, plural(s->n_made));
    if (s->n_made && s->seconds > 0)
        printf(" in %.1f s", s->seconds);
    if (s->n_tokens && s->seconds > 0)
        printf(" (%.0f tokens/s)", (double)s->n_tokens / s->seconds);
    else if (s->n_made && !o->teacher)
        printf(" (tokens not reported)");
    printf(", %lld were there, %s%lld wanted: %s\n", (long long)s->n_there, most,
           (long long)s->n_wanted, o->corpus);
    if (s->n_made)
        print_marks(s);
    if (o->until_good)
        printf("%lld of %lld prompts have %lld good trace%s\n", (long long)s->n_satisfied,
               (long long)s->n_prompts, (long long)o->until_good, plural(o->until_good));
    if (s->cost_usd >= 0 && !o->teacher)
        print_cost(s);
    if (s->n_failed || s->n_abandoned || (s->n_missing && !o->until_good))
        printf("%s%lld sample%s missing", most, (long long)s->n_missing,
               s->n_missing == 1 ? " is" : "s are");
    else
        return;
    if (s->n_failed)
        printf("; %lld failed in this run", (long long)s->n_failed);
    if (s->n_abandoned)
        printf("; %lld abandoned", (long long)s->n_abandoned);
    printf("\n");
}
