/* Small HF directories with random weights, written with decant's own writer, and a byte-level
 * tokenizer of 256 letters, one merge and a few added tokens. */
#ifndef DECANT_TESTS_TINY_MODEL_H
#define DECANT_TESTS_TINY_MODEL_H

#include "quant_test.h"
#include "core/format/safetensors.h"

struct tiny {
    const char *type;                        /* "qwen2", ... */
    int layers, hidden, heads, kv, dim, ffn; /* dim: of a head */
    bool tied;
    enum dtype dtype;  /* of the matrices */
    const char *extra; /* more of config.json: "\"rope_theta\": 1e4" */
    const char *skip;  /* a tensor to leave out, or NULL */
    const char *add;   /* a tensor that belongs nowhere, or NULL */
    const char *nan;   /* a tensor that gets a NaN, or NULL */
};
enum { TINY_VOCAB = 272, TINY_TOKENS = 260 };

static inline void tiny_write(const char *dir, const char *name, const char *text)
{
    struct err e = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (file_replace(path, text, strlen(text), &e))
        fail_msg("%s", e.msg);
}

static inline void tiny_tokenizer(const char *dir)
{
    struct buf b = {0};
    buf_str(&b, "{\"added_tokens\": [", NULL);
    static const char *const added[] = {"<eos>", "<\xEF\xBD\x9CUser\xEF\xBD\x9C>", "<think>"};
    for (int i = 0; i < 3; i++)
        buf_printf(&b, NULL,
                   "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
                   "\"rstrip\": false, \"normalized\": false, \"special\": %s}",
                   i ? ", " : "", 257 + i, added[i], i ? "false" : "true");
    buf_str(
        &b,
        "], \"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"Sequence\", "
        "\"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
        "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
        "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": false}]}, "
        "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {",
        NULL);
    for (int i = 0, moved = 256; i < 256; i++) {
        /* GPT-2's alphabet: printable Latin-1 bytes are themselves, the others 256 and on */
        bool self = (i >= 33 && i <= 126) || (i >= 161 && i != 173);
        int c = self ? i : moved++;
        if (c < 128)
            buf_printf(&b, NULL, c == '"' || c == '\\' ? "\"\\%c\": %d, " : "\"%c\": %d, ", c, i);
        else
            buf_printf(&b, NULL, "\"%c%c\": %d, ", 0xC0 | c >> 6, 0x80 | (c & 63), i);
    }
    buf_str(&b, "\"he\": 256}, \"merges\": [\"h e\"]}}", NULL);
    tiny_write(dir, "tokenizer.json", b.data);
    buf_dispose(&b);
    tiny_write(dir, "tokenizer_config.json",
               "{\"eos_token\": \"<eos>\", \"add_bos_token\": false, "
               "\"chat_template\": \"{{ messages[0].content }}\"}");
}

struct tiny_tensor {
    char name[96];
    int64_t rows, cols; /* rows 0: one-dimensional */
};

static inline void tiny_put(struct tiny_tensor *all, int *n, const struct tiny *m, int layer,
                            const char *name, int rows, int cols)
{
    char full[96];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    if (m->skip && !strcmp(full, m->skip))
        return;
    snprintf(all[*n].name, sizeof all[*n].name, "%s", full);
    all[*n].rows = rows;
    all[(*n)++].cols = cols;
}

static inline int tiny_tensors(const struct tiny *m, struct tiny_tensor *all)
{
    int n = 0, q = m->heads * m->dim, kv = m->kv * m->dim;
    tiny_put(all, &n, m, -1, "model.embed_tokens.weight", TINY_VOCAB, m->hidden);
    for (int i = 0; i < m->layers; i++) {
        tiny_put(all, &n, m, i, "input_layernorm.weight", 0, m->hidden);
        tiny_put(all, &n, m, i, "self_attn.q_proj.weight", q, m->hidden);
        tiny_put(all, &n, m, i, "self_attn.k_proj.weight", kv, m->hidden);
        tiny_put(all, &n, m, i, "self_attn.v_proj.weight", kv, m->hidden);
        tiny_put(all, &n, m, i, "self_attn.o_proj.weight", m->hidden, q);
        if (strcmp(m->type, "qwen3")) { /* llama's with attention_bias */
            tiny_put(all, &n, m, i, "self_attn.q_proj.bias", 0, q);
            tiny_put(all, &n, m, i, "self_attn.k_proj.bias", 0, kv);
            tiny_put(all, &n, m, i, "self_attn.v_proj.bias", 0, kv);
        } else {
            tiny_put(all, &n, m, i, "self_attn.q_norm.weight", 0, m->dim);
            tiny_put(all, &n, m, i, "self_attn.k_norm.weight", 0, m->dim);
        }
        tiny_put(all, &n, m, i, "post_attention_layernorm.weight", 0, m->hidden);
        tiny_put(all, &n, m, i, "mlp.gate_proj.weight", m->ffn, m->hidden);
        tiny_put(all, &n, m, i, "mlp.up_proj.weight", m->ffn, m->hidden);
        tiny_put(all, &n, m, i, "mlp.down_proj.weight", m->hidden, m->ffn);
    }
    tiny_put(all, &n, m, -1, "model.norm.weight", 0, m->hidden);
    if (!m->tied)
        tiny_put(all, &n, m, -1, "lm_head.weight", TINY_VOCAB, m->hidden);
    if (m->add)
        tiny_put(all, &n, m, -1, m->add, 0, 8);
    return n;
}

/* FP8 scales stand in blocks of 128 x 128; powers of two, so that products are exact. */
static inline void tiny_weights(const char *dir, const struct tiny *m, struct rng *r)
{
    struct tiny_tensor all[128];
    int n = tiny_tensors(m, all);
    char path[512], name[128];
    struct st_writer *w;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(st_writer_open(&w, path, &e), 0);
    bool f8 = m->dtype == DT_F8_E4M3;
    for (int pass = 0; pass < 2; pass++) {
        if (pass && st_begin_data(w, &e))
            fail_msg("%s", e.msg);
        for (int i = 0; i < n; i++) {
            struct tiny_tensor *t = &all[i];
            bool block = f8 && t->rows && !strstr(t->name, "embed") && !strstr(t->name, "lm_head");
            enum dtype dt = t->rows ? (f8 && !block ? DT_BF16 : m->dtype) : DT_F32;
            int64_t shape[2] = {t->rows ? t->rows : t->cols, t->cols};
            int64_t s_shape[2] = {(t->rows + 127) / 128, (t->cols + 127) / 128};
            snprintf(name, sizeof name, "%.95s_scale_inv", t->name);
            if (!pass) {
                assert_int_equal(st_add_tensor(w, t->name, dt, t->rows ? 2 : 1, shape, &e), 0);
                if (block)
                    assert_int_equal(st_add_tensor(w, name, DT_F32, 2, s_shape, &e), 0);
                continue;
            }
            int64_t count = (t->rows ? t->rows : 1) * t->cols;
            float *x = take((size_t)count * 4);
            for (int64_t k = 0; k < count; k++)
                x[k] = (float)(rng_normal(r) * (block ? 10 : 0.1));
            if (m->nan && !strcmp(m->nan, t->name))
                x[count / 2] = NAN;
            uint8_t *raw = take((size_t)count * 4);
            assert_true(dtype_from_f32(dt, x, raw, (size_t)count));
            assert_int_equal(
                st_write(w, raw, (size_t)count * (size_t)dtype_info(dt)->block_bytes, &e), 0);
            for (int64_t k = 0; block && k < s_shape[0] * s_shape[1]; k++) {
                float s = ldexpf(1, -6 - (int)rng_below(r, 3));
                assert_int_equal(st_write(w, &s, 4, &e), 0);
            }
            mem_free(x);
            mem_free(raw);
        }
    }
    if (st_commit(w, &e))
        fail_msg("%s", e.msg);
    st_writer_close(w);
}

static inline void tiny_make(const char *dir, const struct tiny *m, uint64_t seed)
{
    struct rng r = rng_make(seed, 1, 2);
    struct buf b = {0};
    assert_int_equal(file_make_dir(dir, NULL), 0);
    buf_printf(&b, NULL,
               "{\"model_type\": \"%s\", \"num_hidden_layers\": %d, \"hidden_size\": %d, "
               "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, "
               "\"intermediate_size\": %d, \"vocab_size\": %d, \"tie_word_embeddings\": %s, "
               "\"rms_norm_eps\": 1e-5, \"max_position_embeddings\": 4096, \"bos_token_id\": 2, "
               "\"attention_bias\": true%s%s}",
               m->type, m->layers, m->hidden, m->heads, m->kv, m->dim, m->ffn, TINY_VOCAB,
               m->tied ? "true" : "false", m->extra ? ", " : "", m->extra ? m->extra : "");
    tiny_write(dir, "config.json", b.data);
    buf_dispose(&b);
    tiny_tokenizer(dir);
    tiny_weights(dir, m, &r);
}

#endif
