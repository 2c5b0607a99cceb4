#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Under AddressSanitizer the rest of a map's last page is out of bounds too: parsers that read past
 * a file's end are caught by the tests. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void guard_tail(const struct file_map *m, bool on)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), tail = (page - m->size % page) % page;
    if (on)
        ASAN_POISON_MEMORY_REGION(m->data + m->size, tail);
    else
        ASAN_UNPOISON_MEMORY_REGION(m->data + m->size, tail);
}
#else
static void guard_tail(const struct file_map *m, bool on)
{
    (void)m, (void)on;
}
#endif

err_code file_map_open(struct file_map *m, const char *path, struct err *e)
{
    memset(m, 0, sizeof *m);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot open", path);
    struct stat st;
    err_code rc = ERR_OK;
    if (fstat(fd, &st))
        rc = err_errno(e, "cannot stat", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_IO, "%s: not a regular file", path);
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = err_errno(e, "cannot map", path);
        else {
            m->data = p;
            m->size = (size_t)st.st_size;
            guard_tail(m, true);
        }
    }
    close(fd);
    return rc;
}

void file_map_close(struct file_map *m)
{
    if (m && m->data) {
        guard_tail(m, false);
        munmap((void *)m->data, m->size);
    }
    if (m)
        memset(m, 0, sizeof *m);
}

err_code file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_errno(e, "cannot open", path);
    /* One byte more than a regular file has room for all of it and for the look that ends it. */
    struct stat st;
    bool sized = !fstat(fileno(f), &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
                 (uint64_t)st.st_size <= max_bytes;
    err_code rc = buf_reserve(out, sized ? (size_t)st.st_size + 1 : 4096, e);
    while (!rc) {
        size_t room = out->cap - out->len - 1;
        size_t n = fread(out->data + out->len, 1, room, f);
        out->len += n;
        out->data[out->len] = 0;
        if (out->len > max_bytes)
            rc = err_set(e, ERR_FORMAT, "%s: larger than the %zu bytes that such a file may have",
                         path, max_bytes);
        else if (n < room) {
            if (ferror(f))
                rc = err_errno(e, "cannot read", path);
            break;
        } else
            rc = buf_reserve(out, out->cap, e);
    }
    fclose(f);
    return rc;
}

/* errno's reason why path cannot be made; a missing directory is the usual one. */
static err_code cannot_create(const char *path, struct err *e)
{
    int n = errno;
    char *dir = path_dir(path, NULL);
    bool no_dir = n == ENOENT && dir && !file_exists(dir);
    errno = n;
    err_code rc =
        no_dir ? err_set(e, ERR_NOTFOUND,
                         "cannot write %s: there is no directory %s; make it first", path, dir)
               : err_errno(e, "cannot write", path);
    mem_free(dir);
    return rc;
}

err_code file_writer_open(struct file_writer *w, const char *path, struct err *e)
{
    memset(w, 0, sizeof *w);
    struct stat st;
    if (stat(path, &st) == 0 &&
        !S_ISREG(st.st_mode)) /* root's rename would even replace /dev/null */
        return err_set(e, ERR_IO, "%s: %s; give the name of the file to be written", path,
                       S_ISDIR(st.st_mode) ? "is a directory" : "a device or a pipe, not a file");
    struct buf tmp = {0};
    err_code rc = buf_printf(&tmp, e, "%s.tmp-%ld", path, (long)getpid());
    if (rc)
        return rc;
    w->tmp = tmp.data;
    w->path = mem_strdup(path, e);
    if (!w->path)
        return ERR_NOMEM;
    unlink(w->tmp); /* of a dead process that had our number; "x": never through somebody's link */
    w->f = fopen(w->tmp, "wbxe");
    return w->f ? ERR_OK : cannot_create(path, e);
}

err_code file_writer_add(struct file_writer *w, const void *data, size_t n, struct err *e)
{
    if (n && fwrite(data, 1, n, w->f) != n)
        return err_errno(e, "cannot write", w->path);
    w->n_bytes += n;
    return ERR_OK;
}

static err_code sync_parent(const char *path, struct err *e)
{
    char *dir = path_dir(path, e);
    if (!dir)
        return ERR_NOMEM;
    err_code rc = file_sync_dir(dir, e);
    mem_free(dir);
    return rc;
}

err_code file_writer_commit(struct file_writer *w, struct err *e)
{
    if (fflush(w->f) || fsync(fileno(w->f)))
        return err_errno(e, "cannot write", w->path);
    int bad = fclose(w->f);
    w->f = NULL;
    if (bad)
        return err_errno(e, "cannot write", w->path);
    if (rename(w->tmp, w->path))
        return err_errno(e, "cannot replace", w->path);
    mem_free(w->tmp);
    w->tmp = NULL;
    return sync_parent(w->path, e);
}

void file_writer_close(struct file_writer *w)
{
    if (!w)
        return;
    if (w->f)
        fclose(w->f);
    if (w->tmp)
        unlink(w->tmp);
    mem_free(w->tmp);
    mem_free(w->path);
    memset(w, 0, sizeof *w);
}

err_code file_replace(const char *path, const void *data, size_t n, struct err *e)
{
    struct file_writer w = {0};
    err_code rc = file_writer_open(&w, path, e);
    if (!rc)
        rc = file_writer_add(&w, data, n, e);
    if (!rc)
        rc = file_writer_commit(&w, e);
    file_writer_close(&w);
    return rc;
}

err_code file_copy(const char *from, const char *to, struct err *e)
{
    struct file_map m;
    err_code rc = file_map_open(&m, from, e);
    if (rc)
        return rc;
    rc = file_replace(to, m.data, m.size, e);
    file_map_close(&m);
    return rc;
}

err_code file_may_replace(const char *path, const char *kind,
                          bool (*is_kind)(const char *start, size_t n), struct err *e)
{
    static const size_t most = 64 << 10;
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
        return ERR_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_errno(e, "cannot read what stands at", path);
    char *start = mem_new(most, 1, e);
    size_t n = start ? fread(start, 1, most, f) : 0;
    err_code rc = start ? ERR_OK : ERR_NOMEM;
    if (!rc && !is_kind(start, n))
        rc = err_set(e, ERR_STATE,
                     "%s: the file that is there is not %s, so it is not replaced; give another "
                     "name, or remove it first",
                     path, kind);
    mem_free(start);
    fclose(f);
    return rc;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

err_code file_size(const char *path, uint64_t *bytes, struct err *e)
{
    struct stat st;
    if (stat(path, &st))
        return err_errno(e, "cannot stat", path);
    *bytes = (uint64_t)st.st_size;
    return ERR_OK;
}

err_code file_make_dir(const char *path, struct err *e)
{
    if (!*path)
        return err_set(e, ERR_USAGE, "a directory's name is empty");
    char *p = mem_strdup(path, e);
    if (!p)
        return ERR_NOMEM;
    err_code rc = ERR_OK;
    for (char *s = p + 1; !rc; s++) {
        char c = *s;
        if (c != '/' && c != 0)
            continue;
        *s = 0;
        if (mkdir(p, 0777) && errno != EEXIST)
            rc = err_errno(e, "cannot create directory", p);
        *s = c;
        if (!c)
            break;
    }
    if (!rc && !file_is_dir(path))
        rc = err_set(e, ERR_IO, "%s: exists and is not a directory", path);
    mem_free(p);
    return rc;
}

err_code file_remove_tree(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st))
        return errno == ENOENT ? ERR_OK : err_errno(e, "cannot stat", path);
    if (!S_ISDIR(st.st_mode))
        return unlink(path) ? err_errno(e, "cannot remove", path) : ERR_OK;
    DIR *d = opendir(path);
    if (!d)
        return err_errno(e, "cannot open", path);
    err_code rc = ERR_OK;
    struct dirent *ent;
    while (!rc && (ent = readdir(d))) {
        if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
            continue;
        char *sub = path_join(path, ent->d_name, e);
        rc = sub ? file_remove_tree(sub, e) : ERR_NOMEM;
        mem_free(sub);
    }
    closedir(d);
    if (!rc && rmdir(path))
        rc = err_errno(e, "cannot remove", path);
    return rc;
}

static bool holds(const char *dir, const char *name)
{
    char *path = path_join(dir, name, NULL);
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

/* The directories `depth` below dir that hold name, after the n_found of others. */
static int suggest(const char *dir, const char *name, int depth, int n_found, struct err *e)
{
    enum { MOST = 3 };
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);
    bool here = !strcmp(dir, ".");
    for (int i = 0; i < n; i++) {
        const char *word = list[i]->d_name;
        char *sub = *word == '.' ? NULL
                    : here       ? mem_strdup(word, NULL)
                                 : path_join(dir, word, NULL);
        if (sub && n_found < MOST && depth > 1)
            n_found = suggest(sub, name, depth - 1, n_found, e);
        else if (sub && n_found < MOST && holds(sub, name))
            err_add(e, "%s%s", n_found++ ? " or " : "; did you mean ", sub);
        mem_free(sub);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return n_found;
}

void file_suggest_below(const char *dir, const char *name, struct err *e)
{
    if (suggest(dir, name, 1, 0, e) || suggest(dir, name, 2, 0, e))
        err_add(e, "?");
}

err_code file_sync_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot open", path);
    /* Some file systems refuse fsync on directories; the rename itself has happened. */
    int bad = fsync(fd) && errno != EINVAL && errno != EROFS;
    err_code rc = bad ? err_errno(e, "cannot sync", path) : ERR_OK;
    close(fd);
    return rc;
}

char *path_join(const char *dir, const char *name, struct err *e)
{
    struct buf b = {0};
    size_t n = strlen(dir);
    bool slash = n && dir[n - 1] == '/';
    if (buf_printf(&b, e, "%s%s%s", dir, slash || !n ? "" : "/", name)) {
        buf_dispose(&b);
        return NULL;
    }
    return b.data;
}

bool path_is_contained(const char *name)
{
    if (!*name || *name == '/' || strchr(name, '\\'))
        return false;
    for (const char *s = name; *s;) {
        const char *end = strchrnul(s, '/');
        if (end - s == 2 && s[0] == '.' && s[1] == '.')
            return false;
        s = *end ? end + 1 : end;
    }
    return true;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_dir(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_strndup(path, (size_t)(slash - path) + (slash == path), e)
                 : mem_strdup(".", e);
}
