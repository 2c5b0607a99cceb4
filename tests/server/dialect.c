/* The JSON of each server, as their releases of 2025 and 2026 write it. */
#include "tests/server/server.h"

#include <inttypes.h>
#include <string.h>

enum usage_at { USAGE_WITH_FINISH, USAGE_AFTER };
struct dialect {
    const char *name, *id_prefix, *model;
    const char *top;                    /* top-level members of each chunk */
    const char *role;                   /* the first chunk's delta */
    const char *thought[2], *answer[2]; /* a delta's text stands between the two */
    const char *end;                    /* the finish chunk's delta */
    const char *choice;                 /* members of the finish chunk's choice */
    const char *whole_thought;          /* the message's field in a whole answer */
    const char *finish_error;           /* finish_reason of an answer that the server gave up */
    enum usage_at usage_at;
    bool usage_always; /* also unasked */
    bool usage_null;   /* each chunk has "usage":null */
    bool details;      /* OpenRouter's reasoning_details */
    bool cached;       /* reports cached prompt tokens */
};

static const struct dialect dialects[] = {
    {.name = "deepseek",
     .id_prefix = "",
     .model = "deepseek-reasoner",
     .top = "\"system_fingerprint\":\"fp_393bca965e_prod0623_fp8_kvcache\",",
     .role = "\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\"",
     .thought = {"\"content\":null,\"reasoning_content\":", ""},
     .answer = {"\"content\":", ",\"reasoning_content\":null"},
     .end = "\"content\":\"\",\"reasoning_content\":null",
     .choice = "",
     .whole_thought = "reasoning_content",
     .finish_error = "insufficient_system_resource",
     .usage_at = USAGE_WITH_FINISH,
     .usage_always = true,
     .cached = true},
    {.name = "vllm-old",
     .id_prefix = "chatcmpl-",
     .model = "deepseek-ai/DeepSeek-R1",
     .top = "",
     .role = "\"role\":\"assistant\",\"content\":\"\"",
     .thought = {"\"reasoning_content\":", ""},
     .answer = {"\"content\":", ""},
     .end = "\"content\":\"\"",
     .choice = ",\"stop_reason\":null",
     .whole_thought = "reasoning_content",
     .finish_error = "abort",
     .usage_at = USAGE_AFTER,
     .cached = true},
    {.name = "vllm",
     .id_prefix = "chatcmpl-",
     .model = "deepseek-ai/DeepSeek-R1-0528",
     .top = "",
     .role = "\"role\":\"assistant\",\"content\":\"\"",
     .thought = {"\"reasoning\":", ""},
     .answer = {"\"content\":", ""},
     .end = "\"content\":\"\"",
     .choice = ",\"stop_reason\":null,\"token_ids\":null",
     .whole_thought = "reasoning",
     .finish_error = "abort",
     .usage_at = USAGE_AFTER,
     .cached = true},
    {.name = "sglang",
     .id_prefix = "",
     .model = "deepseek-ai/DeepSeek-R1",
     .top = "",
     .role = "\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":null,"
             "\"tool_calls\":null",
     .thought = {"\"role\":null,\"content\":null,\"reasoning_content\":", ",\"tool_calls\":null"},
     .answer = {"\"role\":null,\"content\":", ",\"reasoning_content\":null,\"tool_calls\":null"},
     .end = "\"role\":null,\"content\":null,\"reasoning_content\":null,\"tool_calls\":null",
     .choice = ",\"matched_stop\":1",
     .whole_thought = "reasoning_content",
     .finish_error = "abort",
     .usage_at = USAGE_AFTER,
     .usage_null = true,
     .cached = true},
    {.name = "llama-server",
     .id_prefix = "chatcmpl-",
     .model = "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf",
     .top = "\"system_fingerprint\":\"b5995-c35f9eaf\",",
     .role = "\"role\":\"assistant\",\"content\":null",
     .thought = {"\"reasoning_content\":", ""},
     .answer = {"\"content\":", ""},
     .end = "",
     .choice = "",
     .whole_thought = "reasoning_content",
     .finish_error = "aborted",
     .usage_at = USAGE_AFTER},
    {.name = "openrouter",
     .id_prefix = "gen-",
     .model = "deepseek/deepseek-r1-0528",
     .top = "\"provider\":\"DeepInfra\",",
     .role = "\"role\":\"assistant\",\"content\":\"\"",
     .thought = {"\"role\":\"assistant\",\"content\":\"\",\"reasoning\":", ""},
     .answer = {"\"role\":\"assistant\",\"content\":", ",\"reasoning\":null"},
     .end = "\"role\":\"assistant\",\"content\":\"\"",
     .choice = ",\"native_finish_reason\":\"stop\"",
     .whole_thought = "reasoning",
     .finish_error = "error",
     .usage_at = USAGE_AFTER,
     .usage_always = true,
     .details = true,
     .cached = true},
};
enum { N_DIALECTS = sizeof dialects / sizeof dialects[0] };

const struct dialect *dialect_find(const char *name)
{
    for (int i = 0; i < N_DIALECTS; i++)
        if (!strcmp(dialects[i].name, name))
            return &dialects[i];
    return NULL;
}

void dialect_list(FILE *f)
{
    for (int i = 0; i < N_DIALECTS; i++)
        fprintf(f, "%s%s", i ? " " : "", dialects[i].name);
    fputc('\n', f);
}

bool dialect_reports_cached(void)
{
    return config.dialect->cached;
}

static const char *model_name(void)
{
    return config.model ? config.model : config.dialect->model;
}

static bool in_tags(const struct exchange *x)
{
    return config.tags || !x->chat;
}

static void add_usage(const struct exchange *x, struct text *t)
{
    const struct dialect *d = config.dialect;
    int64_t p = x->n_prompt_tokens, h = x->n_cached_tokens, c = x->i_token;
    int64_t r = c < x->answer.n_reasoning ? c : x->answer.n_reasoning;
    if (x->fault == FAULT_BAD_USAGE) {
        static const char *const bad[] = {"-5", "1e300", "\"many\"", "3.7", "9223372036854775808"};
        text_printf(t, "{\"prompt_tokens\":%s,\"completion_tokens\":%s,\"total_tokens\":null}",
                    bad[x->dice % 5], bad[(x->dice >> 8) % 5]);
        return;
    }
    text_printf(t,
                "{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
                ",\"total_tokens\":%" PRId64,
                p, c, p + c);
    if (d->cached)
        text_printf(t, ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64 "}", h);
    if (!strcmp(d->name, "deepseek"))
        text_printf(
            t, ",\"prompt_cache_hit_tokens\":%" PRId64 ",\"prompt_cache_miss_tokens\":%" PRId64, h,
            p - h);
    if (!strcmp(d->name, "sglang"))
        text_printf(t, ",\"reasoning_tokens\":%" PRId64, r);
    if (!strcmp(d->name, "deepseek") || d->details)
        text_printf(t, ",\"completion_tokens_details\":{\"reasoning_tokens\":%" PRId64 "}", r);
    if (d->details)
        text_printf(t, ",\"cost\":%.17g,\"is_byok\":false", x->cost_usd);
    text_puts(t, "}");
}

static void add_bytes(struct text *t, const char *s, size_t n)
{
    text_puts(t, "[");
    for (size_t i = 0; i < n; i++)
        text_printf(t, "%s%d", i ? "," : "", (unsigned char)s[i]);
    text_puts(t, "]");
}

/* Candidate j of token i: the token itself and others that are less likely. */
static size_t candidate(const struct exchange *x, int64_t i, int j, char out[TOKEN_BYTES],
                        double *logprob)
{
    *logprob = -0.25 * share(mix(x->answer.seed, (uint64_t)i + 7777)) - 1.5 * j;
    if (!j)
        return answer_token(&x->answer, i, out);
    return (size_t)snprintf(out, TOKEN_BYTES, " alt%d", j);
}

static void add_chat_logprobs(const struct exchange *x, struct text *t, int64_t from, int64_t to)
{
    char s[TOKEN_BYTES];
    double lp;
    text_puts(t, "[");
    for (int64_t i = from; i < to; i++) {
        for (int j = -1; j < x->n_top; j++) {
            size_t n = candidate(x, i, j < 0 ? 0 : j, s, &lp);
            text_puts(t, j < 0 ? (i > from ? ",{" : "{") : j ? ",{" : "{");
            text_puts(t, "\"token\":");
            text_json(t, s, n);
            text_printf(t, ",\"logprob\":%.6g,\"bytes\":", lp);
            add_bytes(t, s, n);
            text_puts(t, j < 0 ? ",\"top_logprobs\":[" : "}");
        }
        text_puts(t, "]}");
    }
    text_puts(t, "]");
}

static void add_plain_logprobs(const struct exchange *x, struct text *t, int64_t from, int64_t to)
{
    char s[TOKEN_BYTES];
    double lp;
    text_puts(t, "{\"tokens\":[");
    for (int64_t i = from; i < to; i++) {
        text_puts(t, i > from ? "," : "");
        text_json(t, s, candidate(x, i, 0, s, &lp));
    }
    text_puts(t, "],\"token_logprobs\":[");
    for (int64_t i = from; i < to; i++) {
        candidate(x, i, 0, s, &lp);
        text_printf(t, "%s%.6g", i > from ? "," : "", lp);
    }
    text_puts(t, "],\"top_logprobs\":[");
    for (int64_t i = from; i < to; i++) {
        text_puts(t, i > from ? ",{" : "{");
        for (int j = 0; j < x->n_top; j++) {
            text_puts(t, j ? "," : "");
            text_json(t, s, candidate(x, i, j, s, &lp));
            text_printf(t, ":%.6g", lp);
        }
        text_puts(t, "}");
    }
    text_puts(t, "],\"text_offset\":[");
    size_t at = 0;
    for (int64_t i = 0; i < to; i++) {
        if (i >= from)
            text_printf(t, "%s%zu", i > from ? "," : "", at);
        at += candidate(x, i, 0, s, &lp);
    }
    text_puts(t, "]}");
}

static void add_logprobs(const struct exchange *x, struct text *t, int64_t from, int64_t to)
{
    if (!x->n_top || config.no_logprobs || from >= to) {
        text_puts(t, "null");
    } else if (!x->chat) {
        add_plain_logprobs(x, t, from, to);
    } else if (!strcmp(config.dialect->name, "deepseek")) {
        int64_t mid = x->answer.n_reasoning;
        mid = mid < from ? from : mid > to ? to : mid;
        text_puts(t, "{\"content\":");
        add_chat_logprobs(x, t, mid, to);
        text_puts(t, ",\"reasoning_content\":");
        add_chat_logprobs(x, t, from, mid);
        text_puts(t, "}");
    } else {
        text_puts(t, "{\"content\":");
        add_chat_logprobs(x, t, from, to);
        text_puts(t, ",\"refusal\":null}");
    }
}

static const char *object_name(const struct exchange *x)
{
    return !x->chat ? "text_completion" : x->stream ? "chat.completion.chunk" : "chat.completion";
}

static void make_prefix(struct exchange *x)
{
    text_printf(&x->prefix,
                "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", x->id,
                object_name(x), x->created);
    text_json(&x->prefix, model_name(), strlen(model_name()));
    text_puts(&x->prefix, ",");
    text_puts(&x->prefix, config.dialect->top);
    text_puts(&x->prefix, "\"choices\":[");
}

/* One event of the stream. choice NULL: choices is empty. */
static void add_event(struct exchange *x, const char *choice, size_t n, const char *usage)
{
    struct text *t = &x->out;
    const char *end = x->fault == FAULT_CRLF ? "\r\n" : "\n";
    text_puts(t, "data: ");
    text_add(t, x->prefix.s, x->prefix.n);
    if (x->fault == FAULT_SPLIT_DATA)
        text_puts(t, "\ndata: ");
    if (choice)
        text_add(t, choice, n);
    text_puts(t, "]");
    if (usage)
        text_puts(t, ",\"usage\":"), text_puts(t, usage);
    else if (config.dialect->usage_null)
        text_puts(t, ",\"usage\":null");
    text_puts(t, "}");
    text_puts(t, end);
    text_puts(t, end);
    if (x->fault == FAULT_COMMENTS && mix(x->dice, t->n) % 3 == 0)
        text_puts(t, mix(x->dice, t->n) % 2 ? ": keep-alive\n\n" : "\n\n");
}

/* Text of tokens [from, to) as the client shall see it, with tags where they belong. */
static void token_text(const struct exchange *x, struct text *t, int64_t from, int64_t to)
{
    char s[TOKEN_BYTES];
    const struct answer *a = &x->answer;
    bool tags = in_tags(x);
    if (tags && !from && a->n_reasoning && (x->chat ? config.open_tag : !x->thinking_open))
        text_puts(t, "<think>\n");
    for (int64_t i = from; i < to; i++) {
        if (tags && i == a->n_reasoning && (i || x->thinking_open))
            text_puts(t, "\n</think>\n\n");
        text_add(t, s, answer_token(a, i, s));
        if (x->fault == FAULT_BAD_UTF8 && i % 5 == 4)
            text_add(t, "\xff\xc3\xe2\x82", 4);
    }
    int64_t all = a->n_reasoning + a->n_answer;
    if (tags && a->kind == KIND_ANSWERLESS && to == all)
        text_puts(t, "\n</think>\n\n");
}

static void add_delta(const struct exchange *x, struct text *c, bool thought, const char *s,
                      size_t n)
{
    const struct dialect *d = config.dialect;
    const char *const *around = thought ? d->thought : d->answer;
    if (!x->chat) {
        text_puts(c, "{\"index\":0,\"text\":");
        text_json(c, s, n);
        return;
    }
    text_puts(c, "{\"index\":0,\"delta\":{");
    text_puts(c, around[0]);
    text_json(c, s, n);
    text_puts(c, around[1]);
    if (thought && d->details) {
        text_puts(c, ",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":");
        text_json(c, s, n);
        text_puts(c, ",\"format\":\"unknown\",\"index\":0}]");
    }
    text_puts(c, "}");
}

static void next_tokens(struct exchange *x)
{
    const struct answer *a = &x->answer;
    int64_t all = a->n_reasoning + a->n_answer, from = x->i_token;
    int64_t to = from + config.chunk_tokens < all ? from + config.chunk_tokens : all;
    if (from < a->n_reasoning && to > a->n_reasoning)
        to = a->n_reasoning;
    bool thought = from < a->n_reasoning && !in_tags(x);
    static struct text s, c; /* one thread */
    s.n = c.n = 0;
    token_text(x, &s, from, to);
    add_delta(x, &c, thought, s.s, s.n);
    text_puts(&c, ",\"logprobs\":");
    add_logprobs(x, &c, from, to);
    text_puts(&c, ",\"finish_reason\":null}");
    add_event(x, c.s, c.n, NULL);
    if (x->fault == FAULT_DUP_TEXT && mix(x->dice, (uint64_t)from) % 4 == 0)
        add_event(x, c.s, c.n, NULL);
    x->i_token = to;
}

static const char *finish_reason(const struct exchange *x)
{
    if (x->fault == FAULT_INSUFFICIENT)
        return "insufficient_system_resource";
    if (x->fault == FAULT_ABORTED)
        return strcmp(config.dialect->name, "deepseek") ? config.dialect->finish_error : "aborted";
    return x->answer.finish_reason;
}

/* The finish chunk and the usage, in the dialect's order. */
static void add_finish(struct exchange *x)
{
    const struct dialect *d = config.dialect;
    struct text c = {0}, u = {0};
    bool usage = (x->want_usage || d->usage_always) && x->fault != FAULT_NO_USAGE;
    bool twice = x->fault == FAULT_DUP, early = x->fault == FAULT_USAGE_EARLY;
    bool with = usage && !early && d->usage_at == USAGE_WITH_FINISH;
    add_usage(x, &u);
    if (usage && early)
        add_event(x, NULL, 0, u.s);
    if (x->chat)
        text_printf(&c, "{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":\"%s\"%s}",
                    d->end, finish_reason(x), d->choice);
    else
        text_printf(&c, "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"%s\"%s}",
                    finish_reason(x), d->choice);
    for (int i = 0; i < 1 + twice; i++)
        add_event(x, c.s, c.n, with ? u.s : NULL);
    for (int i = 0; i < 1 + twice && usage && !early && !with; i++) {
        c.n = 0;
        if (d->details)
            text_printf(&c,
                        "{\"index\":0,\"delta\":{%s},\"finish_reason\":null,"
                        "\"native_finish_reason\":null,\"logprobs\":null}",
                        d->end);
        add_event(x, d->details ? c.s : NULL, c.n, u.s);
    }
    text_free(&c);
    text_free(&u);
}

static void add_error_event(struct exchange *x)
{
    text_puts(&x->out, "data: ");
    if (config.dialect->details) {
        text_add(&x->out, x->prefix.s, x->prefix.n);
        text_puts(&x->out,
                  "{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],"
                  "\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}");
    } else {
        dialect_error(&x->out, x->dice % 2 ? 500 : 503, "the engine failed on this request");
    }
    text_puts(&x->out, "\n\ndata: [DONE]\n\n");
}

/* What breaks in the middle: true when this call's piece was made here. */
static bool break_here(struct exchange *x)
{
    struct text *t = &x->out;
    switch (x->fault) {
    case FAULT_ERROR_MID:
        add_error_event(x);
        x->all_made = true;
        return true;
    case FAULT_CUT_CLEAN:
        return x->all_made = true;
    case FAULT_STALL:
        x->want_pause = true;
        x->pause_ms = INT64_MAX / 2;
        return true;
    case FAULT_BAD_JSON:
        text_puts(t, "data: ");
        text_add(t, x->prefix.s, x->prefix.n - 3);
        text_puts(t, "\n\n");
        return false;
    case FAULT_BIG_LINE:
        text_puts(t, "data: ");
        text_add(t, x->prefix.s, x->prefix.n);
        text_printf(t, "{\"index\":0,\"%s\":{\"content\":\"", x->chat ? "delta" : "text");
        for (int64_t i = 0; i < config.big_bytes / 16; i++)
            text_printf(t, "%015" PRIx64 " ", mix(x->dice, (uint64_t)i) >> 4);
        text_puts(t, "\"},\"finish_reason\":null}]}\n\n");
        return false;
    default:
        return false;
    }
}

void dialect_next(struct exchange *x)
{
    int64_t all = x->answer.n_reasoning + x->answer.n_answer;
    if (!x->prefix.n)
        make_prefix(x);
    switch (x->phase) {
    case 0: /* the role */
        x->phase = 1;
        if (config.dialect->details || x->fault == FAULT_COMMENTS)
            for (int i = 0; i < 3; i++)
                text_puts(&x->out, config.dialect->details ? ": OPENROUTER PROCESSING\n\n"
                                                           : ": keep-alive\n\n");
        if (x->fault == FAULT_ERROR_FIRST) {
            add_error_event(x);
            x->all_made = true;
        } else if (x->chat) {
            char c[256];
            int n = snprintf(c, sizeof c,
                             "{\"index\":0,\"delta\":{%s},\"logprobs\":null,"
                             "\"finish_reason\":null}",
                             config.dialect->role);
            for (int i = 0; i < 1 + (x->fault == FAULT_DUP); i++)
                add_event(x, c, (size_t)n, NULL);
        }
        return;
    case 1: { /* the text; what breaks does so before token at */
        int64_t at = (int64_t)(mix(x->dice, 11) % (uint64_t)(all > 0 ? all : 1));
        if (x->i_token <= at && x->i_token + config.chunk_tokens > at && break_here(x))
            return;
        if (x->i_token < all)
            next_tokens(x);
        if (config.chunk_ms && ++x->n_chunks % config.burst == 0) {
            x->want_pause = true;
            x->pause_ms = config.chunk_ms;
        }
        if (x->i_token >= all)
            x->phase = 2;
        return;
    }
    case 2: /* finish and usage */
        add_finish(x);
        x->phase = 3;
        return;
    default:
        if (x->fault != FAULT_NO_DONE)
            for (int i = 0; i < 1 + (x->fault == FAULT_DUP); i++)
                text_puts(&x->out, "data: [DONE]\n\n");
        x->all_made = true;
    }
}

static void add_message(const struct exchange *x, struct text *t)
{
    const struct dialect *d = config.dialect;
    const struct answer *a = &x->answer;
    struct text s = {0};
    text_puts(&s, "");
    text_puts(t, "\"message\":{\"role\":\"assistant\"");
    bool split = !in_tags(x) && a->n_reasoning;
    if (split) {
        token_text(x, &s, 0, a->n_reasoning);
        text_printf(t, ",\"%s\":", d->whole_thought);
        text_json(t, s.s, s.n);
        s.n = 0;
    }
    token_text(x, &s, split ? a->n_reasoning : 0, a->n_reasoning + a->n_answer);
    text_puts(t, ",\"content\":");
    if (s.n || strncmp(d->name, "vllm", 4))
        text_json(t, s.n ? s.s : "", s.n);
    else
        text_puts(t, "null");
    text_puts(t, ",\"tool_calls\":[]}");
    text_free(&s);
}

void dialect_whole(struct exchange *x, struct text *t)
{
    const struct answer *a = &x->answer;
    int64_t all = a->n_reasoning + a->n_answer;
    if (x->fault == FAULT_COMMENTS)
        text_puts(t, "\n\n\n\n  \n");
    if (x->fault == FAULT_ERROR_MID || x->fault == FAULT_ERROR_FIRST) {
        dialect_error(t, 503, "the engine failed on this request");
        return;
    }
    x->i_token = all;
    make_prefix(x);
    text_add(t, x->prefix.s, x->prefix.n);
    text_puts(t, "{\"index\":0,");
    if (x->chat) {
        add_message(x, t);
    } else {
        struct text s = {0};
        token_text(x, &s, 0, all);
        text_puts(t, "\"text\":");
        text_json(t, s.n ? s.s : "", s.n);
        text_free(&s);
    }
    text_puts(t, ",\"logprobs\":");
    add_logprobs(x, t, 0, all);
    if (x->fault == FAULT_BIG_LINE) {
        text_puts(t, ",\"junk\":\"");
        for (int64_t i = 0; i < config.big_bytes / 32; i++)
            text_puts(t, "0123456789abcdefghijklmnopqrstuv");
        text_puts(t, "\"");
    }
    text_printf(t, ",\"finish_reason\":\"%s\"%s}]", finish_reason(x), config.dialect->choice);
    if (x->fault != FAULT_NO_USAGE) {
        text_puts(t, ",\"usage\":");
        add_usage(x, t);
    }
    text_puts(t, "}");
    if (x->fault == FAULT_BAD_JSON || x->fault == FAULT_CUT_CLEAN)
        t->s[t->n = 1 + x->dice % (t->n - 1)] = 0;
}

void dialect_error(struct text *t, int status, const char *message)
{
    const char *type = status == 402   ? "insufficient_balance"
                       : status == 429 ? "rate_limit_error"
                       : status >= 500 ? "server_error"
                                       : "invalid_request_error";
    if (!strcmp(config.dialect->name, "vllm-old")) {
        text_puts(t, "{\"object\":\"error\",\"message\":");
        text_json(t, message, strlen(message));
        text_printf(t, ",\"type\":\"%s\",\"param\":null,\"code\":%d}", type, status);
        return;
    }
    text_puts(t, "{\"error\":{\"message\":");
    text_json(t, message, strlen(message));
    text_printf(t, ",\"type\":\"%s\",\"param\":null,\"code\":", type);
    if (!strcmp(config.dialect->name, "deepseek"))
        text_puts(t, "\"invalid_request_error\"}}");
    else
        text_printf(t, "%d}}", status);
}

void dialect_models(struct text *t)
{
    text_puts(t, "{\"object\":\"list\",\"data\":[{\"id\":");
    text_json(t, model_name(), strlen(model_name()));
    text_puts(t, ",\"object\":\"model\",\"created\":1763769600,\"owned_by\":\"tests\"}]}");
}
