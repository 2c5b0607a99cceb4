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
    "write traces as JSONL in the chat-messages form",
    "decant corpus export --corpus math.db --out sft.jsonl\n"
    "  decant corpus export --corpus math.db --select all --out - | head -1",
    run,
    "One object a line: \"messages\" with the user's prompt and the assistant's\n"
    "\"<think>\\n...\\n</think>\\n\\n...\", then where it came from. The file appears whole or not "
    "at\n"
    "all.",
};

static int run(int argc, char **argv)
{
    const char *path = NULL, *out = NULL, *selection = "correct";
    bool json = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"out", CLI_STR, &out, "FILE.jsonl", "where to; -: standard output", .required = true},
        SELECT_OPTION(selection),
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_export_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct progress p;
    int64_t n = 0;
    bool to_stdout = !strcmp(out, "-");
    err_code rc = to_stdout && json ? err_set(&e, ERR_USAGE,
                                              "--json and --out - both need standard "
                                              "output; give --out a file")
                                    : ERR_OK;
    if (rc)
        return cli_end(rc, &e);
    rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc && to_stdout)
        rc = corpus_export_stream(c, selection, stdout, "standard output", &n, &e);
    else if (!rc) {
        stop_install();
        progress_begin(&p, "export", 0);
        rc = corpus_export(c, selection, out, corpus_on_progress, &p, &n, &e);
        progress_end(&p, "%lld traces", (long long)n);
    }
    corpus_close(c);
    if (!rc && json)
        printf("{\"traces\":%lld}\n", (long long)n);
    else if (!rc && !to_stdout)
        printf("%lld trace%s in %s\n", (long long)n, plural(n), out);
    return cli_end(rc, &e);
}
