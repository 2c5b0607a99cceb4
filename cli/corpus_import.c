/* decant corpus import */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/import.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_import_command;
const struct command corpus_import_command = {
    "corpus import",
    "read prompts from JSONL files",
    "decant corpus import --corpus math.db --prompts train.jsonl",
    run,
    "Each line is an object with \"prompt\" (or \"question\", \"problem\") and, when known, "
    "\"answer\".\n"
    "GSM8K's files work as they are. A prompt that is there already is not added again; its gold\n"
    "answer is filled in when it had none. A file with a bad line adds nothing.",
};

static int run(int argc, char **argv)
{
    const char *path = NULL;
    struct cli_strs files = {0};
    struct import_options opt = {0};
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus; made when absent", .required = true},
        {"prompts", CLI_STRS, &files, "FILE.jsonl", "prompts; may be given several times",
         .required = true},
        {"source", CLI_STR, &opt.source, "NAME",
         "stored with new prompts (default: the file's name)"},
        {"limit", CLI_INT, &opt.limit, "N", "read at most N of each file; 0: all", .min = 0,
         .max = INT64_MAX},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_import_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct import_summary all = {0}, one;
    int64_t n_prompts = 0;
    err_code rc = corpus_open(path, CORPUS_CREATE, &c, &e);
    for (int i = 0; i < files.n && !rc; i++) {
        rc = corpus_import(c, files.items[i], &opt, &one, &e);
        all.n_lines += one.n_lines;
        all.n_added += one.n_added;
        all.n_conflicts += one.n_conflicts;
        all.n_no_gold += one.n_no_gold;
    }
    if (!rc)
        rc = corpus_count_prompts(c, &n_prompts, &e);
    corpus_close(c);
    if (rc)
        return cli_end(rc, &e);
    if (json)
        printf("{\"read\":%lld,\"added\":%lld,\"conflicts\":%lld,\"without_gold\":%lld,\"prompts\":"
               "%lld}\n",
               (long long)all.n_lines, (long long)all.n_added, (long long)all.n_conflicts,
               (long long)all.n_no_gold, (long long)n_prompts);
    else
        printf("%lld prompt%s read, %lld new; the corpus holds %lld\n", (long long)all.n_lines,
               plural(all.n_lines), (long long)all.n_added, (long long)n_prompts);
    if (all.n_conflicts)
        log_warn(
            "%lld prompt%s came with another gold answer than the corpus has; the old one was kept",
            (long long)all.n_conflicts, plural(all.n_conflicts));
    if (all.n_no_gold)
        log_info("%lld prompt%s without a gold answer: answers to them cannot be verified",
                 (long long)all.n_no_gold, plural(all.n_no_gold));
    return CLI_DONE;
}
