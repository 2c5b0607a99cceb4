/* The canary: a few prompts through each endpoint before the run, to learn whether it gives what is
 * paid for. Here is what is made of the answers; generate_http.c asks.
 *
 * The probes are work that is missing anyway, pinned to an endpoint, and their answers are stored
 * as traces, so that nothing is paid twice. Only two short repeats of the first probe are extra
 * (CANARY_REPEAT_TOKENS each): one with its seed, one with another. Texts are compared as
 * far as both go:
 *     same seed same text, other seed other text    the seed is honoured
 *     both the same text                            it does not vary: no sampling, whatever the
 *                                                   temperature says
 *     same seed other text                          the seed is not honoured */
#ifndef DECANT_DISTILL_CANARY_H
#define DECANT_DISTILL_CANARY_H

#include "teacher/http/http.h"

enum { CANARY_REPEAT_TOKENS = 256, CANARY_TRIES = 3 };

struct canary {
    const char *url;
    bool want_logprobs;
    int n_asked, n_ended; /* probes */
    int n_repeats, n_repeats_ended;
    int n_traces, n_fit; /* of them: answers; answers with reasoning (and log-probabilities) */
    int n_thinking, n_logprobs;
    int n_resumable; /* failures that say nothing against the endpoint: no money, a wrong key, too
                        much to do */
    char rule[24], model[128];                  /* of the last answer */
    char message[400];                          /* of the last failure */
    double tokens, seconds, first_byte_seconds; /* summed over answers */
    struct buf first, same, other;              /* the beginnings that are compared */
    bool has_first, has_same, has_other;
    bool unaffordable; /* the budget has no room for the repeats (the caller's) */
    bool told;         /* the report is out (the caller's) */
};
enum canary_state { CANARY_OPEN, CANARY_FIT, CANARY_UNFIT };
enum canary_seed {
    CANARY_SEED_UNKNOWN,
    CANARY_SEED_HONOURED,
    CANARY_SEED_IGNORED,
    CANARY_NO_SAMPLING
};

void canary_dispose(struct canary *c);
/* A probe has ended. thinks: its reasoning holds words; repeated: it is the one that the repeats
 * are compared to. */
err_code canary_note(struct canary *c, const struct http_answer *a, bool thinks, bool repeated,
                     struct err *e);
/* A short repeat has ended. */
err_code canary_repeat(struct canary *c, const struct http_answer *a, bool same_seed,
                       struct err *e);
/* Fit once half of the probes (rounded up) are, unfit once that cannot be any more. */
enum canary_state canary_judge(const struct canary *c);
enum canary_seed canary_seeds(const struct canary *c);
/* A line for a person: what was found; of an unfit one why, and what would help. */
void canary_report(const struct canary *c, double temperature, char *out, size_t size);

#endif
