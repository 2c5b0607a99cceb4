#include "teacher/load.h"

#include <assert.h>
#include <string.h>

static bool fits(enum dtype t, bool matrix)
{
    return t == DT_F32 || t == DT_F16 || t == DT_BF16 || (matrix && t == DT_F8_E4M3);
}

err_code load_tensor(struct loader *l, struct tensor *t, int64_t rows, int64_t cols, struct err *e,
                     const char *prefix, const char *name)
{
    char full[256];
    size_t n = prefix ? strlen(prefix) : 0, m = strlen(name);
    assert(n + 1 + m < sizeof full);
    if (n) {
        memcpy(full, prefix, n);
        full[n++] = '.';
    }
    memcpy(full + n, name, m + 1);
    int64_t shape[2] = {rows, cols};
    err_code rc = weights_get(l->w, full, rows ? 2 : 1, rows ? shape : shape + 1, t, e);
    if (rc)
        return rc;
    const struct dtype_info *in = dtype_info(t->dtype);
    if (!fits(t->dtype, rows > 0))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: tensor %s is %s; a teacher's %s may be f32, f16, bf16%s",
                       weights_path(l->w), full, in->name, rows ? "matrices" : "vectors",
                       rows ? " or f8_e4m3" : "");
    if ((uintptr_t)t->data % (uintptr_t)in->block_bytes || (uintptr_t)t->scale % sizeof(float))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: tensor %s (or its scales) does not start at a multiple of its element "
                       "size; write the "
                       "file again with safetensors",
                       weights_path(l->w), full);
    l->n_params += tensor_n(t);
    l->n_bytes += (int64_t)tensor_bytes(t);
    if (t->scale)
        l->n_bytes += t->scale_ld * ((tensor_rows(t) + t->scale_rows - 1) / t->scale_rows) * 4;
    return ERR_OK;
}
