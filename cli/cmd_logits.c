/* decant logits: raw logits into a NumPy file, for comparing with any other program. */
#include "cli/cli.h"

#include "core/base/file.h"
#include "distill/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code parse_tokens(const char *s, struct token_list *out, struct err *e)
{
    while (*s) {
        char *end;
        errno = 0;
        long long v = strtoll(s, &end, 10);
        if (end == s || errno || v < 0 || v > INT32_MAX || (*end && *end != ',' && *end != ' '))
            return err_set(
                e, ERR_USAGE,
                "--tokens takes ids with commas between, such as 1,2,3; \"%.20s\" is none", s);
        err_code rc = token_list_add(out, (int32_t)v, e);
        if (rc)
            return rc;
        s = *end ? end + 1 : end;
    }
    return out->n ? ERR_OK : err_set(e, ERR_USAGE, "--tokens is empty");
}

/* NPY format 1.0 (NumPy's format specification): magic, version, header length, a Python dict
 * padded to 64 bytes, the data. */
static err_code write_npy(const char *path, const float *data, int64_t rows, int64_t cols,
                          struct err *e)
{
    char dict[256], head[10] = "\x93NUMPY\x01";
    int n = snprintf(dict, sizeof dict,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                     (long long)rows, (long long)cols);
    int total = (10 + n + 1 + 63) / 64 * 64;
    memset(dict + n, ' ', sizeof dict - (size_t)n);
    dict[total - 10 - 1] = '\n';
    head[8] = (char)((total - 10) & 255);
    head[9] = (char)((total - 10) >> 8);
    struct file_writer w = {0};
    err_code rc = file_writer_open(&w, path, e);
    if (!rc)
        rc = file_writer_add(&w, head, 10, e);
    if (!rc)
        rc = file_writer_add(&w, dict, (size_t)(total - 10), e);
    if (!rc)
        rc = file_writer_add(&w, data, (size_t)(rows * cols) * sizeof *data, e);
    if (!rc)
        rc = file_writer_commit(&w, e);
    file_writer_close(&w);
    return rc;
}

static bool is_npy(const char *start, size_t n)
{
    return n >= 6 && !memcmp(start, "\x93NUMPY", 6);
}

static err_code compute(const char *path, const char *tokens, const char *out, bool steps,
                        int threads, struct err *e)
{
    struct token_list ids = {0};
    struct model m = {0};
    struct lm_seq *seq = NULL;
    float *logits = NULL;
    err_code rc = parse_tokens(tokens, &ids, e);
    if (rc || (rc = model_open(&m, path, threads, MODEL_BARE, e)) ||
        (rc = lm_seq_open(m.lm, ids.n, &seq, e)))
        goto done;
    logits = mem_new((size_t)(ids.n * m.lm->n_vocab), sizeof *logits, e);
    if (!logits) {
        rc = ERR_NOMEM;
        goto done;
    }
    int64_t piece = steps ? 1 : ids.n;
    for (int64_t i = 0; i < ids.n && !rc; i += piece) {
        struct lm_item it = {seq, ids.ids + i, piece, LM_ALL};
        rc = lm_forward(m.lm, &it, 1, logits + i * m.lm->n_vocab, e);
    }
    if (!rc)
        rc = write_npy(out, logits, ids.n, m.lm->n_vocab, e);
    if (!rc)
        printf("%s: float32 [%lld, %lld]\n", out, (long long)ids.n, (long long)m.lm->n_vocab);
done:
    mem_free(logits);
    lm_seq_close(seq);
    model_close(&m);
    token_list_dispose(&ids);
    return rc;
}

static int run(int argc, char **argv);

const struct command cmd_logits = {
    .name = "logits",
    .summary = "a model's raw logits into a NumPy file",
    .run = run,
    .about =
        "Writes float32 [T, V]: row t is the model's logits after token t. Needs no tokenizer.",
    .example = "decant logits --model models/r1 --tokens 0,57,128 --out logits.npy",
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *tokens = NULL, *out = NULL;
    bool steps = false;
    int64_t threads = 0;
    struct cli_option options[] = {
        {"model", CLI_STR, &model, "DIR|GGUF", "HF directory or GGUF file", .required = true},
        {"tokens", CLI_STR, &tokens, "1,2,3", "token ids", .required = true},
        {"out", CLI_STR, &out, "FILE.npy", "where the logits go", .required = true},
        {"stepwise", CLI_FLAG, &steps, "", "feed one token at a time, as decoding does"},
        {"threads", CLI_INT, &threads, "N", "0: all cores", .min = 0, .max = 1024},
        {0}};
    int usage = cli_parse(&cmd_logits, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    err_code rc = file_may_replace(out, "a NumPy file", is_npy, &e);
    if (!rc)
        rc = compute(model, tokens, out, steps, (int)threads, &e);
    return cli_end(rc, &e);
}
