#include "core/tensor/cpu/block_dot_impl.h"
#include "core/base/isa.h"

#include <assert.h>
#include <math.h>
#include <string.h>

bool block_dot_supports(enum dtype w)
{
    return w == DT_Q4_0 || w == DT_Q5_0 || w == DT_Q8_0 || w == DT_Q4_K || w == DT_Q6_K;
}

static bool is_k_type(enum dtype w)
{
    return w == DT_Q4_K || w == DT_Q6_K;
}

size_t block_act_bytes(enum dtype w, int64_t k)
{
    assert(block_dot_supports(w) && k % dtype_info(w)->block_elems == 0);
    return (size_t)((k + 255) / 256) * sizeof(struct act_block);
}

/* n elements to q with one scale, which is returned; zeros when all are zero. */
static float round_to_int8(const float *x, int n, int8_t *q)
{
    float amax = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        amax = a > amax ? a : amax;
        finite &= a <= 3.4028235e38f; /* false for NaN too */
    }
    float d = amax / 127, inv = d > 0 ? 1 / d : 0;
    if (!finite ||
        !(inv <= 3.4028235e38f)) { /* NaN, infinity, or a scale below what 1/d can hold */
        memset(q, 0, (size_t)n);
        return finite ? 0 : NAN;
    }
    for (int i = 0; i < n; i++) {
        float v = x[i] * inv;
        v = v > 127 ? 127 : v < -127 ? -127 : v;
        q[i] = (int8_t)lrintf(v);
    }
    return d;
}

void block_act_encode(enum dtype w, const float *x, void *act, int64_t k)
{
    struct act_block *a = act;
    for (int64_t at = 0; at < k; at += 256, a++) {
        int n = k - at < 256 ? (int)(k - at) : 256;
        if (n < 256)
            memset(a, 0, sizeof *a);
        if (is_k_type(w)) {
            float d = round_to_int8(x + at, 256, a->q);
            for (int j = 0; j < 8; j++)
                a->d[j] = d;
        } else
            for (int j = 0; j < n / 32; j++)
                a->d[j] = round_to_int8(x + at + 32 * j, 32, a->q + 32 * j);
        for (int j = 0; j < 16; j++) {
            int sum = 0;
            for (int i = 0; i < 16; i++)
                sum += a->q[16 * j + i];
            a->sums[j] = (int16_t)sum;
        }
    }
}

static int dot_32(const int8_t *w, const int8_t *a)
{
    int s = 0;
    for (int i = 0; i < 32; i++)
        s += w[i] * a[i];
    return s;
}

static void unpack_32(enum dtype t, const void *block, float *d, int8_t w[32])
{
    if (t == DT_Q8_0) {
        const struct block_q8_0 *b = block;
        *d = f16_to_f32(b->d);
        memcpy(w, b->qs, 32);
        return;
    }
    if (t == DT_Q4_0) {
        const struct block_q4_0 *b = block;
        *d = f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            w[i] = (int8_t)((b->qs[i] & 15) - 8);
            w[i + 16] = (int8_t)((b->qs[i] >> 4) - 8);
        }
        return;
    }
    const struct block_q5_0 *b = block;
    uint32_t qh;
    memcpy(&qh, b->qh, 4);
    *d = f16_to_f32(b->d);
    for (int i = 0; i < 16; i++) {
        w[i] = (int8_t)(((b->qs[i] & 15) | (qh >> i & 1) << 4) - 16);
        w[i + 16] = (int8_t)((b->qs[i] >> 4 | (qh >> (i + 16) & 1) << 4) - 16);
    }
}

static float dot_row_32(enum dtype t, const uint8_t *row, const struct act_block *a,
                        int64_t n_blocks)
{
    int block_bytes = dtype_info(t)->block_bytes;
    float sum = 0;
    for (int64_t b = 0; b < n_blocks; b++, row += block_bytes) {
        float d;
        int8_t w[32];
        unpack_32(t, row, &d, w);
        const struct act_block *ab = a + b / 8;
        sum += d * ab->d[b % 8] * (float)dot_32(w, ab->q + b % 8 * 32);
    }
    return sum;
}

static float dot_block_q4_k(const struct block_q4_k *b, const struct act_block *a)
{
    int sum = 0, mins = 0;
    for (int j = 0; j < 8; j++) {
        uint8_t sc, m;
        q4_k_scale_min(j, b->scales, &sc, &m);
        int8_t w[32];
        for (int i = 0; i < 32; i++)
            w[i] = (int8_t)(b->qs[j / 2 * 32 + i] >> 4 * (j & 1) & 15);
        sum += sc * dot_32(w, a->q + 32 * j);
        mins += m * (a->sums[2 * j] + a->sums[2 * j + 1]);
    }
    return a->d[0] * (f16_to_f32(b->d) * (float)sum - f16_to_f32(b->dmin) * (float)mins);
}

static float dot_block_q6_k(const struct block_q6_k *b, const struct act_block *a)
{
    int sum = 0;
    for (int i = 0; i < 256; i++) {
        int half = i / 128, j = i % 128;
        int low = b->ql[64 * half + j % 64] >> (j < 64 ? 0 : 4) & 15;
        int high = b->qh[32 * half + j % 32] >> j / 32 * 2 & 3;
        sum += b->scales[i / 16] * ((low | high << 4) - 32) * a->q[i];
    }
    return a->d[0] * (f16_to_f32(b->d) * (float)sum);
}

static float dot_row_k(enum dtype t, const uint8_t *row, const struct act_block *a,
                       int64_t n_groups)
{
    float sum = 0;
    for (int64_t b = 0; b < n_groups; b++)
        sum += t == DT_Q4_K ? dot_block_q4_k((const struct block_q4_k *)row + b, a + b)
                            : dot_block_q6_k((const struct block_q6_k *)row + b, a + b);
    return sum;
}

static void block_dot_portable(enum dtype w, const struct block_job *job)
{
    for (int64_t n = 0; n < job->n_rows; n++) {
        const uint8_t *row = job->weights + (uint64_t)n * job->row_bytes;
        for (int64_t t = 0; t < job->T; t++) {
            const struct act_block *a = job->acts + t * job->n_groups;
            float v = is_k_type(w) ? dot_row_k(w, row, a, job->n_groups)
                                   : dot_row_32(w, row, a, 8 * (job->n_groups - 1) + job->n_last);
            float *y = job->y + t * job->ld_y + n;
            *y = job->add ? *y + v : v;
        }
    }
}

bool block_dot_rows_isa(enum block_isa isa, enum dtype w, const void *weights, int64_t n_rows,
                        const void *acts, int64_t T, int64_t k, float *y, int64_t ld_y, bool add)
{
    uint64_t row_bytes = 0;
    bool whole = block_dot_supports(w) && dtype_row_bytes(w, (uint64_t)k, &row_bytes);
    assert(whole);
    if (!whole)
        return false;
    struct block_job job = {
        weights, row_bytes, n_rows, T,  (k + 255) / 256, (k + 255) % 256 / 32 + 1,
        acts,    y,         ld_y,   add};
    switch (k > 0 ? isa : BLOCK_PORTABLE) {
#if defined(__x86_64__)
    case BLOCK_AVX2:
        if (!isa_avx2())
            return false;
        block_dot_avx2(w, &job);
        return true;
    case BLOCK_AVX512:
        if (!isa_avx512_vnni())
            return false;
        block_dot_avx512(w, &job);
        return true;
#endif
    case BLOCK_PORTABLE:
        block_dot_portable(w, &job);
        return true;
    default:
        return false;
    }
}

void block_dot_rows_portable(enum dtype w, const void *weights, int64_t n_rows, const void *acts,
                             int64_t T, int64_t k, float *y, int64_t ld_y, bool add)
{
    block_dot_rows_isa(BLOCK_PORTABLE, w, weights, n_rows, acts, T, k, y, ld_y, add);
}

void block_dot_rows(enum dtype w, const void *weights, int64_t n_rows, const void *acts, int64_t T,
                    int64_t k, float *y, int64_t ld_y, bool add)
{
    if (!block_dot_rows_isa(BLOCK_AVX512, w, weights, n_rows, acts, T, k, y, ld_y, add) &&
        !block_dot_rows_isa(BLOCK_AVX2, w, weights, n_rows, acts, T, k, y, ld_y, add))
        block_dot_rows_portable(w, weights, n_rows, acts, T, k, y, ld_y, add);
}
