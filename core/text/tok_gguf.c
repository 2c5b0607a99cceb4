/* The tokenizer in a GGUF file's metadata (keys: ggml/docs/gguf.md, "Tokenizer"). The file names
 * its pre-tokenizer; its patterns are known by that name. Added tokens have no flags there: they
 * are matched as they stand, before the normalizer. */
#include "core/format/gguf.h"
#include "core/text/tok.h"

static const char tokens_key[] = "tokenizer.ggml.tokens";
static const char types_key[] = "tokenizer.ggml.token_type";
static const char merges_key[] = "tokenizer.ggml.merges";

/* llama.cpp's token types; the others are ordinary. */
enum { TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

static err_code bad_key(const struct tokenizer *t, const char *key, const char *should,
                        struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: \"%s\" should be %s", t->name, key, should);
}

static err_code load_tokens(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    struct gguf_value tokens, types;
    bool typed = gguf_find(g, types_key, &types);
    if (!gguf_find(g, tokens_key, &tokens) || !tokens.is_array || tokens.type != GGUF_STR)
        return bad_key(t, tokens_key, "an array of strings", e);
    if (typed && (!types.is_array || types.n != tokens.n || types.type == GGUF_STR ||
                  types.type == GGUF_ARRAY))
        return bad_key(t, types_key, "an array of numbers, one for each token", e);
    uint64_t at = 0;
    for (uint64_t id = 0; id < tokens.n; id++) {
        const char *s;
        size_t n;
        if (!gguf_next_str(&tokens, &at, &s, &n))
            return bad_key(t, tokens_key, "whole", e);
        int64_t type = typed ? gguf_elem_int(&types, id) : 1;
        uint32_t flags = type == TYPE_CONTROL        ? TOK_ADDED | TOK_IS_SPECIAL
                         : type == TYPE_USER_DEFINED ? TOK_ADDED
                         : type == TYPE_UNUSED       ? 0
                                                     : TOK_MODEL;
        err_code rc = tok_vocab_add(t, tokens_key, s, n, (int64_t)id, flags, e);
        if (rc)
            return rc;
    }
    return tok_vocab_index(t, tokens_key, e);
}

static err_code load_merges(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    struct gguf_value merges;
    if (!gguf_find(g, merges_key, &merges) || !merges.is_array ||
        (merges.type != GGUF_STR && merges.n))
        return bad_key(t, merges_key, "an array of strings", e);
    uint64_t at = 0;
    for (uint64_t i = 0; i < merges.n; i++) {
        const char *s;
        size_t n;
        if (!gguf_next_str(&merges, &at, &s, &n))
            return bad_key(t, merges_key, "whole", e);
        err_code rc = tok_vocab_merge_line(t, merges_key, s, n, e);
        if (rc)
            return rc;
    }
    return tok_vocab_index_merges(t, e);
}

static err_code load_ids(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    static const struct {
        const char *key;
        size_t at; /* in struct tokenizer; 0: only a stop */
        bool stop;
    } keys[] = {{"tokenizer.ggml.bos_token_id", offsetof(struct tokenizer, bos), false},
                {"tokenizer.ggml.eos_token_id", offsetof(struct tokenizer, eos), true},
                {"tokenizer.ggml.padding_token_id", offsetof(struct tokenizer, pad), false},
                {"tokenizer.ggml.eot_token_id", 0, true},
                {"tokenizer.ggml.eom_token_id", 0, true}};
    err_code rc = ERR_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !rc; i++) {
        int64_t id = -1;
        rc = gguf_opt_int(g, keys[i].key, 0, t->n - 1, &id, e);
        if (rc || id < 0)
            continue;
        if (keys[i].at)
            *(int32_t *)((char *)t + keys[i].at) = (int32_t)id;
        if (keys[i].stop)
            rc = tok_add_stop(t, (int32_t)id, e);
    }
    t->adds_bos = t->pre_name && !strncmp(t->pre_name, "llama", 5); /* as in llama.cpp */
    return rc ? rc : gguf_opt_bool(g, "tokenizer.ggml.add_bos_token", &t->adds_bos, e);
}

static err_code load_template(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    struct gguf_value v;
    const char *s;
    size_t n;
    if (!gguf_find(g, "tokenizer.chat_template", &v))
        return ERR_OK;
    err_code rc = gguf_str(g, "tokenizer.chat_template", &s, &n, e);
    if (rc)
        return rc;
    t->chat_template = mem_strndup(s, n, e);
    return t->chat_template ? ERR_OK : ERR_NOMEM;
}

err_code tok_gguf_load(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    const char *model, *pre;
    size_t n_model, n_pre;
    t->name = mem_strdup(gguf_path(g), e);
    if (!t->name)
        return ERR_NOMEM;
    err_code rc = gguf_str(g, "tokenizer.ggml.model", &model, &n_model, e);
    if (!rc && (n_model != 4 || memcmp(model, "gpt2", 4)))
        rc = err_set(
            e, ERR_UNSUPPORTED,
            "%s: tokenizer.ggml.model is \"%.*s\"; decant does byte-level BPE (\"gpt2\") only",
            t->name, n_model > 60 ? 60 : (int)n_model, model);
    if (!rc)
        rc = gguf_str(g, "tokenizer.ggml.pre", &pre, &n_pre, e);
    if (!rc)
        rc = tok_split_add_named(t, "tokenizer.ggml.pre", pre, n_pre, e);
    if (!rc)
        rc = load_tokens(t, g, e);
    if (!rc)
        rc = load_merges(t, g, e);
    if (!rc)
        rc = load_ids(t, g, e);
    return rc ? rc : load_template(t, g, e);
}
