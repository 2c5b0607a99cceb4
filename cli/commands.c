/* The table of commands, in the order in which --help lists them. A new command adds two lines. */
#include "cli/cli.h"

#include <stddef.h>

const struct command *const cli_commands[] = {
    NULL,
};
