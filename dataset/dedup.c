#include "dataset/dedup.h"
#include "dataset/answer.h"
#include "dataset/dedup_index.h"
#include "dataset/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TEXTS = 256, BATCH_BYTES = 16 << 20, MAX_PARTS = 2 };

/* Prompts or traces: the SQL that lists them by preference, and that reads one. */
struct source {
    const char *list; /* id, prompt_id, rank; in order of rank and id */
    const char *read; /* by id: one or two texts, for prompts then the gold answer */
    int n_parts;
    const char *name; /* for reasons: "prompt" */
};

/* A good trace, were it not for marks that a run of this sets. t is the trace. */
#define GOOD                                                                                       \
    "EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'answer' AND "          \
    "v.value = 'correct') AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND "   \
    "v.kind NOT IN ('answer', '" DEDUP_KIND "')) AND NOT EXISTS (SELECT 1 FROM prompt_verdicts m " \
    "WHERE m.prompt_id = t.prompt_id AND m.kind <> '" DEDUP_KIND "')"

static const struct source prompt_source = {
    "SELECT p.id, p.id, CASE "
    "WHEN EXISTS (SELECT 1 FROM traces t WHERE t.prompt_id = p.id AND " GOOD ") THEN 0 "
    "WHEN EXISTS (SELECT 1 FROM traces t WHERE t.prompt_id = p.id) THEN 1 "
    "WHEN p.gold IS NOT NULL THEN 2 ELSE 3 END AS rank FROM prompts p ORDER BY rank, p.id",
    "SELECT text, gold FROM prompts WHERE id = ?1", 1, "prompt"};
static const struct source trace_source = {
    "SELECT t.id, t.prompt_id, NOT (" GOOD ") AS rank FROM traces t ORDER BY rank, t.id",
    "SELECT reasoning, answer FROM traces WHERE id = ?1", 2, "trace"};

/* What a duplicate prompt is one of. */
struct alias {
    int64_t prompt_id, kept_id;
};

struct item {
    struct dedup_key key;
    size_t at[MAX_PARTS], n[MAX_PARTS]; /* in the batch's bytes */
    char gold[256];                     /* of a prompt; "" when it has none or a longer one */
};

struct pass {
    struct corpus *c;
    const struct dedup_options *opt;
    const struct source *source;
    struct corpus_marks *marks; /* NULL: only looked at */
    struct dedup_count *count;
    sqlite3 *db; /* of its own, read-only, so that writers go on */
    sqlite3_stmt *list, *read;
    struct dedup_index *index;
    struct item *items;
    int n_items;
    struct buf bytes, other; /* the batch's texts; one text that was kept before */
    struct shingle_set mine, theirs;
    struct alias *aliases; /* sorted by prompt_id */
    size_t n_aliases, cap_aliases;
    bool (*on_progress)(void *ctx, int64_t done, int64_t total);
    void *ctx;
    int64_t n_done, n_total;
};

static int by_prompt(const void *a, const void *b)
{
    int64_t x = ((const struct alias *)a)->prompt_id, y = ((const struct alias *)b)->prompt_id;
    return x < y ? -1 : x > y;
}

static int64_t kept_prompt(const struct pass *p, int64_t prompt_id)
{
    struct alias key = {prompt_id, 0};
    const struct alias *a =
        p->n_aliases ? bsearch(&key, p->aliases, p->n_aliases, sizeof key, by_prompt) : NULL;
    return a ? a->kept_id : prompt_id;
}

static err_code add_alias(struct pass *p, int64_t prompt_id, int64_t kept_id, struct err *e)
{
    if (p->n_aliases == p->cap_aliases) {
        size_t cap = p->cap_aliases ? p->cap_aliases * 2 : 1024;
        void *grown = p->aliases;
        err_code rc = mem_grow(&grown, cap, sizeof *p->aliases, e);
        if (rc)
            return rc;
        p->aliases = grown;
        p->cap_aliases = cap;
    }
    p->aliases[p->n_aliases++] = (struct alias){prompt_id, kept_id};
    return ERR_OK;
}

/* Reads text id to the end of bytes; at and n say where its parts are. */
static err_code read_text(struct pass *p, int64_t id, struct buf *bytes, size_t *at, size_t *n,
                          char *gold, size_t gold_size, struct err *e)
{
    bool row;
    sqlite3_bind_int64(p->read, 1, id);
    err_code rc = sql_step(p->db, p->c->path, p->read, "cannot be read", &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_STATE, "%s: %s %lld vanished while it was read", p->c->path,
                     p->source->name, (long long)id);
    for (int i = 0; i < p->source->n_parts && !rc; i++) {
        const char *text = sql_text(p->read, i);
        if (!text)
            rc = err_set(e, ERR_NOMEM, "%s: out of memory reading %s %lld", p->c->path,
                         p->source->name, (long long)id);
        at[i] = bytes->len;
        n[i] = rc ? 0 : sql_bytes(p->read, i);
        if (!rc)
            rc = buf_add(bytes, text, n[i], e);
    }
    if (gold)
        *gold = 0;
    const char *stored = !rc && gold && p->source == &prompt_source ? sql_text(p->read, 1) : NULL;
    if (stored && strlen(stored) < gold_size)
        strcpy(gold, stored);
    sqlite3_reset(p->read);
    return rc;
}

static void set_parts(const struct buf *bytes, const size_t *at, const size_t *n, int n_parts,
                      struct minhash_text *parts)
{
    for (int i = 0; i < n_parts; i++)
        parts[i] = (struct minhash_text){bytes->data + at[i], n[i]};
}

static err_code mark(struct pass *p, const struct item *it, int64_t other, double jaccard,
                     struct err *e)
{
    char reason[96];
    if (jaccard < 0)
        snprintf(reason, sizeof reason, "the same words as %s %lld", p->source->name,
                 (long long)other);
    else
        snprintf(reason, sizeof reason, "Jaccard %.2f with %s %lld", jaccard, p->source->name,
                 (long long)other);
    err_code rc = ERR_OK;
    if (p->source == &prompt_source)
        rc = add_alias(p, it->key.id, other, e);
    return !rc && p->marks ? corpus_mark(p->marks, it->key.id, reason, e) : rc;
}

/* Both golds known, and surely not the same value. */
static bool differ(const char *a, const char *b)
{
    return *a && *b && answer_compare(a, strlen(a), b, strlen(b), NULL) == ANSWER_WRONG;
}

/* Is the kept text near enough to it? By the true index. */
static err_code check_near(struct pass *p, const struct item *it, int64_t other, double *jaccard,
                           bool *variant, struct err *e)
{
    struct minhash_text parts[MAX_PARTS];
    size_t at[MAX_PARTS], n[MAX_PARTS];
    char gold[sizeof it->gold];
    int n_parts = p->source->n_parts;
    buf_clear(&p->other);
    err_code rc = read_text(p, other, &p->other, at, n, gold, sizeof gold, e);
    if (rc)
        return rc;
    if (!p->mine.n) {
        set_parts(&p->bytes, it->at, it->n, n_parts, parts);
        rc = shingle_set_fill(&p->mine, parts, n_parts, e);
    }
    set_parts(&p->other, at, n, n_parts, parts);
    if (!rc)
        rc = shingle_set_fill(&p->theirs, parts, n_parts, e);
    *jaccard = rc ? 0 : shingle_set_jaccard(&p->mine, &p->theirs);
    *variant = differ(it->gold, gold);
    return rc;
}

static err_code judge(struct pass *p, const struct item *it, struct err *e)
{
    struct dedup_near near[LSH_MAX_FOUND];
    struct dedup_count *count = p->count;
    int64_t other;
    bool cut, variant, is_variant = false;
    count->n_texts++;
    if (dedup_index_exact(p->index, &it->key, &other)) {
        count->n_exact++;
        return mark(p, it, other, -1, e);
    }
    size_t n = dedup_index_near(p->index, &it->key, near, &cut);
    count->n_cut += cut;
    p->mine.n = 0;
    for (size_t i = 0; i < n; i++) {
        double jaccard;
        err_code rc = check_near(p, it, near[i].id, &jaccard, &variant, e);
        if (rc)
            return rc;
        if (jaccard < p->opt->threshold)
            continue;
        is_variant |= variant;
        if (variant)
            continue;
        count->n_near++;
        return mark(p, it, near[i].id, jaccard, e);
    }
    count->n_variants += is_variant;
    dedup_index_keep(p->index, &it->key);
    return ERR_OK;
}

static err_code judge_batch(struct pass *p, struct err *e)
{
    int n_parts = p->source->n_parts;
    bool near = !p->opt->exact_only;
#pragma omp parallel for schedule(dynamic, 4)
    for (int i = 0; i < p->n_items; i++) {
        struct item *it = &p->items[i];
        struct minhash_text parts[MAX_PARTS];
        set_parts(&p->bytes, it->at, it->n, n_parts, parts);
        dedup_key_fill(&it->key, parts, n_parts, near);
    }
    err_code rc = ERR_OK;
    for (int i = 0; i < p->n_items && !rc; i++)
        rc = judge(p, &p->items[i], e);
    p->n_done += p->n_items;
    p->n_items = 0;
    buf_clear(&p->bytes);
    if (!rc && p->on_progress && !p->on_progress(p->ctx, p->n_done, p->n_total))
        rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld texts; nothing was changed",
                     (long long)p->n_done, (long long)p->n_total);
    return rc;
}

static err_code add_item(struct pass *p, int64_t id, uint64_t group, struct err *e)
{
    struct item *it = &p->items[p->n_items];
    it->key = (struct dedup_key){.id = id, .group = group};
    err_code rc = read_text(p, id, &p->bytes, it->at, it->n, it->gold, sizeof it->gold, e);
    p->n_items += !rc;
    if (!rc && (p->n_items == BATCH_TEXTS || p->bytes.len >= BATCH_BYTES))
        rc = judge_batch(p, e);
    return rc;
}

/* Passes over the list. Where there are duplicate prompts, good traces take two turns: those of
 * kept prompts first, since a duplicate prompt's traces are not trained on. */
enum turn { ALL, GOOD_KEPT, GOOD_DUPLICATE, NOT_GOOD };

static bool takes(enum turn turn, bool good, bool kept)
{
    return turn == ALL || (turn == NOT_GOOD ? !good : good && kept == (turn == GOOD_KEPT));
}

static err_code take_turn(struct pass *p, enum turn turn, struct err *e)
{
    bool row = true;
    err_code rc = ERR_OK;
    while (!rc && row) {
        rc = sql_step(p->db, p->c->path, p->list, "cannot be read", &row, e);
        if (rc || !row)
            break;
        int64_t id = sqlite3_column_int64(p->list, 0), prompt = sqlite3_column_int64(p->list, 1);
        bool good = sqlite3_column_int64(p->list, 2) == 0;
        int64_t kept = p->source == &prompt_source ? 0 : kept_prompt(p, prompt);
        if (turn == GOOD_KEPT && !good)
            break; /* the good ones come first */
        if (takes(turn, good, kept == prompt))
            rc = add_item(p, id, p->opt->any_prompt ? 0 : (uint64_t)kept, e);
    }
    sqlite3_reset(p->list);
    return rc ? rc : judge_batch(p, e);
}

static err_code run_pass(struct pass *p, const struct source *source, struct dedup_count *count,
                         int64_t n_most, struct corpus_marks *marks, struct dedup_summary *sum,
                         struct err *e)
{
    p->source = source;
    p->count = count;
    p->marks = marks;
    err_code rc =
        dedup_index_open(p->opt->exact_only ? 0 : p->opt->threshold, n_most, &p->index, e);
    if (!rc)
        rc = sql_prepare(p->db, p->c->path, source->list, &p->list, e);
    if (!rc)
        rc = sql_prepare(p->db, p->c->path, source->read, &p->read, e);
    bool one_turn = source == &prompt_source || !p->n_aliases;
    for (enum turn turn = one_turn ? ALL : GOOD_KEPT; !rc && turn <= (one_turn ? ALL : NOT_GOOD);
         turn++)
        rc = take_turn(p, turn, e);
    if (source == &prompt_source && p->n_aliases)
        qsort(p->aliases, p->n_aliases, sizeof *p->aliases, by_prompt);
    if (p->index) {
        int64_t peak = n_most * (int64_t)dedup_index_bytes(p->index);
        sum->bytes_per_text = (int64_t)dedup_index_bytes(p->index);
        sum->peak_bytes = peak > sum->peak_bytes ? peak : sum->peak_bytes;
        dedup_index_shape(p->index, &sum->n_bands, &sum->n_rows);
    }
    sqlite3_finalize(p->list);
    sqlite3_finalize(p->read);
    p->list = p->read = NULL;
    dedup_index_close(p->index);
    p->index = NULL;
    return rc;
}

static void pass_dispose(struct pass *p)
{
    mem_free(p->items);
    mem_free(p->aliases);
    buf_dispose(&p->bytes);
    buf_dispose(&p->other);
    shingle_set_dispose(&p->mine);
    shingle_set_dispose(&p->theirs);
    if (p->db)
        sqlite3_exec(p->db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(p->db);
}

/* One snapshot for all passes: what is added meanwhile is not seen. */
static err_code open_snapshot(struct pass *p, int64_t *n_prompts, int64_t *n_traces, struct err *e)
{
    struct corpus snapshot = {.path = p->c->path};
    err_code rc = sql_connect(p->c->path, CORPUS_READ, &p->db, e);
    snapshot.db = p->db;
    if (!rc)
        rc = sql_exec(&snapshot, "BEGIN", "cannot be read", e);
    if (!rc)
        rc = sql_number(&snapshot, "SELECT count(*) FROM prompts", n_prompts, e);
    if (!rc)
        rc = sql_number(&snapshot, "SELECT count(*) FROM traces", n_traces, e);
    return rc;
}

err_code corpus_dedup(struct corpus *c, const struct dedup_options *opt,
                      bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct dedup_summary *out, struct err *e)
{
    struct pass p = {.c = c, .opt = opt, .on_progress = on_progress, .ctx = ctx};
    struct corpus_marks *on_prompts = NULL, *on_traces = NULL;
    int64_t n_prompts = 0, n_traces = 0;
    *out = (struct dedup_summary){0};
    p.items = mem_new(BATCH_TEXTS, sizeof *p.items, e);
    err_code rc = p.items ? open_snapshot(&p, &n_prompts, &n_traces, e) : ERR_NOMEM;
    p.n_total = n_prompts + (opt->traces ? n_traces : 0);
    if (!rc && opt->prompts)
        rc = corpus_marks_begin(c, DEDUP_KIND, CORPUS_MARK_PROMPTS, DEDUP_VERSION, &on_prompts, e);
    if (!rc && opt->traces)
        rc = corpus_marks_begin(c, DEDUP_KIND, CORPUS_MARK_TRACES, DEDUP_VERSION, &on_traces, e);
    if (!rc)
        rc = run_pass(&p, &prompt_source, &out->prompts, n_prompts, on_prompts, out, e);
    if (!rc && opt->traces)
        rc = run_pass(&p, &trace_source, &out->traces, n_traces, on_traces, out, e);
    struct corpus_marks *const marks[] = {on_prompts, on_traces};
    struct marks_summary *const sums[] = {&out->prompts.marks, &out->traces.marks};
    if (!rc)
        rc = corpus_marks_commit_all(marks, 2, sums, e);
    corpus_marks_end(on_prompts);
    corpus_marks_end(on_traces);
    pass_dispose(&p);
    return rc;
}
