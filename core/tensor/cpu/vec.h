/* Vectors of LANES floats, for one instruction set: the file that includes this defines LANES first
 * and then v_fma, v_load_n, v_store_n, v_fold4, v_sqrt, v_max and v_min (a > b ? a : b and a < b ?
 * a : b, so b where either is NaN), v_scale2 (y * 2^n for a whole n in [-127, 130]), v_load_f16 and
 * v_load_f8 (whose values are short of F8_FACTOR); and for kernels_panel.h v_load_rows (16 bytes of
 * each of LANES / 4 rows), v_f8_normal, v_zip_lo and v_zip_hi (of each four lanes of a and b: a0 b0
 * a1 b1, and a2 b2 a3 b3), v_zip_lo2 and v_zip_hi2 (a0 a1 b0 b1, and a2 a3 b2 b3). */
#include "core/tensor/cpu/kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));
typedef float v4 __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));

/* Lanes of a, and of b from number 4 on. */
#ifdef __clang__
#define V4_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else /* which has that name from 12 on */
#define V4_PICK(a, b, ...) __builtin_shuffle(a, b, (v4i){__VA_ARGS__})
#endif

INLINE vf v_set1(float x)
{
    return x - (vf){0};
}

/* y * 2^n, of integers; in two factors, since 2^128 is no float. */
INLINE vf v_scale2_split(vf y, vf n)
{
    vi i = (vi)(n + 12582912.0f) - 0x4B400000, half = i >> 1;
    return y * (vf)((half + 127) << 23) * (vf)((i - half + 127) << 23);
}

INLINE vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

/* a where the mask (all bits of a lane) is set, else b. */
INLINE vf v_sel(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

INLINE vf v_abs(vf v)
{
    return (vf)((vi)v & 0x7FFFFFFF);
}

INLINE v4 v4_max(v4 a, v4 b)
{
    v4i larger = a > b;
    return (v4)((larger & (v4i)a) | (~larger & (v4i)b));
}

INLINE float v_max_all(vf v)
{
    v4 x[LANES / 4];
    memcpy(x, &v, sizeof v);
    v4 m = x[0];
    for (int i = 1; i < LANES / 4; i++)
        m = v4_max(m, x[i]);
    m = v4_max(m, V4_PICK(m, m, 2, 3, 0, 1));
    m = v4_max(m, V4_PICK(m, m, 1, 0, 3, 2));
    return m[0];
}

INLINE vi v_iota(void)
{
    vi v;
    for (int i = 0; i < LANES; i++)
        v[i] = i;
    return v;
}
