/* reply.h: one answer of an OpenAI-compatible server, read as its bytes arrive.
 *
 *     struct reply_rules rules = {.chat = true, .max_bytes = 64 << 20};
 *     struct http_reply *r;                       // used again for the next answer
 *     if ((rc = http_reply_new(&rules, &r, e))) return rc;
 *     http_reply_begin(r, content_type);          // SSE or one JSON body; NULL: the bytes tell
 *     while (bytes come)
 *         if (http_reply_feed(r, data, n) != REPLY_READING) break;   // the rest need not be read
 *     state = http_reply_end(r);                  // the body has ended, or the connection has
 *     http_reply_view(r, &view);
 *     http_reply_free(r);
 *
 * Understood are the answers of DeepSeek, vLLM (reasoning_content and reasoning), SGLang,
 * llama-server and OpenRouter, streamed and whole, chat and plain completions: comments and blank
 * lines anywhere (also before a JSON body), chunks cut inside a character or inside JSON, usage
 * before, with or after the finish chunk, a missing [DONE], an error object in the middle of a
 * stream. What servers send is checked, never trusted: lines and bodies are bounded, counts must be
 * whole numbers in range, nesting is bounded, text that is no UTF-8 stays as bytes.
 *
 * Where the reasoning is (the rule's name is kept with the trace): "reasoning_content", else
 * "reasoning", else "thinking": parts of an array of content, else "tag": inside the content up to
 * the first </think> (the opening tag is often missing, because the template wrote it), else
 * "none". */
#ifndef DECANT_TEACHER_HTTP_REPLY_H
#define DECANT_TEACHER_HTTP_REPLY_H

#include "core/base/mem.h"

struct http_reply;
struct spill;

enum { REPLY_MAX_BYTES = 64 << 20 };

struct reply_rules {
    bool chat;              /* chat completions; else plain ones */
    bool thinking_open;     /* the prompt ended in "<think>\n": content without a closing tag is
                               reasoning, not answer, when it was cut or is of a plain completion */
    size_t max_bytes;       /* of one line, and of the whole text; more is REPLY_BAD; 0:
                               REPLY_MAX_BYTES, and never more than 1 GB */
    int32_t n_top;          /* log-probabilities asked for: candidates a token; 0: none */
    bool stop_loops;        /* REPLY_STOPPED when the text ends in a loop */
    struct spill *spill;    /* where long texts go while they arrive; NULL: they stay in memory */
    int64_t no_think_bytes; /* > 0: REPLY_STOPPED after so many bytes of content (no reasoning
                              field, no opening tag; not with thinking_open) */
};

enum reply_state {
    REPLY_READING,  /* more may come */
    REPLY_COMPLETE, /* a finish reason came, and the stream's or body's end */
    REPLY_STOPPED,  /* a guard: close the connection, keep the text (finish_reason "loop" or
                       "no_think") */
    REPLY_EMPTY,    /* after the end: nothing of use came */
    REPLY_CUT,      /* after the end (or [DONE]): text without a finish reason, or half a JSON
                       body */
    REPLY_BAD,      /* not understood, or an error object: message says what */
};

err_code http_reply_new(const struct reply_rules *rules, struct http_reply **out, struct err *e);
void http_reply_free(struct http_reply *r);
/* Forgets the last answer and keeps the memory (but for long texts). content_type "text/html" makes
 * any body REPLY_BAD; otherwise the bytes tell, since servers send errors as JSON whatever they
 * said. Also understands the bodies of failed requests: the server's own message. */
void http_reply_begin(struct http_reply *r, const char *content_type);
/* Never fails otherwise than by state; lack of memory is REPLY_BAD with a message that says so. */
enum reply_state http_reply_feed(struct http_reply *r, const char *data, size_t n);
/* Does what has come say that the server is at work: an event that is no error, or bytes before the
 * answer (comments, blank lines)? Of one JSON body nothing is known before its end. */
bool http_reply_lives(const struct http_reply *r);
enum reply_state http_reply_end(struct http_reply *r);

/* All strings belong to r and live until begin or free. Counts are -1 and strings NULL where the
 * server did not say, or said what can't be (-5 tokens, 1e300), or counted before the text's end.
 * reasoning and answer do not end in NUL; message is in the server's words, which may repeat what
 * it was sent. A refusal (the field "refusal") is the answer, with finish_reason "refusal". Of
 * several choices only number 0 is read.
 *
 * A chunk that came twice is left out where that can be known: when it is equal to the one before
 * to the byte and carries a number that grows otherwise (an event's id, a running count of tokens
 * that grew with each of the first chunks).
 * Elsewhere nothing tells it from a word said twice; maybe_doubled is then a hint.
 *
 * Memory while an answer arrives: its text, with a spill some 70 kB of it; 8 kB from 2 kB of text
 * on when loops are watched for, and with log-probabilities of k candidates about 30 + 4 k bytes a
 * token. */
struct reply_view {
    enum reply_state state;
    const char *reasoning, *answer; /* without tags, outer white space trimmed; never NULL */
    size_t n_reasoning, n_answer;
    const char *think_rule; /* "reasoning_content", "reasoning", "thinking", "tag", "none" */
    const char
        *finish_reason; /* as sent ("stop", "length", ...), or "loop", "no_think" of a guard */
    const char *model, *id, *system_fingerprint, *service_tier;
    int64_t n_prompt_tokens, n_completion_tokens, n_reasoning_tokens, n_cached_tokens;
    int64_t n_text_chunks; /* chunks with text so far: about the tokens of a stream that has not
                              told its usage yet */
    bool maybe_doubled;    /* more chunks with text than tokens, and some were equal to the one
                              before */
    double cost_usd;       /* usage.cost, where a server reports it (OpenRouter), and what a
                              provider asks besides for a key of one's own there */
    const char *message;   /* of REPLY_BAD: what was wrong, or the server's own words (at most 500
                              bytes, control characters removed) */
    int status;            /* an error object's numeric code, else 0 */
    bool of_prompt; /* the error is of this prompt: a filter flagged it (OpenRouter), or it is
                       too long for the model (Together says so with a 403) */
    bool no_quota;  /* the error's code or type is "insufficient_quota" */
    bool has_logprobs;
    const void *logprobs; /* core/lm/logprobs.h's format, of reasoning and answer */
    size_t n_logprobs, n_logprob_tokens;
};
void http_reply_view(struct http_reply *r, struct reply_view *v);

#endif
