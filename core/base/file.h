/* Files: read-only maps, whole-file reads, atomic replacement, paths. */
#ifndef DECANT_BASE_FILE_H
#define DECANT_BASE_FILE_H

#include "core/base/mem.h"

#include <stdio.h>

/* A read-only map of a whole regular file. data is NULL when the file is empty. The pages are
 * shared with the page cache: mapping costs no memory and no time. */
struct file_map {
    const uint8_t *data;
    size_t size;
};
err_code file_map_open(struct file_map *m, const char *path, struct err *e);
void file_map_close(struct file_map *m);

/* The whole file as text (NUL added); at most max_bytes, else ERR_FORMAT. Caller disposes. */
err_code file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e);

/* Atomic replacement: writes go to a temporary name beside path; file_writer_commit flushes them
 * to disk and renames; file_writer_close without a commit removes the temporary. So a reader
 * sees the old file or the whole new one, never a part. A path that is a directory, a device or a
 * pipe is ERR_IO, one in a directory that is not there ERR_NOTFOUND. Errors name path, never the
 * temporary.
 *
 *     struct file_writer w = {0};
 *     if ((rc = file_writer_open(&w, path, e))) goto done;
 *     if ((rc = file_writer_add(&w, bytes, n, e))) goto done;
 *     rc = file_writer_commit(&w, e);
 * done:
 *     file_writer_close(&w);
 */
struct file_writer {
    FILE *f;
    char *path, *tmp;
    uint64_t n_bytes; /* written so far */
};
err_code file_writer_open(struct file_writer *w, const char *path, struct err *e);
err_code file_writer_add(struct file_writer *w, const void *data, size_t n, struct err *e);
err_code file_writer_commit(struct file_writer *w, struct err *e);
void file_writer_close(struct file_writer *w);

/* The same for a whole small file at once. */
err_code file_replace(const char *path, const void *data, size_t n, struct err *e);
err_code file_copy(const char *from, const char *to, struct err *e);

/* For a file that a user names to be written: may it replace what stands at path? Yes where nothing
 * or an empty file is there, or where is_kind says of its start (64 KB at most) that it is of the
 * kind that will be written; else ERR_STATE: a corpus or a model named by mistake stays. What is no
 * file is left to file_writer_open. kind: "a GGUF file". */
err_code file_may_replace(const char *path, const char *kind,
                          bool (*is_kind)(const char *start, size_t n), struct err *e);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
err_code file_size(const char *path, uint64_t *bytes, struct err *e);
/* mkdir -p. */
err_code file_make_dir(const char *path, struct err *e);
/* rm -r; a path that is not there is fine. Symbolic links are removed, never followed. */
err_code file_remove_tree(const char *path, struct err *e);
/* For errors about a file that is not in dir: when directories just below have one of that name
 * (or, when none has, those below them), adds "; did you mean dir/a or dir/b?" to e (three at
 * most). Nothing else is changed. A model is looked for by its "tokenizer.json": the directory of a
 * training run has a config.json as well. */
void file_suggest_below(const char *dir, const char *name, struct err *e);
/* fsync of a directory, so that names created in it survive a crash. */
err_code file_sync_dir(const char *path, struct err *e);

/* "a/b"; NULL with e filled when memory is short. Caller frees with mem_free. */
char *path_join(const char *dir, const char *name, struct err *e);
/* Is name a plain relative path that stays below its directory: not empty, not absolute, no ".."
 * component, no backslash, no NUL? For names that come out of files. */
bool path_is_contained(const char *name);
/* The directory that path stands in: "a" for "a/b", "." for "b", "/" for "/b". NULL with e filled
 * when memory is short. Caller frees with mem_free. */
char *path_dir(const char *path, struct err *e);
/* The part after the last slash. */
const char *path_base(const char *path);

#endif
