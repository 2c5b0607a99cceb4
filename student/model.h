/* The dense student, twice: as an lm over mapped weights (to run), and as flat float32 arrays with
 * a backward (to train).
 *
 *     struct lm *lm;                                            // run: HF directory or GGUF file
 *     if ((rc = student_lm_open("student.gguf", d, &lm, e))) return rc;
 *     ...core/lm/lm.h...
 *     lm_close(lm);
 *
 *     struct student *s;                                        // train: HF directory or
 * config.json if ((rc = student_open("student/", d, seed, &s, e))) return rc; rc =
 * student_reserve(s, &(struct student_options){.max_tokens = 8192}, e); for each micro-batch of a
 * step: rc = student_backward(s, &b, 1.0f / n_valid, &loss_sum, e);
 *     ...s->grads to the optimizer, which changes s->params; student_zero_grads(s)...
 *     rc = student_save(s, "out/", DT_BF16, NULL, e);
 *     student_close(s);
 */
#ifndef DECANT_STUDENT_MODEL_H
#define DECANT_STUDENT_MODEL_H

#include "core/lm/batch.h"
#include "core/lm/lm.h"
#include "student/layout.h"

/* ---- to run
 * Opening maps; only norms and biases are copied (as float32). The cache is float32, grows by
 * doubling up to a sequence's max_tokens, and belongs to the sequence. Weights of any dtype; block
 * types are multiplied in their blocks. The device must outlive the lm and be able to read host
 * memory. Errors: what weights_open, student_config_weights and weights_get say. */
err_code student_lm_open(const char *path, struct device *d, struct lm **out, struct err *e);

/* ---- to train */
struct student {
    struct student_config config;
    struct student_layout layout;
    struct device *device;
    struct json source; /* the config.json it came from */
    size_t n_params;    /* elements of params and grads */
    size_t n_decay;     /* the first so many take weight decay; the rest are norms and biases */
    float *params;      /* device memory */
    float *grads;       /* device memory; NULL until student_reserve with train */
    struct rope rope;
    struct student_work *work; /* activations; NULL until student_reserve */
};

/* path: an HF directory (tensors of any plain dtype become float32) or a config.json alone, whose
 * weights are drawn: matrices normal with the config's initializer_range, norms 1, biases 0. A
 * tensor's numbers depend on the seed, its name and position only. */
err_code student_open(const char *path, struct device *d, uint64_t seed, struct student **out,
                      struct err *e);
void student_close(struct student *s);

struct student_options {
    int64_t max_tokens; /* rows of the largest batch */
    bool train;         /* gradients too */
    /* Layers, counted from the first, whose gate and up products are computed again in the backward
     * instead of kept: max_tokens * 2 F * 4 bytes less each. The results are the same bits. */
    int64_t n_recompute;
};
/* Allocates gradients and activations (all that a step needs besides the optimizer's state). */
err_code student_reserve(struct student *s, const struct student_options *o, struct err *e);

/* What a training step of that shape holds, in bytes. Needs no student: a plan comes before. */
struct student_memory {
    uint64_t params, grads;
    uint64_t kept;    /* activations kept for the backward */
    uint64_t scratch; /* buffers that layers share, and the chunk of logits */
};
void student_memory_plan(const struct student_config *c, const struct student_options *o,
                         struct student_memory *m);

void student_zero_grads(struct student *s);
/* Adds the gradient of grad_scale * sum_t weights[t] * loss[t] to s->grads, and the sum of the
 * weighted losses itself (not scaled) to *loss_sum. Only rows with a target reach the head, and
 * they do so in chunks: [T, V] never exists. A token, target or position out of range, or a batch
 * of more than max_tokens: ERR_USAGE. */
err_code student_backward(struct student *s, const struct batch *b, float grad_scale,
                          double *loss_sum, struct err *e);
/* The loss alone. */
err_code student_loss(struct student *s, const struct batch *b, double *loss_sum, struct err *e);
/* All logits, float32 [n_tokens, V] in host memory (for tests and comparisons). */
err_code student_logits(struct student *s, const struct batch *b, float *logits, struct err *e);

/* A tensor of the flat array `of` (params, grads, or an optimizer's) as a view; data NULL when the
 * model has no such tensor. */
struct tensor student_view(const struct student *s, float *of, enum student_kind k, int64_t layer);

/* Writes an HF directory that transformers opens: config.json (the source's, with the dtype named),
 * model.safetensors in F32, BF16 or F16, and, when tokenizer_dir is not NULL, the tokenizer's and
 * generation_config's files that are there. Each file is replaced atomically. */
err_code student_save(struct student *s, const char *dir, enum dtype dtype,
                      const char *tokenizer_dir, struct err *e);
/* Reads the parameters alone back from a directory that student_save wrote (or any that fits). */
err_code student_load_params(struct student *s, const char *dir, struct err *e);
/* A hash of architecture and parameters. */
uint64_t student_hash(const struct student *s);

#endif
