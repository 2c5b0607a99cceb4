#include "distill/train_dir.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

char *train_dir_path(const struct train_dir *d, const char *name, struct err *e)
{
    return path_join(d->path, name, e);
}

/* ---- opening */

static err_code open_metrics(struct train_dir *d, struct err *e)
{
    char *path = train_dir_path(d, "metrics.jsonl", e);
    if (!path)
        return ERR_NOMEM;
    err_code rc = ERR_OK;
    d->metrics_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->metrics_fd < 0)
        rc = err_errno(e, "cannot open", path);
    else if (flock(d->metrics_fd, LOCK_EX | LOCK_NB)) {
        rc =
            err_set(e, ERR_STATE, "%s: another process is training in this run directory", d->path);
        close(d->metrics_fd);
        d->metrics_fd = -1;
    }
    mem_free(path);
    return rc;
}

/* What a killed process left: temporary names of files that were being replaced. */
static err_code sweep(const struct train_dir *d, struct err *e)
{
    DIR *dir = opendir(d->path);
    if (!dir)
        return err_errno(e, "cannot open", d->path);
    err_code rc = ERR_OK;
    struct dirent *ent;
    while (!rc && (ent = readdir(dir))) {
        if (!strstr(ent->d_name, ".json.tmp-") && strcmp(ent->d_name, "final.tmp"))
            continue;
        char *path = train_dir_path(d, ent->d_name, e);
        rc = path ? file_remove_tree(path, e) : ERR_NOMEM;
        mem_free(path);
    }
    closedir(dir);
    return rc;
}

/* How many directories mkdir -p would make. */
static err_code count_missing(const char *path, int *n, struct err *e)
{
    char *p = mem_strdup(path, e);
    if (!p)
        return ERR_NOMEM;
    for (*n = 0; *p && !file_exists(p); ++*n) {
        size_t len = strlen(p);
        while (len && p[len - 1] == '/')
            len--;
        while (len && p[len - 1] != '/')
            len--;
        p[len] = 0;
    }
    mem_free(p);
    return ERR_OK;
}

/* A start that came to nothing (a wrong student or corpus) leaves the disk as it was. */
static void remove_unused(struct train_dir *d)
{
    char *config = train_dir_path(d, "config.json", NULL);
    char *metrics = train_dir_path(d, "metrics.jsonl", NULL);
    if (config && metrics && !file_exists(config) && lseek(d->metrics_fd, 0, SEEK_END) == 0) {
        unlink(metrics);
        for (; d->n_made && !rmdir(d->path); d->n_made--)
            *strrchr(d->path, '/') = 0;
    }
    mem_free(config);
    mem_free(metrics);
}

err_code train_dir_open(struct train_dir *d, const char *path, bool resume, struct err *e)
{
    memset(d, 0, sizeof *d);
    d->metrics_fd = -1;
    err_code rc = count_missing(path, &d->n_made, e);
    if (rc || (rc = file_make_dir(path, e)))
        return rc;
    char *real = realpath(path, NULL);
    if (!real)
        return err_errno(e, "cannot find", path);
    d->path = mem_strdup(real, e);
    free(real);
    if (!d->path)
        return ERR_NOMEM;
    char *config = train_dir_path(d, "config.json", e);
    if (!config)
        return ERR_NOMEM;
    bool there = file_exists(config);
    if (there)
        rc = json_open(&d->config, config, 16 << 20, e);
    if (!rc && there && json_at(d->config.root, "model_type"))
        rc = err_set(e, ERR_STATE, "%s: holds a model, not a run; give --out another directory",
                     d->path);
    if (!rc && there && !resume)
        rc = err_set(e, ERR_STATE,
                     "%s: already holds a run; --resume continues it, another --out starts afresh",
                     d->path);
    if (!rc && (rc = open_metrics(d, e)) == ERR_OK)
        rc = sweep(d, e);
    mem_free(config);
    return rc;
}

void train_dir_close(struct train_dir *d)
{
    if (d->metrics_fd >= 0 && d->path) {
        remove_unused(d);
        close(d->metrics_fd);
    }
    json_close(&d->config);
    mem_free(d->path);
    *d = (struct train_dir){.metrics_fd = -1};
}

bool train_dir_finished(const struct train_dir *d)
{
    char *p = train_dir_path(d, "final", NULL);
    bool there = p && file_is_dir(p);
    mem_free(p);
    return there;
}

err_code train_dir_write_config(struct train_dir *d, const cJSON *root, struct err *e)
{
    char *path = train_dir_path(d, "config.json", e), *text = cJSON_Print(root);
    err_code rc = path && text ? file_replace(path, text, strlen(text), e)
                               : err_set(e, ERR_NOMEM, "out of memory while writing config.json");
    cJSON_free(text);
    mem_free(path);
    return rc;
}

/* ---- metrics */

err_code train_dir_metric(struct train_dir *d, const char *line, size_t n, struct err *e)
{
    while (n) {
        ssize_t w = write(d->metrics_fd, line, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_errno(e, "cannot write metrics.jsonl in", d->path);
        line += w;
        n -= (size_t)w;
    }
    return ERR_OK;
}

err_code train_dir_cut_metrics(struct train_dir *d, int64_t bytes, struct err *e)
{
    off_t size = lseek(d->metrics_fd, 0, SEEK_END);
    if (size < bytes)
        return err_set(e, ERR_FORMAT,
                       "%s/metrics.jsonl: %lld bytes, but the checkpoint was made when it had %lld",
                       d->path, (long long)size, (long long)bytes);
    if (ftruncate(d->metrics_fd, bytes) || lseek(d->metrics_fd, bytes, SEEK_SET) < 0)
        return err_errno(e, "cannot cut metrics.jsonl in", d->path);
    return ERR_OK;
}

/* ---- checkpoints */

static char *step_path(const struct train_dir *d, int64_t step, const char *file, struct err *e)
{
    struct buf b = {0};
    if (buf_printf(&b, e, "%s/checkpoints/step-%lld%s%s", d->path, (long long)step,
                   *file ? "/" : "", file)) {
        buf_dispose(&b);
        return NULL;
    }
    return b.data;
}

static bool is_complete(const struct train_dir *d, int64_t step)
{
    char *p = step_path(d, step, "complete.json", NULL);
    bool there = p && file_exists(p);
    mem_free(p);
    return there;
}

/* The marker goes first, so that a removal cut short leaves no checkpoint that looks complete. */
static err_code remove_step(const struct train_dir *d, int64_t step, struct err *e)
{
    char *dir = step_path(d, step, "", e), *marker = step_path(d, step, "complete.json", e);
    err_code rc = dir && marker ? ERR_OK : ERR_NOMEM;
    if (!rc && unlink(marker) && errno != ENOENT)
        rc = err_errno(e, "cannot remove", marker);
    if (!rc)
        rc = file_sync_dir(dir, e);
    if (!rc)
        rc = file_remove_tree(dir, e);
    mem_free(dir);
    mem_free(marker);
    return rc;
}

/* Numbers of all step-N directories, complete or not. */
static err_code list_steps(const struct train_dir *d, int64_t **steps, int64_t *n, struct err *e)
{
    *steps = NULL;
    *n = 0;
    char *path = train_dir_path(d, "checkpoints", e);
    if (!path)
        return ERR_NOMEM;
    DIR *dir = opendir(path);
    err_code rc = dir || errno == ENOENT ? ERR_OK : err_errno(e, "cannot open", path);
    struct dirent *ent;
    while (dir && !rc && (ent = readdir(dir))) {
        char *end = ent->d_name;
        if (strncmp(ent->d_name, "step-", 5) || ent->d_name[5] < '0' || ent->d_name[5] > '9')
            continue;
        int64_t step = strtoll(ent->d_name + 5, &end, 10);
        if (*end)
            continue;
        rc = mem_grow((void **)steps, (size_t)*n + 1, sizeof **steps, e);
        if (!rc)
            (*steps)[(*n)++] = step;
    }
    if (dir)
        closedir(dir);
    mem_free(path);
    return rc;
}

static err_code prune(const struct train_dir *d, int64_t keep, struct err *e)
{
    int64_t *steps, n;
    err_code rc = list_steps(d, &steps, &n, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        int64_t n_newer = 0;
        for (int64_t j = 0; j < n; j++)
            n_newer += steps[j] > steps[i] && is_complete(d, steps[j]);
        if (n_newer >= keep)
            rc = remove_step(d, steps[i], e);
    }
    mem_free(steps);
    return rc;
}

static err_code write_marker(const struct train_state *st, const char *path, struct err *e)
{
    struct buf b = {0};
    err_code rc =
        buf_printf(&b, e,
                   "{\"step\": %lld, \"tokens\": %lld, \"valid_tokens\": %lld, \"seconds\": %.6f, "
                   "\"tail_loss\": %.17g, \"metrics_bytes\": %lld",
                   (long long)st->step, (long long)st->n_tokens, (long long)st->n_valid,
                   st->seconds, st->tail_loss, (long long)st->metrics_bytes);
    if (!rc && !isnan(st->eval_before))
        rc = buf_printf(&b, e, ", \"eval_before\": %.17g", st->eval_before);
    if (!rc)
        rc = buf_printf(&b, e, ", \"eval_due\": %s}\n", st->eval_due ? "true" : "false");
    if (!rc)
        rc = file_replace(path, b.data, b.len, e);
    buf_dispose(&b);
    return rc;
}

static err_code read_marker(struct train_state *st, const char *path, struct err *e)
{
    struct json j;
    int64_t max = (int64_t)1 << 53;
    *st = (struct train_state){.eval_before = NAN};
    err_code rc = json_open(&j, path, 1 << 16, e);
    if (rc)
        return rc;
    if (!(rc = json_int(&j, j.root, "step", 0, max, &st->step, e)) &&
        !(rc = json_int(&j, j.root, "tokens", 0, max, &st->n_tokens, e)) &&
        !(rc = json_int(&j, j.root, "valid_tokens", 0, max, &st->n_valid, e)) &&
        !(rc = json_int(&j, j.root, "metrics_bytes", 0, max, &st->metrics_bytes, e)) &&
        !(rc = json_num(&j, j.root, "seconds", &st->seconds, e)) &&
        !(rc = json_num(&j, j.root, "tail_loss", &st->tail_loss, e)) &&
        !(rc = json_opt_bool(&j, j.root, "eval_due", &st->eval_due, e)))
        rc = json_opt_num(&j, j.root, "eval_before", &st->eval_before, e);
    json_close(&j);
    return rc;
}

err_code train_dir_checkpoint(struct train_dir *d, struct student *s, const struct train_optim *o,
                              struct train_state *st, int64_t keep, const char *tokenizer_dir,
                              struct err *e)
{
    char *dir = step_path(d, st->step, "", e), *all = train_dir_path(d, "checkpoints", e);
    char *optim = step_path(d, st->step, "optimizer.safetensors", e);
    char *marker = step_path(d, st->step, "complete.json", e);
    err_code rc = dir && all && optim && marker ? ERR_OK : ERR_NOMEM;
    st->metrics_bytes = lseek(d->metrics_fd, 0, SEEK_CUR);
    if (!rc && (st->metrics_bytes < 0 || fsync(d->metrics_fd)))
        rc = err_errno(e, "cannot flush metrics.jsonl in", d->path);
    if (!rc && !is_complete(d, st->step) && !(rc = file_make_dir(dir, e)) &&
        !(rc = student_save(s, dir, DT_F32, tokenizer_dir, e)) &&
        !(rc = train_optim_save(o, s, optim, e)) && !(rc = file_sync_dir(dir, e)) &&
        !(rc = file_sync_dir(all, e)) && !(rc = file_sync_dir(d->path, e)))
        rc = write_marker(st, marker, e);
    if (!rc)
        rc = prune(d, keep, e);
    mem_free(dir);
    mem_free(all);
    mem_free(optim);
    mem_free(marker);
    return rc;
}

err_code train_dir_latest(struct train_dir *d, char **path, struct train_state *st, struct err *e)
{
    int64_t *steps, n, best = -1;
    *path = NULL;
    *st = (struct train_state){.eval_before = NAN};
    err_code rc = list_steps(d, &steps, &n, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        if (!is_complete(d, steps[i])) {
            log_info("removing step-%lld, a checkpoint that was not finished", (long long)steps[i]);
            rc = remove_step(d, steps[i], e);
        } else if (steps[i] > best)
            best = steps[i];
    }
    mem_free(steps);
    if (rc || best < 0)
        return rc;
    char *marker = step_path(d, best, "complete.json", e);
    *path = step_path(d, best, "", e);
    rc = marker && *path ? read_marker(st, marker, e) : ERR_NOMEM;
    if (!rc && st->step != best)
        rc = err_set(e, ERR_FORMAT, "%s: is about step %lld", marker, (long long)st->step);
    mem_free(marker);
    if (rc) {
        mem_free(*path);
        *path = NULL;
    }
    return rc;
}

/* Puts all stops into generation_config.json, which transformers and vLLM read them from. */
static err_code write_stops(const char *dir, const struct tokenizer *tok, struct err *e)
{
    const int32_t *ids;
    int n = tokenizer_stops(tok, &ids);
    if (!n)
        return ERR_OK;
    struct json j = {0};
    char *path = path_join(dir, "generation_config.json", e), *text = NULL;
    err_code rc = !path ? ERR_NOMEM : file_exists(path) ? json_open(&j, path, 16 << 20, e) : ERR_OK;
    if (!rc && !j.root)
        j.root = cJSON_CreateObject();
    cJSON *list = rc ? NULL : cJSON_CreateIntArray(ids, n);
    cJSON_DeleteItemFromObjectCaseSensitive(j.root, "eos_token_id");
    if (list && cJSON_AddItemToObject(j.root, "eos_token_id", list))
        text = cJSON_Print(j.root);
    else
        cJSON_Delete(list);
    if (!rc)
        rc = text ? file_replace(path, text, strlen(text), e)
                  : err_set(e, ERR_NOMEM, "out of memory while writing %s", path);
    cJSON_free(text);
    json_close(&j);
    mem_free(path);
    return rc;
}

err_code train_dir_finish(struct train_dir *d, struct student *s, enum dtype dtype,
                          const char *tokenizer_dir, const struct tokenizer *tok, struct err *e)
{
    char *tmp = train_dir_path(d, "final.tmp", e), *final = train_dir_path(d, "final", e);
    err_code rc = tmp && final ? file_remove_tree(tmp, e) : ERR_NOMEM;
    if (!rc && !(rc = student_save(s, tmp, dtype, tokenizer_dir, e)) &&
        !(rc = write_stops(tmp, tok, e)) && !(rc = file_sync_dir(tmp, e)) && rename(tmp, final))
        rc = err_errno(e, "cannot rename to", final);
    if (!rc)
        rc = file_sync_dir(d->path, e);
    mem_free(tmp);
    mem_free(final);
    return rc;
}
