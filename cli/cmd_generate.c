/* decant generate-traces */
#include "cli/cli.h"

#include "cli/generate_print.h"
#include "cli/teacher_url.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_generate = {
    .name = "generate-traces",
    .summary = "a teacher answers prompts; its chains of thought go to a corpus",
    .run = run,
    .about =
        "Makes every (prompt, sample) that the corpus does not have yet for this teacher and "
        "these\n"
        "parameters: run it again after a stop, or with more --samples, and it makes only what is\n"
        "missing. The teacher is a model on disk, or one model behind any number of\n"
        "OpenAI-compatible HTTP endpoints (vLLM, SGLang, llama-server, hosted APIs). Each sample\n"
        "has a seed of its own, so what is asked does not depend on --concurrency, --limit,\n"
        "--shard or where a run was stopped. Options marked URL are for HTTP teachers only.\n"
        "docs/teachers.md shows how to run large jobs.",
    .example =
        "decant generate-traces --teacher models/r1 --prompts train.jsonl --corpus traces.db "
        "--samples 4\n"
        "  decant generate-traces --teacher http://10.0.0.7:8000/v1 --teacher "
        "http://10.0.0.8:8000/v1,weight=2 \\\n"
        "      --prompts train.jsonl --corpus traces.db --until-correct 1 --max-samples 8",
};

/* What the command line says, before it is checked and resolved. */
struct settings {
    struct generate_options o;
    struct cli_strs teachers;
    double temperature, top_p;
    int64_t seed, threads, top_k, max_samples;
    double price_input, price_cached, price_output;
    const char *prices, *shard, *key_env, *key_file;
    bool no_stop_loops, json;
    struct teacher_urls urls;
};

static err_code wrong(struct err *e, const char *what)
{
    return err_set(e, ERR_USAGE, "%s; see decant generate-traces --help", what);
}

/* "I/N". */
static err_code read_shard(struct settings *s, struct err *e)
{
    if (!s->shard)
        return ERR_OK;
    char *end;
    s->o.i_shard = strtoll(s->shard, &end, 10);
    if (*end == '/')
        s->o.n_shards = strtoll(end + 1, &end, 10);
    if (end == s->shard || *end || s->o.i_shard < 1 || s->o.n_shards < s->o.i_shard ||
        s->o.n_shards > 1000000)
        return err_set(e, ERR_USAGE,
                       "--shard %s: give the machine's number and how many there are, 1/4 to 4/4",
                       s->shard);
    return ERR_OK;
}

static err_code read_samples(struct settings *s, const struct cli_option *options, struct err *e)
{
    bool until = cli_given(options, "until-correct");
    if (cli_given(options, "max-samples") != until)
        return wrong(e, "--until-correct and --max-samples are given together or not at all");
    if (until && cli_given(options, "samples"))
        return wrong(e, "give --samples, or --until-correct with --max-samples, not both");
    if (until && s->max_samples < s->o.until_good)
        return wrong(e, "--max-samples is less than --until-correct");
    if (until)
        s->o.n_samples = s->max_samples;
    return ERR_OK;
}

/* The price that the options give for endpoints without prices of their own. */
static err_code read_price(struct settings *s, struct price *p, struct err *e)
{
    bool input = !isnan(s->price_input), output = !isnan(s->price_output);
    bool cached = !isnan(s->price_cached);
    if (s->prices && (input || output || cached))
        return wrong(e, "give --prices, or --price-input and --price-output, not both");
    if (s->prices)
        return price_read(s->prices, p, e);
    if (input != output || (cached && !input))
        return wrong(e, "--price-input and --price-output are given together");
    if (input)
        *p = (struct price){.known = true,
                            .input_hit = cached ? s->price_cached : s->price_input,
                            .input_miss = s->price_input,
                            .output = s->price_output};
    return ERR_OK;
}

static err_code read_urls(struct settings *s, struct err *e)
{
    struct price price = {0};
    if (s->key_env && s->key_file)
        return wrong(e, "give --api-key-env or --api-key-file, not both");
    const char *env = s->key_env || s->key_file ? s->key_env : "DECANT_API_KEY";
    if (env && !s->key_env && !getenv(env))
        env = NULL;
    err_code rc = read_price(s, &price, e);
    for (int i = 0; i < s->teachers.n && !rc; i++)
        rc = teacher_urls_add(&s->urls, s->teachers.items[i], e);
    for (int i = 0; i < s->urls.n && !rc; i++) {
        struct http_endpoint_options *o = &s->urls.items[i];
        if (!o->key_env && !o->key_file) {
            if (env && !s->key_env)
                log_info("the API key for %s is that of %s", o->url, env);
            o->key_env = env;
            o->key_file = s->key_file;
        }
        if (!o->price.known)
            o->price = price;
        if (s->o.budget_usd >= 0 && !o->price.known)
            rc = err_set(e, ERR_USAGE,
                         "--budget needs prices, to count what is in flight, and %s has none; give "
                         "--price-input and --price-output (USD per million tokens), or --prices",
                         o->url);
    }
    s->o.endpoints = s->urls.items;
    s->o.n_endpoints = s->urls.n;
    return rc;
}

/* One teacher on disk, or URLs alone; and no option of the other kind. */
static err_code read_teachers(struct settings *s, const struct cli_option *options, struct err *e)
{
    static const char *const only_url[] = {
        "raw",         "prompt-template", "no-stream",    "logprobs",      "extra",
        "api-key-env", "api-key-file",    "ca-file",      "no-stop-loops", "no-think-limit",
        "canary",      "tries",           "idle-timeout", "total-timeout", "grace",
        "budget",      "prices",          "price-input",  "price-cached",  "price-output"};
    int n_urls = 0;
    for (int i = 0; i < s->teachers.n; i++) {
        const char *t = s->teachers.items[i];
        if (teacher_lacks_scheme(t) && !file_exists(t))
            return err_set(e, ERR_NOTFOUND, "--teacher %s: no such model; did you mean http://%s?",
                           t, t);
        n_urls += teacher_is_url(t);
    }
    if (n_urls && n_urls < s->teachers.n)
        return wrong(e, "--teacher is given as URLs, or once as a model on disk, not both");
    if (n_urls && cli_given(options, "threads"))
        return wrong(e, "--threads is for a teacher on disk");
    if (n_urls)
        return read_urls(s, e);
    if (s->teachers.n > 1)
        return wrong(e, "--teacher can be given several times for URLs only");
    s->o.teacher = s->teachers.items[0];
    for (size_t i = 0; i < sizeof only_url / sizeof *only_url; i++)
        if (cli_given(options, only_url[i]))
            return err_set(e, ERR_USAGE,
                           "--%s is for HTTP teachers, and --teacher %s is no URL "
                           "(http://HOST:PORT/v1)",
                           only_url[i], s->o.teacher);
    return ERR_OK;
}

static err_code resolve(struct settings *s, const struct cli_option *options, struct err *e)
{
    s->o.sampling = (struct sampling){(float)s->temperature, (float)s->top_p, (int32_t)s->top_k};
    s->o.seed = (uint64_t)s->seed;
    s->o.n_threads = (int)s->threads;
    s->o.stop_loops = !s->no_stop_loops;
    /* A whole answer comes after a silence as long as its chain of thought. */
    if (s->o.no_stream && !cli_given(options, "idle-timeout"))
        s->o.idle_seconds = s->o.total_seconds;
    err_code rc = read_shard(s, e);
    if (!rc)
        rc = read_samples(s, options, e);
    if (!rc)
        rc = read_teachers(s, options, e);
    if (rc)
        return rc;
    if (s->o.raw && !s->o.template)
        return wrong(e, "--raw needs --prompt-template r1 or a file");
    if (s->o.template && !s->o.raw)
        return wrong(e, "--prompt-template is for --raw prompts");
    return ERR_OK;
}

/* A run that ended early has one too: whatever ended it when it had made traces, and where no
 * endpoint was fit when it had not. */
static bool has_summary(err_code rc, const struct generate_summary *sum)
{
    return rc == ERR_OK || rc == ERR_STOPPED || sum->n_made ||
           (rc == ERR_NETWORK && sum->n_prompts);
}

static int finish(struct settings *s, struct err *e)
{
    struct generate_summary sum;
    err_code rc = generate_run(&s->o, &sum, e);
    if (has_summary(rc, &sum)) {
        if (s->json)
            generate_print_json(&sum);
        else
            generate_print_text(&s->o, &sum);
    }
    int code = cli_end(rc, e);
    if (rc == ERR_STOPPED)
        log_info("what was finished is stored; %sthe same command goes on from there",
                 stop_requested() ? "" : "when that is mended, ");
    return code;
}

static int run(int argc, char **argv)
{
    struct settings s = {.temperature = 0.6,
                         .top_p = 0.95,
                         .price_input = NAN,
                         .price_cached = NAN,
                         .price_output = NAN};
    generate_defaults(&s.o);
    double budget = NAN;
    struct generate_options *o = &s.o;
    struct cli_option options[] = {
        {"teacher", CLI_STRS, &s.teachers, "DIR|GGUF|URL",
         "the teacher's HF directory or GGUF file, or the base URL of\nan HTTP endpoint, such as "
         "http://10.0.0.7:8000/v1; URLs may be\ngiven several times, each with "
         "[,weight=W][,model=NAME]\n[,key-env=VAR][,key-file=FILE][,prices=FILE]",
         .required = true},
        {"teacher-model", CLI_STR, &o->teacher_name, "NAME",
         "how the corpus calls the teacher, and the model that HTTP\nrequests name; by default the "
         "last part of the path, or the one\nmodel that the endpoint serves"},
        {"prompts", CLI_STR, &o->prompts, "FILE.jsonl",
         "a line each with \"prompt\" (or \"question\", \"problem\")\nand, when known, \"answer\"; "
         "or a .json, .csv or .tsv file",
         .required = true},
        {"prompt-field", CLI_STR, &o->fields.prompt, "NAME", "of --prompts: holds the prompt"},
        {"gold-field", CLI_STR, &o->fields.gold, "NAME", "of --prompts: holds the right answer"},
        {"corpus", CLI_STR, &o->corpus, "FILE.db", "where the traces go; made when absent",
         .required = true},
        {"samples", CLI_INT, &o->n_samples, "N", "traces a prompt", .min = 1, .max = 1000000},
        {"until-correct", CLI_INT, &o->until_good, "K",
         "instead: sample each prompt until K traces are good (correct,\nnothing marked); prompts "
         "without a known answer get K traces",
         .min = 1, .max = 1000000},
        {"max-samples", CLI_INT, &s.max_samples, "N", "but no more than N traces a prompt",
         .min = 1, .max = 1000000},
        {"limit", CLI_INT, &o->limit, "N", "only the first N prompts of the file; 0: all", .min = 0,
         .max = INT64_MAX},
        {"shard", CLI_STR, &s.shard, "I/N",
         "only the I-th of N parts of the prompts, I from 1: one machine\neach; by the prompt's "
         "text, not its place in the file"},
        {"system", CLI_STR, &o->system, "TEXT", "system prompt; R1 wants none"},
        {"instruction", CLI_STR, &o->instruction, "TEXT",
         "put after each prompt and a blank line, such as \"Please reason\nstep by step, and put "
         "your final answer within \\boxed{}.\""},
        {"temperature", CLI_NUM, &s.temperature, "T", "0: greedy", .fmin = 0, .fmax = 10},
        {"top-p", CLI_NUM, &s.top_p, "P", "nucleus; 1: off", .fmin = 0.000001, .fmax = 1},
        {"top-k", CLI_INT, &s.top_k, "K", "0: off", .min = 0, .max = 1 << 30},
        {"max-tokens", CLI_INT, &o->max_tokens, "N", "longest answer, reasoning included", .min = 1,
         .max = 1 << 30},
        {"seed", CLI_INT, &s.seed, "N", "another seed gives other traces", .min = 0,
         .max = INT64_MAX},
        {"concurrency", CLI_INT, &o->concurrency, "N",
         "most answers in the making at a time; 0: 64 for a teacher on\ndisk, 256 over HTTP",
         .min = 0, .max = 65536},
        {"raw", CLI_FLAG, &o->raw, "",
         "URL: plain completions of a finished prompt text instead of chat"},
        {"prompt-template", CLI_STR, &o->template, "r1|FILE",
         "URL: that text: r1 (ends in a forced <think>), or a file that\nholds {prompt}"},
        {"logprobs", CLI_INT, &o->n_logprobs, "K",
         "URL: also keep log-probabilities, K candidates a token; 0: none", .min = 0, .max = 128},
        {"extra", CLI_STR, &o->extra_json, "JSON",
         "URL: an object whose members are added to each request"},
        {"no-stream", CLI_FLAG, &o->no_stream, "", "URL: whole answers instead of streams"},
        {"no-stop-loops", CLI_FLAG, &s.no_stop_loops, "",
         "URL: let answers that repeat themselves go on to --max-tokens"},
        {"no-think-limit", CLI_INT, &o->no_think_bytes, "N",
         "URL: stop an answer that shows no reasoning in its first N\nbytes; 0: never. Only for "
         "servers that mark the reasoning's start",
         .min = 0, .max = 1 << 30},
        {"canary", CLI_INT, &o->n_canary, "N",
         "URL: prompts through each endpoint before the run; an endpoint\nthat fails them is left "
         "out; 0: none",
         .min = 0, .max = 1000},
        {"api-key-env", CLI_STR, &s.key_env, "VAR",
         "URL: environment variable that holds the API key; by default\nDECANT_API_KEY when that "
         "is set"},
        {"api-key-file", CLI_STR, &s.key_file, "FILE",
         "URL: file that holds the API key, readable by you alone (0600)"},
        {"ca-file", CLI_STR, &o->ca_file, "FILE",
         "URL: certificate authorities to trust (PEM) instead of the\nsystem's"},
        {"budget", CLI_NUM, &budget, "USD",
         "URL: what the corpus may cost in all, its earlier runs included.\nA request is sent only "
         "when its longest answer still fits beside\nall that are in flight",
         .fmin = 0, .fmax = 1e12},
        {"prices", CLI_STR, &s.prices, "FILE",
         "URL: JSON file of prices (docs/teachers.md), also off-peak ones"},
        {"price-input", CLI_NUM, &s.price_input, "USD", "URL: price of a million prompt tokens",
         .fmin = 0, .fmax = 1e9},
        {"price-cached", CLI_NUM, &s.price_cached, "USD",
         "URL: the same where the server's cache had them; by default\nthe price of the others",
         .fmin = 0, .fmax = 1e9},
        {"price-output", CLI_NUM, &s.price_output, "USD",
         "URL: price of a million tokens of reasoning and answer", .fmin = 0, .fmax = 1e9},
        {"tries", CLI_INT, &o->n_tries, "N",
         "URL: of a sample, before it is left for another run; to wait for\nan endpoint that "
         "nobody answers at (ten minutes, when there is no\nother) uses up none",
         .min = 1, .max = 1000},
        {"idle-timeout", CLI_NUM, &o->idle_seconds, "S",
         "URL: a try ends after so long a silence; with --no-stream\n--total-timeout unless given",
         .fmin = 0.001, .fmax = 1e6},
        {"total-timeout", CLI_NUM, &o->total_seconds, "S",
         "URL: a try ends after this at the latest", .fmin = 0.001, .fmax = 1e7},
        {"grace", CLI_NUM, &o->grace_seconds, "S",
         "URL: how long Ctrl-C waits for answers in flight", .fmin = 0, .fmax = 1e6},
        {"threads", CLI_INT, &s.threads, "N", "teacher on disk: 0: all cores", .min = 0,
         .max = 1024},
        {"json", CLI_FLAG, &s.json, "", "print the summary as one JSON object"},
        {0}};
    int usage = cli_parse(&cmd_generate, options, argc, argv);
    if (usage)
        return usage;
    if (!isnan(budget))
        o->budget_usd = budget;
    struct err e = {0};
    err_code rc = resolve(&s, options, &e);
    int code;
    if (rc)
        code = cli_end(rc, &e);
    else {
        stop_install();
        signal(SIGPIPE, SIG_IGN); /* a reader of its messages that goes away is no reason to stop */
        code = finish(&s, &e);
    }
    teacher_urls_dispose(&s.urls);
    return code;
}
