/* decant eval */
#include "cli/cli.h"

#include "core/base/log.h"
#include "distill/evaluate.h"

#include <stdio.h>

static void print_json(const struct evaluate_options *o, const struct evaluate_summary *s)
{
    printf("{\"accuracy\":%.6f,\"standard_error\":%.6f,\"problems\":%lld,\"no_gold\":%lld,"
           "\"samples\":%lld,\"answers\":%lld,\"correct\":%lld,\"wrong\":%lld,\"unread\":%lld,"
           "\"truncated\":%lld,\"cut_at_max_tokens\":%lld,\"cut_by_context\":%lld,\"tokens\":%lld,"
           "\"seconds\":%.3f,\"tokens_per_second\":%.1f,"
           "\"params\":%lld,\"bytes\":%lld}\n",
           s->accuracy, s->standard_error, (long long)s->n_problems, (long long)s->n_no_gold,
           (long long)o->n_samples, (long long)s->n_answers, (long long)s->n_correct,
           (long long)s->n_wrong, (long long)s->n_unread,
           (long long)(s->n_cut_tokens + s->n_cut_context), (long long)s->n_cut_tokens,
           (long long)s->n_cut_context, (long long)s->n_tokens, s->seconds,
           s->seconds > 0 ? (double)s->n_tokens / s->seconds : 0.0, (long long)s->n_params,
           (long long)s->n_bytes);
}

static void print_text(const struct evaluate_options *o, const struct evaluate_summary *s)
{
    printf("accuracy        %.1f %% +- %.1f (pass@1 over %lld problems, %lld sample%s each)\n",
           100 * s->accuracy, 100 * s->standard_error, (long long)s->n_problems,
           (long long)o->n_samples, o->n_samples == 1 ? "" : "s");
    printf("answers         %lld correct, %lld wrong, %lld not readable\n", (long long)s->n_correct,
           (long long)s->n_wrong, (long long)s->n_unread);
    printf("cut             %lld at --max-tokens, %lld by the model's context of %lld tokens\n",
           (long long)s->n_cut_tokens, (long long)s->n_cut_context, (long long)s->context);
    if (s->n_no_gold)
        printf("left out        %lld problems without an answer that can be checked\n",
               (long long)s->n_no_gold);
    printf("speed           %lld tokens in %.1f s: %.0f tokens/s\n", (long long)s->n_tokens,
           s->seconds, s->seconds > 0 ? (double)s->n_tokens / s->seconds : 0.0);
    printf("model           %.3f M parameters, %.3f MB of weights\n", 1e-6 * (double)s->n_params,
           1e-6 * (double)s->n_bytes);
}

static int run(int argc, char **argv);

const struct command cmd_eval = {
    .name = "eval",
    .summary = "how many problems a model solves",
    .run = run,
    .about = "Answers each problem --samples times and checks the final answer (\\boxed{} first)\n"
             "against the gold answer. pass@1 is the mean over problems; its standard error is "
             "over problems.\n"
             "An answer that was cut or cannot be read is not correct.",
    .example = "decant eval --model student.gguf --problems test.jsonl --samples 4",
};

static int run(int argc, char **argv)
{
    struct evaluate_options o = {.n_samples = 1, .max_tokens = 32768, .concurrency = 64};
    double temperature = 0.6, top_p = 0.95;
    int64_t seed = 0, threads = 0, top_k = 0;
    bool json = false;
    struct cli_option options[] = {
        {"model", CLI_STR, &o.model, "DIR|GGUF", "HF directory or GGUF file", .required = true},
        {"problems", CLI_STR, &o.problems, "FILE.jsonl",
         "a line each with \"prompt\" (or \"question\", \"problem\")\nand \"answer\"; or a .json, "
         ".csv or .tsv file",
         .required = true},
        {"prompt-field", CLI_STR, &o.fields.prompt, "NAME", "holds the prompt"},
        {"gold-field", CLI_STR, &o.fields.gold, "NAME", "holds the right answer"},
        {"samples", CLI_INT, &o.n_samples, "N", "answers a problem", .min = 1, .max = 1000000},
        {"temperature", CLI_NUM, &temperature, "T", "0: greedy", .fmin = 0, .fmax = 10},
        {"top-p", CLI_NUM, &top_p, "P", "nucleus; 1: off", .fmin = 0.000001, .fmax = 1},
        {"top-k", CLI_INT, &top_k, "K", "0: off", .min = 0, .max = 1 << 30},
        {"max-tokens", CLI_INT, &o.max_tokens, "N", "longest answer, reasoning included", .min = 1,
         .max = 1 << 30},
        {"seed", CLI_INT, &seed, "N", "of the sampling", .min = 0, .max = INT64_MAX},
        {"concurrency", CLI_INT, &o.concurrency, "N", "sequences decoded together", .min = 1,
         .max = 65536},
        {"limit", CLI_INT, &o.limit, "N", "only the first N problems; 0: all", .min = 0,
         .max = INT64_MAX},
        {"threads", CLI_INT, &threads, "N", "0: all cores", .min = 0, .max = 1024},
        {"json", CLI_FLAG, &json, "", "print one JSON object"},
        {0}};
    int usage = cli_parse(&cmd_eval, options, argc, argv);
    if (usage)
        return usage;
    stop_install();
    o.sampling = (struct sampling){(float)temperature, (float)top_p, (int32_t)top_k};
    o.seed = (uint64_t)seed;
    o.n_threads = (int)threads;
    struct err e = {0};
    struct evaluate_summary s;
    err_code rc = evaluate_run(&o, &s, &e);
    if (rc == ERR_OK) {
        if (json)
            print_json(&o, &s);
        else
            print_text(&o, &s);
    }
    return cli_end(rc, &e);
}
