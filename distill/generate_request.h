/* What a teacher is asked: the canonical request, which decides what has been made already, and the
 * texts that are sent. */
#ifndef DECANT_DISTILL_GENERATE_REQUEST_H
#define DECANT_DISTILL_GENERATE_REQUEST_H

#include "distill/generate.h"
#include "distill/model.h"

/* The canonical request of a local teacher. Options that are not used leave no member, so that
 * corpora of before an option go on. */
err_code request_local(const struct generate_options *o, const struct model *m, struct buf *json,
                       char name[256], struct err *e);
/* The same of an HTTP teacher called name. Not in it, because they do not decide what it says:
 * URLs, keys, weights, prices, streaming, timeouts, the canary, the budget. */
err_code request_http(const struct generate_options *o, const char *name, struct buf *json,
                      struct err *e);

/* The text around a prompt. */
struct prompt_form {
    const char *instruction, *system;
    char *template; /* of raw prompts; NULL: a chat message */
    struct buf user;
    bool thinking_open; /* the text ends in "<think>\n": the answer begins inside the reasoning */
};
err_code prompt_form_open(const struct generate_options *o, struct prompt_form *f, struct err *e);
void prompt_form_close(struct prompt_form *f);
/* What is sent for a prompt: the user's message, or the whole text of a raw one. */
err_code prompt_form_fill(struct prompt_form *f, const char *prompt, size_t n, struct buf *out,
                          struct err *e);

/* The seed sent for one sample: 31 bits, since servers take different ranges. */
uint64_t request_seed(uint64_t seed, const char *prompt, size_t n_prompt, int64_t sample_index);

/* In what two canonical requests differ, for a person: "temperature 0.6 there, 0.7 here; ...". */
err_code request_difference(const char *there, const char *here, struct buf *out, struct err *e);

#endif
