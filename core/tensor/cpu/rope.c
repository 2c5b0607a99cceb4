/* Rotary positions. The layers of a pass rotate queries and keys by the same angles, so the cosines
 * and sines of a call stay for the next. */
#include "core/tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

struct rotation {
    const struct tensor *x;
    const int32_t *pos;
    int64_t n_heads, head_dim, first; /* first: where the rotated dimensions of a head are */
    const struct rope *r;
    float sign;
    float *cos_sin; /* [row][n_dims]: cosines, then sines */
    bool known;
};

static void fill_angles(float *cos_sin, int32_t pos, const struct rope *r)
{
    int64_t half = r->n_dims / 2;
    for (int64_t j = 0; j < half; j++) {
        float angle = (float)pos * r->inv_freq[j];
        cos_sin[j] = r->scale * cosf(angle);
        cos_sin[half + j] = r->scale * sinf(angle);
    }
}

static void rotate(float *head, const float *cos_sin, float sign, const struct rope *r)
{
    int64_t half = r->n_dims / 2, apart = r->mode == ROPE_HALF ? half : 1;
    int64_t step = r->mode == ROPE_HALF ? 1 : 2;
    for (int64_t i = 0; i < half; i++) {
        float *a = head + i * step, *b = a + apart;
        float c = cos_sin[i], s = sign * cos_sin[half + i], u = *a, v = *b;
        *a = u * c - v * s;
        *b = v * c + u * s;
    }
}

static void rope_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct rotation *o = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++) {
        float *cos_sin = o->cos_sin + t * o->r->n_dims;
        if (!o->known)
            fill_angles(cos_sin, o->pos[t], o->r);
        for (int64_t h = 0; h < o->n_heads; h++)
            rotate(cpu_row(o->x, t) + h * o->head_dim + o->first, cos_sin, o->sign, o->r);
    }
}

/* Points o at the angles of its rows. What they depend on stands beside them, by value. */
static void find_angles(struct cpu_angles *a, struct rotation *o)
{
    const struct rope *r = o->r;
    int64_t rows = tensor_rows(o->x), n = r->n_dims;
    size_t freq_bytes = (size_t)n / 2 * sizeof(float), pos_bytes = (size_t)rows * sizeof *o->pos;
    size_t angle_bytes = (size_t)(rows * n) * sizeof(float);
    o->known = a->rows == rows && a->n_dims == n && a->scale == r->scale &&
               memcmp(a->inv_freq, r->inv_freq, freq_bytes) == 0 &&
               memcmp(a->pos, o->pos, pos_bytes) == 0;
    if (!o->known) {
        a->cos_sin = cpu_room(&a->room, angle_bytes + freq_bytes + pos_bytes);
        a->inv_freq = a->cos_sin + rows * n;
        a->pos = (int32_t *)(a->inv_freq + n / 2);
        memcpy(a->inv_freq, r->inv_freq, freq_bytes);
        memcpy(a->pos, o->pos, pos_bytes);
        a->rows = rows;
        a->n_dims = n;
        a->scale = r->scale;
    }
    o->cos_sin = a->cos_sin;
}

void cpu_rope(struct device *d, struct tensor *x, const int32_t *pos, int64_t n_heads,
              int64_t head_dim, int64_t first, const struct rope *r, bool inverse)
{
    struct rotation o = {x, pos, n_heads, head_dim, first, r, inverse ? -1 : 1, NULL, false};
    find_angles(&((struct cpu *)d)->angles, &o);
    cpu_split(cpu_threads(d, tensor_rows(x) * (n_heads + 8) * r->n_dims), tensor_rows(x), 1,
              rope_rows, &o);
}
