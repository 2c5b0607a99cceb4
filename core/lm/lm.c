#include "core/lm/lm.h"

err_code lm_seq_open(struct lm *lm, int64_t max_tokens, struct lm_seq **out, struct err *e)
{
    *out = NULL;
    if (max_tokens < 1 || max_tokens > lm->max_context)
        return err_set(e, ERR_USAGE,
                       "a sequence of %lld tokens does not fit the model's context of %lld",
                       (long long)max_tokens, (long long)lm->max_context);
    return lm->ops->seq_open(lm, max_tokens, out, e);
}

err_code lm_seq_fork(struct lm_seq *s, struct lm_seq **out, struct err *e)
{
    *out = NULL;
    return s->lm->ops->seq_fork(s, out, e);
}

void lm_seq_truncate(struct lm_seq *s, int64_t n)
{
    if (n < s->n_tokens)
        s->lm->ops->seq_truncate(s, n);
}

void lm_seq_close(struct lm_seq *s)
{
    if (s)
        s->lm->ops->seq_close(s);
}

int64_t lm_logits_rows(const struct lm_item *items, int64_t n_items)
{
    int64_t n = 0;
    for (int64_t i = 0; i < n_items; i++)
        n += items[i].logits == LM_ALL ? items[i].n_tokens : items[i].logits == LM_LAST;
    return n;
}

static err_code check_item(const struct lm *lm, const struct lm_item *it, struct err *e)
{
    const struct lm_seq *s = it->seq;
    if (s->lm != lm)
        return err_set(e, ERR_USAGE, "a sequence was given to a model that did not open it");
    if (it->n_tokens < 1 || it->n_tokens > s->max_tokens - s->n_tokens)
        return err_set(e, ERR_USAGE, "%lld tokens do not fit a sequence that has %lld of %lld",
                       (long long)it->n_tokens, (long long)s->n_tokens, (long long)s->max_tokens);
    for (int64_t i = 0; i < it->n_tokens; i++)
        if (it->tokens[i] < 0 || it->tokens[i] >= lm->n_vocab)
            return err_set(e, ERR_USAGE, "token %d is outside the model's vocabulary of %lld",
                           it->tokens[i], (long long)lm->n_vocab);
    return ERR_OK;
}

err_code lm_forward(struct lm *lm, const struct lm_item *items, int64_t n_items, float *logits,
                    struct err *e)
{
    for (int64_t i = 0; i < n_items; i++) {
        err_code rc = check_item(lm, &items[i], e);
        if (rc)
            return rc;
        for (int64_t j = 0; j < i; j++)
            if (items[j].seq == items[i].seq)
                return err_set(e, ERR_USAGE, "a sequence stands twice in one forward");
    }
    return n_items ? lm->ops->forward(lm, items, n_items, logits, e) : ERR_OK;
}

void lm_close(struct lm *lm)
{
    if (lm)
        lm->ops->close(lm);
}
