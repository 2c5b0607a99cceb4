/* The loops of kernels_body.h in plain C: vectors of 4 floats, which every target has or the
 * compiler splits. */
#define LANES 4

#include "core/tensor/cpu/vec.h"

INLINE vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}

INLINE vf v_load_n(const float *p, int64_t n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE void v_store_n(float *p, vf v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof *p);
}

INLINE v4 v_fold4(vf v)
{
    return v;
}

INLINE vf v_sqrt(vf v)
{
    for (int i = 0; i < LANES; i++)
        v[i] = sqrtf(v[i]);
    return v;
}

INLINE vf v_max(vf a, vf b)
{
    return v_sel(a > b, a, b);
}

INLINE vf v_min(vf a, vf b)
{
    return v_sel(a < b, a, b);
}

INLINE vf v_scale2(vf y, vf n)
{
    return v_scale2_split(y, n);
}

INLINE vf v_load_f16(const uint16_t *p)
{
    vf v;
    for (int i = 0; i < LANES; i++)
        v[i] = f16_to_f32(p[i]);
    return v;
}

#define F8_FACTOR 0x1p120f
/* The 7 bits of the magnitude, moved to float's exponent and mantissa, are short of 2^120. */
INLINE vf v_load_f8(const uint8_t *p)
{
    vi u = {p[0], p[1], p[2], p[3]};
    vf v = (vf)((u & 127) << 20);
    v = v_sel((u & 127) == 127, v_set1(NAN), v);
    return (vf)((vi)v | (u & 128) << 24);
}

#define KERNELS_NAME "portable"
#include "core/tensor/cpu/kernels_body.h"

const struct cpu_kernels cpu_kernels_portable = KERNELS_TABLE;
