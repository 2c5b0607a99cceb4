/* The loss and the optimizer. */
#include "core/tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

static double loss_row(const struct cpu_kernels *k, float *x, int64_t n, int32_t target,
                       double weight, bool grad, float grad_scale)
{
    if (target < 0) {
        if (grad)
            memset(x, 0, (size_t)n * sizeof *x);
        return 0;
    }
    float max = k->max(x, n);
    double sum = k->sum_exp(x, max, n);
    double loss = weight * (max + log(sum) - x[target]);
    if (grad) {
        double by = (double)grad_scale * weight;
        float at_target = (float)(by * (exp((double)x[target] - max) / sum - 1));
        k->softmax(x, max, (float)(by / sum), n);
        x[target] = at_target; /* p - 1 in double: no cancellation when p is near 1 */
    }
    return loss;
}

void cpu_cross_entropy(struct device *d, double *loss_sum, struct tensor *logits,
                       const int32_t *targets, const float *weight, bool grad, float grad_scale)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t rows = tensor_rows(logits), cols = tensor_cols(logits);
    double *losses = cpu_scratch(d, (size_t)rows * sizeof *losses);
    int n_threads = cpu_threads(d, rows * cols * 4);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t t = 0; t < rows; t++)
        losses[t] = loss_row(k, cpu_row(logits, t), cols, targets[t], weight ? weight[t] : 1, grad,
                             grad_scale);
    for (int64_t t = 0; t < rows; t++)
        *loss_sum += losses[t];
}

/* Stretches of a fixed size, summed in order: the same whatever the number of threads. */
#define STRETCH 65536

double cpu_sum_squares(struct device *d, const float *x, size_t n)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int64_t n_parts = ((int64_t)n + STRETCH - 1) / STRETCH;
    double *sums = cpu_scratch(d, (size_t)n_parts * sizeof *sums), sum = 0;
    int n_threads = cpu_threads(d, (int64_t)n);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int64_t i = 0; i < n_parts; i++) {
        int64_t left = (int64_t)n - i * STRETCH;
        sums[i] = k->sum_squares(x + i * STRETCH, left < STRETCH ? left : STRETCH);
    }
    for (int64_t i = 0; i < n_parts; i++)
        sum += sums[i];
    return sum;
}

void cpu_adamw(struct device *d, float *p, const float *grad, float *m, float *v, size_t n,
               const struct adamw *a)
{
    const struct cpu_kernels *k = cpu_kernels_of(d);
    int n_threads = cpu_threads(d, (int64_t)n * 4);
#pragma omp parallel for schedule(static) num_threads(n_threads) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int64_t first, last;
        cpu_part((int64_t)n, 64, i, n_threads, &first, &last);
        k->adamw(p + first, grad + first, m + first, v + first, last - first, a);
    }
}
