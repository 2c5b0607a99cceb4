#include "core/format/shards.h"
#include "core/base/json.h"
#include "core/base/json_scan.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_INDEX_BYTES = 256 << 20 };

struct listed {
    const char *name; /* n_name bytes of the index */
    const char *file; /* one of x->runs */
    int64_t place;    /* + 1, once it is found in its shard */
    uint32_t n_name;
};

struct shard_index {
    char *path;
    struct file_map map; /* names point into it, or into json */
    struct json json;
    struct listed *listed; /* n */
    int64_t n, cap;
    char **runs; /* n_runs: the file of one tensor after the other, while it is the same */
    int64_t n_runs, cap_runs;
    const char **files; /* n_files: those of runs, each once, in order of their names */
    int64_t n_files;
};

/* Forgets what was listed. */
static void index_clear(struct shard_index *x)
{
    for (int64_t i = 0; i < x->n_runs; i++)
        mem_free(x->runs[i]);
    x->n = x->n_runs = 0;
}

static void index_close(struct shard_index *x)
{
    index_clear(x);
    mem_free(x->path);
    mem_free(x->listed);
    mem_free(x->runs);
    mem_free(x->files);
    file_map_close(&x->map);
    json_close(&x->json);
}

/* Room for one more; it doubles. */
static err_code grow(void **p, int64_t n, int64_t *cap, size_t size, struct err *e)
{
    if (n < *cap)
        return ERR_OK;
    err_code rc = mem_grow(p, 2 * (size_t)n + 16, size, e);
    if (!rc)
        *cap = 2 * n + 16;
    return rc;
}

/* The name and the file of a tensor. */
static err_code index_add(struct shard_index *x, const char *name, size_t n_name, const char *file,
                          size_t n_file, struct err *e)
{
    const char *last = x->n_runs ? x->runs[x->n_runs - 1] : NULL;
    if (grow((void **)&x->listed, x->n, &x->cap, sizeof *x->listed, e))
        return ERR_NOMEM;
    if (!last || strncmp(last, file, n_file) || last[n_file]) {
        if (grow((void **)&x->runs, x->n_runs, &x->cap_runs, sizeof *x->runs, e) ||
            !(x->runs[x->n_runs] = mem_strndup(file, n_file, e)))
            return ERR_NOMEM;
        last = x->runs[x->n_runs++];
        if (!path_is_contained(last))
            return err_set(e, ERR_FORMAT,
                           "%s: tensor \"%.*s\" is in no file below the directory: \"%s\"", x->path,
                           (int)n_name, name, last);
    }
    x->listed[x->n++] = (struct listed){name, last, 0, (uint32_t)n_name};
    return ERR_OK;
}

/* ---- the quick way to read an index: plain ones, which all programs write */

static bool scan_map(struct json_scan *j, struct shard_index *x)
{
    const char *name, *file;
    size_t n_name, n_file;
    if (!json_scan_char(j, '{'))
        return false;
    do
        if (!json_scan_key(j, &name, &n_name) || !json_scan_str(j, &file, &n_file) ||
            index_add(x, name, n_name, file, n_file, NULL))
            return false;
    while (json_scan_char(j, ','));
    return json_scan_char(j, '}');
}

/* False: it is not plain, or something is wrong with it. */
static bool scan_index(struct shard_index *x)
{
    struct json_scan j = {(const char *)x->map.data, (const char *)x->map.data + x->map.size};
    const char *key;
    size_t n;
    if (x->map.size > MAX_INDEX_BYTES || !json_scan_char(&j, '{'))
        return false;
    do {
        if (!json_scan_key(&j, &key, &n))
            return false;
        bool is_map = n == strlen("weight_map") && !memcmp(key, "weight_map", n);
        if (is_map ? x->n || !scan_map(&j, x) : !json_scan_skip_object(&j))
            return false;
    } while (json_scan_char(&j, ','));
    return json_scan_char(&j, '}') && json_scan_end(&j) && x->n;
}

/* ---- the thorough way, which says what is wrong */

static err_code parse_index(struct shard_index *x, struct err *e)
{
    const cJSON *node;
    err_code rc = json_open(&x->json, x->path, MAX_INDEX_BYTES, e);
    if (rc)
        return rc;
    const cJSON *map = json_at(x->json.root, "weight_map");
    if (!cJSON_IsObject(map) || !map->child)
        return err_set(e, ERR_FORMAT, "%s: \"weight_map\" should be an object of tensor: file",
                       x->path);
    cJSON_ArrayForEach(node, map)
    {
        if (!cJSON_IsString(node))
            return err_set(e, ERR_FORMAT,
                           "%s: tensor \"%s\" is in no file below the directory: (no string)",
                           x->path, node->string);
        const char *file = node->valuestring;
        if ((rc = index_add(x, node->string, strlen(node->string), file, strlen(file), e)))
            return rc;
    }
    return ERR_OK;
}

/* ---- both */

static int by_name(const void *pa, const void *pb)
{
    const char *const *a = pa, *const *b = pb;
    return strcmp(*a, *b);
}

static err_code list_files(struct shard_index *x, struct err *e)
{
    if (!(x->files = mem_new((size_t)x->n_runs, sizeof *x->files, e)))
        return ERR_NOMEM;
    for (int64_t i = 0; i < x->n_runs; i++)
        x->files[i] = x->runs[i];
    qsort(x->files, (size_t)x->n_runs, sizeof *x->files, by_name);
    for (int64_t i = 0; i < x->n_runs; i++)
        if (!i || strcmp(x->files[i], x->files[x->n_files - 1]))
            x->files[x->n_files++] = x->files[i];
    return ERR_OK;
}

static err_code index_open(struct shard_index *x, const char *dir, struct names *names,
                           struct err *e)
{
    if (!(x->path = path_join(dir, SHARDS_INDEX, e)))
        return ERR_NOMEM;
    err_code rc = file_map_open(&x->map, x->path, e);
    if (!rc && !scan_index(x)) {
        index_clear(x);
        rc = parse_index(x, e);
    }
    if (!rc)
        rc = list_files(x, e);
    if (!rc)
        rc = names_reserve(names, x->n, e);
    for (int64_t i = 0; i < x->n && !rc; i++) {
        const struct listed *l = &x->listed[i];
        if (names_add(names, l->name, l->n_name, i) >= 0)
            rc = err_set(e, ERR_FORMAT, "%s: lists tensor \"%.*s\" twice", x->path, (int)l->n_name,
                         l->name);
    }
    return rc;
}

/* Finds every tensor of shard k in the index: each should be listed, for this shard, and stand
 * there once. */
static err_code check_shard(const struct shard_index *x, const struct safetensors *s, int64_t k,
                            const struct names *names, struct err *e)
{
    const char *same = x->files[k];
    for (int64_t i = 0; i < s->n_entries; i++) {
        const char *name = s->entries[i].name;
        int64_t at = names_find(names, name, strlen(name));
        if (at < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" of shard %s is not listed", x->path,
                           name, x->files[k]);
        struct listed *l = &x->listed[at];
        if (l->file != same && strcmp(l->file, same))
            return err_set(e, ERR_FORMAT, "%s: lists tensor \"%s\" in shard %s, but it is in %s",
                           x->path, name, l->file, x->files[k]);
        if (l->place)
            return st_double_name(s, name, e);
        l->place = shards_place(k, i) + 1;
        same = l->file;
    }
    return ERR_OK;
}

/* Opens the shards, each thread some. When several fail, the error is the first one's. */
static err_code open_shards(const struct shard_index *x, const char *dir,
                            struct safetensors *shards, const struct names *names, struct err *e)
{
    int64_t n = x->n_files, i_failed = n;
    err_code failed = ERR_OK;
#pragma omp parallel for schedule(dynamic) if (n > 1)
    for (int64_t k = 0; k < n; k++) {
        struct err mine;
        char *path = path_join(dir, x->files[k], &mine);
        err_code rc = path ? st_open_unchecked(&shards[k], path, &mine) : ERR_NOMEM;
        if (rc)
            err_context(&mine, "%s", x->path);
        else
            rc = check_shard(x, &shards[k], k, names, &mine);
        mem_free(path);
#pragma omp critical(shards_failed)
        if (rc && k < i_failed) {
            i_failed = k;
            failed = rc;
            if (e)
                *e = mine;
        }
    }
    return failed;
}

/* Every listed tensor was found: its name stands for its place from now on, and is the shard's. */
static err_code place_names(const struct shard_index *x, const struct safetensors *shards,
                            struct names *names, struct err *e)
{
    int64_t n_missing = 0, first = -1;
    for (int64_t i = 0; i < x->n; i++) {
        int64_t place = x->listed[i].place - 1;
        if (place < 0) {
            first = n_missing++ ? first : i;
            continue;
        }
        names->refs[i].id = place;
        names->refs[i].s = shards[place >> 32].entries[place & UINT32_MAX].name;
    }
    return first < 0
               ? ERR_OK
               : err_set(e, ERR_FORMAT,
                         "%s: tensor \"%.*s\" is not in its shard %s (%lld in all are missing)",
                         x->path, (int)x->listed[first].n_name, x->listed[first].name,
                         x->listed[first].file, (long long)n_missing);
}

err_code shards_open(const char *dir, struct safetensors **shards, int64_t *n, struct names *names,
                     struct err *e)
{
    struct shard_index x = {0};
    err_code rc = index_open(&x, dir, names, e);
    if (!rc && !(*shards = mem_new((size_t)x.n_files, sizeof **shards, e)))
        rc = ERR_NOMEM;
    if (!rc) {
        *n = x.n_files;
        rc = open_shards(&x, dir, *shards, names, e);
    }
    if (!rc)
        rc = place_names(&x, *shards, names, e);
    index_close(&x);
    return rc;
}
