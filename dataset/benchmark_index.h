/* Inside dataset/benchmark*.c. */
#ifndef DECANT_DATASET_BENCHMARK_INDEX_H
#define DECANT_DATASET_BENCHMARK_INDEX_H

#include "dataset/benchmark.h"

struct benchmark_problem {
    uint64_t first_word; /* in words */
    uint32_t n_words;    /* between white space */
    uint32_t n_bare;     /* without punctuation: what a stretch is measured by */
    uint64_t first_pair; /* in problem_pairs */
    uint32_t n_pairs;    /* different ones; 0: not looked for by fuzzy */
    uint32_t file;
    int64_t line;
    float weight; /* of all its pairs */
};
struct benchmark_posting {
    uint64_t pair; /* hash */
    uint32_t problem;
};
struct benchmark {
    unsigned n_run;
    char **files;
    uint32_t n_files;
    struct benchmark_problem *problems;
    size_t n_problems, cap_problems;
    uint64_t *words; /* of all problems, one after the other */
    size_t n_words, cap_words;
    struct benchmark_posting *postings; /* while files are added */
    size_t n_postings, cap_postings;

    uint32_t *run_slots;   /* open addressing by the run's hash: 1 + its first word in words */
    uint32_t *whole_slots; /* by all of a short problem's words: 1 + the problem */
    uint64_t n_run_slots, n_whole_slots;
    uint64_t *run_bits, run_mask; /* bit (hash & run_mask) of each run, 16 or more bits a run: most
                                     runs of a text are known to be strangers by this alone */
    uint64_t *pair_hashes;        /* [n_pairs], ascending */
    uint32_t *pair_first;         /* [n_pairs + 1], in pair_problems */
    float *pair_weights;
    uint32_t *pair_problems, *problem_pairs;
    uint32_t *pair_slots; /* by hash: 1 + pair */
    uint64_t n_pairs, n_pair_slots;
};

/* The slot where a search for hash begins. */
static inline uint64_t benchmark_slot(uint64_t hash, uint64_t n_slots)
{
    return (uint64_t)((unsigned __int128)hash * n_slots >> 64);
}
/* The pair's number, or BENCHMARK_NO_PAIR. */
static inline uint32_t benchmark_pair(const struct benchmark *b, uint64_t hash)
{
    for (uint64_t at = benchmark_slot(hash, b->n_pair_slots);; at++) {
        at = at == b->n_pair_slots ? 0 : at;
        uint32_t slot = b->pair_slots[at];
        if (!slot)
            return BENCHMARK_NO_PAIR;
        if (b->pair_hashes[slot - 1] == hash)
            return slot - 1;
    }
}

#endif
