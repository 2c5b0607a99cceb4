#include "core/tensor/cpu/cpu.h"
#include "core/tensor/ref/ref.h"

#include <cblas.h>
#include <omp.h>

/* For now the plain operations with the rows of a product split over threads; the fast kernels
 * replace them group by group. */
static void rows_over_threads(struct device *d, struct tensor *y, const struct tensor *x,
                              const struct tensor *w, const struct tensor *bias, unsigned flags)
{
    int64_t n = tensor_rows(w);
#pragma omp parallel for schedule(static) num_threads(d->n_threads)
    for (int64_t i = 0; i < n; i++) {
        struct tensor wi = tensor_rows_view(w, i, 1), yi = *y, bi;
        yi.data = (float *)y->data + i;
        yi.n_dims = 2;
        yi.shape[0] = tensor_rows(y);
        yi.shape[1] = 1;
        if (bias)
            bi = tensor_1d(bias->dtype,
                           (char *)bias->data + i * dtype_info(bias->dtype)->block_bytes, 1);
        ref_matmul(d, &yi, x, &wi, bias ? &bi : NULL, flags);
    }
}

static void cpu_matmul(struct device *d, struct tensor *y, const struct tensor *x,
                       const struct tensor *w, const struct tensor *bias, unsigned flags)
{
    if (w->dtype != DT_F32 || flags & MATMUL_ROWWISE || tensor_rows(y) == 0) {
        rows_over_threads(d, y, x, w, bias, flags);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)tensor_rows(y), (int)tensor_cols(y),
                (int)tensor_cols(x), 1, x->data, (int)x->ld, w->data, (int)w->ld,
                flags & MATMUL_ADD ? 1 : 0, y->data, (int)y->ld);
    for (int64_t t = 0; bias && t < tensor_rows(y); t++)
        for (int64_t n = 0; n < tensor_cols(y); n++)
            ref_row(y, t)[n] += ref_at(bias, 0, n);
}

err_code cpu_open(int n_threads, struct device **out, struct err *e)
{
    err_code rc = ref_open(out, e);
    if (rc)
        return rc;
    (*out)->name = "cpu";
    (*out)->n_threads = n_threads ? n_threads : omp_get_num_procs();
    (*out)->matmul = cpu_matmul;
    return ERR_OK;
}
