/* tokens.h: the log-probabilities that a server sends with its text, collected as they come and put
 * where they belong in the finished trace.
 *
 *     struct token_log log = {.n_top = 5};
 *     ...of each chunk, after its text was added...
 *     token_log_take(&log, choice_logprobs, &before, &after, e);
 *     ...the answer is whole...
 *     token_log_finish(&log, &texts, &out, e);             // core/lm/logprobs.h's format
 *
 * Read are both forms: objects in "content" (and DeepSeek's "reasoning_content") and the parallel
 * arrays tokens, token_logprobs, top_logprobs of plain completions. A token is known by its bytes
 * ("bytes", else "token"), by its id ("id", "token_ids", vLLM's "token_id:123"), or both.
 *
 * Placing: a token stands where its bytes stand in the text, from where the last one ended or the
 * chunk began. Of tokens whose bytes are not known (vLLM writes U+FFFD for a part of a character)
 * the last one stands for all their text. Tags and trimmed white space are outside. Offsets that
 * servers send are not used: they count characters, tags, or nothing (SGLang sends -1). */
#ifndef DECANT_TEACHER_HTTP_TOKENS_H
#define DECANT_TEACHER_HTTP_TOKENS_H

#include "core/lm/logprobs.h"
#include "teacher/http/scan.h"
#include "teacher/http/text.h"
#include "teacher/http/think.h"

/* Lengths of the two raw texts: the reasoning field's and the content's. */
struct token_mark {
    uint32_t len[2];
};
struct token_log {
    size_t n_top; /* candidates kept of each token */
    /* the rest is tokens.c's */
    struct logprobs_writer writer;
    struct text chunks;  /* struct token_chunk: which tokens came with which text */
    struct text scratch; /* names of the token at hand */
};
/* logprobs: the choice's member, checked JSON of any kind. ERR_NOMEM. */
err_code token_log_take(struct token_log *log, struct span logprobs,
                        const struct token_mark *before, const struct token_mark *after,
                        struct err *e);
size_t token_log_size(const struct token_log *log); /* bytes of memory, roughly */

/* split: the parts of texts, as think_split made them. Appends to out. */
err_code token_log_finish(struct token_log *log, const struct think_text *texts,
                          const struct think_split *split, struct buf *out, struct err *e);
void token_log_reset(struct token_log *log);
void token_log_dispose(struct token_log *log);

#endif
