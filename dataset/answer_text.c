/* Answers in words: Friday, \text{Yes}, "no solution". */
#include "dataset/answer_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Commands that only dress up what they hold. */
static size_t dressing(const char *s, const char *end)
{
    static const char *const names[] = {"text",   "textbf", "textit", "textrm", "mathrm",
                                        "mathbf", "mbox",   "left",   "right",  "displaystyle",
                                        "quad",   "boxed",  "hbox",   "dfrac",  "tfrac"};
    static const size_t n_dropped[] = {4, 6, 6, 6, 6, 6, 4, 4, 5, 12, 4, 5, 4, 1, 1};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if ((size_t)(end - s) >= n && !memcmp(s, names[i], n) &&
            (s + n == end || !isalpha((unsigned char)s[n])))
            return n_dropped[i];
    }
    return 0;
}

/* Letters and digits in lower case, other marks as they are; a space only between two letters or
 * digits. Returns the length, 0 when it does not fit. */
static size_t normalise(const char *s, size_t n, char *out, size_t cap)
{
    const char *end = s + n;
    size_t len = 0;
    bool space = false;
    while (s < end) {
        unsigned char c = (unsigned char)*s;
        if (c == '\\') {
            size_t skip = dressing(s + 1, end);
            bool mark = s + 1 < end && strchr(" ,;:!$()[]", s[1]);
            s += 1 + skip + (skip ? 0 : mark);
            space = space || skip || mark;
            if (skip || mark)
                continue;
        } else if (isspace(c) || strchr("${}~*\"", c)) {
            space = true;
            s++;
            continue;
        } else
            s++;
        bool word = isalnum(c) || c >= 0x80;
        bool after_word = len && (isalnum((unsigned char)out[len - 1]) || out[len - 1] & 0x80);
        if (len + 2 >= cap)
            return 0;
        if (space && word && after_word)
            out[len++] = ' ';
        out[len++] = (char)tolower(c);
        space = false;
    }
    bool letters = len > 2 && isalpha((unsigned char)out[len - 2]) &&
                   isalpha((unsigned char)out[len - 3]); /* "Yes!", and no factorial */
    len -= len && strchr(letters ? ".,;:!" : ".,;:", out[len - 1]);
    out[len] = 0;
    if (!strncmp(out, "the ", 4)) {
        memmove(out, out + 4, len - 3);
        len -= 4;
    }
    return len;
}

/* Words of which one excludes the other. */
static int class_of(const char *word)
{
    static const struct {
        const char *word;
        int class;
    } words[] = {
        {"monday", 1},    {"tuesday", 1},  {"wednesday", 1},  {"thursday", 1},   {"friday", 1},
        {"saturday", 1},  {"sunday", 1},   {"january", 2},    {"february", 2},   {"march", 2},
        {"april", 2},     {"may", 2},      {"june", 2},       {"july", 2},       {"august", 2},
        {"september", 2}, {"october", 2},  {"november", 2},   {"december", 2},   {"yes", 3},
        {"no", 3},        {"true", 4},     {"false", 4},      {"even", 5},       {"odd", 5},
        {"neither", 5},   {"circle", 6},   {"ellipse", 6},    {"parabola", 6},   {"hyperbola", 6},
        {"line", 6},      {"red", 7},      {"blue", 7},       {"green", 7},      {"yellow", 7},
        {"positive", 8},  {"negative", 8}, {"increasing", 9}, {"decreasing", 9},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i].word))
            return words[i].class;
    return 0;
}

bool text_is_word(const char *s, size_t n)
{
    char word[ANSWER_MAX_BYTES];
    size_t len = n < sizeof word ? normalise(s, n, word, sizeof word) : 0;
    for (size_t i = 0; i < len; i++)
        if (!isalpha((unsigned char)word[i]) && word[i] != '-')
            return false;
    return len > 0 && len < 32;
}

/* Past "(e)" before a word: the letter of a choice. */
static const char *past_letter(const char *s)
{
    bool letter = s[0] == '(' && s[1] >= 'a' && s[1] <= 'j' && s[2] == ')';
    const char *rest = s + 3 + (letter && s[3] == ' ');
    return letter && isalpha((unsigned char)rest[0]) && isalpha((unsigned char)rest[1]) ? rest : s;
}

enum answer_verdict text_compare(const char *given, size_t n_given, const char *gold, size_t n_gold,
                                 const char **why)
{
    char a[ANSWER_MAX_BYTES], b[ANSWER_MAX_BYTES];
    size_t n_a = n_given < sizeof a ? normalise(given, n_given, a, sizeof a) : 0;
    size_t n_b = n_gold < sizeof b ? normalise(gold, n_gold, b, sizeof b) : 0;
    *why = "words that cannot be compared";
    if (!n_a || !n_b)
        return ANSWER_UNKNOWN;
    if (n_a == n_b && !memcmp(a, b, n_a)) {
        *why = "equal";
        return ANSWER_CORRECT;
    }
    const char *word_a = past_letter(a), *word_b = past_letter(b);
    if ((word_a > a) != (word_b > b) && !strcmp(word_a, word_b)) {
        *why = "equal";
        return ANSWER_CORRECT;
    }
    if (class_of(a) && class_of(a) == class_of(b)) {
        *why = "another word";
        return ANSWER_WRONG;
    }
    return ANSWER_UNKNOWN;
}
