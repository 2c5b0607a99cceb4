#include "core/base/json_plain.h"
#include "core/base/isa.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* \" \\ \/ \b \f \n \r \t */
const char json_plain_meaning[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* Whole blocks are stored before the next is read: what is overwritten was read. */

#ifdef __SSE2__
/* Moves n bytes, fewer than 16, down to out; both are read before either is written. */
static void move_few(char *out, const char *s, size_t n)
{
    if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, s, 8);
        memcpy(&b, s + n - 8, 8);
        memcpy(out, &a, 8);
        memcpy(out + n - 8, &b, 8);
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        memcpy(out, &a, 4);
        memcpy(out + n - 4, &b, 4);
    } else
        for (size_t i = 0; i < n; i++)
            out[i] = s[i];
}
#endif

void json_plain_portable(const char **s, char **out)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (;; *s += 16, *out += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)*s);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_setzero_si128()));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits) {
            size_t n = (size_t)__builtin_ctz(bits);
            move_few(*out, *s, n);
            *s += n;
            *out += n;
            return;
        }
        _mm_storeu_si128((__m128i *)*out, x);
    }
#else
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (uint64_t x;; *s += 8, *out += 8) {
        memcpy(&x, *s, 8);
        uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        if (((x - ones) & ~x & high) | ((quote - ones) & ~quote & high) |
            ((slash - ones) & ~slash & high))
            break;
        memcpy(*out, &x, 8);
    }
    while (**s && **s != '"' && **s != '\\')
        *(*out)++ = *(*s)++;
#endif
}

#if defined(__x86_64__) && defined(__GNUC__)
/* Ice Lake and later, Zen 4: what escapes stand for is looked up, and their backslashes are taken
 * out, for the whole block at once. */
__attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt"))) static void
move_avx512(const char **from, char **to)
{
    const __m512i quote = _mm512_set1_epi8('"'), slash = _mm512_set1_epi8('\\');
    const __m512i low = _mm512_loadu_si512(json_plain_meaning),
                  high = _mm512_loadu_si512(json_plain_meaning + 64);
    const uint64_t odd = 0xAAAAAAAAAAAAAAAAu;
    const char *s = *from;
    char *out = *to;
    for (;;) {
        __m512i x = _mm512_loadu_si512(s);
        uint64_t slashes = _mm512_cmpeq_epi8_mask(x, slash);
        uint64_t ends = _mm512_cmpeq_epi8_mask(x, quote) | _mm512_testn_epi8_mask(x, x);
        /* of a row of backslashes every second one is escaped: Keiser and Lemire, simdjson */
        uint64_t pairs = ((slashes << 1 | odd) - slashes) ^ odd;
        uint64_t escapes = pairs & slashes, escaped = pairs ^ slashes;
        __m512i y = _mm512_permutex2var_epi8(low, x, high);
        uint64_t odd_ones = (_mm512_testn_epi8_mask(y, y) | _mm512_movepi8_mask(x)) & escaped;
        /* an escape that ends in the next block is left to the caller: if s depended on it, every
         * block would wait for the one before */
        uint64_t stops = (ends & ~escaped) | odd_ones >> 1 | (escapes & (uint64_t)1 << 63);
        uint64_t keep = ~escapes & ((stops & -stops) - 1); /* all before the first stop */
        y = _mm512_maskz_compress_epi8(keep, _mm512_mask_mov_epi8(x, escaped, y));
        int n = __builtin_popcountll(keep);
        if (stops) {
            _mm512_mask_storeu_epi8(out, n ? ~(uint64_t)0 >> (64 - n) : 0, y);
            *from = s + __builtin_ctzll(stops);
            *to = out + n;
            return;
        }
        _mm512_storeu_si512(out, y);
        out += n;
        s += 64;
    }
}

static bool has_vbmi2(void)
{
    return isa_avx512() && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2");
}
#endif

json_plain_move *json_plain_best(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (has_vbmi2())
        return move_avx512;
#endif
    return json_plain_portable;
}
