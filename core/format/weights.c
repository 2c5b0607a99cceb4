#include "core/format/weights.h"
#include "core/format/gguf.h"
#include "core/format/shards.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 16 << 20, MAX_BLOCK = 1 << 20 };

/* One tensor of a file. */
struct weight {
    const char *name; /* NULL: there is none */
    const struct tensor *t;
    struct weights_stored stored;
};

struct weights {
    char *path;
    struct gguf *gguf;          /* of a GGUF file; shards[0] then lists its tensors */
    struct safetensors *shards; /* of an HF directory or a lone file */
    int64_t n_shards;
    struct json config;
    int64_t scale_rows, scale_cols; /* of FP8; 0: the config does not say */
    struct names names;             /* to shards_place */
    void **copies;                  /* of FP8 scales that were not aligned */
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

/* One file. */
static err_code open_shard(struct weights *w, const char *path, struct err *e)
{
    if (!(w->shards = mem_new(1, sizeof *w->shards, e)))
        return ERR_NOMEM;
    w->n_shards = 1;
    err_code rc = st_open_unchecked(w->shards, path, e);
    return rc ? rc : st_names(w->shards, &w->names, e);
}

static err_code open_shard_in(struct weights *w, const char *name, struct err *e)
{
    char *path = path_join(w->path, name, e);
    err_code rc = path ? open_shard(w, path, e) : ERR_NOMEM;
    mem_free(path);
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
            "%s: no model there: neither model.safetensors nor " SHARDS_INDEX
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
    if (!has_file(w->path, SHARDS_INDEX))
        return no_weights(w->path, e);
    return shards_open(w->path, &w->shards, &w->n_shards, &w->names, e);
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
    if (ends_with(w->path, ".safetensors"))
        return open_shard(w, w->path, e);
    return gguf_open(w->path, &w->gguf, e);
}

/* ---- all tensors */

/* A GGUF's tensors as those of a shard. */
static err_code list_gguf(struct weights *w, struct err *e)
{
    int64_t n = gguf_n_tensors(w->gguf);
    if (!(w->shards = mem_new(1, sizeof *w->shards, e)))
        return ERR_NOMEM;
    w->n_shards = 1;
    struct safetensors *s = w->shards;
    if (!(s->path = mem_strdup(w->path, e)) ||
        !(s->entries = mem_new((size_t)n, sizeof *s->entries, e)))
        return ERR_NOMEM;
    for (; s->n_entries < n; s->n_entries++) {
        struct st_entry *en = &s->entries[s->n_entries];
        uint32_t type;
        gguf_tensor_at(w->gguf, s->n_entries, &en->name, &en->tensor, &type);
        const char *type_name = gguf_type_name(type);
        snprintf(en->dtype_name, sizeof en->dtype_name, "%s", type_name ? type_name : "unknown");
        en->n_bytes = gguf_tensor_bytes(w->gguf, s->n_entries);
    }
    return st_names(s, &w->names, e);
}

static struct weight weight_at(const struct weights *w, int64_t shard, int64_t i)
{
    struct st_entry *en = &w->shards[shard].entries[i];
    enum dtype t = en->tensor.dtype;
    return (struct weight){
        en->name,
        &en->tensor,
        {t ? dtype_info(t)->name : en->dtype_name, w->shards[shard].path, en->n_bytes}};
}

/* Number i in file order. */
static struct weight weight_number(const struct weights *w, int64_t i)
{
    int64_t k = 0;
    for (; i >= w->shards[k].n_entries; k++)
        i -= w->shards[k].n_entries;
    return weight_at(w, k, i);
}

/* FP8 scales are read through a float pointer: the rare one that is not aligned is copied. */
static err_code align_scale(struct weights *w, struct st_entry *en, struct err *e)
{
    struct tensor *t = &en->tensor;
    if (t->dtype != DT_F32 || (uintptr_t)t->data % sizeof(float) == 0 ||
        !ends_with(en->name, ".weight_scale_inv"))
        return ERR_OK;
    err_code rc = mem_grow((void **)&w->copies, (size_t)w->n_copies + 1, sizeof *w->copies, e);
    void *copy = rc ? NULL : mem_new(en->n_bytes, 1, e);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, t->data, en->n_bytes);
    w->copies[w->n_copies++] = t->data = copy;
    return ERR_OK;
}

static err_code align_scales(struct weights *w, struct err *e)
{
    err_code rc = ERR_OK;
    for (int64_t k = 0; k < w->n_shards; k++)
        for (int64_t i = 0; i < w->shards[k].n_entries && !rc; i++)
            rc = align_scale(w, &w->shards[k].entries[i], e);
    return rc;
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
    if (!rc && w->gguf)
        rc = list_gguf(w, e);
    if (!rc)
        rc = align_scales(w, e);
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
    return w->names.n;
}

void weights_at(const struct weights *w, int64_t i, const char **name, struct tensor *t)
{
    struct weight x = weight_number(w, i);
    *name = x.name;
    *t = *x.t;
}

void weights_stored_at(const struct weights *w, int64_t i, struct weights_stored *s)
{
    *s = weight_number(w, i).stored;
}

static struct weight find(const struct weights *w, const char *hf_name)
{
    char translated[512];
    const char *name = hf_name;
    if (w->gguf) {
        gguf_name(hf_name, translated, sizeof translated);
        name = translated;
    }
    int64_t i = names_find(&w->names, name, strlen(name));
    return i < 0 ? (struct weight){0} : weight_at(w, i >> 32, i & UINT32_MAX);
}

bool weights_has(const struct weights *w, const char *hf_name)
{
    return find(w, hf_name).name != NULL;
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
    static const char suffix[] = "_scale_inv";
    char name[512], have[128], want[128];
    size_t n = strlen(x->name);
    if (n > sizeof name - sizeof suffix)
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is FP8, and its name is too long",
                       x->stored.file, x->name);
    memcpy(name, x->name, n);
    memcpy(name + n, suffix, sizeof suffix);
    struct weight s = find(w, name);
    if (!s.name)
        return err_set(e, ERR_NOTFOUND, "%s: tensor \"%s\" is FP8, but \"%s\" is not there",
                       x->stored.file, x->name, name);
    int64_t shape[2] = {(out->shape[0] + w->scale_rows - 1) / w->scale_rows,
                        (out->shape[1] + w->scale_cols - 1) / w->scale_cols};
    if (s.t->dtype != DT_F32 || !same_shape(s.t, 2, shape)) {
        shape_text(s.t->n_dims, s.t->shape, have);
        shape_text(2, shape, want);
        return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is %s %s; wanted f32 %s", s.stored.file,
                       name, s.stored.dtype, have, want);
    }
    out->scale = s.t->data;
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

static void wanted_text(int n_dims, const int64_t *shape, char out[128])
{
    if (n_dims)
        shape_text(n_dims, shape, out);
    else
        strcpy(out, "any shape");
}

static err_code not_there(const struct weights *w, const char *hf_name, int n_dims,
                          const int64_t *shape, struct err *e)
{
    char want[128], name[512] = "";
    wanted_text(n_dims, shape, want);
    if (w->gguf)
        gguf_name(hf_name, name, sizeof name);
    if (!strcmp(name, hf_name))
        *name = 0;
    return err_set(e, ERR_NOTFOUND, "%s: tensor \"%s\"%s%s%s is not there; wanted %s", w->path,
                   hf_name, *name ? " (here \"" : "", name, *name ? "\")" : "", want);
}

/* The error for a tensor of another shape (t is as it was looked at) or of no use. */
static err_code not_wanted(const struct weight *x, const struct tensor *t, int n_dims,
                           const int64_t *shape, struct err *e)
{
    char have[128], want[128];
    shape_text(t->n_dims, t->shape, have);
    wanted_text(n_dims, shape, want);
    return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is %s %s%s; wanted %s", x->stored.file,
                   x->name, x->stored.dtype, have,
                   can_be_weights(t->dtype) ? "" : ", a type that decant cannot use as weights",
                   want);
}

err_code weights_get(const struct weights *w, const char *hf_name, int n_dims, const int64_t *shape,
                     struct tensor *out, struct err *e)
{
    struct weight x = find(w, hf_name);
    if (!x.name)
        return not_there(w, hf_name, n_dims, shape, e);
    *out = *x.t;
    if (w->gguf && n_dims)
        add_dims(out, n_dims);
    if (!can_be_weights(out->dtype) || (n_dims && !same_shape(out, n_dims, shape)))
        return not_wanted(&x, out, n_dims, shape, e);
    return out->dtype == DT_F8_E4M3 ? attach_scale(w, &x, out, e) : ERR_OK;
}
