/* client: what http.h's teacher is made of; for the files of http.h's functions alone.
 *
 * An ask waits in a queue (its endpoint's when it is pinned, else the common one), travels in a
 * transfer, waits in the retry heap after a try that failed, and ends in the list of the done.
 * Asks, transfers and replies are pooled: in the steady state nothing is allocated but what texts
 * need. libcurl is driven by epoll (curl_multi_socket_action): work is done for the sockets that
 * have something to say, however many are in flight. Transfers are dealt to lanes, each a multi
 * handle with its own connections. */
#ifndef DECANT_TEACHER_HTTP_CLIENT_H
#define DECANT_TEACHER_HTTP_CLIENT_H

#include "teacher/http/body.h"
#include "teacher/http/endpoint.h"
#include "teacher/http/http.h"
#include "teacher/http/key.h"
#include "teacher/http/spill.h"

#include <curl/curl.h>

enum { MESSAGE_BYTES = 512 };

struct ask {
    struct ask *next;
    uint64_t id;
    char *prompt;
    struct body_ask body_ask;                 /* of prompt */
    int64_t max_tokens;                       /* 0: the options' */
    int pinned;                               /* endpoint, or -1 */
    int max_tries, n_sent, n_charged, n_free; /* free: tries that cost none (429, nobody there) */
    double t_first_free;
    int avoid;          /* endpoint of the last failure, or -1 */
    double avoid_until; /* not to be asked before */
    int refused_by;     /* endpoint that is not asked again while there is another; -1 */
    struct buf body;    /* as posted */
    struct buf params;  /* once done */
    struct http_reply *reply, *best; /* of this try; the longest of the broken ones */
    size_t n_best;
    /* how it ended */
    enum http_outcome outcome;
    int endpoint, status;
    double latency_ms, first_byte_ms, cost_usd, most_usd, wasted_usd, unreported_usd;
    char message[MESSAGE_BYTES];
};
struct ask_queue {
    struct ask *first, *last;
    int64_t n;
};

/* libcurl looks for an idle connection among all that its multi handle has, one by one: so each
 * handle has but as many transfers as HTTP/2 servers mostly allow on one connection, and what a
 * request costs does not grow with how many are in flight. */
enum { LANE_TRANSFERS = 100, LANE_FILES = 12 /* beside a connection each */ };
struct lane {
    struct http_teacher *t;
    CURLM *multi;
    double due; /* when libcurl wants to be called; INFINITY: by sockets only */
    int64_t n;  /* transfers that were made for it; at most LANE_TRANSFERS */
};

struct transfer {
    struct http_teacher *t;
    struct lane *lane;     /* for good: where its connection is kept */
    struct transfer *next; /* in the pool */
    CURL *easy;
    int64_t place; /* in t->busy */
    struct ask *ask;
    int endpoint; /* of the last use too: its options are still set; -1: none */
    struct endpoint_ticket sent;
    double t_first, t_last, t_complete; /* 0: not yet */
    int port;                           /* of the connection, on this side; 0: not yet */
    int status;
    bool begun, html, ours; /* ours: the client's own end of it (guard, garbage) */
    bool accepted;          /* an answer is on its way, or at least a sign that it will be */
    uint64_t n_bytes;
    double retry_after; /* seconds; negative: none */
    struct {
        bool has_left, has_reset;
        int64_t left;
        double reset;
    } quota[QUOTA_KINDS];
    char curl_error[CURL_ERROR_SIZE];
};

/* What of an endpoint is not arithmetic. */
struct site {
    char *url, *model, *post_url;
    struct key key;
    struct curl_slist *headers;
    struct price price;
    struct ask_queue pinned;
    int64_t n_completion_tokens;
    double seconds;
    struct transfer *newest; /* in flight, the last one to have got its connection; NULL */
    bool shared;             /* two at a time were seen on one connection */
    bool said_down;          /* the user was told */
    char last_message[MESSAGE_BYTES];
};

struct http_teacher {
    struct http_options o; /* strings are this struct's own */
    char *model, *system, *extra_json, *ca_file;
    struct spill *spill; /* o.rules.spill */
    int n;
    struct site *sites;
    struct endpoint *endpoints;

    bool finishing; /* nothing more is sent */

    CURLSH *share; /* host names are looked up once for all lanes */
    struct lane *lanes;
    int64_t n_lanes;
    int epoll;
    double now, next_sweep;
    int64_t n_full; /* full sets of events since the sweep was due */
    struct rng rng;
    err_code rc; /* of a callback, which can't return one */
    struct err e;

    struct ask_queue ready, done, free_asks;
    struct retry_heap later;
    struct transfer **busy; /* [o.concurrency] */
    int64_t n_busy, n_open; /* open: asked and not yet handed out */
    struct transfer *free_transfers;
    struct http_reply **free_replies;
    size_t n_free_replies, cap_free_replies;
    struct ask *handed; /* whose answer the caller looks at */
};

/* asks.c */
void ask_push(struct ask_queue *q, struct ask *a);
struct ask *ask_pop(struct ask_queue *q);
void asks_free(struct ask_queue *q); /* with its asks */
void ask_free(struct ask *a);
int64_t asks_waiting(const struct http_teacher *t); /* for an endpoint to take them */
/* Sends what may be sent now; ends what waits in vain. */
err_code asks_dispatch(struct http_teacher *t, struct err *e);
/* Whatever a server repeats of what it was sent, the key goes no further. The strings of v are the
 * reply's own buffers. */
void reply_hide_key(const struct key *k, const struct reply_view *v);
void asks_end_waiting(struct http_teacher *t, enum http_outcome outcome, const char *message);

/* setup.c */
err_code client_setup(struct http_teacher *t, const struct http_options *o, struct err *e);
void client_dispose(struct http_teacher *t);

/* transfer.c. begin: a->reply is set, the ask belongs to the transfer until finish. */
err_code transfer_begin(struct http_teacher *t, struct ask *a, int endpoint, struct err *e);
/* Off the multi handle; gives the transfer back to the pool. */
void transfer_release(struct http_teacher *t, struct transfer *x);
void transfer_free(struct transfer *x);
err_code transfer_set_common(const struct http_teacher *t, CURL *easy, struct err *e);
/* The server has begun to answer, or to say that it will; each time that more comes. */
void transfer_accepted(struct transfer *x);
/* What libcurl's code says about how the try ended. */
enum try_break transfer_break(CURLcode code);
/* libcurl's words, or "" where it had none, behind the cause in plain ones where that is known. */
enum { TRANSFER_WORDS = CURL_ERROR_SIZE + 80 };
void transfer_words(CURL *easy, CURLcode code, const char *words, char out[TRANSFER_WORDS]);

/* ended.c. A transfer has ended: by itself (code, from libcurl), or why says so. */
err_code ask_ended(struct http_teacher *t, struct transfer *x, enum try_break how, CURLcode code,
                   const char *why, struct err *e);
/* Ends a transfer's ask now, as HTTP_GAVE_UP with the text it has. */
void ask_abandon(struct http_teacher *t, struct transfer *x);
/* Ends an ask that is on no transfer and in no queue; message NULL: the one it has. */
void ask_fail(struct http_teacher *t, struct ask *a, enum http_outcome outcome,
              const char *message);

#endif
