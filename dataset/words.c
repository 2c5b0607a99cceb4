#include "dataset/words.h"
#include "core/text/unicode.h"

/* A word's hash, eight bytes at a time. Characters beyond ASCII are three bytes with the high bit
 * set, so that no two words have the same bytes. */
struct hasher {
    uint64_t h, chunk;
    unsigned n; /* bytes in chunk */
};
#define HASH_START                                                                                 \
    {                                                                                              \
        .h = 0x9E3779B97F4A7C15u                                                                   \
    }

static inline void add_byte(struct hasher *h, uint8_t byte)
{
    h->chunk = h->chunk << 8 | byte;
    if (++h->n == 8) {
        h->h = (h->h ^ h->chunk) * 0xD6E8FEB86659FD93u;
        h->h ^= h->h >> 32;
        h->chunk = 0;
        h->n = 0;
    }
}

static inline void add_char(struct hasher *h, uint32_t cp)
{
    if (cp < 0x80)
        add_byte(h, (uint8_t)cp);
    else
        for (int shift = 14; shift >= 0; shift -= 7)
            add_byte(h, (uint8_t)(0x80 | (cp >> shift & 0x7F)));
}

static inline uint64_t hash_end(const struct hasher *h)
{
    uint64_t last = h->chunk ^ (uint64_t)h->n << 60;
    return words_mix((h->h ^ last) * 0xD6E8FEB86659FD93u);
}

struct words words_of(const char *text, size_t n, enum words_form form)
{
    return (struct words){.at = text, .end = text + n, .form = form};
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

/* The lower case of ASCII's letters and digits; 0 for all other bytes. */
static const uint8_t word_byte[256] = {
    ['0'] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ['A'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
            'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
    ['a'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
            'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
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
    struct hasher h = HASH_START;
    uint32_t last = cp, stands;
    add_char(&h, cp);
    while (w->at < w->end && !is_unspaced(cp)) {
        uint8_t byte = word_byte[(unsigned char)*w->at];
        if (byte) { /* nearly always */
            add_byte(&h, byte);
            last = byte;
            w->at++;
            continue;
        }
        uint32_t next;
        size_t len = next_char(w->at, w->end, &next);
        if (kind_of(next) == WORD && !is_unspaced(next))
            add_char(&h, last = next);
        else {
            len = inside(w->at, w->end, last, &stands);
            if (!len)
                break;
            if (stands)
                add_char(&h, last = stands);
        }
        w->at += len;
    }
    return hash_end(&h);
}

/* White space or not at all a character: what is between words. */
static bool is_between(const struct words *w, uint32_t *cp, size_t *len)
{
    *len = unicode_get(w->at, (size_t)(w->end - w->at), cp);
    bool between = *len == 0 || unicode_is_space(*cp);
    *len = *len ? *len : 1;
    return between;
}

static bool next_spaced(struct words *w, uint64_t *hash)
{
    struct hasher h = HASH_START;
    bool any = false;
    while (w->at < w->end) {
        unsigned char c = (unsigned char)*w->at;
        uint32_t cp;
        size_t len;
        if (c > ' ' && c < 0x80) { /* nearly always */
            add_byte(&h, c >= 'A' && c <= 'Z' ? c + 32 : c);
            any = true;
            w->at++;
            continue;
        }
        bool between = is_between(w, &cp, &len);
        w->at += len;
        if (between && any)
            break;
        if (between)
            continue;
        any = true;
        if (cp == 0x130) { /* the one character whose lower case is two */
            add_char(&h, 'i');
            cp = 0x307;
        }
        add_char(&h, unicode_lower(cp));
    }
    *hash = hash_end(&h);
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
        struct hasher h = HASH_START;
        add_char(&h, cp);
        *hash = kind == WORD ? read_word(w, cp) : hash_end(&h);
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
