#include "core/lm/batch.h"

#include <string.h>

err_code batch_init(struct batch *b, int64_t cap, struct err *e)
{
    memset(b, 0, sizeof *b);
    size_t n = (size_t)cap;
    b->cap = cap;
    b->tokens = mem_new(n, sizeof *b->tokens, e);
    b->targets = mem_new(n, sizeof *b->targets, e);
    b->weights = mem_new(n, sizeof *b->weights, e);
    b->positions = mem_new(n, sizeof *b->positions, e);
    b->doc_start = mem_new(n, sizeof *b->doc_start, e);
    if (!b->tokens || !b->targets || !b->weights || !b->positions || !b->doc_start) {
        batch_dispose(b);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void batch_clear(struct batch *b)
{
    b->n_tokens = b->n_docs = b->n_valid = 0;
}

void batch_dispose(struct batch *b)
{
    if (!b)
        return;
    mem_free(b->tokens);
    mem_free(b->targets);
    mem_free(b->weights);
    mem_free(b->positions);
    mem_free(b->doc_start);
    memset(b, 0, sizeof *b);
}

bool batch_add(struct batch *b, const int32_t *tokens, int64_t n, int64_t n_prompt)
{
    if (n > b->cap - b->n_tokens)
        return false;
    int64_t first = b->n_tokens;
    for (int64_t i = 0; i < n; i++) {
        int64_t t = first + i;
        bool valid = i + 1 < n && i + 1 >= n_prompt;
        b->tokens[t] = tokens[i];
        b->targets[t] = valid ? tokens[i + 1] : -1;
        b->weights[t] = valid ? 1.0f : 0.0f;
        b->positions[t] = (int32_t)i;
        b->doc_start[t] = (int32_t)first;
        b->n_valid += valid;
    }
    b->n_tokens += n;
    b->n_docs++;
    return true;
}
