/* pass.h: what the parts of a model share while a batch of rows goes through its layers. */
#ifndef DECANT_TEACHER_PASS_H
#define DECANT_TEACHER_PASS_H

#include "teacher/arena.h"
#include "teacher/config.h"

/* One layer's cache of one sequence: rows [c_kv after its norm | k_pe after its rotation], float32,
 * kv_rank + d_rope wide, on the device. Zero-initialise. */
struct latent_cache {
    float *rows;
    int64_t cap; /* rows there is memory for */
};
/* Room for n rows (at most max), keeping the first n_kept; grows by doubling. */
err_code latent_reserve(struct latent_cache *c, struct device *d, int64_t width, int64_t n,
                        int64_t max, int64_t n_kept, struct err *e);
void latent_free(struct latent_cache *c, struct device *d);

/* The rows of one sequence in a pass. */
struct pass_part {
    struct latent_cache *caches; /* one a layer; room for start + n_rows was reserved */
    int64_t start;               /* rows of the sequence that are in the cache already */
    int64_t first_row, n_rows;   /* its rows among the pass's */
};

/* Two forms of the same attention (mla.h). */
enum mla_form { MLA_ABSORBED, MLA_EXPANDED };

struct pass {
    struct device *dev;
    const struct teacher_config *cfg;
    struct arena *arena;
    const struct rope *rope;
    enum mla_form form;
    int64_t n_rows; /* T */
    int64_t n_parts;
    const struct pass_part *parts;
    const int32_t *pos;      /* [T] */
    struct attn_span *spans; /* [T] for mla to fill */
};

#endif
