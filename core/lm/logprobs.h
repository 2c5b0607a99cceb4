/* logprobs.h: the log-probabilities of a trace's tokens, compact: for each token the chosen one,
 * the k best candidates, and which bytes of the trace's text it stands for.
 *
 *     struct logprobs_writer w = {0};
 *     while (tokens come) rc = logprobs_add(&w, &chosen, top, n_top, e);
 *     rc = logprobs_finish(&w, places, &out, e);               // one place a token, see below
 *     logprobs_writer_dispose(&w);
 *
 *     struct logprobs_reader r;
 *     if ((rc = logprobs_open(&r, data, n, e))) return rc;     // all of it is checked here
 *     while (logprobs_next(&r, &token)) ...                    // can't fail
 *     logprobs_close(&r);
 *
 * A token is known by its id, by its bytes, or by both, as far as the server told. A
 * log-probability is kept as float16: off by at most 2^-11 of itself (0.0005 at -1, 0.005 at -10),
 * and by 2^-25 near 0. NaN: the server gave none.
 *
 * The format, version 1, about 4 bytes a candidate. Varints are LEB128 of at most 2^48.
 *     "DLP", a byte 1; varints: n_names, n_tokens, n_top, bytes of names, bytes of places
 *     names, in the order of their first use, each once:
 *         varint id + 1 (0: none), varint n_bytes + 1 (0: not known), the bytes
 *     places, one a token: varint part + 4 gap, where gap is counted from the end of the last token
 *         in the same part; unless the part is none, varint bytes
 *     tokens: varint name, float16 (little-endian), varint rank, varint n_others, then n_others
 *         times varint name, float16: the candidates in the server's order without the chosen one,
 *         which stands at rank (from 1; 0: not among them)  */
#ifndef DECANT_LM_LOGPROBS_H
#define DECANT_LM_LOGPROBS_H

#include "core/base/mem.h"

#define LOGPROBS_FORMAT "dlp1" /* what a table that stores them calls the format */

enum { LOGPROBS_MAX_TOP = 1024 };

struct logprob {
    int64_t id;        /* -1: not known */
    const char *bytes; /* NULL: not known */
    size_t n_bytes;
    float logprob; /* at most 0; -inf and NaN are allowed */
};

enum logprobs_part { LOGPROBS_NOWHERE, LOGPROBS_REASONING, LOGPROBS_ANSWER };
/* The bytes of the trace's text that a token stands for. NOWHERE: none (a tag, white space that was
 * trimmed, an end token), or not known. Within a part tokens stand in order and do not overlap. */
struct logprobs_place {
    enum logprobs_part part;
    uint64_t at, n;
};

/* Zero-initialise. */
struct logprobs_writer {
    struct buf names, tokens;
    struct logprobs_name *known; /* [n_names] */
    uint32_t *slots;             /* hash table of names */
    uint32_t *chosen;            /* [n_tokens]: names */
    uint32_t n_names, n_slots, n_tokens, cap_names, cap_tokens, n_top;
    uint64_t seed; /* of the hash */
};
/* top: candidates in the server's order, best first; the chosen token may be among them. ERR_USAGE
 * beyond LOGPROBS_MAX_TOP, and for ids that are not -1 .. 2^31 - 2. */
err_code logprobs_add(struct logprobs_writer *w, const struct logprob *chosen,
                      const struct logprob *top, size_t n_top, struct err *e);
/* Bytes of token i's name; NULL when not known. Valid until the next add. */
const char *logprobs_token_bytes(const struct logprobs_writer *w, uint32_t i, size_t *n);
/* Bytes used so far. */
size_t logprobs_size(const struct logprobs_writer *w);
/* Appends everything to out. ERR_USAGE when places overlap or go back. */
err_code logprobs_finish(const struct logprobs_writer *w, const struct logprobs_place *places,
                         struct buf *out, struct err *e);
void logprobs_reset(struct logprobs_writer *w); /* no tokens; small memory is kept */
void logprobs_writer_dispose(struct logprobs_writer *w);

struct logprobs_token {
    struct logprob chosen;
    struct logprobs_place place;
    const struct logprob *top; /* [n_top], best first; the chosen one included when it was there */
    size_t n_top;
    size_t rank; /* of the chosen one in top, from 1; 0: not there */
};
struct logprobs_reader {
    uint64_t n_tokens, n_names, n_top;
    uint64_t n_reasoning, n_answer; /* where the last token of each part ends: no more than the
                                       part's length, or these are another trace's */
    /* the rest is logprobs.c's */
    struct logprob *names, *top;
    const uint8_t *places, *p, *first_place, *first_token, *end;
    uint64_t i, at[3];
};
/* data must outlive the reader, whose strings point into it. ERR_FORMAT naming what does not fit.
 */
err_code logprobs_open(struct logprobs_reader *r, const void *data, size_t n, struct err *e);
/* The next token, valid until the next call; false after the last. */
bool logprobs_next(struct logprobs_reader *r, struct logprobs_token *t);
void logprobs_rewind(struct logprobs_reader *r);
void logprobs_close(struct logprobs_reader *r);

#endif
