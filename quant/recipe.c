#include "quant/recipe.h"

#include <string.h>
#include <strings.h>

static const struct recipe recipes[] = {
    {"q4_k_m", DT_Q4_K, 15, true, "4.85 bits a weight: the usual choice"},
    {"q4_0", DT_Q4_0, 2, false, "4.5 bits, coarser"},
    {"q8_0", DT_Q8_0, 7, false, "8.5 bits, next to no loss"},
    {"f16", DT_F16, 1, false, "16 bits"},
};

const struct recipe *recipe_at(int i)
{
    return i >= 0 && (size_t)i < sizeof recipes / sizeof *recipes ? &recipes[i] : NULL;
}

const struct recipe *recipe_find(const char *name)
{
    for (int i = 0; recipe_at(i); i++)
        if (!strcasecmp(recipe_at(i)->name, name))
            return recipe_at(i);
    return NULL;
}

/* The first and the last eighth of the layers, and every third between. */
static bool use_more_bits(int i, int n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static enum dtype wanted(const struct recipe *r, const struct recipe_tensor *t)
{
    bool head =
        !strcmp(t->name, "output.weight") || (t->tied && !strcmp(t->name, "token_embd.weight"));
    if (head)
        return r->base == DT_Q8_0 || t->cols % dtype_info(r->base)->block_elems ? DT_Q8_0 : DT_Q6_K;
    bool attn_v = ends_with(t->name, ".attn_v.weight");
    if (r->more_bits && (attn_v || ends_with(t->name, ".ffn_down.weight")) &&
        (use_more_bits(t->layer, t->n_layers) || (attn_v && t->n_layers == 80)))
        return DT_Q6_K;
    return r->base;
}

enum dtype recipe_choose(const struct recipe *r, const struct recipe_tensor *t)
{
    if (t->n_dims < 2)
        return DT_F32;
    if (r->base == DT_F16)
        return DT_F16;
    enum dtype type = wanted(r, t);
    if (t->cols % 256 && dtype_info(type)->block_elems == 256)
        type = type == DT_Q6_K ? DT_Q8_0 : DT_Q5_0;
    return t->cols % dtype_info(type)->block_elems ? DT_F16 : type;
}
