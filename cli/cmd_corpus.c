/* decant corpus: a word after it says what to do with a corpus (corpus_*.c). */
#include "cli/corpus.h"
#include "cli/nearest.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>

extern const struct command corpus_import_command;
extern const struct command corpus_stats_command;
extern const struct command corpus_show_command;
extern const struct command corpus_search_command;
extern const struct command corpus_verify_command;
extern const struct command corpus_dedup_command;
extern const struct command corpus_decontaminate_command;
extern const struct command corpus_filter_command;
extern const struct command corpus_export_command;
extern const struct command corpus_merge_command;
extern const struct command corpus_check_command;

/* clang-format off */
static const struct command *const parts[] = {
    &corpus_import_command,
    &corpus_stats_command,
    &corpus_show_command,
    &corpus_search_command,
    &corpus_verify_command,
    &corpus_dedup_command,
    &corpus_decontaminate_command,
    &corpus_filter_command,
    &corpus_export_command,
    &corpus_merge_command,
    &corpus_check_command,
};
/* clang-format on */
enum { N_PARTS = sizeof parts / sizeof *parts };

int corpus_end_json(err_code rc, struct buf *b, struct err *e)
{
    if (!rc)
        printf("%s\n", b->data);
    buf_dispose(b);
    return cli_end(rc, e);
}

bool corpus_on_progress(void *ctx, int64_t done, int64_t total)
{
    struct progress *p = ctx;
    p->n_total = (uint64_t)total;
    progress_set(p, (uint64_t)done, "%s", "");
    return !stop_requested();
}

void corpus_end_progress(struct progress *p, err_code rc, int64_t n, const char *what,
                         const char *rest)
{
    if (rc)
        progress_drop(p);
    else
        progress_end(p, "%lld %s%s%s", (long long)n, what, plural(n), rest);
}

void print_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= ' ' ? *text != 0x7F : *text == '\n' || *text == '\t')
            putchar(*text);
}

static const char *part_name(int i)
{
    return parts[i]->name + strlen("corpus ");
}

static void usage(FILE *f)
{
    fprintf(
        f,
        "usage: decant corpus WHAT --corpus FILE.db [--options]     decant corpus WHAT --help\n\n");
    for (int i = 0; i < N_PARTS; i++)
        fprintf(f, "  %-15s%s\n", part_name(i), parts[i]->summary);
    fprintf(
        f,
        "\nexample:\n  decant corpus import --corpus math.db --prompts train.jsonl\n"
        "  decant corpus stats --corpus math.db\n\n"
        "A corpus is one SQLite file; docs/corpus.md says what can be asked of it with sqlite3.\n");
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        usage(stdout);
        return CLI_DONE;
    }
    mem_keep_freed();
    for (int i = 0; i < N_PARTS; i++)
        if (!strcmp(argv[1], part_name(i)))
            return parts[i]->run(argc - 1, argv + 1);
    struct nearest near = {argv[1], strlen(argv[1])};
    for (int i = 0; i < N_PARTS; i++)
        nearest_try(&near, part_name(i));
    fprintf(stderr,
            "decant corpus: there is no \"%s\"%s%s%s decant corpus --help lists all parts\n",
            argv[1], near.best ? "; did you mean \"" : "", near.best ? near.best : "",
            near.best ? "\"?" : ";");
    return CLI_USAGE;
}

extern const struct command cmd_corpus;
const struct command cmd_corpus = {
    "corpus", "keep, judge and shape traces: import, stats, export, ...", NULL, run, NULL};
