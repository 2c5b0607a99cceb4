/* decant corpus export */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/import.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_export_command;
const struct command corpus_export_command = {
    "corpus export",
    "write traces as JSONL for training elsewhere",
    "decant corpus export --corpus math.db --out sft.jsonl\n"
    "  decant corpus export --corpus math.db --format sharegpt --bare --out sft.jsonl\n"
    "  decant corpus export --corpus math.db --select all --out - | head -1",
    run,
    "An object a line: the prompt and \"<think>\\n...\\n</think>\\n\\n...\" as messages (role, "
    "content), as\n"
    "ShareGPT conversations (from, value) or as prompt and completion, then where it came from.\n"
    "The file appears whole or not at all; an older export is replaced, another file never.",
};

static int run(int argc, char **argv)
{
    const char *path = NULL, *out = NULL, *format = "messages";
    struct export_options opt = {.selection = "correct"};
    int64_t n_threads = 0;
    bool json = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"out", CLI_STR, &out, "FILE.jsonl", "where to; -: standard output", .required = true},
        SELECT_OPTION(opt.selection),
        {"format", CLI_STR, &format, "NAME", "messages, sharegpt or prompt-completion"},
        {"bare", CLI_FLAG, &opt.bare, "", "without the fields that say where a trace came from"},
        {"threads", CLI_INT, &n_threads, "N", "threads; 0: all cores", .min = 0, .max = 1024},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_export_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c = NULL;
    struct progress p;
    int64_t n = 0;
    bool to_stdout = !strcmp(out, "-");
    opt.n_threads = (int)n_threads;
    err_code rc = ERR_OK;
    if (!export_format_of(format, &opt.format))
        rc = err_set(&e, ERR_USAGE,
                     "--format %s: there are messages, sharegpt and prompt-completion", format);
    else if (to_stdout && json)
        rc = err_set(&e, ERR_USAGE,
                     "--json and --out - both need standard output; give --out a file");
    if (!rc)
        rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc && to_stdout)
        rc = corpus_export_stream(c, &opt, stdout, "standard output", &n, &e);
    else if (!rc) {
        stop_install();
        progress_begin(&p, "export", 0);
        opt.on_progress = corpus_on_progress;
        opt.progress_ctx = &p;
        rc = corpus_export(c, &opt, out, &n, &e);
        corpus_end_progress(&p, rc, n, "trace", "");
    }
    corpus_close(c);
    if (!rc && json)
        printf("{\"traces\":%lld}\n", (long long)n);
    else if (!rc && !to_stdout)
        printf("%lld trace%s in %s\n", (long long)n, plural(n), out);
    return cli_end(rc, &e);
}
