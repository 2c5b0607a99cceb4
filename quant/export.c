#include "quant/export.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/text/tokenizer.h"
#include "quant/model.h"
#include "quant/sampling.h"
#include "quant/vocab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Elements of a piece: 4 MB of float32, enough rows to keep many threads busy. */
enum { PIECE_ELEMS = 1 << 20 };

struct exporter {
    const struct recipe *recipe;
    struct export_report *report;
    struct weights *w;
    struct model_info info;
    struct model_list list;
    enum dtype *types; /* of the list's items */
    struct gguf_writer *g;
    float *x; /* a piece, decoded */
    void *q;  /* the same, encoded */
    struct progress progress;
    uint64_t n_done; /* parameters */
    double t0;
};

static int64_t piece_rows(int64_t cols)
{
    return cols >= PIECE_ELEMS ? 1 : PIECE_ELEMS / cols;
}

/* Rows [row0, row0 + n) of the file, as float32, into x. A permuted bias is one row whose elements
 * take the places of its matrix's rows. */
static void read_rows(const struct exporter *ex, const struct model_tensor *t, int64_t row0,
                      int64_t n)
{
    int64_t cols = tensor_cols(&t->src);
    if (t->src.n_dims == 1 && t->head_rows) {
        float *tmp = ex->q;
        tensor_row_f32(&t->src, 0, tmp);
        for (int64_t i = 0; i < cols; i++)
            ex->x[i] = tmp[model_source_row(t, i)];
        return;
    }
#pragma omp parallel for schedule(static) if (n * cols >= 1 << 16)
    for (int64_t i = 0; i < n; i++)
        tensor_row_f32(&t->src, t->head_rows ? model_source_row(t, row0 + i) : row0 + i,
                       ex->x + i * cols);
}

/* Whole pages inside [from, to) need not stay in memory; another read would bring them back. */
static void drop_pages(const void *from, const void *to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t a = ((uintptr_t)from + page - 1) / page * page, b = (uintptr_t)to / page * page;
    if (b > a)
        madvise((void *)a, b - a, MADV_DONTNEED);
}

static err_code write_tensor(struct exporter *ex, const struct model_tensor *t, enum dtype type,
                             struct err *e)
{
    struct export_type *sum = &ex->report->types[type];
    int64_t rows = tensor_rows(&t->src), cols = tensor_cols(&t->src), step = piece_rows(cols);
    bool mapped = t->src.data != ex->list.rope_freqs;
    uint64_t row_bytes = 0;
    dtype_row_bytes(type, (uint64_t)cols, &row_bytes); /* whole: the recipe saw to it */
    err_code rc = ERR_OK;
    for (int64_t r = 0; r < rows && !rc; r += step) {
        int64_t n = rows - r < step ? rows - r : step;
        if (stop_requested())
            return err_set(e, ERR_STOPPED, "stopped; nothing was written: run the command again");
        read_rows(ex, t, r, n);
        rc = encode_rows(type, ex->x, n, cols, ex->q, t->name, r, &sum->stats, e);
        if (!rc)
            rc = gguf_write(ex->g, ex->q, (size_t)n * row_bytes, e);
        if (mapped && !t->head_rows) /* permuted rows are read out of order: dropped below */
            drop_pages(tensor_row(&t->src, r), (char *)tensor_row(&t->src, r + n - 1) + 1);
        ex->n_done += (uint64_t)(n * cols);
        double s = clock_now() - ex->t0;
        progress_set(&ex->progress, ex->n_done, "%.0f M weights/s",
                     s > 0 ? (double)ex->n_done / s * 1e-6 : 0);
    }
    if (mapped)
        drop_pages(t->src.data, (char *)t->src.data + tensor_bytes(&t->src));
    sum->n_tensors++;
    sum->n_params += (uint64_t)(rows * cols);
    sum->n_bytes += (uint64_t)rows * row_bytes;
    return rc ? rc : gguf_end_tensor(ex->g, e);
}

/* Declares the tensors and finds how large the buffers must be. */
static err_code declare_tensors(struct exporter *ex, struct err *e)
{
    uint64_t most = 0;
    err_code rc = ERR_OK;
    ex->types = mem_new((size_t)ex->list.n, sizeof *ex->types, e);
    if (!ex->types)
        return ERR_NOMEM;
    for (int64_t i = 0; i < ex->list.n && !rc; i++) {
        const struct model_tensor *t = &ex->list.items[i];
        int64_t cols = tensor_cols(&t->src);
        struct recipe_tensor what = {t->name,  t->src.n_dims,          cols,
                                     t->layer, (int)ex->info.n_layers, ex->info.tied};
        ex->types[i] = recipe_choose(ex->recipe, &what);
        rc = gguf_add_tensor(ex->g, t->name, ex->types[i], t->src.n_dims, t->src.shape, e);
        uint64_t n = (uint64_t)(piece_rows(cols) * cols);
        most = n > most ? n : most;
    }
    ex->report->n_params = ex->list.n_params;
    ex->report->n_tensors = (uint64_t)ex->list.n;
    if (!rc && (!(ex->x = mem_new(most, sizeof *ex->x, e)) || !(ex->q = mem_new(most, 4, e))))
        rc = ERR_NOMEM;
    return rc;
}

/* "models/7b/" is called "7b", and so is "runs/7b/final/", where distill leaves a student. */
static err_code model_name(const char *dir, struct buf *name, struct err *e)
{
    char *full = realpath(dir, NULL), *slash = full ? strrchr(full, '/') : NULL;
    if (slash && slash != full && !strcmp(slash, "/final")) {
        *slash = 0;
        char *metrics = path_join(full, "metrics.jsonl", NULL);
        if (!metrics || !file_exists(metrics))
            *slash = '/';
        mem_free(metrics);
    }
    err_code rc = buf_str(name, path_base(full ? full : dir), e);
    free(full);
    return rc;
}

static err_code declare(struct exporter *ex, const char *dir, struct err *e)
{
    struct tokenizer *tok = NULL;
    struct buf name = {0};
    err_code rc = model_name(dir, &name, e);
    if (!rc)
        rc = tokenizer_open(dir, &tok, e);
    if (!rc)
        rc = model_add_metadata(ex->g, &ex->info, name.data, ex->list.n_params,
                                ex->recipe->file_type, e);
    if (!rc)
        rc = sampling_add_metadata(ex->g, dir, e);
    if (!rc)
        rc = vocab_add_metadata(ex->g, tok, dir, ex->info.n_vocab, ex->info.bos, e);
    if (!rc)
        rc = declare_tensors(ex, e);
    tokenizer_close(tok);
    buf_dispose(&name);
    return rc;
}

static err_code write_all(struct exporter *ex, struct err *e)
{
    err_code rc = gguf_begin_data(ex->g, e);
    progress_begin(&ex->progress, "weights", ex->report->n_params);
    for (int64_t i = 0; i < ex->list.n && !rc; i++)
        rc = write_tensor(ex, &ex->list.items[i], ex->types[i], e);
    if (!rc)
        rc = gguf_commit(ex->g, e);
    progress_end(&ex->progress, "%s after %.1f s", rc ? "not written" : "written",
                 clock_now() - ex->t0);
    return rc;
}

err_code export_gguf(const char *model_dir, const char *out, const struct recipe *recipe,
                     struct export_report *report, struct err *e)
{
    struct exporter ex = {.recipe = recipe, .report = report, .t0 = clock_now()};
    memset(report, 0, sizeof *report);
    if (file_is_dir(out))
        return err_set(e, ERR_IO, "%s: is a directory; give the name of the file to be written",
                       out);
    err_code rc = weights_open(model_dir, &ex.w, e);
    if (!rc)
        rc = model_info_read(&ex.info, ex.w, e);
    if (!rc)
        rc = model_list_build(&ex.list, &ex.info, ex.w, e);
    if (!rc)
        rc = gguf_writer_open(&ex.g, out, e);
    if (!rc)
        rc = declare(&ex, model_dir, e);
    if (!rc)
        rc = write_all(&ex, e);
    if (!rc)
        rc = file_size(out, &report->n_bytes, e);
    report->arch = ex.info.arch_name;
    report->seconds = clock_now() - ex.t0;
    gguf_writer_close(ex.g);
    model_list_dispose(&ex.list);
    mem_free(ex.types);
    mem_free(ex.x);
    mem_free(ex.q);
    weights_close(ex.w);
    return rc;
}
