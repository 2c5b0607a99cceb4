#include "quant/encode_impl.h"
#include "core/base/isa.h"

#include <assert.h>
#include <math.h>
#include <omp.h>

typedef void encode_fn(const float *x, void *dst, int64_t k);

static void encode_f32(const float *x, void *dst, int64_t k)
{
    memcpy(dst, x, (size_t)k * 4);
}

static encode_fn *const portable[DT_COUNT] = {
    [DT_F32] = encode_f32,
    [DT_F16] = encode_f16_portable,
    [DT_Q8_0] = encode_q8_0_portable,
    [DT_Q4_0] = encode_q4_0_portable,
    [DT_Q5_0] = encode_q5_0_portable,
    [DT_Q4_K] = encode_q4_k_portable,
    [DT_Q6_K] = encode_q6_k_portable,
};
#if defined(__x86_64__)
static encode_fn *const avx2[DT_COUNT] = {
    [DT_F16] = encode_f16_avx2,   [DT_Q8_0] = encode_q8_0_avx2, [DT_Q4_0] = encode_q4_0_avx2,
    [DT_Q5_0] = encode_q5_0_avx2, [DT_Q4_K] = encode_q4_k_avx2, [DT_Q6_K] = encode_q6_k_avx2,
};
#endif

static encode_fn *find(enum encode_isa isa, enum dtype t)
{
    if ((unsigned)t >= DT_COUNT)
        return NULL;
#if defined(__x86_64__)
    if (isa == ENCODE_AVX2 && isa_avx2())
        return avx2[t];
#endif
    return isa == ENCODE_PORTABLE ? portable[t] : NULL;
}

bool encode_supports(enum dtype t)
{
    return find(ENCODE_PORTABLE, t) != NULL;
}

bool encode_row_isa(enum encode_isa isa, enum dtype t, const float *x, void *dst, int64_t k)
{
    encode_fn *fn = find(isa, t);
    if (fn)
        fn(x, dst, k);
    return fn != NULL;
}

void encode_row(enum dtype t, const float *x, void *dst, int64_t k)
{
    if (!encode_row_isa(ENCODE_AVX2, t, x, dst, k))
        encode_row_isa(ENCODE_PORTABLE, t, x, dst, k);
}

/* The largest magnitude whose block scale a half can hold, with some room. */
static float most(enum dtype t)
{
    switch (t) {
    case DT_F16:
        return 65504.0F;
    case DT_Q8_0:
        return 8e6F;
    case DT_Q4_0:
        return 5e5F;
    case DT_Q5_0:
        return 1e6F;
    case DT_Q4_K:
        return 4e6F;
    case DT_Q6_K:
        return 1e8F;
    default:
        return 3.4028235e38F;
    }
}

static bool row_fits(const float *x, int64_t k, float limit)
{
#if defined(__x86_64__)
    if (isa_avx2()) {
        uint32_t bits;
        memcpy(&bits, &limit, 4);
        return encode_amax_bits_avx2(x, k) <= bits;
    }
#endif
    for (int64_t i = 0; i < k; i++)
        if (!(fabsf(x[i]) <= limit))
            return false;
    return true;
}

/* The error that names the first misfit of a row. */
static err_code misfit(enum dtype t, const float *x, int64_t k, const char *tensor, int64_t row,
                       struct err *e)
{
    int64_t i = 0;
    while (i < k && fabsf(x[i]) <= most(t))
        i++;
    if (i < k && isfinite(x[i]))
        return err_set(e, ERR_FORMAT,
                       "tensor %s: element [%lld, %lld] is %g, too large for %s (at most %g)",
                       tensor, (long long)row, (long long)i, (double)x[i], dtype_info(t)->name,
                       (double)most(t));
    return err_set(
        e, ERR_FORMAT,
        "tensor %s: element [%lld, %lld] is %s; a model with such weights is broken, and "
        "is not written",
        tensor, (long long)row, (long long)i, i < k && isinf(x[i]) ? "infinite" : "NaN");
}

enum { MEASURED_EVERY = 8, PIECE = 256 };

static void measure(enum dtype t, const float *x, const uint8_t *row, int64_t k, double *err2,
                    double *ref2)
{
    const struct dtype_info *in = dtype_info(t);
    float back[PIECE];
    for (int64_t at = 0; at < k; at += PIECE) {
        int64_t n = k - at < PIECE ? k - at : PIECE;
        dtype_to_f32(t, row + at / in->block_elems * in->block_bytes, back, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            double d = (double)back[i] - (double)x[at + i];
            *err2 += d * d;
            *ref2 += (double)x[at + i] * (double)x[at + i];
        }
    }
}

err_code encode_rows(enum dtype t, const float *x, int64_t n_rows, int64_t k, void *dst,
                     const char *tensor, int64_t row0, struct encode_stats *stats, struct err *e)
{
    uint64_t row_bytes = 0;
    bool whole = encode_supports(t) && dtype_row_bytes(t, (uint64_t)k, &row_bytes);
    assert(whole);
    if (!whole)
        return err_set(e, ERR_UNSUPPORTED, "tensor %s: rows of %lld cannot be stored as %s", tensor,
                       (long long)k, dtype_info(t)->name);
    int64_t bad = n_rows;
    double err2 = 0, ref2 = 0;
    uint64_t n = 0;
    float limit = most(t);
/* A small tensor is done before other threads are awake. */
#pragma omp parallel for schedule(dynamic, 4) reduction(min : bad) reduction(+ : err2, ref2, n) \
    if (n_rows * k >= 1 << 16)
    for (int64_t r = 0; r < n_rows; r++) {
        const float *row = x + r * k;
        uint8_t *out = (uint8_t *)dst + (uint64_t)r * row_bytes;
        if (!row_fits(row, k, limit)) {
            bad = r < bad ? r : bad;
            continue;
        }
        encode_row(t, row, out, k);
        if (stats && (row0 + r) % MEASURED_EVERY == 0) {
            measure(t, row, out, k, &err2, &ref2);
            n += (uint64_t)k;
        }
    }
    if (bad < n_rows)
        return misfit(t, x + bad * k, k, tensor, row0 + bad, e);
    if (stats) {
        stats->err2 += err2;
        stats->ref2 += ref2;
        stats->n += n;
    }
    return ERR_OK;
}
