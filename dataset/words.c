#include "dataset/words.h"
#include "core/text/unicode.h"

#define FNV_BASE 0xCBF29CE484222325u
#define FNV_PRIME 0x100000001B3u

struct words words_of(const char *text, size_t n, enum words_form form)
{
    return (struct words){.at = text, .end = text + n, .form = form};
}

static uint64_t add_char(uint64_t h, uint32_t cp)
{
    for (; cp >= 0x80; cp >>= 7)
        h = (h ^ (0x80 | (cp & 0x7F))) * FNV_PRIME;
    return (h ^ cp) * FNV_PRIME;
}

/* What an ASCII character is in the forms SYMBOLS and BARE. */
enum ascii { BREAK, WORD, SYMBOL };
#define TEN(what) what, what, what, what, what, what, what, what, what, what
#define LETTERS TEN(WORD), TEN(WORD), WORD, WORD, WORD, WORD, WORD, WORD
/* clang-format off */
static const uint8_t ascii_kind[128] = {
    TEN(BREAK), TEN(BREAK), TEN(BREAK), BREAK, BREAK, BREAK,
    ['%'] = SYMBOL, ['('] = SYMBOL, [')'] = SYMBOL, ['*'] = SYMBOL, ['+'] = SYMBOL, ['-'] = SYMBOL,
    ['/'] = SYMBOL, ['0'] = TEN(WORD), ['<'] = SYMBOL, ['='] = SYMBOL, ['>'] = SYMBOL,
    ['A'] = LETTERS, ['['] = SYMBOL, [']'] = SYMBOL, ['^'] = SYMBOL, ['_'] = SYMBOL,
    ['a'] = LETTERS, ['{'] = SYMBOL, ['|'] = SYMBOL, ['}'] = SYMBOL,
};
/* clang-format on */

/* Is the script of cp written without spaces between words? */
static bool is_unspaced(uint32_t cp)
{
    return (cp >= 0x0E00 && cp <= 0x0FFF) || /* Thai, Lao, Tibetan */
           (cp >= 0x1000 && cp <= 0x109F) || /* Myanmar */
           (cp >= 0x1780 && cp <= 0x17FF) || /* Khmer */
           (cp >= 0x2E80 && cp <= 0x31FF && !(cp >= 0x3130 && cp <= 0x318F)) || /* CJK, kana */
           (cp >= 0x3400 && cp <= 0x9FFF) || (cp >= 0xF900 && cp <= 0xFAFF) ||
           (cp >= 0x20000 && cp <= 0x3FFFF);
}

/* Characters that are written in several ways. */
static uint32_t fold(uint32_t cp)
{
    if (cp >= 0xFF01 && cp <= 0xFF5E) /* full-width forms of ASCII */
        return unicode_lower(cp - 0xFEE0);
    switch (cp) {
    case 0x2212:
        return '-';
    case 0x00D7:
        return '*';
    case 0x00F7:
        return '/';
    default:
        return unicode_lower(cp);
    }
}

static enum ascii kind_of(uint32_t cp)
{
    if (cp < 0x80)
        return ascii_kind[cp];
    return unicode_is_word(cp) ? WORD : unicode_is_symbol(cp) ? SYMBOL : BREAK;
}

/* The next character, folded; 0 where the bytes are not UTF-8. */
static size_t next_char(const char *s, const char *end, uint32_t *cp)
{
    if ((unsigned char)*s < 0x80) {
        *cp = unicode_lower((unsigned char)*s);
        return 1;
    }
    size_t len = unicode_get(s, (size_t)(end - s), cp);
    *cp = len ? fold(*cp) : 0;
    return len ? len : 1;
}

static bool is_digit(const char *s, const char *end)
{
    return s < end && *s >= '0' && *s <= '9';
}

/* At punctuation within a word: how many bytes of it to pass over, and what stands for it (0:
 * nothing). 0 bytes: the word ends here. */
static size_t inside(const char *s, const char *end, uint32_t last, uint32_t *stands)
{
    *stands = 0;
    bool after_digit = last >= '0' && last <= '9';
    if (*s == '.' && after_digit && is_digit(s + 1, end)) {
        *stands = '.';
        return 1;
    }
    if (*s == ',' && after_digit) /* thousands: just three digits follow */
        return is_digit(s + 1, end) && is_digit(s + 2, end) && is_digit(s + 3, end) &&
                       !is_digit(s + 4, end)
                   ? 1
                   : 0;
    size_t quote = *s == '\''                                                          ? 1
                   : end - s > 3 && s[0] == '\xE2' && s[1] == '\x80' && s[2] == '\x99' ? 3
                                                                                       : 0;
    uint32_t cp;
    if (!quote || s + quote >= end || after_digit)
        return 0;
    next_char(s + quote, end, &cp);
    return kind_of(cp) == WORD && !is_unspaced(cp) ? quote : 0;
}

static uint64_t read_word(struct words *w, uint32_t cp)
{
    uint64_t h = add_char(FNV_BASE, cp);
    uint32_t last = cp, stands;
    if (is_unspaced(cp))
        return h;
    while (w->at < w->end) {
        size_t len = next_char(w->at, w->end, &cp);
        if (kind_of(cp) == WORD && !is_unspaced(cp))
            h = add_char(h, last = cp);
        else {
            len = inside(w->at, w->end, last, &stands);
            if (!len)
                break;
            if (stands)
                h = add_char(h, stands);
            last = stands ? stands : last;
        }
        w->at += len;
    }
    return h;
}

static bool next_spaced(struct words *w, uint64_t *hash)
{
    uint64_t h = FNV_BASE;
    bool any = false;
    while (w->at < w->end) {
        uint32_t cp;
        unsigned char c = (unsigned char)*w->at;
        size_t len = c < 0x80 ? 1 : unicode_get(w->at, (size_t)(w->end - w->at), &cp);
        if (c < 0x80)
            cp = c;
        bool space = len == 0 || unicode_is_space(cp);
        w->at += len ? len : 1;
        if (space && any)
            break;
        if (space)
            continue;
        any = true;
        if (cp == 0x130) { /* the one character whose lower case is two */
            h = add_char(h, 'i');
            cp = 0x307;
        }
        h = add_char(h, unicode_lower(cp));
    }
    *hash = words_mix(h);
    return any;
}

bool words_next(struct words *w, uint64_t *hash)
{
    if (w->form == WORDS_SPACED)
        return next_spaced(w, hash);
    while (w->at < w->end) {
        uint32_t cp;
        w->at += next_char(w->at, w->end, &cp);
        enum ascii kind = kind_of(cp);
        if (kind == BREAK || (kind == SYMBOL && w->form == WORDS_BARE))
            continue;
        *hash = words_mix(kind == WORD ? read_word(w, cp) : add_char(FNV_BASE, cp));
        return true;
    }
    return false;
}

#define SHINGLE_BASE 0xD6E8FEB86659FD93u /* odd: no word's part is ever shifted out */

struct shingles shingles_of(unsigned k)
{
    struct shingles s = {.oldest_power = 1, .k = k};
    for (unsigned i = 0; i < k; i++)
        s.oldest_power *= SHINGLE_BASE;
    return s;
}

bool shingles_add(struct shingles *s, uint64_t word, uint64_t *hash)
{
    uint64_t *oldest = &s->words[s->at];
    s->sum = s->sum * SHINGLE_BASE + word - *oldest * s->oldest_power;
    *oldest = word;
    s->at = s->at + 1 == s->k ? 0 : s->at + 1;
    *hash = words_mix(s->sum);
    return ++s->n >= s->k;
}
