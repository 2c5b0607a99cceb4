#include "dataset/import.h"
#include "core/base/file.h"
#include "core/base/pipeline.h"
#include "dataset/sql.h"

#include <string.h>

enum {
    BATCH = 64,              /* records at a time, */
    BATCH_BYTES = 512 << 10, /* or about this many bytes */
    BULK_BYTES = 64 << 20,   /* a file of this size is worth bulk_begin */
};

/* A record on its way: parsed and judged by the workers, stored in order. */
struct entry {
    size_t at, n; /* in the batch's text */
    int64_t line;
    struct json_arena arena;
    struct item item;
    struct buf request;           /* canonical JSON */
    struct buf flat, flat_before; /* of the request, and of the record before's */
    struct verdicts verdicts[ITEM_TRACES];
    err_code rc;
    struct err *err; /* of a record that does not fit; made when needed */
};
struct batch {
    struct buf text;
    struct entry *entries; /* [BATCH] */
    int n;
    int64_t end; /* bytes of the file behind it */
};

struct import {
    struct corpus *c;
    const struct import_options *opt;
    struct import_summary *sum;
    struct records *records;
    const char *source;
    int64_t n_taken, n_bytes, file_bytes;
    int64_t n_gold;          /* records with a gold answer */
    struct buf last_request; /* and its id: most records have the one before's */
    int64_t last_id;
    struct { /* the same of prompts: their samples often follow one another */
        struct buf text, gold;
        int64_t id;
        bool has_gold, conflict;
    } last;
};

static err_code take_batch(void *ctx, void *slot, bool *more, struct err *e)
{
    static const char spare[JSON_ARENA_SPARE];
    struct import *m = ctx;
    struct batch *b = slot;
    struct record record;
    err_code rc = ERR_OK;
    bool any = true;
    b->n = 0;
    buf_clear(&b->text);
    while (b->n < BATCH && b->text.len < BATCH_BYTES && any && !rc &&
           (!m->opt->limit || m->n_taken < m->opt->limit)) {
        rc = records_next(m->records, &record, &any, e);
        if (rc || !any)
            break;
        struct entry *x = &b->entries[b->n];
        x->at = b->text.len;
        x->n = record.n;
        x->line = record.line;
        rc = buf_add(&b->text, record.text, record.n, e);
        if (!rc)
            rc = buf_add(&b->text, "", 1, e);
        m->n_bytes += (int64_t)record.n + 1;
        m->n_taken++;
        b->n++;
    }
    if (!rc)
        rc = buf_add(&b->text, spare, sizeof spare, e);
    b->end = m->n_bytes;
    *more = b->n > 0;
    return rc;
}

static bool is_same(const struct buf *b, const char *s, size_t n)
{
    return b->len == n && (!n || !memcmp(b->data, s, n));
}

static err_code add_bytes(struct buf *b, const char *s, struct err *e)
{
    return s ? buf_add(b, s, strlen(s) + 1, e) : ERR_OK;
}

/* A tree's bytes, which are the same when the trees are, and much faster to come by than JSON. */
static err_code flatten(const cJSON *v, struct buf *b, struct err *e)
{
    err_code rc = buf_add(b, &v->type, sizeof v->type, e);
    if (!rc)
        rc = buf_add(b, &v->valuedouble, sizeof v->valuedouble, e);
    if (!rc)
        rc = add_bytes(b, v->string, e);
    if (!rc)
        rc = add_bytes(b, v->valuestring, e);
    for (const cJSON *k = v->child; k && !rc; k = k->next)
        rc = flatten(k, b, e);
    int end = -1;
    return rc ? rc : buf_add(b, &end, sizeof end, e);
}

static err_code print_request(const char *place, struct entry *x, struct err *e)
{
    char *text = cJSON_PrintUnformatted(x->item.request);
    buf_clear(&x->request);
    err_code rc = text ? corpus_canonical_json(place, text, strlen(text), &x->request, e)
                       : err_set(e, ERR_NOMEM, "%s: out of memory", place);
    cJSON_free(text);
    return rc;
}

/* Mostly the one that the entry had before. */
static err_code canonical_request(const char *place, struct entry *x, struct err *e)
{
    struct buf before = x->flat;
    x->flat = x->flat_before;
    x->flat_before = before;
    buf_clear(&x->flat);
    err_code rc = flatten(x->item.request, &x->flat, e);
    if (rc || is_same(&before, x->flat.data, x->flat.len))
        return rc;
    rc = print_request(place, x, e);
    if (rc)
        buf_clear(&x->flat); /* there is none of it */
    return rc;
}

static err_code make_request(const struct import *m, const char *place, struct entry *x,
                             struct err *e)
{
    const struct item *item = &x->item;
    const char *teacher = item->teacher ? item->teacher : m->opt->teacher;
    struct buf *b = &x->request;
    if (item->request)
        return canonical_request(place, x, e);
    buf_clear(&x->flat);
    buf_clear(b);
    if (!teacher)
        return err_set(e, ERR_USAGE,
                       "%s: does not say which teacher made it; name it with --teacher, or its "
                       "field with --teacher-field",
                       place);
    err_code rc = buf_str(b, "{\"origin\":\"imported\",", e);
    if (!rc && item->system) {
        rc = buf_str(b, "\"system\":", e);
        if (!rc)
            rc = json_quote(b, item->system, strlen(item->system), e);
        if (!rc)
            rc = buf_str(b, ",", e);
    }
    if (!rc)
        rc = buf_str(b, "\"teacher\":", e);
    if (!rc)
        rc = json_quote(b, teacher, strlen(teacher), e);
    return rc ? rc : buf_str(b, "}", e);
}

static const char *finish_reason(const struct item *item, const struct item_trace *t)
{
    return item->finish_reason ? item->finish_reason : t->cut ? "cut" : "imported";
}

static err_code read_entry(struct import *m, const char *text, struct entry *x, struct err *e)
{
    struct record record = {text + x->at, x->n, x->line, true};
    char place[RECORD_PLACE];
    const cJSON *root;
    err_code rc = record_parse(m->records, &record, place, &x->arena, &root, e);
    if (!rc)
        rc = item_read(&x->item, root, place, &m->opt->names, m->opt->traces, e);
    if (!rc && m->opt->traces)
        rc = make_request(m, place, x, e);
    for (int i = 0; i < x->item.n_traces && !rc; i++) {
        const struct item_trace *t = &x->item.traces[i];
        verdict_judge(t->reasoning, t->n_reasoning, t->answer, t->n_answer,
                      finish_reason(&x->item, t), x->item.gold, x->item.n_gold, &x->verdicts[i]);
    }
    return rc;
}

static err_code read_batch(void *ctx, int thread, void *slot, struct err *e)
{
    struct import *m = ctx;
    struct batch *b = slot;
    (void)thread;
    for (int i = 0; i < b->n; i++) {
        struct entry *x = &b->entries[i];
        struct err err;
        x->rc = read_entry(m, b->text.data, x, &err);
        if (!x->rc)
            continue;
        if (!x->err && !(x->err = mem_new(1, sizeof *x->err, e)))
            return ERR_NOMEM;
        *x->err = err;
    }
    return ERR_OK;
}

static err_code request_id(struct import *m, const struct buf *json, int64_t *id, struct err *e)
{
    if (m->last_id && is_same(&m->last_request, json->data, json->len)) {
        *id = m->last_id;
        return ERR_OK;
    }
    err_code rc = corpus_request(m->c, json->data, id, e);
    if (rc)
        return rc;
    buf_clear(&m->last_request);
    m->last_id = *id;
    return buf_add(&m->last_request, json->data, json->len, e);
}

/* Is there a trace with this text? Else *sample is the next free index. */
static err_code place_sample(struct import *m, const struct corpus_trace *t, bool *there,
                             int64_t *sample, struct err *e)
{
    sqlite3_stmt *st;
    err_code rc = sql_get(m->c, SQL_SAME_TRACE, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, t->prompt_id);
    sqlite3_bind_int64(st, 2, t->request_id);
    sqlite3_bind_text64(st, 3, t->answer, t->n_answer, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_text64(st, 4, t->reasoning, t->n_reasoning, SQLITE_STATIC, SQLITE_UTF8);
    rc = sql_step(m->c->db, m->c->path, st, "cannot read traces", there, e);
    sqlite3_reset(st);
    if (!rc && !*there)
        rc = sql_get(m->c, SQL_NEXT_SAMPLE, &st, e);
    if (rc || *there)
        return rc;
    bool row;
    sqlite3_bind_int64(st, 1, t->prompt_id);
    sqlite3_bind_int64(st, 2, t->request_id);
    rc = sql_step(m->c->db, m->c->path, st, "cannot read traces", &row, e);
    *sample = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc;
}

static struct corpus_trace trace_of(const struct item *item, const struct item_trace *t)
{
    return (struct corpus_trace){.reasoning = t->reasoning,
                                 .n_reasoning = t->n_reasoning,
                                 .answer = t->answer,
                                 .n_answer = t->n_answer,
                                 .finish_reason = finish_reason(item, t),
                                 .n_prompt_tokens = item->n_prompt_tokens,
                                 .n_cached_tokens = item->n_cached_tokens,
                                 .n_reasoning_tokens = item->n_reasoning_tokens,
                                 .n_completion_tokens = item->n_completion_tokens,
                                 .cost_usd = item->cost_usd,
                                 .latency_ms = item->latency_ms,
                                 .served_model = item->served_model,
                                 .think_rule = t->think_rule,
                                 .created_at = item->created_at,
                                 .program = item->program,
                                 .extra_json = item->extra};
}

/* judged: the entry's verdicts are against the gold answer that the corpus has. */
static err_code add_trace(struct import *m, struct entry *x, const struct corpus_trace *t, int i,
                          bool judged, bool *added, struct err *e)
{
    int64_t id;
    err_code rc = judged ? corpus_add_judged(m->c, t, true, &x->verdicts[i], &id, added, e)
                         : corpus_add_trace(m->c, t, &id, added, NULL, e);
    const cJSON *marks = x->item.marks ? x->item.marks->child : NULL;
    for (; marks && !rc && *added; marks = marks->next)
        if (cJSON_IsString(marks))
            rc = corpus_add_mark(m->c, id, marks->valuestring, e);
    return rc;
}

static err_code store_traces(struct import *m, struct entry *x, int64_t prompt_id, bool new_prompt,
                             bool judged, struct err *e)
{
    const struct item *item = &x->item;
    int64_t request = 0;
    err_code rc = request_id(m, &x->request, &request, e);
    for (int i = 0; i < item->n_traces && !rc; i++) {
        struct corpus_trace t = trace_of(item, &item->traces[i]);
        bool there = false, added = false;
        bool own_place = item->request && item->sample_index >= 0 && item->n_traces == 1;
        t.prompt_id = prompt_id;
        t.request_id = request;
        t.sample_index = own_place ? item->sample_index : i;
        if (!own_place && (!new_prompt || i > 0))
            rc = place_sample(m, &t, &there, &t.sample_index, e);
        if (!rc && !there)
            rc = add_trace(m, x, &t, i, judged, &added, e);
        if (!rc && own_place && !added) { /* by this text, or by another one */
            rc = place_sample(m, &t, &there, &t.sample_index, e);
            if (!rc && !there)
                rc = add_trace(m, x, &t, i, judged, &added, e);
        }
        m->sum->n_traces += added;
        m->sum->n_traces_there += !added;
    }
    return rc;
}

/* Has a prompt that was there a gold answer? */
static err_code has_gold(struct import *m, int64_t prompt_id, bool *yes, struct err *e)
{
    sqlite3_stmt *st;
    bool row = false;
    err_code rc = sql_get(m->c, SQL_GOLD, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, prompt_id);
    rc = sql_step(m->c->db, m->c->path, st, "cannot be read", &row, e);
    *yes = row && sqlite3_column_type(st, 0) != SQLITE_NULL;
    sqlite3_reset(st);
    return rc;
}

/* corpus_add_prompt, which is not asked what it said of the record before. */
static err_code add_prompt(struct import *m, const struct corpus_prompt *p, int64_t *id,
                           bool *added, bool *conflict, struct err *e)
{
    if (m->last.id && !p->extra_json && is_same(&m->last.text, p->text, p->n_text) &&
        m->last.has_gold == (p->gold != NULL) &&
        (!p->gold || is_same(&m->last.gold, p->gold, p->n_gold))) {
        *id = m->last.id;
        *added = false;
        *conflict = m->last.conflict;
        return ERR_OK;
    }
    m->last.id = 0;
    err_code rc = corpus_add_prompt(m->c, p, id, added, conflict, e);
    if (rc)
        return rc;
    buf_clear(&m->last.text);
    buf_clear(&m->last.gold);
    rc = buf_add(&m->last.text, p->text, p->n_text, e);
    if (!rc && p->gold)
        rc = buf_add(&m->last.gold, p->gold, p->n_gold, e);
    m->last.id = *id;
    m->last.has_gold = p->gold != NULL;
    m->last.conflict = *conflict;
    return rc;
}

static err_code store_entry(struct import *m, struct entry *x, struct err *e)
{
    const struct item *item = &x->item;
    struct import_summary *sum = m->sum;
    int64_t id;
    bool added, conflict, gold = item->gold != NULL;
    struct corpus_prompt prompt = {.text = item->prompt,
                                   .n_text = item->n_prompt,
                                   .gold = item->gold,
                                   .n_gold = item->n_gold,
                                   .source = m->opt->source ? m->opt->source
                                             : item->source ? item->source
                                                            : m->source,
                                   .extra_json = m->opt->traces ? NULL : item->extra};
    err_code rc = add_prompt(m, &prompt, &id, &added, &conflict, e);
    if (!rc && m->opt->want)
        rc = corpus_want(m->c, id, e);
    if (!rc && !gold && !added)
        rc = has_gold(m, id, &gold, e);
    sum->n_added += added;
    if (conflict && !sum->n_conflicts++)
        snprintf(sum->first_conflict, sizeof sum->first_conflict, "%s:%lld",
                 records_path(m->records), (long long)x->line);
    sum->n_no_gold += !gold;
    m->n_gold += item->gold != NULL;
    sum->n_many_turns += item->many_turns && item->n_traces;
    if (!rc && item->n_traces)
        rc = store_traces(m, x, id, added, added || (item->gold && !conflict), e);
    return rc;
}

static err_code store_batch(void *ctx, void *slot, struct err *e)
{
    struct import *m = ctx;
    struct batch *b = slot;
    struct import_summary *sum = m->sum;
    for (int i = 0; i < b->n; i++) {
        struct entry *x = &b->entries[i];
        err_code rc = x->rc;
        sum->n_lines++;
        if (rc == ERR_FORMAT && m->opt->skip_bad) {
            if (!sum->n_bad++)
                memcpy(sum->first_bad, x->err->msg, sizeof sum->first_bad - 1);
            continue;
        }
        sum->ended_bad = rc == ERR_FORMAT;
        if (rc && e)
            *e = *x->err;
        if (!rc)
            rc = store_entry(m, x, e);
        if (rc)
            return rc;
    }
    bulk_wrote(m->c);
    if (m->opt->on_progress && !m->opt->on_progress(m->opt->progress_ctx, b->end, m->file_bytes))
        return err_set(e, ERR_STOPPED, "stopped; nothing of %s was imported",
                       records_path(m->records));
    return ERR_OK;
}

static void dispose_batch(struct batch *b)
{
    for (int i = 0; i < BATCH && b->entries; i++) {
        json_arena_dispose(&b->entries[i].arena);
        item_dispose(&b->entries[i].item);
        buf_dispose(&b->entries[i].flat);
        buf_dispose(&b->entries[i].flat_before);
        buf_dispose(&b->entries[i].request);
        mem_free(b->entries[i].err);
    }
    mem_free(b->entries);
    buf_dispose(&b->text);
}

static err_code run(struct import *m, struct err *e)
{
    int n_threads = pipeline_threads(m->opt->n_threads);
    /* small files are not worth the threads */
    n_threads = m->file_bytes < BATCH_BYTES ? 1 : n_threads;
    int n_slots = 3 * n_threads;
    struct batch *batches = mem_new((size_t)n_slots, sizeof *batches, e);
    err_code rc = batches ? ERR_OK : ERR_NOMEM;
    for (int i = 0; i < n_slots && !rc; i++)
        rc = (batches[i].entries = mem_new(BATCH, sizeof *batches[i].entries, e)) ? ERR_OK
                                                                                  : ERR_NOMEM;
    struct pipeline p = {.take = take_batch,
                         .work = read_batch,
                         .give = store_batch,
                         .ctx = m,
                         .slots = batches,
                         .slot_bytes = sizeof *batches,
                         .n_slots = n_slots,
                         .n_threads = n_threads};
    if (!rc)
        rc = pipeline_run(&p, e);
    for (int i = 0; i < n_slots && batches; i++)
        dispose_batch(&batches[i]);
    mem_free(batches);
    return rc;
}

/* All of it in one transaction. */
static err_code import_all(struct import *m, struct err *e)
{
    int64_t n_filled = m->c->n_golds_filled;
    err_code rc = corpus_begin(m->c, e);
    if (rc)
        return rc;
    m->c->whole = true;
    rc = run(m, e);
    m->c->whole = false;
    m->sum->n_regold = m->c->n_golds_filled - n_filled;
    if (!rc && !m->sum->n_lines)
        rc = err_set(e, ERR_FORMAT, "%s: holds no prompts", records_path(m->records));
    if (!rc && m->opt->names.gold && !m->n_gold && m->sum->n_lines > m->sum->n_bad)
        rc = err_set(e, ERR_FORMAT,
                     "%s: no record has the field \"%s\", which is to hold its right answer",
                     records_path(m->records), m->opt->names.gold);
    if (!rc)
        rc = corpus_commit(m->c, e);
    if (rc)
        corpus_rollback(m->c);
    return rc;
}

err_code corpus_import(struct corpus *c, const char *path, const struct import_options *opt,
                       struct import_summary *sum, struct err *e)
{
    struct import m = {.c = c, .opt = opt, .sum = sum, .source = path_base(path)};
    uint64_t bytes = 0;
    memset(sum, 0, sizeof *sum);
    err_code rc = records_open(path, opt->format, &m.records, e);
    if (rc)
        return rc;
    if (file_size(path, &bytes, NULL)) /* a pipe has none */
        bytes = 0;
    m.file_bytes = (int64_t)bytes;
    bool bulk = m.file_bytes >= BULK_BYTES;
    rc = bulk ? bulk_begin(c, e) : ERR_OK;
    if (!rc)
        rc = import_all(&m, e);
    if (bulk) {
        struct err end;
        err_code rc2 = bulk_end(c, &end);
        if (rc2 && !rc)
            rc = err_set(e, rc2, "%s", end.msg);
    }
    records_close(m.records);
    buf_dispose(&m.last_request);
    buf_dispose(&m.last.text);
    buf_dispose(&m.last.gold);
    return rc;
}
