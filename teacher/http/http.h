/* http.h: teachers behind an OpenAI-compatible HTTP API: vLLM, SGLang, llama-server, DeepSeek,
 * OpenRouter and the like. One thread, one libcurl multi loop, thousands of requests in flight over
 * any number of endpoints.
 *
 *     struct http_teacher *t;
 *     if ((rc = http_teacher_open(&options, &t, e))) return rc;
 *     while (work is left or http_teacher_in_flight(t)) {
 *         while (work is left && http_teacher_room(t) > 0)
 *             if ((rc = http_teacher_ask(t, &ask, e))) goto done;    // strings are copied
 *         rc = http_teacher_poll(t, 200, e);                         // waits at most 200 ms
 *         while (http_teacher_next(t, &answer)) ...store it...       // valid until the next one
 *     }
 *     http_teacher_close(t);                                         // drops what is in flight
 *
 * Each ask ends in exactly one answer. In between the client does what it takes: it chooses the
 * endpoint by weight, speed and health and adapts each endpoint's concurrency (endpoint.h), honours
 * Retry-After and rate limit headers, backs off with full jitter and tries again, elsewhere when
 * there is an elsewhere (retry.h says what is tried again). An endpoint that is gone is probed with
 * a request now and then; when all are gone, or off, for longer than down_seconds, all asks end as
 * HTTP_FATAL. The texts of broken tries are not lost: the longest is given with the failure.
 *
 * Times. connect_seconds covers name, connection and TLS; idle_seconds is the longest silence,
 * where comments (": keep-alive") are life; total_seconds bounds each try as a whole.
 *
 * Keys are read from the environment or from a file (key.h), go into the Authorization header and
 * nowhere else: redirects are not followed, and where a server repeats a key it is made
 * unreadable. TLS is verified, always. HTTP/2 is used where TLS offers it. */
#ifndef DECANT_TEACHER_HTTP_HTTP_H
#define DECANT_TEACHER_HTTP_HTTP_H

#include "teacher/http/price.h"
#include "teacher/http/reply.h"

struct http_endpoint_options {
    const char *url;      /* base, e.g. "http://10.0.0.7:8000/v1"; "/chat/completions" is added. No
                             user information, no query: they may hold secrets */
    double weight;        /* of the load, > 0 */
    const char *model;    /* sent as "model"; NULL: options.model */
    const char *key_env;  /* name of the environment variable that holds the key, or NULL */
    const char *key_file; /* file that holds the key (refused when others may read it), or NULL */
    struct price price;   /* zeroed: not known */
};
struct http_options {
    const struct http_endpoint_options *endpoints;
    int n_endpoints;
    const char *model;
    bool stream, raw;   /* raw: plain completions of a finished prompt text */
    const char *system; /* may be NULL; chat only */
    double temperature, top_p;
    int32_t top_k; /* 0: not sent */
    int64_t max_tokens;
    const char *extra_json;   /* an object whose members are added to each request body; or NULL */
    struct reply_rules rules; /* chat, n_top and thinking_open included */
    int64_t concurrency;      /* most requests in flight, over all endpoints */
    int n_tries; /* per ask, the first one included; 429, 503, 529 and connections that can't be
                    made cost none before down_seconds (they say nothing about the ask). A pinned
                    ask pays for the latter, and after a minute for the former */
    double connect_seconds, idle_seconds, total_seconds;
    double down_seconds;    /* endpoints that are all of no use for so long end the asks as
                               HTTP_FATAL; 0: 600 */
    double backoff_seconds; /* most before the second try, doubled for each one more, to 60 s;
                               0: 0.5 */
    uint64_t seed;          /* of the jitter */
    const char *spill_dir;  /* where a file without a name takes long texts while they arrive
                               (spill.h); NULL: memory does */
    const char *ca_file;    /* PEM file of the authorities to trust; NULL: the system's */
};
struct http_teacher;
/* Checks URLs, keys and numbers; opens no connection. ERR_USAGE naming the option's value, never
 * the key; of a key what key.h says. */
err_code http_teacher_open(const struct http_options *o, struct http_teacher **out, struct err *e);
void http_teacher_close(struct http_teacher *t);

struct http_ask {
    uint64_t id;        /* the caller's */
    const char *prompt; /* the user's message, or the whole text when raw */
    size_t n_prompt;
    bool has_seed;
    int64_t seed; /* sent as "seed" */
    int endpoint; /* -1: the client chooses; else this one and no other (a canary). A fatal status
                     of a pinned ask leaves its endpoint out and ends this ask alone */
    int64_t max_tokens; /* 0: the options' (a canary's short repeat) */
    int n_tries;        /* 0: the options' */
    int avoid;          /* 1 + an endpoint, if there is another; 0: none (where it failed before) */
};
/* How many asks more it would take now: an eighth more than concurrency, so that an answer's place
 * is taken again at once, and not counting those that wait for another try (but never more than
 * twice concurrency in all). More than that are taken too; they wait in memory. */
int64_t http_teacher_room(const struct http_teacher *t);
/* Asks without an answer handed out by http_teacher_next. */
int64_t http_teacher_in_flight(const struct http_teacher *t);
err_code http_teacher_ask(struct http_teacher *t, const struct http_ask *a, struct err *e);
/* Moves data; returns early when an answer is there. Fails for lack of memory and the like only. */
err_code http_teacher_poll(struct http_teacher *t, int timeout_ms, struct err *e);

enum http_outcome {
    HTTP_TRACE,   /* an answer: complete, truncated, refused, empty or stopped by a guard */
    HTTP_FAILED,  /* this request can't be answered (400, 422, ...; a 403 of the prompt; 404 with no
                     endpoint left to try), by two endpoints if there are two: message */
    HTTP_GAVE_UP, /* tries used up: message is the last one's */
    HTTP_FATAL,   /* 401, 402, another 403, a quota used up (or every endpoint gone): the run must
                     stop. Asks still in flight may end as traces all the same */
};
struct http_answer {
    uint64_t id;
    enum http_outcome outcome;
    struct reply_view reply; /* of a trace; else the longest partial text of the broken tries */
    int status;              /* HTTP status of the last try, or the code of an error that a 200
                                brought; 0: none */
    const char *message;     /* of a failure: one line that names the endpoint, never a key */
    const char *endpoint;    /* base URL */
    int i_endpoint;
    const char *params_json; /* what was sent but for the prompt (an object) */
    int n_tries, n_charged;  /* charged: those that count against n_tries (a 429 does not) */
    double latency_ms, first_byte_ms; /* of the last try */
    double cost_usd;                  /* of the trace; -1 not known */
    double most_usd;   /* of a trace without token counts: the most that its text can have cost; -1
                          when it has them, or no price is known */
    double wasted_usd; /* of tries that gave no trace, as far as the server reported tokens */
    double unreported_usd; /* the most that the texts of its other tries can have cost */
};
bool http_teacher_next(struct http_teacher *t, struct http_answer *a);

/* Sends nothing more: asks that wait, for a place or for another try, end as HTTP_GAVE_UP now;
 * those in flight go on, and a try that fails is the last. */
void http_teacher_finish(struct http_teacher *t);
/* Ends all that is in flight now, each ask as HTTP_GAVE_UP with the text that it has so far, for
 * http_teacher_next; asks that were answered meanwhile keep their answer. */
void http_teacher_abandon(struct http_teacher *t);

/* The ids that endpoint i's GET {url}/models lists, in its order (opens the connection; blocks for
 * at most connect_seconds + 30 s). names[0..*n) are freed with mem_free each, and names itself.
 * ERR_NETWORK (ERR_STOPPED for a 401, 402 or 403, or a requested stop) with the endpoint, the
 * status and the server's words, never the key. */
err_code http_teacher_models(struct http_teacher *t, int i, char ***names, int *n, struct err *e);

/* How an endpoint does, for the progress line and the summary. */
struct http_endpoint_stats {
    const char *url;
    int64_t n_in_flight, limit; /* limit: the concurrency it is held to now */
    int64_t n_traces, n_failures, n_rate_limited, n_completion_tokens;
    double seconds;           /* summed over traces */
    const char *last_message; /* of its last failure; "" */
    bool off;                 /* left out: fatal, or by http_teacher_leave_out */
};
int http_teacher_n_endpoints(const struct http_teacher *t);
void http_teacher_endpoint(const struct http_teacher *t, int i, struct http_endpoint_stats *s);
/* Takes an endpoint out of the run (a canary found it unfit). */
void http_teacher_leave_out(struct http_teacher *t, int i);

#endif
