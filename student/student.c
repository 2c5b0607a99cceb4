/* The trainable student's life: opening (read or drawn), its parameters as views, saving. */
#include "student/work.h"

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/format/safetensors.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { STAGE_ELEMS = 1 << 20 }; /* elements that go between host and device at once */

struct tensor student_view(const struct student *s, float *of, enum student_kind k, int64_t layer)
{
    const struct student_slot *slot = student_layout_find(&s->layout, &s->config, k, layer);
    if (!slot)
        return (struct tensor){0};
    float *p = of + slot->offset;
    return slot->n_dims == 1 ? tensor_1d(DT_F32, p, slot->shape[0])
                             : tensor_2d(DT_F32, p, slot->shape[0], slot->shape[1]);
}

/* ---- parameters from a file, or drawn */

/* Rows of a slot that one stage holds. */
static int64_t stage_rows(int64_t cols)
{
    return cols >= STAGE_ELEMS ? 1 : STAGE_ELEMS / cols;
}

static void slot_size(const struct student_slot *slot, int64_t *rows, int64_t *cols)
{
    *rows = slot->n_dims == 1 ? 1 : slot->shape[0];
    *cols = slot->n_dims == 1 ? slot->shape[0] : slot->shape[1];
}

typedef void fill_fn(const void *ctx, const struct student_slot *slot, int64_t row, int64_t cols,
                     float *dst);

/* Fills every parameter, row by row: rows are independent, so threads share them. */
static err_code fill_params(struct student *s, fill_fn *fill,
                            const void *(*ctx_of)(void *, int64_t), void *all, struct err *e)
{
    struct device *d = s->device;
    for (int64_t i = 0; i < s->layout.n_slots; i++) {
        const struct student_slot *slot = &s->layout.slots[i];
        const void *ctx = ctx_of(all, i);
        int64_t rows, cols;
        slot_size(slot, &rows, &cols);
        int64_t step = stage_rows(cols) < rows ? stage_rows(cols) : rows;
        float *stage = mem_new((size_t)(step * cols), sizeof *stage, e);
        if (!stage)
            return ERR_NOMEM;
        for (int64_t r = 0; r < rows; r += step) {
            int64_t n = rows - r < step ? rows - r : step;
#pragma omp parallel for schedule(static)
            for (int64_t j = 0; j < n; j++)
                fill(ctx, slot, r + j, cols, stage + j * cols);
            d->upload(d, s->params + slot->offset + r * cols, stage,
                      (size_t)(n * cols) * sizeof *stage);
        }
        mem_free(stage);
    }
    return ERR_OK;
}

static void fill_from_tensor(const void *ctx, const struct student_slot *slot, int64_t row,
                             int64_t cols, float *dst)
{
    (void)slot;
    (void)cols;
    tensor_row_f32(ctx, row, dst);
}

static const void *tensor_at(void *all, int64_t i)
{
    return (struct tensor *)all + i;
}

struct draw {
    uint64_t seed;
    double std;
};

static void fill_drawn(const void *ctx, const struct student_slot *slot, int64_t row, int64_t cols,
                       float *dst)
{
    const struct draw *w = ctx;
    bool bias = slot->n_dims == 1 && strstr(slot->name, "bias");
    if (slot->n_dims == 1) {
        for (int64_t j = 0; j < cols; j++)
            dst[j] = bias ? 0.0f : 1.0f;
        return;
    }
    struct rng r = rng_make(w->seed, rng_hash(slot->name, strlen(slot->name)), (uint64_t)row);
    for (int64_t j = 0; j < cols; j++)
        dst[j] = (float)(rng_normal(&r) * w->std);
}

static const void *same(void *all, int64_t i)
{
    (void)i;
    return all;
}

/* All tensors of w, in the order of the slots, with shapes checked. Block types hold no trainable
 * numbers: what was rounded away is gone. */
static err_code find_tensors(const struct student *s, const struct weights *w, struct tensor **out,
                             struct err *e)
{
    struct tensor *t = *out = mem_new((size_t)s->layout.n_slots, sizeof *t, e);
    if (!t)
        return ERR_NOMEM;
    for (int64_t i = 0; i < s->layout.n_slots; i++) {
        const struct student_slot *slot = &s->layout.slots[i];
        err_code rc = weights_get(w, slot->name, slot->n_dims, slot->shape, &t[i], e);
        if (rc)
            return rc;
        if (dtype_info(t[i].dtype)->block_elems > 1)
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: %s is %s; training needs a model in float32, float16, bfloat16 or "
                           "float8",
                           weights_path(w), slot->name, dtype_info(t[i].dtype)->name);
    }
    return ERR_OK;
}

static err_code alloc_params(struct student *s, struct err *e)
{
    double need = (double)s->n_params * sizeof(float);
    double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (need > have)
        return err_set(
            e, ERR_NOMEM,
            "%s: %.1f billion parameters are %.1f GB in float32; this machine has %.1f GB",
            s->source.name, (double)s->n_params * 1e-9, need * 1e-9, have * 1e-9);
    s->params = s->device->alloc(s->device, s->n_params * sizeof(float), e);
    return s->params ? ERR_OK : err_context(e, "%s: its parameters", s->source.name);
}

static err_code read_params(struct student *s, const char *dir, struct err *e)
{
    struct weights *w;
    struct tensor *t = NULL;
    err_code rc = weights_open(dir, &w, e);
    if (rc)
        return rc;
    rc = find_tensors(s, w, &t, e);
    if (!rc && !s->params)
        rc = alloc_params(s, e);
    if (!rc)
        rc = fill_params(s, fill_from_tensor, tensor_at, t, e);
    mem_free(t);
    weights_close(w);
    return rc;
}

err_code student_load_params(struct student *s, const char *dir, struct err *e)
{
    return read_params(s, dir, e);
}

/* ---- life */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static err_code open_source(struct student *s, const char *path, struct err *e)
{
    if (file_is_dir(path)) {
        char *config = path_join(path, "config.json", e);
        const char *type;
        err_code rc = config ? json_open(&s->source, config, 16 << 20, e) : ERR_NOMEM;
        if (!rc)
            rc = json_str(&s->source, s->source.root, "model_type", &type, e);
        if (rc) /* not a model's, or none at all */
            file_suggest_below(path, "tokenizer.json", e);
        mem_free(config);
        return rc;
    }
    if (ends_with(path, ".json"))
        return json_open(&s->source, path, 16 << 20, e);
    return err_set(
        e, ERR_FORMAT,
        "%s: a student to train is an HF directory, or a config.json to draw weights for", path);
}

static err_code open_student(struct student *s, const char *path, uint64_t seed, struct err *e)
{
    struct student_config *c = &s->config;
    err_code rc = open_source(s, path, e);
    if (rc || (rc = student_config_json(c, &s->source, e)) ||
        (rc = student_layout_init(&s->layout, c, e)))
        return rc;
    if (c->attention_dropout != 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: attention_dropout is %g; decant trains without dropout: set it to 0",
                       s->source.name, c->attention_dropout);
    s->n_params = s->layout.n_params;
    s->n_decay = s->layout.n_decay;
    float *inv_freq = mem_new((size_t)c->head_dim / 2, sizeof *inv_freq, e);
    if (!inv_freq)
        return ERR_NOMEM;
    s->rope = (struct rope){.mode = c->rope.mode, .n_dims = c->head_dim, .inv_freq = inv_freq};
    student_rope_freqs(c, inv_freq, &s->rope.scale);
    if (file_is_dir(path))
        return read_params(s, path, e);
    struct draw draw = {.seed = seed, .std = c->init_range};
    rc = alloc_params(s, e);
    return rc ? rc : fill_params(s, fill_drawn, same, &draw, e);
}

err_code student_open(const char *path, struct device *d, uint64_t seed, struct student **out,
                      struct err *e)
{
    *out = NULL;
    struct student *s = mem_new(1, sizeof *s, e);
    if (!s)
        return ERR_NOMEM;
    s->device = d;
    err_code rc = open_student(s, path, seed, e);
    if (rc)
        student_close(s);
    else
        *out = s;
    return rc;
}

void student_close(struct student *s)
{
    if (!s)
        return;
    student_work_close(s);
    s->device->free(s->device, s->params);
    s->device->free(s->device, s->grads);
    mem_free((void *)s->rope.inv_freq);
    student_layout_dispose(&s->layout);
    json_close(&s->source);
    mem_free(s);
}

/* ---- saving */

static const char *torch_name(enum dtype t)
{
    return t == DT_F32 ? "float32" : t == DT_BF16 ? "bfloat16" : "float16";
}

static err_code set_string(cJSON *o, const char *key, const char *value, struct err *e)
{
    cJSON *v = cJSON_CreateString(value);
    bool there = cJSON_GetObjectItemCaseSensitive(o, key);
    bool ok = v && (there ? cJSON_ReplaceItemInObjectCaseSensitive(o, key, v)
                          : cJSON_AddItemToObject(o, key, v));
    return ok ? ERR_OK : err_set(e, ERR_NOMEM, "out of memory while writing config.json");
}

/* Where config.json leaves these out, transformers takes other numbers for some architectures. */
static err_code set_resolved(const struct student_config *c, cJSON *o, struct err *e)
{
    const struct {
        const char *key;
        int64_t value;
    } resolved[] = {{"num_key_value_heads", c->n_kv_heads},
                    {"max_position_embeddings", c->max_positions}};
    for (size_t i = 0; i < sizeof resolved / sizeof *resolved; i++) {
        if (json_at(o, resolved[i].key))
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(o, resolved[i].key); /* a null */
        if (!cJSON_AddNumberToObject(o, resolved[i].key, (double)resolved[i].value))
            return err_set(e, ERR_NOMEM, "out of memory while writing config.json");
    }
    return ERR_OK;
}

static err_code set_config(const struct student *s, cJSON *o, enum dtype dtype, struct err *e)
{
    static const char *const classes[] = {"LlamaForCausalLM", "Qwen2ForCausalLM",
                                          "Qwen3ForCausalLM"};
    cJSON_DeleteItemFromObjectCaseSensitive(o, "quantization_config");
    cJSON_DeleteItemFromObjectCaseSensitive(o, "dtype");
    if (!json_at(o, "architectures")) {
        cJSON *list = cJSON_AddArrayToObject(o, "architectures");
        if (!list || !cJSON_AddItemToArray(list, cJSON_CreateString(classes[s->config.arch])))
            return err_set(e, ERR_NOMEM, "out of memory while writing config.json");
    }
    err_code rc = set_resolved(&s->config, o, e);
    return rc ? rc : set_string(o, "torch_dtype", torch_name(dtype), e);
}

static err_code save_config(const struct student *s, const char *path, enum dtype dtype,
                            struct err *e)
{
    cJSON *o = cJSON_Duplicate(s->source.root, true);
    if (!o)
        return err_set(e, ERR_NOMEM, "out of memory while writing %s", path);
    char *text = NULL;
    err_code rc = set_config(s, o, dtype, e);
    if (!rc && !(text = cJSON_Print(o)))
        rc = err_set(e, ERR_NOMEM, "out of memory while writing %s", path);
    if (!rc)
        rc = file_replace(path, text, strlen(text), e);
    cJSON_free(text);
    cJSON_Delete(o);
    return rc;
}

struct stage {
    float *f32;
    void *out;
};

static err_code write_slot(const struct student *s, const struct student_slot *slot,
                           enum dtype dtype, struct stage *st, struct st_writer *w, struct err *e)
{
    size_t n = (size_t)(slot->shape[0] * slot->shape[1]), size = dtype == DT_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i += STAGE_ELEMS) {
        size_t m = n - i < STAGE_ELEMS ? n - i : STAGE_ELEMS;
        s->device->download(s->device, st->f32, s->params + slot->offset + i, m * sizeof(float));
        if (dtype != DT_F32)
            dtype_from_f32(dtype, st->f32, st->out, m);
        err_code rc = st_write(w, dtype == DT_F32 ? st->f32 : st->out, m * size, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static err_code save_tensors(const struct student *s, const char *path, enum dtype dtype,
                             struct err *e)
{
    struct st_writer *w = NULL;
    struct stage st = {.f32 = mem_new(STAGE_ELEMS, sizeof(float), e),
                       .out = mem_new(STAGE_ELEMS, sizeof(uint16_t), e)};
    err_code rc = st.f32 && st.out ? st_writer_open(&w, path, e) : ERR_NOMEM;
    if (!rc)
        rc = st_add_metadata(w, "format", "pt", e);
    for (int64_t i = 0; i < s->layout.n_slots && !rc; i++) {
        const struct student_slot *slot = &s->layout.slots[i];
        rc = st_add_tensor(w, slot->name, dtype, slot->n_dims, slot->shape, e);
    }
    if (!rc)
        rc = st_begin_data(w, e);
    for (int64_t i = 0; i < s->layout.n_slots && !rc; i++)
        rc = write_slot(s, &s->layout.slots[i], dtype, &st, w, e);
    if (!rc)
        rc = st_commit(w, e);
    st_writer_close(w);
    mem_free(st.f32);
    mem_free(st.out);
    return rc;
}

static err_code copy_tokenizer(const char *from, const char *to, struct err *e)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "generation_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja"};
    err_code rc = ERR_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++) {
        char *src = path_join(from, names[i], e), *dst = path_join(to, names[i], e);
        if (!src || !dst)
            rc = ERR_NOMEM;
        else if (file_exists(src))
            rc = file_copy(src, dst, e);
        mem_free(src);
        mem_free(dst);
    }
    return rc;
}

err_code student_save(struct student *s, const char *dir, enum dtype dtype,
                      const char *tokenizer_dir, struct err *e)
{
    if (dtype != DT_F32 && dtype != DT_BF16 && dtype != DT_F16)
        return err_set(e, ERR_USAGE, "a student is written in f32, bf16 or f16, not in %s",
                       dtype_info(dtype)->name);
    char *config = path_join(dir, "config.json", e);
    char *tensors = path_join(dir, "model.safetensors", e);
    err_code rc = config && tensors ? file_make_dir(dir, e) : ERR_NOMEM;
    if (!rc && tokenizer_dir)
        rc = copy_tokenizer(tokenizer_dir, dir, e);
    if (!rc)
        rc = save_tensors(s, tensors, dtype, e);
    if (!rc)
        rc = save_config(s, config, dtype, e);
    mem_free(config);
    mem_free(tensors);
    return rc;
}

/* ---- hash */

uint64_t student_hash(const struct student *s)
{
    enum { PIECE = 1 << 16, N = STAGE_ELEMS / PIECE };
    const struct student_config *c = &s->config;
    int64_t shape[] = {c->arch,       c->n_layers, c->hidden, c->n_heads,
                       c->n_kv_heads, c->head_dim, c->ffn,    c->n_vocab};
    uint64_t h[N + 1] = {[N] = rng_hash(shape, sizeof shape)};
    float *stage = mem_new(STAGE_ELEMS, sizeof *stage, NULL);
    for (size_t i = 0; stage && i < s->n_params; i += STAGE_ELEMS) {
        size_t n = s->n_params - i < STAGE_ELEMS ? s->n_params - i : STAGE_ELEMS;
        s->device->download(s->device, stage, s->params + i, n * sizeof *stage);
#pragma omp parallel for schedule(static)
        for (size_t p = 0; p < N; p++) {
            size_t at = p * PIECE, m = at >= n ? 0 : n - at < PIECE ? n - at : PIECE;
            h[p] = rng_hash(stage + (m ? at : 0), m * sizeof *stage);
        }
        h[N] = rng_hash(h, sizeof h);
    }
    mem_free(stage);
    return h[N];
}
