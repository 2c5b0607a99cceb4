/* The teacher that the tests ask: an OpenAI-compatible HTTP/1.1 server on the loopback that speaks
 * several servers' dialects and breaks in every way that those do, as often as it is told.
 *
 *     build/tests/server/teacher --dialect deepseek --fault retry=0.2 --ledger ledger.tsv
 *
 * prints "http://127.0.0.1:PORT/v1" once it listens (the OS chooses the port). What it answers is a
 * function of its --seed, the prompt and the request's "seed" alone: a prompt that holds "17 + 25"
 * is answered with 42 (or, as often as asked for, with a wrong sum, without thinking, in a loop,
 * ...). Which fault a request meets is a function of those and of how often the same was asked
 * before.
 *
 * Files: main.c (options, the event loop), exchange.c (one request from its first byte to its
 * last), answer.c (what the teacher says), dialect.c (as which JSON), fault.c (what goes wrong),
 * ledger.c (what was sent and what it costs). One thread does all. */
#ifndef DECANT_TESTS_SERVER_H
#define DECANT_TESTS_SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Text that grows; lack of memory ends the program. */
struct text {
    char *s;
    size_t n, cap;
};
void text_add(struct text *t, const char *s, size_t n);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *t, const char *s, size_t n); /* as a JSON string, with its quotes */
void text_free(struct text *t);

uint64_t mix(uint64_t a, uint64_t b); /* a hash of two numbers */
uint64_t hash_text(const char *s, size_t n);
double share(uint64_t hash); /* [0, 1) */
int64_t now_ms(void);
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What goes wrong. Groups: 'b' harmless, the trace must come all the same; 'r' to be tried again;
 * 'x' the sample fails; 'f' the run must stop; 'o' others. */
enum fault {
    FAULT_NONE,
    FAULT_SLOW_FIRST,  /* the first byte comes late */
    FAULT_COMMENTS,    /* keep-alive comments between chunks; blank lines before a JSON body */
    FAULT_CUT_CHUNKS,  /* pieces of 1 to 7 bytes: cut inside characters, JSON and line ends */
    FAULT_USAGE_EARLY, /* usage before the finish chunk */
    FAULT_NO_DONE,     /* no [DONE] */
    FAULT_DUP,         /* the first, the finish and the usage chunk and [DONE] come twice */
    FAULT_GZIP,        /* where the client accepts it */
    FAULT_CRLF,        /* CR LF line ends in the stream */
    FAULT_CLOSE,       /* the connection is closed after the answer */
    FAULT_SPLIT_DATA,  /* an event's JSON over several data: lines */
    FAULT_RESET,       /* RST at any byte, also before the first */
    FAULT_FIN,         /* the connection ends at any byte */
    FAULT_CUT_CLEAN,   /* the body ends properly in the middle of the answer */
    FAULT_EMPTY,       /* 200 with an empty body */
    FAULT_408,
    FAULT_429,       /* without Retry-After */
    FAULT_429_AFTER, /* Retry-After in seconds */
    FAULT_429_DATE,  /* Retry-After as a date */
    FAULT_500,
    FAULT_502_HTML,
    FAULT_503,
    FAULT_504,
    FAULT_HTML_200,     /* an HTML page with status 200 */
    FAULT_ERROR_MID,    /* an error object in the middle of the stream */
    FAULT_ERROR_FIRST,  /* 200, and nothing but an error object */
    FAULT_BAD_JSON,     /* a chunk that is no JSON */
    FAULT_BIG_LINE,     /* a line of --big-bytes */
    FAULT_LENGTH_LONG,  /* Content-Length says more than comes */
    FAULT_LENGTH_SHORT, /* ... less */
    FAULT_INSUFFICIENT, /* finish_reason insufficient_system_resource */
    FAULT_ABORTED,      /* finish_reason aborted or abort */
    FAULT_STALL,        /* nothing more comes, the connection stays open */
    FAULT_400,
    FAULT_404,
    FAULT_422,
    FAULT_401,
    FAULT_402,
    FAULT_403,
    FAULT_401_ECHO, /* the message repeats the Authorization header */
    FAULT_400_ECHO,
    FAULT_REDIRECT,  /* 307 to --redirect */
    FAULT_DUP_TEXT,  /* text chunks come twice: no client can know */
    FAULT_NO_USAGE,  /* tokens are not reported */
    FAULT_BAD_USAGE, /* token counts that can't be */
    FAULT_BAD_UTF8,  /* bytes that are no UTF-8 in the text */
    N_FAULTS,
};
const char *fault_name(enum fault f);
/* --fault RULE: WHAT=P (a share of requests), WHAT@N, WHAT@N-M, WHAT@N- (the Nth request, from 1),
 * WHAT~TEXT (prompts that hold TEXT). WHAT is a fault, or a group: benign, retry, any (both). */
void fault_rule_add(const char *rule);
void fault_list(FILE *f);
/* For the n-th request (from 1), whose own number is hash. */
enum fault fault_choose(uint64_t n, uint64_t hash, const char *prompt);

/* What the teacher says: tokens [0, n_reasoning) are reasoning, then n_answer of answer. */
enum kind { /* what should become of the trace */
            KIND_CORRECT,
            KIND_WRONG,
            KIND_NO_THINK,   /* no reasoning, a right answer */
            KIND_LOOP,       /* the reasoning repeats itself and has no end */
            KIND_TRUNCATED,  /* finish_reason length */
            KIND_FILTERED,   /* finish_reason content_filter, cut somewhere */
            KIND_ANSWERLESS, /* reasoning, then nothing */
            N_KINDS,
};
const char *kind_name(enum kind k);
enum { TOKEN_BYTES = 40, HEAD_TOKENS = 12, TAIL_TOKENS = 12, ANSWER_TOKENS = 12 };
struct answer {
    enum kind kind;
    uint64_t seed;
    int64_t n_reasoning, n_answer;
    const char *finish_reason;
    int n_head, n_tail, n_last;
    char head[HEAD_TOKENS][TOKEN_BYTES], tail[TAIL_TOKENS][TOKEN_BYTES];
    char last[ANSWER_TOKENS][TOKEN_BYTES];
};
struct answer_options {
    double share[N_KINDS]; /* of each kind but the first */
    int64_t min_tokens, max_tokens, loop_tokens;
};
void answer_plan(const struct answer_options *o, const char *prompt, uint64_t seed,
                 int64_t max_tokens, struct answer *a);
/* Token i as text; returns its length. Some hold characters of two to four bytes. */
size_t answer_token(const struct answer *a, int64_t i, char out[TOKEN_BYTES]);

/* How it is written. */
struct dialect;
const struct dialect *dialect_find(const char *name); /* NULL: not known */
void dialect_list(FILE *f);

struct config {
    const struct dialect *dialect;
    bool tags, open_tag; /* reasoning inside the content, up to </think>; with <think> as well */
    uint64_t seed;
    struct answer_options answer;
    int64_t chunk_tokens, min_latency_ms, max_latency_ms, chunk_ms, burst, slow_ms, retry_after_s,
        big_bytes, capacity;
    int fault_tries; /* a request that came so often meets no fault any more; 0: always */
    bool ignore_seed, no_logprobs;
    double price_hit, price_miss, price_output; /* USD per million tokens */
    const char *model, *redirect;
    char *key;
    char nonce[24]; /* makes ids of different runs differ */
};
extern struct config config; /* set by main before it listens */

struct exchange {
    struct MHD_Connection *connection;
    struct text body; /* the request's */
    bool active, planned;
    int64_t due_ms; /* while suspended */
    /* what was asked */
    bool chat, stream, want_usage, thinking_open, accepts_gzip;
    int n_top;
    int64_t max_tokens;
    uint64_t ordinal, seed, n_before; /* n_before: how often the same was asked before */
    char *prompt, *authorization;
    char id[64];
    int64_t created;
    /* what comes of it */
    enum fault fault;
    int status;
    struct answer answer;
    int64_t n_prompt_tokens, n_cached_tokens;
    double cost_usd;
    /* the stream */
    int phase;
    int64_t i_token, n_chunks;
    struct text prefix, out; /* out: bytes made and not yet taken */
    size_t i_out;
    uint64_t n_sent, cut_at; /* of the body; cut_at UINT64_MAX: never */
    uint64_t dice;
    bool usage_sent, finish_sent, all_made, want_pause, cut;
    int64_t pause_ms;
    void *deflate; /* z_stream, with gzip */
};

/* Makes the next piece of a stream into x->out; sets all_made after the last. */
void dialect_next(struct exchange *x);
/* The whole answer as one JSON object. */
void dialect_whole(struct exchange *x, struct text *t);
void dialect_error(struct text *t, int status, const char *message);
void dialect_models(struct text *t);
bool dialect_reports_cached(void);

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *n_upload, void **state);
void exchange_done(void *cls, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code);

/* The event loop's clock: suspends the connection, which goes on after ms. */
void sleep_exchange(struct exchange *x, int64_t ms);

struct counters {
    uint64_t n_requests, n_answers, n_in_flight, n_peak, n_bad_key, n_faults;
};
extern struct counters counters;

/* A line a request to the teacher that was answered with 200 or broken off:
 * id, state (sent; cut: by a fault; gone: by the client), fault, kind, status, seed,
 * tokens of prompt, cached, completion, reasoning (of what was sent), finish (1: sent), usage (1),
 * cost in USD, prompt (its first 80 bytes), reasoning, answer (line feeds as \n; "-" when the two
 * have over 1,000 tokens) */
void ledger_open(const char *path);
void ledger_add(const struct exchange *x, const char *state);
void ledger_flush(void);

#endif
