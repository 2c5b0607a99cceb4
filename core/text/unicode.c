#include "core/text/unicode.h"
#include "core/text/tok.h"

#include <utf8proc.h>

size_t unicode_get(const char *s, size_t n, uint32_t *cp)
{
    return tok_utf8(s, n, cp);
}

uint32_t unicode_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    if (cp == 0x3C2)
        return 0x3C3;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

bool unicode_is_space(uint32_t cp)
{
    return tok_unicode_is_space(cp) || (cp >= 0x1C && cp <= 0x1F);
}

bool unicode_is_word(uint32_t cp)
{
    return tok_unicode_is_word(cp);
}

bool unicode_is_symbol(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return true;
    default:
        return false;
    }
}
