/* body.h: what is posted to an OpenAI-compatible server.
 *
 *     struct body_options o = {.chat = true, .model = "deepseek-ai/DeepSeek-R1", .stream = true,
 * ...}; if ((rc = body_check(&o, e))) return rc;           // once rc = body_write(&o, &ask, &out,
 * e);                // appends the request's body rc = body_params(&o, &ask, &out, e); // the same
 * without the prompt's text
 *
 * Chat: {"model", "messages", "temperature", "top_p", "top_k", "max_tokens", "seed", "stream",
 * "stream_options", "logprobs": true, "top_logprobs": K}; plain: "prompt" for "messages" and
 * "logprobs": K. Members of extra_json are added and win over these; one that is null takes ours
 * away: {"max_tokens": null, "max_completion_tokens": 4096}. Numbers are the shortest that read
 * back the same; text that is no UTF-8 is sent with U+FFFD in its place. */
#ifndef DECANT_TEACHER_HTTP_BODY_H
#define DECANT_TEACHER_HTTP_BODY_H

#include "core/base/mem.h"

struct body_options {
    bool chat;              /* else a plain completion of the prompt's text */
    bool stream;            /* with usage asked for in the stream */
    const char *model;      /* NULL: not sent (a server with one model) */
    const char *system;     /* chat only; NULL or "": none */
    double temperature;     /* below 0: not sent */
    double top_p;           /* below or equal 0: not sent */
    int32_t top_k;          /* 0: not sent */
    int64_t max_tokens;     /* 0: not sent */
    int32_t n_top;          /* candidates a token whose log-probabilities are asked for; 0: none */
    const char *extra_json; /* an object, or NULL */
};
struct body_ask {
    const char *prompt;
    size_t n_prompt;
    bool has_seed;
    int64_t seed;
};

/* ERR_USAGE: extra_json is no object, or sets what decant itself has to know ("messages", "prompt",
 * "model", "stream", "n", and "seed" but to null) or names a member with escapes; a number is not
 * finite. */
err_code body_check(const struct body_options *o, struct err *e);
/* The most tokens that may be paid for an answer: max_tokens, where extra_json does not say
 * otherwise ("max_tokens", "max_completion_tokens", "best_of"); 0: nothing bounds them. */
int64_t body_limit(const struct body_options *o);
err_code body_write(const struct body_options *o, const struct body_ask *a, struct buf *out,
                    struct err *e);
err_code body_params(const struct body_options *o, const struct body_ask *a, struct buf *out,
                     struct err *e);

/* Appends a plain completion's prompt text in R1's form, its thinking opened:
 *     [<｜begin▁of▁sentence｜>]{system}<｜User｜>{question}<｜Assistant｜><think>\n
 * bos: vLLM and SGLang put it before a prompt themselves, unless told otherwise. In a plain text
 * nothing tells a special token from the same letters in the question. */
err_code body_r1_prompt(bool bos, const char *system, const char *question, size_t n_question,
                        struct buf *out, struct err *e);
/* Appends form with each {prompt} replaced by the question and each {system} by the system text.
 * ERR_FORMAT when {prompt} is not there, ERR_USAGE when system is not empty and {system} is not. */
err_code body_form_prompt(const char *form, const char *system, const char *question,
                          size_t n_question, struct buf *out, struct err *e);

#endif
