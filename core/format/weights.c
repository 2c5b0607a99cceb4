#include "core/format/weights.h"
#include "core/base/names.h"
#include "core/format/gguf.h"
#include "core/format/safetensors.h"

#include <stdio.h>
#include <string.h>

enum { MAX_INDEX_BYTES = 256 << 20, MAX_CONFIG_BYTES = 16 << 20, MAX_BLOCK = 1 << 20 };
#define INDEX_NAME "model.safetensors.index.json"

struct weight {
    const char *name; /* the shard's or the GGUF's */
    struct tensor t;
    struct weights_stored stored;
};

struct weights {
    char *path;
    struct gguf *gguf;          /* of a GGUF file */
    struct safetensors *shards; /* of an HF directory or a lone file */
    int64_t n_shards;
    struct json config;
    int64_t scale_rows, scale_cols; /* of FP8; 0: the config does not say */
    struct weight *all;
    int64_t n;
    struct names names; /* to positions in all */
    void **copies;      /* of FP8 scales that were not aligned */
    int64_t n_copies;
};

/* ---- HF names to GGUF names */

/* Rest of s after prefix, or NULL. */
static const char *after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(s, prefix, n) ? NULL : s + n;
}

/* The GGUF name of an HF name; a name without one stands for itself. */
static void gguf_name(const char *hf, char *out, size_t size)
{
    static const struct {
        const char *hf, *gguf;
    } whole[] = {{"model.embed_tokens.", "token_embd."},
                 {"model.norm.", "output_norm."},
                 {"lm_head.", "output."}},
      layer[] = {{"input_layernorm.", "attn_norm."},    {"post_attention_layernorm.", "ffn_norm."},
                 {"self_attn.q_proj.", "attn_q."},      {"self_attn.k_proj.", "attn_k."},
                 {"self_attn.v_proj.", "attn_v."},      {"self_attn.o_proj.", "attn_output."},
                 {"self_attn.q_norm.", "attn_q_norm."}, {"self_attn.k_norm.", "attn_k_norm."},
                 {"mlp.gate_proj.", "ffn_gate."},       {"mlp.up_proj.", "ffn_up."},
                 {"mlp.down_proj.", "ffn_down."}};
    snprintf(out, size, "%s", hf);
    const char *rest, *in_layer = after(hf, "model.layers.");
    if (in_layer) {
        int digits = (int)strspn(in_layer, "0123456789");
        if (!digits || in_layer[digits] != '.')
            return;
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++)
            if ((rest = after(in_layer + digits + 1, layer[i].hf)))
                snprintf(out, size, "blk.%.*s.%s%s", digits, in_layer, layer[i].gguf, rest);
        return;
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if ((rest = after(hf, whole[i].hf)))
            snprintf(out, size, "%s%s", whole[i].gguf, rest);
}

/* ---- opening */

static bool block_side(const cJSON *v, int64_t *out)
{
    if (!cJSON_IsNumber(v) || v->valuedouble != v->valueint || v->valueint < 1 ||
        v->valueint > MAX_BLOCK)
        return false;
    *out = v->valueint;
    return true;
}

static err_code open_config(struct weights *w, struct err *e)
{
    char *path = path_join(w->path, "config.json", e);
    if (!path)
        return ERR_NOMEM;
    err_code rc = ERR_OK;
    if (file_exists(path))
        rc = json_open(&w->config, path, MAX_CONFIG_BYTES, e);
    mem_free(path);
    const cJSON *block = json_at(w->config.root, "quantization_config.weight_block_size");
    if (rc || !block)
        return rc;
    if (!cJSON_IsArray(block) || cJSON_GetArraySize(block) != 2 ||
        !block_side(block->child, &w->scale_rows) ||
        !block_side(block->child->next, &w->scale_cols))
        return err_set(e, ERR_FORMAT,
                       "%s: \"quantization_config.weight_block_size\" should be two sizes",
                       w->config.name);
    return ERR_OK;
}

static err_code open_shard(struct weights *w, const char *path, struct err *e)
{
    err_code rc = mem_grow((void **)&w->shards, (size_t)w->n_shards + 1, sizeof *w->shards, e);
    if (!rc)
        rc = st_open(&w->shards[w->n_shards], path, e);
    if (!rc)
        w->n_shards++;
    return rc;
}

static err_code open_shard_in(struct weights *w, const char *name, struct err *e)
{
    char *path = path_join(w->path, name, e);
    err_code rc = path ? open_shard(w, path, e) : ERR_NOMEM;
    mem_free(path);
    return rc;
}

/* The index of a sharded model: which file holds which tensor. */
struct shard_index {
    struct json json;
    int64_t n;
    const cJSON **nodes; /* n: name and file of each tensor */
    struct names tensors, files;
};

static void index_close(struct shard_index *x)
{
    mem_free(x->nodes);
    names_dispose(&x->tensors);
    names_dispose(&x->files);
    json_close(&x->json);
}

static err_code index_open(struct shard_index *x, const char *path, struct err *e)
{
    err_code rc = json_open(&x->json, path, MAX_INDEX_BYTES, e);
    if (rc)
        return rc;
    const cJSON *node, *map = json_at(x->json.root, "weight_map");
    if (!cJSON_IsObject(map) || !map->child)
        return err_set(e, ERR_FORMAT, "%s: \"weight_map\" should be an object of tensor: file",
                       path);
    int64_t n = cJSON_GetArraySize(map);
    if (!(x->nodes = mem_new((size_t)n, sizeof *x->nodes, e)) || names_reserve(&x->tensors, n, e) ||
        names_reserve(&x->files, n, e))
        return ERR_NOMEM;
    cJSON_ArrayForEach(node, map)
    {
        const char *file = cJSON_IsString(node) ? node->valuestring : "(no string)";
        if (!cJSON_IsString(node) || !path_is_contained(file))
            return err_set(e, ERR_FORMAT,
                           "%s: tensor \"%s\" is in no file below the directory: \"%s\"", path,
                           node->string, file);
        names_add(&x->tensors, node->string, strlen(node->string), x->n);
        names_add(&x->files, file, strlen(file), x->n);
        x->nodes[x->n++] = node;
    }
    const struct name_ref *twice = names_sort(&x->tensors);
    if (twice)
        return err_set(e, ERR_FORMAT, "%s: lists tensor \"%s\" twice", path, twice->s);
    names_sort(&x->files); /* a shard's tensors now stand side by side */
    return ERR_OK;
}

/* Every tensor of a shard should be listed, and for this shard. */
static err_code check_shard(const struct safetensors *s, const char *file,
                            const struct shard_index *x, struct err *e)
{
    for (int64_t i = 0; i < s->n_entries; i++) {
        const char *name = s->entries[i].name;
        int64_t at = names_find(&x->tensors, name, strlen(name));
        if (at < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" of shard %s is not listed",
                           x->json.name, name, file);
        if (strcmp(x->nodes[at]->valuestring, file))
            return err_set(e, ERR_FORMAT, "%s: lists tensor \"%s\" in shard %s, but it is in %s",
                           x->json.name, name, x->nodes[at]->valuestring, file);
    }
    return ERR_OK;
}

/* The error for listed tensors that no shard has. Forgets the others. */
static err_code missing_tensors(const struct weights *w, struct shard_index *x, struct err *e)
{
    int64_t n_missing = x->n, first = 0;
    for (int64_t i = 0; i < w->n_shards; i++)
        for (int64_t k = 0; k < w->shards[i].n_entries; k++) {
            const char *name = w->shards[i].entries[k].name;
            x->nodes[names_find(&x->tensors, name, strlen(name))] = NULL;
            n_missing--;
        }
    while (!x->nodes[first])
        first++;
    return err_set(
        e, ERR_FORMAT, "%s: tensor \"%s\" is not in its shard %s (%lld in all are missing)",
        x->json.name, x->nodes[first]->string, x->nodes[first]->valuestring, (long long)n_missing);
}

/* Opens every shard that the index names, once. */
static err_code open_listed(struct weights *w, struct shard_index *x, struct err *e)
{
    int64_t n_found = 0;
    for (int64_t i = 0; i < x->n; i++) {
        const char *file = x->files.refs[i].s;
        if (i && !strcmp(file, x->files.refs[i - 1].s))
            continue;
        err_code rc = open_shard_in(w, file, e);
        if (rc) {
            err_context(e, "%s", x->json.name);
            return rc;
        }
        const struct safetensors *s = &w->shards[w->n_shards - 1];
        if ((rc = check_shard(s, file, x, e)))
            return rc;
        n_found += s->n_entries;
    }
    return n_found == x->n ? ERR_OK : missing_tensors(w, x, e);
}

static err_code open_index(struct weights *w, const char *path, struct err *e)
{
    struct shard_index x = {0};
    err_code rc = index_open(&x, path, e);
    if (!rc)
        rc = open_listed(w, &x, e);
    index_close(&x);
    return rc;
}

static bool has_file(const char *dir, const char *name)
{
    char *path = path_join(dir, name, NULL);
    bool has = path && file_exists(path);
    mem_free(path);
    return has;
}

static err_code no_weights(const char *dir, struct err *e)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                          "model.pt", "pytorch_model.pt", "consolidated.00.pth"};
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if (has_file(dir, pickles[i]))
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: %s is a pickle file, which can run code when it is read; convert "
                           "it to safetensors (transformers: save_pretrained)",
                           dir, pickles[i]);
    err_set(e, ERR_NOTFOUND,
            "%s: no model there: neither model.safetensors nor " INDEX_NAME
            " (a GGUF file is named itself, not its directory)",
            dir);
    file_suggest_below(dir, "tokenizer.json", e);
    return ERR_NOTFOUND;
}

static err_code open_dir(struct weights *w, struct err *e)
{
    err_code rc = open_config(w, e);
    if (rc)
        return rc;
    if (has_file(w->path, "model.safetensors")) /* before an index, as transformers does */
        return open_shard_in(w, "model.safetensors", e);
    if (!has_file(w->path, INDEX_NAME))
        return no_weights(w->path, e);
    char *path = path_join(w->path, INDEX_NAME, e);
    rc = path ? open_index(w, path, e) : ERR_NOMEM;
    mem_free(path);
    return rc;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static err_code open_file(struct weights *w, struct err *e)
{
    static const char *const pickles[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl"};
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if (ends_with(w->path, pickles[i]) && file_exists(w->path))
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: looks like a pickle file, which can run code when it is read; "
                           "convert it to safetensors (transformers: save_pretrained)",
                           w->path);
    if (ends_with(w->path, ".json"))
        return err_set(e, ERR_USAGE, "%s: name the model's directory instead", w->path);
    if (ends_with(w->path, ".safetensors"))
        return open_shard(w, w->path, e);
    return gguf_open(w->path, &w->gguf, e);
}

/* ---- the table of all tensors */

static int64_t count(const struct weights *w)
{
    int64_t n = w->gguf ? gguf_n_tensors(w->gguf) : 0;
    for (int64_t i = 0; i < w->n_shards; i++)
        n += w->shards[i].n_entries;
    return n;
}

static void list_gguf(struct weights *w)
{
    for (int64_t i = 0; i < gguf_n_tensors(w->gguf); i++) {
        struct weight *x = &w->all[w->n++];
        uint32_t type;
        gguf_tensor_at(w->gguf, i, &x->name, &x->t, &type);
        const char *type_name = gguf_type_name(type);
        x->stored = (struct weights_stored){type_name ? type_name : "unknown", w->path,
                                            gguf_tensor_bytes(w->gguf, i)};
    }
}

static void list_shards(struct weights *w)
{
    for (int64_t i = 0; i < w->n_shards; i++)
        for (int64_t k = 0; k < w->shards[i].n_entries; k++) {
            const struct st_entry *en = &w->shards[i].entries[k];
            enum dtype t = dtype_from_hf(en->dtype_name);
            w->all[w->n++] = (struct weight){
                en->name,
                en->tensor,
                {t ? dtype_info(t)->name : en->dtype_name, w->shards[i].path, en->n_bytes}};
        }
}

/* FP8 scales are read through a float pointer: the rare one that is not aligned is copied. */
static err_code align_scales(struct weights *w, struct err *e)
{
    for (int64_t i = 0; i < w->n; i++) {
        struct tensor *t = &w->all[i].t;
        if (t->dtype != DT_F32 || (uintptr_t)t->data % sizeof(float) == 0 ||
            !ends_with(w->all[i].name, ".weight_scale_inv"))
            continue;
        uint64_t n = w->all[i].stored.n_bytes;
        err_code rc = mem_grow((void **)&w->copies, (size_t)w->n_copies + 1, sizeof *w->copies, e);
        void *copy = rc ? NULL : mem_new(n, 1, e);
        if (!copy)
            return ERR_NOMEM;
        memcpy(copy, t->data, n);
        w->copies[w->n_copies++] = t->data = copy;
    }
    return ERR_OK;
}

static err_code list_all(struct weights *w, struct err *e)
{
    int64_t n = count(w);
    err_code rc = names_reserve(&w->names, n, e);
    if (rc || !(w->all = mem_new((size_t)n, sizeof *w->all, e)))
        return ERR_NOMEM;
    if (w->gguf)
        list_gguf(w);
    list_shards(w);
    for (int64_t i = 0; i < n; i++)
        names_add(&w->names, w->all[i].name, strlen(w->all[i].name), i);
    names_sort(&w->names); /* unique: each file's names are, and an index gives each to one file */
    return align_scales(w, e);
}

err_code weights_open(const char *path, struct weights **out, struct err *e)
{
    *out = NULL;
    struct weights *w = mem_new(1, sizeof *w, e);
    if (!w || !(w->path = mem_strdup(path, e))) {
        weights_close(w);
        return ERR_NOMEM;
    }
    err_code rc = file_is_dir(path) ? open_dir(w, e) : open_file(w, e);
    if (!rc)
        rc = list_all(w, e);
    if (rc)
        weights_close(w);
    else
        *out = w;
    return rc;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    gguf_close(w->gguf);
    for (int64_t i = 0; i < w->n_shards; i++)
        st_close(&w->shards[i]);
    for (int64_t i = 0; i < w->n_copies; i++)
        mem_free(w->copies[i]);
    mem_free(w->copies);
    mem_free(w->shards);
    mem_free(w->all);
    names_dispose(&w->names);
    json_close(&w->config);
    mem_free(w->path);
    mem_free(w);
}

/* ---- asking */

bool weights_is_gguf(const struct weights *w)
{
    return w->gguf != NULL;
}

const struct gguf *weights_gguf(const struct weights *w)
{
    return w->gguf;
}

const struct json *weights_config(const struct weights *w)
{
    return w->config.root ? &w->config : NULL;
}

const char *weights_path(const struct weights *w)
{
    return w->path;
}

int64_t weights_count(const struct weights *w)
{
    return w->n;
}

void weights_at(const struct weights *w, int64_t i, const char **name, struct tensor *t)
{
    *name = w->all[i].name;
    *t = w->all[i].t;
}

void weights_stored_at(const struct weights *w, int64_t i, struct weights_stored *s)
{
    *s = w->all[i].stored;
}

static const struct weight *find(const struct weights *w, const char *hf_name)
{
    char translated[512];
    const char *name = hf_name;
    if (w->gguf) {
        gguf_name(hf_name, translated, sizeof translated);
        name = translated;
    }
    int64_t i = names_find(&w->names, name, strlen(name));
    return i < 0 ? NULL : &w->all[i];
}

bool weights_has(const struct weights *w, const char *hf_name)
{
    return find(w, hf_name) != NULL;
}

static void shape_text(int n_dims, const int64_t *shape, char out[128])
{
    size_t at = 0;
    out[at++] = '[';
    for (int i = 0; i < n_dims; i++)
        at += (size_t)snprintf(out + at, 128 - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(out + at, 128 - at, "]");
}

static bool same_shape(const struct tensor *t, int n_dims, const int64_t *shape)
{
    bool same = t->n_dims == n_dims;
    for (int i = 0; i < n_dims && same; i++)
        same = t->shape[i] == shape[i];
    return same;
}

/* GGUF files may leave out outermost dimensions of 1: gives them back. */
static void add_dims(struct tensor *t, int n_dims)
{
    while (t->n_dims < n_dims && t->n_dims < TENSOR_MAX_DIMS) {
        memmove(t->shape + 1, t->shape, (size_t)t->n_dims * sizeof *t->shape);
        t->shape[0] = 1;
        t->n_dims++;
    }
}

static err_code attach_scale(const struct weights *w, const struct weight *x, struct tensor *out,
                             struct err *e)
{
    if (!ends_with(x->name, ".weight") || out->n_dims != 2)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is FP8, but no matrix named X.weight",
                       x->stored.file, x->name);
    if (!w->scale_rows)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor \"%s\" is FP8, and config.json has no "
                       "\"quantization_config.weight_block_size\" to place its scales by",
                       x->stored.file, x->name);
    char name[512], have[128], want[128];
    snprintf(name, sizeof name, "%s_scale_inv", x->name);
    const struct weight *s = find(w, name);
    if (!s)
        return err_set(e, ERR_NOTFOUND, "%s: tensor \"%s\" is FP8, but \"%s\" is not there",
                       x->stored.file, x->name, name);
    int64_t shape[2] = {(out->shape[0] + w->scale_rows - 1) / w->scale_rows,
                        (out->shape[1] + w->scale_cols - 1) / w->scale_cols};
    if (s->t.dtype != DT_F32 || !same_shape(&s->t, 2, shape)) {
        shape_text(s->t.n_dims, s->t.shape, have);
        shape_text(2, shape, want);
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is %s %s; wanted f32 %s", s->stored.file,
                       name, s->stored.dtype, have, want);
    }
    out->scale = s->t.data;
    out->scale_ld = shape[1];
    out->scale_rows = w->scale_rows;
    out->scale_cols = w->scale_cols;
    return ERR_OK;
}

static bool can_be_weights(enum dtype t)
{
    return t == DT_F32 || t == DT_F16 || t == DT_BF16 || t == DT_F8_E4M3 ||
           dtype_info(t)->block_elems > 1;
}

err_code weights_get(const struct weights *w, const char *hf_name, int n_dims, const int64_t *shape,
                     struct tensor *out, struct err *e)
{
    char have[128], want[128] = "any shape";
    if (n_dims)
        shape_text(n_dims, shape, want);
    const struct weight *x = find(w, hf_name);
    if (!x) {
        char name[512] = "";
        if (w->gguf)
            gguf_name(hf_name, name, sizeof name);
        if (!strcmp(name, hf_name))
            *name = 0;
        return err_set(e, ERR_NOTFOUND, "%s: tensor \"%s\"%s%s%s is not there; wanted %s", w->path,
                       hf_name, *name ? " (here \"" : "", name, *name ? "\")" : "", want);
    }
    *out = x->t;
    if (w->gguf && n_dims)
        add_dims(out, n_dims);
    shape_text(out->n_dims, out->shape, have);
    if (!can_be_weights(x->t.dtype))
        return err_set(e, ERR_FORMAT,
                       "%s: tensor \"%s\" is %s %s, a type that decant cannot use as weights; "
                       "wanted %s",
                       x->stored.file, x->name, x->stored.dtype, have, want);
    if (n_dims && !same_shape(out, n_dims, shape))
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is %s %s; wanted %s", x->stored.file,
                       x->name, x->stored.dtype, have, want);
    return out->dtype == DT_F8_E4M3 ? attach_scale(w, x, out, e) : ERR_OK;
}
