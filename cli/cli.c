#include "cli/cli.h"

#include "cli/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_option(const struct cli_option *o)
{
    char left[64];
    snprintf(left, sizeof left, "--%s %s", o->name, o->kind == CLI_FLAG ? "" : o->arg);
    printf("  %-28s ", left);
    if (strlen(left) > 28)
        printf("\n%31s", "");
    for (const char *s = o->help; *s; s++) {
        putchar(*s);
        if (*s == '\n')
            printf("%31s", "");
    }
    if (o->required)
        printf(" (required)");
    else if (o->kind == CLI_INT)
        printf(" [%lld]", (long long)*(int64_t *)o->out);
    else if (o->kind == CLI_NUM && !isnan(*(double *)o->out))
        printf(" [%g]", *(double *)o->out);
    else if (o->kind == CLI_STR && *(const char **)o->out)
        printf(" [%s]", *(const char **)o->out);
    putchar('\n');
}

/* One command a line, all indented alike; what continues a line after a backslash, further. */
static void print_examples(const char *s)
{
    printf("\nexample%s:\n", strstr(s, "\ndecant") || strstr(s, "\n  decant") ? "s" : "");
    bool continued = false;
    while (*s) {
        s += strspn(s, " ");
        int n = (int)strcspn(s, "\n");
        printf("  %s%.*s\n", continued ? "    " : "", n, s);
        continued = n && s[n - 1] == '\\';
        s += n + (s[n] == '\n');
    }
}

static void print_help(const struct command *c, const struct cli_option *options)
{
    printf("decant %s: %s\n", c->name, c->summary);
    if (c->about)
        printf("\n%s\n", c->about);
    printf("\noptions:\n");
    for (const struct cli_option *o = options; o->name; o++)
        print_option(o);
    if (c->example)
        print_examples(c->example);
}

/* "decant CMD: what --name detail; see ..." */
static int wrong(const struct command *c, const char *name, const char *what, const char *detail)
{
    bool asks = *detail && detail[strlen(detail) - 1] == '?';
    fprintf(stderr, "decant %s: %s %s%s%s see decant %s --help\n", c->name, name, what, detail,
            asks ? "" : ";", c->name);
    return CLI_USAGE;
}

static int take_int(const struct command *c, struct cli_option *o, const char *name, const char *s)
{
    char *end, range[64];
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (!*s || *end || errno)
        return wrong(c, name, "takes a whole number, not ", s);
    if (o->max > o->min && (v < o->min || v > o->max)) {
        if (o->max == INT64_MAX)
            snprintf(range, sizeof range, "%lld or more", (long long)o->min);
        else
            snprintf(range, sizeof range, "%lld to %lld", (long long)o->min, (long long)o->max);
        return wrong(c, name, "takes a number of ", range);
    }
    *(int64_t *)o->out = v;
    return 0;
}

static int take_num(const struct command *c, struct cli_option *o, const char *name, const char *s)
{
    char *end, range[64];
    double v = strtod(s, &end);
    if (!*s || *end || !isfinite(v))
        return wrong(c, name, "takes a number, not ", s);
    if (o->fmax > o->fmin && (v < o->fmin || v > o->fmax)) {
        snprintf(range, sizeof range, "%g to %g", o->fmin, o->fmax);
        return wrong(c, name, "takes a number from ", range);
    }
    *(double *)o->out = v;
    return 0;
}

static int take(const struct command *c, struct cli_option *o, const char *name, const char *s)
{
    switch (o->kind) {
    case CLI_INT:
        return take_int(c, o, name, s);
    case CLI_NUM:
        return take_num(c, o, name, s);
    case CLI_STRS: {
        struct cli_strs *l = o->out;
        if (l->n == CLI_STRS_MAX)
            return wrong(c, name, "is given too many times", "");
        l->items[l->n++] = s;
        return 0;
    }
    default:
        *(const char **)o->out = s;
        return 0;
    }
}

static int not_there(const struct command *c, const struct cli_option *options, const char *a,
                     size_t n)
{
    struct nearest near = {a + 2, n};
    for (const struct cli_option *o = options; o->name; o++)
        nearest_try(&near, o->name);
    char hint[64] = "";
    if (near.best)
        snprintf(hint, sizeof hint, "; did you mean --%s?", near.best);
    return wrong(c, a, "is not an option of this command", hint);
}

static int parse_one(const struct command *c, struct cli_option *options, int argc, char **argv,
                     int *i)
{
    char *a = argv[*i];
    if (strncmp(a, "--", 2) || !a[2])
        return wrong(c, a, "is not an option", "");
    size_t n = strcspn(a + 2, "=");
    struct cli_option *o = options;
    while (o->name && (strlen(o->name) != n || strncmp(o->name, a + 2, n)))
        o++;
    if (!o->name)
        return not_there(c, options, a, n);
    char name[64];
    snprintf(name, sizeof name, "--%s", o->name);
    if (o->given && o->kind != CLI_STRS)
        return wrong(c, name, "is given twice", "");
    o->given = true;
    if (o->kind == CLI_FLAG) {
        if (a[2 + n])
            return wrong(c, name, "takes no value", "");
        *(bool *)o->out = true;
        return 0;
    }
    const char *s = a[2 + n] ? a + 3 + n : *i + 1 < argc ? argv[++*i] : NULL;
    return s ? take(c, o, name, s) : wrong(c, name, "needs ", o->arg);
}

int cli_parse(const struct command *c, struct cli_option *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_help(c, options);
            exit(CLI_DONE);
        }
    for (int i = 1; i < argc; i++) {
        int usage = parse_one(c, options, argc, argv, &i);
        if (usage)
            return usage;
    }
    for (struct cli_option *o = options; o->name; o++)
        if (o->required && !o->given) {
            char name[64];
            snprintf(name, sizeof name, "--%s %s", o->name, o->arg);
            return wrong(c, name, "is required", "");
        }
    return 0;
}

bool cli_given(const struct cli_option *options, const char *name)
{
    while (options->name && strcmp(options->name, name) != 0)
        options++;
    return options->name && options->given;
}

/* Length of the control character at s, or 0: C0 and DEL are a byte, C1 (U+0080 to U+009F) two. */
static size_t control_at(const unsigned char *s, size_t n)
{
    if (n > 1 && s[0] == 0xC2 && s[1] >= 0x80 && s[1] < 0xA0)
        return 2;
    return (s[0] < 0x20 && s[0] != '\n' && s[0] != '\t') || s[0] == 0x7F;
}

void cli_put_text(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (!isatty(STDOUT_FILENO)) {
        fwrite(s, 1, n, stdout);
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t skip = control_at(u + i, n - i);
        if (!skip)
            putchar(u[i]);
        i += skip ? skip : 1;
    }
}

const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

int cli_end(err_code rc, const struct err *e)
{
    if (rc == ERR_OK)
        return CLI_DONE;
    fprintf(stderr, "decant: %s\n", e->msg);
    return rc == ERR_USAGE ? CLI_USAGE : rc == ERR_STOPPED ? CLI_STOPPED : CLI_FAILED;
}
