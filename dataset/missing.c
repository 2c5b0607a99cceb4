#include "dataset/missing.h"
#include "core/base/rng.h"
#include "dataset/sql.h"

#include <string.h>

/* What is known of one prompt. */
struct work {
    int64_t prompt_id;
    int32_t cursor; /* the next sample index to look at */
    int32_t limit;  /* of sample indices */
    int32_t stored; /* traces below the limit */
    int32_t good, flying;
    uint32_t next; /* in the queue of prompts that need another turn */
    bool checked;  /* has a gold answer, and there is an until_good */
    bool gaps;     /* had traces before: their indices are to be skipped */
    bool queued;
};
enum { NONE = UINT32_MAX };

struct missing {
    struct corpus *c;
    struct missing_options o;
    sqlite3_stmt *has_trace; /* ?1 prompt, ?2 request, ?3 sample */
    sqlite3_stmt *text;      /* ?1 prompt */
    struct work *work;
    size_t n, cap, i_fresh; /* i_fresh: the first prompt that has not had its first turn */
    uint32_t head, tail;
    int64_t n_marked, n_there, n_flying,
        text_of; /* text_of: the prompt whose text stands in prompt */
    struct buf prompt;
};

/* One pass over the wanted prompts. A prompt's traces stand together in the index of the unique
 * key. ?1 request, ?2 samples, ?3 until_good */
#define COLUMNS                                                                                    \
    "SELECT p.id, p.gold IS NOT NULL, "                                                            \
    "(SELECT count(*) FROM traces t WHERE t.prompt_id = p.id AND t.request_id = ?1 AND "           \
    "t.sample_index < CASE WHEN ?3 > 0 AND ?3 < ?2 AND p.gold IS NULL THEN ?3 ELSE ?2 END), "      \
    "CASE WHEN ?3 > 0 THEN (SELECT count(*) FROM traces t WHERE t.prompt_id = p.id AND "           \
    "t.request_id = ?1 AND EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND "          \
    "v.kind = 'answer' AND v.value = 'correct') AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE "   \
    "v.trace_id = t.id AND v.kind <> 'answer')) ELSE 0 END, "                                      \
    "EXISTS (SELECT 1 FROM prompt_verdicts m WHERE m.prompt_id = p.id), "                          \
    "CASE WHEN ?4 THEN p.text END "
static const char load_all[] = COLUMNS "FROM prompts p ORDER BY p.id";
static const char load_wanted[] =
    COLUMNS "FROM temp.wanted w CROSS JOIN prompts p ON p.id = w.prompt_id ORDER BY w.seq";
static const char has_trace[] =
    "SELECT 1 FROM traces WHERE prompt_id = ?1 AND request_id = ?2 AND sample_index = ?3";
static const char text_of[] = "SELECT text FROM prompts WHERE id = ?1";

static bool satisfied(const struct missing *m, const struct work *w)
{
    return w->checked && w->good >= m->o.until_good;
}

static bool wants(const struct missing *m, const struct work *w)
{
    return w->cursor < w->limit && (!w->checked || w->good + w->flying < m->o.until_good);
}

static bool in_shard(const struct missing *m, sqlite3_stmt *st)
{
    if (m->o.n_shards <= 1)
        return true;
    const char *text = sql_text(st, 5);
    uint64_t hash = rng_hash(text ? text : "", sql_bytes(st, 5));
    return hash % (uint64_t)m->o.n_shards == (uint64_t)(m->o.i_shard - 1);
}

static err_code add(struct missing *m, sqlite3_stmt *st, struct err *e)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 1024;
        err_code rc = cap >= NONE ? err_set(e, ERR_UNSUPPORTED, "%s: too many prompts for one run",
                                            corpus_path(m->c))
                                  : mem_grow((void **)&m->work, cap, sizeof *m->work, e);
        if (rc)
            return rc;
        m->cap = cap;
    }
    bool gold = sqlite3_column_int(st, 1);
    int64_t limit = m->o.n_samples;
    if (m->o.until_good && m->o.until_good < limit && !gold)
        limit = m->o.until_good;
    struct work *w = &m->work[m->n++];
    *w = (struct work){.prompt_id = sqlite3_column_int64(st, 0),
                       .limit = (int32_t)limit,
                       .stored = sqlite3_column_int(st, 2),
                       .good = sqlite3_column_int(st, 3),
                       .checked = gold && m->o.until_good,
                       .next = NONE};
    w->gaps = w->stored > 0;
    if (w->stored >= w->limit)
        w->cursor = w->limit;
    m->n_there += w->stored;
    return ERR_OK;
}

static err_code load(struct missing *m, struct err *e)
{
    sqlite3_stmt *st;
    struct corpus *c = m->c;
    err_code rc = sql_prepare(c->db, c->path, m->o.all ? load_all : load_wanted, &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, m->o.request_id);
    sqlite3_bind_int64(st, 2, m->o.n_samples);
    sqlite3_bind_int64(st, 3, m->o.until_good);
    sqlite3_bind_int(st, 4, m->o.n_shards > 1);
    bool row = false;
    while (!(rc = sql_step(c->db, c->path, st, "cannot read prompts", &row, e)) && row) {
        if (!in_shard(m, st))
            continue;
        bool marked = sqlite3_column_int(st, 4);
        m->n_marked += marked;
        if (!marked && (rc = add(m, st, e)))
            break;
    }
    sqlite3_finalize(st);
    return rc;
}

err_code missing_open(struct corpus *c, const struct missing_options *o, struct missing **out,
                      struct err *e)
{
    *out = NULL;
    if (o->n_samples < 1 || o->n_samples > INT32_MAX || o->until_good < 0 ||
        o->until_good > INT32_MAX)
        return err_set(e, ERR_USAGE, "%lld samples a prompt cannot be made",
                       (long long)o->n_samples);
    struct missing *m = mem_new(1, sizeof *m, e);
    if (!m)
        return ERR_NOMEM;
    m->c = c;
    m->o = *o;
    m->head = m->tail = NONE;
    err_code rc = sql_prepare(c->db, c->path, has_trace, &m->has_trace, e);
    if (!rc)
        rc = sql_prepare(c->db, c->path, text_of, &m->text, e);
    if (!rc)
        rc = load(m, e);
    if (rc) {
        missing_close(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void missing_close(struct missing *m)
{
    if (!m)
        return;
    sqlite3_finalize(m->has_trace);
    sqlite3_finalize(m->text);
    buf_dispose(&m->prompt);
    mem_free(m->work);
    mem_free(m);
}

/* The next prompt that wants a sample, NONE when there is none now. */
static uint32_t choose(struct missing *m)
{
    for (; m->i_fresh < m->n; m->i_fresh++)
        if (wants(m, &m->work[m->i_fresh]))
            return (uint32_t)m->i_fresh;
    while (m->head != NONE) {
        struct work *w = &m->work[m->head];
        if (wants(m, w))
            return m->head;
        m->head = w->next;
        if (m->head == NONE)
            m->tail = NONE;
        w->queued = false;
    }
    return NONE;
}

static void enqueue(struct missing *m, size_t i)
{
    struct work *w = &m->work[i];
    if (w->queued || !wants(m, w))
        return;
    w->queued = true;
    w->next = NONE;
    if (m->tail == NONE)
        m->head = (uint32_t)i;
    else
        m->work[m->tail].next = (uint32_t)i;
    m->tail = (uint32_t)i;
}

static err_code is_there(struct missing *m, int64_t prompt_id, int64_t sample, bool *there,
                         struct err *e)
{
    sqlite3_bind_int64(m->has_trace, 1, prompt_id);
    sqlite3_bind_int64(m->has_trace, 2, m->o.request_id);
    sqlite3_bind_int64(m->has_trace, 3, sample);
    err_code rc = sql_step(m->c->db, m->c->path, m->has_trace, "cannot read traces", there, e);
    sqlite3_reset(m->has_trace);
    return rc;
}

static err_code load_text(struct missing *m, int64_t prompt_id, struct err *e)
{
    if (m->text_of == prompt_id && m->prompt.len)
        return ERR_OK;
    bool row;
    sqlite3_bind_int64(m->text, 1, prompt_id);
    err_code rc = sql_step(m->c->db, m->c->path, m->text, "cannot read a prompt", &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_STATE, "%s: prompt %lld vanished during the run", m->c->path,
                     (long long)prompt_id);
    buf_clear(&m->prompt);
    if (!rc)
        rc = buf_add(&m->prompt, sql_text(m->text, 0), sql_bytes(m->text, 0), e);
    sqlite3_reset(m->text);
    m->text_of = prompt_id;
    return rc;
}

err_code missing_next(struct missing *m, struct missing_sample *s, enum missing_state *state,
                      struct err *e)
{
    size_t i;
    int64_t sample;
    bool there;
    do {
        uint32_t next = choose(m);
        if (next == NONE) {
            *state = m->n_flying ? MISSING_WAIT : MISSING_END;
            return ERR_OK;
        }
        i = next;
        sample = m->work[i].cursor++;
        there = m->work[i].gaps;
        err_code rc = there ? is_there(m, m->work[i].prompt_id, sample, &there, e) : ERR_OK;
        if (rc)
            return rc;
    } while (there);
    struct work *w = &m->work[i];
    err_code rc = load_text(m, w->prompt_id, e);
    if (rc)
        return rc;
    w->flying++;
    m->n_flying++;
    *s = (struct missing_sample){.i_prompt = i,
                                 .prompt_id = w->prompt_id,
                                 .sample_index = sample,
                                 .prompt = m->prompt.data,
                                 .n_prompt = m->prompt.len};
    *state = MISSING_SAMPLE;
    return ERR_OK;
}

void missing_later(struct missing *m)
{
    if (m->i_fresh < m->n)
        enqueue(m, m->i_fresh++);
}

void missing_done(struct missing *m, size_t i_prompt, enum missing_result r)
{
    struct work *w = &m->work[i_prompt];
    m->n_flying--;
    w->flying--;
    w->stored += r != MISSING_FAILED;
    w->good += r == MISSING_GOOD;
    if (i_prompt < m->i_fresh)
        enqueue(m, i_prompt);
}

err_code missing_prompt(struct missing *m, size_t i_prompt, const char **text, size_t *n,
                        struct err *e)
{
    err_code rc = load_text(m, m->work[i_prompt].prompt_id, e);
    *text = m->prompt.data;
    *n = m->prompt.len;
    return rc;
}

void missing_count(const struct missing *m, struct missing_counts *out)
{
    struct missing_counts k = {
        .n_prompts = (int64_t)m->n, .n_marked = m->n_marked, .n_there = m->n_there};
    double made = 0, good = 0;
    for (size_t i = 0; m->o.until_good && i < m->n; i++)
        if (m->work[i].checked) {
            made += m->work[i].stored;
            good += m->work[i].good;
        }
    double rate = good > 0 && made > 0 ? good / made : 0; /* 0: not known, or hopeless */
    for (size_t i = 0; i < m->n; i++) {
        const struct work *w = &m->work[i];
        bool enough = satisfied(m, w);
        int64_t left = enough || w->stored >= w->limit ? 0 : w->limit - w->stored;
        double need = (double)left;
        if (w->checked && left && rate > 0) {
            double n = (double)(m->o.until_good - w->good) / rate;
            need = n < need ? n : need;
        }
        k.n_wanted += w->limit;
        k.n_stored += w->stored;
        k.n_good += enough;
        k.n_settled += left == 0;
        k.n_left += left;
        k.n_expected += need;
    }
    *out = k;
}

err_code missing_other_request(struct corpus *c, int64_t request_id, int64_t *n, struct buf *json,
                               struct err *e)
{
    sqlite3_stmt *st;
    bool row;
    *n = 0;
    err_code rc = sql_prepare(
        c->db, c->path,
        "SELECT r.json, count(*) AS n FROM traces t JOIN requests r ON r.id = t.request_id "
        "WHERE r.teacher = (SELECT teacher FROM requests WHERE id = ?1) AND r.id <> ?1 "
        "GROUP BY r.id ORDER BY n DESC, r.id LIMIT 1",
        &st, e);
    if (rc)
        return rc;
    sqlite3_bind_int64(st, 1, request_id);
    rc = sql_step(c->db, c->path, st, "cannot read requests", &row, e);
    if (!rc && row) {
        *n = sqlite3_column_int64(st, 1);
        rc = buf_str(json, sql_text(st, 0), e);
    }
    sqlite3_finalize(st);
    return rc;
}
