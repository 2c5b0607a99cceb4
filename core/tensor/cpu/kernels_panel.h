/* FP8 to float32, transposed: a panel of weights as nn takes it. */

typedef int16_t vs __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));

#define F8_MAGNITUDE 0x07F00000 /* an FP8's 7 bits moved to float's exponent and mantissa: the */
#define F8_SHORT 0x1p120f       /* float is short of this factor, and denormal where the FP8 is */

/* The floats that belong to such bits and their sign, whichever they are. */
INLINE vf f8_exact(vi f)
{
    vi magnitude = f & F8_MAGNITUDE, normal = magnitude + (120 << 23);
    vf small = __builtin_convertvector(magnitude >> 20, vf) * 0x1p-9f;
    vf v = v_sel(magnitude < 1 << 23, small, (vf)normal);
    v = v_sel(magnitude == F8_MAGNITUDE, v_set1(NAN), v);
    return (vf)((vi)v | (vi)((vu)f & 0x80000000u));
}

/* Lane l of v is four columns of row l. A shift that spreads the sign over the exponent's top and
 * a mask make a float of each byte. */
INLINE void f8_four_columns(vi v, const bool plain, float scale, float *dst, int64_t ld)
{
    vi keep = (vi)((vf){0}) | (int32_t)(0x80000000u | F8_MAGNITUDE);
    vi odd = (vi)((vs)v >> 4), even = (vi)((vs)((vu)v << 8) >> 4);
    vi f[4] = {(vi)((vu)even << 16) & keep, (vi)((vu)odd << 16) & keep, even & keep, odd & keep};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        v_store(dst + j * ld, plain ? (vf)f[j] * (scale * F8_SHORT) : f8_exact(f[j]) * scale);
}

/* 16 columns of LANES rows. No denormal float is multiplied: that takes the processor a hundred
 * times as long. */
INLINE void f8_block(const uint8_t *src, int64_t row_bytes, bool fits, float scale, float *dst,
                     int64_t ld)
{
    vi r[4], v[4]; /* lane 4 l + j of r[i]: columns 4 j to 4 j + 3 of row 4 l + i */
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        r[i] = v_load_rows(src + i * row_bytes, 4 * row_bytes);
    bool plain = fits && v_f8_normal(r);
    vi ab = v_zip_lo(r[0], r[1]), cd = v_zip_lo(r[2], r[3]);
    v[0] = v_zip_lo2(ab, cd);
    v[1] = v_zip_hi2(ab, cd);
    ab = v_zip_hi(r[0], r[1]);
    cd = v_zip_hi(r[2], r[3]);
    v[2] = v_zip_lo2(ab, cd);
    v[3] = v_zip_hi2(ab, cd);
    if (plain) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            f8_four_columns(v[j], true, scale, dst + 4 * j * ld, ld);
    } else {
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            f8_four_columns(v[j], false, scale, dst + 4 * j * ld, ld);
    }
}

static void to_f32_transposed(enum dtype t, const void *from, int64_t row_bytes, float *dst,
                              int64_t ld, int64_t rows, int64_t n, float scale)
{
    (void)t; /* FP8 */
    const uint8_t *src = from;
    /* So many rows at once are more streams than the processor follows by itself: the next columns
     * of long rows, the next rows of short ones are asked for here. */
    int64_t ahead = row_bytes > 1024 ? 128 : LANES * row_bytes;
    bool fits = fabsf(scale) < 0x1p7f;
    int64_t i = 0;
    for (; i + LANES <= rows; i += LANES) {
        const uint8_t *row = src + i * row_bytes;
        for (int64_t j = 0; j + 16 <= n; j += 16) {
            for (int64_t l = 0; l < LANES / 4; l++)
                __builtin_prefetch(row + (j / 16 % 4 * (LANES / 4) + l) * row_bytes + j / 64 * 64 +
                                   ahead);
            f8_block(row + j, row_bytes, fits, scale, dst + j * ld + i, ld);
        }
        for (int64_t j = n / 16 * 16; j < n; j++)
            for (int64_t l = 0; l < LANES; l++)
                dst[j * ld + i + l] = f8_to_f32(row[l * row_bytes + j]) * scale;
    }
    for (; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            dst[j * ld + i] = f8_to_f32(src[i * row_bytes + j]) * scale;
}
