#include "teacher/yarn.h"

#include <math.h>

static double correction_dim(const struct yarn *y, int64_t n_dims, double n_turns)
{
    return (double)n_dims * log(y->original_context / (n_turns * 2 * M_PI)) / (2 * log(y->theta));
}

void yarn_inv_freq(const struct yarn *y, int64_t n_dims, float *inv_freq)
{
    double low = 0, high = 0;
    if (y->on) {
        low = correction_dim(y, n_dims, y->beta_fast);
        high = correction_dim(y, n_dims, y->beta_slow);
        if (y->truncate) {
            low = floor(low);
            high = ceil(high);
        }
        low = fmax(low, 0);
        high = fmin(high, (double)(n_dims - 1));
        if (low == high)
            high += 0.001;
    }
    for (int64_t i = 0; i < n_dims / 2; i++) {
        double f = pow(y->theta, -2.0 * (double)i / (double)n_dims);
        if (y->on) {
            double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
            f = f * (1 - ramp) + f / y->factor * ramp;
        }
        inv_freq[i] = (float)f;
    }
}

static double magnitude(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

double yarn_rope_scale(const struct yarn *y)
{
    if (!y->on)
        return 1;
    if (y->attention_factor != 0)
        return y->attention_factor;
    if (y->mscale != 0 && y->mscale_all_dim != 0)
        return magnitude(y->factor, y->mscale) / magnitude(y->factor, y->mscale_all_dim);
    return magnitude(y->factor, 1);
}

double yarn_score_scale(const struct yarn *y)
{
    if (!y->on || y->mscale_all_dim == 0)
        return 1;
    double m = magnitude(y->factor, y->mscale_all_dim);
    return m * m;
}
