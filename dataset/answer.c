#include "dataset/answer.h"
#include "dataset/answer_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_LINE = 300 }; /* bytes of a closing sentence in which a lone number is looked for */

const char *answer_verdict_name(enum answer_verdict v)
{
    return v == ANSWER_CORRECT ? "correct" : v == ANSWER_WRONG ? "wrong" : "unknown";
}

static bool set_span(struct answer_span *out, const char *s, const char *end, const char *rule)
{
    while (s < end && isspace((unsigned char)*s))
        s++;
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *out = (struct answer_span){s, (size_t)(end - s), rule};
    return end > s;
}

/* The content of the braces that open at s; NULL when they do not close within an answer's length.
 */
static const char *closing_brace(const char *s, const char *end)
{
    if (end - s > ANSWER_MAX_BYTES)
        end = s + ANSWER_MAX_BYTES;
    int depth = 0;
    for (; s < end; s++) {
        if (*s == '\\' && s + 1 < end && (s[1] == '{' || s[1] == '}'))
            s++;
        else if (*s == '{')
            depth++;
        else if (*s == '}' && --depth == 0)
            return s;
    }
    return NULL;
}

/* The last complete box, searched from the end. */
static bool find_boxed(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    for (const char *s = end; s-- > text;) {
        if (*s != '\\')
            continue;
        size_t left = (size_t)(end - s);
        size_t skip = left > 6 && !memcmp(s, "\\boxed", 6)  ? 6
                      : left > 5 && !memcmp(s, "\\fbox", 5) ? 5
                                                            : 0;
        if (!skip)
            continue;
        const char *open = s + skip;
        while (open < end && *open == ' ')
            open++;
        if (open == end || *open != '{')
            continue;
        const char *close = closing_brace(open, end);
        if (close)
            return set_span(out, open + 1, close, "boxed");
    }
    return false;
}

static const char *line_end(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    return nl ? nl : end;
}

static bool find_hashes(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    for (const char *s = end; s-- > text;)
        if (end - s >= 4 && !memcmp(s, "####", 4))
            return set_span(out, s + 4, line_end(s, end), "####");
    return false;
}

/* The end of the sentence that begins at s: a line's end, or ". " or "; ". */
static const char *sentence_end(const char *s, const char *end)
{
    end = line_end(s, end);
    for (const char *p = s; p + 1 < end; p++)
        if ((*p == '.' || *p == ';') && p[1] == ' ')
            return p;
    return end;
}

static bool find_answer_is(const char *text, size_t n, struct answer_span *out)
{
    static const char *const phrases[] = {"answer is",
                                          "answer:", "answer :", "answer**:", "answer:**"};
    const char *end = text + n;
    for (const char *s = end; s-- > text;) {
        if ((*s != 'a' && *s != 'A') || end - s < 7 || strncasecmp(s, "answer", 6))
            continue;
        size_t best = 0;
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
            size_t len = strlen(phrases[i]);
            if (len > best && (size_t)(end - s) >= len && !strncasecmp(s, phrases[i], len))
                best = len;
        }
        if (!best)
            continue;
        const char *from = s + best;
        while (from < end && (*from == ':' || *from == ' ' || *from == '*'))
            from++;
        const char *to = sentence_end(from, end);
        to -= to > from && to[-1] == '.';
        while (to > from && to[-1] == '*') /* Markdown's bold */
            to--;
        return set_span(out, from, to, "answer is");
    }
    return false;
}

/* Words after which a number in a closing sentence is not an answer. */
static bool is_hedged(const char *s, size_t n)
{
    static const char *const words[] = {
        " not ",    "n't ",      " cannot ",   " maybe ",  " perhaps ", " approximately ",
        " about ",  " around ",  " least ",    " most ",   " than ",    " over ",
        " under ",  " roughly ", " either ",   " or ",     " step ",    " nearly ",
        " almost ", " except ",  " between ",  " if ",     " unless ",  " half ",
        " twice ",  " double ",  " question ", " problem "};
    char lower[MAX_LINE + 3] = " ";
    for (size_t i = 0; i < n; i++)
        lower[i + 1] =
            isalpha((unsigned char)s[i]) || s[i] == '\'' ? (char)tolower((unsigned char)s[i]) : ' ';
    lower[n + 1] = ' ';
    lower[n + 2] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(lower, words[i]))
            return true;
    return memchr(s, '?', n) != NULL;
}

/* The one number of the last line, when it has just one and is not hedged. */
static bool find_only_number(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    const char *s = end;
    while (s > text && s[-1] != '\n')
        s--;
    size_t len = (size_t)(end - s);
    if (!len || len > MAX_LINE || is_hedged(s, len))
        return false;
    const char *first = NULL, *last = NULL;
    for (const char *p = s; p < end;) {
        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        if (first)
            return false;
        first = p;
        while (p < end && (isdigit((unsigned char)*p) || ((*p == ',' || *p == '.') && p + 1 < end &&
                                                          isdigit((unsigned char)p[1]))))
            p++;
        last = p;
    }
    if (!first)
        return false;
    /* A letter, slash, minus, LaTeX or an operator at its side: part of something larger. */
    const char *before = first;
    if (before > s && before[-1] == '$')
        before--;
    if (before > s && !strchr(" (:*", before[-1]))
        return false;
    while (before > s && strchr(" (*$", before[-1]))
        before--;
    if (before > s && strchr("-+/^=<>", before[-1]))
        return false;
    const char *after = last;
    if (after < end && *after == '%')
        after++;
    if (after < end && !strchr(" .,!)*$;", *after))
        return false;
    while (after < end && *after == ' ')
        after++;
    if (memchr(s, '\\', len) || (after < end && strchr("-+/^=<>", *after)))
        return false;
    return set_span(out, first, last < end && *last == '%' ? last + 1 : last, "only number");
}

static bool find_whole(const char *text, size_t n, struct answer_span *out)
{
    struct answer_value v;
    return n <= ANSWER_MAX_BYTES && set_span(out, text, text + n, "whole") &&
           !memchr(out->text, '\n', out->n) && answer_parse(out->text, out->n, &v);
}

bool answer_extract(const char *text, size_t n, struct answer_span *out)
{
    return find_boxed(text, n, out) || find_hashes(text, n, out) || find_answer_is(text, n, out) ||
           find_whole(text, n, out) || find_only_number(text, n, out);
}

bool answer_gold(const char *text, size_t n, struct answer_span *out)
{
    return find_hashes(text, n, out) || find_boxed(text, n, out) ||
           set_span(out, text, text + n, "whole");
}

enum answer_verdict answer_compare(const char *given, size_t n_given, const char *gold,
                                   size_t n_gold, const char **why)
{
    struct answer_value a, b;
    const char *unused;
    why = why ? why : &unused;
    if (!answer_parse(gold, n_gold, &b)) {
        *why = "the gold answer is not a number that can be read";
        return ANSWER_UNKNOWN;
    }
    if (n_given == n_gold && !memcmp(given, gold, n_gold)) {
        *why = "equal";
        return ANSWER_CORRECT;
    }
    if (!answer_parse(given, n_given, &a)) {
        *why = "the answer is not a number that can be read";
        return ANSWER_UNKNOWN;
    }
    return answer_equal(&a, &b, why);
}

enum answer_verdict answer_check(const char *text, size_t n, const char *gold, size_t n_gold,
                                 const char **why)
{
    struct answer_span a, b;
    const char *unused;
    why = why ? why : &unused;
    if (!gold || !answer_gold(gold, n_gold, &b)) {
        *why = "no gold answer";
        return ANSWER_UNKNOWN;
    }
    if (!answer_extract(text, n, &a)) {
        struct answer_value v;
        bool readable = answer_parse(b.text, b.n, &v);
        *why = readable ? "no answer found" : "the gold answer is not a number that can be read";
        return ANSWER_UNKNOWN;
    }
    return answer_compare(a.text, a.n, b.text, b.n, why);
}
