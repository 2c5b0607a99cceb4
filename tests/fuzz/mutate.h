/* Runs a fuzzing harness on deterministic mutations of seed files: the ordinary test needs no
 * clang. A harness fails by crashing, by abort() or under a sanitizer. */
#ifndef DECANT_TESTS_MUTATE_H
#define DECANT_TESTS_MUTATE_H

#include "core/base/file.h"
#include "core/base/rng.h"

#include <stdlib.h>
#include <string.h>

typedef int fuzz_harness(const uint8_t *data, size_t size);

enum { FUZZ_MAX_BYTES = 1 << 16 };

/* One change: a bit, a byte, a number where formats have numbers, a piece moved, removed or
 * doubled. */
static inline size_t mutate_once(uint8_t *p, size_t n, struct rng *r)
{
    static const uint64_t numbers[] = {0,          1,          31,        255,        65535,
                                       INT32_MAX,  UINT32_MAX, INT64_MAX, 1ull << 63, UINT64_MAX,
                                       1ull << 32, 1ull << 40, 100000001, 7};
    static const char pieces[] = "{}[]\",:0123456789.eE-+\\u tnf";
    if (n == 0) {
        p[0] = (uint8_t)rng_below(r, 256);
        return 1;
    }
    size_t at = rng_below(r, n), len = 1 + rng_below(r, n - at < 32 ? n - at : 32);
    switch (rng_below(r, 8)) {
    case 0:
        p[at] ^= (uint8_t)(1u << rng_below(r, 8));
        return n;
    case 1:
        p[at] = (uint8_t)rng_below(r, 256);
        return n;
    case 2:
        p[at] = (uint8_t)pieces[rng_below(r, sizeof pieces - 1)];
        return n;
    case 3:
    case 4: { /* a little-endian number of 4 or 8 bytes */
        uint64_t v = numbers[rng_below(r, sizeof numbers / sizeof *numbers)] + rng_below(r, 3) - 1;
        size_t width = rng_below(r, 2) ? 4 : 8;
        memcpy(p + at, &v, width < n - at ? width : n - at);
        return n;
    }
    case 5: /* remove */
        memmove(p + at, p + at + len, n - at - len);
        return n - len;
    case 6: { /* double a piece */
        if (n + len > FUZZ_MAX_BYTES)
            return n;
        memmove(p + at + len, p + at, n - at);
        return n + len;
    }
    default: /* cut short, now and then; else copy a piece elsewhere */
        if (rng_below(r, 4) == 0)
            return at;
        memmove(p + rng_below(r, n - len + 1), p + at, len);
        return n;
    }
}

/* Where the first string, number or word that is a JSON value stands from *at on: moves *at there
 * and gives its length, 0 when there is none. Keys are none. */
static inline size_t find_value(const uint8_t *p, size_t n, size_t *at)
{
    while (*at < n) {
        if (!memchr(":,[", p[*at], 3)) {
            ++*at;
            continue;
        }
        for (++*at; *at < n && (p[*at] == ' ' || p[*at] == '\n');)
            ++*at;
        size_t end = *at;
        if (end < n && p[end] == '"') {
            for (end++; end < n && p[end] != '"';)
                end += p[end] == '\\' ? 2 : 1;
            end++;
        } else
            while (end < n && !memchr(",]} \n[{:", p[end], 8))
                end++;
        if (end < n && end > *at && p[end] != ':')
            return end - *at;
    }
    return 0;
}

/* Replaces a JSON value by another, so that the syntax holds and the meaning does not. A
 * safetensors header's length in front is kept right. */
static inline size_t mutate_value(uint8_t *p, size_t n, struct rng *r)
{
    static const char *const literals[] = {"0",
                                           "-1",
                                           "1",
                                           "1.5",
                                           "2147483648",
                                           "9007199254740991",
                                           "18446744073709551616",
                                           "1e308",
                                           "1e-308",
                                           "null",
                                           "true",
                                           "\"\"",
                                           "\"x\"",
                                           "[]",
                                           "{}",
                                           "[1]",
                                           "3",
                                           "256",
                                           "\"F32\"",
                                           "\"\\u0000\""};
    uint8_t with[256];
    size_t at = rng_below(r, n), len = find_value(p, n, &at), from = rng_below(r, n), n_with;
    if (!len)
        return n;
    if (rng_below(r, 2)) {
        n_with = find_value(p, n, &from);
        if (!n_with || n_with > sizeof with)
            return n;
        memcpy(with, p + from, n_with);
    } else {
        const char *s = literals[rng_below(r, sizeof literals / sizeof *literals)];
        n_with = strlen(s);
        memcpy(with, s, n_with);
    }
    if (n - len + n_with > FUZZ_MAX_BYTES)
        return n;
    memmove(p + at + n_with, p + at + len, n - at - len);
    memcpy(p + at, with, n_with);
    uint64_t n_header;
    if (p[0] != '{' && p[8] == '{') {
        memcpy(&n_header, p, 8);
        n_header += n_with - len;
        memcpy(p, &n_header, 8);
    }
    return n - len + n_with;
}

/* n_runs mutants of one to four changes each, of the seed file; of JSON every other one keeps its
 * syntax. */
static inline void fuzz_file(fuzz_harness *harness, const char *seed, uint64_t n_runs)
{
    struct buf b = {0};
    struct err e;
    if (file_read(seed, FUZZ_MAX_BYTES / 2, &b, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    uint8_t *p = malloc(FUZZ_MAX_BYTES);
    harness((const uint8_t *)b.data, b.len);
    for (uint64_t i = 0; i < n_runs; i++) {
        struct rng r = rng_make(i, rng_hash(seed, strlen(seed)), 0);
        size_t n = b.len;
        memcpy(p, b.data, n);
        bool values = n > 9 && (p[0] == '{' || p[8] == '{') && i % 2;
        for (uint64_t k = 1 + rng_below(&r, 4); k > 0; k--)
            n = values && n > 9 ? mutate_value(p, n, &r) : mutate_once(p, n, &r);
        harness(p, n);
    }
    free(p);
    buf_dispose(&b);
}

#endif
