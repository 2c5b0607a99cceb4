/* Rotary frequencies of the DeepSeek family: plain, or stretched by YaRN (Peng et al., "YaRN:
 * Efficient Context Window Extension of Large Language Models", 2023).
 *
 * With s = factor, d = rotary dimensions, f_i = theta^(-2i/d):
 *   the dimension that turns n times over the original context L:
 *       dim(n) = d ln(L / (2 pi n)) / (2 ln theta)
 *   ramp_i goes from 0 at dim(beta_fast) to 1 at dim(beta_slow);
 *   inv_freq_i = f_i (1 - ramp_i) + f_i / s * ramp_i: fast pairs are kept, slow ones interpolated.
 * Magnitudes, with m(a) = 0.1 a ln s + 1: cos and sin are multiplied by m(mscale) /
 * m(mscale_all_dim), and the scores of the attention by m(mscale_all_dim)^2. */
#ifndef DECANT_TEACHER_YARN_H
#define DECANT_TEACHER_YARN_H

#include <stdbool.h>
#include <stdint.h>

struct yarn {
    bool on;      /* false: plain rotary positions; only theta counts */
    double theta; /* > 1 */
    double factor, original_context;
    double beta_fast, beta_slow;
    double mscale, mscale_all_dim; /* 0: not given */
    double attention_factor;       /* overrides the scale of cos and sin; 0: not given */
    bool truncate;                 /* round the ramp's ends to whole dimensions (the default) */
};

/* inv_freq[n_dims / 2]; n_dims even. */
void yarn_inv_freq(const struct yarn *y, int64_t n_dims, float *inv_freq);
/* What cos and sin are multiplied by; 1 when off. */
double yarn_rope_scale(const struct yarn *y);
/* What the attention's scores are multiplied by beyond 1/sqrt(width); 1 when off. */
double yarn_score_scale(const struct yarn *y);

#endif
