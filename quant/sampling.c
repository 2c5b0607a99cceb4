#include "quant/sampling.h"
#include "core/base/file.h"
#include "core/base/json.h"

enum { MAX_CONFIG_BYTES = 16 << 20 };

static err_code add_numbers(struct gguf_writer *g, const struct json *j, struct err *e)
{
    static const struct {
        const char *hf, *gguf;
    } numbers[] = {{"temperature", "general.sampling.temp"},
                   {"top_p", "general.sampling.top_p"},
                   {"min_p", "general.sampling.min_p"},
                   {"repetition_penalty", "general.sampling.penalty_repeat"}};
    int64_t top_k = -1;
    err_code rc = json_opt_int(j, j->root, "top_k", -1, INT32_MAX, &top_k, e);
    if (!rc && top_k >= 0)
        rc = gguf_add_i32(g, "general.sampling.top_k", (int32_t)top_k, e);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !rc; i++) {
        double value = -1;
        rc = json_opt_num(j, j->root, numbers[i].hf, &value, e);
        if (!rc && value >= 0)
            rc = gguf_add_f32(g, numbers[i].gguf, (float)value, e);
    }
    return rc;
}

err_code sampling_add_metadata(struct gguf_writer *g, const char *dir, struct err *e)
{
    struct json j = {0};
    char *path = path_join(dir, "generation_config.json", e);
    err_code rc = path ? ERR_OK : ERR_NOMEM;
    if (!rc && file_exists(path) && !(rc = json_open(&j, path, MAX_CONFIG_BYTES, e)))
        rc = add_numbers(g, &j, e);
    json_close(&j);
    mem_free(path);
    return rc;
}
