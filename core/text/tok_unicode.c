#include "core/text/tok.h"

#include <utf8proc.h>

#include "core/text/tok_unicode_data.h"

size_t tok_utf8_put(uint32_t cp, char out[4])
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out);
}

bool tok_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = tok_utf8(s + i, n - i, &cp);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

static const struct range *range_find(const struct range *r, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > r[mid].hi)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && cp >= r[lo].lo ? &r[lo] : NULL;
}

uint32_t tok_unicode_stand_in(uint32_t cp)
{
    if (cp < newer[0].lo || (cp >= 0x3200 && cp < 0xA7CB))
        return 0;
    const struct range *r = range_find(newer, sizeof newer / sizeof *newer, cp);
    return r ? r->stand_in : 0;
}

bool tok_unicode_nfc_inert(uint32_t cp)
{
    /* what came after Unicode 14 may compose or reorder in a newer utf8proc */
    return range_find(inert, sizeof inert / sizeof *inert, cp) || tok_unicode_stand_in(cp);
}

bool tok_unicode_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

/* \w of UTS 18: alphabetic, marks, decimal digits, connectors, the two joiners. */
bool tok_unicode_is_word(uint32_t cp)
{
    uint32_t known = tok_unicode_stand_in(cp);
    switch (utf8proc_category((utf8proc_int32_t)(known ? known : cp))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* circled and squared letters are symbols, yet alphabetic */
        return cp == 0x200C || cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9) ||
               (cp >= 0x1F130 && cp <= 0x1F149) || (cp >= 0x1F150 && cp <= 0x1F169) ||
               (cp >= 0x1F170 && cp <= 0x1F189);
    }
}
