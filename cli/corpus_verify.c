/* decant corpus verify */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/corpus.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_verify_command;
const struct command corpus_verify_command = {
    "corpus verify",
    "judge all traces again",
    "decant corpus verify --corpus math.db",
    run,
    "Recomputes the verdicts: is the answer the gold one (correct, wrong, unknown), was the trace\n"
    "cut, did it think, does it loop. Verdicts mark traces and never delete them.",
};

static int run(int argc, char **argv)
{
    const char *path = NULL;
    int64_t n_threads = 0;
    bool json = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"threads", CLI_INT, &n_threads, "N", "threads; 0: all cores", .min = 0, .max = 1024},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_verify_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct corpus_verified v;
    struct progress p;
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, &e);
    if (!rc) {
        stop_install();
        progress_begin(&p, "verify", 0);
        rc = corpus_verify(c, (int)n_threads, corpus_on_progress, &p, &v, &e);
        corpus_end_progress(&p, rc, v.n_traces, "trace", " verified");
    }
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (json)
        printf("{\"traces\":%lld,\"changed\":%lld,\"correct\":%lld,\"wrong\":%lld,\"unknown\":%lld,"
               "\"truncated\":%lld,\"refused\":%lld,\"empty\":%lld,\"no_think\":%lld,"
               "\"repetition\":%lld}\n",
               (long long)v.n_traces, (long long)v.n_changed, (long long)v.n_correct,
               (long long)v.n_wrong, (long long)v.n_unknown, (long long)v.n_truncated,
               (long long)v.n_refused, (long long)v.n_empty, (long long)v.n_no_think,
               (long long)v.n_repetition);
    else
        printf("%lld correct, %lld wrong, %lld unknown; %lld truncated, %lld refused, %lld empty, "
               "%lld without thinking, %lld with repetition; %lld trace%s judged otherwise than "
               "before\n",
               (long long)v.n_correct, (long long)v.n_wrong, (long long)v.n_unknown,
               (long long)v.n_truncated, (long long)v.n_refused, (long long)v.n_empty,
               (long long)v.n_no_think, (long long)v.n_repetition, (long long)v.n_changed,
               plural(v.n_changed));
    return CLI_DONE;
}
