/* From an HF directory to a GGUF file that llama.cpp, Ollama and LM Studio open.
 *
 *     struct export_report r;
 *     rc = export_gguf("runs/my/final", "student.gguf", recipe_find("q4_k_m"), &r, e);
 *
 * The weights are mapped and pass through a few MB of buffers a piece at a time, encoded by all
 * OpenMP threads; what was read is given back to the system, so that memory does not grow with the
 * model. The file appears under its name when it is complete; until then an older one stands there
 * untouched. The same input gives the same bytes, whatever the number of threads. */
#ifndef DECANT_QUANT_EXPORT_H
#define DECANT_QUANT_EXPORT_H

#include "quant/encode.h"
#include "quant/recipe.h"

struct export_type {
    uint64_t n_tensors, n_params, n_bytes;
    struct encode_stats stats; /* of a sample of the rows: RMS error = sqrt(err2 / ref2) */
};
struct export_report {
    const char *arch; /* "qwen2" */
    uint64_t n_params, n_tensors;
    uint64_t n_bytes; /* of the file */
    double seconds;
    struct export_type types[DT_COUNT];
};

/* Errors: a GGUF file as input, an architecture or setting that GGUF or decant does not know, a
 * missing or misshapen tensor, weights that are not finite; ERR_STOPPED after Ctrl-C. None leaves a
 * file behind. */
err_code export_gguf(const char *model_dir, const char *out, const struct recipe *recipe,
                     struct export_report *report, struct err *e);

#endif
