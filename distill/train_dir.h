/* A run's directory: its config, its metrics, its checkpoints. Nothing half-written is ever read
 * back: files are replaced atomically, a checkpoint counts when its complete.json is there (written
 * last, everything before it flushed to disk), and final/ appears by a rename. */
#ifndef DECANT_DISTILL_TRAIN_DIR_H
#define DECANT_DISTILL_TRAIN_DIR_H

#include "core/text/tokenizer.h"
#include "distill/train.h"
#include "distill/train_optim.h"

struct train_dir {
    char *path;
    int n_made;         /* directories that opening made: path and its parents */
    int metrics_fd;     /* locked while the run is open */
    struct json config; /* of an earlier start; root NULL: a new run */
};
/* Makes or opens it. An existing run without `resume`, or one that another process is training:
 * ERR_STATE. Closing removes what opening made when no config was written. */
err_code train_dir_open(struct train_dir *d, const char *path, bool resume, struct err *e);
void train_dir_close(struct train_dir *d);
bool train_dir_finished(const struct train_dir *d);
/* Absolute path of something in it; the caller frees. */
char *train_dir_path(const struct train_dir *d, const char *name, struct err *e);
err_code train_dir_write_config(struct train_dir *d, const cJSON *root, struct err *e);

/* What the job knows besides parameters and moments. */
struct train_state {
    int64_t step, n_tokens, n_valid;
    double seconds, eval_before, tail_loss; /* tail_loss: sum over the steps that `loss` averages */
    int64_t metrics_bytes;
    bool eval_due; /* the held-out loss after `step` was left when the user stopped the run */
};
/* Metrics: one line, written at once. */
err_code train_dir_metric(struct train_dir *d, const char *line, size_t n, struct err *e);
/* Cuts the metrics back to where a checkpoint knew them (0: all). */
err_code train_dir_cut_metrics(struct train_dir *d, int64_t bytes, struct err *e);

/* Saves a checkpoint (st->metrics_bytes is filled in), then removes all but the `keep` newest. */
err_code train_dir_checkpoint(struct train_dir *d, struct student *s, const struct train_optim *o,
                              struct train_state *st, int64_t keep, const char *tokenizer_dir,
                              struct err *e);
/* The newest complete checkpoint: its directory (the caller frees; NULL: there is none) and state.
 * Incomplete ones are removed. */
err_code train_dir_latest(struct train_dir *d, char **path, struct train_state *st, struct err *e);
/* Writes final/, its generation_config.json with all of tok's stops: a base model's own knows the
 * token that ends a document, but not the one that ends an answer. */
err_code train_dir_finish(struct train_dir *d, struct student *s, enum dtype dtype,
                          const char *tokenizer_dir, const struct tokenizer *tok, struct err *e);

#endif
