#include "student/layout.h"

#include <stdio.h>
#include <string.h>

/* Dimension letters for the table below. */
enum dim { NO, C, F, V, QW, KW, D }; /* QW = H*D, KW = G*D */

static const struct {
    const char *name; /* of a layer's: the part after "model.layers.N." */
    enum dim rows, cols;
} table[STUDENT_N_KINDS] = {
    [STUDENT_EMBED] = {"model.embed_tokens.weight", V, C},
    [STUDENT_Q] = {"self_attn.q_proj.weight", QW, C},
    [STUDENT_K] = {"self_attn.k_proj.weight", KW, C},
    [STUDENT_V] = {"self_attn.v_proj.weight", KW, C},
    [STUDENT_O] = {"self_attn.o_proj.weight", C, QW},
    [STUDENT_GATE] = {"mlp.gate_proj.weight", F, C},
    [STUDENT_UP] = {"mlp.up_proj.weight", F, C},
    [STUDENT_DOWN] = {"mlp.down_proj.weight", C, F},
    [STUDENT_HEAD] = {"lm_head.weight", V, C},
    [STUDENT_NORM1] = {"input_layernorm.weight", NO, C},
    [STUDENT_QB] = {"self_attn.q_proj.bias", NO, QW},
    [STUDENT_KB] = {"self_attn.k_proj.bias", NO, KW},
    [STUDENT_VB] = {"self_attn.v_proj.bias", NO, KW},
    [STUDENT_QN] = {"self_attn.q_norm.weight", NO, D},
    [STUDENT_KN] = {"self_attn.k_norm.weight", NO, D},
    [STUDENT_OB] = {"self_attn.o_proj.bias", NO, C},
    [STUDENT_NORM2] = {"post_attention_layernorm.weight", NO, C},
    [STUDENT_GATEB] = {"mlp.gate_proj.bias", NO, F},
    [STUDENT_UPB] = {"mlp.up_proj.bias", NO, F},
    [STUDENT_DOWNB] = {"mlp.down_proj.bias", NO, C},
    [STUDENT_NORM] = {"model.norm.weight", NO, C},
};

static int64_t size_of(const struct student_config *c, enum dim d)
{
    switch (d) {
    case C:
        return c->hidden;
    case F:
        return c->ffn;
    case V:
        return c->n_vocab;
    case QW:
        return c->n_heads * c->head_dim;
    case KW:
        return c->n_kv_heads * c->head_dim;
    case D:
        return c->head_dim;
    case NO:
        break;
    }
    return 1;
}

bool student_kind_is_global(enum student_kind k)
{
    return k == STUDENT_EMBED || k == STUDENT_HEAD || k == STUDENT_NORM;
}

static bool has_kind(const struct student_config *c, enum student_kind k)
{
    switch (k) {
    case STUDENT_HEAD:
        return !c->tied;
    case STUDENT_QB:
    case STUDENT_KB:
    case STUDENT_VB:
        return c->qkv_bias;
    case STUDENT_OB:
        return c->o_bias;
    case STUDENT_QN:
    case STUDENT_KN:
        return c->qk_norm;
    case STUDENT_GATEB:
    case STUDENT_UPB:
    case STUDENT_DOWNB:
        return c->mlp_bias;
    default:
        return true;
    }
}

bool student_slot_make(const struct student_config *c, enum student_kind k, int64_t layer,
                       struct student_slot *s)
{
    if (!has_kind(c, k))
        return false;
    bool global = student_kind_is_global(k), matrix = table[k].rows != NO;
    *s = (struct student_slot){.kind = k, .layer = global ? -1 : layer, .n_dims = matrix ? 2 : 1};
    s->shape[0] = size_of(c, matrix ? table[k].rows : table[k].cols);
    s->shape[1] = matrix ? size_of(c, table[k].cols) : 1;
    if (global)
        snprintf(s->name, sizeof s->name, "%s", table[k].name);
    else
        snprintf(s->name, sizeof s->name, "model.layers.%lld.%s", (long long)layer, table[k].name);
    return true;
}

static void add(struct student_layout *l, const struct student_config *c, enum student_kind k,
                int64_t layer)
{
    struct student_slot *s = &l->slots[l->n_slots];
    if (!student_slot_make(c, k, layer, s))
        return;
    s->offset = l->n_params;
    l->n_params += (size_t)s->shape[0] * (size_t)s->shape[1];
    l->index[(s->layer < 0 ? c->n_layers : layer) * STUDENT_N_KINDS + k] = (int32_t)l->n_slots++;
}

err_code student_layout_init(struct student_layout *l, const struct student_config *c,
                             struct err *e)
{
    memset(l, 0, sizeof *l);
    size_t n = ((size_t)c->n_layers + 1) * STUDENT_N_KINDS;
    l->slots = mem_new(n, sizeof *l->slots, e);
    l->index = mem_new(n, sizeof *l->index, e);
    if (!l->slots || !l->index) {
        student_layout_dispose(l);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++)
        l->index[i] = -1;
    add(l, c, STUDENT_EMBED, -1);
    for (int64_t i = 0; i < c->n_layers; i++)
        for (int k = STUDENT_Q; k <= STUDENT_DOWN; k++)
            add(l, c, (enum student_kind)k, i);
    add(l, c, STUDENT_HEAD, -1);
    l->n_decay = l->n_params;
    for (int64_t i = 0; i < c->n_layers; i++)
        for (int k = STUDENT_NORM1; k <= STUDENT_DOWNB; k++)
            add(l, c, (enum student_kind)k, i);
    add(l, c, STUDENT_NORM, -1);
    return ERR_OK;
}

void student_layout_dispose(struct student_layout *l)
{
    mem_free(l->slots);
    mem_free(l->index);
    memset(l, 0, sizeof *l);
}

const struct student_slot *student_layout_find(const struct student_layout *l,
                                               const struct student_config *c, enum student_kind k,
                                               int64_t layer)
{
    if (k >= STUDENT_N_KINDS)
        return NULL;
    int64_t row = student_kind_is_global(k) ? c->n_layers : layer;
    int32_t i = l->index[row * STUDENT_N_KINDS + k];
    return i < 0 ? NULL : &l->slots[i];
}
