#include "tests/server/server.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[N_KINDS] = {
    [KIND_CORRECT] = "correct",       [KIND_WRONG] = "wrong",
    [KIND_NO_THINK] = "no_think",     [KIND_LOOP] = "loop",
    [KIND_TRUNCATED] = "truncated",   [KIND_FILTERED] = "filtered",
    [KIND_ANSWERLESS] = "answerless",
};

const char *kind_name(enum kind k)
{
    return kind_names[k];
}

/* The last "A + B" of the prompt. */
static bool find_sum(const char *prompt, long *a, long *b)
{
    bool found = false;
    for (const char *p = strstr(prompt, " + "); p; p = strstr(p + 3, " + ")) {
        const char *from = p;
        while (from > prompt && p - from < 15 && isdigit((unsigned char)from[-1]))
            from--;
        if (from == p || !isdigit((unsigned char)p[3]))
            continue;
        *a = strtol(from, NULL, 10);
        *b = strtol(p + 3, NULL, 10);
        found = true;
    }
    return found;
}

static void put(char list[][TOKEN_BYTES], int *n, const char *s)
{
    snprintf(list[(*n)++], TOKEN_BYTES, "%s", s);
}

static void put_number(char list[][TOKEN_BYTES], int *n, const char *before, long v)
{
    snprintf(list[(*n)++], TOKEN_BYTES, "%s%ld", before, v);
}

void answer_plan(const struct answer_options *o, const char *prompt, uint64_t seed,
                 int64_t max_tokens, struct answer *a)
{
    *a = (struct answer){.seed = mix(mix(config.seed, hash_text(prompt, strlen(prompt))), seed),
                         .finish_reason = "stop"};
    double u = share(mix(a->seed, 1));
    for (int k = 1; k < N_KINDS; k++) {
        if (u >= 0 && u < o->share[k])
            a->kind = (enum kind)k;
        u -= o->share[k];
    }
    long x = 40, y = 2;
    find_sum(prompt, &x, &y);
    long sum = x + y;
    if (a->kind == KIND_WRONG)
        sum += 1 + (long)(mix(a->seed, 2) % 9);
    put(a->head, &a->n_head, "Let");
    put(a->head, &a->n_head, " me");
    put(a->head, &a->n_head, " add");
    put_number(a->head, &a->n_head, " ", x);
    put(a->head, &a->n_head, " and");
    put_number(a->head, &a->n_head, " ", y);
    put(a->head, &a->n_head, ".\n");
    put(a->tail, &a->n_tail, "\nSo");
    put_number(a->tail, &a->n_tail, " ", x);
    put(a->tail, &a->n_tail, " +");
    put_number(a->tail, &a->n_tail, " ", y);
    put(a->tail, &a->n_tail, " =");
    put_number(a->tail, &a->n_tail, " ", sum);
    put(a->tail, &a->n_tail, ".");
    put(a->last, &a->n_last, "The");
    put(a->last, &a->n_last, " sum");
    put(a->last, &a->n_last, " is");
    put(a->last, &a->n_last, " \\boxed{");
    put_number(a->last, &a->n_last, "", sum);
    put(a->last, &a->n_last, "}");
    put(a->last, &a->n_last, ".");
    int64_t span = o->max_tokens - o->min_tokens + 1;
    a->n_reasoning = o->min_tokens + (int64_t)(mix(a->seed, 3) % (uint64_t)span);
    if (a->n_reasoning < a->n_head + a->n_tail)
        a->n_reasoning = a->n_head + a->n_tail;
    a->n_answer = a->n_last;
    switch (a->kind) {
    case KIND_NO_THINK:
        a->n_reasoning = 0;
        break;
    case KIND_LOOP:
        a->n_reasoning = o->loop_tokens;
        a->n_answer = 0;
        a->finish_reason = "length";
        break;
    case KIND_TRUNCATED:
        a->n_reasoning -= a->n_tail + 1;
        a->n_answer = 0;
        a->finish_reason = "length";
        break;
    case KIND_FILTERED:
        a->n_answer = 3;
        a->finish_reason = "content_filter";
        break;
    case KIND_ANSWERLESS:
        a->n_answer = 0;
        break;
    default:
        break;
    }
    if (max_tokens > 0 && a->n_reasoning + a->n_answer > max_tokens) {
        a->n_reasoning = a->n_reasoning < max_tokens ? a->n_reasoning : max_tokens;
        a->n_answer = max_tokens - a->n_reasoning;
        a->finish_reason = "length";
        if (a->kind != KIND_LOOP)
            a->kind = KIND_TRUNCATED;
    }
}

static const char *const words[64] = {
    " first",   " carry",  " the",     " units", " digit",   " tens",   " column",  " naïve",
    " check",   " again",  " plus",    " minus", " sum",     " über",   " careful", " write",
    " number",  " add",    " hundred", " place", " value",   " 数",     " 加",      " →",
    " known",   " result", " both",    " sides", " equal",   " 😀",      " so",      " then",
    " maybe",   " wait",   " think",   " about", " another", " way",    " x²",      " π",
    " because", " each",   " step",    " must",  " hold",    " true",   " follow",  " from",
    " before",  " after",  " small",   " large", " odd",     " even",   " half",    " twice",
    " café",    " left",   " right",   " under", " over",    " middle", " bound",   " ∑",
};
static const char *const loop[8] = {" Wait,", " let",  " me",    " check",
                                    " that",  " once", " more.", " Hmm."};

size_t answer_token(const struct answer *a, int64_t i, char out[TOKEN_BYTES])
{
    const char *s;
    if (i >= a->n_reasoning)
        s = i - a->n_reasoning < a->n_last ? a->last[i - a->n_reasoning] : " .";
    else if (i < a->n_head)
        s = a->head[i];
    else if (a->kind == KIND_LOOP)
        s = loop[(i - a->n_head) % 8];
    else if (a->kind != KIND_TRUNCATED && i >= a->n_reasoning - a->n_tail)
        s = a->tail[i - (a->n_reasoning - a->n_tail)];
    else
        s = words[mix(a->seed, (uint64_t)i + 100) % 64];
    size_t n = strlen(s);
    memcpy(out, s, n + 1);
    return n;
}
