/* generate: prompts through a local teacher into the corpus.
 *
 * Every (prompt, sample) of the request that has no trace yet is generated, many at a time, and
 * stored with its verdicts. Each sample draws from its own random stream, keyed by seed, prompt
 * text and sample index, so it is the same whatever runs beside it and however often the job was
 * stopped. A trace counts only when its transaction is on disk. */
#ifndef DECANT_DISTILL_GENERATE_H
#define DECANT_DISTILL_GENERATE_H

#include "core/lm/sample.h"

struct generate_options {
    const char *teacher;      /* HF directory or GGUF */
    const char *teacher_name; /* how the corpus calls it; NULL: the last part of the path */
    const char *prompts;      /* JSONL */
    const char *corpus;
    int64_t n_samples, max_tokens, concurrency;
    int64_t limit; /* prompts of the file; 0: all */
    uint64_t seed;
    struct sampling sampling;
    int n_threads;
};
struct generate_summary {
    int64_t n_wanted, n_there; /* samples asked for; those that had a trace before */
    int64_t n_made, n_correct, n_wrong, n_unknown, n_truncated, n_no_think, n_repetition;
    int64_t n_tokens; /* generated */
    double seconds;
};
/* ERR_STOPPED after Ctrl-C: what was finished is stored, sum is filled. */
err_code generate_run(const struct generate_options *o, struct generate_summary *sum,
                      struct err *e);

#endif
