/* Byte-level BPE tokenizers, from an HF tokenizer.json or the metadata of a GGUF file.
 *
 *     struct tokenizer *tok;
 *     if ((rc = tokenizer_open("models/r1", &tok, e))) ...          // directory, tokenizer.json or GGUF
 *     struct token_list ids = {0};
 *     rc = tokenizer_encode(tok, text, n, TOK_SPECIAL, &ids, e);
 *     tokenizer_close(tok);
 *
 * Same ids as HF tokenizers, byte for byte: added tokens are matched first (longest, leftmost; with
 * their lstrip/rstrip/single_word/normalized flags), then the normalizer (NFC or none), the
 * pre-tokenizer (Split regexes through PCRE2, Digits, ByteLevel), then BPE merges by rank
 * (ignore_merges honoured). A component that decant does not know is ERR_UNSUPPORTED, by name.
 * The post-processor is not run: no BOS or EOS is added.
 *
 * Text that is not valid UTF-8: each bad byte is taken as that byte's own token, so that
 * decode(encode(x)) == x for any bytes (== NFC(x) where the tokenizer normalizes).
 *
 * Thread safety: a tokenizer is read-only after opening; encode may run in many threads. Hostile
 * text is bounded: time O(n log n), no stack growth. */
#ifndef DECANT_TEXT_TOKENIZER_H
#define DECANT_TEXT_TOKENIZER_H

#include "core/base/mem.h"

struct tokenizer;
struct gguf;

/* A growable list of token ids; zero-initialise. */
struct token_list {
    int32_t *ids;
    int64_t n, cap;
};
err_code token_list_add(struct token_list *l, int32_t id, struct err *e);
void token_list_clear(struct token_list *l);
void token_list_dispose(struct token_list *l);

err_code tokenizer_open(const char *path, struct tokenizer **out, struct err *e);
err_code tokenizer_open_gguf(const struct gguf *g, struct tokenizer **out, struct err *e);
void tokenizer_close(struct tokenizer *t);

enum {
    TOK_SPECIAL = 1, /* recognise added/special tokens in the text; without it they are plain text */
};
/* Appends to out. Adds no BOS or EOS: prompts are built by chat.h, which does. */
err_code tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
                          struct token_list *out, struct err *e);

/* Appends the bytes of the ids. skip_special leaves special tokens out. An id outside the
 * vocabulary: ERR_USAGE. */
err_code tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n,
                          bool skip_special, struct buf *out, struct err *e);

/* Streaming: feed ids one at a time; only whole UTF-8 characters are appended, the rest waits in the
 * state. tokenizer_stream_end flushes what is left (bytes as they are). Zero-initialise. */
struct token_stream {
    char pending[8];
    int n_pending;
};
err_code tokenizer_stream(const struct tokenizer *t, struct token_stream *s, int32_t id,
                          bool skip_special, struct buf *out, struct err *e);
err_code tokenizer_stream_end(struct token_stream *s, struct buf *out, struct err *e);

int64_t tokenizer_size(const struct tokenizer *t); /* highest id + 1 */
/* The id of a token by its text (added tokens by their content), -1 when absent. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text);
/* The bytes of an id (added tokens: their content); length 0 for holes. */
const char *tokenizer_text(const struct tokenizer *t, int32_t id, size_t *n);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
bool tokenizer_is_added(const struct tokenizer *t, int32_t id);

/* From tokenizer_config.json / generation_config.json / GGUF metadata, eos also from config.json;
 * else the added token that is known by its name; -1 when there is none. */
int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_eos(const struct tokenizer *t);
int32_t tokenizer_pad(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
/* All ids that end generation: eos, generation_config's list, the token that ends a turn in a chat
 * form that chat.h knows. eos is first. */
int tokenizer_stops(const struct tokenizer *t, const int32_t **ids);
/* The model's own chat template (Jinja source), or NULL. */
const char *tokenizer_chat_template(const struct tokenizer *t);

/* For export: the vocabulary as tokenizer.json writes it (byte-level alphabet, e.g. "Ġthe"), merges
 * in order ("a b"), and llama.cpp's name for the pre-tokenizer ("deepseek-r1-qwen", "qwen2",
 * "llama-bpe", "deepseek-v3", "gpt-2"), or NULL when none fits. Whole-vocabulary order by id;
 * tokenizer_raw gives NULL for holes. */
const char *tokenizer_raw(const struct tokenizer *t, int32_t id);
int64_t tokenizer_n_merges(const struct tokenizer *t);
err_code tokenizer_merge(const struct tokenizer *t, int64_t i, struct buf *out, struct err *e);
const char *tokenizer_pre_name(const struct tokenizer *t);

#endif
