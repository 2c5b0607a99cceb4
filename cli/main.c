/* decant: picks the command. */
#include "cli/cli.h"
#include "cli/nearest.h"
#include "core/tensor/cpu/startup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void usage(FILE *f)
{
    fprintf(f,
            "decant %s: distils a large reasoning teacher into a small student\n\n"
            "usage: decant COMMAND [--options]      decant COMMAND --help\n\n",
            DECANT_VERSION);
    for (const struct command *const *c = cli_commands; *c; c++)
        fprintf(f, "  %-22s%s\n", (*c)->name, (*c)->summary);
    fprintf(f, "\nexit status: 0 done, 1 failed, 2 wrong usage, 3 stopped early but resumable,\n"
               "130 ended at once by a second Ctrl-C (resumable too)\n");
}

/* Results that did not reach their file (a full disk) are no success. */
static int finish(int code)
{
    errno = 0;
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "decant: cannot write standard output: %s\n",
                errno ? strerror(errno) : "an earlier write failed");
        return code ? code : CLI_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    char help[] = "--help"; /* "help COMMAND" is "COMMAND --help" */
    cpu_startup(argv);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit then fails the write, which names the file */
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help") || !strcmp(argv[1], "-h")) {
        if (argc == 2) {
            usage(stdout);
            return finish(CLI_DONE);
        }
        memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 1] = help;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("decant %s\n", DECANT_VERSION);
        return finish(CLI_DONE);
    }
    for (const struct command *const *c = cli_commands; *c; c++)
        if (!strcmp(argv[1], (*c)->name))
            return finish((*c)->run(argc - 1, argv + 1));
    struct nearest near = {argv[1], strlen(argv[1])};
    for (const struct command *const *c = cli_commands; *c; c++)
        nearest_try(&near, (*c)->name);
    fprintf(stderr, "decant: there is no command \"%s\"%s%s%s decant --help lists them\n", argv[1],
            near.best ? "; did you mean \"" : "", near.best ? near.best : "",
            near.best ? "\"?" : ";");
    return CLI_USAGE;
}
