/* The words after a number. */
#include "dataset/answer_value.h"

#include <ctype.h>
#include <string.h>

/* Words after a number that make another one of it: "3 quarters", "2.5 million". */
static const char *const changing[] = {
    "half",        "halves",  "third",    "thirds",    "fourth",      "fourths",     "quarter",
    "quarters",    "fifth",   "fifths",   "sixth",     "sixths",      "seventh",     "eighth",
    "eighths",     "ninth",   "tenth",    "tenths",    "hundredth",   "hundredths",  "thousandth",
    "thousandths", "dozen",   "dozens",   "score",     "gross",       "squared",     "cubed",
    "plus",        "minus",   "over",     "point",     "divided",     "multiplied",  "remainder",
    "mod",         "modulo",  "pi",       "factorial", "th",          "ths",         "st",
    "nd",          "rd",      "hundred",  "hundreds",  "thousand",    "thousands",   "million",
    "millions",    "billion", "billions", "trillion",  "quadrillion", "quintillion", "lakh",
    "lakhs",       "crore",   "crores",   "grand",     "mil",         "mln",         "bln",
    "mn",          "bn",      "tn",       "k",         "tens",
};

/* Others that are no unit after a number: they leave its value open. */
static const char *const not_units[] = {
    "and",           "or",   "to",     "times", "sqrt",     "root",     "sin",   "cos",   "tan",
    "log",           "ln",   "exp",    "not",   "no",       "more",     "less",  "fewer", "than",
    "about",         "but",  "if",     "when",  "because",  "is",       "are",   "was",   "then",
    "where",         "with", "except", "out",   "infinity", "base",     "power", "into",  "as",
    "versus",        "vs",   "by",     "below", "under",    "negative", "theta", "alpha", "beta",
    "approximately",
};

/* Short units. Only these may stand without a space after the number, since "5ab" may be a product.
 */
static const char *const short_units[] = {
    "cm",      "mm",      "km",    "kg",    "mg",     "ml",   "ft",     "in",     "lb",
    "lbs",     "oz",      "mi",    "mph",   "kph",    "hr",   "hrs",    "min",    "mins",
    "sec",     "secs",    "am",    "pm",    "hours",  "hour", "days",   "day",    "minutes",
    "seconds", "dollars", "cents", "miles", "meters", "feet", "inches", "pounds", "years",
    "weeks",   "months",  "kwh",   "usd",   "km/h",   "m/s",  "cm^2",   "cm^3",
};

static bool is_in(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(word, list[i]))
            return true;
    return false;
}

bool unit_is_short(const char *word)
{
    return is_in(word, short_units, sizeof short_units / sizeof *short_units);
}

bool unit_changes(const char *word)
{
    return is_in(word, changing, sizeof changing / sizeof *changing);
}

bool unit_is_none(const char *word)
{
    return unit_changes(word) || is_in(word, not_units, sizeof not_units / sizeof *not_units);
}

/* The length of the command at s that only says that words follow; 0: another. */
static size_t wrapper(const char *s, const char *end)
{
    static const char *const names[] = {"text{", "mathrm{", "textrm{", "mbox{"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if ((size_t)(end - s) >= n && !memcmp(s, names[i], n))
            return n;
    }
    return 0;
}

/* The next word of letters or digits in lower case, by its usual short form; false at the end. */
static bool short_form(const char **s, const char *end, char *word, size_t cap)
{
    static const struct {
        const char *word, *as;
    } forms[] = {
        {"inches", "in"},     {"inch", "in"},       {"feet", "ft"},      {"foot", "ft"},
        {"hours", "hr"},      {"hour", "hr"},       {"hrs", "hr"},       {"h", "hr"},
        {"minutes", "min"},   {"minute", "min"},    {"mins", "min"},     {"seconds", "s"},
        {"second", "s"},      {"secs", "s"},        {"sec", "s"},        {"meters", "m"},
        {"meter", "m"},       {"metres", "m"},      {"metre", "m"},      {"centimeters", "cm"},
        {"centimeter", "cm"}, {"kilometers", "km"}, {"kilometer", "km"}, {"kilograms", "kg"},
        {"kilogram", "kg"},   {"grams", "g"},       {"gram", "g"},       {"pounds", "lb"},
        {"pound", "lb"},      {"lbs", "lb"},        {"ounces", "oz"},    {"ounce", "oz"},
        {"miles", "mi"},      {"mile", "mi"},       {"yards", "yd"},     {"yard", "yd"},
        {"liters", "l"},      {"liter", "l"},       {"usd", "dollar"},   {"dollars", "dollar"},
        {"days", "day"},      {"pmod", "mod"},      {"squared", "2"},    {"cubed", "3"},
    };
    const char *p = *s;
    size_t n = 0;
    bool per = false;
    while (p < end && !isalnum((unsigned char)*p) && !((unsigned char)*p & 0x80)) {
        per |= *p == '/';
        p += 1 + (*p == '\\' ? wrapper(p + 1, end) : 0);
    }
    if (p == end)
        return false;
    if (per) { /* the word itself comes next */
        strcpy(word, "per");
        *s = p;
        return true;
    }
    bool digits = isdigit((unsigned char)*p);
    for (; p < end && (isalnum((unsigned char)*p) || (unsigned char)*p & 0x80 || *p == '.'); p++) {
        if (digits != (isdigit((unsigned char)*p) != 0))
            break; /* cm2 */
        if (*p != '.' && n + 1 < cap)
            word[n++] = (char)tolower((unsigned char)*p);
    }
    word[n] = 0;
    *s = p;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(word, forms[i].word)) {
            strcpy(word, forms[i].as);
            return true;
        }
    return true;
}

/* A unit's words one by one: "mph" is "mi", "per", "hr", as "miles/hour" is; "square meters" are
 * "m", "2". */
struct unit_words {
    const char *s, *end;
    char queue[3][40]; /* words that come before what s has */
    int n, at;
};

static bool next_word(struct unit_words *u, char *word)
{
    char next[40];
    if (u->at < u->n) {
        strcpy(word, u->queue[u->at++]);
        return true;
    }
    if (!short_form(&u->s, u->end, word, 40))
        return false;
    u->n = u->at = 0;
    bool square = !strcmp(word, "square") || !strcmp(word, "sq");
    bool cubic = !strcmp(word, "cubic") || !strcmp(word, "cu");
    if (!strcmp(word, "mph")) {
        strcpy(word, "mi");
        strcpy(u->queue[u->n++], "per");
        strcpy(u->queue[u->n++], "hr");
    } else if ((square || cubic) && short_form(&u->s, u->end, next, sizeof next)) {
        strcpy(word, next);
        strcpy(u->queue[u->n++], square ? "2" : "3");
    }
    return true;
}

/* Plural endings aside. */
static bool same_word(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > n_b)
        return same_word(b, a);
    return !memcmp(a, b, n_a) &&
           (n_a == n_b || (n_b == n_a + 1 && b[n_a] == 's' && n_a > 1) ||
            (n_b == n_a + 2 && b[n_a] == 'e' && b[n_a + 1] == 's' && n_a > 2));
}

bool unit_is_same(const char *a, size_t n_a, const char *b, size_t n_b)
{
    struct unit_words u = {.s = a, .end = a + n_a}, v = {.s = b, .end = b + n_b};
    char x[40], y[40];
    bool letter = false, degrees = false; /* some word is a single letter, the last is "deg" */
    for (;;) {
        bool more_a = next_word(&u, x), more_b = next_word(&v, y);
        if (!more_a || !more_b) {
            /* "cm" is no beginning of "cm^2", nor "x" of "x y", which are variables; "32 deg" may
             * be "32 deg F" */
            const char *rest = more_a ? x : more_b ? y : "";
            return !*rest || degrees || (!isdigit((unsigned char)*rest) && !letter && rest[1]);
        }
        if (!same_word(x, y))
            return false;
        letter = letter || !x[1];
        degrees = !strcmp(x, "deg");
    }
}
