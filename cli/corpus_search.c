/* decant corpus search */
#include "cli/corpus.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "dataset/search.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int run(int argc, char **argv);
extern const struct command corpus_search_command;
const struct command corpus_search_command = {
    "corpus search",
    "find words in traces or prompts",
    "decant corpus search --corpus math.db --query 'modular inverse'\n"
    "  decant corpus search --corpus math.db --query 'answer: \"no solution\" NOT trivial'\n"
    "  decant corpus search --corpus math.db --in prompts --query 'triang*'",
    run,
    "Words, \"phrases\", prefix*, AND, OR, NOT, and reasoning: or answer: in front, as SQLite's "
    "FTS5 "
    "has\n"
    "them; the best hits first. The first search makes an index in the corpus file (about as large "
    "as half\n"
    "of the texts), later ones add to it what is new; --drop takes it away again.",
};

struct printing {
    bool json, tty;
    struct buf *b;
    enum search_in in;
    int64_t n;
};

/* A snippet on one line, with its hits marked: bold on a terminal, [ ] elsewhere. */
static void print_snippet(const char *s, bool tty)
{
    for (; *s; s++) {
        if (*s == '\x02')
            printf("%s", tty ? "\033[1m" : "[");
        else if (*s == '\x03')
            printf("%s", tty ? "\033[0m" : "]");
        else if (*s == '\n' || *s == '\t' || *s == '\r')
            putchar(' ');
        else if ((unsigned char)*s >= ' ' && *s != 0x7F)
            putchar(*s);
    }
    putchar('\n');
}

static void print_start(const char *s, size_t n)
{
    char line[81];
    size_t len = strcspn(s, "\n");
    len = len < n ? len : n;
    while (len && ((unsigned char)s[len] & 0xC0) == 0x80) /* not within a character */
        len--;
    memcpy(line, s, len);
    line[len] = 0;
    print_text(line);
    printf("%s\n", s[len] ? "..." : "");
}

static err_code json_hit(struct printing *p, const struct search_hit *h, struct err *e)
{
    err_code rc = buf_printf(p->b, e, "%s{\"%s\":%lld", p->n ? "," : "",
                             p->in == SEARCH_TRACES ? "trace" : "prompt", (long long)h->id);
    if (!rc && p->in == SEARCH_TRACES)
        rc = buf_printf(p->b, e, ",\"prompt\":%lld,\"verdict\":%s%s%s", (long long)h->prompt_id,
                        h->verdict ? "\"" : "", h->verdict ? h->verdict : "null",
                        h->verdict ? "\"" : "");
    if (!rc)
        rc = buf_str(p->b, ",\"snippet\":", e);
    struct buf plain = {0};
    for (const char *s = h->snippet; *s && !rc; s++)
        rc = *s == '\x02' || *s == '\x03' ? ERR_OK : buf_add(&plain, s, 1, e);
    if (!rc)
        rc = json_quote(p->b, plain.len ? plain.data : "", plain.len, e);
    buf_dispose(&plain);
    return rc ? rc : buf_str(p->b, "}", e);
}

static err_code on_hit(void *ctx, const struct search_hit *h, struct err *e)
{
    struct printing *p = ctx;
    err_code rc = ERR_OK;
    if (p->json)
        rc = json_hit(p, h, e);
    else if (p->in == SEARCH_TRACES) {
        printf("trace %lld (%s, ", (long long)h->id, h->verdict ? h->verdict : "not verified");
        print_text(h->teacher ? h->teacher : "");
        printf("): ");
        print_start(h->prompt, 80);
        printf("    ");
        print_snippet(h->snippet, p->tty);
    } else {
        printf("prompt %lld (%lld trace%s): ", (long long)h->id, (long long)h->n_traces,
               plural(h->n_traces));
        print_snippet(h->snippet, p->tty);
    }
    p->n++;
    return rc;
}

static err_code update(struct corpus *c, enum search_in in, bool read_only, struct err *e)
{
    struct progress bar;
    int64_t n = 0;
    if (read_only) {
        err_code rc = search_missing(c, in, &n, e);
        if (!rc && n > 0)
            log_warn("%lld text%s not in the index, and the corpus cannot be written", (long long)n,
                     n == 1 ? " is" : "s are");
        return rc;
    }
    progress_begin(&bar, "index", 0);
    err_code rc = search_update(c, in, corpus_on_progress, &bar, e);
    if (rc)
        progress_drop(&bar);
    else if (bar.n_total)
        progress_end(&bar, "%s", "up to date");
    return rc;
}

static err_code json_end(struct buf *b, int64_t n_all, const char *mistake, struct err *e)
{
    err_code rc = buf_printf(b, e, "],\"total\":%lld", (long long)n_all);
    if (!rc && *mistake)
        rc = buf_str(b, ",\"mistake\":", e);
    if (!rc && *mistake)
        rc = json_quote(b, mistake, strlen(mistake), e);
    return rc ? rc : buf_str(b, "}", e);
}

static err_code search(struct corpus *c, const char *query, int64_t limit, bool read_only,
                       struct printing *p, struct err *e)
{
    int64_t n_all = 0;
    char mistake[SEARCH_MISTAKE_BYTES] = "";
    err_code rc = update(c, p->in, read_only, e);
    if (!rc && p->json)
        rc = buf_str(p->b, "{\"hits\":[", e);
    if (!rc)
        rc = search_run(c, p->in, query, limit, on_hit, p, &n_all, mistake, e);
    if (!rc && p->json)
        return json_end(p->b, n_all, mistake, e);
    if (rc)
        return rc;
    printf("%s%lld hit%s%s\n", n_all ? "\n" : "", (long long)n_all, plural(n_all),
           p->n < n_all ? "; --limit shows more" : "");
    if (*mistake)
        printf(
            "as a query it has a mistake (%s), so its words were looked for, all of them; words in "
            "quotes (\"...\") are looked for as they stand\n",
            mistake);
    return ERR_OK;
}

static int run(int argc, char **argv)
{
    const char *path = NULL, *query = NULL, *in = "traces";
    int64_t limit = 10;
    bool json = false, drop = false;
    struct cli_option options[] = {
        CORPUS_OPTION(path),
        {"query", CLI_STR, &query, "WORDS", "what to look for"},
        {"in", CLI_STR, &in, "WHERE", "traces (reasoning and answer) or prompts"},
        {"limit", CLI_INT, &limit, "N", "show the best N", .min = 1, .max = 100000},
        {"drop", CLI_FLAG, &drop, "", "take the index out of the file instead"},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_search_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c = NULL;
    struct buf b = {0};
    struct printing p = {.json = json, .tty = isatty(1), .b = &b};
    err_code rc = ERR_OK;
    p.in = !strcmp(in, "prompts") ? SEARCH_PROMPTS : SEARCH_TRACES;
    if (!query == !drop)
        rc = err_set(&e, ERR_USAGE, "give --query WORDS, or --drop");
    else if (p.in == SEARCH_TRACES && strcmp(in, "traces") != 0)
        rc = err_set(&e, ERR_USAGE, "--in %s: there are traces and prompts", in);
    if (!rc)
        rc = corpus_open(path, CORPUS_WRITE, &c, &e);
    bool read_only = rc == ERR_IO && !drop; /* the index that it has can still be searched */
    if (read_only)
        rc = corpus_open(path, CORPUS_READ, &c, &e);
    stop_install();
    if (!rc)
        rc = drop ? search_drop(c, &e) : search(c, query, limit, read_only, &p, &e);
    corpus_close(c);
    return json && !drop ? corpus_end_json(rc, &b, &e) : cli_end(rc, &e);
}
