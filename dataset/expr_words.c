#include "dataset/expr_words.h"
#include "dataset/answer_value.h"
#include "dataset/starts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Sorted by name, for bsearch. */
static const struct expr_command commands[] = {
    {"Big", ACT_SKIP},
    {"Bigg", ACT_SKIP},
    {"Biggl", ACT_SKIP},
    {"Biggr", ACT_SKIP},
    {"Bigl", ACT_SKIP},
    {"Bigr", ACT_SKIP},
    {"Longrightarrow", ACT_EMIT, TOKEN_SYMBOL},
    {"angle", ACT_EMIT, TOKEN_SYMBOL},
    {"approx", ACT_EMIT, TOKEN_RELATION, '~'},
    {"arccos", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCCOS},
    {"arccot", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCCOT},
    {"arccsc", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCCSC},
    {"arcsec", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCSEC},
    {"arcsin", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCSIN},
    {"arctan", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCTAN},
    {"arg", ACT_EMIT, TOKEN_SYMBOL},
    {"ast", ACT_EMIT, '*'},
    {"backslash", ACT_EMIT, TOKEN_WITHOUT},
    {"bar", ACT_EMIT, TOKEN_BAR, 1},
    {"begin", ACT_ENVIRONMENT, TOKEN_MATRIX_BEGIN},
    {"bf", ACT_SKIP},
    {"big", ACT_SKIP},
    {"bigcup", ACT_EMIT, TOKEN_UNION},
    {"bigg", ACT_SKIP},
    {"biggl", ACT_SKIP},
    {"biggr", ACT_SKIP},
    {"bigl", ACT_SKIP},
    {"bigr", ACT_SKIP},
    {"binom", ACT_EMIT, TOKEN_BINOMIAL},
    {"bm", ACT_SKIP},
    {"bmod", ACT_EMIT, TOKEN_MODULO},
    {"boldsymbol", ACT_SKIP},
    {"boxed", ACT_SKIP},
    {"cap", ACT_EMIT, TOKEN_INTERSECTION},
    {"cdot", ACT_EMIT, '*'},
    {"cfrac", ACT_EMIT, TOKEN_FRACTION},
    {"circ", ACT_EMIT, TOKEN_DEGREE},
    {"colon", ACT_EMIT, ':'},
    {"cos", ACT_EMIT, TOKEN_FUNCTION, EXPR_COS},
    {"cosh", ACT_EMIT, TOKEN_FUNCTION, EXPR_COSH},
    {"cot", ACT_EMIT, TOKEN_FUNCTION, EXPR_COT},
    {"csc", ACT_EMIT, TOKEN_FUNCTION, EXPR_CSC},
    {"cup", ACT_EMIT, TOKEN_UNION},
    {"dbinom", ACT_EMIT, TOKEN_BINOMIAL},
    {"deg", ACT_EMIT, TOKEN_SYMBOL},
    {"degree", ACT_EMIT, TOKEN_DEGREE},
    {"det", ACT_EMIT, TOKEN_SYMBOL},
    {"dfrac", ACT_EMIT, TOKEN_FRACTION},
    {"dim", ACT_EMIT, TOKEN_SYMBOL},
    {"displaystyle", ACT_SKIP},
    {"div", ACT_EMIT, '/'},
    {"emptyset", ACT_EMIT, TOKEN_CONSTANT, EXPR_EMPTY},
    {"end", ACT_ENVIRONMENT, TOKEN_MATRIX_END},
    {"equiv", ACT_EMIT, TOKEN_RELATION, '='},
    {"exp", ACT_EMIT, TOKEN_FUNCTION, EXPR_EXP},
    {"fbox", ACT_SKIP},
    {"frac", ACT_EMIT, TOKEN_FRACTION},
    {"gcd", ACT_EMIT, TOKEN_SYMBOL},
    {"ge", ACT_EMIT, TOKEN_RELATION, 'g'},
    {"geq", ACT_EMIT, TOKEN_RELATION, 'g'},
    {"geqslant", ACT_EMIT, TOKEN_RELATION, 'g'},
    {"gt", ACT_EMIT, TOKEN_RELATION, '>'},
    {"hat", ACT_EMIT, TOKEN_BAR, 2},
    {"hbox", ACT_WORDS},
    {"hspace", ACT_DROP},
    {"in", ACT_EMIT, TOKEN_RELATION, 'e'},
    {"infty", ACT_EMIT, TOKEN_CONSTANT, EXPR_INFINITY},
    {"int", ACT_EMIT, TOKEN_SYMBOL},
    {"it", ACT_SKIP},
    {"langle", ACT_EMIT, '('},
    {"lbrace", ACT_EMIT, TOKEN_SET_OPEN},
    {"lbrack", ACT_EMIT, '['},
    {"lceil", ACT_EMIT, TOKEN_CEILING, '('},
    {"le", ACT_EMIT, TOKEN_RELATION, 'l'},
    {"left", ACT_DELIMITER},
    {"leq", ACT_EMIT, TOKEN_RELATION, 'l'},
    {"leqslant", ACT_EMIT, TOKEN_RELATION, 'l'},
    {"lfloor", ACT_EMIT, TOKEN_FLOOR, '('},
    {"lg", ACT_EMIT, TOKEN_FUNCTION, EXPR_LOG},
    {"lim", ACT_EMIT, TOKEN_SYMBOL},
    {"limits", ACT_SKIP},
    {"ln", ACT_EMIT, TOKEN_FUNCTION, EXPR_LN},
    {"log", ACT_EMIT, TOKEN_FUNCTION, EXPR_LOG},
    {"lt", ACT_EMIT, TOKEN_RELATION, '<'},
    {"lvert", ACT_EMIT, '|'},
    {"mathbb", ACT_BLACKBOARD},
    {"mathbf", ACT_SKIP},
    {"mathcal", ACT_SKIP},
    {"mathit", ACT_SKIP},
    {"mathrm", ACT_WORDS},
    {"mathsf", ACT_SKIP},
    {"max", ACT_EMIT, TOKEN_SYMBOL},
    {"mbox", ACT_WORDS},
    {"mid", ACT_EMIT, '|'},
    {"middle", ACT_DELIMITER},
    {"min", ACT_EMIT, TOKEN_SYMBOL},
    {"mod", ACT_EMIT, TOKEN_MODULO},
    {"mp", ACT_EMIT, TOKEN_PLUS_MINUS, '-'},
    {"ne", ACT_EMIT, TOKEN_RELATION, 'n'},
    {"neq", ACT_EMIT, TOKEN_RELATION, 'n'},
    {"operatorname", ACT_OPERATOR},
    {"overline", ACT_EMIT, TOKEN_BAR, 1},
    {"overrightarrow", ACT_SKIP},
    {"phantom", ACT_DROP},
    {"pi", ACT_EMIT, TOKEN_CONSTANT, EXPR_PI},
    {"pm", ACT_EMIT, TOKEN_PLUS_MINUS, '+'},
    {"pmod", ACT_EMIT, TOKEN_MODULO},
    {"prod", ACT_EMIT, TOKEN_SYMBOL},
    {"qquad", ACT_SPACE},
    {"quad", ACT_SPACE},
    {"rangle", ACT_EMIT, ')'},
    {"rbrace", ACT_EMIT, TOKEN_SET_CLOSE},
    {"rbrack", ACT_EMIT, ']'},
    {"rceil", ACT_EMIT, TOKEN_CEILING, ')'},
    {"rfloor", ACT_EMIT, TOKEN_FLOOR, ')'},
    {"right", ACT_DELIMITER},
    {"rm", ACT_SKIP},
    {"rvert", ACT_EMIT, '|'},
    {"sec", ACT_EMIT, TOKEN_FUNCTION, EXPR_SEC},
    {"setminus", ACT_EMIT, TOKEN_WITHOUT},
    {"sin", ACT_EMIT, TOKEN_FUNCTION, EXPR_SIN},
    {"sinh", ACT_EMIT, TOKEN_FUNCTION, EXPR_SINH},
    {"sqrt", ACT_EMIT, TOKEN_ROOT},
    {"star", ACT_EMIT, '*'},
    {"sum", ACT_EMIT, TOKEN_SYMBOL},
    {"sup", ACT_EMIT, TOKEN_SYMBOL},
    {"tan", ACT_EMIT, TOKEN_FUNCTION, EXPR_TAN},
    {"tanh", ACT_EMIT, TOKEN_FUNCTION, EXPR_TANH},
    {"tbinom", ACT_EMIT, TOKEN_BINOMIAL},
    {"text", ACT_WORDS},
    {"textbf", ACT_WORDS},
    {"textit", ACT_WORDS},
    {"textnormal", ACT_WORDS},
    {"textrm", ACT_WORDS},
    {"textsf", ACT_WORDS},
    {"textstyle", ACT_SKIP},
    {"tfrac", ACT_EMIT, TOKEN_FRACTION},
    {"tilde", ACT_EMIT, TOKEN_BAR, 3},
    {"times", ACT_EMIT, '*'},
    {"to", ACT_EMIT, TOKEN_SYMBOL},
    {"triangle", ACT_EMIT, TOKEN_SYMBOL},
    {"underline", ACT_SKIP},
    {"varnothing", ACT_EMIT, TOKEN_CONSTANT, EXPR_EMPTY},
    {"vec", ACT_SKIP},
    {"vert", ACT_EMIT, '|'},
};

static const char *const greek[] = {
    "alpha",      "beta",   "chi",      "delta", "epsilon", "eta",   "gamma", "kappa", "lambda",
    "mu",         "nu",     "omega",    "phi",   "psi",     "rho",   "sigma", "tau",   "theta",
    "varepsilon", "varphi", "vartheta", "xi",    "zeta",    "Gamma", "Delta", "Theta", "Lambda",
    "Omega",      "Phi",    "Psi",      "Sigma", "Pi",      "ell"};

/* Plain words with a meaning, in any case. */
static const struct expr_command plain_words[] = {
    {"sin", ACT_EMIT, TOKEN_FUNCTION, EXPR_SIN},
    {"cos", ACT_EMIT, TOKEN_FUNCTION, EXPR_COS},
    {"tan", ACT_EMIT, TOKEN_FUNCTION, EXPR_TAN},
    {"cot", ACT_EMIT, TOKEN_FUNCTION, EXPR_COT},
    {"sec", ACT_EMIT, TOKEN_FUNCTION, EXPR_SEC},
    {"csc", ACT_EMIT, TOKEN_FUNCTION, EXPR_CSC},
    {"arcsin", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCSIN},
    {"arccos", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCCOS},
    {"arctan", ACT_EMIT, TOKEN_FUNCTION, EXPR_ARCTAN},
    {"ln", ACT_EMIT, TOKEN_FUNCTION, EXPR_LN},
    {"log", ACT_EMIT, TOKEN_FUNCTION, EXPR_LOG},
    {"exp", ACT_EMIT, TOKEN_FUNCTION, EXPR_EXP},
    {"cis", ACT_EMIT, TOKEN_FUNCTION, EXPR_CIS},
    {"sqrt", ACT_EMIT, TOKEN_FUNCTION, EXPR_SQRT},
    {"cbrt", ACT_EMIT, TOKEN_FUNCTION, EXPR_CBRT},
    {"abs", ACT_EMIT, TOKEN_FUNCTION, EXPR_ABSOLUTE},
    {"pi", ACT_EMIT, TOKEN_CONSTANT, EXPR_PI},
    {"infinity", ACT_EMIT, TOKEN_CONSTANT, EXPR_INFINITY},
    {"infty", ACT_EMIT, TOKEN_CONSTANT, EXPR_INFINITY},
    {"inf", ACT_EMIT, TOKEN_CONSTANT, EXPR_INFINITY},
    {"and", ACT_EMIT, TOKEN_AND},
    {"or", ACT_EMIT, TOKEN_OR},
    {"union", ACT_EMIT, TOKEN_UNION},
    {"degrees", ACT_EMIT, TOKEN_DEGREE},
    {"degree", ACT_EMIT, TOKEN_DEGREE},
    {"percent", ACT_EMIT, '%'},
    {"mod", ACT_EMIT, TOKEN_MODULO},
};

/* Short words of prose and units, which are no products of variables. */
static const char *const short_words[] = {
    "is", "no", "the", "to",  "yes", "odd", "of",  "if",  "for", "are", "not", "was", "by",  "am",
    "pm", "it", "at",  "one", "two", "six", "ten", "mod", "all", "red", "per", "sq",  "gal", "out"};

static const struct expr_character characters[] = {
    {"\u2212", '-'},
    {"\u2013", '-'},
    {"\u00D7", '*'},
    {"\u00B7", '*'},
    {"\u22C5", '*'},
    {"\u00F7", '/'},
    {"\u03C0", TOKEN_CONSTANT, EXPR_PI},
    {"\u221E", TOKEN_CONSTANT, EXPR_INFINITY},
    {"\u221A", TOKEN_ROOT, 1},
    {"\u00B0", TOKEN_DEGREE},
    {"\u2264", TOKEN_RELATION, 'l'},
    {"\u2265", TOKEN_RELATION, 'g'},
    {"\u2260", TOKEN_RELATION, 'n'},
    {"\u2261", TOKEN_RELATION, '='},
    {"\u2208", TOKEN_RELATION, 'e'},
    {"\u2248", TOKEN_RELATION, '~'},
    {"\u00B1", TOKEN_PLUS_MINUS, '+'},
    {"\u222A", TOKEN_UNION},
    {"\u2229", TOKEN_INTERSECTION},
    {"\u2216", TOKEN_WITHOUT},
    {"\u2205", TOKEN_CONSTANT, EXPR_EMPTY},
    {"\u211D", TOKEN_CONSTANT, EXPR_REALS},
    {"\u03B8", TOKEN_VARIABLE, 0, 0x3b8},
    {"\u03B1", TOKEN_VARIABLE, 0, 0x3b1},
    {"\u03B2", TOKEN_VARIABLE, 0, 0x3b2},
    {"\u03BB", TOKEN_VARIABLE, 0, 0x3bb},
    {"\u00B2", '^', '2'},
    {"\u00B3", '^', '3'},
    {"\u20AC", TOKEN_CURRENCY},
    {"\u00A3", TOKEN_CURRENCY},
    {"\u00A0", 0},
    {"\u2009", 0},
    {"\u202F", 0},
    {"\u2061", 0},
};

static int by_name(const void *key, const void *c)
{
    return strcmp(key, ((const struct expr_command *)c)->name);
}

const struct expr_command *expr_find_command(const char *name)
{
    return bsearch(name, commands, sizeof commands / sizeof *commands, sizeof *commands, by_name);
}

const struct expr_command *expr_find_word(const char *word)
{
    for (size_t i = 0; i < sizeof plain_words / sizeof *plain_words; i++)
        if (!strcmp(word, plain_words[i].name))
            return &plain_words[i];
    return NULL;
}

const struct expr_character *expr_find_character(const char *s, const char *end)
{
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        size_t n = strlen(characters[i].utf8);
        if ((size_t)(end - s) >= n && !memcmp(s, characters[i].utf8, n))
            return &characters[i];
    }
    return NULL;
}

static bool is_listed(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(word, list[i]))
            return true;
    return false;
}

bool expr_is_greek(const char *name)
{
    return is_listed(name, greek, sizeof greek / sizeof *greek);
}

bool expr_is_short_word(const char *word)
{
    return unit_is_short(word) ||
           is_listed(word, short_words, sizeof short_words / sizeof *short_words);
}

const char *expr_past_set_words(const char *s, const char *end, enum expr_constant *op)
{
    static const struct {
        const char *words;
        enum expr_constant op;
    } sets[] = {{"all real numbers", EXPR_REALS},    {"all real values", EXPR_REALS},
                {"all reals", EXPR_REALS},           {"any real number", EXPR_REALS},
                {"set of real numbers", EXPR_REALS}, {"empty set", EXPR_EMPTY},
                {"no solutions", EXPR_EMPTY},        {"no solution", EXPR_EMPTY}};
    static const char *const before[] = {"the ", "set of "};
    for (size_t k = 0; k <= 2; k++) {
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
            const char *next = s + strlen(sets[i].words);
            *op = sets[i].op;
            if (starts_any_case(s, end, sets[i].words) &&
                (next == end || !isalpha((unsigned char)*next)))
                return next;
        }
        if (k < 2 && starts_any_case(s, end, before[k]))
            s += strlen(before[k]);
    }
    return NULL;
}
