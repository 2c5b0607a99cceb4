/* decant corpus check */
#include "cli/corpus.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "dataset/corpus.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_check_command;
const struct command corpus_check_command = {
    "corpus check",
    "check that a corpus file is sound",
    "decant corpus check --corpus math.db",
    run,
    "SQLite's integrity check over all pages and indexes, the references between tables, the "
    "schema's\n"
    "version, and whether all traces are judged by the rules of this decant. Exit 1 when something "
    "is\n"
    "damaged.",
};

struct findings {
    bool json;
    struct buf *b;
    int n;
};

static err_code on_finding(void *ctx, const char *text, struct err *e)
{
    struct findings *f = ctx;
    err_code rc = ERR_OK;
    if (f->json) {
        rc = f->n ? buf_str(f->b, ",", e) : ERR_OK;
        if (!rc)
            rc = json_quote(f->b, text, strlen(text), e);
    } else {
        printf("damaged: ");
        print_text(text);
        putchar('\n');
    }
    f->n++;
    return rc;
}

static void print(const struct corpus_checked *k)
{
    printf("schema        version %lld, this decant's\n", (long long)k->schema_version);
    bool small = k->n_bytes < 1000000000;
    printf("size          %.2f %s in %lld pages%s\n", (double)k->n_bytes / (small ? 1e6 : 1e9),
           small ? "MB" : "GB", (long long)k->n_pages,
           k->has_log ? ", and a write-ahead log beside it" : "");
    printf("integrity     %s\n", k->n_damaged ? "damaged" : "ok");
    printf("references    %s\n",
           k->n_dangling ? "some rows point to rows that are not there" : "ok");
    if (k->n_unjudged)
        printf("verdicts      %lld trace%s not judged, or by the rules of another version; decant "
               "corpus verify does it\n",
               (long long)k->n_unjudged, plural(k->n_unjudged));
    else
        printf("verdicts      of all %lld trace%s, by this decant's rules\n",
               (long long)k->n_traces, plural(k->n_traces));
}

static int run(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    struct cli_option options[] = {CORPUS_OPTION(path), JSON_OPTION(json), {0}};
    int usage = cli_parse(&corpus_check_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c;
    struct corpus_checked k = {0};
    struct buf b = {0};
    struct findings f = {.json = json, .b = &b};
    err_code rc = corpus_open(path, CORPUS_READ, &c, &e);
    if (!rc && json)
        rc = buf_str(&b, "{\"findings\":[", &e);
    if (!rc)
        rc = corpus_check_all(c, on_finding, &f, &k, &e);
    corpus_close(c);
    if (rc && json && f.n) { /* what was found before it went no further */
        if (!buf_str(&b, "]}", NULL))
            printf("%s\n", b.data);
    } else if (!rc && json)
        rc = buf_printf(
            &b, &e, "],\"schema_version\":%lld,\"traces\":%lld,\"unjudged\":%lld,\"bytes\":%lld}",
            (long long)k.schema_version, (long long)k.n_traces, (long long)k.n_unjudged,
            (long long)k.n_bytes);
    else if (!rc)
        print(&k);
    int end = json ? corpus_end_json(rc, &b, &e) : cli_end(rc, &e);
    if (end == CLI_DONE && f.n) {
        fprintf(stderr,
                "decant: %s: damaged; restore a copy, or save what can be read with: sqlite3 %s "
                ".recover | sqlite3 new.db\n",
                path, path);
        end = CLI_FAILED;
    }
    return end;
}
