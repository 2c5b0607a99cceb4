/* AdamW over a student's flat arrays: moments in float32, clipping by the global norm, weight decay
 * on matrices alone. */
#ifndef DECANT_DISTILL_TRAIN_OPTIM_H
#define DECANT_DISTILL_TRAIN_OPTIM_H

#include "student/model.h"

struct train_optim {
    struct device *device;
    float *m, *v; /* device memory, as long as the student's parameters */
    float beta1, beta2, eps, weight_decay;
    double clip; /* 0: off */
};
err_code train_optim_init(struct train_optim *o, const struct student *s, struct err *e);
void train_optim_dispose(struct train_optim *o);

/* One step with the gradients in s; step counts from 1. *norm: their global norm before clipping.
 * A norm that is not finite leaves everything as it was and is ERR_STATE. Clipping as PyTorch does:
 * by clip / (norm + 1e-6) where that is below 1. */
err_code train_optim_step(struct train_optim *o, struct student *s, int64_t step, double lr,
                          double *norm, struct err *e);

/* The moments as a safetensors file ("m", "v": float32 [n_params]). */
err_code train_optim_save(const struct train_optim *o, const struct student *s, const char *path,
                          struct err *e);
err_code train_optim_load(struct train_optim *o, const struct student *s, const char *path,
                          struct err *e);

#endif
