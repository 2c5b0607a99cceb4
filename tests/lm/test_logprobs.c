/* Log-probabilities: what is written reads back within the stated error; what is damaged does not.
 */
#include "core/base/rng.h"
#include "core/lm/logprobs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { N = 500, TOP = 7 };

struct sample {
    struct logprob chosen, top[TOP];
    struct logprobs_place place;
    size_t n_top;
    char text[TOP + 1][8];
};

/* Tokens of a small vocabulary: by id, by bytes (NUL among them), or by both. */
static struct logprob draw(struct rng *r, char *text)
{
    uint64_t kind = rng_below(r, 3), word = rng_below(r, 40);
    size_t n = word % 5;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(word * 7 + i);
    static const float special[] = {0, -INFINITY, -9999, -1e-9f};
    return (struct logprob){.id = kind == 0 ? -1 : (int64_t)word * 50000,
                            .bytes = kind == 1 ? NULL : text,
                            .n_bytes = kind == 1 ? 0 : n,
                            .logprob = rng_below(r, 10) == 0 ? special[rng_below(r, 4)]
                                                             : (float)-exp(rng_normal(r) * 3)};
}

static void fill(struct sample *s, size_t n)
{
    struct rng r = rng_make(1, 2, 3);
    uint64_t at[3] = {0};
    for (size_t i = 0; i < n; i++) {
        memset(&s[i], 0, sizeof s[i]);
        s[i].chosen = draw(&r, s[i].text[TOP]);
        s[i].n_top = rng_below(&r, TOP + 1);
        for (size_t k = 0; k < s[i].n_top; k++)
            s[i].top[k] = draw(&r, s[i].text[k]);
        if (s[i].n_top && rng_below(&r, 3))
            s[i].top[rng_below(&r, s[i].n_top)] = s[i].chosen;
        enum logprobs_part part = (enum logprobs_part)rng_below(&r, 3);
        uint64_t gap = rng_below(&r, 4) ? 0 : rng_below(&r, 1000);
        s[i].place =
            (struct logprobs_place){part, part ? at[part] + gap : 0, part ? rng_below(&r, 200) : 0};
        at[part] = s[i].place.at + s[i].place.n;
    }
}

static void write_all(const struct sample *s, size_t n, struct buf *out)
{
    struct logprobs_writer w = {0};
    struct logprobs_place *places = calloc(n + 1, sizeof *places);
    struct err e;
    for (int round = 0; round < 2; round++) { /* a writer that was reset writes the same */
        logprobs_reset(&w);
        for (size_t i = 0; i < n; i++) {
            places[i] = s[i].place;
            assert_int_equal(logprobs_add(&w, &s[i].chosen, s[i].top, s[i].n_top, &e), ERR_OK);
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *bytes = logprobs_token_bytes(&w, (uint32_t)i, &len);
        assert_true(!bytes == !s[i].chosen.bytes && len == s[i].chosen.n_bytes);
        if (bytes)
            assert_memory_equal(bytes, s[i].chosen.bytes, len);
    }
    assert_int_equal(logprobs_finish(&w, places, out, &e), ERR_OK);
    free(places);
    logprobs_writer_dispose(&w);
}

static void same_logprob(const struct logprob *a, const struct logprob *b)
{
    assert_int_equal(a->id, b->id);
    assert_true(!a->bytes == !b->bytes);
    assert_int_equal(a->n_bytes, b->n_bytes);
    if (a->n_bytes)
        assert_memory_equal(a->bytes, b->bytes, a->n_bytes);
    if (!isinf(b->logprob))
        assert_true(fabsf(a->logprob - b->logprob) <=
                    fmaxf(fabsf(b->logprob) * 0x1p-11f, 0x1p-25f));
    else
        assert_true(a->logprob == b->logprob);
}

/* The first candidate that is the chosen token: the format keeps one of them. */
static size_t rank_of(const struct sample *s)
{
    for (size_t k = 0; k < s->n_top; k++) {
        const struct logprob *a = &s->top[k], *b = &s->chosen;
        if (a->id >= 0 && b->id >= 0 ? a->id == b->id
                                     : a->bytes && b->bytes && a->n_bytes == b->n_bytes &&
                                           !memcmp(a->bytes, b->bytes, a->n_bytes))
            return k + 1;
    }
    return 0;
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct sample *s = calloc(N, sizeof *s);
    struct buf b = {0};
    struct logprobs_reader r;
    struct err e;
    fill(s, N);
    write_all(s, N, &b);
    assert_int_equal(logprobs_open(&r, b.data, b.len, &e), ERR_OK);
    assert_int_equal(r.n_tokens, N);
    for (int round = 0; round < 2; round++) {
        struct logprobs_token t;
        for (size_t i = 0; i < N; i++) {
            assert_true(logprobs_next(&r, &t));
            same_logprob(&t.chosen, &s[i].chosen);
            assert_int_equal(t.place.part, s[i].place.part);
            assert_int_equal(t.place.at, s[i].place.at);
            assert_int_equal(t.place.n, s[i].place.n);
            assert_int_equal(t.n_top, s[i].n_top);
            assert_int_equal(t.rank, rank_of(&s[i]));
            for (size_t k = 0; k < t.n_top; k++)
                same_logprob(&t.top[k], k + 1 == t.rank ? &s[i].chosen : &s[i].top[k]);
        }
        assert_false(logprobs_next(&r, &t));
        assert_false(logprobs_next(&r, &t));
        logprobs_rewind(&r);
    }
    uint64_t end[3] = {0};
    for (size_t i = 0; i < N; i++)
        if (s[i].place.part)
            end[s[i].place.part] = s[i].place.at + s[i].place.n;
    assert_int_equal(r.n_reasoning, end[LOGPROBS_REASONING]);
    assert_int_equal(r.n_answer, end[LOGPROBS_ANSWER]);
    logprobs_close(&r);
    buf_dispose(&b);
    free(s);
}

static void missing_and_positive(void **state)
{
    (void)state;
    struct sample s = {.chosen = {7, NULL, 0, NAN}, .n_top = 2};
    s.top[0] = (struct logprob){8, NULL, 0, 1e-6f}; /* rounded up by the server */
    s.top[1] = (struct logprob){9, NULL, 0, -0.0f};
    struct buf b = {0};
    struct logprobs_reader r;
    struct logprobs_token t;
    write_all(&s, 1, &b);
    assert_int_equal(logprobs_open(&r, b.data, b.len, NULL), ERR_OK);
    assert_true(logprobs_next(&r, &t));
    assert_true(isnan(t.chosen.logprob));
    assert_int_equal(t.rank, 0);
    assert_true(t.top[0].logprob == 0 && t.top[1].logprob == 0);
    logprobs_close(&r);
    buf_clear(&b);
    write_all(&s, 0, &b);
    assert_int_equal(logprobs_open(&r, b.data, b.len, NULL), ERR_OK);
    assert_false(logprobs_next(&r, &t));
    logprobs_close(&r);
    buf_dispose(&b);
}

static void it_is_compact(void **state)
{
    (void)state;
    /* 30,000 tokens with 5 candidates out of a vocabulary as texts have it */
    struct logprobs_writer w = {0};
    struct logprobs_place *places = calloc(30000, sizeof *places);
    struct buf b = {0};
    struct err e;
    struct rng r = rng_make(5, 5, 5);
    for (size_t i = 0; i < 30000; i++) {
        struct logprob top[5];
        char names[5][12];
        for (size_t k = 0; k < 5; k++) {
            uint64_t word = (uint64_t)(2000 * pow(rng_uniform(&r), 3));
            int n = snprintf(names[k], sizeof names[k], "w%d", (int)word);
            top[k] = (struct logprob){-1, names[k], (size_t)n, (float)-rng_uniform(&r)};
        }
        places[i] = (struct logprobs_place){LOGPROBS_REASONING, 4 * i, 4};
        assert_int_equal(logprobs_add(&w, &top[0], top, 5, &e), ERR_OK);
    }
    assert_int_equal(logprobs_finish(&w, places, &b, &e), ERR_OK);
    assert_true(b.len < 30000 * 25);
    buf_dispose(&b);
    free(places);
    logprobs_writer_dispose(&w);
}

static void wrong_arguments(void **state)
{
    (void)state;
    struct logprobs_writer w = {0};
    struct err e;
    struct buf b = {0};
    struct logprob x = {INT32_MAX, NULL, 0, 0}, fine = {3, "a", 1, -1};
    assert_int_equal(logprobs_add(&w, &x, NULL, 0, &e), ERR_USAGE);
    assert_int_equal(logprobs_add(&w, &fine, &fine, LOGPROBS_MAX_TOP + 1, &e), ERR_USAGE);
    logprobs_reset(&w);
    assert_int_equal(logprobs_add(&w, &fine, &fine, 1, &e), ERR_OK);
    assert_int_equal(logprobs_add(&w, &fine, &fine, 1, &e), ERR_OK);
    struct logprobs_place back[2] = {{LOGPROBS_ANSWER, 3, 2}, {LOGPROBS_ANSWER, 4, 2}};
    assert_int_equal(logprobs_finish(&w, back, &b, &e), ERR_USAGE);
    logprobs_writer_dispose(&w);
    buf_dispose(&b);
}

/* Any change of any byte either fails to open or still reads to its end. */
static void damage_is_found_or_harmless(void **state)
{
    (void)state;
    struct sample *s = calloc(40, sizeof *s);
    struct buf b = {0};
    fill(s, 40);
    write_all(s, 40, &b);
    struct rng rng = rng_make(9, 9, 9);
    int n_refused = 0;
    for (int i = 0; i < 30000; i++) {
        size_t n = i % 3 ? b.len : rng_below(&rng, b.len);
        char *copy = malloc(n ? n : 1);
        memcpy(copy, b.data, n);
        for (int k = 0; n && i % 3 && k < 1 + i % 4; k++)
            copy[rng_below(&rng, n)] = (char)rng_below(&rng, 256);
        struct logprobs_reader r;
        struct logprobs_token t;
        struct err e;
        if (logprobs_open(&r, copy, n, &e)) {
            n_refused++;
        } else {
            uint64_t n_read = 0;
            while (logprobs_next(&r, &t)) {
                n_read++;
                assert_true(t.rank <= t.n_top);
                for (size_t k = 0; k < t.n_top; k++)
                    assert_false(t.top[k].logprob > 0);
            }
            assert_int_equal(n_read, r.n_tokens);
            logprobs_close(&r);
        }
        if (i % 3 == 0)
            assert_true(n_refused > i / 3); /* a cut is always found */
        free(copy);
    }
    assert_true(n_refused > 12000);
    struct logprobs_reader r;
    struct err e;
    assert_int_equal(logprobs_open(&r, b.data, b.len + 1, &e), ERR_FORMAT); /* buf adds a NUL */
    b.data[3] = 2;
    assert_int_equal(logprobs_open(&r, b.data, b.len, &e), ERR_UNSUPPORTED);
    /* one place more than tokens, one byte more than names; the same without */
    static const char places[] = "DLP\x01\x01\x01\x00\x02\x02\x05\x00\x00\x00\x00\xB8\x00\x00";
    static const char names[] = "DLP\x01\x01\x01\x00\x03\x01\x05\x00\x00\x00\x00\x00\xB8\x00\x00";
    static const char fine[] = "DLP\x01\x01\x01\x00\x02\x01\x05\x00\x00\x00\x00\xB8\x00\x00";
    assert_int_equal(logprobs_open(&r, places, sizeof places - 1, &e), ERR_FORMAT);
    assert_int_equal(logprobs_open(&r, names, sizeof names - 1, &e), ERR_FORMAT);
    assert_int_equal(logprobs_open(&r, fine, sizeof fine - 1, &e), ERR_OK);
    struct logprobs_token t;
    assert_true(logprobs_next(&r, &t) && t.chosen.id == 4 && !t.chosen.bytes);
    assert_true(t.chosen.logprob == -0.5f && t.place.part == LOGPROBS_NOWHERE);
    logprobs_close(&r);
    /* a log-probability above 0; a rank beyond the candidates; a part that is none */
    static const char above[] = "DLP\x01\x01\x01\x00\x02\x01\x05\x00\x00\x00\x00\x38\x00\x00";
    static const char rank[] = "DLP\x01\x01\x01\x01\x02\x01\x05\x00\x00\x00\x00\xB8\x02\x00";
    static const char part[] = "DLP\x01\x01\x01\x00\x02\x02\x05\x00\x03\x00\x00\x00\xB8\x00\x00";
    assert_int_equal(logprobs_open(&r, above, sizeof above - 1, &e), ERR_FORMAT);
    assert_int_equal(logprobs_open(&r, rank, sizeof rank - 1, &e), ERR_FORMAT);
    assert_int_equal(logprobs_open(&r, part, sizeof part - 1, &e), ERR_FORMAT);
    /* a name that is not there; a chosen candidate where there is no room for any */
    static const char name[] = "DLP\x01\x01\x01\x00\x02\x01\x05\x00\x00\x01\x00\xB8\x00\x00";
    static const char room[] = "DLP\x01\x01\x01\x00\x02\x01\x05\x00\x00\x00\x00\xB8\x01\x00";
    assert_int_equal(logprobs_open(&r, name, sizeof name - 1, &e), ERR_FORMAT);
    assert_int_equal(logprobs_open(&r, room, sizeof room - 1, &e), ERR_FORMAT);
    /* counts without the bytes for them take no memory */
    static const char huge[] = "DLP\x01\xFF\xFF\xFF\xFF\x7F\xFF\xFF\xFF\xFF\x7F\x01\x01\x01";
    assert_int_equal(logprobs_open(&r, huge, sizeof huge - 1, &e), ERR_FORMAT);
    buf_dispose(&b);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(missing_and_positive),
        cmocka_unit_test(it_is_compact),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(damage_is_found_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
