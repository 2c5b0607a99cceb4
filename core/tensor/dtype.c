#include "core/tensor/dtype.h"
#include "core/base/isa.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const struct dtype_info infos[DT_COUNT] = {
    [DT_NONE] = {"none", 1, 0, -1, NULL},
    [DT_F32] = {"f32", 1, 4, 0, "F32"},
    [DT_F16] = {"f16", 1, 2, 1, "F16"},
    [DT_BF16] = {"bf16", 1, 2, 30, "BF16"},
    [DT_F8_E4M3] = {"f8_e4m3", 1, 1, -1, "F8_E4M3"},
    [DT_I8] = {"i8", 1, 1, 24, "I8"},
    [DT_I16] = {"i16", 1, 2, 25, "I16"},
    [DT_I32] = {"i32", 1, 4, 26, "I32"},
    [DT_I64] = {"i64", 1, 8, 27, "I64"},
    [DT_U8] = {"u8", 1, 1, -1, "U8"},
    [DT_Q4_0] = {"q4_0", 32, sizeof(struct block_q4_0), 2, NULL},
    [DT_Q5_0] = {"q5_0", 32, sizeof(struct block_q5_0), 6, NULL},
    [DT_Q8_0] = {"q8_0", 32, sizeof(struct block_q8_0), 8, NULL},
    [DT_Q4_K] = {"q4_k", 256, sizeof(struct block_q4_k), 12, NULL},
    [DT_Q6_K] = {"q6_k", 256, sizeof(struct block_q6_k), 14, NULL},
};

const struct dtype_info *dtype_info(enum dtype t)
{
    return &infos[(unsigned)t < DT_COUNT ? t : DT_NONE];
}

enum dtype dtype_from_gguf(uint32_t ggml_type)
{
    for (int t = 1; t < DT_COUNT; t++)
        if (infos[t].gguf_type >= 0 && (uint32_t)infos[t].gguf_type == ggml_type)
            return (enum dtype)t;
    return DT_NONE;
}

enum dtype dtype_from_hf(const char *name)
{
    for (int t = 1; t < DT_COUNT; t++) {
        const char *hf = infos[t].hf_name;
        if (hf && hf[0] == name[0] && hf[1] == name[1] && !strcmp(hf, name))
            return (enum dtype)t;
    }
    return DT_NONE;
}

bool dtype_row_bytes(enum dtype t, uint64_t n, uint64_t *bytes)
{
    const struct dtype_info *in = dtype_info(t);
    if (t == DT_NONE || n % (uint64_t)in->block_elems)
        return false;
    return !__builtin_mul_overflow(n / (uint64_t)in->block_elems, (uint64_t)in->block_bytes, bytes);
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 1023;
    if (exp == 31)
        return float_of(sign | 0x7F800000u | man << 13);
    if (exp == 0) {
        float f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    return float_of(sign | (exp + 112) << 23 | man << 13);
}

uint16_t f16_from_f32(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, a = u & 0x7FFFFFFF;
    if (a > 0x7F800000)
        return (uint16_t)(sign | 0x7E00);
    if (a >= 0x47800000) /* 65536 and up, infinity */
        return (uint16_t)(sign | 0x7C00);
    if (a < 0x38800000) { /* below 2^-14: a multiple of 2^-24, rounded to even */
        float q = float_of(a) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)lrintf(q));
    }
    uint32_t r = a + 0xFFF + (a >> 13 & 1);
    return (uint16_t)(sign | (r - (112u << 23)) >> 13); /* carries into infinity from 65520 on */
}

float bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t bf16_from_f32(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

float f8_to_f32(uint8_t b)
{
    uint32_t exp = b >> 3 & 15, man = b & 7;
    float f;
    if (exp == 15 && man == 7)
        f = float_of(0x7FC00000);
    else if (exp == 0)
        f = (float)man * 0x1p-9f;
    else
        f = float_of((exp + 120) << 23 | man << 20);
    return b & 0x80 ? -f : f;
}

uint8_t f8_from_f32(float f)
{
    uint32_t u = bits_of(f), sign = u >> 24 & 0x80, a = u & 0x7FFFFFFF;
    if (a > 0x7F800000)
        return (uint8_t)(sign | 0x7F);
    if (a >= 0x43E00000) /* 448 and up saturate */
        return (uint8_t)(sign | 0x7E);
    if (a < 0x3C800000) /* below 2^-6: a multiple of 2^-9, rounded to even */
        return (uint8_t)(sign | (uint32_t)lrintf(float_of(a) * 0x1p9f));
    uint32_t r = a + 0x7FFFF + (a >> 20 & 1);
    uint32_t v = (r - (120u << 23)) >> 20;
    return (uint8_t)(sign | (v > 0x7E ? 0x7E : v));
}

void q4_k_scale_min(int j, const uint8_t s[12], uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | s[j - 4] >> 6 << 4);
        *min = (uint8_t)(s[j + 4] >> 4 | s[j] >> 6 << 4);
    }
}

static void q4_0_to_f32(const struct block_q4_0 *b, float *y)
{
    float d = f16_to_f32(b->d);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b->qs[i] & 15) - 8);
        y[i + 16] = d * (float)((b->qs[i] >> 4) - 8);
    }
}

static void q5_0_to_f32(const struct block_q5_0 *b, float *y)
{
    float d = f16_to_f32(b->d);
    uint32_t qh;
    memcpy(&qh, b->qh, 4);
    for (int i = 0; i < 16; i++) {
        int lo = (b->qs[i] & 15) | (int)(qh >> i & 1) << 4;
        int hi = b->qs[i] >> 4 | (int)(qh >> (i + 16) & 1) << 4;
        y[i] = d * (float)(lo - 16);
        y[i + 16] = d * (float)(hi - 16);
    }
}

static void q8_0_to_f32(const struct block_q8_0 *b, float *y)
{
    float d = f16_to_f32(b->d);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)b->qs[i];
}

static void q4_k_to_f32(const struct block_q4_k *b, float *y)
{
    float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
    for (int j = 0; j < 8; j++) {
        uint8_t sc, m;
        q4_k_scale_min(j, b->scales, &sc, &m);
        const uint8_t *q = b->qs + j / 2 * 32; /* two sub-blocks share 32 bytes: low, high nibble */
        float ds = d * (float)sc, dm = dmin * (float)m;
        for (int i = 0; i < 32; i++)
            y[32 * j + i] = ds * (float)(j & 1 ? q[i] >> 4 : q[i] & 15) - dm;
    }
}

static void q6_k_to_f32(const struct block_q6_k *b, float *y)
{
    float d = f16_to_f32(b->d);
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b->ql + 64 * half, *qh = b->qh + 32 * half;
        const int8_t *sc = b->scales + 8 * half;
        float *o = y + 128 * half;
        for (int i = 0; i < 128; i++) {
            int low = i < 64 ? ql[i] & 15 : ql[i - 64] >> 4;
            int high = qh[i & 31] >> (2 * (i / 32)) & 3;
            o[i] = d * (float)sc[i / 16] * (float)((low | high << 4) - 32);
        }
    }
}

static int16_t i16_at(const void *p)
{
    int16_t v;
    memcpy(&v, p, 2);
    return v;
}

static int32_t i32_at(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

static int64_t i64_at(const void *p)
{
    int64_t v;
    memcpy(&v, p, 8);
    return v;
}

static void element_to_f32(enum dtype t, const void *p, float *dst)
{
    switch (t) {
    case DT_F16:
        *dst = f16_to_f32((uint16_t)i16_at(p));
        break;
    case DT_BF16:
        *dst = bf16_to_f32((uint16_t)i16_at(p));
        break;
    case DT_F8_E4M3:
        *dst = f8_to_f32(*(const uint8_t *)p);
        break;
    case DT_I8:
        *dst = *(const int8_t *)p;
        break;
    case DT_U8:
        *dst = *(const uint8_t *)p;
        break;
    case DT_I16:
        *dst = i16_at(p);
        break;
    case DT_I32:
        *dst = (float)i32_at(p);
        break;
    case DT_I64:
        *dst = (float)i64_at(p);
        break;
    case DT_Q4_0:
        q4_0_to_f32(p, dst);
        break;
    case DT_Q5_0:
        q5_0_to_f32(p, dst);
        break;
    case DT_Q8_0:
        q8_0_to_f32(p, dst);
        break;
    case DT_Q4_K:
        q4_k_to_f32(p, dst);
        break;
    case DT_Q6_K:
        q6_k_to_f32(p, dst);
        break;
    default:
        break;
    }
}

void dtype_to_f32_portable(enum dtype t, const void *src, float *dst, size_t n)
{
    const struct dtype_info *in = dtype_info(t);
    const char *p = src;
    size_t n_blocks = n / (size_t)in->block_elems;
    if (t == DT_F32 && n)
        memcpy(dst, src, n * 4);
    else
        for (size_t i = 0; i < n_blocks; i++, p += in->block_bytes, dst += in->block_elems)
            element_to_f32(t, p, dst);
}

#if defined(__x86_64__)
/* The 16-bit and 8-bit floats eight at a time: what a model is mostly made of. They return how many
 * elements they did, a multiple of 8. */
#define AVX2 __attribute__((target("avx2,f16c")))

AVX2 static size_t f16_to_f32_avx2(const uint8_t *src, float *dst, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i *)(src + 2 * i));
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(h));
    }
    return i;
}

AVX2 static size_t bf16_to_f32_avx2(const uint8_t *src, float *dst, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(src + 2 * i)));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_slli_epi32(w, 16));
    }
    return i;
}

/* The bits of E4M3 fit into a half whose exponent is 8 too small; only NaN (all ones) does not. */
AVX2 static size_t f8_to_f32_avx2(const uint8_t *src, float *dst, size_t n)
{
    const __m128i mask = _mm_set1_epi16((short)0xBF80), nan = _mm_set1_epi16(0x3F80);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i w = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(src + i)));
        __m128i h = _mm_and_si128(_mm_slli_epi16(w, 7), mask);
        __m128i is_nan = _mm_cmpeq_epi16(_mm_and_si128(h, _mm_set1_epi16(0x7FFF)), nan);
        h = _mm_or_si128(h, _mm_and_si128(is_nan, _mm_set1_epi16(0x7E00)));
        __m256 f = _mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(256));
        _mm256_storeu_ps(dst + i, f);
    }
    return i;
}

static size_t to_f32_avx2(enum dtype t, const void *src, float *dst, size_t n)
{
    if (!isa_avx2())
        return 0;
    return t == DT_F16       ? f16_to_f32_avx2(src, dst, n)
           : t == DT_BF16    ? bf16_to_f32_avx2(src, dst, n)
           : t == DT_F8_E4M3 ? f8_to_f32_avx2(src, dst, n)
                             : 0;
}
#else
static size_t to_f32_avx2(enum dtype t, const void *src, float *dst, size_t n)
{
    (void)t, (void)src, (void)dst, (void)n;
    return 0;
}
#endif

void dtype_to_f32(enum dtype t, const void *src, float *dst, size_t n)
{
    size_t done = to_f32_avx2(t, src, dst, n);
    dtype_to_f32_portable(t, (const char *)src + done * (size_t)dtype_info(t)->block_bytes,
                          dst + done, n - done);
}

bool dtype_from_f32(enum dtype t, const float *src, void *dst, size_t n)
{
    uint16_t *h = dst;
    uint8_t *b = dst;
    switch (t) {
    case DT_F32:
        memcpy(dst, src, n * 4);
        return true;
    case DT_F16:
        for (size_t i = 0; i < n; i++)
            h[i] = f16_from_f32(src[i]);
        return true;
    case DT_BF16:
        for (size_t i = 0; i < n; i++)
            h[i] = bf16_from_f32(src[i]);
        return true;
    case DT_F8_E4M3:
        for (size_t i = 0; i < n; i++)
            b[i] = f8_from_f32(src[i]);
        return true;
    default:
        return false;
    }
}
