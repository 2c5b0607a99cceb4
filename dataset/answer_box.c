/* Where in a text is the final answer? In its last \boxed{...}. */
#include "dataset/answer_find.h"

enum {
    MAX_TRIES = 256, /* broken boxes that are passed over */
    MAX_BOXES = 16,  /* boxes that are one answer together */
    MAX_GAP = 80     /* bytes between two of them */
};

/* The brace that closes the one at s; NULL when it does not close within an answer's length. */
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

/* Past \boxed or \fbox at s, and spaces; NULL for another text. */
static const char *past_command(const char *s, const char *end)
{
    s = starts(s, end, "\\boxed") ? s + 6 : starts(s, end, "\\fbox") ? s + 5 : NULL;
    while (s && s < end && *s == ' ')
        s++;
    return s && s < end ? s : NULL;
}

/* "\boxed 42", which TeX would read as a box around 4: up to a space, a "$" or a line's end. */
static bool bare_box(const char *s, const char *end, struct answer_span *out)
{
    const char *to = s;
    if (isalpha((unsigned char)*s))
        return false;
    while (to < end && to - s < ANSWER_MAX_BYTES && !isspace((unsigned char)*to) && *to != '$' &&
           !starts(to, end, "\\)") && !starts(to, end, "\\]"))
        to++;
    while (to > s && strchr(".,;", to[-1]))
        to--;
    return set_span(out, s, to, "bare box");
}

/* Past what is in the box, and its brace; NULL for none. */
static const char *box_end(const char *open, const char *end)
{
    struct answer_span bare;
    if (*open != '{')
        return bare_box(open, end, &bare) ? bare.text + bare.n : NULL;
    const char *close = closing_brace(open, end);
    return close ? close + 1 : NULL;
}

/* Past one thing that may stand between two boxes of one answer; NULL: something else. */
static const char *past_connector(const char *s, const char *end, bool *joins)
{
    static const char *const joints[] = {
        ",", ";", "and", "or", "\\text{and}", "\\text{or}", "\\text{ and }", "\\text{ or }"};
    static const char *const fillers[] = {" ",   "\n",  "$",   "\\(",   "\\)",
                                          "\\[", "\\]", "\\,", "\\quad"};
    for (size_t i = 0; i < sizeof joints / sizeof *joints; i++)
        if (starts(s, end, joints[i])) {
            *joins = true;
            return s + strlen(joints[i]);
        }
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
        if (starts(s, end, fillers[i]))
            return s + strlen(fillers[i]);
    if (!isalpha((unsigned char)*s)) /* x =, x_1 = */
        return NULL;
    s++;
    if (s + 1 < end && *s == '_')
        s += 2;
    while (s < end && *s == ' ')
        s++;
    return s < end && *s == '=' ? s + 1 : NULL;
}

bool find_is_gap(const char *s, const char *end)
{
    bool joins = false;
    while (s && s < end)
        s = past_connector(s, end, &joins);
    return s && joins;
}

/* The start of the box that belongs to the one at s, as in "\boxed{3} or \boxed{-3}"; else NULL. */
static const char *box_before(const char *text, const char *s)
{
    size_t window = (size_t)(s - text) < ANSWER_MAX_BYTES ? (size_t)(s - text) : ANSWER_MAX_BYTES;
    for (const char *q = s; q-- > s - window;) {
        const char *open = *q == '\\' ? past_command(q, s) : NULL;
        if (!open)
            continue;
        const char *past = box_end(open, s);
        return past && s - past < MAX_GAP && find_is_gap(past, s) ? q : NULL;
    }
    return NULL;
}

/* The start of "x =" or "x_1 =" before the box at s; s when there is none. */
static const char *name_before(const char *text, const char *s)
{
    const char *p = s;
    while (p > text && p[-1] == ' ')
        p--;
    if (p == text || *--p != '=')
        return s;
    while (p > text && p[-1] == ' ')
        p--;
    if (p - text > 2 && isdigit((unsigned char)p[-1]) && p[-2] == '_')
        p -= 2;
    bool letter = p > text && isalpha((unsigned char)p[-1]);
    bool lone = p - text < 2 || (!isalnum((unsigned char)p[-2]) && p[-2] != '\\');
    return letter && lone ? p - 1 : s;
}

bool find_boxed(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    int n_tries = 0;
    for (const char *s = end; (s = memrchr(text, '\\', (size_t)(s - text)));) {
        const char *open = past_command(s, end);
        if (!open)
            continue;
        if (n_tries++ == MAX_TRIES)
            return false;
        const char *past = box_end(open, end), *first = s;
        if (!past)
            continue;
        for (int i = 1; i < MAX_BOXES; i++) {
            const char *before = box_before(text, first);
            if (!before || past - before >= ANSWER_MAX_BYTES)
                break;
            first = before;
        }
        if (first < s) /* "x = \boxed{2} and y = \boxed{5}" */
            return set_span(out, name_before(text, first), past, "boxed");
        return *open == '{' ? set_span(out, open + 1, past - 1, "boxed")
                            : set_span(out, open, past, "bare box");
    }
    return false;
}

/* Different boxes of a text, in order. */
struct boxes {
    struct answer_span content[MAX_BOXES];
    const char *first, *end; /* of all of them */
    int n;
};

static void add_box(struct boxes *all, struct answer_span content)
{
    for (int i = 0; i < all->n && i < MAX_BOXES; i++)
        if (all->content[i].n == content.n &&
            !memcmp(all->content[i].text, content.text, content.n))
            return;
    if (all->n < MAX_BOXES)
        all->content[all->n] = content;
    all->n++;
}

/* False when there are too many boxes, or one does not close. */
static bool collect(const char *text, size_t n, struct boxes *all)
{
    const char *end = text + n;
    all->n = 0;
    all->first = NULL;
    for (const char *s = text; (s = memchr(s, '\\', (size_t)(end - s)));) {
        const char *open = past_command(s, end), *past = open ? box_end(open, end) : NULL;
        struct answer_span content;
        if (!open) {
            s++;
            continue;
        }
        bool brace = *open == '{';
        if (!past || all->n > MAX_BOXES || !set_span(&content, open + brace, past - brace, "boxed"))
            return false;
        add_box(all, content);
        all->first = all->first ? all->first : s;
        all->end = s = past;
    }
    return all->n <= MAX_BOXES;
}

/* Is what is in one box another answer than what is in the last? */
static bool differ(const struct boxes *all)
{
    const struct answer_span *last = &all->content[all->n - 1];
    for (int i = 0; i + 1 < all->n; i++) {
        const struct answer_span *c = &all->content[i];
        if (answer_compare(c->text, c->n, last->text, last->n, NULL) == ANSWER_WRONG)
            return true;
    }
    return false;
}

bool find_boxes(const char *text, size_t n, bool by_value, struct answer_span *out)
{
    struct boxes all;
    return collect(text, n, &all) && all.n > 1 && !find_taken_back(all.first, all.end) &&
           (!by_value || differ(&all)) && set_span(out, all.first, all.end, "boxes");
}

bool find_box_list(const char *text, size_t n, char list[ANSWER_MAX_BYTES + 1])
{
    struct boxes all;
    size_t at = 0;
    if (!collect(text, n, &all))
        return false;
    for (int i = 0; i < all.n; i++) {
        const struct answer_span *c = &all.content[i];
        if (at + c->n + 2 > ANSWER_MAX_BYTES)
            return false;
        memcpy(list + at, i ? ", " : "", 2 * (i > 0));
        at += 2 * (i > 0);
        memcpy(list + at, c->text, c->n);
        at += c->n;
    }
    list[at] = 0;
    return true;
}
