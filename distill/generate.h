/* generate: prompts through a teacher into the corpus.
 *
 *     struct generate_options o;
 *     generate_defaults(&o);
 *     ... o.teacher or o.endpoints, o.prompts, o.corpus ...
 *     rc = generate_run(&o, &summary, e);      // ERR_STOPPED: what was finished is stored
 *
 * Every (prompt, sample) of the request that has no trace yet is made, many at a time, and stored
 * with its verdicts: a second run with the same options makes only what is missing. A trace counts
 * only when its transaction is on disk.
 *
 * The teacher is a model on disk (generate_local.c), whose samples each draw from their own random
 * stream, keyed by seed, prompt text and sample index; or any number of HTTP endpoints that serve
 * one model (generate_http.c), which are sent a seed derived from the same three. */
#ifndef DECANT_DISTILL_GENERATE_H
#define DECANT_DISTILL_GENERATE_H

#include "core/lm/sample.h"
#include "dataset/problems.h"
#include "teacher/http/http.h"

struct generate_options {
    const char *teacher; /* HF directory or GGUF; NULL with endpoints */
    const struct http_endpoint_options *endpoints;
    int n_endpoints;
    const char *teacher_name;     /* how the corpus calls the teacher, and "model" of HTTP requests.
                                     NULL: the last part of the path, or the one model that is served */
    const char *prompts;          /* JSONL */
    struct problem_fields fields; /* of prompts */
    const char *corpus;
    int64_t n_samples;   /* a prompt, at most */
    int64_t until_good;  /* > 0: a prompt needs no more samples once so many are good (correct, and
                            nothing marked). Prompts without a gold answer get so many samples */
    int64_t max_tokens;  /* of an answer, reasoning included */
    int64_t concurrency; /* 0: 64 local, 256 over HTTP */
    int64_t limit;       /* prompts of the file; 0: all */
    int64_t i_shard, n_shards; /* 1 <= i <= n: only prompts whose text's hash falls there */
    uint64_t seed;
    struct sampling sampling;
    const char *system;      /* NULL: none, as R1 wants it */
    const char *instruction; /* put after each prompt and a blank line; NULL: none */
    int n_threads;           /* local teachers */

    /* HTTP teachers only. */
    bool raw, no_stream;
    const char *template;   /* of raw prompts: "r1", or a file that holds {prompt} */
    const char *extra_json; /* an object, added to each request body */
    const char *ca_file;
    int64_t n_logprobs; /* candidates a token; 0: none */
    bool stop_loops;
    int64_t no_think_bytes; /* stop an answer after so many bytes without reasoning; 0: never */
    int64_t n_canary;       /* prompts an endpoint; 0: no canary */
    int64_t n_tries;
    double idle_seconds, total_seconds, grace_seconds;
    double budget_usd; /* of the whole corpus, what it cost so far included; < 0: none */
};
void generate_defaults(struct generate_options *o);

struct generate_summary {
    int64_t n_prompts;         /* of this run's shard */
    int64_t n_wanted, n_there; /* samples asked for at most; those that had a trace before */
    int64_t n_made, n_correct, n_wrong, n_unknown;
    int64_t n_truncated, n_refused, n_empty, n_no_think, n_repetition, n_good;
    int64_t n_satisfied;                      /* until_good: prompts that have enough */
    int64_t n_failed, n_abandoned, n_missing; /* asks without a trace; samples still to be made */
    int64_t n_tokens;                         /* generated */
    double seconds;
    double cost_usd;   /* of this run, failed tries included; -1: not known */
    double corpus_usd; /* of the corpus with it; -1: not known */
    char teacher[256]; /* the name in the corpus */
};
/* ERR_STOPPED when it ended early and the same command goes on: Ctrl-C, a fatal status (401, 402,
 * 403, a 429 for a quota used up), the budget, samples that failed. ERR_NETWORK when no endpoint is
 * fit. What was finished is stored then, and sum is filled, as far as it came after other errors.
 */
err_code generate_run(const struct generate_options *o, struct generate_summary *sum,
                      struct err *e);

#endif
