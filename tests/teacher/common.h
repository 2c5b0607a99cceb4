/* What the teacher's tests share: vectors, forwards, comparisons. */
#ifndef TESTS_TEACHER_COMMON_H
#define TESTS_TEACHER_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/format/safetensors.h"
#include "teacher/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VECTORS "tests/vectors/teacher"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        err_code rc_ = (call);                                                                     \
        if (rc_)                                                                                   \
            fail_msg("%s: %s", #call, err.msg);                                                    \
    } while (0)

static inline struct tensor st_tensor(const struct safetensors *s, const char *name)
{
    for (int64_t i = 0; i < s->n_entries; i++)
        if (!strcmp(s->entries[i].name, name))
            return s->entries[i].tensor;
    fail_msg("%s has no %s", s->path, name);
    return (struct tensor){0};
}

static inline bool st_has(const struct safetensors *s, const char *name)
{
    for (int64_t i = 0; i < s->n_entries; i++)
        if (!strcmp(s->entries[i].name, name))
            return true;
    return false;
}

/* A model of the vectors, its expected values, and a device. */
struct model {
    struct device *dev;
    struct lm *lm;
    struct safetensors expected;
    const int32_t *tokens;
    int64_t n, V;
    const float *logits; /* [n, V] */
};

static inline void model_open_threads(struct model *m, const char *name, const char *device,
                                      int n_threads)
{
    struct err err = {0};
    char path[256];
    *m = (struct model){0};
    assert_ok(device_open(device, n_threads, &m->dev, &err));
    snprintf(path, sizeof path, VECTORS "/%s", name);
    assert_ok(teacher_open(path, m->dev, &m->lm, &err));
    snprintf(path, sizeof path, VECTORS "/%s/expected.safetensors", name);
    assert_ok(st_open(&m->expected, path, &err));
    struct tensor tokens = st_tensor(&m->expected, "tokens");
    struct tensor logits = st_tensor(&m->expected, "logits");
    m->tokens = tokens.data;
    m->n = tensor_n(&tokens);
    m->V = tensor_cols(&logits);
    m->logits = logits.data;
    assert_int_equal(tensor_rows(&logits), m->n);
    assert_int_equal(m->lm->n_vocab, m->V);
}

static inline void model_open(struct model *m, const char *name, const char *device)
{
    model_open_threads(m, name, device, 2);
}

static inline void model_close(struct model *m)
{
    lm_close(m->lm);
    st_close(&m->expected);
    device_close(m->dev);
}

static inline struct lm_seq *seq_new(struct lm *lm)
{
    struct err err = {0};
    struct lm_seq *s;
    assert_ok(lm_seq_open(lm, lm->max_context, &s, &err));
    return s;
}

/* All logits of n more tokens of one sequence, cut into calls of at most `cut`. */
static inline void feed(struct lm *lm, struct lm_seq *s, const int32_t *tokens, int64_t n,
                        int64_t cut, float *logits)
{
    struct err err = {0};
    for (int64_t at = 0; at < n; at += cut) {
        struct lm_item it = {.seq = s, .tokens = tokens + at, .logits = LM_ALL};
        it.n_tokens = n - at < cut ? n - at : cut;
        assert_ok(lm_forward(lm, &it, 1, logits + at * lm->n_vocab, &err));
    }
}

/* The largest difference, relative to the largest expected magnitude. */
static inline double distance(const float *got, const float *want, int64_t n)
{
    double diff = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(got[i]))
            return INFINITY;
        diff = fmax(diff, fabs((double)got[i] - want[i]));
        size = fmax(size, fabs((double)want[i]));
    }
    return diff / size;
}

static inline void assert_near(const float *got, const float *want, int64_t n, double tolerance)
{
    double d = distance(got, want, n);
    if (!(d <= tolerance))
        fail_msg("relative distance %g exceeds %g", d, tolerance);
}

static inline void assert_same_bits(const float *a, const float *b, int64_t n)
{
    assert_memory_equal(a, b, (size_t)n * sizeof(float));
}

#endif
