#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/pipeline.h"
#include "dataset/import.h"
#include "dataset/sql.h"

#include <string.h>

enum { BATCH = 32 }; /* traces at a time */

static const struct {
    const char *name;
    enum export_format format;
} formats[] = {{"messages", EXPORT_MESSAGES},
               {"sharegpt", EXPORT_SHAREGPT},
               {"prompt-completion", EXPORT_PROMPT_COMPLETION}};

bool export_format_of(const char *name, enum export_format *out)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i].name)) {
            *out = formats[i].format;
            return true;
        }
    return false;
}

/* ---- one line ---- */

static err_code put(struct buf *b, const char *before, const char *s, size_t n, const char *after,
                    struct err *e)
{
    err_code rc = buf_str(b, before, e);
    if (!rc)
        rc = json_quote(b, s, n, e);
    return rc ? rc : buf_str(b, after, e);
}

/* The completion as R1's chat form spells it; without reasoning there is the answer alone. */
static err_code put_completion(struct buf *b, const char *before, const struct corpus_row *r,
                               const char *after, struct buf *text, struct err *e)
{
    if (!r->n_reasoning)
        return put(b, before, r->answer, r->n_answer, after, e);
    buf_clear(text);
    err_code rc = buf_str(text, "<think>\n", e);
    if (!rc)
        rc = buf_add(text, r->reasoning, r->n_reasoning, e);
    if (!rc)
        rc = buf_str(text, "\n</think>\n\n", e);
    if (!rc)
        rc = buf_add(text, r->answer, r->n_answer, e);
    return rc ? rc : put(b, before, text->data, text->len, after, e);
}

/* The three forms: what stands before the system's words, the prompt and the completion. */
static const struct form {
    const char *start, *system, *after_system, *prompt, *completion, *end;
} forms[] = {
    [EXPORT_MESSAGES] = {"{\"messages\":[", "{\"role\":\"system\",\"content\":", "},",
                         "{\"role\":\"user\",\"content\":",
                         "},{\"role\":\"assistant\",\"content\":", "}]"},
    [EXPORT_SHAREGPT] = {"{\"conversations\":[", "{\"from\":\"system\",\"value\":", "},",
                         "{\"from\":\"human\",\"value\":", "},{\"from\":\"gpt\",\"value\":", "}]"},
    [EXPORT_PROMPT_COMPLETION] = {"{", "\"system\":", ",", "\"prompt\":", ",\"completion\":", ""},
};

static err_code put_system(struct buf *b, const struct form *f, const char *request, struct err *e)
{
    struct json j = {0};
    const char *system = NULL;
    if (!strstr(request, "\"system\":"))
        return ERR_OK;
    err_code rc = json_parse(&j, "request", request, strlen(request), e);
    const cJSON *v = rc ? NULL : json_at(j.root, "system");
    system = cJSON_IsString(v) ? v->valuestring : NULL;
    if (!rc && system)
        rc = put(b, f->system, system, strlen(system), f->after_system, e);
    json_close(&j);
    return rc;
}

static err_code put_field(struct buf *b, const char *key, const char *s, struct err *e)
{
    if (!s)
        return ERR_OK;
    err_code rc = buf_printf(b, e, ",\"%s\":", key);
    return rc ? rc : json_quote(b, s, strlen(s), e);
}

static err_code put_count(struct buf *b, const char *key, int64_t n, struct err *e)
{
    return n < 0 ? ERR_OK : buf_printf(b, e, ",\"%s\":%lld", key, (long long)n);
}

static err_code put_amount(struct buf *b, const char *key, double x, struct err *e)
{
    return x < 0 ? ERR_OK : buf_printf(b, e, ",\"%s\":%.15g", key, x);
}

static err_code put_marks(struct buf *b, const char *marks, struct err *e)
{
    err_code rc = buf_str(b, ",\"marks\":[", e);
    for (const char *s = marks; s && *s && !rc;) {
        size_t n = strcspn(s, ",");
        rc = put(b, s == marks ? "" : ",", s, n, "", e);
        s += n + (s[n] == ',');
    }
    return rc ? rc : buf_str(b, "]", e);
}

static err_code put_provenance(struct buf *b, const struct corpus_row *r, struct err *e)
{
    err_code rc = buf_printf(b, e, ",\"trace_id\":%lld,\"prompt_id\":%lld,\"sample_index\":%lld",
                             (long long)r->id, (long long)r->prompt_id, (long long)r->sample_index);
    const struct {
        const char *key, *text;
    } texts[] = {{"source", r->source},
                 {"gold", r->gold},
                 {"verdict", r->verdict},
                 {"teacher", r->teacher},
                 {"served_model", r->served_model},
                 {"finish_reason", r->finish_reason},
                 {"created_at", r->created_at},
                 {"program", r->program}};
    const struct {
        const char *key;
        int64_t n;
    } counts[] = {{"n_prompt_tokens", r->n_prompt_tokens},
                  {"n_cached_tokens", r->n_cached_tokens},
                  {"n_reasoning_tokens", r->n_reasoning_tokens},
                  {"n_completion_tokens", r->n_completion_tokens}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = put_field(b, texts[i].key, texts[i].text, e);
    for (size_t i = 0; i < sizeof counts / sizeof *counts && !rc; i++)
        rc = put_count(b, counts[i].key, counts[i].n, e);
    if (!rc)
        rc = put_amount(b, "cost_usd", r->cost_usd, e);
    if (!rc)
        rc = put_amount(b, "latency_ms", r->latency_ms, e);
    if (!rc)
        rc = put_marks(b, r->marks, e);
    return rc ? rc : buf_printf(b, e, ",\"request\":%s", r->request); /* canonical JSON already */
}

static err_code put_row(struct buf *b, struct buf *text, const struct corpus_row *r,
                        const struct export_options *o, struct err *e)
{
    const struct form *f = &forms[o->format];
    err_code rc = buf_str(b, f->start, e);
    if (!rc)
        rc = put_system(b, f, r->request, e);
    if (!rc)
        rc = put(b, f->prompt, r->prompt, r->n_prompt, "", e);
    if (!rc)
        rc = put_completion(b, f->completion, r, f->end, text, e);
    if (!rc && !o->bare)
        rc = put_provenance(b, r, e);
    return rc ? rc : buf_str(b, "}\n", e);
}

/* ---- all lines: ids in order, rows read and written out side by side ---- */

struct batch {
    int64_t ids[BATCH];
    int n;
    struct buf lines, text;
};

struct export
{
    const struct export_options *o;
    struct corpus *c;
    struct corpus_select *ids;
    bool at_end;
    struct row_reader *readers; /* one a thread */
    struct file_writer *w;      /* or */
    FILE *f;
    const char *name;
    int64_t n, total;
};

static err_code take_ids(void *ctx, void *slot, bool *more, struct err *e)
{
    struct export *x = ctx;
    struct batch *b = slot;
    err_code rc = ERR_OK;
    b->n = 0;
    while (b->n < BATCH && !x->at_end && !rc) {
        bool more_ids = false;
        rc = corpus_select_next_id(x->ids, &b->ids[b->n], &more_ids, e);
        x->at_end = !more_ids; /* another step would begin anew */
        b->n += more_ids;
    }
    *more = b->n > 0;
    if (*more)
        bulk_read_at(x->c, b->ids[0]);
    return rc;
}

static err_code write_lines(void *ctx, int thread, void *slot, struct err *e)
{
    struct export *x = ctx;
    struct batch *b = slot;
    struct corpus_row row;
    err_code rc = ERR_OK;
    buf_clear(&b->lines);
    for (int i = 0; i < b->n && !rc; i++) {
        rc = row_reader_read(&x->readers[thread], b->ids[i], &row, e);
        if (!rc)
            rc = put_row(&b->lines, &b->text, &row, x->o, e);
    }
    return rc;
}

static err_code give_lines(void *ctx, void *slot, struct err *e)
{
    struct export *x = ctx;
    struct batch *b = slot;
    err_code rc = ERR_OK;
    if (x->w)
        rc = file_writer_add(x->w, b->lines.data, b->lines.len, e);
    else if (fwrite(b->lines.data, 1, b->lines.len, x->f) != b->lines.len)
        rc = err_errno(e, "cannot write", x->name);
    x->n += b->n;
    if (!rc && x->o->on_progress && !x->o->on_progress(x->o->progress_ctx, x->n, x->total))
        rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld traces; nothing was written",
                     (long long)x->n, (long long)x->total);
    return rc;
}

static err_code run(struct export *x, struct corpus *c, struct err *e)
{
    int n_threads = pipeline_threads(x->o->n_threads), n_slots = 4 * n_threads;
    struct batch *batches = mem_new((size_t)n_slots, sizeof *batches, e);
    x->readers = mem_new((size_t)n_threads, sizeof *x->readers, e);
    err_code rc = batches && x->readers ? ERR_OK : ERR_NOMEM;
    if (!rc && x->o->on_progress)
        rc = corpus_count(c, x->o->selection, &x->total, e);
    if (!rc)
        rc = select_ids_open(c, x->o->selection, &x->ids, e);
    for (int i = 0; i < n_threads && !rc; i++)
        rc = row_reader_open(&x->readers[i], corpus_path(c), e);
    x->c = c;
    bulk_read_begin(c);
    struct pipeline p = {.take = take_ids,
                         .work = write_lines,
                         .give = give_lines,
                         .ctx = x,
                         .slots = batches,
                         .slot_bytes = sizeof *batches,
                         .n_slots = n_slots,
                         .n_threads = n_threads};
    if (!rc)
        rc = pipeline_run(&p, e);
    corpus_select_close(x->ids);
    for (int i = 0; i < n_threads && x->readers; i++)
        row_reader_close(&x->readers[i]);
    for (int i = 0; i < n_slots && batches; i++) {
        buf_dispose(&batches[i].lines);
        buf_dispose(&batches[i].text);
    }
    mem_free(x->readers);
    mem_free(batches);
    char why[CORPUS_EXPLAIN];
    if (!rc && !x->n && !(rc = corpus_explain_none(c, why, e)))
        rc = err_set(e, ERR_NOTFOUND, "%s: the selection \"%.300s\" holds no trace to export: %s",
                     corpus_path(c), x->o->selection, why);
    return rc;
}

static bool begins(const char *start, size_t n, const char *what)
{
    return n >= strlen(what) && !memcmp(start, what, strlen(what));
}

/* Does a file begin as one of the three forms does? Prompt files have the same first keys as the
 * third; a completion they have not. */
static bool is_export(const char *start, size_t n)
{
    return begins(start, n, forms[EXPORT_MESSAGES].start) ||
           begins(start, n, forms[EXPORT_SHAREGPT].start) ||
           (begins(start, n, "{\"") && memmem(start, n, ",\"completion\":", 14));
}

err_code corpus_export(struct corpus *c, const struct export_options *o, const char *path,
                       int64_t *n, struct err *e)
{
    struct file_writer w = {0};
    struct export x = {.o = o, .w = &w, .name = path};
    err_code rc = file_may_replace(path, "an export of traces", is_export, e);
    if (!rc)
        rc = file_writer_open(&w, path, e);
    if (!rc)
        rc = run(&x, c, e);
    if (!rc)
        rc = file_writer_commit(&w, e);
    file_writer_close(&w);
    *n = x.n;
    return rc;
}

err_code corpus_export_stream(struct corpus *c, const struct export_options *o, FILE *f,
                              const char *name, int64_t *n, struct err *e)
{
    struct export x = {.o = o, .f = f, .name = name};
    err_code rc = run(&x, c, e);
    if (!rc && fflush(f))
        rc = err_errno(e, "cannot write", name);
    *n = x.n;
    return rc;
}
