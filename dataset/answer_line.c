/* Where in a text is the final answer? At its end: displayed mathematics, what the last line marks,
 * or its only number. */
#include "dataset/answer_find.h"

enum { MAX_LINE = 300 }; /* bytes of a closing sentence in which a lone number is looked for */

bool find_display_at(const char *s, const char *end, struct answer_span *out, const char *rule)
{
    const char *close = starts(s, end, "\\[") ? "\\]" : starts(s, end, "$$") ? "$$" : NULL;
    if (!close)
        return false;
    size_t n = (size_t)(end - s) < ANSWER_MAX_BYTES ? (size_t)(end - s) : ANSWER_MAX_BYTES;
    const char *to = memmem(s + 2, n - 2, close, 2);
    return to && set_span(out, s + 2, to, rule);
}

/* "over 72", but not "over the five days". lower is s in lower case, one byte later. */
static bool is_bounded(const char *lower, const char *word, const char *s, size_t n)
{
    for (const char *at = lower; (at = strstr(at, word)); at++) {
        size_t next = (size_t)(at - lower) + strlen(word) - 1;
        if (next < n && !isalpha((unsigned char)s[next]))
            return true;
    }
    return false;
}

/* Words after which what a closing sentence names is not an answer. */
static bool is_hedged(const char *s, size_t n)
{
    static const char *const words[] = {
        " not ",      "n't ",      " cannot ",  " maybe ",    " perhaps ",  " approximately ",
        " about ",    " around ",  " least ",   " most ",     " than ",     " roughly ",
        " either ",   " or ",      " step ",    " nearly ",   " almost ",   " except ",
        " between ",  " if ",      " unless ",  " half ",     " twice ",    " double ",
        " question ", " problem ", " add ",     " subtract ", " multiply ", " divide ",
        " let's ",    " none ",    " nothing ", " zero "};
    char lower[MAX_LINE + 3] = " ";
    for (size_t i = 0; i < n; i++)
        lower[i + 1] =
            isalpha((unsigned char)s[i]) || s[i] == '\'' ? (char)tolower((unsigned char)s[i]) : ' ';
    lower[n + 1] = ' ';
    lower[n + 2] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(lower, words[i]))
            return true;
    return is_bounded(lower, " over ", s, n) || is_bounded(lower, " under ", s, n) ||
           memchr(s, '?', n) != NULL;
}

struct line {
    const char *s, *end;
};

/* The last line with anything on it; false when it is too long or hedged. */
static bool last_line(const char *text, size_t n, struct line *out)
{
    static const char hope[] = " I hope it is correct."; /* Minerva's prompt ends so */
    const char *end = text + n;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    if (end - text >= (ptrdiff_t)sizeof hope &&
        !memcmp(end - sizeof hope + 1, hope, sizeof hope - 1))
        end -= sizeof hope - 1;
    const char *s = end;
    while (s > text && s[-1] != '\n')
        s--;
    *out = (struct line){s, end};
    return end > s && end - s <= MAX_LINE && !is_hedged(s, (size_t)(end - s));
}

static bool has_digit(const char *s, const char *end)
{
    for (; s < end; s++)
        if (isdigit((unsigned char)*s))
            return true;
    return false;
}

static bool has_dollar(const char *s, const char *end)
{
    return memchr(s, '$', (size_t)(end - s)) != NULL;
}

/* The next mark at or behind s; the dollar of money, "\$", is none. NULL: none. */
static const char *find_mark(struct line l, const char *s, const char *mark)
{
    for (; (s = memmem(s, (size_t)(l.end - s), mark, strlen(mark))); s++)
        if (*mark != '$' || s == l.s || s[-1] != '\\')
            return s;
    return NULL;
}

/* What stands between the marks on l: the first pair of dollars or \(\), the last pair of bold. */
static bool between_marks(struct line l, const char *open, const char *close, struct line *out)
{
    size_t len = strlen(open);
    const char *from = find_mark(l, l.s, open), *to, *next;
    if (!from || !(to = find_mark(l, from + len, close)))
        return false;
    while (*open == '*' && (next = find_mark(l, to + len, open))) {
        if (!find_is_gap(to + len, next)) /* "**6** and **8**" is one answer */
            from = next;
        to = find_mark(l, next + len, close);
        if (!to)
            return false;
    }
    *out = (struct line){from + len, to};
    return to > from + len;
}

/* The word that begins at s, in lower case; "" when it is none or a long one. */
static void read_word(const char *s, const char *end, char word[16])
{
    size_t n = 0;
    while (s + n < end && isalpha((unsigned char)s[n]))
        n++;
    n = n < 16 ? n : 0;
    for (size_t i = 0; i < n; i++)
        word[i] = (char)tolower((unsigned char)s[i]);
    word[n] = 0;
}

/* Is what stands behind a bold answer only what it is for, as "for the 16 glasses" or "clips in 30
 * days"? "of the 80 clips" makes it a part. */
static bool is_setting(const char *s, const char *end)
{
    static const char *const words[] = {"for", "in", "after", "from", "by", "over", "during", "to"};
    char word[16];
    for (int i = 0; i < 2; i++) {
        while (s < end && *s == ' ')
            s++;
        read_word(s, end, word);
        s += strlen(word);
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (!strcmp(word, words[k]))
                return true;
        if (!*word || !strcmp(word, "of"))
            return false;
    }
    return false;
}

/* Is what stands behind a marked answer short and without another number? */
static bool ends_line(struct line l, const char *after, bool bold)
{
    int n_spaces = 0;
    for (const char *p = after; p < l.end; p++)
        n_spaces += *p == ' ';
    if (has_dollar(after, l.end) || memchr(after, '\\', (size_t)(l.end - after)))
        return false;
    return (n_spaces <= 3 && !has_digit(after, l.end)) ||
           (bold && n_spaces <= 6 && is_setting(after, l.end));
}

/* "Total: 27" in bold: the value behind the colon. */
static void drop_label(struct answer_span *a)
{
    struct answer_span value;
    const char *end = a->text + a->n, *colon = memrchr(a->text, ':', a->n);
    if (colon && colon + 1 < end && colon[1] == ' ' && !find_is_value(a) &&
        set_span(&value, colon + 1, end, a->rule) && find_is_value(&value))
        *a = value;
}

/* The one marked part of the last line, $...$ or \(...\), or the last **...**, when the line ends
 * there but for a unit. Before mathematics stands no other number; before bold type may stand what
 * led to it. */
static bool find_marked(const char *text, size_t n, struct answer_span *out)
{
    static const char *const marks[][2] = {{"**", "**"}, {"$", "$"}, {"\\(", "\\)"}};
    struct line l, in;
    if (!last_line(text, n, &l))
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (!between_marks(l, marks[i][0], marks[i][1], &in))
            continue;
        const char *before = in.s - strlen(marks[i][0]), *after = in.end + strlen(marks[i][1]);
        bool lone_letter = in.end - in.s == 1 && isalpha((unsigned char)*in.s);
        bool bold = marks[i][0][0] == '*';
        if ((!bold && has_digit(l.s, before)) || lone_letter || !ends_line(l, after, bold))
            return false;
        /* a sentence in bold is marked as a whole: its number is looked for */
        bool sentence = bold && before == l.s && memchr(in.s, ' ', (size_t)(in.end - in.s));
        if (!set_span(out, in.s, in.end, "marked"))
            return false;
        drop_label(out);
        return !sentence || find_is_value(out);
    }
    return false;
}

/* The last paragraph when it is displayed mathematics. */
static bool find_displayed(const char *text, size_t n, struct answer_span *out)
{
    const char *end = text + n;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    bool dollars = end - text > 4 && end[-1] == '$' && end[-2] == '$';
    if (!dollars && !(end - text > 4 && end[-1] == ']' && end[-2] == '\\'))
        return false;
    const char *from = end - 2;
    for (int i = 0; i < MAX_LINE && from > text; i++) {
        from--;
        if (starts(from, end, dollars ? "$$" : "\\["))
            return find_display_at(from, end, out, "displayed");
    }
    return false;
}

/* The word that ends before s, which moves to its beginning. */
static void read_word_before(const char *begin, const char **s, char word[16])
{
    const char *end = *s;
    while (end > begin && end[-1] == ' ')
        end--;
    *s = end;
    while (*s > begin && isalpha((unsigned char)(*s)[-1]))
        --*s;
    read_word(*s, end, word);
}

/* What the words around a lone number make of it: "2.5 million" and "20 percent" are taken as a
 * whole, *to moves; false for "3 dozen", "10 times as many", "ten minus 3", "negative 5". */
static bool take_words(struct line l, const char *from, const char **to)
{
    static const char *const functions[] = {"square", "cube",   "root",     "double",
                                            "triple", "factor", "multiple", "percent"};
    char word[16];
    struct answer_value v;
    const char *s = from, *end = *to;
    read_word_before(l.s, &s, word);
    if (!strcmp(word, "and") || !strcmp(word, "negative"))
        return false; /* "the first number and 9" */
    if (!strcmp(word, "of")) {
        read_word_before(l.s, &s, word);
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
            if (!strcmp(word, functions[i])) /* "the square of 9" */
                return false;
    }
    if (unit_changes(word) || !strcmp(word, "times")) /* "one third of 9" */
        return false;
    while (end < l.end && *end == ' ')
        end++;
    read_word(end, l.end, word);
    end += strlen(word);
    if (!strcmp(word, "fewer") || !strcmp(word, "less")) /* a difference */
        return false;
    bool percent = !strcmp(word, "percent");
    if (percent || unit_changes(word)) {
        if (!answer_parse(from, (size_t)(end - from), &v))
            return false;
        *to = end;
    }
    return strcmp(word, "times") != 0 || end == l.end || *end != ' ';
}

/* Past the number that begins at s. */
static const char *past_number(const char *s, const char *end)
{
    while (s < end && (isdigit((unsigned char)*s) ||
                       ((*s == ',' || *s == '.') && s + 1 < end && isdigit((unsigned char)s[1]))))
        s++;
    return s;
}

/* Does the number at p say once more, in parentheses, what the one of [first, last) says, as in
 * "1,250 dollars ($1,250)"? */
static bool is_repeated(struct line l, const char *first, const char *last, const char *p)
{
    size_t n = (size_t)(past_number(p, l.end) - p);
    const char *open = p - (p > last && p[-1] == '$');
    return open > last && open[-1] == '(' && p + n < l.end && p[n] == ')' &&
           n == (size_t)(last - first) && !memcmp(p, first, n);
}

/* Does something follow that the number only leads to: ", so we need ...", or a sentence without
 * one? */
static bool leads_on(const char *s, const char *end)
{
    static const char *const joints[] = {", so ", ", but ", ", then ", ", and ", "; "};
    if (starts(s, end, " is a ") || starts(s, end, " is an ")) /* "12 is a factor" */
        return true;
    for (; s + 2 < end; s++) {
        if (*s == '.' && s[1] == ' ' && isalpha((unsigned char)s[2]))
            return true;
        for (size_t i = 0; i < sizeof joints / sizeof *joints; i++)
            if (starts(s, end, joints[i]))
                return true;
    }
    return false;
}

/* The bytes of the minus that ends before s. */
static size_t minus_before(const char *begin, const char *s)
{
    if (s - begin >= 3 && !memcmp(s - 3, "\u2212", 3))
        return 3;
    return s > begin && s[-1] == '-';
}

/* Is the minus before s a sign, as in "drops to -3" and "A: -$4"? Behind a lone letter or a
 * number it subtracts. */
static bool is_sign(const char *begin, const char *s)
{
    const char *p = s - minus_before(begin, s);
    if (p == s)
        return false;
    if (p == begin || strchr("(*:", p[-1]))
        return true;
    char word[16];
    const char *end = p;
    read_word_before(begin, &p, word);
    return end[-1] == ' ' && (strlen(word) > 1 || (p > begin && p[-1] == ':'));
}

/* The one number of the last line, when it has just one and is not hedged. */
static bool find_only_number(const char *text, size_t n, struct answer_span *out)
{
    struct line l;
    if (!last_line(text, n, &l))
        return false;
    const char *first = NULL, *last = NULL;
    for (const char *p = l.s; p < l.end;) {
        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        const char *past = past_number(p, l.end);
        if (first && !is_repeated(l, first, last, p))
            return false;
        last = first ? last : past;
        first = first ? first : p;
        p = past;
    }
    if (!first)
        return false;
    /* A letter, slash, LaTeX or an operator at its side: part of something larger. */
    if (first > l.s && first[-1] == '.' && (first - 1 == l.s || strchr(" $", first[-2])))
        first--; /* .5 */
    const char *before = first;
    if (before > l.s && before[-1] == '$')
        before -= before - 1 > l.s && before[-2] == '\\' ? 2 : 1;
    if (is_sign(l.s, before))
        before = first = before - minus_before(l.s, before);
    if (before > l.s && !strchr(" (:*", before[-1]))
        return false;
    if (before - l.s > 1 && before[-1] == '(' && isalnum((unsigned char)before[-2]))
        return false; /* f(3) */
    while (before > l.s && strchr(" (*$", before[-1]))
        before--;
    if (before > l.s && strchr("-+/^=<>", before[-1]))
        return false;
    const char *after = last;
    if (after < l.end && (*after == '%' || starts(after, l.end, "\\%"))) {
        after += *after == '%' ? 1 : 2;
        last = after;
    }
    if (after < l.end && !strchr(" .,!)*$;", *after))
        return false;
    while (after < l.end && *after == ' ')
        after++;
    if (memchr(l.s, '\\', (size_t)(before - l.s)) || memchr(after, '\\', (size_t)(l.end - after)) ||
        (after < l.end && strchr("-+/^=<>", *after)))
        return false;
    return !leads_on(last, l.end) && take_words(l, first, &last) &&
           set_span(out, first, last, "only number");
}

/* The last line when it is nothing but a value with a digit, or the letter of a choice. */
static bool find_last_value(const char *text, size_t n, struct answer_span *out)
{
    struct line l;
    if (!last_line(text, n, &l) || !set_span(out, l.s, l.end, "last line"))
        return false;
    size_t len = out->n - (out->text[out->n - 1] == '.');
    bool letter = len == 1 && out->text[0] >= 'A' && out->text[0] <= 'J';
    return letter || (has_digit(l.s, l.end) && find_is_value(out));
}

bool find_at_end(const char *text, size_t n, struct answer_span *out)
{
    return find_displayed(text, n, out) || find_marked(text, n, out) ||
           find_only_number(text, n, out) || find_last_value(text, n, out);
}
