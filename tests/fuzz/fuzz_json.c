/* Fuzzing harness: JSON as configs hold it: parsed, asked for every kind of value, quoted. */
#include "core/base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"hidden_size", "rope_scaling.factor",
                                        "model_type",  "quantization_config.weight_block_size",
                                        "a.b.c",       ""};
    struct json j;
    struct err e;
    struct buf b = {0};
    /* A copy of the exact length: the sanitizer sees a read past it. */
    char *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    if (json_parse(&j, "fuzz", copy, size, &e) == ERR_OK)
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            int64_t n = 0;
            double d = 0;
            const char *s = NULL;
            bool t = false;
            json_int(&j, j.root, paths[i], -1000, 1000, &n, &e);
            json_opt_num(&j, j.root, paths[i], &d, &e);
            json_bool(&j, j.root, paths[i], &t, &e);
            if (json_str(&j, j.root, paths[i], &s, &e) == ERR_OK)
                json_quote(&b, s, strlen(s), &e);
        }
    json_close(&j);
    /* Any bytes can be quoted, and what was quoted parses. */
    buf_clear(&b);
    if (json_quote(&b, copy, size, &e) || json_parse(&j, "quoted", b.data, b.len, &e))
        abort();
    json_close(&j);
    free(copy);
    buf_dispose(&b);
    return 0;
}
