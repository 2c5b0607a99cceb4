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

INLINE vi v_load_rows(const uint8_t *p, int64_t row_bytes)
{
    (void)row_bytes;
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* No FP8 in r is 0, denormal or NaN: twice the magnitude is 16 to 252. */
INLINE bool v_f8_normal(const vi r[4])
{
    bool normal = true;
    for (int i = 0; i < 4; i++)
        for (int l = 0; l < LANES; l++)
            for (int shift = 0; shift < 32; shift += 8) {
                int magnitude = r[i][l] >> shift & 127;
                normal &= magnitude >= 8 && magnitude < 127;
            }
    return normal;
}

INLINE vi v_zip_lo(vi a, vi b)
{
    return V4_PICK(a, b, 0, 4, 1, 5);
}

INLINE vi v_zip_hi(vi a, vi b)
{
    return V4_PICK(a, b, 2, 6, 3, 7);
}

INLINE vi v_zip_lo2(vi a, vi b)
{
    return V4_PICK(a, b, 0, 1, 4, 5);
}

INLINE vi v_zip_hi2(vi a, vi b)
{
    return V4_PICK(a, b, 2, 3, 6, 7);
}

#define KERNELS_NAME "portable"
#include "core/tensor/cpu/kernels_body.h"

const struct cpu_kernels cpu_kernels_portable = KERNELS_TABLE;
