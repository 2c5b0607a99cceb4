/* decant generate-traces */
#include "cli/cli.h"

#include "core/base/log.h"
#include "distill/generate.h"

#include <stdio.h>
#include <string.h>

static void print_json(const struct generate_summary *s)
{
    printf("{\"wanted\":%lld,\"were_there\":%lld,\"made\":%lld,\"correct\":%lld,\"wrong\":%lld,"
           "\"unknown\":%lld,\"truncated\":%lld,\"no_think\":%lld,\"repetition\":%lld,"
           "\"tokens\":%lld,\"seconds\":%.3f}\n",
           (long long)s->n_wanted, (long long)s->n_there, (long long)s->n_made,
           (long long)s->n_correct, (long long)s->n_wrong, (long long)s->n_unknown,
           (long long)s->n_truncated, (long long)s->n_no_think, (long long)s->n_repetition,
           (long long)s->n_tokens, s->seconds);
}

static void print_text(const struct generate_summary *s, const char *corpus)
{
    double t = s->seconds > 0 ? s->seconds : 1e-9;
    printf("%lld traces made in %.1f s (%.0f tokens/s), %lld were there, %lld wanted: %s\n",
           (long long)s->n_made, s->seconds, (double)s->n_tokens / t, (long long)s->n_there,
           (long long)s->n_wanted, corpus);
    printf("of the new ones: %lld correct, %lld wrong, %lld unknown; %lld truncated, %lld without "
           "reasoning, %lld repeating\n",
           (long long)s->n_correct, (long long)s->n_wrong, (long long)s->n_unknown,
           (long long)s->n_truncated, (long long)s->n_no_think, (long long)s->n_repetition);
}

static int run(int argc, char **argv);

const struct command cmd_generate = {
    .name = "generate-traces",
    .summary = "a teacher answers prompts; its chains of thought go to a corpus",
    .run = run,
    .about =
        "Makes every (prompt, sample) that the corpus does not have yet for this teacher and "
        "these\n"
        "parameters: run it again after a stop, or with more --samples, and it makes only what is\n"
        "missing. Each sample has its own random stream, so the traces do not depend on\n"
        "--concurrency, --limit or where the run was stopped.",
    .example =
        "decant generate-traces --teacher models/r1 --prompts train.jsonl --corpus traces.db "
        "--samples 4",
};

static int run(int argc, char **argv)
{
    struct generate_options o = {
        .n_samples = 1, .max_tokens = 32768, .concurrency = 64, .sampling = {0.6f, 0.95f, 0}};
    double temperature = 0.6, top_p = 0.95;
    int64_t seed = 0, threads = 0, top_k = 0;
    bool json = false;
    struct cli_option options[] = {
        {"teacher", CLI_STR, &o.teacher, "DIR|GGUF", "the teacher's HF directory or GGUF file",
         .required = true},
        {"teacher-model", CLI_STR, &o.teacher_name, "NAME",
         "how the corpus calls the teacher; by default the last part of its path"},
        {"prompts", CLI_STR, &o.prompts, "FILE.jsonl",
         "a line each with \"prompt\" (or \"question\", \"problem\")\nand, when known, \"answer\"",
         .required = true},
        {"corpus", CLI_STR, &o.corpus, "FILE.db", "where the traces go; made when absent",
         .required = true},
        {"samples", CLI_INT, &o.n_samples, "N", "traces a prompt", .min = 1, .max = 1000000},
        {"temperature", CLI_NUM, &temperature, "T", "0: greedy", .fmin = 0, .fmax = 10},
        {"top-p", CLI_NUM, &top_p, "P", "nucleus; 1: off", .fmin = 0.000001, .fmax = 1},
        {"top-k", CLI_INT, &top_k, "K", "0: off", .min = 0, .max = 1 << 30},
        {"max-tokens", CLI_INT, &o.max_tokens, "N", "longest answer, reasoning included", .min = 1,
         .max = 1 << 30},
        {"seed", CLI_INT, &seed, "N", "another seed gives other traces", .min = 0,
         .max = INT64_MAX},
        {"concurrency", CLI_INT, &o.concurrency, "N", "sequences decoded together", .min = 1,
         .max = 65536},
        {"limit", CLI_INT, &o.limit, "N", "only the first N prompts of the file; 0: all", .min = 0,
         .max = INT64_MAX},
        {"threads", CLI_INT, &threads, "N", "0: all cores", .min = 0, .max = 1024},
        {"json", CLI_FLAG, &json, "", "print the summary as one JSON object"},
        {0}};
    int usage = cli_parse(&cmd_generate, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    if (strstr(o.teacher, "://"))
        return cli_end(err_set(&e, ERR_UNSUPPORTED,
                               "--teacher %s: this version runs local teachers only; give an HF "
                               "directory or a GGUF file",
                               o.teacher),
                       &e);
    stop_install();
    o.sampling = (struct sampling){(float)temperature, (float)top_p, (int32_t)top_k};
    o.seed = (uint64_t)seed;
    o.n_threads = (int)threads;
    struct generate_summary s;
    err_code rc = generate_run(&o, &s, &e);
    if (rc == ERR_OK || rc == ERR_STOPPED) {
        if (json)
            print_json(&s);
        else
            print_text(&s, o.corpus);
    }
    if (rc == ERR_STOPPED)
        log_info("stopped; what was finished is stored. Run the same command again to go on.");
    return cli_end(rc, &e);
}
