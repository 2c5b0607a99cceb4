#include "dataset/filter.h"
#include "dataset/scripts.h"
#include "dataset/sql.h"
#include "dataset/texts.h"

#include <stdio.h>
#include <string.h>

const char *filter_kind(enum filter_rule r)
{
    static const char *const kinds[FILTER_N] = {"mixed_language", "long_paragraph", "code_block",
                                                "length"};
    return kinds[r];
}

/* ---- rules on a text ---- */

/* The next line of text from *at on, without its end; NULL after the last. */
static const char *next_line(const char **at, const char *end, size_t *n)
{
    const char *line = *at;
    if (line >= end)
        return NULL;
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    *at = newline ? newline + 1 : end;
    *n = (size_t)((newline ? newline : end) - line);
    return line;
}

/* The character of a code fence that the line begins with (` or ~), or 0. */
static char fence_of(const char *line, size_t n)
{
    size_t i = 0;
    while (i < n && (line[i] == ' ' || line[i] == '\t'))
        i++;
    bool fence = n - i >= 3 && (line[i] == '`' || line[i] == '~') && line[i + 1] == line[i] &&
                 line[i + 2] == line[i];
    return fence ? line[i] : 0;
}

bool filter_long_paragraph(const char *text, size_t n, int64_t max_bytes,
                           char reason[FILTER_REASON])
{
    const char *line, *at = text;
    size_t length;
    int64_t longest = 0;
    char open = 0; /* the fence that code stands in */
    while ((line = next_line(&at, text + n, &length))) {
        char fence = fence_of(line, length);
        if (fence && (!open || open == fence))
            open = open ? 0 : fence;
        else if (!open && (int64_t)length > longest)
            longest = (int64_t)length;
    }
    if (longest <= max_bytes)
        return false;
    snprintf(reason, FILTER_REASON, "a paragraph of %lld bytes; at most %lld", (long long)longest,
             (long long)max_bytes);
    return true;
}

bool filter_code_block(const char *text, size_t n, char reason[FILTER_REASON])
{
    const char *line, *at = text;
    size_t length;
    for (int64_t number = 1; (line = next_line(&at, text + n, &length)); number++)
        if (fence_of(line, length)) {
            snprintf(reason, FILTER_REASON, "a code block at line %lld", (long long)number);
            return true;
        }
    return false;
}

/* ---- traces ---- */

struct trace {
    int64_t n_tokens, n_answer; /* -1: not counted; bytes */
    struct minhash_text prompt, reasoning;
};

/* *uncounted: there is a bound on tokens, and their number is not known. */
static bool is_out_of_bounds(const struct filter_options *opt, const struct trace *t,
                             bool *uncounted, char reason[FILTER_REASON])
{
    int64_t bytes = (int64_t)t->reasoning.n + t->n_answer;
    *uncounted = t->n_tokens < 0 && (opt->min_tokens >= 0 || opt->max_tokens >= 0);
    const struct {
        int64_t n, min, max;
        const char *unit;
    } bounds[] = {{t->n_tokens, opt->min_tokens, opt->max_tokens, "tokens"},
                  {bytes, opt->min_bytes, opt->max_bytes, "bytes"}};
    for (int i = *uncounted; i < 2; i++) {
        bool few = bounds[i].min >= 0 && bounds[i].n < bounds[i].min;
        bool many = bounds[i].max >= 0 && bounds[i].n > bounds[i].max;
        if (few || many) {
            snprintf(reason, FILTER_REASON, "%lld %s; at %s %lld", (long long)bounds[i].n,
                     bounds[i].unit, few ? "least" : "most",
                     (long long)(few ? bounds[i].min : bounds[i].max));
            return true;
        }
    }
    return false;
}

struct finding {
    bool marked[FILTER_N], uncounted;
    char reasons[FILTER_N][FILTER_REASON];
};
_Static_assert((int)SCRIPTS_REASON <= (int)FILTER_REASON, "a reason fits");

static void judge(const struct filter_options *opt, const struct trace *t, struct finding *f)
{
    memset(f->marked, 0, sizeof f->marked);
    f->uncounted = false;
    const char *text = t->reasoning.text;
    size_t n = t->reasoning.n;
    if (opt->use[FILTER_MIXED_LANGUAGE])
        f->marked[FILTER_MIXED_LANGUAGE] =
            scripts_mixed(t->prompt.text, t->prompt.n, text, n, opt->max_foreign,
                          f->reasons[FILTER_MIXED_LANGUAGE]);
    if (opt->use[FILTER_LONG_PARAGRAPH])
        f->marked[FILTER_LONG_PARAGRAPH] =
            filter_long_paragraph(text, n, opt->max_paragraph, f->reasons[FILTER_LONG_PARAGRAPH]);
    if (opt->use[FILTER_CODE_BLOCK])
        f->marked[FILTER_CODE_BLOCK] = filter_code_block(text, n, f->reasons[FILTER_CODE_BLOCK]);
    if (opt->use[FILTER_LENGTH])
        f->marked[FILTER_LENGTH] =
            is_out_of_bounds(opt, t, &f->uncounted, f->reasons[FILTER_LENGTH]);
}

struct job {
    const struct filter_options *opt;
    struct corpus_marks *marks[FILTER_N];
    struct finding findings[TEXTS_MAX_ITEMS];
};

static err_code judge_batch(struct job *j, const struct texts *t, struct filter_summary *out,
                            struct err *e)
{
#pragma omp parallel for schedule(dynamic, 4)
    for (int i = 0; i < t->n_items; i++) {
        struct trace trace = {t->items[i].numbers[0], t->items[i].numbers[1], texts_part(t, i, 0),
                              texts_part(t, i, 1)};
        judge(j->opt, &trace, &j->findings[i]);
    }
    err_code rc = ERR_OK;
    for (int i = 0; i < t->n_items && !rc; i++) {
        const struct finding *f = &j->findings[i];
        out->n_traces++;
        out->n_uncounted += f->uncounted;
        for (int r = 0; r < FILTER_N && !rc; r++)
            if (f->marked[r])
                rc = corpus_mark(j->marks[r], t->items[i].id, f->reasons[r], e);
    }
    return rc;
}

static const char traces_sql[] =
    "SELECT t.id, t.n_completion_tokens, length(CAST(t.answer AS BLOB)), p.text, t.reasoning "
    "FROM traces t JOIN prompts p ON p.id = t.prompt_id";

err_code corpus_filter(struct corpus *c, const struct filter_options *opt,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct filter_summary *out, struct err *e)
{
    struct texts t = {0};
    int64_t total = 0;
    *out = (struct filter_summary){0};
    struct job *j = mem_new(1, sizeof *j, e);
    if (!j)
        return ERR_NOMEM;
    j->opt = opt;
    err_code rc = sql_number(c, "SELECT count(*) FROM traces", &total, e);
    for (int r = 0; r < FILTER_N && !rc; r++)
        if (opt->use[r])
            rc = corpus_marks_begin(c, filter_kind((enum filter_rule)r), CORPUS_MARK_TRACES,
                                    FILTER_VERSION, &j->marks[r], e);
    if (!rc)
        rc = texts_open(&t, c, traces_sql, 2, 2, e);
    while (!rc && !(rc = texts_next(&t, e)) && t.n_items) {
        rc = judge_batch(j, &t, out, e);
        if (!rc && on_progress && !on_progress(ctx, out->n_traces, total))
            rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld traces; nothing was changed",
                         (long long)out->n_traces, (long long)total);
    }
    texts_close(&t);
    struct marks_summary *sums[FILTER_N];
    for (int r = 0; r < FILTER_N; r++)
        sums[r] = &out->rules[r];
    if (!rc)
        rc = corpus_marks_commit_all(j->marks, FILTER_N, sums, e);
    for (int r = 0; r < FILTER_N; r++)
        corpus_marks_end(j->marks[r]);
    mem_free(j);
    return rc;
}

err_code corpus_filter_where(struct corpus *c, const char *selection, const char *kind,
                             struct marks_summary *out, struct err *e)
{
    struct corpus_marks *m = NULL;
    struct corpus_select *s = NULL;
    char reason[FILTER_REASON];
    int64_t id;
    bool more = false;
    *out = (struct marks_summary){0};
    snprintf(reason, sizeof reason, "%s", selection);
    err_code rc = corpus_marks_begin(c, kind, CORPUS_MARK_TRACES, FILTER_VERSION, &m, e);
    if (!rc)
        rc = corpus_select_open_ids(c, selection, kind, &s, e);
    while (!rc && !(rc = corpus_select_next_id(s, &id, &more, e)) && more)
        rc = corpus_mark(m, id, reason, e);
    if (!rc)
        rc = corpus_marks_commit(m, out, e);
    corpus_select_close(s);
    corpus_marks_end(m);
    return rc;
}

/* The kinds whose marks can be taken away, after the message. */
static void add_kinds(struct corpus *c, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    if (!sql_prepare(c->db, c->path,
                     "SELECT group_concat(kind, ', ') FROM (SELECT DISTINCT kind FROM verdicts "
                     "WHERE kind NOT IN (" VERDICT_KINDS ") ORDER BY kind)",
                     &st, NULL) &&
        !sql_step(c->db, c->path, st, "cannot be read", &row, NULL) && row)
        err_add(e, "; %s%s", sql_text(st, 0) ? "marks there are: " : "no trace has a mark to clear",
                sql_text(st, 0) ? sql_text(st, 0) : "");
    sqlite3_finalize(st);
}

err_code corpus_filter_clear(struct corpus *c, const char *kind, struct marks_summary *out,
                             struct err *e)
{
    err_code rc = corpus_marks_clear(c, kind, CORPUS_MARK_TRACES, out, e);
    bool known = out->n_cleared > 0;
    for (int r = 0; r < FILTER_N; r++)
        known |= !strcmp(kind, filter_kind((enum filter_rule)r));
    if (!rc && !known) {
        rc = err_set(e, ERR_NOTFOUND, "--clear %s: no trace is marked so", kind);
        add_kinds(c, e);
    }
    return rc;
}
