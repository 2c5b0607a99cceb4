#include "teacher/config.h"

#include "core/base/log.h"
#include "core/tensor/device.h"

#include <math.h>
#include <string.h>

/* Ranges: far above any model, and small enough that no product of a few of them overflows 64
 * bits. Real memory is bounded by the tensors, which must be in the files with these shapes. */
enum { MAX_WIDTH = 1 << 20, MAX_HEADS = 1 << 12, MAX_LAYERS = 1 << 12 };

static err_code unsupported(const struct json *j, const char *key, const char *what, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "%s: %s: %s is not supported", j->name, key, what);
}

static err_code bad(const struct json *j, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s", j->name, what);
}

struct int_key {
    const char *key;
    int64_t min, max, *out;
};

static err_code read_ints(const struct json *j, const struct int_key *keys, size_t n, struct err *e)
{
    err_code rc = ERR_OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = json_int(j, j->root, keys[i].key, keys[i].min, keys[i].max, keys[i].out, e);
    return rc;
}

/* A key that must be absent, null, or this boolean. */
static err_code expect_bool(const struct json *j, const char *key, bool want, struct err *e)
{
    bool v = want;
    err_code rc = json_opt_bool(j, j->root, key, &v, e);
    if (!rc && v != want)
        rc = unsupported(j, key, v ? "true" : "false", e);
    return rc;
}

static err_code read_arch(struct teacher_config *c, const struct json *j, struct err *e)
{
    const char *type, *act = "silu", *quant = "fp8", *fmt = "e4m3";
    err_code rc = json_str(j, j->root, "model_type", &type, e);
    if (rc)
        return rc;
    if (!strcmp(type, "deepseek_v3"))
        c->arch = "deepseek_v3";
    else if (!strcmp(type, "deepseek_v2"))
        c->arch = "deepseek_v2";
    else
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: model_type \"%s\" is no teacher that runs here; known: deepseek_v3, "
                       "deepseek_v2",
                       j->name, type);
    if ((rc = json_opt_str(j, j->root, "hidden_act", &act, e)) ||
        (rc = json_opt_str(j, j->root, "quantization_config.quant_method", &quant, e)) ||
        (rc = json_opt_str(j, j->root, "quantization_config.fmt", &fmt, e)) ||
        (rc = json_opt_bool(j, j->root, "attention_bias", &c->attention_bias, e)) ||
        (rc = expect_bool(j, "mlp_bias", false, e)))
        return rc;
    if (strcmp(act, "silu"))
        return unsupported(j, "hidden_act", act, e);
    if (strcmp(quant, "fp8"))
        return unsupported(j, "quantization_config.quant_method", quant, e);
    if (strcmp(fmt, "e4m3"))
        return unsupported(j, "quantization_config.fmt", fmt, e);
    return ERR_OK;
}

static err_code read_model(struct teacher_config *c, const struct json *j, struct err *e)
{
    double eps = 1e-6;
    int64_t n_kv_heads;
    const struct int_key keys[] = {
        {"vocab_size", 1, 1 << 26, &c->n_vocab},
        {"hidden_size", 1, MAX_WIDTH, &c->n_hidden},
        {"num_hidden_layers", 1, MAX_LAYERS, &c->n_layers},
        {"num_attention_heads", 1, MAX_HEADS, &c->n_heads},
        {"kv_lora_rank", 1, MAX_WIDTH, &c->kv_rank},
        {"qk_nope_head_dim", 1, TEACHER_MAX_HEAD_WIDTH, &c->d_nope},
        {"qk_rope_head_dim", 2, TEACHER_MAX_HEAD_WIDTH, &c->d_rope},
        {"v_head_dim", 1, TEACHER_MAX_HEAD_WIDTH, &c->d_v},
        {"max_position_embeddings", 1, 1 << 30, &c->max_context},
        {"intermediate_size", 1, MAX_WIDTH, &c->n_ff},
    };
    err_code rc = read_ints(j, keys, sizeof keys / sizeof *keys, e);
    if (rc)
        return rc;
    n_kv_heads = c->n_heads;
    c->rope_interleaved = true;
    if ((rc = json_opt_int(j, j->root, "q_lora_rank", 1, MAX_WIDTH, &c->q_rank, e)) ||
        (rc = json_opt_int(j, j->root, "num_key_value_heads", 1, MAX_HEADS, &n_kv_heads, e)) ||
        (rc = json_opt_int(j, j->root, "num_nextn_predict_layers", 0, 16, &c->n_mtp, e)) ||
        (rc = json_opt_bool(j, j->root, "tie_word_embeddings", &c->tied, e)) ||
        (rc = json_opt_bool(j, j->root, "rope_interleave", &c->rope_interleaved, e)) ||
        (rc = json_opt_num(j, j->root, "rms_norm_eps", &eps, e)))
        return rc;
    if (n_kv_heads != c->n_heads)
        return bad(j, "num_key_value_heads must equal num_attention_heads (latent attention)", e);
    if (c->d_rope % 2)
        return bad(j, "qk_rope_head_dim must be even", e);
    if (!(eps > 0 && eps < 1))
        return bad(j, "rms_norm_eps must be in (0, 1)", e);
    c->norm_eps = (float)eps;
    return ERR_OK;
}

/* Which experts a token may go to, and by which scores. */
static err_code read_method(struct teacher_config *c, const struct json *j, struct err *e)
{
    bool v3 = !strcmp(c->arch, "deepseek_v3"), grouped;
    const char *score = v3 ? "sigmoid" : "softmax", *method = v3 ? "noaux_tc" : "greedy";
    err_code rc = json_opt_str(j, j->root, "scoring_func", &score, e);
    if (rc || (rc = json_opt_str(j, j->root, "topk_method", &method, e)))
        return rc;
    if (strcmp(score, "sigmoid") && strcmp(score, "softmax"))
        return unsupported(j, "scoring_func", score, e);
    c->sigmoid = !strcmp(score, "sigmoid");
    c->noaux = !strcmp(method, "noaux_tc");
    grouped = c->noaux || !strcmp(method, "group_limited_greedy");
    if (!grouped && strcmp(method, "greedy"))
        return unsupported(j, "topk_method", method, e);
    if (!grouped)
        c->n_group = c->topk_group = 1;
    return ERR_OK;
}

static err_code check_groups(const struct teacher_config *c, const struct json *j, struct err *e)
{
    if (c->n_experts % c->n_group)
        return bad(j, "n_routed_experts must be a multiple of n_group", e);
    if (c->topk_group > c->n_group)
        return bad(j, "topk_group must not exceed n_group", e);
    if (c->top_k > c->n_experts / c->n_group * c->topk_group)
        return bad(j, "num_experts_per_tok exceeds the experts of topk_group groups", e);
    if (c->noaux && c->n_group > 1 && c->n_experts / c->n_group < 2)
        return bad(j, "topk_method noaux_tc needs groups of two experts or more", e);
    return ERR_OK;
}

static err_code read_moe(struct teacher_config *c, const struct json *j, struct err *e)
{
    bool v3 = !strcmp(c->arch, "deepseek_v3");
    err_code rc;
    int64_t freq = 1;
    double scale = v3 ? 2.5 : 1;
    const struct int_key keys[] = {
        {"n_routed_experts", 1, ROUTE_MAX_EXPERTS, &c->n_experts},
        {"num_experts_per_tok", 1, ROUTE_MAX_EXPERTS, &c->top_k},
        {"moe_intermediate_size", 1, MAX_WIDTH, &c->n_expert_ff},
    };
    c->n_group = c->topk_group = 1;
    c->norm_topk = v3;
    if ((rc = read_ints(j, keys, sizeof keys / sizeof *keys, e)) ||
        (rc = json_opt_int(j, j->root, "n_shared_experts", 0, 1 << 10, &c->n_shared, e)) ||
        (rc = json_opt_int(j, j->root, "n_group", 1, 1 << 16, &c->n_group, e)) ||
        (rc = json_opt_int(j, j->root, "topk_group", 1, 1 << 16, &c->topk_group, e)) ||
        (rc = json_opt_bool(j, j->root, "norm_topk_prob", &c->norm_topk, e)) ||
        (rc = json_opt_int(j, j->root, "moe_layer_freq", 1, MAX_LAYERS, &freq, e)) ||
        (rc = json_opt_num(j, j->root, "routed_scaling_factor", &scale, e)) ||
        (rc = read_method(c, j, e)) || (rc = check_groups(c, j, e)))
        return rc;
    if (freq != 1)
        return unsupported(j, "moe_layer_freq", "any value but 1", e);
    if (!(fabs(scale) > 0 && fabs(scale) < 1e6))
        return bad(j, "routed_scaling_factor is out of range", e);
    c->routed_scale = (float)scale;
    if (!v3 && c->norm_topk) { /* one or the other: config.h */
        c->norm_topk = c->top_k > 1;
        c->routed_scale = c->norm_topk ? 1 : c->routed_scale;
        if (scale != 1 && c->norm_topk)
            log_warn("%s: norm_topk_prob and a routed_scaling_factor of %g: experts' weights are "
                     "divided by their sum and not scaled, as DeepSeek's own code has it; other "
                     "programs do both, or scale alone",
                     j->name, scale);
    }
    return ERR_OK;
}

static err_code read_experts(struct teacher_config *c, const struct json *j, struct err *e)
{
    c->n_dense = !strcmp(c->arch, "deepseek_v3") ? 3 : 0;
    err_code rc = json_opt_int(j, j->root, "first_k_dense_replace", 0, MAX_LAYERS, &c->n_dense, e);
    return rc || c->n_dense >= c->n_layers ? rc : read_moe(c, j, e);
}

err_code teacher_config_read_mtp(struct teacher_config *c, const struct json *j, struct err *e)
{
    bool has_experts = c->n_dense == c->n_layers && json_at(j->root, "n_routed_experts");
    return has_experts ? read_moe(c, j, e) : ERR_OK;
}

struct num_key {
    const char *key;
    double min, max, *out;
};

static err_code read_yarn(struct yarn *y, const struct json *j, const cJSON *rope, struct err *e)
{
    const struct num_key keys[] = {
        {"factor", 1e-3, 1e6, &y->factor},
        {"original_max_position_embeddings", 1, 1e9, &y->original_context},
        {"beta_fast", 1e-6, 1e9, &y->beta_fast},
        {"beta_slow", 1e-6, 1e9, &y->beta_slow},
        {"mscale", 0, 1e3, &y->mscale},
        {"mscale_all_dim", 0, 1e3, &y->mscale_all_dim},
        {"attention_factor", 0, 1e3, &y->attention_factor},
    };
    y->on = y->truncate = true;
    y->beta_fast = 32;
    y->beta_slow = 1;
    err_code rc = json_num(j, rope, "factor", &y->factor, e);
    if (rc || (rc = json_opt_bool(j, rope, "truncate", &y->truncate, e)))
        return rc;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if ((rc = json_opt_num(j, rope, keys[i].key, keys[i].out, e)))
            return rc;
        if (!(*keys[i].out >= keys[i].min && *keys[i].out <= keys[i].max))
            return err_set(e, ERR_FORMAT, "%s: yarn's %s is %g; expected %g to %g", j->name,
                           keys[i].key, *keys[i].out, keys[i].min, keys[i].max);
    }
    return ERR_OK;
}

static err_code read_rope(struct teacher_config *c, const struct json *j, struct err *e)
{
    const cJSON *rope = json_at(j->root, "rope_parameters");
    const char *type = "default";
    double partial = 1;
    err_code rc;
    if (!rope)
        rope = json_at(j->root, "rope_scaling");
    c->yarn.theta = 10000;
    c->yarn.original_context = (double)c->max_context;
    if ((rc = json_opt_num(j, j->root, "rope_theta", &c->yarn.theta, e)))
        return rc;
    if (rope) {
        if (!cJSON_IsObject(rope))
            return bad(j, "rope_scaling (or rope_parameters) must be an object", e);
        if ((rc = json_opt_num(j, rope, "rope_theta", &c->yarn.theta, e)) ||
            (rc = json_opt_num(j, rope, "partial_rotary_factor", &partial, e)) ||
            (rc = json_opt_str(j, rope, "type", &type, e)) ||
            (rc = json_opt_str(j, rope, "rope_type", &type, e)))
            return rc;
    }
    if (!(c->yarn.theta > 1 && c->yarn.theta <= 1e12))
        return bad(j, "rope_theta must be above 1 and at most 1e12", e);
    if (partial != 1)
        return unsupported(j, "partial_rotary_factor", "any value but 1", e);
    if (!strcmp(type, "yarn"))
        return read_yarn(&c->yarn, j, rope, e);
    return strcmp(type, "default") ? unsupported(j, "rope scaling type", type, e) : ERR_OK;
}

err_code teacher_config_read(struct teacher_config *c, const struct json *j, struct err *e)
{
    err_code rc;
    *c = (struct teacher_config){0};
    if (!cJSON_IsObject(j->root))
        return bad(j, "not a JSON object", e);
    if ((rc = read_arch(c, j, e)) || (rc = read_model(c, j, e)) || (rc = read_experts(c, j, e)))
        return rc;
    return read_rope(c, j, e);
}
