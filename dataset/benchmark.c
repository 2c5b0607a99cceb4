#include "dataset/benchmark.h"
#include "dataset/benchmark_index.h"
#include "dataset/problems.h"
#include "dataset/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

err_code benchmark_open(int n_run, struct benchmark **out, struct err *e)
{
    *out = NULL;
    if (n_run < 2 || n_run > BENCHMARK_MAX_RUN)
        return err_set(e, ERR_USAGE, "runs of %d words: should be from 2 to %d", n_run,
                       BENCHMARK_MAX_RUN);
    *out = mem_new(1, sizeof **out, e);
    if (!*out)
        return ERR_NOMEM;
    (*out)->n_run = (unsigned)n_run;
    return ERR_OK;
}

void benchmark_close(struct benchmark *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->n_files; i++)
        mem_free(b->files[i]);
    void *all[] = {b->files,         b->problems,
                   b->words,         b->postings,
                   b->run_slots,     b->whole_slots,
                   b->pair_hashes,   b->pair_first,
                   b->pair_weights,  b->pair_problems,
                   b->problem_pairs, b->pair_slots,
                   b->run_bits,      b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
}

/* Room for one more element. */
static err_code grow(void *array, size_t n, size_t *cap, size_t size, struct err *e)
{
    if (n < *cap)
        return ERR_OK;
    size_t more = *cap ? *cap * 2 : 256;
    void *p = *(void **)array;
    err_code rc =
        more > *cap ? mem_grow(&p, more, size, e) : err_set(e, ERR_NOMEM, "a benchmark that large");
    if (rc)
        return rc;
    *(void **)array = p;
    *cap = more;
    return ERR_OK;
}

static err_code add_words(struct benchmark *b, struct benchmark_problem *p, const char *text,
                          size_t n, struct err *e)
{
    uint64_t hash;
    p->first_word = b->n_words;
    for (struct words w = words_of(text, n, WORDS_SPACED); words_next(&w, &hash);) {
        err_code rc = grow(&b->words, b->n_words, &b->cap_words, sizeof *b->words, e);
        if (rc)
            return rc;
        b->words[b->n_words++] = hash;
    }
    p->n_words = (uint32_t)(b->n_words - p->first_word);
    return ERR_OK;
}

static err_code add_pairs(struct benchmark *b, struct benchmark_problem *p, const char *text,
                          size_t n, struct err *e)
{
    uint64_t word, pair;
    size_t before = b->n_postings;
    struct shingles s = shingles_of(2);
    for (struct words w = words_of(text, n, WORDS_BARE); words_next(&w, &word);) {
        if (!shingles_add(&s, word, &pair))
            continue;
        err_code rc = grow(&b->postings, b->n_postings, &b->cap_postings, sizeof *b->postings, e);
        if (rc)
            return rc;
        b->postings[b->n_postings++] = (struct benchmark_posting){pair, (uint32_t)b->n_problems};
    }
    p->n_bare = (uint32_t)s.n;
    if (s.n < BENCHMARK_FUZZY_WORDS)
        b->n_postings = before;
    return ERR_OK;
}

static err_code add_problem(struct benchmark *b, const struct problem *from, uint32_t file,
                            struct err *e)
{
    struct benchmark_problem p = {.file = file, .line = from->line};
    err_code rc = grow(&b->problems, b->n_problems, &b->cap_problems, sizeof *b->problems, e);
    if (!rc)
        rc = add_words(b, &p, from->prompt, from->n_prompt, e);
    if (!rc)
        rc = add_pairs(b, &p, from->prompt, from->n_prompt, e);
    if (!rc && (b->n_words >= UINT32_MAX / 2 || b->n_postings >= UINT32_MAX / 2))
        rc = err_set(e, ERR_UNSUPPORTED, "a benchmark of over 2 billion words");
    if (!rc)
        b->problems[b->n_problems++] = p;
    return rc;
}

err_code benchmark_add(struct benchmark *b, const char *path, const struct problem_fields *fields,
                       int64_t *n_problems, struct err *e)
{
    struct problems *file = NULL;
    struct problem problem;
    bool more = true;
    *n_problems = 0;
    void *grown = b->files;
    err_code rc = mem_grow(&grown, b->n_files + 1, sizeof *b->files, e);
    if (rc)
        return rc;
    b->files = grown;
    b->files[b->n_files] = mem_strdup(path, e);
    if (!b->files[b->n_files])
        return ERR_NOMEM;
    b->n_files++;
    rc = problems_open(path, fields, &file, e);
    while (!rc && !(rc = problems_next(file, &problem, &more, e)) && more) {
        rc = add_problem(b, &problem, b->n_files - 1, e);
        *n_problems += !rc;
    }
    problems_close(file);
    if (!rc && !*n_problems)
        rc = err_set(e, ERR_FORMAT, "%s: holds no problem", path);
    return rc;
}

/* ---- building ---- */

static uint64_t hash_run(const uint64_t *words, unsigned n)
{
    uint64_t hash = 0;
    struct shingles s = shingles_of(n);
    for (unsigned i = 0; i < n; i++)
        shingles_add(&s, words[i], &hash);
    return hash;
}

static void put_slot(uint32_t *slots, uint64_t n_slots, uint64_t hash, uint64_t number)
{
    uint64_t at = benchmark_slot(hash, n_slots);
    while (slots[at])
        at = at + 1 == n_slots ? 0 : at + 1;
    slots[at] = (uint32_t)(number + 1);
}

/* One that occurs again stays at its first place. */
static void put_run(struct benchmark *b, uint64_t first)
{
    const uint64_t *words = b->words + first;
    size_t bytes = b->n_run * sizeof *words;
    uint64_t hash = hash_run(words, b->n_run), at = benchmark_slot(hash, b->n_run_slots);
    b->run_bits[(hash & b->run_mask) / 64] |= (uint64_t)1 << hash % 64;
    for (; b->run_slots[at]; at = at + 1 == b->n_run_slots ? 0 : at + 1)
        if (!memcmp(b->words + b->run_slots[at] - 1, words, bytes))
            return;
    b->run_slots[at] = (uint32_t)(first + 1);
}

/* Every run of every problem. */
static err_code build_runs(struct benchmark *b, struct err *e)
{
    uint64_t n_short = 0;
    for (size_t i = 0; i < b->n_problems; i++)
        n_short += b->problems[i].n_words < b->n_run;
    b->n_run_slots = 2 * (uint64_t)b->n_words + 1;
    b->n_whole_slots = 2 * n_short + 1;
    b->run_slots = mem_new(b->n_run_slots, sizeof *b->run_slots, e);
    for (b->run_mask = 63; b->run_mask / 16 < b->n_words;)
        b->run_mask = 2 * b->run_mask + 1;
    b->run_bits = mem_new(b->run_mask / 64 + 1, sizeof *b->run_bits, e);
    if (!b->run_bits)
        return ERR_NOMEM;
    b->whole_slots = b->run_slots ? mem_new(b->n_whole_slots, sizeof *b->whole_slots, e) : NULL;
    if (!b->whole_slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < b->n_problems; i++) {
        const struct benchmark_problem *p = &b->problems[i];
        const uint64_t *words = b->words + p->first_word;
        if (p->n_words && p->n_words < b->n_run)
            put_slot(b->whole_slots, b->n_whole_slots, hash_run(words, p->n_words), i);
        for (uint32_t k = 0; k + b->n_run <= p->n_words; k++)
            put_run(b, p->first_word + k);
    }
    return ERR_OK;
}

static int by_pair(const void *a, const void *b)
{
    const struct benchmark_posting *x = a, *y = b;
    if (x->pair != y->pair)
        return x->pair < y->pair ? -1 : 1;
    return x->problem < y->problem ? -1 : x->problem > y->problem;
}

/* Sorts the postings and drops those that occur twice; counts the different pairs. */
static void sort_postings(struct benchmark *b)
{
    size_t n = 0;
    if (b->n_postings)
        qsort(b->postings, b->n_postings, sizeof *b->postings, by_pair);
    b->n_pairs = 0;
    for (size_t i = 0; i < b->n_postings; i++) {
        if (i && !by_pair(&b->postings[i], &b->postings[n - 1]))
            continue;
        b->n_pairs += !n || b->postings[i].pair != b->postings[n - 1].pair;
        b->postings[n++] = b->postings[i];
    }
    b->n_postings = n;
}

static err_code new_pairs(struct benchmark *b, struct err *e)
{
    b->n_pair_slots = 2 * b->n_pairs + 1;
    return (b->pair_hashes = mem_new(b->n_pairs, sizeof *b->pair_hashes, e)) &&
                   (b->pair_first = mem_new(b->n_pairs + 1, sizeof *b->pair_first, e)) &&
                   (b->pair_weights = mem_new(b->n_pairs, sizeof *b->pair_weights, e)) &&
                   (b->pair_slots = mem_new(b->n_pair_slots, sizeof *b->pair_slots, e)) &&
                   (b->pair_problems = mem_new(b->n_postings, sizeof *b->pair_problems, e)) &&
                   (b->problem_pairs = mem_new(b->n_postings, sizeof *b->problem_pairs, e))
               ? ERR_OK
               : ERR_NOMEM;
}

static void fill_pairs(struct benchmark *b)
{
    size_t n = 0; /* pairs so far */
    for (size_t i = 0, last = 0; i < b->n_postings; i = last, n++) {
        uint64_t hash = b->postings[i].pair;
        for (last = i; last < b->n_postings && b->postings[last].pair == hash; last++) {
            b->pair_problems[last] = b->postings[last].problem;
            b->problems[b->postings[last].problem].n_pairs++;
        }
        b->pair_hashes[n] = hash;
        b->pair_first[n] = (uint32_t)i;
        b->pair_weights[n] = logf(1 + (float)b->n_problems / (float)(last - i));
        put_slot(b->pair_slots, b->n_pair_slots, hash, n);
    }
    b->pair_first[n] = (uint32_t)b->n_postings;
}

/* The other way round: each problem's pairs. */
static void fill_problems(struct benchmark *b)
{
    uint64_t first = 0;
    for (size_t i = 0; i < b->n_problems; i++) {
        b->problems[i].first_pair = first;
        first += b->problems[i].n_pairs;
        b->problems[i].n_pairs = 0;
    }
    for (uint64_t pair = 0; pair < b->n_pairs; pair++)
        for (uint32_t k = b->pair_first[pair]; k < b->pair_first[pair + 1]; k++) {
            struct benchmark_problem *p = &b->problems[b->pair_problems[k]];
            b->problem_pairs[p->first_pair + p->n_pairs++] = (uint32_t)pair;
            p->weight += b->pair_weights[pair];
        }
}

err_code benchmark_build(struct benchmark *b, struct err *e)
{
    err_code rc = build_runs(b, e);
    if (rc)
        return rc;
    sort_postings(b);
    rc = new_pairs(b, e);
    if (rc)
        return rc;
    fill_pairs(b);
    fill_problems(b);
    mem_free(b->postings);
    b->postings = NULL;
    return ERR_OK;
}

size_t benchmark_bytes(const struct benchmark *b)
{
    return b->run_mask / 8 + 1 + b->cap_problems * sizeof *b->problems +
           b->cap_words * sizeof *b->words +
           (b->n_run_slots + b->n_whole_slots + b->n_pair_slots) * sizeof(uint32_t) +
           b->n_pairs * (sizeof *b->pair_hashes + sizeof *b->pair_first + sizeof *b->pair_weights) +
           b->n_postings * 2 * sizeof(uint32_t);
}

const char *benchmark_file(const struct benchmark *b, uint32_t problem, int64_t *line)
{
    *line = b->problems[problem].line;
    return b->files[b->problems[problem].file];
}
