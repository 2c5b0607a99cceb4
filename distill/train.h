/* The training job: a corpus of traces in, a trained student out, through a run directory.
 *
 *     struct train_settings s;
 *     train_defaults(&s);
 *     s.student = "qwen/"; s.corpus = "traces.db"; s.out = "run/";
 *     s.given |= ...                            // which settings the user named: see below
 *     struct train_result r = {0};
 *     rc = train_run(&s, &r, e);                // ERR_STOPPED: stopped on request, resumable
 *
 * The run directory:
 *     config.json          every setting resolved, with hashes of the corpus selection and student
 *     metrics.jsonl        a line a step: step, loss, grad_norm, lr, tokens, valid_tokens,
 *                          tokens_per_second, seconds; and eval_loss lines
 *     checkpoints/step-N/  an HF directory in float32, optimizer.safetensors, and complete.json,
 *                          written last: without it the checkpoint does not exist
 *     final/               the trained student as an HF directory; appears whole, by a rename
 *
 * Resuming continues to the same bits as a run that was never stopped (same device and thread
 * count), whatever instant it was killed at: batches are a function of (documents, options, epoch,
 * index), so a step's number is the whole state besides parameters and moments, and metrics.jsonl
 * is cut back to what the checkpoint knew. Settings that the user named must be those of the run;
 * those not named are taken from it.
 *
 * Loss: cross-entropy over the completion's tokens, divided by the targets of the whole optimizer
 * step. Memory and what is read are logged before the first step. */
#ifndef DECANT_DISTILL_TRAIN_H
#define DECANT_DISTILL_TRAIN_H

#include "core/base/json.h"

struct train_settings {
    const char *student;   /* HF directory, or a config.json to draw weights for */
    const char *tokenizer; /* directory; NULL: where the student is */
    const char *corpus;    /* SQLite file */
    const char *out;       /* the run directory */
    const char *select;    /* "correct", "all", or an SQL condition */
    const char *target;    /* "traces" or "answers" */
    const char *over;      /* documents longer than max_length: "skip" or "cut" */
    const char *device;    /* "cpu" */
    const char *dtype;     /* of final/: "f32", "bf16", "f16" */
    int64_t epochs, batch_tokens, accumulation, max_length /* 0: the most that fits */, seed,
        threads /* 0: all */, recompute, checkpoint_every, keep;
    double lr, lr_floor, warmup, weight_decay, beta1, beta2, eps, clip, eval_fraction;
    bool resume;
    uint64_t given;     /* bit i: field i of train_fields was named by the user */
    uint64_t from_file; /* those of them that stood in a file, */
    const char *file;   /* this one */
};
void train_defaults(struct train_settings *s);

enum train_kind { TRAIN_STR, TRAIN_INT, TRAIN_NUM };
struct train_field {
    const char *name; /* in config.json and, with '-' for '_', on the command line */
    enum train_kind kind;
    size_t offset;     /* in struct train_settings */
    bool free;         /* may differ between a run and its continuation */
    double min, max;   /* of numbers */
    const char *words; /* of strings: the ones that are allowed, "a|b"; NULL: any */
};
extern const struct train_field train_fields[];
enum { TRAIN_N_FIELDS = 27 };
/* The field of a name with '-' or '_', or -1. */
int train_field_find(const char *name);
/* Sets the fields that o has and that were not given before, and marks them given. An unknown key
 * or a value that does not fit: ERR_FORMAT naming it and j. Strings belong to j. */
err_code train_settings_read(struct train_settings *s, const struct json *j, const cJSON *o,
                             struct err *e);
/* Where rc is ERR_USAGE, for the value of a setting, and that is from a file: ERR_FORMAT, with the
 * file and the setting before the message in e. Else rc. */
err_code train_settings_blame(const struct train_settings *s, const char *name, err_code rc,
                              struct err *e);
/* Ranges and words. */
err_code train_settings_check(const struct train_settings *s, struct err *e);
/* Adds all fields to o. */
err_code train_settings_write(const struct train_settings *s, cJSON *o, struct err *e);
/* Takes from a run's config (settings object o of j) what was not given; what was given and differs
 * is ERR_USAGE naming the setting and both values. */
err_code train_settings_join(struct train_settings *s, const struct json *j, const cJSON *o,
                             struct err *e);

/* Linear warm-up over the first warmup * n_steps steps (at least one when warmup > 0), then a
 * cosine that ends at lr_floor * lr in the last step. step counts from 1. */
double train_lr(const struct train_settings *s, int64_t step, int64_t n_steps);

struct train_result {
    int64_t n_steps, n_done;   /* done in all, earlier runs included */
    int64_t n_tokens, n_valid; /* trained on, all epochs */
    int64_t n_documents, n_eval_documents, n_skipped;
    int64_t max_length;             /* tokens; what is longer was skipped, or cut */
    int64_t n_loss_steps;           /* a tenth of all, at least one */
    double loss;                    /* in training: mean over the last n_loss_steps */
    double eval_before, eval_after; /* NAN: no held-out part */
    double seconds, tokens_per_second;
    char final_dir[1024];
    bool was_finished; /* the run had been finished before: nothing was done */
};
err_code train_run(const struct train_settings *s, struct train_result *r, struct err *e);

#endif
