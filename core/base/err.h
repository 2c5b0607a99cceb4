/* Errors.
 *
 * A function that can fail returns an err_code (0 is success) and fills the caller's
 * struct err once, where the cause is known: what failed, on what, what would help.
 * Callers pass it up unchanged, or put the place in front with err_context.
 *
 *     err_code thing_open(const char *path, struct thing **out, struct err *e) {
 *         if (bad) return err_set(e, ERR_FORMAT, "%s: header says %d; expected 3", path, n);
 *         ...
 *     }
 *
 * Every function here accepts e == NULL. Only cli/ prints an error or exits. */
#ifndef DECANT_BASE_ERR_H
#define DECANT_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

typedef int err_code;

enum {
    ERR_OK = 0,
    ERR_NOMEM,       /* memory could not be had */
    ERR_IO,          /* the OS refused: open, read, write, rename, ... */
    ERR_FORMAT,      /* a file's content is malformed or inconsistent */
    ERR_UNSUPPORTED, /* well-formed, but a thing that decant does not do */
    ERR_NOTFOUND,    /* a named thing (file, tensor, key) is not there */
    ERR_USAGE,       /* the arguments do not fit; what a file lacks is no matter of usage */
    ERR_STATE,       /* database or run directory is in a state that forbids it */
    ERR_STOPPED,     /* stopped on request (Ctrl-C) or by a limit; resumable */
    ERR_NETWORK,     /* a remote end failed */
};

struct err {
    err_code code;
    char msg[1024]; /* one line, no newline at its end */
};

/* Sets code and message; returns code. */
err_code err_set(struct err *e, err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
err_code err_setv(struct err *e, err_code code, const char *fmt, va_list ap);

/* Puts "context: " in front of the message that stands in e; returns e's code. */
err_code err_context(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts more behind the message that stands in e; returns e's code. */
err_code err_add(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_IO with errno's text at the end: "what path: No such file or directory". A missing file
 * (ENOENT) becomes ERR_NOTFOUND. */
err_code err_errno(struct err *e, const char *what, const char *path);

/* Writes '?' for what would steer a terminal in s[n], UTF-8 whose text is a file's: C0 but for the
 * character `keep`, DEL, and C1, of which both bytes. Messages have it done. */
void err_clean(char *s, size_t n, char keep);

#endif
