#include "dataset/scripts.h"
#include "core/text/unicode.h"
#include "dataset/starts.h"

#include <stdio.h>
#include <string.h>

const char *script_name(enum script s)
{
    static const char *const names[SCRIPT_N] = {"no script", "Latin",    "Han",   "kana",
                                                "Hangul",    "Cyrillic", "Greek", "Arabic",
                                                "Hebrew",    "Indic",    "Thai",  "another script"};
    return names[s];
}

/* From Unicode's Scripts.txt, by whole blocks: what is no letter in them does not matter. */
static const struct range {
    uint32_t first, last;
    enum script script;
} ranges[] = {
    {0x00AA, 0x00AA, SCRIPT_LATIN},    {0x00BA, 0x00BA, SCRIPT_LATIN},
    {0x00C0, 0x00D6, SCRIPT_LATIN},    {0x00D8, 0x00F6, SCRIPT_LATIN},
    {0x00F8, 0x02AF, SCRIPT_LATIN},    {0x0370, 0x03FF, SCRIPT_GREEK},
    {0x0400, 0x052F, SCRIPT_CYRILLIC}, {0x0530, 0x058F, SCRIPT_OTHER},
    {0x0591, 0x05FF, SCRIPT_HEBREW},   {0x0600, 0x06FF, SCRIPT_ARABIC},
    {0x0700, 0x074F, SCRIPT_OTHER},    {0x0750, 0x077F, SCRIPT_ARABIC},
    {0x0780, 0x086F, SCRIPT_OTHER},    {0x0870, 0x08FF, SCRIPT_ARABIC},
    {0x0900, 0x0DFF, SCRIPT_INDIC},    {0x0E00, 0x0E7F, SCRIPT_THAI},
    {0x0E80, 0x10FF, SCRIPT_OTHER},    {0x1100, 0x11FF, SCRIPT_HANGUL},
    {0x1200, 0x1C7F, SCRIPT_OTHER},    {0x1C80, 0x1C8F, SCRIPT_CYRILLIC},
    {0x1C90, 0x1CFF, SCRIPT_OTHER},    {0x1D00, 0x1D25, SCRIPT_LATIN},
    {0x1E00, 0x1EFF, SCRIPT_LATIN},    {0x1F00, 0x1FFF, SCRIPT_GREEK},
    {0x2C00, 0x2C5F, SCRIPT_OTHER},    {0x2C60, 0x2C7F, SCRIPT_LATIN},
    {0x2C80, 0x2DDF, SCRIPT_OTHER},    {0x2DE0, 0x2DFF, SCRIPT_CYRILLIC},
    {0x2E80, 0x2FDF, SCRIPT_HAN},      {0x3005, 0x3007, SCRIPT_HAN},
    {0x3021, 0x3029, SCRIPT_HAN},      {0x3038, 0x303B, SCRIPT_HAN},
    {0x3041, 0x309F, SCRIPT_KANA},     {0x30A1, 0x30FA, SCRIPT_KANA},
    {0x30FC, 0x30FF, SCRIPT_KANA},     {0x3105, 0x312F, SCRIPT_HAN},
    {0x3131, 0x318E, SCRIPT_HANGUL},   {0x31A0, 0x31BF, SCRIPT_HAN},
    {0x31F0, 0x31FF, SCRIPT_KANA},     {0x3400, 0x4DBF, SCRIPT_HAN},
    {0x4E00, 0x9FFF, SCRIPT_HAN},      {0xA000, 0xA63F, SCRIPT_OTHER},
    {0xA640, 0xA69F, SCRIPT_CYRILLIC}, {0xA6A0, 0xA71F, SCRIPT_OTHER},
    {0xA722, 0xA7FF, SCRIPT_LATIN},    {0xA800, 0xA8DF, SCRIPT_OTHER},
    {0xA8E0, 0xA8FF, SCRIPT_INDIC},    {0xA900, 0xA95F, SCRIPT_OTHER},
    {0xA960, 0xA97F, SCRIPT_HANGUL},   {0xA980, 0xAB2F, SCRIPT_OTHER},
    {0xAB30, 0xAB6F, SCRIPT_LATIN},    {0xAB70, 0xABFF, SCRIPT_OTHER},
    {0xAC00, 0xD7FF, SCRIPT_HANGUL},   {0xF900, 0xFAFF, SCRIPT_HAN},
    {0xFB1D, 0xFB4F, SCRIPT_HEBREW},   {0xFB50, 0xFDFF, SCRIPT_ARABIC},
    {0xFE70, 0xFEFC, SCRIPT_ARABIC},   {0xFF21, 0xFF3A, SCRIPT_LATIN},
    {0xFF41, 0xFF5A, SCRIPT_LATIN},    {0xFF66, 0xFF9D, SCRIPT_KANA},
    {0xFFA0, 0xFFDC, SCRIPT_HANGUL},   {0x10000, 0x1CFFF, SCRIPT_OTHER},
    {0x1E000, 0x1EDFF, SCRIPT_OTHER},  {0x20000, 0x3FFFF, SCRIPT_HAN},
};

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

enum script script_of(uint32_t cp)
{
    if (cp < 0x80)
        return is_letter((char)cp) ? SCRIPT_LATIN : SCRIPT_NONE;
    size_t lo = 0, hi = sizeof ranges / sizeof *ranges;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > ranges[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool in = lo < sizeof ranges / sizeof *ranges && cp >= ranges[lo].first;
    return in && unicode_is_word(cp) ? ranges[lo].script : SCRIPT_NONE;
}

/* Of scripts without spaces each letter is a word. */
static bool is_unspaced(enum script s)
{
    return s == SCRIPT_HAN || s == SCRIPT_KANA || s == SCRIPT_THAI;
}

/* Fewer letters than this are a variable. */
static int least_letters(enum script s)
{
    return s == SCRIPT_GREEK ? 3 : s == SCRIPT_LATIN || s == SCRIPT_CYRILLIC ? 2 : 1;
}

/* Digits, white space and punctuation of ASCII that open nothing. */
static bool is_plain(char c)
{
    return (unsigned char)c < 0x80 && !is_letter(c) && c != '`' && c != '$' && c != '\\' &&
           c != '"' && c != '(' && c != '[';
}

/* ---- what is passed over ---- */

enum { MAX_MATH = 400, MAX_CODE = 200, MAX_QUOTE = 160 };

/* Bytes from s to the end of the next close, no further than most; 0 when there is none. */
static size_t up_to(const char *s, const char *end, const char *close, size_t most, bool one_line)
{
    size_t n = (size_t)(end - s) < most ? (size_t)(end - s) : most;
    const char *at = memmem(s, n, close, strlen(close));
    if (!at || (one_line && memchr(s, '\n', (size_t)(at - s))))
        return 0;
    return (size_t)(at - s) + strlen(close);
}

/* Code, formulas, addresses: bytes to pass over at s, or 0. */
static size_t skip(const char *s, const char *end)
{
    size_t n = 0;
    switch (*s) {
    case '`':
        if (starts(s, end, "```")) { /* one that is never closed goes to the end */
            n = up_to(s + 3, end, "```", (size_t)(end - s), false);
            return n ? n + 3 : (size_t)(end - s);
        }
        n = up_to(s + 1, end, "`", MAX_CODE, true);
        return n ? n + 1 : 0;
    case '$':
        if (starts(s, end, "$$")) {
            n = up_to(s + 2, end, "$$", MAX_MATH * 4, false);
            return n ? n + 2 : 2;
        }
        n = up_to(s + 1, end, "$", MAX_MATH, true);
        return n ? n + 1 : 0;
    case '\\':
        if (starts(s, end, "\\("))
            n = up_to(s + 2, end, "\\)", MAX_MATH, false);
        else if (starts(s, end, "\\["))
            n = up_to(s + 2, end, "\\]", MAX_MATH * 4, false);
        if (n)
            return n + 2;
        for (n = 1; s + n < end && is_letter(s[n]);)
            n++;
        return n;
    case 'h':
        if (!starts(s, end, "http://") && !starts(s, end, "https://"))
            return 0;
        while (s + n < end && (unsigned char)s[n] > ' ' && (unsigned char)s[n] < 0x7F)
            n++;
        return n;
    default:
        return 0;
    }
}

/* The end of the short quotation or bracket that opens at s; NULL when none does. */
static const char *quote_end(const char *s, const char *end)
{
    static const char *const pairs[][2] = {{"\"", "\""}, {"(", ")"},   {"[", "]"},   {"“", "”"},
                                           {"‘", "’"},   {"（", "）"}, {"「", "」"}, {"『", "』"},
                                           {"《", "》"}, {"«", "»"},   {"„", "“"},   {"【", "】"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (*s == *pairs[i][0] && starts(s, end, pairs[i][0])) {
            const char *inner = s + strlen(pairs[i][0]);
            size_t n = up_to(inner, end, pairs[i][1], MAX_QUOTE, true);
            if (n)
                return inner + n;
        }
    return NULL;
}

/* ---- counting ---- */

/* Is the word of n letters one of those, which are sorted? In whatever case. */
static bool is_among(const char *const *words, size_t n_words, const char *s, size_t n)
{
    char word[8] = "";
    if (n < 2 || n >= sizeof word)
        return false;
    for (size_t i = 0; i < n; i++)
        word[i] = (char)(s[i] | 32);
    for (size_t lo = 0, hi = n_words; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        int order = strcmp(word, words[mid]);
        if (!order)
            return true;
        lo = order > 0 ? mid + 1 : lo;
        hi = order > 0 ? hi : mid;
    }
    return false;
}

/* Names that formulas have in every language. */
static bool is_math_name(const char *s, size_t n)
{
    static const char *const names[] = {
        "arccos", "arcsin", "arctan", "arg", "cos",  "cosh", "cot", "csc", "deg", "det",
        "dim",    "exp",    "gcd",    "inf", "ker",  "lcm",  "lim", "ln",  "log", "max",
        "min",    "mod",    "sec",    "sin", "sinh", "sup",  "tan", "tanh"};
    return is_among(names, sizeof names / sizeof *names, s, n);
}

/* Words that sentences in Latin script have and lists of names have not. */
static bool is_function_word(const char *s, size_t n)
{
    static const char *const words[] = {
        "about",   "after", "all",   "also", "an",     "and",   "are",  "as",   "at",   "be",
        "because", "but",   "by",    "can",  "das",    "de",    "der",  "des",  "die",  "do",
        "does",    "each",  "else",  "est",  "et",     "first", "for",  "from", "get",  "has",
        "have",    "here",  "how",   "if",   "in",     "into",  "is",   "ist",  "it",   "les",
        "let",     "me",    "my",    "need", "nicht",  "no",    "not",  "now",  "of",   "on",
        "or",      "our",   "out",   "que",  "should", "so",    "some", "than", "that", "the",
        "then",    "there", "they",  "this", "to",     "und",   "une",  "was",  "we",   "what",
        "when",    "where", "which", "will", "with",   "would", "you"};
    return is_among(words, sizeof words / sizeof *words, s, n);
}

struct counter {
    struct script_counts *out;
    enum script run; /* of the words in a row */
    int64_t n_run, n_function;
    bool prose;  /* tell names of functions, and sentences in Latin script */
    bool spaced; /* there was white space since the last word */
};

static void add_word(struct counter *c, enum script s, const char *word, const char *end,
                     int n_letters, bool quoted)
{
    /* file.name.js and a-b-c are one word */
    bool joined = s == SCRIPT_LATIN && c->run == s && !c->spaced;
    if (n_letters < least_letters(s) ||
        (c->prose && s == SCRIPT_LATIN && is_math_name(word, (size_t)(end - word))))
        return;
    c->spaced = false;
    if (quoted) {
        c->out->quoted[s] += !joined;
        return;
    }
    if (joined)
        return;
    c->out->n[s]++;
    c->out->n_all++;
    if (s != c->run)
        c->n_run = c->n_function = 0;
    c->n_run++;
    c->run = s;
    if (c->n_run > c->out->longest[s])
        c->out->longest[s] = c->n_run;
    if (!c->prose || s != SCRIPT_LATIN)
        return;
    c->n_function += is_function_word(word, (size_t)(end - word));
    if (c->n_function >= 2 && c->n_run > c->out->longest_prose)
        c->out->longest_prose = c->n_run;
}

static void count(const char *text, size_t n, bool prose, struct script_counts *out)
{
    const char *end = text + n, *quoted_until = text;
    struct counter c = {.out = out, .prose = prose, .spaced = true};
    enum script word = SCRIPT_NONE; /* of the word at hand */
    const char *word_at = text;
    int n_letters = 0;
    *out = (struct script_counts){0};
    for (const char *s = text; s < end;) {
        if (word == SCRIPT_LATIN && is_letter(*s)) { /* nearly always */
            n_letters++;
            s++;
            continue;
        }
        if (word == SCRIPT_NONE && is_plain(*s)) {
            c.spaced |= *s == ' ' || *s == '\n' || *s == '\t';
            s++;
            continue;
        }
        uint32_t cp = (unsigned char)*s;
        size_t len = cp < 0x80 ? 1 : unicode_get(s, (size_t)(end - s), &cp);
        if (cp >= 0x300 && cp <= 0x36F && len) { /* an accent on what stands before it */
            s += len;
            continue;
        }
        enum script script = len ? script_of(cp) : SCRIPT_NONE;
        len = len ? len : 1;
        size_t passed = word == SCRIPT_NONE || script == SCRIPT_NONE ? skip(s, end) : 0;
        if (passed)
            script = SCRIPT_NONE;
        if (script != word || is_unspaced(script)) {
            if (word != SCRIPT_NONE)
                add_word(&c, word, word_at, s, n_letters, s <= quoted_until);
            n_letters = 0;
            word = script;
            word_at = s;
        }
        n_letters++;
        c.spaced |= *s == ' ' || *s == '\n' || *s == '\t';
        if (!passed && script == SCRIPT_NONE && s >= quoted_until && !is_plain(*s)) {
            const char *q = quote_end(s, end);
            quoted_until = q ? q : quoted_until;
        }
        s += passed ? passed : len;
    }
    if (word != SCRIPT_NONE)
        add_word(&c, word, word_at, end, n_letters, false);
}

void scripts_count(const char *text, size_t n, struct script_counts *out)
{
    count(text, n, true, out);
}

/* ---- judging ---- */

enum { LEAST_PROMPT = 2, LEAST_FOREIGN = 4, LONG_RUN = 8, LEAST_SWITCHED = 20, LEAST_HAN = 50 };

/* How much is in a script, in half words: where a letter is a word, two are one. */
static int64_t weight_of(const struct script_counts *c, enum script s)
{
    return is_unspaced(s) ? c->n[s] : 2 * c->n[s];
}

static enum script main_script(const struct script_counts *c)
{
    enum script best = SCRIPT_NONE;
    for (enum script s = 1; s < SCRIPT_N; s++)
        if (c->n[s] && (best == SCRIPT_NONE || weight_of(c, s) > weight_of(c, best)))
            best = s;
    return best;
}

static bool is_foreign(const struct script_counts *prompt, enum script s)
{
    bool kana = prompt->n[SCRIPT_KANA] + prompt->quoted[SCRIPT_KANA] > 0;
    return s != SCRIPT_LATIN && prompt->n[s] + prompt->quoted[s] == 0 && !(s == SCRIPT_HAN && kana);
}

/* In a text whose main script is another. */
static bool too_much_latin(const struct script_counts *prompt, const struct script_counts *c)
{
    int64_t latin = c->n[SCRIPT_LATIN];
    if (5 * prompt->n[SCRIPT_LATIN] >= prompt->n_all)
        return false;
    return c->longest_prose >= LONG_RUN || (2 * latin > c->n_all && latin >= LEAST_FOREIGN);
}

static bool is_switched(const struct script_counts *prompt, const struct script_counts *c,
                        enum script main, enum script own)
{
    int64_t n = c->n[main];
    if (main == SCRIPT_HAN || main == SCRIPT_KANA)
        n = c->n[SCRIPT_HAN] + c->n[SCRIPT_KANA];
    if (c->n_all >= LEAST_SWITCHED && 10 * n < c->n_all &&
        4 * weight_of(prompt, own) < weight_of(prompt, main))
        return true;
    bool japanese = 10 * prompt->n[SCRIPT_KANA] > prompt->n[SCRIPT_KANA] + prompt->n[SCRIPT_HAN];
    return japanese && c->n[SCRIPT_HAN] > LEAST_HAN && 50 * c->n[SCRIPT_KANA] < c->n[SCRIPT_HAN];
}

bool scripts_mixed(const char *prompt, size_t n_prompt, const char *reasoning, size_t n_reasoning,
                   double max_foreign, char reason[SCRIPTS_REASON])
{
    struct script_counts p, c;
    count(prompt, n_prompt, true, &p);
    enum script main = main_script(&p);
    count(reasoning, n_reasoning, main != SCRIPT_LATIN, &c);
    enum script own = main_script(&c);
    if (own == SCRIPT_NONE)
        return false;
    if (p.n_all < LEAST_PROMPT) {
        p = (struct script_counts){.n_all = 1};
        p.n[own] = 1;
        p.n[SCRIPT_KANA] = own == SCRIPT_HAN && c.n[SCRIPT_KANA] * 10 > c.n[SCRIPT_HAN];
        main = own;
    } else if (is_switched(&p, &c, main, own)) {
        snprintf(reason, SCRIPTS_REASON, "%lld of %lld words in %s; the prompt is in %s",
                 (long long)c.n[own], (long long)c.n_all, script_name(own),
                 script_name(p.n[SCRIPT_KANA] ? SCRIPT_KANA : main));
        return true;
    }
    int64_t foreign = 0, longest = 0;
    enum script most = SCRIPT_NONE;
    for (enum script s = 1; s < SCRIPT_N; s++)
        if (is_foreign(&p, s) && c.n[s]) {
            foreign += c.n[s];
            longest = c.longest[s] > longest ? c.longest[s] : longest;
            most = most == SCRIPT_NONE || c.n[s] > c.n[most] ? s : most;
        }
    bool mixed = longest >= LONG_RUN || (max_foreign <= 0 && foreign > 0) ||
                 (foreign >= LEAST_FOREIGN && (double)foreign >= max_foreign * (double)c.n_all);
    if (!mixed && main != SCRIPT_LATIN && too_much_latin(&p, &c)) {
        mixed = true;
        foreign = c.n[SCRIPT_LATIN];
        most = SCRIPT_LATIN;
    }
    if (mixed)
        snprintf(reason, SCRIPTS_REASON, "%lld of %lld words in %s; the prompt is in %s",
                 (long long)foreign, (long long)c.n_all, script_name(most), script_name(main));
    return mixed;
}
