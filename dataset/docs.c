#include "dataset/pack.h"

#include <string.h>

err_code doc_list_add_tokens(struct doc_list *l, const int32_t *tokens, int64_t n, int64_t n_prompt,
                             struct err *e)
{
    int64_t before = l->tokens.n;
    err_code rc = ERR_OK;
    for (int64_t i = 0; i < n && !rc; i++)
        rc = token_list_add(&l->tokens, tokens[i], e);
    if (!rc && l->n == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 1024;
        rc = mem_grow((void **)&l->start, (size_t)cap, sizeof *l->start, e);
        if (!rc)
            rc = mem_grow((void **)&l->n_prompt, (size_t)cap, sizeof *l->n_prompt, e);
        if (!rc)
            l->cap = cap;
    }
    if (rc) {
        l->tokens.n = before;
        return rc;
    }
    l->start[l->n] = before;
    l->n_prompt[l->n++] = n_prompt;
    return ERR_OK;
}

err_code doc_list_add(struct doc_list *l, const struct chat *chat, const struct corpus_row *row,
                      enum doc_target target, struct err *e)
{
    struct token_list ids = {0};
    struct chat_turn turn = {.user = row->prompt};
    err_code rc = chat_prompt(chat, NULL, &turn, 1, &ids, e);
    int64_t n_prompt = ids.n;
    if (!rc)
        rc = chat_completion(chat, target == TARGET_TRACE ? row->reasoning : "", row->answer, &ids,
                             e);
    if (!rc)
        rc = doc_list_add_tokens(l, ids.ids, ids.n, n_prompt, e);
    token_list_dispose(&ids);
    return rc ? err_context(e, "trace %lld", (long long)row->id) : ERR_OK;
}

int64_t doc_list_length(const struct doc_list *l, int64_t i)
{
    return (i + 1 < l->n ? l->start[i + 1] : l->tokens.n) - l->start[i];
}

void doc_list_dispose(struct doc_list *l)
{
    if (!l)
        return;
    token_list_dispose(&l->tokens);
    mem_free(l->start);
    mem_free(l->n_prompt);
    memset(l, 0, sizeof *l);
}
