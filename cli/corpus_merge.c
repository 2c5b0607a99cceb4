/* decant corpus merge */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/merge.h"

#include <stdio.h>

static int run(int argc, char **argv);
extern const struct command corpus_merge_command;
const struct command corpus_merge_command = {
    "corpus merge",
    "join other corpora into one",
    "decant corpus merge --corpus all.db --from shard1.db --from shard2.db",
    run,
    "Prompts, requests, traces, verdicts, log-probabilities, marks and failures; what is there "
    "already\n"
    "is not added again, so merging twice changes nothing. A trace whose place (prompt, request,\n"
    "sample) is taken by another text gets the next free sample index. Each corpus is merged whole "
    "or\n"
    "not at all, and is only read. Marks of dedup stay behind: run decant corpus dedup afterwards.",
};

static void print_notes(const struct merge_summary *s)
{
    if (s->n_renumbered)
        log_info("%lld trace%s had the place of another one and got the next free sample index",
                 (long long)s->n_renumbered, plural(s->n_renumbered));
    if (s->n_conflicts)
        log_warn("%lld prompt%s came with another gold answer than the corpus has; the old one was "
                 "kept",
                 (long long)s->n_conflicts, plural(s->n_conflicts));
    if (s->n_regold)
        log_info("%lld prompt%s that were there got a gold answer; decant corpus verify judges the "
                 "traces they had",
                 (long long)s->n_regold, plural(s->n_regold));
}

static int run(int argc, char **argv)
{
    const char *path = NULL;
    struct cli_strs from = {0};
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus; made when absent", .required = true},
        {"from", CLI_STRS, &from, "FILE.db", "a corpus to add; may be given several times",
         .required = true},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_merge_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct merge_summary all = {0};
    err_code rc = corpus_open(path, CORPUS_CREATE, &c, &e);
    stop_install();
    for (int i = 0; i < from.n && !rc; i++) {
        struct merge_summary s;
        struct progress p;
        progress_begin(&p, "merge", 0);
        rc = corpus_merge(c, from.items[i], corpus_on_progress, &p, &s, &e);
        if (rc)
            progress_drop(&p);
        else
            progress_end(&p, "%lld new trace%s of %s", (long long)s.n_traces, plural(s.n_traces),
                         from.items[i]);
        all.n_prompts += s.n_prompts;
        all.n_requests += s.n_requests;
        all.n_traces += s.n_traces;
        all.n_there += s.n_there;
        all.n_renumbered += s.n_renumbered;
        all.n_logprobs += s.n_logprobs;
        all.n_failures += s.n_failures;
        all.n_conflicts += s.n_conflicts;
        all.n_regold += s.n_regold;
    }
    if (rc) {
        corpus_discard(c);
        return cli_end(rc, &e);
    }
    corpus_close(c);
    if (json)
        printf("{\"prompts\":%lld,\"requests\":%lld,\"traces\":%lld,\"there\":%lld,"
               "\"renumbered\":%lld,\"logprobs\":%lld,\"failures\":%lld,\"conflicts\":%lld}\n",
               (long long)all.n_prompts, (long long)all.n_requests, (long long)all.n_traces,
               (long long)all.n_there, (long long)all.n_renumbered, (long long)all.n_logprobs,
               (long long)all.n_failures, (long long)all.n_conflicts);
    else
        printf("%lld new prompt%s, %lld new trace%s (%lld there already)\n",
               (long long)all.n_prompts, plural(all.n_prompts), (long long)all.n_traces,
               plural(all.n_traces), (long long)all.n_there);
    print_notes(&all);
    return CLI_DONE;
}
