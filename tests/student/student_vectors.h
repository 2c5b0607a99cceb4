/* The committed vectors of tests/vectors/student (make.py there tells what each tensor is). */
#ifndef DECANT_TESTS_STUDENT_VECTORS_H
#define DECANT_TESTS_STUDENT_VECTORS_H

#include "core/format/safetensors.h"
#include "student/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const vector_models[] = {"qwen2-tied-yarn", "qwen2-untied",
                                            "llama-headdim-llama3", "llama-linear", "qwen3"};
enum { N_VECTOR_MODELS = 5 };

static inline void check(err_code rc, const struct err *e)
{
    if (rc)
        fail_msg("error %d: %s", rc, e->msg);
}

struct vectors {
    struct safetensors file;
    char dir[200];
};

static inline void vectors_open(struct vectors *v, const char *model)
{
    struct err e = {0};
    char path[256];
    snprintf(v->dir, sizeof v->dir, "tests/vectors/student/%s", model);
    snprintf(path, sizeof path, "%s/vectors.safetensors", v->dir);
    check(st_open(&v->file, path, &e), &e);
}

static inline struct tensor vectors_get(const struct vectors *v, const char *name)
{
    for (int64_t i = 0; i < v->file.n_entries; i++)
        if (!strcmp(v->file.entries[i].name, name))
            return v->file.entries[i].tensor;
    fail_msg("%s has no %s", v->dir, name);
    return (struct tensor){0};
}

/* Document j's tokens and how many of them carry no loss. */
static inline const int32_t *vectors_doc(const struct vectors *v, int j, int64_t *n,
                                         int64_t *n_prompt)
{
    char name[32];
    snprintf(name, sizeof name, "doc%d", j);
    struct tensor t = vectors_get(v, name);
    *n = tensor_n(&t);
    struct tensor p = vectors_get(v, "prompt");
    *n_prompt = ((const int32_t *)p.data)[j];
    return t.data;
}

/* Both documents in one batch. */
static inline void vectors_batch(const struct vectors *v, struct batch *b)
{
    struct err e = {0};
    check(batch_init(b, 64, &e), &e);
    for (int j = 0; j < 2; j++) {
        int64_t n, n_prompt;
        const int32_t *doc = vectors_doc(v, j, &n, &n_prompt);
        assert_true(batch_add(b, doc, n, n_prompt));
    }
}

/* |got - want| <= tol * (largest |want| of the tensor), everywhere. */
static inline void assert_close(const float *got, const struct tensor *want, double tol,
                                const char *what)
{
    const float *w = want->data;
    double max = 0, worst = 0;
    for (int64_t i = 0; i < tensor_n(want); i++)
        max = fmax(max, fabs((double)w[i]));
    for (int64_t i = 0; i < tensor_n(want); i++) {
        double d = fabs((double)got[i] - (double)w[i]);
        if (!(d <= worst))
            worst = d;
    }
    if (!(worst <= tol * max))
        fail_msg("%s: off by %g of %g (%g allowed)", what, worst, max, tol * max);
}

#endif
