/* The loss and the optimizer. */
#include "core/tensor/ref/ref.h"

#include <math.h>

void ref_cross_entropy(struct device *d, double *loss_sum, struct tensor *logits,
                       const int32_t *targets, const float *weight, bool grad, float grad_scale)
{
    (void)d;
    int64_t n = tensor_cols(logits);
    for (int64_t t = 0; t < tensor_rows(logits); t++) {
        float *x = ref_row(logits, t);
        if (targets[t] < 0) {
            for (int64_t i = 0; grad && i < n; i++)
                x[i] = 0;
            continue;
        }
        double max = -INFINITY, sum = 0, w = weight ? weight[t] : 1;
        for (int64_t i = 0; i < n; i++)
            max = fmax(max, x[i]);
        for (int64_t i = 0; i < n; i++)
            sum += exp(x[i] - max);
        *loss_sum += w * (max + log(sum) - x[targets[t]]);
        for (int64_t i = 0; grad && i < n; i++)
            x[i] = (float)(grad_scale * w * (exp(x[i] - max) / sum - (i == targets[t])));
    }
}

double ref_sum_squares(struct device *d, const float *x, size_t n)
{
    (void)d;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

void ref_adamw(struct device *d, float *p, const float *grad, float *m, float *v, size_t n,
               const struct adamw *a)
{
    (void)d;
    double c1 = 1 - pow(a->beta1, (double)a->step), c2 = 1 - pow(a->beta2, (double)a->step);
    for (size_t i = 0; i < n; i++) {
        double g = (double)a->grad_scale * grad[i];
        double mi = (double)a->beta1 * m[i] + (1 - (double)a->beta1) * g;
        double vi = (double)a->beta2 * v[i] + (1 - (double)a->beta2) * g * g;
        double pi = p[i] * (1 - (double)a->lr * a->weight_decay);
        m[i] = (float)mi;
        v[i] = (float)vi;
        p[i] = (float)(pi - a->lr / c1 * mi / (sqrt(vi) / sqrt(c2) + a->eps));
    }
}
