#include "dataset/expr_words.h"
#include "dataset/starts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_NESTED_TEXT = 3 };

struct lexer {
    const char *text;
    struct expr_token *out;
    size_t n;
    int n_brackets; /* open ( [ \{: inside them a comma separates */
    bool spaced, money;
    bool currency; /* a sign was seen: letters behind a number may be thousands or millions */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool emit(struct lexer *l, uint8_t kind, uint8_t op, const char *at, size_t n, uint32_t name)
{
    if (l->n >= EXPR_MAX_BYTES)
        return false;
    l->currency |= kind == TOKEN_CURRENCY;
    l->n_brackets += kind == '(' || kind == '[' || kind == TOKEN_SET_OPEN;
    l->n_brackets -= kind == ')' || kind == ']' || kind == TOKEN_SET_CLOSE;
    l->out[l->n++] =
        (struct expr_token){kind, op, l->spaced, (uint16_t)(at - l->text), (uint16_t)n, name};
    l->spaced = false;
    return true;
}

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h | 0x80000000u; /* no single letter */
}

/* The length of a thousands separator at s: "," "{,}" ",\!" "\," and thin spaces; 0: none. */
static size_t separator(const struct lexer *l, const char *s, const char *end)
{
    static const char *const sure[] = {"{,}", ",\\!", "\\!,", "\\,", "{\\,}", "\u2009", "\u202F"};
    for (size_t i = 0; i < sizeof sure / sizeof *sure; i++)
        if (starts(s, end, sure[i])) {
            size_t n = strlen(sure[i]);
            while (i == 1 && s + n < end && s[n] == ' ') /* ",\! 111" */
                n++;
            return n;
        }
    return s < end && *s == ',' && l->n_brackets <= 0;
}

static size_t count_digits(const char *s, const char *end)
{
    size_t n = 0;
    while (s + n < end && is_digit(s[n]))
        n++;
    return n;
}

static const char *lex_number(struct lexer *l, const char *s, const char *end)
{
    const char *start = s;
    size_t n = count_digits(s, end), skip;
    bool repeats = false;
    s += n;
    if (n >= 1 && n <= 3 && *start != '0')
        while ((skip = separator(l, s, end)) && count_digits(s + skip, end) == 3)
            s += skip + 3;
    if (s < end && *s == '.' && s + 1 < end && is_digit(s[1])) {
        s++;
        s += count_digits(s, end);
    }
    if (s > start && memchr(start, '.', (size_t)(s - start)) == NULL &&
        starts(s, end, ".\\overline{"))
        s++;
    if (starts(s, end, "\\overline{") && memchr(start, '.', (size_t)(s - start))) {
        const char *digits = s + strlen("\\overline{");
        n = count_digits(digits, end);
        if (!n || digits + n == end || digits[n] != '}')
            return NULL;
        s = digits + n + 1;
        repeats = true;
    }
    if (s + 1 < end && *s == '.' && s[1] == '.') /* 1...9 */
        return NULL;
    return emit(l, TOKEN_NUMBER, repeats, start, (size_t)(s - start), 0) ? s : NULL;
}

/* "p.m.", "A.M.": its length, or 0. */
static size_t half_day(const char *s, const char *end)
{
    if (end - s < 4 || !strchr("aApP", *s) || s[1] != '.' || (s[2] != 'm' && s[2] != 'M'))
        return 0;
    return s[3] == '.' ? 4 : 3;
}

/* Directly behind a number: the "th" of "5th", which is no product of t and h? */
static bool is_ordinal_ending(const struct lexer *l, const char *s, size_t n)
{
    static const char endings[] = "thstndrd";
    if (n != 2 || l->spaced || !l->n || l->out[l->n - 1].kind != TOKEN_NUMBER)
        return false;
    for (const char *e = endings; *e; e += 2)
        if (!memcmp(s, e, 2))
            return true;
    return false;
}

/* Letters outside \text: a function, a unit, a word, or a product of variables. */
static const char *lex_letters(struct lexer *l, const char *s, const char *end)
{
    size_t n = half_day(s, end);
    enum expr_constant set;
    const char *past = expr_past_set_words(s, end, &set);
    if (past)
        return emit(l, TOKEN_CONSTANT, set, s, (size_t)(past - s), 0) ? past : NULL;
    if (n)
        return emit(l, TOKEN_TEXT, 0, s, n, 0) ? s + n : NULL;
    while (s + n < end && is_letter(s[n]))
        n++;
    if (n > 1) {
        char word[24];
        size_t m = n < sizeof word ? n : sizeof word - 1;
        for (size_t i = 0; i < m; i++)
            word[i] = (char)tolower((unsigned char)s[i]);
        word[m] = 0;
        const struct expr_command *known = expr_find_word(word);
        if (known)
            return emit(l, known->kind, known->op, s, n, 0) ? s + n : NULL;
        if (n > 3 || expr_is_short_word(word) || is_ordinal_ending(l, s, n)) {
            /* words with ' or - inside go on */
            while (s + n + 1 < end && (s[n] == '\'' || s[n] == '-') && is_letter(s[n + 1]))
                for (n++; s + n < end && is_letter(s[n]);)
                    n++;
            return emit(l, TOKEN_TEXT, 0, s, n, 0) ? s + n : NULL;
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool subscripted = i + 1 == n && s + n < end && s[n] == '_';
        bool constant = (s[i] == 'e' || s[i] == 'i') && !subscripted;
        if (!(constant ? emit(l, TOKEN_CONSTANT, s[i] == 'e' ? EXPR_E : EXPR_I, s + i, 1, 0)
                       : emit(l, TOKEN_VARIABLE, 0, s + i, 1, (uint32_t)s[i])))
            return NULL;
    }
    return s + n;
}

/* The closing brace of the one at s, or NULL. */
static const char *closing(const char *s, const char *end)
{
    int depth = 0;
    for (; s < end; s++) {
        if (*s == '\\' && s + 1 < end)
            s++;
        else if (*s == '{')
            depth++;
        else if (*s == '}' && --depth == 0)
            return s;
    }
    return NULL;
}

static bool lex_range(struct lexer *l, const char *s, const char *end, int depth);

/* Is there a word, two letters in a row? */
static bool has_word(const char *s, const char *end)
{
    for (; s + 1 < end; s++)
        if (is_letter(*s) && is_letter(s[1]))
            return true;
    return false;
}

static bool follows_value(const struct lexer *l)
{
    int kind = l->n ? l->out[l->n - 1].kind : 0;
    return kind == TOKEN_NUMBER || kind == TOKEN_VARIABLE || kind == TOKEN_CONSTANT ||
           kind == ')' || kind == '}';
}

/* A letter, or letters with powers between slashes. The numbers e and i are no units, nor are the
 * usual variables; k, M and B may be thousands, millions and billions. */
static bool is_short_unit(const char *s, size_t n)
{
    if (!is_letter(*s) || (n == 1 && strchr("eikKMBnxyz", *s)))
        return false;
    for (size_t i = 1; i < n; i++)
        if (is_letter(s[i]) ? s[i - 1] != '/' : !strchr("/^23", s[i]))
            return false;
    return true;
}

/* "B and C", "A, B, and D": letters of a choice. */
static bool is_letter_list(const char *s, const char *end)
{
    bool joint = false;
    while (s < end) {
        const char *from = s;
        while (s < end && is_letter(*s))
            s++;
        size_t n = (size_t)(s - from);
        bool word = (n == 3 && !memcmp(from, "and", 3)) || (n == 2 && !memcmp(from, "or", 2));
        if (n > 1 && !word)
            return false;
        joint = joint || word;
        s += s < end && !n;
    }
    return joint;
}

/* What \text{...} holds: "and", a unit, a word; or notation: a letter, a number. */
static const char *lex_words(struct lexer *l, const char *s, const char *end, int depth)
{
    while (s < end && *s == ' ')
        s++;
    if (s < end && is_letter(*s)) /* \mathrm e */
        return s;
    const char *close = s < end && *s == '{' ? closing(s, end) : NULL;
    if (!close)
        return NULL;
    const char *from = s + 1, *to = close;
    l->spaced = true;
    while (from < to && (*from == ' ' || *from == '~'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '~'))
        to--;
    size_t n = (size_t)(to - from);
    bool plain = n && is_letter(*from) && has_word(from, to) && !memchr(from, '\\', n) &&
                 !memchr(from, '$', n) && !memchr(from, '{', n) && !is_letter_list(from, to);
    bool half = n && half_day(from, to);
    plain = plain || is_ordinal_ending(l, from, n);
    plain = plain || (n && follows_value(l) && !l->currency &&
                      is_short_unit(from, n)); /* "m", "m/s", "m^2" */
    enum expr_constant set;
    if (expr_past_set_words(from, to, &set) == to)
        return emit(l, TOKEN_CONSTANT, set, from, n, 0) ? close + 1 : NULL;
    if (n == 3 && !strncasecmp(from, "and", 3))
        return emit(l, TOKEN_AND, 0, from, n, 0) ? close + 1 : NULL;
    if (n == 2 && !strncasecmp(from, "or", 2))
        return emit(l, TOKEN_OR, 0, from, n, 0) ? close + 1 : NULL;
    if ((n == 7 && !strncasecmp(from, "degrees", 7)) || (n == 6 && !strncasecmp(from, "degree", 6)))
        return emit(l, TOKEN_DEGREE, 0, from, n, 0) ? close + 1 : NULL;
    if (n == 7 && !strncasecmp(from, "percent", 7))
        return emit(l, '%', 0, from, n, 0) ? close + 1 : NULL;
    if (n == 3 && !memcmp(from, "mod", 3))
        return emit(l, TOKEN_MODULO, 0, from, n, 0) ? close + 1 : NULL;
    if (n == 3 && !memcmp(from, "cis", 3))
        return emit(l, TOKEN_FUNCTION, EXPR_CIS, from, n, 0) ? close + 1 : NULL;
    if (plain || half)
        return emit(l, TOKEN_TEXT, 0, from, n, 0) ? close + 1 : NULL;
    if (depth >= MAX_NESTED_TEXT || !lex_range(l, from, to, depth + 1))
        return NULL;
    l->spaced = true;
    return close + 1;
}

static const char *lex_environment(struct lexer *l, const char *s, const char *end,
                                   const struct expr_command *c)
{
    static const char *const names[] = {"{pmatrix}", "{bmatrix}",     "{matrix}",
                                        "{Bmatrix}", "{smallmatrix}", "{array}"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!starts(s, end, names[i]))
            continue;
        s += strlen(names[i]);
        if (c->kind == TOKEN_MATRIX_BEGIN && !strcmp(names[i], "{array}")) { /* {cc} */
            const char *close = s < end && *s == '{' ? closing(s, end) : NULL;
            if (!close)
                return NULL;
            s = close + 1;
        }
        return emit(l, c->kind, 0, s, 0, 0) ? s : NULL;
    }
    return NULL;
}

static const char *lex_punctuated_command(struct lexer *l, const char *s)
{
    switch (*s) {
    case ',':
    case ';':
    case ':':
    case '!':
    case ' ':
    case '\n':
        l->spaced = true;
        return s + 1;
    case '(':
    case ')':
    case '[':
    case ']': /* math delimiters */
        return s + 1;
    case '{':
        return emit(l, TOKEN_SET_OPEN, 0, s, 1, 0) ? s + 1 : NULL;
    case '}':
        return emit(l, TOKEN_SET_CLOSE, 0, s, 1, 0) ? s + 1 : NULL;
    case '\\':
        return emit(l, TOKEN_ROW, 0, s, 1, 0) ? s + 1 : NULL;
    case '$':
        return emit(l, TOKEN_CURRENCY, 0, s, 1, 0) ? s + 1 : NULL;
    case '%':
        return emit(l, '%', 0, s, 1, 0) ? s + 1 : NULL;
    }
    return NULL;
}

static const char *lex_command(struct lexer *l, const char *s, const char *end, int depth)
{
    char name[20];
    size_t n = 0;
    if (s == end)
        return NULL;
    if (!is_letter(*s))
        return lex_punctuated_command(l, s);
    while (s + n < end && is_letter(s[n]))
        n++;
    if (n >= sizeof name)
        return NULL;
    memcpy(name, s, n);
    name[n] = 0;
    const char *at = s;
    s += n;
    const struct expr_command *c = expr_find_command(name);
    if (!c) {
        if (!expr_is_greek(name))
            return NULL;
        return emit(l, TOKEN_VARIABLE, 0, at, n, hash(name, n)) ? s : NULL;
    }
    switch ((enum expr_action)c->action) {
    case ACT_SKIP:
        if (end - s > 2 && *s == '{' && is_letter(s[1]) && s[2] == '}') /* \mathbf{v} */
            return lex_letters(l, s + 1, s + 2) ? s + 3 : NULL;
        if (end - s > 4 && *s == '{' && s[1] == '(' && is_letter(s[2]) && s[3] == ')' &&
            s[4] == '}') /* \mathbf{(C)} */
            return lex_range(l, s + 1, s + 4, depth) ? s + 5 : NULL;
        return s;
    case ACT_SPACE:
        l->spaced = true;
        return s;
    case ACT_DELIMITER:
        return s < end && *s == '.' ? s + 1 : s;
    case ACT_WORDS:
        return lex_words(l, s, end, depth);
    case ACT_ENVIRONMENT:
        return lex_environment(l, s, end, c);
    case ACT_BLACKBOARD:
        s += s < end && *s == ' ';
        if (starts(s, end, "{R}"))
            return emit(l, TOKEN_CONSTANT, EXPR_REALS, at, n, 0) ? s + 3 : NULL;
        if (end - s < 3 || *s != '{' || !is_letter(s[1]) || s[2] != '}')
            return NULL;
        return emit(l, TOKEN_VARIABLE, 0, s, 3, hash(s, 3)) ? s + 3 : NULL;
    case ACT_OPERATOR: {
        const char *close = s < end && *s == '{' ? closing(s, end) : NULL;
        return close && lex_letters(l, s + 1, close) == close ? close + 1 : NULL;
    }
    case ACT_DROP: {
        const char *close = s < end && *s == '{' ? closing(s, end) : NULL;
        return close ? close + 1 : NULL;
    }
    case ACT_EMIT:
        return emit(l, c->kind, c->op, at, n, 0) ? s : NULL;
    }
    return NULL;
}

static const char *lex_unicode(struct lexer *l, const char *s, const char *end)
{
    const struct expr_character *c = expr_find_character(s, end);
    if (!c)
        return NULL;
    const char *next = s + strlen(c->utf8);
    if (!c->kind) {
        l->spaced = true;
        return next;
    }
    if (c->kind == '^')
        return emit(l, '^', 0, s, 1, 0) && emit(l, TOKEN_NUMBER, 0, s, 0, (uint32_t)(c->op - '0'))
                   ? next
                   : NULL;
    return emit(l, c->kind, c->op, s, 1, c->name) ? next : NULL;
}

/* "2**3" and "2 ** 3" are powers; "**6** and **8**" is bold type. */
static bool is_power(const struct lexer *l, const char *s, const char *end)
{
    bool spaced = end - s > 2 && s[2] == ' ';
    const char *next = s + 2 + spaced;
    return l->n && spaced == l->spaced && next < end &&
           (isalnum((unsigned char)*next) || strchr("({\\-", *next));
}

/* Plain relations and "**". */
static const char *lex_operator(struct lexer *l, const char *s, const char *end)
{
    static const struct {
        const char *text;
        uint8_t kind, op;
    } operators[] = {
        {"<=", TOKEN_RELATION, 'l'},   {">=", TOKEN_RELATION, 'g'},
        {"!=", TOKEN_RELATION, 'n'},   {"==", TOKEN_RELATION, '='},
        {"=", TOKEN_RELATION, '='},    {"<", TOKEN_RELATION, '<'},
        {">", TOKEN_RELATION, '>'},    {"**", '^', 0},
        {"+-", TOKEN_PLUS_MINUS, '+'},
    };
    if (starts(s, end, "**") && !is_power(l, s, end))
        return s + 2;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (starts(s, end, operators[i].text)) {
            size_t n = strlen(operators[i].text);
            return emit(l, operators[i].kind, operators[i].op, s, n, 0) ? s + n : NULL;
        }
    if (*s == '.' && l->n == 1 && l->out[0].kind == TOKEN_VARIABLE) /* "B. 12" */
        return emit(l, ':', 0, s, 1, 0) ? s + 1 : NULL;
    if (!strchr("+-*/^_!'()[]{}|,;:&%", *s))
        return NULL;
    return emit(l, (uint8_t)*s, 0, s, 1, 0) ? s + 1 : NULL;
}

/* "1A3_{16}": digits of a base that has letters among them, and no product. */
static bool has_letter_digits(const char *s, const char *end)
{
    const char *from = s;
    bool letters = false;
    for (; s < end && (is_digit(*s) || (*s >= 'A' && *s <= 'Z')); s++)
        letters = letters || !is_digit(*s);
    if (!letters || s - from < 2 || s == end || *s++ != '_')
        return false;
    s += s < end && *s == '{';
    return end - s >= 2 && *s >= '1' && *s <= '3' && is_digit(s[1]);
}

static bool lex_range(struct lexer *l, const char *s, const char *end, int depth)
{
    while (s && s < end) {
        unsigned char c = (unsigned char)*s;
        if ((is_digit((char)c) || is_letter((char)c)) && has_letter_digits(s, end))
            return false;
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '~') {
            l->spaced = true;
            s++;
        } else if (c == '$') {
            if (l->money && !emit(l, TOKEN_CURRENCY, 0, s, 1, 0))
                return false;
            s++;
        } else if (c == '\\')
            s = lex_command(l, s + 1, end, depth);
        else if (is_digit((char)c) || (c == '.' && s + 1 < end && is_digit(s[1])) ||
                 starts(s, end, ".\\overline{"))
            s = lex_number(l, s, end);
        else if (is_letter((char)c))
            s = lex_letters(l, s, end);
        else if (c >= 0x80)
            s = lex_unicode(l, s, end);
        else if (c < 0x20)
            return false;
        else
            s = lex_operator(l, s, end);
    }
    return s != NULL;
}

/* An even number of bare dollar signs are math delimiters; a single one is money. */
static bool is_money(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += s[i] == '$' && !(i && s[i - 1] == '\\');
    return count == 1;
}

bool expr_lex(const char *s, size_t n, struct expr_token *tokens)
{
    if (n > EXPR_MAX_BYTES)
        return false;
    struct lexer l = {.text = s, .out = tokens, .money = is_money(s, n)};
    if (!lex_range(&l, s, s + n, 0))
        return false;
    tokens[l.n] = (struct expr_token){.kind = TOKEN_END, .at = (uint16_t)n, .spaced = true};
    return true;
}
