/* Chat forms: how a conversation becomes the text a model was trained on. decant knows the forms by
 * name and recognises a model's from its special tokens and template; it runs no template language.
 *
 *   r1        <bos><｜User｜>{q}<｜Assistant｜><think>\n   ...   <eos>      (R1 and R1-Distill)
 *   chatml    <|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n      (Qwen2.5)
 *   llama3    <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{q}<|eot_id|>...
 *   plain     {q}\n                                                        (base models)
 *
 * Where a chatml model's own template puts a system message in front when there is none (Qwen2.5's
 * does), so does decant: whoever serves the model by that template then asks as it was trained.
 */
#ifndef DECANT_TEXT_CHAT_H
#define DECANT_TEXT_CHAT_H

#include "core/text/tokenizer.h"

enum chat_form { CHAT_PLAIN, CHAT_R1, CHAT_CHATML, CHAT_LLAMA3 };

struct chat {
    enum chat_form form;
    const struct tokenizer *tok;
    int32_t bos, eos, user, assistant, think, think_end; /* -1 when the form has none */
    /* what tok's template says where no system message is given; NULL: nothing */
    const char *system;
    size_t n_system;
};
/* Recognises the form. Never fails for lack of one: CHAT_PLAIN (chat_form_name tells). */
err_code chat_init(struct chat *c, const struct tokenizer *tok, struct err *e);
const char *chat_form_name(enum chat_form f);

struct chat_turn {
    const char *user;      /* the question */
    const char *assistant; /* an earlier answer, without its reasoning; NULL for the last turn */
};
/* Appends the prompt's ids: system (NULL or "": none given), all turns, then the opening of the
 * assistant's answer, with
 * "<think>\n" forced where the form has it (R1 sometimes skips thinking otherwise). The user's text
 * is encoded WITHOUT recognising special tokens, so that a prompt cannot forge a turn. */
err_code chat_prompt(const struct chat *c, const char *system, const struct chat_turn *turns,
                     int n_turns, struct token_list *out, struct err *e);
/* Appends what the model should say to one question after chat_prompt: reasoning "\n</think>\n\n"
 * answer <eos>. With empty reasoning (thinking forms): "\n</think>\n\n" answer <eos>.
 * Where the form does not force thinking, "<think>\n" stands before reasoning, and an empty one
 * leaves the answer alone. No special token is recognised in either text. */
err_code chat_completion(const struct chat *c, const char *reasoning, const char *answer,
                         struct token_list *out, struct err *e);

/* Splits generated text (which follows a forced "<think>\n") at the first "</think>": reasoning and
 * answer, outer white space trimmed. Without a closing tag all of it is reasoning when the form
 * forces thinking, else all of it is answer. Spans point into text. */
struct chat_split {
    const char *reasoning, *answer;
    size_t n_reasoning, n_answer;
    bool closed; /* "</think>" was there */
};
void chat_split_text(const struct chat *c, const char *text, size_t n, struct chat_split *s);

#endif
