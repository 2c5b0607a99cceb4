/* decant quantize-and-export: an HF directory to a GGUF file. */
#include "cli/cli.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "quant/export.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

extern const struct command cmd_quantize;

static double relative_error(const struct encode_stats *s)
{
    return s->ref2 > 0 ? sqrt(s->err2 / s->ref2) : 0;
}

static void print_text(const char *out, const char *type, const struct export_report *r)
{
    printf("%s: %s as %s, %.1f MB, %.2f bits a weight, %llu tensor%s, %.1f s\n", out, r->arch, type,
           (double)r->n_bytes * 1e-6, 8.0 * (double)r->n_bytes / (double)r->n_params,
           (unsigned long long)r->n_tensors, plural((int64_t)r->n_tensors), r->seconds);
    for (int t = 0; t < DT_COUNT; t++) {
        const struct export_type *x = &r->types[t];
        if (!x->n_tensors)
            continue;
        printf("  %-5s %5llu tensors %12.2f M weights %10.1f MB", dtype_info((enum dtype)t)->name,
               (unsigned long long)x->n_tensors, (double)x->n_params * 1e-6,
               (double)x->n_bytes * 1e-6);
        if (t != DT_F32)
            printf("   error %.3f %%", 100 * relative_error(&x->stats));
        printf("\n");
    }
}

static void print_json(const char *out, const char *type, const struct export_report *r)
{
    struct buf b = {0};
    json_quote(&b, out, strlen(out), NULL);
    printf("{\"out\": %s, \"architecture\": \"%s\", \"type\": \"%s\", \"bytes\": %llu, "
           "\"parameters\": %llu, \"bits_per_weight\": %.4f, \"tensors\": %llu, \"seconds\": %.3f, "
           "\"types\": {",
           b.data ? b.data : "null", r->arch, type, (unsigned long long)r->n_bytes,
           (unsigned long long)r->n_params, 8.0 * (double)r->n_bytes / (double)r->n_params,
           (unsigned long long)r->n_tensors, r->seconds);
    const char *comma = "";
    for (int t = 0; t < DT_COUNT; t++) {
        const struct export_type *x = &r->types[t];
        if (!x->n_tensors)
            continue;
        printf("%s\"%s\": {\"tensors\": %llu, \"parameters\": %llu, \"bytes\": %llu, "
               "\"relative_error\": %.6g}",
               comma, dtype_info((enum dtype)t)->name, (unsigned long long)x->n_tensors,
               (unsigned long long)x->n_params, (unsigned long long)x->n_bytes,
               relative_error(&x->stats));
        comma = ", ";
    }
    printf("}}\n");
    buf_dispose(&b);
}

/* The recipe, or the error that lists those there are. */
static const struct recipe *find_recipe(const char *name, struct err *e)
{
    const struct recipe *r = recipe_find(name);
    struct buf b = {0};
    for (int i = 0; !r && recipe_at(i); i++)
        buf_printf(&b, NULL, "%s%s", i ? ", " : "", recipe_at(i)->name);
    if (!r)
        err_set(e, ERR_USAGE, "--type %s: there is no such type; there are %s", name,
                b.data ? b.data : "none");
    buf_dispose(&b);
    return r;
}

static bool is_gguf(const char *start, size_t n)
{
    return n >= 4 && !memcmp(start, "GGUF", 4);
}

static int run(int argc, char **argv)
{
    const char *model = NULL, *out = NULL, *type = "q4_k_m";
    const char *device = "cpu";
    int64_t n_threads = 0;
    bool json = false;
    struct cli_option options[] = {
        {"model", CLI_STR, &model, "DIR",
         "HF directory of a qwen2, qwen3 or llama model: config.json,\n"
         "tokenizer.json, model*.safetensors (F32, BF16, F16, FP8)",
         .required = true},
        {"out", CLI_STR, &out, "FILE.gguf", "the file to write; a GGUF that is there is replaced",
         .required = true},
        {"type", CLI_STR, &type, "TYPE",
         "q4_k_m (4.85 bits a weight of a large model), q4_0 (4.5,\n"
         "coarser), q8_0 (8.5, next to no loss) or f16 (16)"},
        {"device", CLI_STR, &device, "cpu", "where to compute"},
        {"threads", CLI_INT, &n_threads, "N", "0: all cores", .min = 0, .max = 1024},
        {"json", CLI_FLAG, &json, NULL, "print one JSON object"},
        {0}};
    int usage = cli_parse(&cmd_quantize, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct export_report report = {0};
    const struct recipe *recipe = find_recipe(type, &e);
    err_code rc = e.code;
    if (!rc && strcmp(device, "cpu"))
        rc = err_set(&e, ERR_USAGE, "--device %s: this command knows only cpu", device);
    if (!rc)
        rc = file_may_replace(out, "a GGUF file", is_gguf, &e);
    if (!rc) {
        stop_install();
        if (n_threads)
            omp_set_num_threads((int)n_threads);
        rc = export_gguf(model, out, recipe, &report, &e);
    }
    if (!rc)
        (json ? print_json : print_text)(out, recipe->name, &report);
    return cli_end(rc, &e);
}

const struct command cmd_quantize = {
    "quantize-and-export", "turns a model into a 4-bit GGUF file",
    "decant quantize-and-export --model runs/my/final --out student.gguf\n"
    "decant quantize-and-export --model runs/my/final --out student-f16.gguf --type f16",
    run,
    "Writes GGUF v3 with the tokenizer and all metadata, which llama.cpp, Ollama and LM Studio\n"
    "open. q4_k_m is llama.cpp's mix: most matrices in Q4_K, the head and about half of attn_v\n"
    "and ffn_down in Q6_K, norms and biases in F32; a matrix whose rows are no multiple of 256\n"
    "falls back to Q5_0 and Q8_0. In q4_0, too, the head is Q6_K. Of a small model the head is a\n"
    "large part, and its file has more bits a weight. Tensors stream through a few MB of memory.\n"
    "The error printed for each type is the root mean square of what encoding changed, relative\n"
    "to the weights, over every eighth row. The file is complete or not there: an older one stays\n"
    "until then."};
