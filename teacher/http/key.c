#include "teacher/http/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_KEY = 16 << 10, MIN_RUN = 6, MIN_HIDDEN = 8 };

void key_wipe(void *secret, size_t n)
{
    explicit_bzero(secret, n);
}

void key_close(struct key *k)
{
    if (k->text)
        key_wipe(k->text, k->n);
    mem_free(k->text);
    *k = (struct key){0};
}

/* what: where the key comes from, for the message. */
static err_code set_key(struct key *k, const char *what, const char *name, const char *s, size_t n,
                        struct err *e)
{
    while (n > 0 && strchr(" \t\r\n", s[0]) && s[0])
        s++, n--;
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) && s[n - 1])
        n--;
    if (n == 0)
        return err_set(e, ERR_FORMAT, "%s %s holds no key: it is empty", what, name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7F)
            return err_set(e, ERR_FORMAT,
                           "%s %s holds no key that a header can carry: byte %zu is white space, a "
                           "control character or not ASCII; it must be the key alone",
                           what, name, i + 1);
    k->text = mem_strndup(s, n, e);
    k->n = n;
    return k->text ? ERR_OK : ERR_NOMEM;
}

static err_code check_file(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st))
        return err_errno(e, "cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_FORMAT, "key file %s: not a regular file", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(e, ERR_STATE,
                       "key file %s: others than its owner may use it (mode %04o); make it yours "
                       "alone: chmod 600 %s",
                       path, (unsigned)(st.st_mode & 07777), path);
    if (st.st_size > MAX_KEY)
        return err_set(e, ERR_FORMAT, "key file %s: %lld bytes is no key", path,
                       (long long)st.st_size);
    return ERR_OK;
}

static err_code read_file(struct key *k, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(e, "cannot open key file", path);
    char text[MAX_KEY + 1];
    size_t n = 0;
    err_code rc = check_file(fd, path, e);
    while (!rc && n < sizeof text) {
        ssize_t got = read(fd, text + n, sizeof text - n);
        if (got < 0 && errno != EINTR)
            rc = err_errno(e, "cannot read key file", path);
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (!rc)
        rc = set_key(k, "key file", path, text, n, e);
    key_wipe(text, sizeof text);
    return rc;
}

/* Someone may give the key itself where its variable's name belongs; only what looks like a name is
 * ever repeated. */
static bool is_name(const char *s)
{
    return *s && strlen(s) <= 64 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(s);
}

err_code key_read(struct key *k, const char *env_name, const char *path, struct err *e)
{
    *k = (struct key){0};
    if (env_name && path)
        return err_set(
            e, ERR_USAGE,
            "give the key by an environment variable or by a file, not by both (file %s)", path);
    if (path)
        return read_file(k, path, e);
    if (!env_name)
        return ERR_OK;
    const char *s = getenv(env_name);
    if (!is_name(env_name))
        return err_set(e, ERR_USAGE,
                       "the key's environment variable must be given by its name, in capital "
                       "letters, digits and '_' (OPENAI_API_KEY), not by the key itself");
    if (!s)
        return err_set(e, ERR_NOTFOUND,
                       "the environment variable %s, which should hold the key, is not set",
                       env_name);
    if (strlen(s) > MAX_KEY)
        return err_set(e, ERR_FORMAT, "the environment variable %s is too long for a key",
                       env_name);
    return set_key(k, "the environment variable", env_name, s, strlen(s), e);
}

char *key_header(const struct key *k, struct err *e)
{
    static const char head[] = "Authorization: Bearer ";
    if (!k->text)
        return NULL;
    char *s = mem_new(sizeof head + k->n, 1, e);
    if (s) {
        memcpy(s, head, sizeof head - 1);
        memcpy(s + sizeof head - 1, k->text, k->n);
    }
    return s;
}

void key_scrub(const struct key *k, char *text, size_t n)
{
    size_t least = k->n < MIN_RUN ? k->n : MIN_RUN;
    if (!k->text || least == 0)
        return;
    for (size_t i = 0; i + least <= n;) {
        size_t longest = 0;
        for (size_t j = 0; j + least <= k->n; j++) {
            size_t l = 0;
            while (i + l < n && j + l < k->n && text[i + l] == k->text[j + l])
                l++;
            longest = l > longest ? l : longest;
        }
        if (longest >= least) {
            memset(text + i, '*', longest);
            i += longest;
        } else
            i++;
    }
}

void key_hide(const struct key *k, char *text, size_t n)
{
    if (!k->text || k->n < MIN_HIDDEN)
        return;
    for (char *at; n >= k->n && (at = memmem(text, n, k->text, k->n)); text = at + k->n) {
        memset(at, '*', k->n);
        n -= (size_t)(at - text) + k->n;
    }
}
