/* Where in a text is the final answer? The order of the rules, and "####" and "answer is". */
#include "dataset/answer_find.h"
#include "dataset/expr.h"

enum { MAX_WHOLE = 200 }; /* bytes of a text that is nothing but an answer */

static const char *line_end(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    return nl ? nl : end;
}

static bool find_hashes(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    for (const char *s = end; (s = memrchr(text, '#', (size_t)(s - text)));)
        if (starts(s, end, "####"))
            return set_span(out, s + 4, line_end(s, end), "####");
    return false;
}

bool find_is_value(const struct answer_span *a)
{
    struct answer_value v;
    struct expr_tree t;
    size_t stop = a->n && a->text[a->n - 1] == '.';
    return a->n <= MAX_WHOLE && !memchr(a->text, '\n', a->n) &&
           (answer_parse(a->text, a->n, &v) || expr_parse(a->text, a->n - stop, &t));
}

/* A heading, "#### Final answer", is passed over: words stand on the last line. */
static bool find_value_after_hashes(const char *text, size_t n, struct answer_span *out)
{
    struct answer_span rest;
    if (!find_hashes(text, n, out))
        return false;
    const char *end = out->text + out->n;
    return find_is_value(out) ||
           (text_is_word(out->text, out->n) && !set_span(&rest, end, text + n, ""));
}

/* The end of the sentence that begins at s: a line's end, ". " or "; ", or a reason. */
static const char *sentence_end(const char *s, const char *end)
{
    static const char *const reasons[] = {" because ", " since ",  ", because ", ", since ",
                                          ", so ",     ", which ", ", as "};
    end = line_end(s, end);
    for (const char *p = s; p + 1 < end; p++) {
        if ((*p == '.' || *p == ';') && p[1] == ' ')
            return p;
        if (*p != ' ' && *p != ',')
            continue;
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
            if (starts(p, end, reasons[i]))
                return p;
    }
    return end;
}

static bool answer_at(const char *from, const char *end, struct answer_span *out)
{
    while (from < end && (strchr(":*", *from) || isspace((unsigned char)*from)))
        from++;
    if (find_display_at(from, end, out, "answer is"))
        return true;
    const char *to = sentence_end(from, end);
    to -= to > from && to[-1] == '.';
    while (to > from && to[-1] == '*') /* Markdown's bold */
        to--;
    return set_span(out, from, to, "answer is");
}

static bool find_answer_is(const char *text, size_t n, struct answer_span *out)
{
    static const char *const phrases[] = {
        "answer is", "answer:",   "answer :",  "answer**:",       "answer:**",  "answer**",
        "answer\n",  "option is", "choice is", "answer would be", "answer** is"};
    const char *end = text + n;
    for (const char *s = end; s-- > text;) {
        char first = *s | 32, second = s + 1 < end ? s[1] | 32 : 0; /* in lower case */
        if ((first != 'a' || second != 'n') && (first != 'o' || second != 'p') &&
            (first != 'c' || second != 'h'))
            continue;
        size_t best = 0;
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
            size_t len = strlen(phrases[i]);
            if (len > best && starts_any_case(s, end, phrases[i]))
                best = len;
        }
        if (best)
            return answer_at(s + best, end, out);
    }
    return false;
}

/* The whole text, when it is one line and nothing but a value or a word. */
static bool find_whole(const char *text, size_t n, struct answer_span *out)
{
    return set_span(out, text, text + n, "whole") &&
           (find_is_value(out) || (out->n <= MAX_WHOLE && text_is_word(out->text, out->n)));
}

/* Does what was found begin on a later line than the "answer:" before from? */
static bool is_later(const char *text, const char *from, const char *found)
{
    while (found > text && found[-1] != '\n')
        found--;
    while (from > found && strchr(" *:", from[-1]))
        from--;
    return found >= from;
}

/* Is what was found in the sentence behind a label that begins its line, as in "**Answer:** She has
 * **12** left."? */
static bool is_behind_label(const char *text, const struct answer_span *sentence,
                            const struct answer_span *found)
{
    const char *s = sentence->text, *end = s;
    while (s > text && s[-1] != '\n')
        s--;
    while (s < end && strchr(" *#", *s))
        s++;
    for (int i = 0; i < 2; i++) {
        s += starts_any_case(s, end, "the ") ? 4 : 0;
        s += starts_any_case(s, end, "final ") ? 6 : 0;
    }
    bool label = starts_any_case(s, end, "answer") && memchr(s, ':', (size_t)(end - s));
    return label && found->text > sentence->text &&
           found->text + found->n <= sentence->text + sentence->n;
}

/* Does the sentence stand behind "Final answer:"? */
static bool is_final(const char *text, const struct answer_span *sentence)
{
    static const char label[] = "final answer:";
    const char *s = sentence->text;
    while (s > text && strchr(" *", s[-1]))
        s--;
    return s - text >= (ptrdiff_t)sizeof label - 1 &&
           starts_any_case(s - sizeof label + 1, s, label);
}

bool answer_extract(const char *text, size_t n, struct answer_span *out)
{
    struct answer_span end;
    if (find_boxed(text, n, out) || find_value_after_hashes(text, n, out))
        return true;
    if (!find_answer_is(text, n, out))
        return find_whole(text, n, out) || find_at_end(text, n, out);
    /* "To find the answer: add the numbers." leads to a later line */
    if (find_is_value(out) || text_is_word(out->text, out->n))
        return true;
    if ((find_at_end(text, n, &end) &&
         (is_later(text, out->text, end.text) || is_behind_label(text, out, &end))) ||
        (is_final(text, out) && find_at_end(out->text, out->n, &end)))
        *out = end;
    return true;
}

/* Past the first words at or behind s that take back what was said; NULL: none. */
static const char *past_retraction(const char *s, const char *end)
{
    static const char *const words[] = {"wait",       "however",           "actually",
                                        "correction", "on reflection",     "should be",
                                        "instead",    "on second thought", "mistake"};
    for (; s < end; s++) {
        if (isalpha((unsigned char)s[-1]) || !strchr("wWhHaAcCoOsSiImM", *s))
            continue;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            const char *past = s + strlen(words[i]);
            if (starts_any_case(s, end, words[i]) &&
                (past == end || !isalpha((unsigned char)*past)))
                return past;
        }
    }
    return NULL;
}

bool find_taken_back(const char *s, const char *end)
{
    return s < end && past_retraction(s + 1, end);
}

/* The last number in [s, end). */
static bool find_last_number(const char *s, const char *end, struct answer_span *out)
{
    const char *p = end;
    while (p > s && !isdigit((unsigned char)p[-1]))
        p--;
    const char *past = p;
    while (p > s && (isdigit((unsigned char)p[-1]) ||
                     (strchr(".,", p[-1]) && p - 1 > s && isdigit((unsigned char)p[-2]))))
        p--;
    return set_span(out, p, past, "last number");
}

bool answer_after(const char *text, size_t n, const struct answer_span *answer,
                  struct answer_span *out)
{
    const char *from = answer->text + answer->n, *end = text + n;
    bool boxed = !strcmp(answer->rule, "boxed");
    if (boxed && find_answer_is(from, (size_t)(end - from), out) && find_is_value(out))
        return true;
    if (!boxed && strcmp(answer->rule, "answer is"))
        return false;
    const char *back = past_retraction(from, end);
    return back && find_last_number(back, end, out);
}

bool answer_gold(const char *text, size_t n, struct answer_span *out)
{
    struct answer_span all;
    if (find_hashes(text, n, out))
        return true;
    if (!find_boxed(text, n, out))
        return set_span(out, text, text + n, "whole");
    if (find_boxes(text, n, true, &all) && all.text < out->text)
        *out = all;
    return true;
}
