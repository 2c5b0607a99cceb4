/* decant chat: talk to a model; tokens stream as they come, the reasoning set apart. */
#include "cli/cli.h"

#include "core/base/log.h"
#include "core/lm/sched.h"
#include "distill/model.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char open_tag[] = "<think>", tag[] = "</think>";

struct talk {
    struct model model;
    struct sampling sampling;
    int64_t max_tokens;
    uint64_t seed;
    bool tty, hide_reasoning;
    /* the conversation */
    struct chat_turn *turns;
    int n_turns;
    /* the answer being streamed */
    struct token_list prompt;
    bool taken, thinking, started;
    bool begun; /* it is known whether the answer begins with reasoning */
    struct token_stream stream;
    struct buf pending; /* decoded but not yet shown: may be the start of the tag */
    struct buf answer;
    struct err err;
    err_code rc;
    int64_t n_tokens;
    double seconds;
    enum finish finish;
};

static void show(struct talk *t, const char *s, size_t n)
{
    if (!t->started) { /* leading white space of a part is only layout */
        while (n && strchr(" \n\r\t", *s)) {
            s++;
            n--;
        }
        t->started = n > 0;
    }
    if (n && !(t->thinking && t->hide_reasoning))
        cli_put_text(s, n);
    fflush(stdout);
}

static void begin_part(struct talk *t, bool thinking)
{
    t->thinking = thinking;
    t->started = false;
    if (thinking && t->hide_reasoning)
        return;
    if (t->tty)
        printf("%s", thinking ? "\033[2m" : "\033[0m");
    else if (thinking)
        printf("<think>\n");
}

static void end_thinking(struct talk *t)
{
    if (!t->hide_reasoning)
        printf("%s\n\n", t->tty ? "\033[0m" : "\n</think>");
    begin_part(t, false);
}

/* Where the form does not force it, a model opens its reasoning itself. False: too early to say. */
static bool find_opening(struct talk *t, bool all)
{
    struct buf *p = &t->pending;
    size_t n = p->len ? strspn(p->data, " \n\r\t") : 0, left = p->len - n;
    size_t len = left < strlen(open_tag) ? left : strlen(open_tag);
    bool opens = !left || !strncmp(p->data + n, open_tag, len);
    if (opens && len < strlen(open_tag))
        return all;
    if (opens) {
        begin_part(t, true);
        p->len -= n + len;
        memmove(p->data, p->data + n + len, p->len + 1);
    }
    t->begun = true;
    return true;
}

/* Shows what is certain: while thinking, a tail that may grow into the tag waits. */
static err_code show_pending(struct talk *t, bool all)
{
    struct buf *p = &t->pending;
    if (!t->begun && !find_opening(t, all))
        return ERR_OK;
    if (t->thinking) {
        char *at = p->len ? strstr(p->data, tag) : NULL;
        if (at) {
            size_t after = (size_t)(at - p->data) + strlen(tag);
            while (at > p->data && strchr(" \n", at[-1]))
                at--;
            show(t, p->data, (size_t)(at - p->data));
            end_thinking(t);
            memmove(p->data, p->data + after, p->len - after + 1);
            p->len -= after;
        }
    }
    size_t keep = 0;
    if (t->thinking && !all) {
        keep = p->len < strlen(tag) ? p->len : strlen(tag) - 1;
        while (keep && strncmp(p->data + p->len - keep, tag, keep) &&
               p->data[p->len - keep] != '\n')
            keep--;
    }
    if (!p->len)
        return ERR_OK;
    show(t, p->data, p->len - keep);
    err_code rc = t->thinking ? ERR_OK : buf_add(&t->answer, p->data, p->len - keep, &t->err);
    memmove(p->data, p->data + p->len - keep, keep + 1);
    p->len = keep;
    return rc;
}

static bool next(void *ctx, struct gen_request *r, bool *end)
{
    struct talk *t = ctx;
    *end = t->taken;
    if (t->taken)
        return false;
    t->taken = true;
    r->prompt = t->prompt.ids;
    r->n_prompt = t->prompt.n;
    r->max_tokens = t->max_tokens;
    r->sampling = t->sampling;
    r->rng = rng_make(t->seed, (uint64_t)t->n_turns, 0);
    r->n_stops = tokenizer_stops(t->model.tok, &r->stops);
    return true;
}

static bool on_token(void *ctx, uint64_t id, int32_t token)
{
    (void)id;
    struct talk *t = ctx;
    t->rc = tokenizer_stream(t->model.tok, &t->stream, token, false, &t->pending, &t->err);
    if (!t->rc)
        t->rc = show_pending(t, false);
    return !t->rc && !stop_requested();
}

static err_code done(void *ctx, const struct gen_result *r, struct err *e)
{
    (void)e;
    struct talk *t = ctx;
    t->n_tokens = r->n_tokens;
    t->seconds = r->seconds;
    t->finish = r->finish;
    return ERR_OK;
}

static err_code answer(struct talk *t, const char *system, struct err *e)
{
    token_list_clear(&t->prompt);
    buf_clear(&t->pending);
    buf_clear(&t->answer);
    t->stream = (struct token_stream){0};
    t->taken = false;
    t->rc = ERR_OK;
    err_code rc = chat_prompt(&t->model.chat, system, t->turns, t->n_turns, &t->prompt, e);
    if (rc)
        return rc;
    if (t->prompt.n >= t->model.lm->max_context)
        return err_set(e, ERR_USAGE,
                       "the conversation's %lld tokens fill the model's context of %lld: there is "
                       "no room for an answer",
                       (long long)t->prompt.n, (long long)t->model.lm->max_context);
    t->begun = t->model.chat.form == CHAT_R1;
    begin_part(t, t->begun);
    struct sched_job job = {.next = next,
                            .token = on_token,
                            .done = done,
                            .ctx = t,
                            .n_slots = 1,
                            .n_choose = tokenizer_size(t->model.tok),
                            .n_threads = t->model.device->n_threads};
    struct sched_stats st;
    rc = sched_run(t->model.lm, &job, &st, e);
    if (!rc && t->rc) {
        rc = t->rc;
        *e = t->err;
    }
    if (!rc)
        rc = tokenizer_stream_end(&t->stream, &t->pending, e);
    if (!rc)
        rc = show_pending(t, true);
    printf("%s\n", t->tty ? "\033[0m" : "");
    fflush(stdout);
    if (!rc && t->finish == FINISH_LENGTH)
        log_info("[cut after %lld tokens]", (long long)t->n_tokens);
    if (!rc && t->tty && t->seconds > 0)
        log_info("[%lld tokens, %.1f tokens/s]", (long long)t->n_tokens,
                 (double)t->n_tokens / t->seconds);
    return rc;
}

static err_code add_turn(struct talk *t, const char *question, struct err *e)
{
    err_code rc = mem_grow((void **)&t->turns, (size_t)t->n_turns + 1, sizeof *t->turns, e);
    if (rc)
        return rc;
    t->turns[t->n_turns] = (struct chat_turn){.user = mem_strdup(question, e)};
    return t->turns[t->n_turns++].user ? ERR_OK : ERR_NOMEM;
}

/* Lets a signal end the wait for a line, which it would otherwise go on with. */
static void end_wait_on(int sig)
{
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) == 0) {
        sa.sa_flags &= ~SA_RESTART;
        sigaction(sig, &sa, NULL);
    }
}

static err_code converse(struct talk *t, const char *system, struct err *e)
{
    char *line = NULL;
    size_t cap = 0;
    err_code rc = ERR_OK;
    end_wait_on(SIGINT);
    end_wait_on(SIGTERM);
    while (!rc) {
        if (t->tty)
            fprintf(stderr, "> ");
        ssize_t n = getline(&line, &cap, stdin);
        if (stop_requested())
            rc = err_set(e, ERR_STOPPED, "stopped on request");
        else if (n < 0 && ferror(stdin))
            rc = err_errno(e, "cannot read", "standard input");
        if (rc || n < 0)
            break;
        while (n && strchr("\r\n", line[n - 1]))
            line[--n] = 0;
        if (!n)
            continue;
        if ((rc = add_turn(t, line, e)) || (rc = answer(t, system, e)))
            break;
        t->turns[t->n_turns - 1].assistant = mem_strdup(t->answer.data ? t->answer.data : "", e);
        if (!t->turns[t->n_turns - 1].assistant)
            rc = ERR_NOMEM;
    }
    free(line);
    return rc;
}

static void talk_dispose(struct talk *t)
{
    for (int i = 0; i < t->n_turns; i++) {
        mem_free((char *)t->turns[i].user);
        mem_free((char *)t->turns[i].assistant);
    }
    mem_free(t->turns);
    token_list_dispose(&t->prompt);
    buf_dispose(&t->pending);
    buf_dispose(&t->answer);
    model_close(&t->model);
}

static int run(int argc, char **argv);

const struct command cmd_chat = {
    .name = "chat",
    .summary = "talk to a model",
    .run = run,
    .about =
        "Streams the answer token by token. A reasoning model's chain of thought comes first: dim\n"
        "on a terminal, between <think> and </think> elsewhere. Without --prompt, each line of "
        "the\n"
        "input is a turn of one conversation. On a terminal, control characters that the model\n"
        "writes are left out.",
    .example = "decant chat --model student.gguf --prompt \"What is 12 * 7 + 5?\"",
};

static int run(int argc, char **argv)
{
    struct talk t = {.max_tokens = 32768};
    const char *model = NULL, *prompt = NULL, *system = NULL;
    double temperature = 0.6, top_p = 0.95;
    int64_t seed = 0, threads = 0, top_k = 0;
    struct cli_option options[] = {
        {"model", CLI_STR, &model, "DIR|GGUF", "HF directory or GGUF file", .required = true},
        {"prompt", CLI_STR, &prompt, "TEXT", "one question; else lines are read from the input"},
        {"system", CLI_STR, &system, "TEXT", "a system prompt, where the model's form has one"},
        {"temperature", CLI_NUM, &temperature, "T", "0: greedy", .fmin = 0, .fmax = 10},
        {"top-p", CLI_NUM, &top_p, "P", "nucleus; 1: off", .fmin = 0.000001, .fmax = 1},
        {"top-k", CLI_INT, &top_k, "K", "0: off", .min = 0, .max = 1 << 30},
        {"max-tokens", CLI_INT, &t.max_tokens, "N", "longest answer, reasoning included", .min = 1,
         .max = 1 << 30},
        {"seed", CLI_INT, &seed, "N", "of the sampling", .min = 0, .max = INT64_MAX},
        {"hide-reasoning", CLI_FLAG, &t.hide_reasoning, "", "show the answers alone"},
        {"threads", CLI_INT, &threads, "N", "0: all cores", .min = 0, .max = 1024},
        {0}};
    int usage = cli_parse(&cmd_chat, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    if (prompt && !prompt[strspn(prompt, " \t\r\n")])
        return cli_end(err_set(&e, ERR_USAGE,
                               "--prompt is empty; give it a question, or leave it out to type "
                               "one"),
                       &e);
    stop_install();
    t.tty = isatty(1);
    t.sampling = (struct sampling){(float)temperature, (float)top_p, (int32_t)top_k};
    t.seed = (uint64_t)seed;
    err_code rc = model_open(&t.model, model, (int)threads, MODEL_TEXT, &e);
    if (!rc && prompt) {
        if (!(rc = add_turn(&t, prompt, &e)))
            rc = answer(&t, system, &e);
    } else if (!rc) {
        rc = converse(&t, system, &e);
    }
    talk_dispose(&t);
    return cli_end(rc, &e);
}
