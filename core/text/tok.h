/* The inside of a tokenizer, for the files of this room only.
 *
 *   tokenizer.c   the public functions: encode, decode, stream, look-ups
 *   tok_vocab.c   tokens, merges and their hash tables
 *   tok_bpe.c     one pre-token to ids
 *   tok_split.c   the pre-tokenizer: stages of regexes over spans
 *   tok_regex.c   Oniguruma's regex syntax, as HF uses it, to PCRE2's
 *   tok_added.c   added tokens found in text
 *   tok_nfc.c     the NFC normalizer
 *   tok_unicode.c code points whose class depends on the Unicode version
 *   tok_hf.c      tokenizer.json and its configs;  tok_gguf.c  GGUF metadata
 */
#ifndef DECANT_TEXT_TOK_H
#define DECANT_TEXT_TOK_H

#include "core/text/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string.h>

enum {
    TOK_MAX_ID = (1 << 22) - 1, /* the largest vocabularies have a quarter of a million */
    TOK_MAX_STAGES = 32,
    TOK_MAX_STOPS = 64,
    TOK_MAX_ADDED_LEN = 4096,
};

enum tok_flag {
    TOK_PRESENT = 1,      /* not a hole */
    TOK_ADDED = 2,        /* matched in text before everything else */
    TOK_IS_SPECIAL = 4,   /* left out by skip_special */
    TOK_NORMALIZED = 8,   /* matched after the normalizer */
    TOK_LSTRIP = 16,      /* swallows white space before it */
    TOK_RSTRIP = 32,      /* and after */
    TOK_SINGLE_WORD = 64, /* not inside a word */
    TOK_ALPHABET = 128,   /* its raw form is written in the byte alphabet */
    TOK_MODEL = 256,      /* in the model's vocabulary: BPE can make it */
};

/* Offsets into the arena; both strings have a NUL after them. */
struct tok_entry {
    uint32_t raw, text, n_raw, n_text;
    uint32_t flags;
};

struct tok_merge {
    int32_t left, right, out;
};

struct tok_merge_slot {
    uint64_t key; /* left << 32 | right; UINT64_MAX: free */
    int32_t rank, out;
};

enum tok_behavior {
    TOK_ISOLATED,
    TOK_REMOVED,
    TOK_MERGED_PREVIOUS,
    TOK_MERGED_NEXT,
    TOK_CONTIGUOUS,
};

/* One step of the pre-tokenizer. */
struct tok_stage {
    pcre2_code *re; /* NULL: splits nothing (ByteLevel's prefix alone) */
    char *pattern;  /* as PCRE2 has it: the form in which two patterns are compared */
    enum tok_behavior behavior;
    bool invert;
    bool prefix_space; /* before splitting: a space in front of every piece that has none */
};

/* A trie over bytes: children are sibling lists. */
struct tok_trie_node {
    int32_t child, sibling, id;
    uint8_t byte;
};
struct tok_trie {
    struct tok_trie_node *nodes; /* nodes[0] is the root */
    int32_t n, cap;
    bool first[256]; /* bytes that start a token */
};

struct tokenizer {
    char *name; /* for errors */
    struct buf arena;
    struct tok_entry *entries;
    int64_t n, cap;
    uint32_t *by_raw, *by_text; /* id + 1; 0: free. by_text: the model's, in the byte alphabet */
    uint32_t mask;              /* slots - 1 of both */
    struct tok_merge *merges;
    int64_t n_merges, cap_merges;
    struct tok_merge_slot *slots;
    uint64_t slot_mask;
    int32_t byte_id[256]; /* the token of a single byte, -1 when there is none */
    int32_t unk;
    bool ignore_merges, nfc, byte_level;
    struct tok_stage stages[TOK_MAX_STAGES];
    int n_stages;
    struct tok_trie added, added_normalized;
    int32_t bos, eos, pad;
    bool adds_bos, adds_bos_given;
    int32_t stops[TOK_MAX_STOPS];
    int n_stops;
    char *chat_template;
    const char *pre_name;
};

/* ---- UTF-8 ---- */

/* Length of the valid sequence at s (n >= 1 bytes left), with its code point; 0 when invalid. */
static inline size_t tok_utf8(const char *text, size_t n, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    size_t len = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (len > n)
        return 0;
    uint32_t c = s[0] & (0xFF >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    if ((len == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) ||
        (len == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return 0;
    *cp = c;
    return len;
}

/* Writes cp, which is valid; returns the length. */
size_t tok_utf8_put(uint32_t cp, char out[4]);
bool tok_utf8_valid(const char *s, size_t n);

/* ---- tok_unicode.c ---- */

/* For a code point that Unicode 15 to 16 brought: an older one of the same general category and
 * length in UTF-8, which every PCRE2 knows; else 0. */
uint32_t tok_unicode_stand_in(uint32_t cp);
/* True for code points that HF's NFC, whose tables end at Unicode 9, leaves alone while newer
 * tables reorder or compose them. */
bool tok_unicode_nfc_inert(uint32_t cp);
bool tok_unicode_is_space(uint32_t cp);
bool tok_unicode_is_word(uint32_t cp);

/* ---- tok_vocab.c ---- */

void tok_vocab_init(struct tokenizer *t);
/* Sets id's raw form; its text is decoded from the byte alphabet, or the same when it is not
 * written in it. where names the place for errors. A second token of one id is an error. */
err_code tok_vocab_add(struct tokenizer *t, const char *where, const char *raw, size_t n,
                       int64_t id, uint32_t flags, struct err *e);
/* Hash tables; a second id of one token is an error. Call when all tokens are in. */
err_code tok_vocab_index(struct tokenizer *t, const char *where, struct err *e);
int32_t tok_vocab_find_raw(const struct tokenizer *t, const char *raw, size_t n);
int32_t tok_vocab_find_text(const struct tokenizer *t, const char *text, size_t n);
/* Merges in order of rank; parts and result are looked up. */
err_code tok_vocab_merge(struct tokenizer *t, const char *where, const char *a, size_t na,
                         const char *b, size_t nb, struct err *e);
/* "a b" as one string. */
err_code tok_vocab_merge_line(struct tokenizer *t, const char *where, const char *s, size_t n,
                              struct err *e);
err_code tok_vocab_index_merges(struct tokenizer *t, struct err *e);
/* The tables of added tokens, from flags: exact content, after everything else is in. */
err_code tok_vocab_index_added(struct tokenizer *t, struct err *e);

static inline const struct tok_merge_slot *tok_merge_find(const struct tokenizer *t, int32_t left,
                                                          int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t i = (key * 0x9E3779B97F4A7C15u) >> 32;
    for (;; i++) {
        const struct tok_merge_slot *s = &t->slots[i & t->slot_mask];
        if (s->key == key)
            return s;
        if (s->key == UINT64_MAX)
            return NULL;
    }
}

/* ---- what one call of encode works in; grows, is reused between pieces ---- */

struct tok_span {
    size_t start, end;
};
struct tok_spans {
    struct tok_span *v;
    size_t n, cap;
};
struct tok_symbol {
    int32_t id, prev, next; /* id -1: merged away */
};
struct tok_candidate {
    uint64_t key; /* rank << 32 | position: HF's order of merging */
    int32_t left, right;
};
struct tok_scratch {
    struct buf normal, proxy, prefixed;
    struct tok_spans spans, next;
    struct tok_symbol *symbols;
    size_t cap_symbols;
    struct tok_candidate *heap;
    size_t n_heap, cap_heap;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};
void tok_scratch_dispose(struct tok_scratch *s);

/* ---- tok_split.c ---- */

/* Adds a stage. pattern is in HF's (Oniguruma's) syntax. */
err_code tok_split_add(struct tokenizer *t, const char *where, const char *pattern,
                       enum tok_behavior behavior, bool invert, struct err *e);
/* ByteLevel: its own regex when use_regex, its space. */
err_code tok_split_add_byte_level(struct tokenizer *t, const char *where, bool prefix_space,
                                  bool use_regex, struct err *e);
/* Adds the stages that llama.cpp calls by that name; ERR_UNSUPPORTED for others. */
err_code tok_split_add_named(struct tokenizer *t, const char *where, const char *name, size_t n,
                             struct err *e);
/* llama.cpp's name of the stages; NULL when none fits. */
const char *tok_split_name(const struct tokenizer *t);
/* Splits valid UTF-8; pieces are s->spans of *text, which may be replaced by a copy in s. */
err_code tok_split_run(const struct tokenizer *t, struct tok_scratch *s, const char **text,
                       size_t n, struct err *e);
void tok_split_dispose(struct tokenizer *t);

/* ---- tok_regex.c ---- */
err_code tok_regex_translate(const char *pattern, struct buf *out, struct err *e);

/* ---- tok_nfc.c ---- */
/* *text, *n become NFC; in s->normal when anything changes. Valid UTF-8 in and out. */
err_code tok_nfc(struct tok_scratch *s, const char **text, size_t *n, struct err *e);

/* ---- tok_added.c ---- */
err_code tok_trie_add(struct tok_trie *t, const char *s, size_t n, int32_t id, struct err *e);
/* The id of exactly s, or -1. */
int32_t tok_trie_find(const struct tok_trie *t, const char *s, size_t n);

/* A walk over text: tok_added_next gives the next added token, id, that stands at [start, end)
 * (with the white space that it swallows), or id -1 and start = end = n after the last. */
struct tok_added_walk {
    const char *text;
    size_t n, at, taken; /* where to look on; end of the last token with its white space */
    int32_t id;
    size_t start, end;
};
void tok_added_next(const struct tokenizer *t, const struct tok_trie *trie,
                    struct tok_added_walk *w);

/* ---- tok_bpe.c ---- */
err_code tok_bpe(const struct tokenizer *t, struct tok_scratch *s, const char *word, size_t n,
                 struct token_list *out, struct err *e);

/* ---- loaders ---- */
err_code tok_hf_load(struct tokenizer *t, const char *path, struct err *e);
err_code tok_gguf_load(struct tokenizer *t, const struct gguf *g, struct err *e);
/* After a loader: the table of added tokens, bos and eos from well-known tokens when not given, the
 * stops, the pre-tokenizer's name. */
err_code tok_finish(struct tokenizer *t, struct err *e);
err_code tok_add_stop(struct tokenizer *t, int32_t id, struct err *e);

#endif
