/* reply_parts.h: what reply.c (bytes, streams, states) and reply_take.c (what one chunk or body
 * says) share of an answer that is being read. */
#ifndef DECANT_TEACHER_HTTP_REPLY_PARTS_H
#define DECANT_TEACHER_HTTP_REPLY_PARTS_H

#include "teacher/http/guard.h"
#include "teacher/http/reply.h"
#include "teacher/http/sse.h"
#include "teacher/http/think.h"
#include "teacher/http/tokens.h"

enum { REPLY_MESSAGE_BYTES = 500 };

enum body { BODY_UNKNOWN, BODY_EVENTS, BODY_JSON, BODY_PAGE };

/* A number that each chunk carries. When it was seen to grow, and never to stand still from one
 * chunk to a different one, the same number twice is the same chunk twice. An event's id is no
 * other event's; a count of tokens, which may lag, has to be seen to grow for a while. */
enum { RUNNING_ID = 1, RUNNING_COUNT = 8 };
struct running {
    int64_t last; /* -1: none yet */
    int64_t n_grew;
    bool stood;
};

struct http_reply {
    struct reply_rules rules;
    enum body body;
    enum reply_state state;
    bool html, in_comment, done;
    int n_bom;
    struct sse sse;
    struct text whole; /* a body that is no event stream */
    struct text reasoning, content;
    enum think_rule field;
    size_t n_before_field; /* of content, when the field's first text came */
    struct think_tags tags;
    struct loop_guard reasoning_loop, content_loop;
    bool refused, of_prompt, no_quota;
    char finish[64], model[192], id[192], fingerprint[96], tier[64],
        message[REPLY_MESSAGE_BYTES + 1];
    int status;
    int64_t n_prompt, n_completion, n_reasoning, n_cached;
    double cost;
    uint64_t last_hash;
    struct running ids, counts;
    struct token_log tokens;
    struct buf logprobs; /* of the finished answer, made when it is asked for */
    int64_t n_text_chunks, n_same_chunks;
    int64_t n_counted_chunks; /* n_text_chunks when tokens were counted last */
};

/* Takes all values of a body or an event's data (ev; NULL of a body): one, mostly. may_be_cut: the
 * last may be half there, and is passed over then. same: equal to the event before to the byte.
 * false: the state is REPLY_BAD. */
bool reply_take(struct http_reply *r, const char *text, size_t n, bool may_be_cut,
                const struct sse_event *ev, bool same);

/* The answer is of no use; what came before stays. Control characters in the message become spaces.
 * All return false. */
bool reply_bad(struct http_reply *r, int status, const char *text, size_t n);
bool reply_bad_text(struct http_reply *r, const char *text);
/* "what: the first bytes of it" */
bool reply_bad_sample(struct http_reply *r, const char *what, const char *sample, size_t n);
bool reply_bad_memory(struct http_reply *r);
bool reply_bad_length(struct http_reply *r);

#endif
