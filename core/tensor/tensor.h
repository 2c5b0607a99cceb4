/* A tensor is a view: type, shape, row stride and a pointer to memory that somebody else owns (a
 * file map, a device allocation). Copying the struct copies the view. */
#ifndef DECANT_TENSOR_TENSOR_H
#define DECANT_TENSOR_TENSOR_H

#include "core/tensor/dtype.h"

#define TENSOR_MAX_DIMS 4

struct tensor {
    enum dtype dtype;
    int n_dims;
    int64_t shape[TENSOR_MAX_DIMS]; /* outermost first, as HF writes it: [out, in] */
    int64_t ld; /* elements from one row to the next (rows: all dims but the last, flattened);
                 * shape[last] when contiguous; block types are always contiguous */
    void *data;
    /* DT_F8_E4M3 with block scales only: value[i][j] = f8[i][j] * scale[i / scale_rows][j /
     * scale_cols]; scale is float32, row stride scale_ld. NULL: no scale. A view of rows that do
     * not start at a multiple of scale_rows carries scale_row0 = first row % scale_rows. */
    const float *scale;
    int64_t scale_ld, scale_rows, scale_cols, scale_row0;
};

/* Contiguous views. */
struct tensor tensor_1d(enum dtype t, void *data, int64_t n);
struct tensor tensor_2d(enum dtype t, void *data, int64_t rows, int64_t cols);
/* 2-D view of float32 rows that stand ld elements apart. */
struct tensor tensor_strided(void *data, int64_t rows, int64_t cols, int64_t ld);

int64_t tensor_rows(const struct tensor *t); /* product of all dims but the last; 1 for 1-D */
int64_t tensor_cols(const struct tensor *t); /* the last dim */
int64_t tensor_n(const struct tensor *t);    /* all elements */
/* Bytes that the view spans in its memory (contiguous: all of it). */
uint64_t tensor_bytes(const struct tensor *t);
/* n rows from row i on, as a 2-D view; keeps the FP8 scales right. */
struct tensor tensor_rows_view(const struct tensor *t, int64_t i, int64_t n);
/* Pointer to row i. */
void *tensor_row(const struct tensor *t, int64_t i);
/* Row i as float32 into dst[cols], FP8 scales applied. */
void tensor_row_f32(const struct tensor *t, int64_t i, float *dst);

#endif
