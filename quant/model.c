#include "quant/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 1 << 20, MAX_LAYERS = 4096, MAX_VOCAB = 1 << 24, MAX_CONTEXT = 1 << 30 };

static const char *const arch_names[] = {"llama", "qwen2", "qwen3"};

/* ---- config.json */

static err_code read_arch(struct model_info *m, const struct json *j, struct err *e)
{
    const char *type;
    err_code rc = json_str(j, j->root, "model_type", &type, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof arch_names / sizeof *arch_names; i++)
        if (!strcmp(type, arch_names[i])) {
            m->arch = (enum model_arch)i;
            m->arch_name = arch_names[i];
            return ERR_OK;
        }
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: a model of type \"%.80s\"; decant exports llama, qwen2 and qwen3", j->name,
                   type);
}

static err_code read_yarn(struct model_info *m, const struct json *j, const cJSON *o, struct err *e)
{
    double mscale = 0, mscale_all = 0;
    bool truncate = true;
    err_code rc = json_opt_num(j, o, "attention_factor", &m->rope_attention, e);
    if (!rc)
        rc = json_opt_num(j, o, "beta_fast", &m->rope_beta_fast, e);
    if (!rc)
        rc = json_opt_num(j, o, "beta_slow", &m->rope_beta_slow, e);
    if (!rc)
        rc = json_opt_num(j, o, "mscale", &mscale, e);
    if (!rc)
        rc = json_opt_num(j, o, "mscale_all_dim", &mscale_all, e);
    if (!rc)
        rc = json_opt_bool(j, o, "truncate", &truncate, e);
    if (!rc && (mscale != 0 || mscale_all != 0 || !truncate))
        rc = err_set(
            e, ERR_UNSUPPORTED,
            "%s: yarn with mscale or without truncation; llama.cpp has no such thing for %s",
            j->name, m->arch_name);
    return rc;
}

static err_code read_llama3(struct model_info *m, const struct json *j, const cJSON *o,
                            struct err *e)
{
    if (m->arch != MODEL_LLAMA)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: llama3 rope scaling; llama.cpp reads it for llama alone, not %s",
                       j->name, m->arch_name);
    err_code rc = json_num(j, o, "low_freq_factor", &m->rope_low, e);
    if (!rc)
        rc = json_num(j, o, "high_freq_factor", &m->rope_high, e);
    if (!rc)
        rc = json_num(j, o, "original_max_position_embeddings", &m->rope_original, e);
    if (!rc && !(m->rope_low > 0 && m->rope_high > m->rope_low && m->rope_high < 1e6))
        rc = err_set(e, ERR_FORMAT,
                     "%s: llama3 rope scaling with low_freq_factor %g and high_freq_factor %g",
                     j->name, m->rope_low, m->rope_high);
    return rc;
}

/* The object is "rope_parameters" (transformers 5, with theta inside) or "rope_scaling". */
static err_code read_rope(struct model_info *m, const struct json *j, struct err *e)
{
    static const char *const types[] = {"default", "linear", "llama3", "yarn"};
    const char *type = "default";
    double partial = 1;
    const cJSON *o = json_at(j->root, "rope_parameters");
    if (!o)
        o = json_at(j->root, "rope_scaling");
    err_code rc = json_opt_num(j, j->root, "rope_theta", &m->rope_theta, e);
    if (!rc)
        rc = json_opt_num(j, j->root, "partial_rotary_factor", &partial, e);
    if (!rc && o && !cJSON_IsObject(o))
        rc = err_set(e, ERR_FORMAT, "%s: \"rope_scaling\" should be an object", j->name);
    if (!rc && o && !(rc = json_opt_str(j, o, "type", &type, e)) &&
        !(rc = json_opt_str(j, o, "rope_type", &type, e)) &&
        !(rc = json_opt_num(j, o, "rope_theta", &m->rope_theta, e)))
        rc = json_opt_num(j, o, "partial_rotary_factor", &partial, e);
    if (!rc && partial != 1)
        rc =
            err_set(e, ERR_UNSUPPORTED,
                    "%s: partial_rotary_factor %g; only whole heads are rotated", j->name, partial);
    if (rc)
        return rc;
    int i = 0;
    while (i < 4 && strcmp(type, types[i]))
        i++;
    if (i == 4)
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s: rope scaling of type \"%.80s\"; decant exports default, linear, llama3 and yarn",
            j->name, type);
    m->rope = (enum model_rope)i;
    if (m->rope == MODEL_ROPE_DEFAULT)
        return ERR_OK;
    m->rope_original = (double)m->context;
    if ((rc = json_num(j, o, "factor", &m->rope_factor, e)) ||
        (rc = json_opt_num(j, o, "original_max_position_embeddings", &m->rope_original, e)))
        return rc;
    if (!(m->rope_factor >= 1e-3 && m->rope_factor <= 1e6) ||
        !(m->rope_original >= 1 && m->rope_original <= MAX_CONTEXT))
        return err_set(e, ERR_FORMAT, "%s: rope scaling by %g from a context of %g", j->name,
                       m->rope_factor, m->rope_original);
    return m->rope == MODEL_ROPE_LLAMA3 ? read_llama3(m, j, o, e)
           : m->rope == MODEL_ROPE_YARN ? read_yarn(m, j, o, e)
                                        : ERR_OK;
}

/* Numbers that no model runs with: a file that holds them would be refused, or worse, run. */
static err_code check_numbers(const struct model_info *m, const struct json *j, struct err *e)
{
    const struct {
        const char *what;
        double value, above, below;
    } numbers[] = {{"rms_norm_eps", m->norm_eps, 0, 1},
                   {"rope_theta", m->rope_theta, 1, 1e18},
                   {"beta_fast", m->rope_beta_fast, 0, 1e6},
                   {"beta_slow", m->rope_beta_slow, 0, 1e6},
                   {"attention_factor", m->rope_attention, -1e3, 1e3}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(numbers[i].value > numbers[i].above && numbers[i].value < numbers[i].below))
            return err_set(e, ERR_FORMAT, "%s: \"%s\" is %g; it should be from %g to %g", j->name,
                           numbers[i].what, numbers[i].value, numbers[i].above, numbers[i].below);
    return ERR_OK;
}

/* Settings that change what is computed and that the file could not tell of. */
static err_code refuse_unknown(const struct json *j, struct err *e)
{
    const char *act = "silu";
    bool window = false;
    err_code rc = json_opt_str(j, j->root, "hidden_act", &act, e);
    if (!rc && strcmp(act, "silu"))
        rc = err_set(e, ERR_UNSUPPORTED, "%s: hidden_act \"%.80s\"; llama.cpp takes silu for it",
                     j->name, act);
    if (!rc)
        rc = json_opt_bool(j, j->root, "use_sliding_window", &window, e);
    if (!rc && window)
        rc = err_set(e, ERR_UNSUPPORTED,
                     "%s: use_sliding_window is on; llama.cpp would attend to everything", j->name);
    const cJSON *types = json_at(j->root, "layer_types");
    for (const cJSON *t = types ? types->child : NULL; t && !rc; t = t->next)
        if (!cJSON_IsString(t) || strcmp(t->valuestring, "full_attention"))
            rc = err_set(e, ERR_UNSUPPORTED,
                         "%s: layer_types has \"%.80s\"; llama.cpp would attend to everything",
                         j->name, cJSON_IsString(t) ? t->valuestring : "(no string)");
    return rc;
}

/* A token id, or -1. */
static int64_t token_id(const struct json *j, const char *key)
{
    const cJSON *v = json_at(j->root, key);
    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < MAX_VOCAB
               ? (int64_t)v->valuedouble
               : -1;
}

static err_code read_sizes(struct model_info *m, const struct json *j, struct err *e)
{
    const cJSON *o = j->root;
    err_code rc;
    if ((rc = json_int(j, o, "num_hidden_layers", 1, MAX_LAYERS, &m->n_layers, e)) ||
        (rc = json_int(j, o, "hidden_size", 1, MAX_WIDTH, &m->hidden, e)) ||
        (rc = json_int(j, o, "num_attention_heads", 1, MAX_WIDTH, &m->n_heads, e)) ||
        (rc = json_int(j, o, "intermediate_size", 1, MAX_WIDTH, &m->ffn, e)) ||
        (rc = json_int(j, o, "vocab_size", 1, MAX_VOCAB, &m->n_vocab, e)))
        return rc;
    m->n_kv_heads = m->n_heads;
    m->head_dim = m->arch == MODEL_QWEN3 ? 128 : m->hidden / m->n_heads;
    if ((rc = json_opt_int(j, o, "num_key_value_heads", 1, MAX_WIDTH, &m->n_kv_heads, e)) ||
        (rc = json_opt_int(j, o, "head_dim", 2, MAX_WIDTH, &m->head_dim, e)) ||
        (rc = json_opt_int(j, o, "max_position_embeddings", 1, MAX_CONTEXT, &m->context, e)) ||
        (rc = json_opt_num(j, o, "rms_norm_eps", &m->norm_eps, e)) ||
        (rc = json_opt_bool(j, o, "tie_word_embeddings", &m->tied, e)))
        return rc;
    if (m->n_heads % m->n_kv_heads || m->head_dim < 2 || m->head_dim % 2)
        return err_set(
            e, ERR_FORMAT, "%s: %lld heads of %lld over %lld key/value heads do not fit together",
            j->name, (long long)m->n_heads, (long long)m->head_dim, (long long)m->n_kv_heads);
    return ERR_OK;
}

err_code model_info_read(struct model_info *m, const struct weights *w, struct err *e)
{
    const struct json *j = weights_config(w);
    if (weights_is_gguf(w))
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s: a GGUF file is what an export writes; give the HF directory that it was "
            "made from (a 4-bit file cannot be encoded again without further loss)",
            weights_path(w));
    if (!j)
        return err_set(e, ERR_NOTFOUND,
                       "%s: there is no config.json beside the tensors; give the model's directory",
                       weights_path(w));
    *m = (struct model_info){.context = 2048,
                             .norm_eps = 1e-6,
                             .rope_theta = 10000,
                             .rope_factor = 1,
                             .rope_beta_fast = 32,
                             .rope_beta_slow = 1};
    err_code rc = read_arch(m, j, e);
    if (!rc)
        rc = read_sizes(m, j, e);
    if (!rc)
        rc = read_rope(m, j, e);
    if (!rc)
        rc = check_numbers(m, j, e);
    if (!rc)
        rc = refuse_unknown(j, e);
    m->bos = token_id(j, "bos_token_id");
    return rc;
}

/* ---- tensors */

enum { IN_LLAMA = 1, IN_QWEN2 = 2, IN_QWEN3 = 4, IN_ALL = 7 };
enum size { NONE, HIDDEN, HEADS, KV_HEADS, FFN, VOCAB, HEAD_DIM };

/* A place for a tensor. rows NONE: one-dimensional. */
struct place {
    const char *hf, *gguf;
    enum size rows, cols;
    unsigned archs;
    bool optional, permuted;
};
static const struct place layer_places[] = {
    {"input_layernorm.weight", "attn_norm.weight", NONE, HIDDEN, IN_ALL, false, false},
    {"self_attn.q_proj.weight", "attn_q.weight", HEADS, HIDDEN, IN_ALL, false, true},
    {"self_attn.q_proj.bias", "attn_q.bias", NONE, HEADS, IN_LLAMA, true, true},
    {"self_attn.q_proj.bias", "attn_q.bias", NONE, HEADS, IN_QWEN2, false, false},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", NONE, HEAD_DIM, IN_QWEN3, false, false},
    {"self_attn.k_proj.weight", "attn_k.weight", KV_HEADS, HIDDEN, IN_ALL, false, true},
    {"self_attn.k_proj.bias", "attn_k.bias", NONE, KV_HEADS, IN_LLAMA, true, true},
    {"self_attn.k_proj.bias", "attn_k.bias", NONE, KV_HEADS, IN_QWEN2, false, false},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", NONE, HEAD_DIM, IN_QWEN3, false, false},
    {"self_attn.v_proj.weight", "attn_v.weight", KV_HEADS, HIDDEN, IN_ALL, false, false},
    {"self_attn.v_proj.bias", "attn_v.bias", NONE, KV_HEADS, IN_LLAMA, true, false},
    {"self_attn.v_proj.bias", "attn_v.bias", NONE, KV_HEADS, IN_QWEN2, false, false},
    {"self_attn.o_proj.weight", "attn_output.weight", HIDDEN, HEADS, IN_ALL, false, false},
    {"self_attn.o_proj.bias", "attn_output.bias", NONE, HIDDEN, IN_LLAMA, true, false},
    {"post_attention_layernorm.weight", "ffn_norm.weight", NONE, HIDDEN, IN_ALL, false, false},
    {"mlp.gate_proj.weight", "ffn_gate.weight", FFN, HIDDEN, IN_ALL, false, false},
    {"mlp.gate_proj.bias", "ffn_gate.bias", NONE, FFN, IN_LLAMA, true, false},
    {"mlp.up_proj.weight", "ffn_up.weight", FFN, HIDDEN, IN_ALL, false, false},
    {"mlp.up_proj.bias", "ffn_up.bias", NONE, FFN, IN_LLAMA, true, false},
    {"mlp.down_proj.weight", "ffn_down.weight", HIDDEN, FFN, IN_ALL, false, false},
    {"mlp.down_proj.bias", "ffn_down.bias", NONE, HIDDEN, IN_LLAMA, true, false},
};
static const struct place embed = {
    "model.embed_tokens.weight", "token_embd.weight", VOCAB, HIDDEN, IN_ALL, false, false};
static const struct place last_norm = {
    "model.norm.weight", "output_norm.weight", NONE, HIDDEN, IN_ALL, false, false};
static const struct place head = {"lm_head.weight", "output.weight", VOCAB, HIDDEN,
                                  IN_ALL,           false,           false};

static int64_t size_of(const struct model_info *m, enum size s)
{
    switch (s) {
    case HIDDEN:
        return m->hidden;
    case HEADS:
        return m->n_heads * m->head_dim;
    case KV_HEADS:
        return m->n_kv_heads * m->head_dim;
    case FFN:
        return m->ffn;
    case VOCAB:
        return m->n_vocab;
    case HEAD_DIM:
        return m->head_dim;
    case NONE:
        break;
    }
    return 0;
}

static err_code list_add(struct model_list *l, struct model_tensor **out, struct err *e)
{
    if (l->n == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 64;
        err_code rc = mem_grow((void **)&l->items, (size_t)cap, sizeof *l->items, e);
        if (rc)
            return rc;
        l->cap = cap;
    }
    *out = &l->items[l->n++];
    memset(*out, 0, sizeof **out);
    return ERR_OK;
}

static err_code add_place(struct model_list *l, const struct model_info *m, const struct weights *w,
                          const struct place *p, int layer, struct err *e)
{
    char hf[128];
    struct model_tensor t = {.layer = layer};
    if (!(p->archs & 1U << m->arch))
        return ERR_OK;
    if (layer < 0) {
        snprintf(hf, sizeof hf, "%s", p->hf);
        snprintf(t.name, sizeof t.name, "%s", p->gguf);
    } else {
        snprintf(hf, sizeof hf, "model.layers.%d.%s", layer, p->hf);
        snprintf(t.name, sizeof t.name, "blk.%d.%s", layer, p->gguf);
    }
    if (p->optional && !weights_has(w, hf))
        return ERR_OK;
    int64_t cols = size_of(m, p->cols), shape[2] = {size_of(m, p->rows), cols};
    err_code rc = p->rows == NONE ? weights_get(w, hf, 1, &cols, &t.src, e)
                                  : weights_get(w, hf, 2, shape, &t.src, e);
    struct model_tensor *item;
    if (rc || (rc = list_add(l, &item, e)))
        return rc;
    t.head_rows = p->permuted && m->arch == MODEL_LLAMA ? m->head_dim : 0;
    *item = t;
    return ERR_OK;
}

/* What each rotary frequency is divided by (Llama 3.1, transformers' modeling_rope_utils.py): 1 for
 * short wavelengths, the factor for long ones, a ramp between. */
static err_code add_rope_freqs(struct model_list *l, const struct model_info *m, struct err *e)
{
    int64_t n = m->head_dim / 2;
    struct model_tensor *t;
    err_code rc = list_add(l, &t, e);
    if (rc)
        return rc;
    if (!(l->rope_freqs = mem_new((size_t)n, sizeof *l->rope_freqs, e)))
        return ERR_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        double wave = 2 * M_PI * pow(m->rope_theta, 2.0 * (double)i / (double)m->head_dim);
        double smooth = (m->rope_original / wave - m->rope_low) / (m->rope_high - m->rope_low);
        double divisor = smooth >= 1   ? 1
                         : smooth <= 0 ? m->rope_factor
                                       : 1 / ((1 - smooth) / m->rope_factor + smooth);
        l->rope_freqs[i] = (float)divisor;
    }
    snprintf(t->name, sizeof t->name, "rope_freqs.weight");
    t->src = tensor_1d(DT_F32, l->rope_freqs, n);
    t->layer = -1;
    return ERR_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static int by_address(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return x < y ? -1 : x > y;
}

/* Every tensor of the source must have found its place, but for the head's copy of a tied model,
 * FP8's scales, and the frequencies that old checkpoints carry and every program computes. */
static err_code check_all_placed(const struct model_list *l, const struct model_info *m,
                                 const struct weights *w, struct err *e)
{
    const void **placed = mem_new((size_t)l->n, sizeof *placed, e);
    if (!placed)
        return ERR_NOMEM;
    for (int64_t i = 0; i < l->n; i++)
        placed[i] = l->items[i].src.data;
    qsort(placed, (size_t)l->n, sizeof *placed, by_address);
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < weights_count(w) && !rc; i++) {
        const char *name;
        struct tensor t;
        weights_at(w, i, &name, &t);
        const void *data = t.data;
        if (!(m->tied && !strcmp(name, "lm_head.weight")) &&
            !ends_with(name, ".weight_scale_inv") && !ends_with(name, ".rotary_emb.inv_freq") &&
            !bsearch(&data, placed, (size_t)l->n, sizeof *placed, by_address))
            rc = err_set(e, ERR_UNSUPPORTED,
                         "%s: tensor \"%s\" has no place in a %s model of %lld layers",
                         weights_path(w), name, m->arch_name, (long long)m->n_layers);
    }
    mem_free(placed);
    return rc;
}

err_code model_list_build(struct model_list *l, const struct model_info *m, const struct weights *w,
                          struct err *e)
{
    err_code rc = add_place(l, m, w, &embed, -1, e);
    for (int i = 0; i < m->n_layers && !rc; i++)
        for (size_t p = 0; p < sizeof layer_places / sizeof *layer_places && !rc; p++)
            rc = add_place(l, m, w, &layer_places[p], i, e);
    if (!rc)
        rc = add_place(l, m, w, &last_norm, -1, e);
    if (!rc && !m->tied)
        rc = add_place(l, m, w, &head, -1, e);
    if (!rc)
        rc = check_all_placed(l, m, w, e);
    if (!rc && m->rope == MODEL_ROPE_LLAMA3)
        rc = add_rope_freqs(l, m, e);
    for (int64_t i = 0; i < l->n && !rc; i++)
        l->n_params += (uint64_t)tensor_n(&l->items[i].src);
    return rc;
}

void model_list_dispose(struct model_list *l)
{
    mem_free(l->items);
    mem_free(l->rope_freqs);
    memset(l, 0, sizeof *l);
}

int64_t model_source_row(const struct model_tensor *t, int64_t i)
{
    if (!t->head_rows)
        return i;
    int64_t in_head = i % t->head_rows;
    return i - in_head + in_head % 2 * (t->head_rows / 2) + in_head / 2;
}

/* ---- metadata */

struct keys {
    struct gguf_writer *g;
    const char *arch;
    char key[128];
};

static const char *key_of(struct keys *k, const char *name)
{
    snprintf(k->key, sizeof k->key, "%s.%s", k->arch, name);
    return k->key;
}

static err_code add_rope(struct keys *k, const struct model_info *m, struct err *e)
{
    struct gguf_writer *g = k->g;
    bool yarn = m->rope == MODEL_ROPE_YARN;
    err_code rc = gguf_add_f32(g, key_of(k, "rope.freq_base"), (float)m->rope_theta, e);
    if (rc || (m->rope != MODEL_ROPE_LINEAR && !yarn))
        return rc; /* llama3's scaling stands in rope_freqs.weight */
    if ((rc = gguf_add_str(g, key_of(k, "rope.scaling.type"), yarn ? "yarn" : "linear", e)) ||
        (rc = gguf_add_f32(g, key_of(k, "rope.scaling.factor"), (float)m->rope_factor, e)) || !yarn)
        return rc;
    rc = gguf_add_u32(g, key_of(k, "rope.scaling.original_context_length"),
                      (uint32_t)m->rope_original, e);
    if (!rc)
        rc = gguf_add_f32(g, key_of(k, "rope.scaling.yarn_beta_fast"), (float)m->rope_beta_fast, e);
    if (!rc)
        rc = gguf_add_f32(g, key_of(k, "rope.scaling.yarn_beta_slow"), (float)m->rope_beta_slow, e);
    if (rc || m->rope_attention == 0)
        return rc;
    /* llama.cpp multiplies what it derives from the factor by this */
    double derived = m->rope_factor > 1 ? 0.1 * log(m->rope_factor) + 1 : 1;
    return gguf_add_f32(g, key_of(k, "rope.scaling.attn_factor"),
                        (float)(m->rope_attention / derived), e);
}

/* "7.6B", "14B": two digits or more, as gguf-py's utility.py writes it. */
static void size_label(char label[24], uint64_t n_params)
{
    static const char units[] = "KMBT";
    double n = (double)n_params * 1e-3;
    int i = 0;
    for (; n > 1e3 && i < 3; i++)
        n *= 1e-3;
    snprintf(label, 24, "%.*f%c", n < 9.5 ? 1 : 0, n, units[i]);
}

err_code model_add_metadata(struct gguf_writer *g, const struct model_info *m, const char *name,
                            uint64_t n_params, int file_type, struct err *e)
{
    char label[24];
    struct keys k = {.g = g, .arch = m->arch_name};
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"context_length", m->context},        {"embedding_length", m->hidden},
        {"block_count", m->n_layers},          {"feed_forward_length", m->ffn},
        {"attention.head_count", m->n_heads},  {"attention.head_count_kv", m->n_kv_heads},
        {"attention.key_length", m->head_dim}, {"attention.value_length", m->head_dim},
        {"rope.dimension_count", m->head_dim}, {"vocab_size", m->n_vocab},
    };
    err_code rc;
    size_label(label, n_params);
    if ((rc = gguf_add_str(g, "general.architecture", m->arch_name, e)) ||
        (rc = gguf_add_str(g, "general.type", "model", e)) ||
        (rc = gguf_add_str(g, "general.name", name, e)) ||
        (rc = gguf_add_str(g, "general.size_label", label, e)) ||
        (rc = gguf_add_u32(g, "general.file_type", (uint32_t)file_type, e)) ||
        (rc = gguf_add_u32(g, "general.quantization_version", 2, e)))
        return rc;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !rc; i++)
        rc = gguf_add_u32(g, key_of(&k, numbers[i].key), (uint32_t)numbers[i].value, e);
    if (!rc)
        rc = gguf_add_f32(g, key_of(&k, "attention.layer_norm_rms_epsilon"), (float)m->norm_eps, e);
    return rc ? rc : add_rope(&k, m, e);
}
