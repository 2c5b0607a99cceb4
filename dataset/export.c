#include "core/base/file.h"
#include "core/base/json.h"
#include "dataset/import.h"

#include <string.h>

static err_code put_text(struct buf *b, const char *key, const char *s, struct err *e)
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

/* The completion as R1's chat form spells it; without reasoning there is the answer alone. */
static err_code put_completion(struct buf *b, struct buf *text, const struct corpus_row *r,
                               struct err *e)
{
    buf_clear(text);
    err_code rc = ERR_OK;
    if (r->n_reasoning) {
        rc = buf_str(text, "<think>\n", e);
        if (!rc)
            rc = buf_add(text, r->reasoning, r->n_reasoning, e);
        if (!rc)
            rc = buf_str(text, "\n</think>\n\n", e);
    }
    if (!rc)
        rc = buf_add(text, r->answer, r->n_answer, e);
    return rc ? rc : json_quote(b, text->len ? text->data : "", text->len, e);
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
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = put_text(b, texts[i].key, texts[i].text, e);
    if (!rc)
        rc = buf_printf(b, e, ",\"truncated\":%s,\"no_think\":%s,\"repetition\":%s",
                        r->truncated ? "true" : "false", r->no_think ? "true" : "false",
                        r->repetition ? "true" : "false");
    if (!rc)
        rc = put_count(b, "n_prompt_tokens", r->n_prompt_tokens, e);
    if (!rc)
        rc = put_count(b, "n_reasoning_tokens", r->n_reasoning_tokens, e);
    if (!rc)
        rc = put_count(b, "n_completion_tokens", r->n_completion_tokens, e);
    return rc ? rc : buf_printf(b, e, ",\"request\":%s", r->request); /* canonical JSON already */
}

static err_code put_row(struct buf *b, struct buf *text, const struct corpus_row *r, struct err *e)
{
    buf_clear(b);
    err_code rc = buf_str(b, "{\"messages\":[{\"role\":\"user\",\"content\":", e);
    if (!rc)
        rc = json_quote(b, r->prompt, r->n_prompt, e);
    if (!rc)
        rc = buf_str(b, "},{\"role\":\"assistant\",\"content\":", e);
    if (!rc)
        rc = put_completion(b, text, r, e);
    if (!rc)
        rc = buf_str(b, "}]", e);
    if (!rc)
        rc = put_provenance(b, r, e);
    return rc ? rc : buf_str(b, "}\n", e);
}

struct sink {
    struct file_writer *w; /* or */
    FILE *f;
    const char *name;
};

static err_code sink_add(struct sink *s, const struct buf *b, struct err *e)
{
    if (s->w)
        return file_writer_add(s->w, b->data, b->len, e);
    return fwrite(b->data, 1, b->len, s->f) == b->len ? ERR_OK
                                                      : err_errno(e, "cannot write", s->name);
}

static err_code export_to(struct corpus *c, const char *selection, struct sink *sink,
                          bool (*on_progress)(void *, int64_t, int64_t), void *ctx, int64_t *n,
                          struct err *e)
{
    struct corpus_select *s = NULL;
    struct corpus_row row;
    struct buf line = {0}, text = {0};
    int64_t total = 0;
    bool more;
    *n = 0;
    err_code rc = on_progress ? corpus_count(c, selection, &total, e) : ERR_OK;
    if (!rc)
        rc = corpus_select_open(c, selection, &s, e);
    while (!rc && !(rc = corpus_select_next(s, &row, &more, e)) && more) {
        rc = put_row(&line, &text, &row, e);
        if (!rc)
            rc = sink_add(sink, &line, e);
        ++*n;
        if (!rc && on_progress && !on_progress(ctx, *n, total))
            rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld traces; nothing was written",
                         (long long)*n, (long long)total);
    }
    corpus_select_close(s);
    buf_dispose(&line);
    buf_dispose(&text);
    return rc;
}

err_code corpus_export(struct corpus *c, const char *selection, const char *path,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       int64_t *n, struct err *e)
{
    struct file_writer w = {0};
    struct sink sink = {.w = &w, .name = path};
    err_code rc = file_writer_open(&w, path, e);
    if (!rc)
        rc = export_to(c, selection, &sink, on_progress, ctx, n, e);
    if (!rc)
        rc = file_writer_commit(&w, e);
    file_writer_close(&w);
    return rc;
}

err_code corpus_export_stream(struct corpus *c, const char *selection, FILE *f, const char *name,
                              int64_t *n, struct err *e)
{
    struct sink sink = {.f = f, .name = name};
    err_code rc = export_to(c, selection, &sink, NULL, NULL, n, e);
    if (!rc && fflush(f))
        rc = err_errno(e, "cannot write", name);
    return rc;
}
