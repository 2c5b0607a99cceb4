#include "distill/train_optim.h"

#include "core/format/safetensors.h"

#include <math.h>
#include <string.h>

enum { STAGE_ELEMS = 1 << 20 };

err_code train_optim_init(struct train_optim *o, const struct student *s, struct err *e)
{
    o->device = s->device;
    o->m = s->device->alloc(s->device, s->n_params * sizeof(float), e);
    o->v = o->m ? s->device->alloc(s->device, s->n_params * sizeof(float), e) : NULL;
    return o->v ? ERR_OK : err_context(e, "the optimizer's moments");
}

void train_optim_dispose(struct train_optim *o)
{
    if (!o->device)
        return;
    o->device->free(o->device, o->m);
    o->device->free(o->device, o->v);
    memset(o, 0, sizeof *o);
}

err_code train_optim_step(struct train_optim *o, struct student *s, int64_t step, double lr,
                          double *norm, struct err *e)
{
    struct device *d = o->device;
    *norm = sqrt(d->sum_squares(d, s->grads, s->n_params));
    if (!isfinite(*norm))
        return err_set(
            e, ERR_STATE,
            "step %lld: the gradient is not finite (norm %g); a lower lr or a lower clip "
            "may help",
            (long long)step, *norm);
    double scale = o->clip > 0 ? o->clip / (*norm + 1e-6) : 1;
    struct adamw a = {.lr = (float)lr,
                      .beta1 = o->beta1,
                      .beta2 = o->beta2,
                      .eps = o->eps,
                      .weight_decay = o->weight_decay,
                      .grad_scale = (float)(scale < 1 ? scale : 1),
                      .step = step};
    size_t n = s->n_decay;
    d->adamw(d, s->params, s->grads, o->m, o->v, n, &a);
    a.weight_decay = 0;
    d->adamw(d, s->params + n, s->grads + n, o->m + n, o->v + n, s->n_params - n, &a);
    return ERR_OK;
}

static err_code write_array(struct device *d, const float *p, size_t n, float *stage,
                            struct st_writer *w, struct err *e)
{
    err_code rc = ERR_OK;
    for (size_t i = 0; i < n && !rc; i += STAGE_ELEMS) {
        size_t m = n - i < STAGE_ELEMS ? n - i : STAGE_ELEMS;
        d->download(d, stage, p + i, m * sizeof *p);
        rc = st_write(w, stage, m * sizeof *p, e);
    }
    return rc;
}

err_code train_optim_save(const struct train_optim *o, const struct student *s, const char *path,
                          struct err *e)
{
    struct st_writer *w = NULL;
    int64_t shape[1] = {(int64_t)s->n_params};
    float *stage = mem_new(STAGE_ELEMS, sizeof *stage, e);
    err_code rc = stage ? st_writer_open(&w, path, e) : ERR_NOMEM;
    if (!rc && !(rc = st_add_tensor(w, "m", DT_F32, 1, shape, e)) &&
        !(rc = st_add_tensor(w, "v", DT_F32, 1, shape, e)) && !(rc = st_begin_data(w, e)) &&
        !(rc = write_array(o->device, o->m, s->n_params, stage, w, e)) &&
        !(rc = write_array(o->device, o->v, s->n_params, stage, w, e)))
        rc = st_commit(w, e);
    st_writer_close(w);
    mem_free(stage);
    return rc;
}

err_code train_optim_load(struct train_optim *o, const struct student *s, const char *path,
                          struct err *e)
{
    struct safetensors f;
    err_code rc = st_open(&f, path, e);
    if (rc)
        return rc;
    int n_found = 0;
    for (int64_t i = 0; i < f.n_entries; i++) {
        const struct st_entry *t = &f.entries[i];
        float *to = !strcmp(t->name, "m") ? o->m : !strcmp(t->name, "v") ? o->v : NULL;
        if (!to || t->tensor.dtype != DT_F32 || tensor_n(&t->tensor) != (int64_t)s->n_params)
            continue;
        o->device->upload(o->device, to, t->tensor.data, s->n_params * sizeof *to);
        n_found++;
    }
    st_close(&f);
    return n_found == 2 ? ERR_OK
                        : err_set(e, ERR_FORMAT, "%s: should hold m and v of %zu float32 values",
                                  path, s->n_params);
}
