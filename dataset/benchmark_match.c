#include "dataset/benchmark.h"
#include "dataset/benchmark_index.h"
#include "dataset/words.h"

#include <string.h>

void benchmark_scratch_dispose(struct benchmark_scratch *s)
{
    void *all[] = {s->weights, s->touched, s->seen, s->local, s->pairs, s->counts};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
    *s = (struct benchmark_scratch){0};
}

/* ---- exact ---- */

static uint32_t problem_of_word(const struct benchmark *b, uint64_t word)
{
    size_t lo = 0, hi = b->n_problems; /* the last problem that begins at or before word */
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (b->problems[mid].first_word <= word)
            lo = mid;
        else
            hi = mid;
    }
    while (lo && b->problems[lo].n_words == 0)
        lo--;
    return (uint32_t)lo;
}

/* Does the ring of the text's last words hold just these? */
static bool same_words(const struct shingles *s, const uint64_t *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (s->words[(s->at + i) % s->k] != words[i])
            return false;
    return true;
}

static bool find_run(const struct benchmark *b, const struct shingles *s, uint64_t hash,
                     uint32_t *problem)
{
    if (!(b->run_bits[(hash & b->run_mask) / 64] >> hash % 64 & 1))
        return false;
    for (uint64_t at = benchmark_slot(hash, b->n_run_slots);; at++) {
        at = at == b->n_run_slots ? 0 : at;
        uint32_t slot = b->run_slots[at];
        if (!slot)
            return false;
        if (same_words(s, b->words + slot - 1, b->n_run)) {
            *problem = problem_of_word(b, slot - 1);
            return true;
        }
    }
}

static void find_whole(const struct benchmark *b, const uint64_t *words, unsigned n,
                       struct benchmark_match *out)
{
    uint64_t hash = 0;
    struct shingles s = shingles_of(n);
    for (unsigned i = 0; i < n; i++)
        shingles_add(&s, words[i], &hash);
    for (uint64_t at = benchmark_slot(hash, b->n_whole_slots);; at++) {
        at = at == b->n_whole_slots ? 0 : at;
        uint32_t slot = b->whole_slots[at];
        if (!slot)
            return;
        const struct benchmark_problem *p = &b->problems[slot - 1];
        if (p->n_words == n && !memcmp(b->words + p->first_word, words, n * sizeof *words)) {
            *out = (struct benchmark_match){
                .exact = true, .whole = true, .exact_problem = slot - 1, .n_exact = 1};
            return;
        }
    }
}

static void match_exact(const struct benchmark *b, const char *text, size_t n,
                        struct benchmark_match *out)
{
    uint64_t word, hash, first[BENCHMARK_MAX_RUN];
    uint32_t problem;
    struct shingles s = shingles_of(b->n_run);
    for (struct words w = words_of(text, n, WORDS_SPACED); words_next(&w, &word);) {
        if (s.n < b->n_run)
            first[s.n] = word;
        if (!shingles_add(&s, word, &hash) || !find_run(b, &s, hash, &problem))
            continue;
        if (!out->exact) {
            out->exact = true;
            out->exact_problem = problem;
            out->exact_word = (int64_t)(s.n - b->n_run);
        }
        out->n_exact++;
    }
    if (s.n && s.n < b->n_run)
        find_whole(b, first, (unsigned)s.n, out);
}

/* ---- fuzzy ---- */

static err_code prepare(const struct benchmark *b, struct benchmark_scratch *s, struct err *e)
{
    if (s->seen)
        return ERR_OK;
    return (s->weights = mem_new(b->n_problems, sizeof *s->weights, e)) &&
                   (s->touched = mem_new(b->n_problems, sizeof *s->touched, e)) &&
                   (s->local = mem_new(b->n_pairs, sizeof *s->local, e)) &&
                   (s->seen = mem_new(b->n_pairs, sizeof *s->seen, e))
               ? ERR_OK
               : ERR_NOMEM;
}

static err_code grow(uint32_t **array, size_t need, size_t *cap, struct err *e)
{
    if (need <= *cap)
        return ERR_OK;
    void *p = *array;
    size_t more = need + need / 2 + 256;
    err_code rc = mem_grow(&p, more, sizeof **array, e);
    if (!rc) {
        *array = p;
        *cap = more;
    }
    return rc;
}

/* The text's pairs in order, and the weight that each problem has of them. */
static err_code weigh(const struct benchmark *b, struct benchmark_scratch *s, const char *text,
                      size_t n, struct err *e)
{
    uint64_t word, hash;
    struct shingles run = shingles_of(2);
    if (++s->n_texts == 0) {
        memset(s->seen, 0, b->n_pairs * sizeof *s->seen);
        s->n_texts = 1;
    }
    s->n_pairs = s->n_touched = 0;
    for (struct words w = words_of(text, n, WORDS_BARE); words_next(&w, &word);) {
        if (!shingles_add(&run, word, &hash))
            continue;
        err_code rc = grow(&s->pairs, s->n_pairs + 1, &s->cap_pairs, e);
        if (rc)
            return rc;
        uint32_t pair = s->pairs[s->n_pairs++] = benchmark_pair(b, hash);
        if (pair == BENCHMARK_NO_PAIR || s->seen[pair] == s->n_texts)
            continue;
        s->seen[pair] = s->n_texts;
        for (uint32_t k = b->pair_first[pair]; k < b->pair_first[pair + 1]; k++) {
            uint32_t problem = b->pair_problems[k];
            if (s->weights[problem] == 0)
                s->touched[s->n_touched++] = problem;
            s->weights[problem] += b->pair_weights[pair];
        }
    }
    return ERR_OK;
}

/* The largest share of problem p in a stretch of length pairs. */
static double best_stretch(const struct benchmark *b, struct benchmark_scratch *s,
                           const struct benchmark_problem *p, size_t length)
{
    const uint32_t *pairs = b->problem_pairs + p->first_pair;
    double weight = 0, most = 0;
    memset(s->counts, 0, p->n_pairs * sizeof *s->counts);
    for (uint32_t i = 0; i < p->n_pairs; i++)
        s->local[pairs[i]] = i + 1;
    for (size_t i = 0; i < s->n_pairs; i++) {
        uint32_t in = s->pairs[i], out = i < length ? BENCHMARK_NO_PAIR : s->pairs[i - length];
        uint32_t at = in == BENCHMARK_NO_PAIR ? 0 : s->local[in];
        if (at && s->counts[at - 1]++ == 0)
            weight += b->pair_weights[in];
        at = out == BENCHMARK_NO_PAIR ? 0 : s->local[out];
        if (at && --s->counts[at - 1] == 0)
            weight -= b->pair_weights[out];
        most = weight > most ? weight : most;
    }
    for (uint32_t i = 0; i < p->n_pairs; i++)
        s->local[pairs[i]] = 0;
    return most / p->weight;
}

static err_code match_fuzzy(const struct benchmark *b, struct benchmark_scratch *s,
                            const char *text, size_t n, double threshold,
                            struct benchmark_match *out, struct err *e)
{
    err_code rc = prepare(b, s, e);
    if (!rc)
        rc = weigh(b, s, text, n, e);
    for (uint32_t i = 0; i < s->n_touched; i++) {
        uint32_t number = s->touched[i];
        const struct benchmark_problem *p = &b->problems[number];
        double share = s->weights[number] / p->weight;
        s->weights[number] = 0;
        /* all of the text has no less than any stretch of it */
        if (rc || share < threshold || share < out->share)
            continue;
        size_t length = 2 * (size_t)p->n_bare;
        if (s->n_pairs > length) {
            rc = grow(&s->counts, p->n_pairs, &s->cap_counts, e);
            share = rc ? 0 : best_stretch(b, s, p, length);
        }
        if (share < threshold ||
            (out->fuzzy &&
             (share < out->share || (share == out->share && number > out->fuzzy_problem))))
            continue;
        out->fuzzy = true;
        out->fuzzy_problem = number;
        out->share = share > 1 ? 1 : share;
    }
    return rc;
}

err_code benchmark_match(const struct benchmark *b, struct benchmark_scratch *s, const char *text,
                         size_t n, double threshold, struct benchmark_match *out, struct err *e)
{
    *out = (struct benchmark_match){0};
    match_exact(b, text, n, out);
    return threshold > 0 && b->n_pairs ? match_fuzzy(b, s, text, n, threshold, out, e) : ERR_OK;
}
