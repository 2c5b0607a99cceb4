#include "dataset/answer.h"
#include "dataset/answer_find.h"
#include "dataset/answer_tree.h"
#include "dataset/answer_value.h"

#include <ctype.h>
#include <string.h>

const char *answer_verdict_name(enum answer_verdict v)
{
    return v == ANSWER_CORRECT ? "correct" : v == ANSWER_WRONG ? "wrong" : "unknown";
}

struct bare {
    const char *s;
    size_t n;
};

/* Without white space and a sentence's end around it. */
static struct bare trim_ends(const char *s, size_t n)
{
    while (n && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    bool stop = n > 1 && (s[n - 1] == '.' || s[n - 1] == ',') && s[n - 2] != '.';
    bool half_day = n > 3 && s[n - 1] == '.' && strchr("mM", s[n - 2]) && s[n - 3] == '.';
    return (struct bare){s, n - (stop && !half_day)};
}

static struct bare trim(const char *s, size_t n)
{
    struct bare b = trim_ends(s, n);
    bool bold = b.n > 4 && !memcmp(b.s, "**", 2) && !memcmp(b.s + b.n - 2, "**", 2);
    return bold ? trim_ends(b.s + 2, b.n - 4) : b;
}

static bool has_words(struct bare b)
{
    for (size_t i = 0; i < b.n; i++)
        if (isalnum((unsigned char)b.s[i]) || (unsigned char)b.s[i] >= 0x80)
            return true;
    return false;
}

/* Do the two differ in nothing but where commas, points and spaces stand among the digits?
 * "1.234,5", "12,34,567", "1, 234" and "100,200" are read in different ways in different places. */
static bool differ_in_grouping(struct bare a, struct bare b)
{
    size_t i = 0, k = 0;
    bool comma = false;
    for (;;) {
        while (i < a.n && strchr("(,. )", a.s[i]))
            comma = a.s[i++] == ',' || comma;
        while (k < b.n && strchr("(,. )", b.s[k]))
            comma = b.s[k++] == ',' || comma;
        if (i == a.n || k == b.n || a.s[i] != b.s[k] || !isdigit((unsigned char)a.s[i]))
            return i == a.n && k == b.n && comma;
        i++;
        k++;
    }
}

/* Two letters or more and nothing else: a word, or a product of variables. */
static bool is_letters(struct bare b)
{
    for (size_t i = 0; i < b.n; i++)
        if (!isalpha((unsigned char)b.s[i]))
            return false;
    return b.n > 1;
}

static enum answer_verdict compare_notation(struct bare a, struct bare b, const char **why)
{
    if (is_letters(a) && is_letters(b)) /* "cat" and "act" */
        return text_compare(a.s, a.n, b.s, b.n, why);
    struct expr_tree given, gold;
    bool is_gold = expr_parse(b.s, b.n, &gold), is_given = expr_parse(a.s, a.n, &given);
    if (!is_gold || !is_given)
        return text_compare(a.s, a.n, b.s, b.n, why);
    enum answer_verdict v = answer_trees(&given, &gold, why);
    if (v == ANSWER_WRONG && differ_in_grouping(a, b)) {
        *why = "a comma may separate thousands, decimals or elements";
        return ANSWER_UNKNOWN;
    }
    return v;
}

enum answer_verdict answer_compare(const char *given, size_t n_given, const char *gold,
                                   size_t n_gold, const char **why)
{
    struct answer_value x, y;
    struct bare a = trim(given, n_given), b = trim(gold, n_gold);
    const char *unused;
    why = why ? why : &unused;
    if (!has_words(b) && !memmem(b.s, b.n, "\\{", 2)) {
        *why = "no gold answer";
        return ANSWER_UNKNOWN;
    }
    if (a.n == b.n && !memcmp(a.s, b.s, b.n)) {
        *why = "equal";
        return ANSWER_CORRECT;
    }
    if (a.n > ANSWER_MAX_BYTES || b.n > ANSWER_MAX_BYTES) {
        *why = "too long to be compared";
        return ANSWER_UNKNOWN;
    }
    if (answer_parse(b.s, b.n, &y) && answer_parse(a.s, a.n, &x)) {
        enum answer_verdict v = answer_equal(&x, &y, why);
        bool in_text = memmem(a.s, a.n, "\\text", 5) || memmem(b.s, b.n, "\\text", 5) ||
                       memmem(a.s, a.n, "\\mathrm", 7) || memmem(b.s, b.n, "\\mathrm", 7);
        if (v != ANSWER_UNKNOWN || !in_text || (*x.unit && *y.unit))
            return v; /* "13\text{ m}" is no product, as "13 m" may be */
    }
    return compare_notation(a, b, why);
}

/* Found at the text's end without a word that says so. */
static bool is_weak(const struct answer_span *a)
{
    return !strcmp(a->rule, "displayed") || !strcmp(a->rule, "marked") ||
           !strcmp(a->rule, "only number") || !strcmp(a->rule, "last line");
}

/* Is the gold answer in all boxes of the text together, not only in the last, as roots that are
 * boxed one by one? */
static bool is_in_boxes(const char *text, size_t n, const struct answer_span *last,
                        const struct answer_span *gold)
{
    char list[ANSWER_MAX_BYTES + 1];
    struct answer_span all;
    return find_boxes(text, n, false, &all) && all.text < last->text &&
           find_box_list(all.text, all.n, list) &&
           answer_compare(list, strlen(list), gold->text, gold->n, NULL) != ANSWER_WRONG;
}

enum answer_verdict answer_check(const char *text, size_t n, const char *gold, size_t n_gold,
                                 const char **why)
{
    struct answer_span a, b, later;
    const char *unused;
    why = why ? why : &unused;
    if (!gold || !answer_gold(gold, n_gold, &b)) {
        *why = "no gold answer";
        return ANSWER_UNKNOWN;
    }
    if (!strcmp(b.rule, "boxes")) {
        *why = "several boxes in the gold answer";
        return ANSWER_UNKNOWN;
    }
    if (!answer_extract(text, n, &a)) {
        *why = "no answer found";
        return ANSWER_UNKNOWN;
    }
    if (answer_after(text, n, &a, &later) &&
        answer_compare(a.text, a.n, later.text, later.n, NULL) == ANSWER_WRONG) {
        *why = "another answer behind this one";
        return ANSWER_UNKNOWN;
    }
    enum answer_verdict v = answer_compare(a.text, a.n, b.text, b.n, why);
    if (v == ANSWER_WRONG && !strcmp(a.rule, "boxed") && is_in_boxes(text, n, &a, &b)) {
        *why = "the answer is in several boxes";
        return ANSWER_UNKNOWN;
    }
    if (v == ANSWER_WRONG && is_weak(&a) && answer_elsewhere(text, n, &a, &b)) {
        *why = "another number at the end, which may belong to a remark";
        return ANSWER_UNKNOWN;
    }
    return v;
}
