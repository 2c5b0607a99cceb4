/* price.h: what a teacher's tokens cost, in US dollars per million. */
#ifndef DECANT_TEACHER_HTTP_PRICE_H
#define DECANT_TEACHER_HTTP_PRICE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct price {
    bool known;
    double input_hit, input_miss, output; /* USD per million tokens */
    /* A part of the day, UTC, at other prices; off_from == off_to: none. May pass midnight. */
    int off_from, off_to; /* minutes after midnight */
    double off_input_hit, off_input_miss, off_output;
};
/* {"input_cache_hit": 0.14, "input_cache_miss": 0.55, "output": 2.19,
 *  "off_peak": {"from": "16:30", "to": "00:30", "input_cache_hit": ..., ...}}; without a cache-hit
 * price a hit costs as a miss. */
err_code price_read(const char *path, struct price *p, struct err *e);
/* unix_seconds: when the request ended. n_cached of n_prompt; counts below 0 are 0. */
double price_cost(const struct price *p, int64_t n_prompt, int64_t n_cached, int64_t n_completion,
                  int64_t unix_seconds);
/* The most that a request can cost whose prompt is text of so many bytes, at any hour: each byte a
 * token of its own (no tokenizer of bytes can make more of it) beside the chat form's, none of them
 * cached. 0 when the price is not known. */
enum { PRICE_FORM_TOKENS = 64 }; /* what a chat form may add to a prompt */
double price_most(const struct price *p, size_t n_prompt_bytes, int64_t n_completion);

#endif
