/* think.h: where an answer's reasoning is. Rules, in this order:
 *
 *   reasoning_content   a field of its own (DeepSeek, SGLang, older vLLM, llama-server)
 *   reasoning           the same (newer vLLM, OpenRouter)
 *   thinking            parts of that type, where the content is an array of parts (Mistral)
 *   tag                 in the content, up to the first </think>; its opening tag may be missing,
 *                       because the template wrote it
 *   none                nowhere
 *
 * A finder watches the content as it grows, in steps of any size:
 *
 *     struct think_tags t = {0};
 *     ...content grew...  think_look(&t, content, n_content);
 *     think_split(&t, &text, &split);
 */
#ifndef DECANT_TEACHER_HTTP_THINK_H
#define DECANT_TEACHER_HTTP_THINK_H

#include <stdbool.h>
#include <stddef.h>

enum think_rule { THINK_NONE, THINK_TAG, THINK_PARTS, THINK_REASONING, THINK_REASONING_CONTENT };
const char *think_rule_name(enum think_rule r);

struct think_tags {
    size_t n_seen;         /* bytes of the content that were looked at */
    size_t close;          /* where the first </think> begins, when closed */
    bool opened, closed;   /* <think> begins the content, but for white space; </think> is there */
    bool opening_is_known; /* enough has come to tell opened */
};
/* content: all of it so far. Looks at what is new. */
void think_look(struct think_tags *t, const char *content, size_t n);

struct think_text {
    const char *reasoning; /* of the field */
    size_t n_reasoning;
    const char *content;
    size_t n_content;
    enum think_rule field; /* which field gave reasoning; THINK_NONE when none did */
    size_t n_before;       /* bytes of content that came before the field's first text */
    bool thinking_open;    /* the prompt ended in an opening tag */
    bool raw;              /* the prompt was a raw text: no server took tags away */
    bool cut;              /* the answer did not come to its end by itself */
};
/* Parts without their tags and without outer white space; they point into the texts. */
struct think_split {
    enum think_rule rule;
    const char *reasoning, *answer;
    size_t n_reasoning, n_answer;
};
/* With a field: reasoning is the field, the content is the answer; tags that a server left at their
 * edges go (an opening one at the content's begin only where it came before the field: else the
 * answer itself opens it, and what follows may be a thought that came to no end), and of a content
 * that holds the reasoning once more, <think>...</think> and then the answer, the answer stays (the
 * longer of the two is the reasoning). Without: the tag rule. Without a closing tag all is
 * reasoning when <think> begins the content, or when the prompt opened the thinking and the answer
 * was cut or the prompt was raw. */
void think_split(const struct think_tags *t, const struct think_text *x, struct think_split *s);

#endif
