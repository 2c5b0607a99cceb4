/* Element types and block layouts.
 *
 * A plain type stores one element per slot. A block type (Q*) stores 32 or 256 consecutive elements
 * of a row as one block; a row of such a matrix is a whole number of blocks. The layouts are those
 * of GGUF files (ggml-common.h of llama.cpp documents them), byte for byte, little-endian.
 *
 * Dequantization here defines what the stored bytes mean; the encoders, which choose the bytes, are
 * in quant/. */
#ifndef DECANT_TENSOR_DTYPE_H
#define DECANT_TENSOR_DTYPE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DT_NONE = 0,
    DT_F32,
    DT_F16,
    DT_BF16,
    DT_F8_E4M3, /* e4m3fn: no infinities, NaN 0x7F/0xFF; its block scales stand in struct tensor */
    DT_I8,
    DT_I16,
    DT_I32,
    DT_I64,
    DT_U8,
    DT_Q4_0, /* 32: f16 d, 16 bytes of nibbles */
    DT_Q5_0, /* 32: f16 d, 4 bytes of high bits, 16 bytes of nibbles */
    DT_Q8_0, /* 32: f16 d, 32 int8 */
    DT_Q4_K, /* 256: f16 d, dmin; 12 bytes of 6-bit scales and mins; 128 bytes of nibbles */
    DT_Q6_K, /* 256: 128 bytes low nibbles, 64 bytes high pairs, 16 int8 scales, f16 d */
    DT_COUNT
};

struct dtype_info {
    const char *name;    /* "f32", "q4_k", ... */
    int block_elems;     /* elements in a block: 1, 32 or 256 */
    int block_bytes;     /* bytes of a block */
    int gguf_type;       /* ggml_type number, -1 when GGUF has none */
    const char *hf_name; /* safetensors name ("F32", "BF16", "F8_E4M3"), NULL when it has none */
};
const struct dtype_info *dtype_info(enum dtype t);
enum dtype dtype_from_gguf(uint32_t ggml_type); /* DT_NONE when decant does not know it */
enum dtype dtype_from_hf(const char *name);     /* DT_NONE likewise */

/* Bytes of a row of n elements; false when n is no whole number of blocks or overflows. */
bool dtype_row_bytes(enum dtype t, uint64_t n, uint64_t *bytes);

/* n elements (whole blocks) to and from float32, exact; dtype_to_f32_portable is the reference for
 * what dtype_to_f32 does with AVX2 (the same values; a NaN may have another payload).
 * dtype_from_f32 exists for the plain types (F32, F16, BF16, F8_E4M3; round to nearest even,
 * E4M3 saturates at 448). */
void dtype_to_f32(enum dtype t, const void *src, float *dst, size_t n);
void dtype_to_f32_portable(enum dtype t, const void *src, float *dst, size_t n);
bool dtype_from_f32(enum dtype t, const float *src, void *dst, size_t n);

float f16_to_f32(uint16_t h);
uint16_t f16_from_f32(float f);
float bf16_to_f32(uint16_t h);
uint16_t bf16_from_f32(float f);
float f8_to_f32(uint8_t b);
uint8_t f8_from_f32(float f);

/* Block layouts. */
#pragma pack(push, 1)
struct block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};
struct block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
};
struct block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};
struct block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};
struct block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};
#pragma pack(pop)

/* Sub-block j's (0..7) 6-bit scale and min of a Q4_K block. */
void q4_k_scale_min(int j, const uint8_t scales[12], uint8_t *scale, uint8_t *min);

#endif
