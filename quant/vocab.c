#include "quant/vocab.h"
#include "core/base/names.h"
#include "core/text/chat.h"

#include <stdio.h>
#include <string.h>

/* llama.cpp's token types. */
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5 };

/* Added tokens in <| |> or its full-width form steer a model even where tokenizer.json calls them
 * not special (R1's <｜User｜>); llama.cpp's converter takes them for control tokens too. */
static bool looks_special(const char *s)
{
    static const char *const pairs[][2] = {{"<|", "|>"}, {"<\xEF\xBD\x9C", "\xEF\xBD\x9C>"}};
    size_t n = strlen(s);
    for (int i = 0; i < 2; i++) {
        size_t a = strlen(pairs[i][0]), b = strlen(pairs[i][1]);
        if (n >= a + b && !memcmp(s, pairs[i][0], a) && !memcmp(s + n - b, pairs[i][1], b))
            return true;
    }
    return false;
}

static int32_t type_of(const struct tokenizer *t, int32_t id)
{
    const char *raw = id < tokenizer_size(t) ? tokenizer_raw(t, id) : NULL;
    if (!raw)
        return TOKEN_UNUSED;
    if (!tokenizer_is_added(t, id))
        return TOKEN_NORMAL;
    return tokenizer_is_special(t, id) || looks_special(raw) ? TOKEN_CONTROL : TOKEN_USER;
}

/* The text of an id: its own, or [PADi] written into pad. */
static const char *text_of(const struct tokenizer *t, int32_t id, char pad[24])
{
    const char *raw = id < tokenizer_size(t) ? tokenizer_raw(t, id) : NULL;
    if (raw)
        return raw;
    snprintf(pad, 24, "[PAD%d]", id);
    return pad;
}

/* llama.cpp refuses files in which two ids have one text. */
static err_code check_unique(const struct tokenizer *t, const char *path, struct err *e)
{
    struct names all = {0};
    err_code rc = names_reserve(&all, tokenizer_size(t), e);
    for (int32_t i = 0; i < tokenizer_size(t) && !rc; i++) {
        const char *raw = tokenizer_raw(t, i);
        if (raw && names_add(&all, raw, strlen(raw), i) >= 0)
            rc = err_set(e, ERR_FORMAT,
                         "%s: token \"%s\" has two ids; llama.cpp opens no such file", path, raw);
    }
    names_dispose(&all);
    return rc;
}

static err_code add_tokens(struct gguf_writer *g, const struct tokenizer *t, int64_t n_rows,
                           struct err *e)
{
    char pad[24];
    err_code rc = gguf_begin_array(g, "tokenizer.ggml.tokens", GGUF_STR, (uint64_t)n_rows, e);
    for (int32_t i = 0; i < n_rows && !rc; i++) {
        const char *s = text_of(t, i, pad);
        rc = gguf_array_str(g, s, strlen(s), e);
    }
    if (!rc)
        rc = gguf_begin_array(g, "tokenizer.ggml.token_type", GGUF_I32, (uint64_t)n_rows, e);
    for (int32_t i = 0; i < n_rows && !rc; i++)
        rc = gguf_array_i32(g, type_of(t, i), e);
    return rc;
}

static err_code add_merges(struct gguf_writer *g, const struct tokenizer *t, struct err *e)
{
    struct buf b = {0};
    int64_t n = tokenizer_n_merges(t);
    err_code rc = gguf_begin_array(g, "tokenizer.ggml.merges", GGUF_STR, (uint64_t)n, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        buf_clear(&b);
        rc = tokenizer_merge(t, i, &b, e);
        if (!rc)
            rc = gguf_array_str(g, b.data, b.len, e);
    }
    buf_dispose(&b);
    return rc;
}

static err_code add_id(struct gguf_writer *g, const char *key, int64_t id, int64_t n_rows,
                       struct err *e)
{
    return id >= 0 && id < n_rows ? gguf_add_u32(g, key, (uint32_t)id, e) : ERR_OK;
}

/* Without an eos, llama.cpp ends an answer at id 11, whatever that is: a token that no text brings
 * forth stands in for it. */
static int64_t harmless_eos(const struct tokenizer *t, int64_t n_rows, int64_t eot, int64_t bos)
{
    if (eot >= 0)
        return eot;
    if (tokenizer_pad(t) >= 0)
        return tokenizer_pad(t);
    return tokenizer_size(t) < n_rows ? tokenizer_size(t) : bos;
}

static err_code add_special(struct gguf_writer *g, const struct tokenizer *t, int64_t n_rows,
                            int64_t bos, struct err *e)
{
    struct chat chat;
    const int32_t *stops;
    int n_stops = tokenizer_stops(t, &stops);
    err_code rc = chat_init(&chat, t, e);
    bos = tokenizer_bos(t) >= 0 ? tokenizer_bos(t) : bos;
    int64_t eos = tokenizer_eos(t);
    /* what ends a turn, also where it is eos itself: without it, llama.cpp takes the first that it
     * meets of the names it knows; then the stops that are left */
    int64_t eot = chat.form == CHAT_PLAIN ? -1 : chat.eos, eom = -1;
    for (int i = 0; i < n_stops; i++) {
        if (stops[i] == eos || stops[i] == eot || eom >= 0)
            continue;
        *(eot < 0 ? &eot : &eom) = stops[i];
    }
    if (eos < 0)
        eos = harmless_eos(t, n_rows, eot, bos);
    if (!rc)
        rc = add_id(g, "tokenizer.ggml.bos_token_id", bos, n_rows, e);
    if (!rc)
        rc = add_id(g, "tokenizer.ggml.eos_token_id", eos, n_rows, e);
    if (!rc)
        rc = add_id(g, "tokenizer.ggml.eot_token_id", eot, n_rows, e);
    if (!rc)
        rc = add_id(g, "tokenizer.ggml.eom_token_id", eom, n_rows, e);
    if (!rc)
        rc = add_id(g, "tokenizer.ggml.padding_token_id", tokenizer_pad(t), n_rows, e);
    if (!rc) /* without a bos, llama.cpp would put id 11 in front */
        rc = gguf_add_bool(g, "tokenizer.ggml.add_bos_token", tokenizer_adds_bos(t) && bos >= 0, e);
    if (!rc)
        rc = gguf_add_bool(g, "tokenizer.ggml.add_eos_token", false, e);
    return rc;
}

err_code vocab_add_metadata(struct gguf_writer *g, const struct tokenizer *t, const char *path,
                            int64_t n_rows, int64_t bos, struct err *e)
{
    const char *pre = tokenizer_pre_name(t);
    if (!pre)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: llama.cpp has no name for this tokenizer's way of splitting text, and "
                       "would split it otherwise; deepseek-r1-qwen, qwen2, llama-bpe, deepseek-v3 "
                       "and gpt-2 are known",
                       path);
    if (tokenizer_size(t) > n_rows)
        return err_set(e, ERR_FORMAT,
                       "%s: the tokenizer has %lld tokens but the embedding %lld rows; they belong "
                       "to different models",
                       path, (long long)tokenizer_size(t), (long long)n_rows);
    err_code rc = check_unique(t, path, e);
    if (!rc)
        rc = gguf_add_str(g, "tokenizer.ggml.model", "gpt2", e);
    if (!rc)
        rc = gguf_add_str(g, "tokenizer.ggml.pre", pre, e);
    if (!rc)
        rc = add_tokens(g, t, n_rows, e);
    if (!rc)
        rc = add_merges(g, t, e);
    if (!rc)
        rc = add_special(g, t, n_rows, bos, e);
    if (!rc && tokenizer_chat_template(t))
        rc = gguf_add_str(g, "tokenizer.chat_template", tokenizer_chat_template(t), e);
    return rc;
}
