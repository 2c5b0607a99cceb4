/* The loops of kernels.h over vectors of LANES floats; see there. Included once per instruction
 * set, after vec.h and its primitives. Defines KERNELS_TABLE. */
#include "core/tensor/cpu/vec_math.h"
#include "core/tensor/cpu/kernels_products.h"
#include "core/tensor/cpu/kernels_panel.h"
#include "core/tensor/cpu/kernels_rows.h"

#define KERNELS_TABLE                                                                              \
    {                                                                                              \
        .name = KERNELS_NAME, .lanes = LANES, .to_f32 = to_f32,                                    \
        .to_f32_transposed = to_f32_transposed, .nt = nt, .nt_weights = nt_weights, .nn = nn,      \
        .transpose = transpose, .axpy = axpy, .scale = scale_row, .dot = dot, .rmsnorm = rmsnorm,  \
        .rmsnorm_grad = rmsnorm_grad, .swiglu = swiglu, .swiglu_grad = swiglu_grad, .max = max_of, \
        .sum_exp = sum_exp, .softmax = softmax, .softmax_row = softmax_row,                        \
        .softmax_row_grad = softmax_row_grad, .adamw = adamw, .sum_squares = sum_squares           \
    }
