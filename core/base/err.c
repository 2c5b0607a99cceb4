#include "core/base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void err_clean(char *s, size_t n, char keep)
{
    unsigned char *u = (unsigned char *)s;
    for (size_t i = 0; i < n; i++) {
        bool c1 = i + 1 < n && u[i] == 0xC2 && u[i + 1] >= 0x80 && u[i + 1] < 0xA0;
        if (c1)
            u[i + 1] = '?';
        if (c1 || u[i] == 0x7F || (u[i] < 0x20 && s[i] != keep))
            u[i] = '?';
    }
}

static void clean(char *s)
{
    err_clean(s, strlen(s), '?');
}

err_code err_setv(struct err *e, err_code code, const char *fmt, va_list ap)
{
    if (e) {
        e->code = code;
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        clean(e->msg);
    }
    return code;
}

err_code err_set(struct err *e, err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_setv(e, code, fmt, ap);
    va_end(ap);
    return code;
}

err_code err_context(struct err *e, const char *fmt, ...)
{
    if (!e)
        return ERR_STATE;
    char head[256], tail[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(tail, e->msg, sizeof tail);
    snprintf(e->msg, sizeof e->msg, "%s: %.*s", head, (int)(sizeof tail - sizeof head - 3), tail);
    clean(e->msg);
    return e->code;
}

err_code err_add(struct err *e, const char *fmt, ...)
{
    if (!e)
        return ERR_STATE;
    size_t n = strlen(e->msg);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg + n, sizeof e->msg - n, fmt, ap);
    va_end(ap);
    clean(e->msg);
    return e->code;
}

err_code err_errno(struct err *e, const char *what, const char *path)
{
    int n = errno;
    return err_set(e,
                   n == ENOENT   ? ERR_NOTFOUND
                   : n == ENOMEM ? ERR_NOMEM
                                 : ERR_IO,
                   "%s %s: %s", what, path, strerror(n));
}
