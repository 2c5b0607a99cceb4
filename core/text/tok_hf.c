/* tokenizer.json, with tokenizer_config.json, generation_config.json, config.json (its eos) and
 * chat_template.jinja beside it. The post-processor is not run (chat.h puts BOS where it belongs);
 * it is only asked whether it would put one. Truncation and padding are settings of a batch, not of
 * the tokenizer: ignored. */
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/json_arena.h"
#include "core/text/tok.h"

#include <stdlib.h>

enum { MAX_JSON_BYTES = 256 << 20, MAX_CONFIG_BYTES = 16 << 20 };

static err_code bad(const struct tokenizer *t, const char *key, const char *should, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: \"%s\" should be %s", t->name, key, should);
}

static const char *type_of(const cJSON *node)
{
    const cJSON *type = json_at(node, "type");
    return cJSON_IsString(type) ? type->valuestring : "";
}

static err_code unknown(const struct tokenizer *t, const char *key, const cJSON *node,
                        struct err *e)
{
    const char *type = type_of(node);
    return err_set(e, ERR_UNSUPPORTED, "%s: %s of type \"%.60s\" is not supported", t->name, key,
                   *type ? type : "(none)");
}

/* ---- model ---- */

static err_code load_vocab(struct tokenizer *t, const cJSON *vocab, struct err *e)
{
    if (!cJSON_IsObject(vocab))
        return bad(t, "model.vocab", "an object of token: id", e);
    for (const cJSON *v = vocab->child; v; v = v->next) {
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= TOK_MAX_ID) ||
            v->valuedouble != (int64_t)v->valuedouble)
            return err_set(
                e, ERR_FORMAT,
                "%s: \"model.vocab\": the id of \"%.60s\" should be a whole number from 0 "
                "to %d",
                t->name, v->string, TOK_MAX_ID);
        err_code rc = tok_vocab_add(t, "model.vocab", v->string, strlen(v->string),
                                    (int64_t)v->valuedouble, TOK_MODEL, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static err_code load_merges(struct tokenizer *t, const cJSON *merges, struct err *e)
{
    if (!cJSON_IsArray(merges))
        return bad(t, "model.merges", "an array", e);
    for (const cJSON *m = merges->child; m; m = m->next) {
        err_code rc;
        if (cJSON_IsString(m)) {
            rc = tok_vocab_merge_line(t, "model.merges", m->valuestring, strlen(m->valuestring), e);
        } else {
            const cJSON *a = cJSON_IsArray(m) ? m->child : NULL, *b = a ? a->next : NULL;
            if (!b || b->next || !cJSON_IsString(a) || !cJSON_IsString(b))
                return bad(t, "model.merges", "an array of \"a b\" or [\"a\", \"b\"]", e);
            rc = tok_vocab_merge(t, "model.merges", a->valuestring, strlen(a->valuestring),
                                 b->valuestring, strlen(b->valuestring), e);
        }
        if (rc)
            return rc;
    }
    return tok_vocab_index_merges(t, e);
}

/* Settings that would change the ids and that decant does not do. */
static err_code check_model(struct tokenizer *t, const struct json *j, const cJSON *model,
                            struct err *e)
{
    const char *prefix = "", *suffix = "";
    double dropout = 0;
    bool fallback = false;
    if (json_at(model, "type") && strcmp(type_of(model), "BPE"))
        return unknown(t, "model", model, e);
    err_code rc = json_opt_str(j, model, "continuing_subword_prefix", &prefix, e);
    if (!rc)
        rc = json_opt_str(j, model, "end_of_word_suffix", &suffix, e);
    if (!rc)
        rc = json_opt_num(j, model, "dropout", &dropout, e);
    if (!rc)
        rc = json_opt_bool(j, model, "byte_fallback", &fallback, e);
    if (!rc)
        rc = json_opt_bool(j, model, "ignore_merges", &t->ignore_merges, e);
    if (!rc && (*prefix || *suffix || dropout > 0 || fallback))
        rc = err_set(e, ERR_UNSUPPORTED, "%s: model.%s is not supported", t->name,
                     *prefix       ? "continuing_subword_prefix"
                     : *suffix     ? "end_of_word_suffix"
                     : dropout > 0 ? "dropout"
                                   : "byte_fallback");
    return rc;
}

static err_code load_unk(struct tokenizer *t, const struct json *j, const cJSON *model,
                         struct err *e)
{
    const char *unk = NULL;
    err_code rc = json_opt_str(j, model, "unk_token", &unk, e);
    if (rc || !unk)
        return rc;
    t->unk = tok_vocab_find_raw(t, unk, strlen(unk));
    return t->unk >= 0 ? ERR_OK : bad(t, "model.unk_token", "a token of the vocabulary", e);
}

/* ---- added tokens ---- */

static err_code load_added_one(struct tokenizer *t, const struct json *j, const cJSON *a,
                               int64_t id, struct err *e)
{
    static const struct {
        const char *key;
        uint32_t flag;
    } flags[] = {{"special", TOK_IS_SPECIAL},
                 {"normalized", TOK_NORMALIZED},
                 {"lstrip", TOK_LSTRIP},
                 {"rstrip", TOK_RSTRIP},
                 {"single_word", TOK_SINGLE_WORD}};
    const char *content;
    uint32_t set = TOK_ADDED;
    err_code rc = json_str(j, a, "content", &content, e);
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !rc; i++) {
        bool on = false;
        rc = json_opt_bool(j, a, flags[i].key, &on, e);
        set |= on ? flags[i].flag : 0;
    }
    if (rc)
        return rc;
    struct tok_entry *x = id < t->n ? &t->entries[id] : NULL;
    if (x && (x->flags & TOK_PRESENT) && !strcmp(t->arena.data + x->raw, content)) {
        x->flags |= set; /* in the model's vocabulary, too */
        return ERR_OK;
    }
    return tok_vocab_add(t, "added_tokens", content, strlen(content), id, set, e);
}

static err_code load_added(struct tokenizer *t, const struct json *j, struct err *e)
{
    const cJSON *added = json_at(j->root, "added_tokens");
    if (added && !cJSON_IsArray(added))
        return bad(t, "added_tokens", "an array", e);
    for (const cJSON *a = added ? added->child : NULL; a; a = a->next) {
        int64_t id;
        if (!cJSON_IsObject(a))
            return bad(t, "added_tokens", "an array of objects", e);
        err_code rc = json_int(j, a, "id", 0, TOK_MAX_ID, &id, e);
        if (!rc)
            rc = load_added_one(t, j, a, id, e);
        if (rc)
            return rc == ERR_NOMEM ? rc : err_context(e, "added_tokens");
    }
    return ERR_OK;
}

/* Does another token have this id or this text? */
static bool is_taken(const struct tokenizer *t, int64_t id, const char *content)
{
    int64_t i = 0;
    while (i < t->n && (!(t->entries[i].flags & TOK_PRESENT) ||
                        strcmp(t->arena.data + t->entries[i].raw, content)))
        i++;
    return i < t->n ? i != id : id < t->n && t->entries[id].flags & TOK_PRESENT;
}

/* The tokens that tokenizer_config.json alone has, by id, as transformers adds them. What
 * tokenizer.json says of a token goes first, and what contradicts it is left out: the file may be
 * an older one, or another model's. */
static err_code load_added_decoder(struct tokenizer *t, const char *path, struct err *e)
{
    struct json j = {0};
    err_code rc = json_open(&j, path, MAX_CONFIG_BYTES, e);
    const cJSON *added = json_at(j.root, "added_tokens_decoder");
    for (const cJSON *a = cJSON_IsObject(added) ? added->child : NULL; a && !rc; a = a->next) {
        char *end;
        long id = strtol(a->string, &end, 10);
        const cJSON *content = json_at(a, "content");
        if (end == a->string || *end || id < 0 || id > TOK_MAX_ID)
            rc = err_set(e, ERR_FORMAT, "%s: \"added_tokens_decoder\": \"%.60s\" should be an id",
                         path, a->string);
        else if ((id >= t->n || !(t->entries[id].flags & TOK_ADDED)) &&
                 !(cJSON_IsString(content) && is_taken(t, id, content->valuestring)))
            rc = load_added_one(t, &j, a, id, e);
    }
    json_close(&j);
    return rc;
}

/* ---- normalizer, pre-tokenizer, decoder ---- */

static err_code load_normalizer(struct tokenizer *t, const cJSON *n, struct err *e)
{
    if (!n)
        return ERR_OK;
    if (!strcmp(type_of(n), "NFC")) {
        t->nfc = true;
        return ERR_OK;
    }
    const cJSON *list = json_at(n, "normalizers");
    if (strcmp(type_of(n), "Sequence") || !cJSON_IsArray(list))
        return unknown(t, "normalizer", n, e);
    err_code rc = ERR_OK;
    for (const cJSON *c = list->child; c && !rc; c = c->next)
        rc = load_normalizer(t, c, e);
    return rc;
}

static err_code parse_behavior(struct tokenizer *t, const char *name, enum tok_behavior *b,
                               struct err *e)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(name, names[i])) {
            *b = (enum tok_behavior)i;
            return ERR_OK;
        }
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: pre_tokenizer: Split's behavior \"%.60s\" is not supported", t->name, name);
}

static err_code load_split(struct tokenizer *t, const struct json *j, const cJSON *p, struct err *e)
{
    const char *regex = NULL, *string = NULL, *behavior = "";
    enum tok_behavior b = TOK_ISOLATED;
    bool invert = false;
    err_code rc = json_opt_str(j, p, "pattern.Regex", &regex, e);
    if (!rc)
        rc = json_opt_str(j, p, "pattern.String", &string, e);
    if (!rc)
        rc = json_str(j, p, "behavior", &behavior, e);
    if (!rc)
        rc = json_opt_bool(j, p, "invert", &invert, e);
    if (!rc)
        rc = parse_behavior(t, behavior, &b, e);
    if (rc)
        return rc;
    if (regex)
        return tok_split_add(t, "pre_tokenizer", regex, b, invert, e);
    if (!string || !*string)
        return bad(t, "pre_tokenizer: pattern", "{\"Regex\": ...} or {\"String\": ...}", e);
    struct buf escaped = {0};
    for (; *string && !rc; string++) {
        bool plain = (unsigned char)*string >= 0x80 || (*string >= '0' && *string <= '9') ||
                     ((*string | 0x20) >= 'a' && (*string | 0x20) <= 'z') || *string < 0x20;
        rc = plain ? buf_add(&escaped, string, 1, e) : buf_printf(&escaped, e, "\\%c", *string);
    }
    if (!rc)
        rc = tok_split_add(t, "pre_tokenizer", escaped.data, b, invert, e);
    buf_dispose(&escaped);
    return rc;
}

static err_code load_pre_tokenizer(struct tokenizer *t, const struct json *j, const cJSON *p,
                                   struct err *e)
{
    const char *type = type_of(p);
    bool space = true, regex = true, each = false;
    err_code rc = ERR_OK;
    if (!p)
        return ERR_OK;
    if (!strcmp(type, "Split"))
        return load_split(t, j, p, e);
    if (!strcmp(type, "Digits")) {
        /* Rust's numeric characters: Unicode 17's, which Oniguruma does not know yet, too */
        static const char numeric[] = "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]";
        rc = json_opt_bool(j, p, "individual_digits", &each, e);
        return rc ? rc
                  : tok_split_add(t, "pre_tokenizer", numeric, each ? TOK_ISOLATED : TOK_CONTIGUOUS,
                                  false, e);
    }
    if (!strcmp(type, "ByteLevel")) {
        rc = json_opt_bool(j, p, "add_prefix_space", &space, e);
        if (!rc)
            rc = json_opt_bool(j, p, "use_regex", &regex, e);
        return rc ? rc : tok_split_add_byte_level(t, "pre_tokenizer", space, regex, e);
    }
    const cJSON *list = json_at(p, "pretokenizers");
    if (strcmp(type, "Sequence") || !cJSON_IsArray(list))
        return unknown(t, "pre_tokenizer", p, e);
    for (const cJSON *c = list->child; c && !rc; c = c->next)
        rc = load_pre_tokenizer(t, j, c, e);
    return rc;
}

static err_code check_decoder(struct tokenizer *t, const cJSON *d, struct err *e)
{
    if (!d || !strcmp(type_of(d), "ByteLevel"))
        return ERR_OK;
    const cJSON *list = json_at(d, "decoders");
    if (strcmp(type_of(d), "Sequence") || !cJSON_IsArray(list))
        return unknown(t, "decoder", d, e);
    err_code rc = ERR_OK;
    for (const cJSON *c = list->child; c && !rc; c = c->next)
        rc = check_decoder(t, c, e);
    return rc;
}

/* ---- the configs ---- */

/* A token in a config: "text" or {"content": "text"}; absent or null leaves *id. */
static err_code config_token(const struct tokenizer *t, const struct json *j, const char *key,
                             int32_t *id, struct err *e)
{
    const cJSON *v = json_at(j->root, key);
    const char *text;
    if (cJSON_IsObject(v))
        v = json_at(v, "content");
    else if (!v)
        return ERR_OK;
    if (!cJSON_IsString(v))
        return err_set(e, ERR_FORMAT, "%s: \"%s\" should be a string or {\"content\": string}",
                       j->name, key);
    text = v->valuestring;
    int32_t found = tokenizer_find(t, text);
    if (found < 0)
        return err_set(e, ERR_FORMAT, "%s: \"%s\" is \"%.60s\", which %s does not have", j->name,
                       key, text, t->name);
    *id = found;
    return ERR_OK;
}

static err_code config_template(struct tokenizer *t, const struct json *j, struct err *e)
{
    const cJSON *v = json_at(j->root, "chat_template");
    if (cJSON_IsArray(v)) { /* several, by name: "default" or the first */
        const cJSON *chosen = v->child;
        for (const cJSON *c = v->child; c; c = c->next) {
            const cJSON *name = json_at(c, "name");
            if (cJSON_IsString(name) && !strcmp(name->valuestring, "default"))
                chosen = c;
        }
        v = chosen ? json_at(chosen, "template") : NULL;
    }
    if (!v)
        return ERR_OK;
    if (!cJSON_IsString(v))
        return err_set(e, ERR_FORMAT, "%s: \"chat_template\" should be a string", j->name);
    t->chat_template = mem_strdup(v->valuestring, e);
    return t->chat_template ? ERR_OK : ERR_NOMEM;
}

/* The token that the post-processor puts first, or -1. Llama 3 says there that it adds BOS. */
static int32_t template_first(const struct tokenizer *t, const cJSON *p)
{
    const cJSON *list = json_at(p, "processors"), *single = json_at(p, "single");
    int32_t id = -1;
    for (const cJSON *c = cJSON_IsArray(list) ? list->child : NULL; c && id < 0; c = c->next)
        id = template_first(t, c);
    const cJSON *name = json_at(cJSON_IsArray(single) ? single->child : NULL, "SpecialToken.id");
    return cJSON_IsString(name) ? tokenizer_find(t, name->valuestring) : id;
}

static err_code load_tokenizer_config(struct tokenizer *t, const char *path, struct err *e)
{
    struct json j = {0};
    err_code rc = json_open(&j, path, MAX_CONFIG_BYTES, e);
    if (!rc)
        rc = config_token(t, &j, "bos_token", &t->bos, e);
    if (!rc)
        rc = config_token(t, &j, "eos_token", &t->eos, e);
    if (!rc)
        rc = config_token(t, &j, "pad_token", &t->pad, e);
    if (!rc)
        rc = json_opt_bool(&j, j.root, "add_bos_token", &t->adds_bos, e);
    t->adds_bos_given = json_at(j.root, "add_bos_token");
    if (!rc)
        rc = config_template(t, &j, e);
    json_close(&j);
    return rc;
}

/* An id or a list of ids; the first goes to *one when that is -1, all go to the stops if asked. */
static err_code config_ids(struct tokenizer *t, const struct json *j, const char *key, int32_t *one,
                           bool stops, struct err *e)
{
    const cJSON *v = json_at(j->root, key);
    err_code rc = ERR_OK;
    for (const cJSON *c = cJSON_IsArray(v) ? v->child : v; c && !rc; c = c->next) {
        if (!cJSON_IsNumber(c) || !(c->valuedouble >= 0 && c->valuedouble < (double)t->n) ||
            c->valuedouble != (int64_t)c->valuedouble)
            return err_set(e, ERR_FORMAT, "%s: \"%s\" should be ids from 0 to %lld", j->name, key,
                           (long long)t->n - 1);
        if (*one < 0)
            *one = (int32_t)c->valuedouble;
        if (stops)
            rc = tok_add_stop(t, (int32_t)c->valuedouble, e);
        if (c == v)
            break;
    }
    return rc;
}

static err_code load_generation_config(struct tokenizer *t, const char *path, struct err *e)
{
    struct json j = {0};
    err_code rc = json_open(&j, path, MAX_CONFIG_BYTES, e);
    if (!rc && t->eos >= 0) /* the tokenizer's own comes first */
        rc = tok_add_stop(t, t->eos, e);
    if (!rc)
        rc = config_ids(t, &j, "bos_token_id", &t->bos, false, e);
    if (!rc)
        rc = config_ids(t, &j, "eos_token_id", &t->eos, true, e);
    if (!rc)
        rc = config_ids(t, &j, "pad_token_id", &t->pad, false, e);
    json_close(&j);
    return rc;
}

/* config.json's eos, by which generation ends where nothing beside the tokenizer names one. It is
 * ignored when it is none of the added tokens: other people's defaults stand there, too. */
static err_code load_model_config(struct tokenizer *t, const char *path, struct err *e)
{
    struct json j = {0};
    int n_stops = t->n_stops;
    if (t->eos >= 0)
        return ERR_OK;
    err_code rc = json_open(&j, path, MAX_CONFIG_BYTES, e);
    if (!rc && (config_ids(t, &j, "eos_token_id", &t->eos, true, NULL) ||
                (t->eos >= 0 && !(t->entries[t->eos].flags & TOK_ADDED)))) {
        t->eos = -1;
        t->n_stops = n_stops;
    }
    json_close(&j);
    return rc;
}

static err_code load_template_file(struct tokenizer *t, const char *path, struct err *e)
{
    struct buf text = {0};
    err_code rc = file_read(path, MAX_CONFIG_BYTES, &text, e);
    if (rc) {
        buf_dispose(&text);
        return rc;
    }
    mem_free(t->chat_template);
    t->chat_template = text.data;
    return ERR_OK;
}

/* Runs load on dir/name when that file is there. */
static err_code beside(struct tokenizer *t, const char *dir, const char *name,
                       err_code (*load)(struct tokenizer *, const char *, struct err *),
                       struct err *e)
{
    char *path = path_join(dir, name, e);
    if (!path)
        return ERR_NOMEM;
    err_code rc = file_exists(path) ? load(t, path, e) : ERR_OK;
    mem_free(path);
    return rc;
}

static err_code no_tokenizer(const char *path, struct err *e)
{
    err_set(e, ERR_FORMAT, "%s: no tokenizer.json: \"model\" should be an object there", path);
    char *dir = path_dir(path, NULL), *real = dir ? path_join(dir, "tokenizer.json", NULL) : NULL;
    if (real && strcmp(path_base(path), "tokenizer.json") && file_exists(real))
        err_add(e, "; did you mean %s?", dir);
    mem_free(real);
    mem_free(dir);
    return ERR_FORMAT;
}

/* tokenizer.json as a tree: hundreds of thousands of nodes, which an arena makes four times as fast
 * as an allocation for each. */
static err_code read_json(struct tokenizer *t, const char *dir, struct json_arena *arena,
                          struct json *j, struct err *e)
{
    struct buf text = {0};
    const cJSON *root = NULL;
    err_code rc = file_read(t->name, MAX_JSON_BYTES, &text, e);
    if (rc == ERR_NOTFOUND)
        file_suggest_below(dir, "tokenizer.json", e);
    if (!rc)
        rc = json_arena_parse(arena, t->name, text.data, text.len, &root, e);
    buf_dispose(&text);
    *j = (struct json){(cJSON *)root, t->name}; /* both are others': not closed */
    return rc;
}

static err_code load_json(struct tokenizer *t, const char *dir, struct err *e)
{
    struct json_arena arena = {0};
    struct json j;
    err_code rc = read_json(t, dir, &arena, &j, e);
    const cJSON *model = json_at(j.root, "model");
    if (!rc && !cJSON_IsObject(model))
        rc = no_tokenizer(t->name, e);
    if (!rc)
        rc = check_model(t, &j, model, e);
    if (!rc)
        rc = load_vocab(t, json_at(model, "vocab"), e);
    if (!rc)
        rc = load_added(t, &j, e);
    if (!rc)
        rc = beside(t, dir, "tokenizer_config.json", load_added_decoder, e);
    if (!rc)
        rc = tok_vocab_index(t, "vocab and added_tokens", e);
    if (!rc)
        rc = load_merges(t, json_at(model, "merges"), e);
    if (!rc)
        rc = load_unk(t, &j, model, e);
    if (!rc)
        rc = load_normalizer(t, json_at(j.root, "normalizer"), e);
    if (!rc)
        rc = load_pre_tokenizer(t, &j, json_at(j.root, "pre_tokenizer"), e);
    if (!rc && !t->byte_level)
        rc =
            err_set(e, ERR_UNSUPPORTED,
                    "%s: pre_tokenizer has no ByteLevel; decant does byte-level BPE only", t->name);
    if (!rc)
        rc = check_decoder(t, json_at(j.root, "decoder"), e);
    if (!rc)
        rc = beside(t, dir, "tokenizer_config.json", load_tokenizer_config, e);
    int32_t first = rc ? -1 : template_first(t, json_at(j.root, "post_processor"));
    if (first >= 0 && t->bos < 0)
        t->bos = first;
    if (!t->adds_bos_given)
        t->adds_bos = first >= 0 && first == t->bos;
    json_arena_dispose(&arena);
    return rc;
}

err_code tok_hf_load(struct tokenizer *t, const char *path, struct err *e)
{
    bool is_dir = file_is_dir(path);
    const char *base = path_base(path);
    char *dir = is_dir         ? mem_strdup(path, e)
                : base == path ? mem_strdup(".", e)
                               : mem_strndup(path, (size_t)(base - path), e);
    t->name = is_dir ? path_join(path, "tokenizer.json", e) : mem_strdup(path, e);
    err_code rc = dir && t->name ? ERR_OK : ERR_NOMEM;
    if (!rc)
        rc = load_json(t, dir, e);
    if (!rc)
        rc = beside(t, dir, "generation_config.json", load_generation_config, e);
    if (!rc)
        rc = beside(t, dir, "config.json", load_model_config, e);
    if (!rc)
        rc = beside(t, dir, "chat_template.jinja", load_template_file, e);
    mem_free(dir);
    return rc;
}
