#include "teacher/http/think.h"

#include <string.h>

static const char OPEN[] = "<think>", CLOSE[] = "</think>";
enum { N_OPEN = sizeof OPEN - 1, N_CLOSE = sizeof CLOSE - 1 };

const char *think_rule_name(enum think_rule r)
{
    static const char *const names[] = {"none", "tag", "thinking", "reasoning",
                                        "reasoning_content"};
    return names[r];
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void think_look(struct think_tags *t, const char *s, size_t n)
{
    if (!t->opening_is_known) {
        size_t i = 0;
        while (i < n && is_space(s[i]))
            i++;
        size_t have = n - i < N_OPEN ? n - i : N_OPEN;
        if (have && memcmp(s + i, OPEN, have))
            t->opening_is_known = true;
        else if (have == N_OPEN)
            t->opening_is_known = t->opened = true;
    }
    if (!t->closed && n > t->n_seen) {
        /* a tag may have begun in the last bytes seen */
        size_t from = t->n_seen < N_CLOSE - 1 ? 0 : t->n_seen - (N_CLOSE - 1);
        const char *found = memmem(s + from, n - from, CLOSE, N_CLOSE);
        if (found) {
            t->closed = true;
            t->close = (size_t)(found - s);
        }
    }
    t->n_seen = n;
}

struct part {
    const char *p;
    size_t n;
};

static struct part trim(const char *p, size_t n)
{
    while (n && is_space(*p)) {
        p++;
        n--;
    }
    while (n && is_space(p[n - 1]))
        n--;
    return (struct part){p, n};
}

static struct part without_prefix(struct part x, const char *tag, size_t n_tag)
{
    if (x.n >= n_tag && !memcmp(x.p, tag, n_tag))
        return trim(x.p + n_tag, x.n - n_tag);
    return x;
}

static struct part without_suffix(struct part x, const char *tag, size_t n_tag)
{
    if (x.n >= n_tag && !memcmp(x.p + x.n - n_tag, tag, n_tag))
        return trim(x.p, x.n - n_tag);
    return x;
}

void think_split(const struct think_tags *t, const struct think_text *x, struct think_split *s)
{
    struct part reasoning = {"", 0}, answer = {"", 0};
    bool unclosed = t->opened || (x->thinking_open && (x->cut || x->raw));
    s->rule = x->field;
    if (x->field != THINK_NONE) {
        reasoning = trim(x->reasoning, x->n_reasoning);
        reasoning = without_prefix(reasoning, OPEN, N_OPEN);
        reasoning = without_suffix(reasoning, CLOSE, N_CLOSE);
        answer = without_prefix(trim(x->content, x->n_content), CLOSE, N_CLOSE);
        if (answer.n && (size_t)(answer.p - x->content) + N_OPEN <= x->n_before)
            answer = without_prefix(answer, OPEN, N_OPEN); /* Together's first chunk */
        if (t->opened && t->closed) { /* said twice, or in two parts: the longer one stays */
            struct part tagged = without_prefix(trim(x->content, t->close), OPEN, N_OPEN);
            answer = trim(x->content + t->close + N_CLOSE, x->n_content - t->close - N_CLOSE);
            if (tagged.n > reasoning.n) {
                reasoning = tagged;
                s->rule = THINK_TAG;
            }
        }
    } else if (t->closed) {
        s->rule = THINK_TAG;
        reasoning = without_prefix(trim(x->content, t->close), OPEN, N_OPEN);
        answer = trim(x->content + t->close + N_CLOSE, x->n_content - t->close - N_CLOSE);
    } else if (unclosed && x->n_content) {
        s->rule = THINK_TAG;
        reasoning = without_prefix(trim(x->content, x->n_content), OPEN, N_OPEN);
    } else if (x->n_content) {
        answer = trim(x->content, x->n_content);
    }
    s->reasoning = reasoning.p ? reasoning.p : "";
    s->n_reasoning = reasoning.n;
    s->answer = answer.p ? answer.p : "";
    s->n_answer = answer.n;
}
