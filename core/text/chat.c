#include "core/text/chat.h"

#include <string.h>

const char *chat_form_name(enum chat_form f)
{
    static const char *const names[] = {"plain", "r1", "chatml", "llama3"};
    return f >= CHAT_PLAIN && f <= CHAT_LLAMA3 ? names[f] : "?";
}

/* An added token by its content; ordinary tokens do not count. */
static int32_t added(const struct tokenizer *tok, const char *content)
{
    int32_t id = tokenizer_find(tok, content);
    return id >= 0 && tokenizer_is_added(tok, id) ? id : -1;
}

static int32_t or_else(int32_t id, int32_t other)
{
    return id >= 0 ? id : other;
}

/* The text between "<|im_start|>system\n" and "<|im_end|>" where the template says it word by word,
 * its line end as it is or escaped. */
static void find_default_system(struct chat *c, const char *template)
{
    static const char open[] = "<|im_start|>system", close[] = "<|im_end|>";
    for (const char *p = template; p && (p = strstr(p, open));) {
        p += sizeof open - 1;
        size_t line_end = *p == '\n' ? 1 : !strncmp(p, "\\n", 2) ? 2 : 0;
        p += line_end;
        size_t n = strcspn(p, "'\"\\{<");
        if (line_end && n && !strncmp(p + n, close, sizeof close - 1)) {
            c->system = p;
            c->n_system = n;
            return;
        }
    }
}

err_code chat_init(struct chat *c, const struct tokenizer *tok, struct err *e)
{
    (void)e;
    *c = (struct chat){.form = CHAT_PLAIN, .tok = tok, .user = -1, .assistant = -1};
    c->bos = tokenizer_bos(tok);
    c->eos = tokenizer_eos(tok);
    c->think = added(tok, "<think>");
    c->think_end = added(tok, "</think>");
    int32_t r1_user = added(tok, "<｜User｜>"), r1_assistant = added(tok, "<｜Assistant｜>");
    int32_t im_start = added(tok, "<|im_start|>"), im_end = added(tok, "<|im_end|>");
    int32_t header = added(tok, "<|start_header_id|>"),
            header_end = added(tok, "<|end_header_id|>");
    if (r1_user >= 0 && r1_assistant >= 0) {
        c->form = CHAT_R1;
        c->user = r1_user;
        c->assistant = r1_assistant;
        c->bos = or_else(added(tok, "<｜begin▁of▁sentence｜>"), c->bos);
        c->eos = or_else(added(tok, "<｜end▁of▁sentence｜>"), c->eos);
    } else if (im_start >= 0 && im_end >= 0) {
        c->form = CHAT_CHATML;
        c->user = c->assistant = im_start;
        c->bos = tokenizer_adds_bos(tok) ? c->bos : -1;
        c->eos = im_end;
        find_default_system(c, tokenizer_chat_template(tok));
    } else if (header >= 0 && header_end >= 0) {
        c->form = CHAT_LLAMA3;
        c->user = header;
        c->assistant = header_end;
        c->bos = or_else(added(tok, "<|begin_of_text|>"), c->bos);
        c->eos = or_else(added(tok, "<|eot_id|>"), c->eos);
    } else if (!tokenizer_adds_bos(tok))
        c->bos = -1;
    return ERR_OK;
}

/* Writing a prompt: ids and runs of text in turn. Runs that touch are encoded as one. */
struct writer {
    const struct chat *c;
    struct token_list *out;
    struct buf text;
    struct err *e;
    err_code rc;
};

static void flush(struct writer *w)
{
    if (!w->rc && w->text.len)
        w->rc = tokenizer_encode(w->c->tok, w->text.data, w->text.len, 0, w->out, w->e);
    buf_clear(&w->text);
}

static void put_id(struct writer *w, int32_t id)
{
    flush(w);
    if (!w->rc && id >= 0)
        w->rc = token_list_add(w->out, id, w->e);
}

static void put(struct writer *w, const char *text)
{
    if (!w->rc && text)
        w->rc = buf_str(&w->text, text, w->e);
}

/* A token of the form, or its text in a vocabulary that lacks it. */
static void put_tag(struct writer *w, int32_t id, const char *text)
{
    if (id >= 0)
        put_id(w, id);
    else
        put(w, text);
}

static err_code finish(struct writer *w)
{
    flush(w);
    buf_dispose(&w->text);
    return w->rc;
}

/* The opening of one role's message, and its end. */
static void open_role(struct writer *w, const char *role)
{
    const struct chat *c = w->c;
    switch (c->form) {
    case CHAT_R1:
        if (strcmp(role, "system"))
            put_id(w, strcmp(role, "user") ? c->assistant : c->user);
        break;
    case CHAT_CHATML:
        put_id(w, c->user);
        put(w, role);
        put(w, "\n");
        break;
    case CHAT_LLAMA3:
        put_id(w, c->user);
        put(w, role);
        put_id(w, c->assistant);
        put(w, "\n\n");
        break;
    case CHAT_PLAIN:
        break;
    }
}

static void close_role(struct writer *w, const char *role)
{
    const struct chat *c = w->c;
    switch (c->form) {
    case CHAT_R1:
        if (!strcmp(role, "assistant"))
            put_id(w, c->eos);
        break;
    case CHAT_CHATML:
        put_id(w, c->eos);
        put(w, "\n");
        break;
    case CHAT_LLAMA3:
        put_id(w, c->eos);
        break;
    case CHAT_PLAIN:
        put(w, "\n");
        break;
    }
}

static void message_n(struct writer *w, const char *role, const char *text, size_t n)
{
    open_role(w, role);
    if (!w->rc)
        w->rc = buf_add(&w->text, text, n, w->e);
    close_role(w, role);
}

static void message(struct writer *w, const char *role, const char *text)
{
    message_n(w, role, text, text ? strlen(text) : 0);
}

err_code chat_prompt(const struct chat *c, const char *system, const struct chat_turn *turns,
                     int n_turns, struct token_list *out, struct err *e)
{
    struct writer w = {.c = c, .out = out, .e = e};
    put_id(&w, c->bos);
    if (system && *system)
        message(&w, "system", system);
    else if (c->system)
        message_n(&w, "system", c->system, c->n_system);
    for (int i = 0; i < n_turns; i++) {
        message(&w, "user", turns[i].user);
        if (turns[i].assistant)
            message(&w, "assistant", turns[i].assistant);
    }
    open_role(&w, "assistant");
    if (c->form == CHAT_R1) {
        put_tag(&w, c->think, "<think>");
        put(&w, "\n");
    }
    return finish(&w);
}

err_code chat_completion(const struct chat *c, const char *reasoning, const char *answer,
                         struct token_list *out, struct err *e)
{
    struct writer w = {.c = c, .out = out, .e = e};
    bool forced = c->form == CHAT_R1, thinks = reasoning && *reasoning;
    if (!forced && thinks) {
        put_tag(&w, c->think, "<think>");
        put(&w, "\n");
    }
    put(&w, reasoning);
    if (forced || thinks) {
        put(&w, "\n");
        put_tag(&w, c->think_end, "</think>");
        put(&w, "\n\n");
    }
    put(&w, answer);
    put_id(&w, c->eos);
    return finish(&w);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **s, size_t *n)
{
    while (*n && is_space(**s)) {
        ++*s;
        --*n;
    }
    while (*n && is_space((*s)[*n - 1]))
        --*n;
}

void chat_split_text(const struct chat *c, const char *text, size_t n, struct chat_split *s)
{
    static const char open[] = "<think>", close[] = "</think>";
    const char *end = n ? memmem(text, n, close, sizeof close - 1) : NULL;
    *s = (struct chat_split){.reasoning = text, .answer = text, .closed = end};
    if (end) {
        s->n_reasoning = (size_t)(end - text);
        s->answer = end + sizeof close - 1;
        s->n_answer = n - (size_t)(s->answer - text);
    } else if (c->form == CHAT_R1) {
        s->n_reasoning = n;
        s->answer = text + n;
    } else
        s->n_answer = n;
    trim(&s->reasoning, &s->n_reasoning);
    trim(&s->answer, &s->n_answer);
    /* where the form does not force it, the model opens its reasoning itself */
    if (s->n_reasoning >= sizeof open - 1 && !memcmp(s->reasoning, open, sizeof open - 1)) {
        s->reasoning += sizeof open - 1;
        s->n_reasoning -= sizeof open - 1;
        trim(&s->reasoning, &s->n_reasoning);
    }
}
