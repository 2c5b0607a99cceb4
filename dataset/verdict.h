/* Verdicts: what can be said of a trace from its text alone. They mark and never delete, and can be
 * recomputed at any time (corpus_verify); each stored row names the checker's version. */
#ifndef DECANT_DATASET_VERDICT_H
#define DECANT_DATASET_VERDICT_H

#include "dataset/answer.h"

/* Raise when any rule here or of the answer checker changes what it says. */
#define VERDICT_VERSION 8

struct verdicts {
    enum answer_verdict answer;
    const char *answer_reason;     /* static text */
    bool truncated;                /* it did not end by itself: the chain has no reliable end */
    char truncated_reason[80];     /* names the finish reason */
    bool refused;                  /* the server withheld the answer (content_filter) */
    bool empty;                    /* neither reasoning nor answer */
    bool no_think;                 /* the reasoning is empty, or only white space and punctuation */
    bool repetition;               /* the text ends in a loop, see verdict_repetition */
    const char *repetition_reason; /* static text; NULL without repetition */
};

/* gold NULL: the answer's verdict is unknown. An answer part that is empty: unknown when the trace
 * was cut before answering or refused, else wrong (when the gold answer can be read).
 * A trace is complete when its finish_reason is "stop", "eos", "eos_token", "end_turn" or
 * "stop_sequence" (in any case of letters), or "imported" (made elsewhere, which did not say).
 * "content_filter", "refusal" and "sensitive" are refused. Every other reason ("length", "loop",
 * "no_think", "cut", "tool_calls", ...), or none, is truncated. */
void verdict_judge(const char *reasoning, size_t n_reasoning, const char *answer, size_t n_answer,
                   const char *finish_reason, const char *gold, size_t n_gold, struct verdicts *v);

/* Does text loop? Either it ends in one: at least 200 bytes and 3 rounds of one unit of up to 2048
 * bytes, the state that greedy decoding falls into (Holtzman et al. 2020, "The curious case of
 * neural text degeneration", section 4.3). Or over half of its word 8-grams occurred before in it,
 * for texts of at least 200 words: the measure of Rae et al. 2021 ("Scaling language models", table
 * A1), whose thresholds for web pages (0.1 to 0.2) are lower, since a chain of thought restates on
 * purpose. Linear time, 290 kB of stack; long texts forget their oldest 8-grams. */
bool verdict_repetition(const char *text, size_t n, const char **reason);

#endif
