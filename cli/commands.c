/* The table of commands, in the order in which --help lists them. A new command adds two lines. */
#include "cli/cli.h"

#include <stddef.h>

extern const struct command cmd_generate;
extern const struct command cmd_distill;
extern const struct command cmd_quantize;
extern const struct command cmd_eval;
extern const struct command cmd_chat;
extern const struct command cmd_corpus;
extern const struct command cmd_inspect;
extern const struct command cmd_logits;
extern const struct command cmd_tokenize;

/* clang-format off */
const struct command *const cli_commands[] = {
    &cmd_generate,
    &cmd_distill,
    &cmd_quantize,
    &cmd_eval,
    &cmd_chat,
    &cmd_corpus,
    &cmd_inspect,
    &cmd_logits,
    &cmd_tokenize,
    NULL,
};
