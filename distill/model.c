#include "distill/model.h"

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/format/gguf.h"
#include "core/format/weights.h"
#include "student/model.h"
#include "teacher/model.h"

#include <string.h>

/* The architecture that the files name, into arch. */
static err_code read_arch(const char *path, char *arch, size_t size, struct err *e)
{
    const char *s;
    size_t n;
    err_code rc;
    arch[0] = 0;
    if (!file_is_dir(path)) {
        struct gguf *g;
        if ((rc = gguf_open(path, &g, e)))
            return rc;
        if (!(rc = gguf_str(g, "general.architecture", &s, &n, e)))
            snprintf(arch, size, "%.*s", (int)(n < size ? n : size - 1), s);
        gguf_close(g);
        return rc;
    }
    char *config = path_join(path, "config.json", e);
    if (!config)
        return ERR_NOMEM;
    struct json j = {0};
    rc = json_open(&j, config, 16 << 20, e);
    if (!rc && !(rc = json_str(&j, j.root, "model_type", &s, e)))
        snprintf(arch, size, "%s", s);
    if (rc) /* not a model's, or none at all */
        file_suggest_below(path, "tokenizer.json", e);
    json_close(&j);
    mem_free(config);
    return rc;
}

err_code model_open(struct model *m, const char *path, int n_threads, enum model_parts parts,
                    struct err *e)
{
    char arch[64];
    memset(m, 0, sizeof *m);
    err_code rc = read_arch(path, arch, sizeof arch, e);
    if (!rc)
        rc = device_open("cpu", n_threads, &m->device, e);
    if (!rc) {
        if (!strcmp(arch, "deepseek_v3") || !strcmp(arch, "deepseek_v2"))
            rc = teacher_open(path, m->device, &m->lm, e);
        else
            rc = student_lm_open(path, m->device, &m->lm, e);
    }
    if (!rc && parts == MODEL_TEXT) {
        rc = tokenizer_open(path, &m->tok, e);
        if (!rc && tokenizer_size(m->tok) > m->lm->n_vocab)
            rc = err_set(e, ERR_FORMAT, "%s: the tokenizer has ids up to %lld, the model only %lld",
                         path, (long long)tokenizer_size(m->tok) - 1, (long long)m->lm->n_vocab);
        if (!rc)
            rc = chat_init(&m->chat, m->tok, e);
    }
    if (rc)
        model_close(m);
    return rc;
}

void model_close(struct model *m)
{
    if (!m)
        return;
    lm_close(m->lm);
    tokenizer_close(m->tok);
    device_close(m->device);
    memset(m, 0, sizeof *m);
}

static uint64_t combine(uint64_t h, const void *data, uint64_t n)
{
    uint64_t pair[2] = {h, rng_hash(data, n)};
    return rng_hash(pair, sizeof pair);
}

err_code model_fingerprint(const char *path, uint64_t *out, struct err *e)
{
    enum { N_SAMPLES = 512, SAMPLE_BYTES = 4096 };
    struct weights *w;
    err_code rc = weights_open(path, &w, e);
    if (rc)
        return rc;
    uint64_t h = 0;
    const struct json *config = weights_config(w);
    if (config) {
        char *text = cJSON_PrintUnformatted(config->root);
        if (text)
            h = combine(h, text, strlen(text));
        cJSON_free(text);
    }
    int64_t n = weights_count(w), stride = n / N_SAMPLES + 1;
    for (int64_t i = 0; i < n; i++) {
        const char *name;
        struct tensor t;
        weights_at(w, i, &name, &t);
        h = combine(h, name, strlen(name));
        int64_t head[2 + TENSOR_MAX_DIMS] = {t.dtype, t.n_dims};
        memcpy(head + 2, t.shape, sizeof t.shape);
        h = combine(h, head, sizeof(int64_t) * (size_t)(2 + t.n_dims));
        uint64_t bytes = t.data ? tensor_bytes(&t) : 0;
        if (i % stride == 0 && bytes)
            h = combine(h, t.data, bytes < SAMPLE_BYTES ? bytes : SAMPLE_BYTES);
    }
    weights_close(w);
    *out = h;
    return ERR_OK;
}

err_code reply_decode(struct reply *r, const struct model *m, const int32_t *ids, int64_t n,
                      struct err *e)
{
    buf_clear(&r->text);
    err_code rc = tokenizer_decode(m->tok, ids, n, false, &r->text, e);
    if (rc)
        return rc;
    if (!r->text.data && (rc = buf_reserve(&r->text, 1, e)))
        return rc;
    chat_split_text(&m->chat, r->text.data, r->text.len, &r->split);
    r->n_reasoning_tokens = r->split.n_reasoning ? n : 0;
    if (m->chat.think_end >= 0)
        for (int64_t i = 0; i < n; i++)
            if (ids[i] == m->chat.think_end) {
                r->n_reasoning_tokens = i;
                break;
            }
    return ERR_OK;
}

void reply_dispose(struct reply *r)
{
    buf_dispose(&r->text);
}
