#include "distill/train_data.h"

#include "core/base/rng.h"

#include <string.h>

static bool held_out(const struct train_settings *s, const struct corpus_row *row)
{
    struct rng r = rng_make((uint64_t)s->seed, rng_hash(row->prompt, row->n_prompt), 0x6576616c);
    return s->eval_fraction > 0 && rng_uniform(&r) < s->eval_fraction;
}

static err_code read_rows(struct train_data *t, const struct train_settings *s,
                          struct corpus_select *sel, struct err *e)
{
    enum doc_target target = strcmp(s->target, "answers") ? TARGET_TRACE : TARGET_ANSWER;
    struct corpus_row row;
    bool more;
    err_code rc;
    while (!(rc = corpus_select_next(sel, &row, &more, e)) && more) {
        struct doc_list *to = held_out(s, &row) ? &t->eval_docs : &t->docs;
        t->last_id = row.id > t->last_id ? row.id : t->last_id;
        if ((rc = doc_list_add(to, &t->chat, &row, target, e)))
            return err_context(e, "trace %lld", (long long)row.id);
    }
    return rc;
}

static uint64_t hash_docs(uint64_t h, const struct doc_list *l)
{
    uint64_t parts[] = {h, (uint64_t)l->n,
                        rng_hash(l->tokens.ids, (uint64_t)l->tokens.n * sizeof *l->tokens.ids),
                        rng_hash(l->start, (uint64_t)l->n * sizeof *l->start),
                        rng_hash(l->n_prompt, (uint64_t)l->n * sizeof *l->n_prompt)};
    return rng_hash(parts, sizeof parts);
}

/* The traces of a selection up to last_id, as a selection. */
static err_code select_until(const char *select, int64_t last_id, struct buf *out, struct err *e)
{
    if (!last_id)
        return buf_str(out, select, e);
    bool all = !strcmp(select, "all"), correct = !strcmp(select, "correct");
    return buf_printf(out, e, "(\n%s\n) AND id <= %lld",
                      all       ? "1"
                      : correct ? "good"
                                : select,
                      (long long)last_id);
}

static err_code read_corpus(struct train_data *t, const struct train_settings *s, int64_t last_id,
                            struct err *e)
{
    struct buf select = {0};
    struct corpus *c = NULL;
    struct corpus_select *sel = NULL;
    err_code rc = corpus_open(s->corpus, CORPUS_READ, &c, e);
    if (!rc)
        rc = select_until(s->select, last_id, &select, e);
    if (!rc)
        rc = corpus_select_open(c, select.data, &sel, e);
    if (!rc)
        rc = read_rows(t, s, sel, e);
    rc = train_settings_blame(s, "select", rc, e);
    if (!rc)
        t->hash = hash_docs(hash_docs(corpus_select_hash(sel), &t->docs), &t->eval_docs);
    corpus_select_close(sel);
    char why[CORPUS_EXPLAIN];
    if (!rc && !t->docs.n && t->eval_docs.n)
        rc = err_set(e, ERR_NOTFOUND,
                     "%s: the selection \"%s\" holds no trace to train on: all %lld are held out",
                     s->corpus, s->select, (long long)t->eval_docs.n);
    else if (!rc && !t->docs.n && !(rc = corpus_explain_none(c, why, e)))
        rc = err_set(e, ERR_NOTFOUND, "%s: the selection \"%.300s\" holds no trace to train on: %s",
                     s->corpus, s->select, why);
    corpus_close(c);
    buf_dispose(&select);
    return rc;
}

static err_code pack_both(struct train_data *t, const struct train_settings *s, struct err *e)
{
    struct pack_options o = {.batch_tokens = s->batch_tokens,
                             .max_length = s->max_length,
                             .over = strcmp(s->over, "cut") ? PACK_SKIP : PACK_CUT,
                             .seed = (uint64_t)s->seed};
    err_code rc = pack_open(&t->docs, &o, &t->pack, e);
    if (rc)
        return train_settings_blame(s, "max_length", rc, e);
    pack_get_summary(t->pack, &t->summary);
    if (!t->eval_docs.n)
        return ERR_OK;
    rc = pack_open(&t->eval_docs, &o, &t->eval_pack, e);
    if (!rc)
        pack_get_summary(t->eval_pack, &t->eval_summary);
    return rc ? err_context(e, "the held-out part") : ERR_OK;
}

static err_code count_steps(struct train_data *t, const struct train_settings *s, struct err *e)
{
    t->first_step = mem_new((size_t)s->epochs + 1, sizeof *t->first_step, e);
    if (!t->first_step)
        return ERR_NOMEM;
    for (int64_t i = 0; i < s->epochs; i++) {
        int64_t n;
        err_code rc = pack_n_batches(t->pack, i, &n, e);
        if (rc)
            return rc;
        t->first_step[i + 1] = t->first_step[i] + (n + s->accumulation - 1) / s->accumulation;
    }
    return ERR_OK;
}

err_code train_data_open(struct train_data *t, const struct train_settings *s,
                         const char *tokenizer_dir, int64_t n_vocab, int64_t last_id, struct err *e)
{
    memset(t, 0, sizeof *t);
    err_code rc = tokenizer_open(tokenizer_dir, &t->tokenizer, e);
    if (rc)
        return rc;
    if (tokenizer_size(t->tokenizer) > n_vocab)
        return err_set(
            e, ERR_FORMAT,
            "%s: this tokenizer has ids up to %lld, but the student only %lld rows in its "
            "embedding; they do not belong together",
            tokenizer_dir, (long long)tokenizer_size(t->tokenizer) - 1, (long long)n_vocab);
    if ((rc = chat_init(&t->chat, t->tokenizer, e)) || (rc = read_corpus(t, s, last_id, e)) ||
        (rc = pack_both(t, s, e)))
        return rc;
    return count_steps(t, s, e);
}

void train_data_close(struct train_data *t)
{
    pack_close(t->pack);
    pack_close(t->eval_pack);
    doc_list_dispose(&t->docs);
    doc_list_dispose(&t->eval_docs);
    tokenizer_close(t->tokenizer);
    mem_free(t->first_step);
    memset(t, 0, sizeof *t);
}

int64_t train_data_n_steps(const struct train_data *t, const struct train_settings *s)
{
    return t->first_step[s->epochs];
}

err_code train_data_step(struct train_data *t, const struct train_settings *s, int64_t step,
                         struct batch *batches, int64_t *n, struct err *e)
{
    int64_t epoch = 0, n_batches;
    while (t->first_step[epoch + 1] < step)
        epoch++;
    err_code rc = pack_n_batches(t->pack, epoch, &n_batches, e);
    int64_t first = (step - 1 - t->first_step[epoch]) * s->accumulation;
    for (*n = 0; !rc && *n < s->accumulation && first + *n < n_batches; (*n)++)
        rc = pack_get(t->pack, epoch, first + *n, &batches[*n], e);
    return rc;
}
