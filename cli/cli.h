/* The command line: one file a command (cmd_*.c), one option table each. Only this floor prints
 * results or exits.
 *
 *     static int run(int argc, char **argv)
 *     {
 *         struct my m = {.n = 1};
 *         struct cli_option options[] = {
 *             {"model", CLI_STR, &m.model, "DIR|GGUF", "the model", .required = true},
 *             {"n", CLI_INT, &m.n, "N", "how many", .min = 1, .max = 99},
 *             {0}};
 *         int usage = cli_parse(&cmd_my, options, argc, argv);
 *         if (usage)
 *             return usage; // has printed why
 *         struct err e = {0};
 *         err_code rc = ...;
 *         return cli_end(rc, &e);
 *     }
 *     const struct command cmd_my = {"my", "does my thing", "decant my --model m --n 3", run,
 * NULL};
 */
#ifndef DECANT_CLI_CLI_H
#define DECANT_CLI_CLI_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes (CONTRIBUTING.md tells 1 from 2). */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_STOPPED = 3 };

enum cli_kind {
    CLI_STR,  /* const char **: the argument itself */
    CLI_INT,  /* int64_t *, within [min, max] when max > min */
    CLI_NUM,  /* double *, within [fmin, fmax] when fmax > fmin; NAN: no default */
    CLI_FLAG, /* bool *: no argument */
    CLI_STRS, /* struct cli_strs *: may be given several times */
};
enum { CLI_STRS_MAX = 64 };
struct cli_strs {
    const char *items[CLI_STRS_MAX];
    int n;
};
struct cli_option {
    const char *name; /* without the dashes */
    enum cli_kind kind;
    void *out;        /* holds the default beforehand */
    const char *arg;  /* how help calls the argument */
    const char *help; /* one line or more ("\n"); a number's or string's default is added */
    bool required;
    int64_t min, max;
    double fmin, fmax;
    bool given; /* set by cli_parse */
};

struct command {
    const char *name, *summary;
    const char *example; /* one or more lines ("\n"), which --help indents */
    int (*run)(int argc, char **argv);
    const char *about; /* a paragraph for --help, or NULL */
};

/* Parses --name value and --name=value. --help prints the table and exits 0. Anything wrong, an
 * option given twice too (but a CLI_STRS): a line on stderr that names it and what would fit, and
 * CLI_USAGE. Words that are no options are refused unless the command took them off argv before. */
int cli_parse(const struct command *c, struct cli_option *options, int argc, char **argv);
/* Was the option of that name in the table given? */
bool cli_given(const struct cli_option *options, const char *name);
/* Text that a model or a stranger wrote, to stdout: as it is, but on a terminal without the control
 * characters (but \n and \t) that could steer it. UTF-8, whole characters. */
void cli_put_text(const char *s, size_t n);
/* Prints e when rc is an error; gives the exit code for it. */
int cli_end(err_code rc, const struct err *e);

extern const struct command *const cli_commands[]; /* ends with NULL */
/* "" for one, else "s". */
const char *plural(int64_t n);

#endif
