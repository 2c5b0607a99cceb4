#include "student/config.h"

#include "core/format/gguf.h"

#include <math.h>
#include <string.h>

enum { MAX_WIDTH = 1 << 20, MAX_LAYERS = 4096, MAX_VOCAB = 1 << 24, MAX_POSITIONS = 1 << 30 };

static const char *const arch_names[] = {"llama", "qwen2", "qwen3"};

const char *student_arch_name(enum student_arch a)
{
    return arch_names[a];
}

static err_code find_arch(const char *where, const char *name, size_t n, enum student_arch *out,
                          struct err *e)
{
    for (size_t i = 0; i < sizeof arch_names / sizeof *arch_names; i++)
        if (strlen(arch_names[i]) == n && !memcmp(arch_names[i], name, n)) {
            *out = (enum student_arch)i;
            return ERR_OK;
        }
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: a model of type \"%.*s\"; a student can be llama, qwen2 or qwen3", where,
                   (int)(n < 80 ? n : 80), name);
}

/* Parameters of one layer and of all, each product and sum checked. */
static bool count_params(const struct student_config *c, uint64_t *total)
{
    uint64_t C = (uint64_t)c->hidden, D = (uint64_t)c->head_dim, F = (uint64_t)c->ffn;
    uint64_t Q = (uint64_t)c->n_heads * D, KV = (uint64_t)c->n_kv_heads * D, n = 0, part;
    bool ok = mem_mul(C, 2 * Q + 2 * KV, &part) && mem_add(n, part, &n) &&
              mem_mul(C, 3 * F, &part) && mem_add(n, part, &n);
    n += 2 * C + (c->qkv_bias ? Q + 2 * KV : 0) + (c->o_bias ? C : 0) +
         (c->mlp_bias ? 2 * F + C : 0) + (c->qk_norm ? 2 * D : 0);
    ok = ok && mem_mul(n, (uint64_t)c->n_layers, &n) &&
         mem_mul(C, (uint64_t)c->n_vocab * (c->tied ? 1 : 2) + 1, &part) && mem_add(n, part, &n);
    *total = n;
    return ok && n < (uint64_t)1 << 46;
}

int64_t student_n_params(const struct student_config *c)
{
    uint64_t n = 0;
    count_params(c, &n);
    return (int64_t)n;
}

static err_code bad(const char *where, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static err_code bad(const char *where, struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_setv(e, ERR_FORMAT, fmt, ap);
    va_end(ap);
    err_context(e, "%s", where);
    return ERR_FORMAT;
}

/* What holds for both sources: how the numbers must fit each other. */
static err_code check(const struct student_config *c, const char *where, struct err *e)
{
    const struct student_rope *r = &c->rope;
    uint64_t n;
    if (c->n_heads % c->n_kv_heads)
        return bad(where, e, "%lld attention heads cannot share %lld key/value heads evenly",
                   (long long)c->n_heads, (long long)c->n_kv_heads);
    if (c->head_dim % 2)
        return bad(where, e, "a head width of %lld is odd; rotary positions need pairs",
                   (long long)c->head_dim);
    if (!count_params(c, &n))
        return bad(where, e, "its sizes multiply to more parameters than any model has");
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return bad(where, e, "a norm epsilon of %g; it should be a small positive number",
                   (double)c->norm_eps);
    if (!(c->init_range > 0 && c->init_range <= 10))
        return bad(where, e, "initializer_range is %g; it should be from 0 to 10", c->init_range);
    if (!(r->theta > 1 && r->theta < 1e18))
        return bad(where, e, "a rope theta of %g; it should be from 1 to 1e18", r->theta);
    if (!(r->factor >= 1e-3 && r->factor <= 1e6))
        return bad(where, e, "a rope scaling factor of %g; it should be from 0.001 to 1e6",
                   r->factor);
    if (!(r->original_max_positions >= 1 && r->original_max_positions <= MAX_POSITIONS))
        return bad(where, e, "rope scaling from an original context of %g positions",
                   r->original_max_positions);
    if (r->type == STUDENT_ROPE_LLAMA3 &&
        !(r->low_freq_factor > 0 && r->high_freq_factor > r->low_freq_factor &&
          r->high_freq_factor < 1e6))
        return bad(where, e, "llama3 rope scaling with low_freq_factor %g and high_freq_factor %g",
                   r->low_freq_factor, r->high_freq_factor);
    if (r->type == STUDENT_ROPE_YARN &&
        !(r->beta_fast > 0 && r->beta_slow > 0 && r->beta_fast < 1e6 && r->beta_slow < 1e6 &&
          fabs(r->attention_factor) < 1e3 && fabs(r->mscale) < 1e3 &&
          fabs(r->mscale_all_dim) < 1e3))
        return bad(where, e,
                   "yarn rope scaling with beta_fast %g, beta_slow %g, attention_factor %g",
                   r->beta_fast, r->beta_slow, r->attention_factor);
    return ERR_OK;
}

/* ---- config.json */

static err_code rope_type(struct student_rope *r, const struct json *j, const char *name,
                          struct err *e)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            r->type = (enum student_rope_type)i;
            return ERR_OK;
        }
    return err_set(
        e, ERR_UNSUPPORTED,
        "%s: rope scaling of type \"%.80s\"; decant knows default, linear, llama3 and yarn",
        j->name, name);
}

/* The object is "rope_parameters" (transformers 5, with theta inside) or "rope_scaling". */
static err_code read_rope(struct student_config *c, const struct json *j, struct err *e)
{
    struct student_rope *r = &c->rope;
    double partial = 1;
    const char *type = "default";
    const cJSON *o = json_at(j->root, "rope_parameters");
    if (!o)
        o = json_at(j->root, "rope_scaling");
    err_code rc = json_opt_num(j, j->root, "rope_theta", &r->theta, e);
    if (!rc)
        rc = json_opt_num(j, j->root, "partial_rotary_factor", &partial, e);
    if (!rc && o && !cJSON_IsObject(o))
        rc = err_set(e, ERR_FORMAT, "%s: \"rope_scaling\" should be an object", j->name);
    if (!rc && o && !(rc = json_opt_str(j, o, "type", &type, e)) &&
        !(rc = json_opt_str(j, o, "rope_type", &type, e)) && !(rc = rope_type(r, j, type, e)) &&
        !(rc = json_opt_num(j, o, "rope_theta", &r->theta, e)))
        rc = json_opt_num(j, o, "partial_rotary_factor", &partial, e);
    if (rc || (partial == 1 && r->type == STUDENT_ROPE_DEFAULT))
        return rc;
    if (partial != 1)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: partial_rotary_factor %g; decant rotates whole heads only", j->name,
                       partial);
    bool llama3 = r->type == STUDENT_ROPE_LLAMA3;
    if ((rc = json_num(j, o, "factor", &r->factor, e)) ||
        (rc = (llama3 ? json_num : json_opt_num)(j, o, "original_max_position_embeddings",
                                                 &r->original_max_positions, e)) ||
        (llama3 && (rc = json_num(j, o, "low_freq_factor", &r->low_freq_factor, e))) ||
        (llama3 && (rc = json_num(j, o, "high_freq_factor", &r->high_freq_factor, e))) ||
        (rc = json_opt_num(j, o, "beta_fast", &r->beta_fast, e)) ||
        (rc = json_opt_num(j, o, "beta_slow", &r->beta_slow, e)) ||
        (rc = json_opt_num(j, o, "attention_factor", &r->attention_factor, e)) ||
        (rc = json_opt_num(j, o, "mscale", &r->mscale, e)) ||
        (rc = json_opt_num(j, o, "mscale_all_dim", &r->mscale_all_dim, e)) ||
        (rc = json_opt_bool(j, o, "truncate", &r->truncate, e)))
        return rc;
    return ERR_OK;
}

/* Things that some checkpoints switch on and that would change what is computed. */
static err_code refuse_unknown(struct student_config *c, const struct json *j, struct err *e)
{
    const char *act = "silu";
    bool window = false;
    err_code rc = json_opt_str(j, j->root, "hidden_act", &act, e);
    if (!rc && strcmp(act, "silu"))
        rc = err_set(e, ERR_UNSUPPORTED, "%s: hidden_act \"%.80s\"; decant knows silu", j->name,
                     act);
    if (!rc)
        rc = json_opt_bool(j, j->root, "use_sliding_window", &window, e);
    if (!rc && window)
        rc = err_set(e, ERR_UNSUPPORTED,
                     "%s: use_sliding_window is on; decant's attention sees the whole document",
                     j->name);
    const cJSON *types = json_at(j->root, "layer_types"), *t;
    cJSON_ArrayForEach(
        t, types) if (!rc && !(cJSON_IsString(t) && !strcmp(t->valuestring, "full_attention"))) rc =
        err_set(e, ERR_UNSUPPORTED, "%s: layer_types has \"%.80s\"; decant knows full_attention",
                j->name, cJSON_IsString(t) ? t->valuestring : "(no string)");
    return rc ? rc : json_opt_num(j, j->root, "attention_dropout", &c->attention_dropout, e);
}

static struct student_config defaults(void)
{
    return (struct student_config){
        .max_positions = 2048,
        .norm_eps = 1e-6f,
        .init_range = 0.02,
        .rope = {.theta = 10000, .factor = 1, .beta_fast = 32, .beta_slow = 1, .truncate = true}};
}

static err_code read_biases(struct student_config *c, const struct json *j, struct err *e)
{
    c->qk_norm = c->arch == STUDENT_QWEN3;
    c->qkv_bias = c->arch == STUDENT_QWEN2; /* always there, and no key says so */
    if (c->arch == STUDENT_QWEN2)
        return ERR_OK;
    err_code rc = json_opt_bool(j, j->root, "attention_bias", &c->qkv_bias, e);
    c->o_bias = c->qkv_bias;
    if (!rc && c->arch == STUDENT_LLAMA)
        rc = json_opt_bool(j, j->root, "mlp_bias", &c->mlp_bias, e);
    return rc;
}

err_code student_config_json(struct student_config *c, const struct json *j, struct err *e)
{
    const cJSON *o = j->root;
    const char *type;
    double eps = 1e-6;
    *c = defaults();
    err_code rc = json_str(j, o, "model_type", &type, e);
    if (rc || (rc = find_arch(j->name, type, strlen(type), &c->arch, e)) ||
        (rc = json_int(j, o, "num_hidden_layers", 1, MAX_LAYERS, &c->n_layers, e)) ||
        (rc = json_int(j, o, "hidden_size", 1, MAX_WIDTH, &c->hidden, e)) ||
        (rc = json_int(j, o, "num_attention_heads", 1, MAX_WIDTH, &c->n_heads, e)) ||
        (rc = json_int(j, o, "intermediate_size", 1, MAX_WIDTH, &c->ffn, e)) ||
        (rc = json_int(j, o, "vocab_size", 1, MAX_VOCAB, &c->n_vocab, e)))
        return rc;
    c->n_kv_heads = c->n_heads;
    c->head_dim = c->arch == STUDENT_QWEN3 ? 128 : c->hidden / c->n_heads;
    if ((rc = json_opt_int(j, o, "num_key_value_heads", 1, MAX_WIDTH, &c->n_kv_heads, e)) ||
        (rc = json_opt_int(j, o, "head_dim", 2, MAX_WIDTH, &c->head_dim, e)) ||
        (rc = json_opt_int(j, o, "max_position_embeddings", 1, MAX_POSITIONS, &c->max_positions,
                           e)) ||
        (rc = json_opt_num(j, o, "rms_norm_eps", &eps, e)) ||
        (rc = json_opt_num(j, o, "initializer_range", &c->init_range, e)) ||
        (rc = json_opt_bool(j, o, "tie_word_embeddings", &c->tied, e)) ||
        (rc = read_biases(c, j, e)) || (rc = refuse_unknown(c, j, e)))
        return rc;
    if (!json_at(o, "head_dim") && c->arch != STUDENT_QWEN3 && c->hidden % c->n_heads)
        return bad(j->name, e,
                   "hidden_size %lld is no multiple of %lld heads and there is no head_dim",
                   (long long)c->hidden, (long long)c->n_heads);
    if (c->head_dim < 2)
        return bad(j->name, e, "a head width of %lld", (long long)c->head_dim);
    c->norm_eps = (float)eps;
    c->rope.original_max_positions = (double)c->max_positions;
    rc = read_rope(c, j, e);
    return rc ? rc : check(c, j->name, e);
}

/* ---- GGUF */

struct gguf_reader {
    const struct gguf *g;
    char arch[32];
    char key[128];
};

static const char *key_of(struct gguf_reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}

static err_code gguf_rope(struct student_config *c, struct gguf_reader *r, struct err *e)
{
    struct student_rope *p = &c->rope;
    const struct gguf *g = r->g;
    int64_t dims = c->head_dim, original = c->max_positions;
    struct gguf_value v;
    double attn_factor = 1;
    err_code rc = gguf_opt_num(g, key_of(r, "rope.freq_base"), &p->theta, e);
    if (rc || (rc = gguf_opt_int(g, key_of(r, "rope.dimension_count"), 1, MAX_WIDTH, &dims, e)))
        return rc;
    if (dims != c->head_dim)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: %s is %lld but a head is %lld wide; decant rotates "
                       "whole heads only",
                       gguf_path(g), r->key, (long long)dims, (long long)c->head_dim);
    p->mode = c->arch == STUDENT_LLAMA ? ROPE_INTERLEAVED : ROPE_HALF;
    if (gguf_find(g, key_of(r, "rope.scaling.type"), &v)) {
        const char *s;
        size_t n;
        if ((rc = gguf_str(g, r->key, &s, &n, e)))
            return rc;
        if (n == 6 && !memcmp(s, "linear", 6))
            p->type = STUDENT_ROPE_LINEAR;
        else if (n == 4 && !memcmp(s, "yarn", 4))
            p->type = STUDENT_ROPE_YARN;
        else if (n != 4 || memcmp(s, "none", 4))
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: rope scaling of type \"%.*s\"; decant knows none, linear and yarn",
                           gguf_path(g), (int)(n < 80 ? n : 80), s);
    }
    if ((rc = gguf_opt_num(g, key_of(r, "rope.scaling.factor"), &p->factor, e)) ||
        (rc = gguf_opt_int(g, key_of(r, "rope.scaling.original_context_length"), 1, MAX_POSITIONS,
                           &original, e)) ||
        (rc = gguf_opt_num(g, key_of(r, "rope.scaling.attn_factor"), &attn_factor, e)) ||
        (rc = gguf_opt_num(g, key_of(r, "rope.scaling.yarn_beta_fast"), &p->beta_fast, e)) ||
        (rc = gguf_opt_num(g, key_of(r, "rope.scaling.yarn_beta_slow"), &p->beta_slow, e)))
        return rc;
    if (p->factor == 0) /* how some writers say "no scaling" */
        p->factor = 1;
    p->original_max_positions = (double)original;
    /* llama.cpp multiplies the factor that it derives by attn_factor */
    if (p->type == STUDENT_ROPE_YARN)
        p->attention_factor = attn_factor * (p->factor > 1 ? 0.1 * log(p->factor) + 1 : 1);
    int64_t i = gguf_tensor_find(g, "rope_freqs.weight");
    if (i < 0)
        return ERR_OK;
    const char *name;
    struct tensor t;
    gguf_tensor_at(g, i, &name, &t, NULL);
    if (t.dtype != DT_F32 || tensor_n(&t) != c->head_dim / 2 || p->type != STUDENT_ROPE_DEFAULT)
        return err_set(e, ERR_FORMAT,
                       "%s: rope_freqs.weight should be %lld float32 values, with no "
                       "other rope scaling",
                       gguf_path(g), (long long)(c->head_dim / 2));
    p->type = STUDENT_ROPE_GGUF;
    p->divisors = t.data;
    for (int64_t d = 0; d < c->head_dim / 2; d++)
        if (!(p->divisors[d] >= 1e-6f && p->divisors[d] <= 1e6f))
            return err_set(e, ERR_FORMAT, "%s: rope_freqs.weight[%lld] is %g", gguf_path(g),
                           (long long)d, (double)p->divisors[d]);
    return ERR_OK;
}

static err_code gguf_sizes(struct student_config *c, struct gguf_reader *r, struct err *e)
{
    const struct gguf *g = r->g;
    double eps;
    err_code rc;
    if ((rc = gguf_int(g, key_of(r, "block_count"), 1, MAX_LAYERS, &c->n_layers, e)) ||
        (rc = gguf_int(g, key_of(r, "embedding_length"), 1, MAX_WIDTH, &c->hidden, e)) ||
        (rc = gguf_int(g, key_of(r, "attention.head_count"), 1, MAX_WIDTH, &c->n_heads, e)) ||
        (rc = gguf_int(g, key_of(r, "feed_forward_length"), 1, MAX_WIDTH, &c->ffn, e)) ||
        (rc = gguf_int(g, key_of(r, "context_length"), 1, MAX_POSITIONS, &c->max_positions, e)) ||
        (rc = gguf_num(g, key_of(r, "attention.layer_norm_rms_epsilon"), &eps, e)))
        return rc;
    c->norm_eps = (float)eps;
    c->n_kv_heads = c->n_heads;
    c->head_dim = c->hidden / c->n_heads;
    if ((rc = gguf_opt_int(g, key_of(r, "attention.head_count_kv"), 1, MAX_WIDTH, &c->n_kv_heads,
                           e)) ||
        (rc = gguf_opt_int(g, key_of(r, "attention.key_length"), 2, MAX_WIDTH, &c->head_dim, e)))
        return rc;
    int64_t value = c->head_dim;
    if ((rc = gguf_opt_int(g, key_of(r, "attention.value_length"), 2, MAX_WIDTH, &value, e)))
        return rc;
    if (value != c->head_dim || c->head_dim < 2)
        return err_set(e, ERR_UNSUPPORTED, "%s: keys %lld wide and values %lld wide", gguf_path(g),
                       (long long)c->head_dim, (long long)value);
    return ERR_OK;
}

err_code student_config_gguf(struct student_config *c, const struct gguf *g, struct err *e)
{
    struct gguf_reader r = {.g = g};
    const char *s;
    size_t n;
    *c = defaults();
    err_code rc = gguf_str(g, "general.architecture", &s, &n, e);
    if (rc || (rc = find_arch(gguf_path(g), s, n, &c->arch, e)))
        return rc;
    snprintf(r.arch, sizeof r.arch, "%s", student_arch_name(c->arch));
    if ((rc = gguf_sizes(c, &r, e)))
        return rc;
    int64_t i = gguf_tensor_find(g, "token_embd.weight");
    if (i < 0)
        return err_set(e, ERR_NOTFOUND, "%s: there is no token_embd.weight", gguf_path(g));
    struct tensor t;
    gguf_tensor_at(g, i, &s, &t, NULL);
    if (t.n_dims != 2 || t.shape[0] < 1 || t.shape[0] > MAX_VOCAB)
        return err_set(e, ERR_FORMAT, "%s: token_embd.weight has no usable shape", gguf_path(g));
    c->n_vocab = t.shape[0];
    c->tied = gguf_tensor_find(g, "output.weight") < 0;
    c->qkv_bias = gguf_tensor_find(g, "blk.0.attn_q.bias") >= 0;
    c->o_bias = gguf_tensor_find(g, "blk.0.attn_output.bias") >= 0;
    c->mlp_bias = gguf_tensor_find(g, "blk.0.ffn_gate.bias") >= 0;
    c->qk_norm = c->arch == STUDENT_QWEN3;
    rc = gguf_rope(c, &r, e);
    return rc ? rc : check(c, gguf_path(g), e);
}

err_code student_config_weights(struct student_config *c, const struct weights *w, struct err *e)
{
    if (weights_is_gguf(w))
        return student_config_gguf(c, weights_gguf(w), e);
    if (!weights_config(w))
        return err_set(e, ERR_NOTFOUND,
                       "%s: there is no config.json beside the tensors; give the model's directory",
                       weights_path(w));
    return student_config_json(c, weights_config(w), e);
}

/* ---- rotary frequencies */

static void yarn_freqs(const struct student_config *c, float *inv_freq, float *scale)
{
    const struct student_rope *r = &c->rope;
    double n = (double)c->head_dim, ends[2], beta[2] = {r->beta_fast, r->beta_slow};
    for (int i = 0; i < 2; i++)
        ends[i] = n * log(r->original_max_positions / (beta[i] * 2 * M_PI)) / (2 * log(r->theta));
    double low = fmax(r->truncate ? floor(ends[0]) : ends[0], 0);
    double high = fmin(r->truncate ? ceil(ends[1]) : ends[1], n - 1);
    if (low == high)
        high += 0.001;
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
        inv_freq[i] = (float)(inv_freq[i] * (ramp / r->factor + (1 - ramp)));
    }
    double a = r->mscale, b = r->mscale_all_dim, ln = r->factor > 1 ? 0.1 * log(r->factor) : 0;
    double derived = a != 0 && b != 0 ? (a * ln + 1) / (b * ln + 1) : ln + 1;
    *scale = (float)(r->attention_factor != 0 ? r->attention_factor : derived);
}

static double llama3_freq(const struct student_rope *r, double f)
{
    double wavelen = 2 * M_PI / f, n = r->original_max_positions;
    if (wavelen > n / r->low_freq_factor)
        return f / r->factor;
    if (wavelen < n / r->high_freq_factor)
        return f;
    double smooth = (n / wavelen - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - smooth) * f / r->factor + smooth * f;
}

void student_rope_freqs(const struct student_config *c, float *inv_freq, float *scale)
{
    const struct student_rope *r = &c->rope;
    *scale = 1;
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        double f = pow(r->theta, -2.0 * (double)i / (double)c->head_dim);
        if (r->type == STUDENT_ROPE_LINEAR)
            f /= r->factor;
        else if (r->type == STUDENT_ROPE_LLAMA3)
            f = llama3_freq(r, f);
        else if (r->type == STUDENT_ROPE_GGUF)
            f /= (double)r->divisors[i];
        inv_freq[i] = (float)f;
    }
    if (r->type == STUDENT_ROPE_YARN)
        yarn_freqs(c, inv_freq, scale);
}
