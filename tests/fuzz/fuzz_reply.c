/* Fuzzing harness: a server's answer, read at once and in pieces: both must say the same, stay
 * within bounds, and place every token inside the text. */
#include "core/lm/logprobs.h"
#include "core/base/rng.h"
#include "teacher/http/reply.h"

#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t digest(uint64_t h, const void *p, size_t n)
{
    uint64_t pair[2] = {h, rng_hash(p, n)};
    return rng_hash(pair, sizeof pair);
}

static uint64_t string_digest(uint64_t h, const char *s)
{
    return s ? digest(h, s, strlen(s)) : digest(h, "", 0);
}

/* Everything that the view says, as one number; what it promises is checked. */
static uint64_t digest_view(struct http_reply *r, const struct reply_rules *rules)
{
    struct reply_view v;
    struct err e;
    http_reply_view(r, &v);
    check(v.reasoning && v.answer && v.think_rule && v.state != REPLY_READING);
    check(v.n_reasoning + v.n_answer <= rules->max_bytes);
    check((v.state == REPLY_BAD) == (v.message != NULL));
    check(!v.message || strlen(v.message) <= 500);
    check(v.state != REPLY_COMPLETE || v.finish_reason);
    check(v.n_prompt_tokens >= -1 && v.n_completion_tokens >= -1 && v.n_reasoning_tokens >= -1 &&
          v.n_cached_tokens >= -1 && v.cost_usd >= -1 && v.cost_usd < 1e6);
    uint64_t h = digest(0, v.reasoning, v.n_reasoning);
    h = digest(h, v.answer, v.n_answer);
    const char *const strings[] = {v.think_rule, v.finish_reason,      v.model,       v.id,
                                   v.message,    v.system_fingerprint, v.service_tier};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        h = string_digest(h, strings[i]);
    int64_t numbers[] = {(int64_t)v.state,         v.n_prompt_tokens, v.n_completion_tokens,
                         v.n_reasoning_tokens,     v.n_cached_tokens, v.n_text_chunks,
                         (int64_t)v.maybe_doubled, v.status};
    h = digest(h, numbers, sizeof numbers);
    h = digest(h, &v.cost_usd, sizeof v.cost_usd);
    if (v.has_logprobs) {
        struct logprobs_reader l;
        struct logprobs_token t;
        check(logprobs_open(&l, v.logprobs, v.n_logprobs, &e) == ERR_OK);
        check(l.n_tokens == v.n_logprob_tokens && l.n_top <= (uint64_t)rules->n_top + 1);
        check(l.n_reasoning <= v.n_reasoning && l.n_answer <= v.n_answer);
        while (logprobs_next(&l, &t)) {
            uint64_t place[] = {t.place.part, t.place.at, t.place.n};
            h = digest(h, place, sizeof place);
        }
        logprobs_close(&l);
    }
    return h;
}

static uint64_t read_in_pieces(struct http_reply *r, const struct reply_rules *rules,
                               const uint8_t *data, size_t size, uint64_t seed)
{
    struct rng rng = rng_make(seed, 0, 0);
    http_reply_begin(r, NULL);
    for (size_t at = 0; at < size;) {
        uint64_t most = rng_below(&rng, 4) ? 20 : 400;
        size_t n = seed ? 1 + rng_below(&rng, most) : size;
        n = n < size - at ? n : size - at;
        char *copy = malloc(n); /* of the exact length: the sanitizer sees a read past it */
        memcpy(copy, data + at, n);
        http_reply_feed(r, copy, n);
        free(copy);
        at += n;
    }
    http_reply_end(r);
    return digest_view(r, rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply_rules rules = {.chat = size & 1,
                                .thinking_open = size & 2,
                                .max_bytes = size & 4 ? 1 << 20 : 340,
                                .n_top = size & 8 ? 2 : 0,
                                .stop_loops = size & 16,
                                .no_think_bytes = size & 32 ? 30 : 0};
    struct http_reply *r;
    check(http_reply_new(&rules, &r, NULL) == ERR_OK);
    uint64_t whole = read_in_pieces(r, &rules, data, size, 0);
    check(read_in_pieces(r, &rules, data, size, 1 + size) == whole);
    check(read_in_pieces(r, &rules, data, size, 7 * size + 3) == whole);
    http_reply_free(r);
    return 0;
}
