/* Touches everything that an opened file offers, so that a pointer out of bounds shows itself under
 * AddressSanitizer. */
#ifndef DECANT_TESTS_READ_ALL_H
#define DECANT_TESTS_READ_ALL_H

#include "core/format/gguf.h"
#include "core/format/safetensors.h"
#include "core/format/weights.h"

#include <string.h>

/* Volatile, or the compiler drops reads that nobody needs. */
static inline uint64_t sum_bytes(const void *p, uint64_t n)
{
    const volatile uint8_t *bytes = p;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += bytes[i];
    return sum;
}

static inline uint64_t read_safetensors(const struct safetensors *s)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < s->n_entries; i++) {
        const struct st_entry *en = &s->entries[i];
        sum += strlen(en->name) + strlen(en->dtype_name);
        if (en->tensor.data)
            sum += sum_bytes(en->tensor.data, tensor_bytes(&en->tensor));
    }
    return sum;
}

static inline uint64_t read_gguf(const struct gguf *g)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < gguf_n_keys(g); i++) {
        const char *s;
        size_t n;
        struct gguf_value v;
        gguf_key_at(g, i, &s, &n, &v);
        sum += sum_bytes(s, n);
        uint64_t at = 0;
        while (gguf_next_str(&v, &at, &s, &n))
            sum += sum_bytes(s, n);
        for (uint64_t k = 0; v.type != GGUF_STR && k < v.n; k++)
            sum += (uint64_t)gguf_elem_int(&v, k) + (gguf_elem_num(&v, k) > 1);
    }
    for (int64_t i = 0; i < gguf_n_tensors(g); i++) {
        const char *name;
        struct tensor t;
        gguf_tensor_at(g, i, &name, &t, NULL);
        sum += strlen(name);
        if (t.data)
            sum += sum_bytes(t.data, tensor_bytes(&t));
    }
    return sum;
}

static inline uint64_t read_weights(const struct weights *w)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < weights_count(w); i++) {
        const char *name;
        struct tensor t;
        struct err e;
        weights_at(w, i, &name, &t);
        if (weights_get(w, name, 0, NULL, &t, &e))
            continue;
        sum += sum_bytes(t.data, tensor_bytes(&t));
        int64_t rows = t.scale ? (t.shape[0] + t.scale_rows - 1) / t.scale_rows : 0;
        sum += sum_bytes(t.scale, (uint64_t)(rows * t.scale_ld) * sizeof *t.scale);
    }
    return sum;
}

#endif
