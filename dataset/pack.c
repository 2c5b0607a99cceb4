#include "dataset/pack.h"
#include "core/base/rng.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WINDOW = 1024, BINS_A_WINDOW = 64 };

struct slot { /* a document in the plan */
    int64_t doc, length;
    int64_t bin; /* of its window */
};

struct pack {
    const struct doc_list *docs;
    struct pack_options opt;
    struct pack_summary sum;
    int64_t *eligible, n_eligible; /* documents that are packed */
    int64_t epoch;                 /* whose plan stands below; -1: none */
    struct slot *slots;            /* [n_eligible] documents in batch order */
    int64_t *first, n_batches;     /* [n_batches + 1]: batch i has slots first[i] .. first[i+1]-1 */
    struct slot *scratch;          /* [window] */
    int64_t *room, *order;         /* [window]: of a window's bins */
};

static int64_t packed_length(const struct pack *p, int64_t doc)
{
    int64_t n = doc_list_length(p->docs, doc);
    return n < p->opt.max_length ? n : p->opt.max_length;
}

static err_code choose(struct pack *p, struct err *e)
{
    const struct doc_list *d = p->docs;
    struct pack_summary *s = &p->sum;
    for (int64_t i = 0; i < d->n; i++) {
        int64_t n = doc_list_length(d, i), kept = packed_length(p, i);
        int64_t n_prompt =
            d->n_prompt[i] > 1 ? d->n_prompt[i] : 1; /* the first token is no target */
        s->n_longest = n > s->n_longest ? n : s->n_longest;
        if ((n > kept && p->opt.over == PACK_SKIP) || kept <= n_prompt) {
            s->n_skipped++;
            continue;
        }
        s->n_cut += n > kept;
        s->n_tokens += kept;
        s->n_target_tokens += kept - n_prompt;
        p->eligible[p->n_eligible++] = i;
    }
    s->n_docs = p->n_eligible;
    if (!p->n_eligible)
        return err_set(
            e, ERR_NOTFOUND,
            "none of the %lld documents can be trained on: the longest has %lld tokens, the "
            "limit is %lld; raise --max-length or select other traces",
            (long long)d->n, (long long)s->n_longest, (long long)p->opt.max_length);
    return ERR_OK;
}

static err_code allocate(struct pack *p, struct err *e)
{
    size_t n = (size_t)p->n_eligible;
    if (!p->opt.window) {
        int64_t mean = p->sum.n_tokens / p->n_eligible;
        int64_t window = BINS_A_WINDOW * (p->opt.batch_tokens / (mean ? mean : 1));
        p->opt.window = window > DEFAULT_WINDOW ? window : DEFAULT_WINDOW;
    }
    if (p->opt.window > p->n_eligible)
        p->opt.window = p->n_eligible;
    size_t window = (size_t)p->opt.window;
    p->slots = mem_new(n, sizeof *p->slots, e);
    p->first = mem_new(n + 1, sizeof *p->first, e);
    p->scratch = mem_new(window, sizeof *p->scratch, e);
    p->room = mem_new(window, sizeof *p->room, e);
    p->order = mem_new(window, sizeof *p->order, e);
    return p->slots && p->first && p->scratch && p->room && p->order ? ERR_OK : ERR_NOMEM;
}

err_code pack_open(const struct doc_list *docs, const struct pack_options *opt, struct pack **out,
                   struct err *e)
{
    *out = NULL;
    if (opt->max_length < 2 || opt->batch_tokens < opt->max_length || opt->window < 0)
        return err_set(
            e, ERR_USAGE,
            "a batch of %lld tokens cannot hold documents of %lld; raise --batch-tokens or "
            "lower --max-length (at least 2)",
            (long long)opt->batch_tokens, (long long)opt->max_length);
    struct pack *p = mem_new(1, sizeof *p, e);
    if (!p)
        return ERR_NOMEM;
    p->docs = docs;
    p->opt = *opt;
    p->epoch = -1;
    p->eligible = mem_new((size_t)docs->n, sizeof *p->eligible, e);
    err_code rc = p->eligible ? choose(p, e) : ERR_NOMEM;
    if (!rc)
        rc = allocate(p, e);
    if (rc) {
        pack_close(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void pack_close(struct pack *p)
{
    if (!p)
        return;
    mem_free(p->eligible);
    mem_free(p->slots);
    mem_free(p->first);
    mem_free(p->scratch);
    mem_free(p->room);
    mem_free(p->order);
    mem_free(p);
}

void pack_get_summary(const struct pack *p, struct pack_summary *out)
{
    *out = p->sum;
}

/* Longest first; equal ones in shuffled order, which scratch's bin field holds meanwhile. */
static int longest_first(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? 1 : -1;
    return x->bin < y->bin ? -1 : 1;
}

static int by_bin(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->bin != y->bin)
        return x->bin < y->bin ? -1 : 1;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

/* Best fit: the fullest bin that still has room. */
static int64_t fit(const struct pack *p, int64_t n_bins, int64_t length)
{
    int64_t best = n_bins;
    for (int64_t i = 0; i < n_bins; i++)
        if (p->room[i] >= length && (best == n_bins || p->room[i] < p->room[best]))
            best = i;
    return best;
}

/* Packs slots[from .. from + n) and appends their batches to the plan. */
static void plan_window(struct pack *p, int64_t from, int64_t n, struct rng *r)
{
    struct slot *s = p->scratch;
    int64_t n_bins = 0;
    memcpy(s, p->slots + from, (size_t)n * sizeof *s);
    for (int64_t i = 0; i < n; i++)
        s[i].bin = i;
    qsort(s, (size_t)n, sizeof *s, longest_first);
    for (int64_t i = 0; i < n; i++) {
        int64_t bin = fit(p, n_bins, s[i].length);
        if (bin == n_bins)
            p->room[n_bins++] = p->opt.batch_tokens;
        p->room[bin] -= s[i].length;
        s[i].bin = bin;
    }
    for (int64_t i = 0; i < n_bins; i++)
        p->order[i] = i;
    for (int64_t i = n_bins - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(r, (uint64_t)i + 1), swap = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = swap;
    }
    for (int64_t i = 0; i < n; i++)
        s[i].bin = p->order[s[i].bin];
    qsort(s, (size_t)n, sizeof *s, by_bin);
    for (int64_t i = 0; i < n; i++) {
        if (!i || s[i].bin != s[i - 1].bin)
            p->first[p->n_batches++] = from + i;
        p->slots[from + i] = s[i];
    }
}

static void plan_epoch(struct pack *p, int64_t epoch)
{
    struct rng r = rng_make(p->opt.seed, 0x7061636b /* "pack" */, (uint64_t)epoch);
    int64_t n = p->n_eligible;
    for (int64_t i = 0; i < n; i++)
        p->slots[i] =
            (struct slot){.doc = p->eligible[i], .length = packed_length(p, p->eligible[i])};
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        struct slot swap = p->slots[i];
        p->slots[i] = p->slots[j];
        p->slots[j] = swap;
    }
    p->n_batches = 0;
    for (int64_t from = 0; from < n; from += p->opt.window)
        plan_window(p, from, n - from < p->opt.window ? n - from : p->opt.window, &r);
    p->first[p->n_batches] = n;
    p->epoch = epoch;
}

err_code pack_n_batches(struct pack *p, int64_t epoch, int64_t *n, struct err *e)
{
    if (epoch < 0)
        return err_set(e, ERR_USAGE, "epoch %lld: epochs are counted from 0", (long long)epoch);
    if (p->epoch != epoch)
        plan_epoch(p, epoch);
    *n = p->n_batches;
    return ERR_OK;
}

err_code pack_get(struct pack *p, int64_t epoch, int64_t i_batch, struct batch *b, struct err *e)
{
    int64_t n;
    err_code rc = pack_n_batches(p, epoch, &n, e);
    if (rc)
        return rc;
    if (i_batch < 0 || i_batch >= n)
        return err_set(e, ERR_USAGE, "batch %lld of epoch %lld, which has %lld", (long long)i_batch,
                       (long long)epoch, (long long)n);
    batch_clear(b);
    for (int64_t i = p->first[i_batch]; i < p->first[i_batch + 1]; i++) {
        const struct slot *s = &p->slots[i];
        if (!batch_add(b, p->docs->tokens.ids + p->docs->start[s->doc], s->length,
                       p->docs->n_prompt[s->doc]))
            return err_set(e, ERR_USAGE, "a batch made for %lld tokens is used for packs of %lld",
                           (long long)b->cap, (long long)p->opt.batch_tokens);
    }
    return ERR_OK;
}
