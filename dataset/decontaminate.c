#include "dataset/decontaminate.h"
#include "dataset/benchmark.h"
#include "dataset/texts.h"
#include "dataset/utf8.h"
#include "dataset/words.h"

#include <omp.h>
#include <string.h>

struct job {
    const struct decontaminate_options *opt;
    struct benchmark *benchmark;
    struct benchmark_scratch *scratch; /* [n_threads] */
    int n_threads;
    struct benchmark_match matches[TEXTS_MAX_ITEMS][TEXTS_MAX_PARTS];
    struct buf reason;
    bool (*on_progress)(void *ctx, int64_t done, int64_t total);
    void *ctx;
    int64_t n_done, n_total;
};

/* n words of text from the given one on, as they stand there, on one line; at most 160 bytes. */
static err_code quote_words(struct buf *out, const char *text, size_t n_text, int64_t first,
                            int64_t n, struct err *e)
{
    enum { MOST = 160 };
    uint64_t hash;
    struct words w = words_of(text, n_text, WORDS_SPACED);
    for (int64_t i = 0; i < first && words_next(&w, &hash);)
        i++;
    const char *from = w.at;
    for (int64_t i = 0; i < n && words_next(&w, &hash);)
        i++;
    size_t begin = out->len;
    err_code rc = ERR_OK;
    for (const char *s = from; s < w.at && !rc;) {
        size_t len = utf8_char(s, (size_t)(w.at - s));
        bool control = len <= 1 && (unsigned char)*s <= ' ';
        len = len ? len : 1;
        if (out->len - begin + len > MOST)
            return buf_str(out, "...", e);
        if (!control)
            rc = buf_add(out, s, len, e);
        else if (out->len > begin && out->data[out->len - 1] != ' ')
            rc = buf_str(out, " ", e);
        s += len;
    }
    while (!rc && out->len > begin && out->data[out->len - 1] == ' ')
        out->data[--out->len] = 0;
    return rc;
}

static err_code say_exact(struct job *j, const struct benchmark_match *m, struct minhash_text text,
                          struct err *e)
{
    int64_t line;
    const char *file = benchmark_file(j->benchmark, m->exact_problem, &line);
    if (m->whole)
        return buf_printf(&j->reason, e, "the whole of %s:%lld", file, (long long)line);
    err_code rc = buf_printf(&j->reason, e, "%d words in a row of %s:%lld", j->opt->n_run, file,
                             (long long)line);
    if (!rc && m->n_exact > 1)
        rc = buf_printf(&j->reason, e, " (%lld such runs)", (long long)m->n_exact);
    if (!rc)
        rc = buf_str(&j->reason, ": \"", e);
    if (!rc)
        rc = quote_words(&j->reason, text.text, text.n, m->exact_word, j->opt->n_run, e);
    return rc ? rc : buf_str(&j->reason, "\"", e);
}

static err_code say_fuzzy(struct job *j, const struct benchmark_match *m, struct err *e)
{
    int64_t line;
    const char *file = benchmark_file(j->benchmark, m->fuzzy_problem, &line);
    return buf_printf(&j->reason, e, "%s%.0f %% of %s:%lld", j->reason.len ? "; " : "",
                      100 * m->share, file, (long long)line);
}

/* Marks text i of the batch when one of its parts matched. */
static err_code judge(struct job *j, const struct texts *t, int i, struct corpus_marks *marks,
                      struct decontaminate_count *count, struct err *e)
{
    const struct benchmark_match *exact = NULL, *fuzzy = NULL;
    int part = 0;
    for (int k = t->n_parts - 1; k >= 0; k--) {
        const struct benchmark_match *m = &j->matches[i][k];
        if (m->exact) {
            exact = m;
            part = k;
        }
        fuzzy = m->fuzzy ? m : fuzzy;
    }
    count->n_texts++;
    count->n_exact += exact != NULL;
    count->n_fuzzy += fuzzy != NULL;
    count->n_both += exact && fuzzy;
    if (!exact && !fuzzy)
        return ERR_OK;
    buf_clear(&j->reason);
    err_code rc = exact ? say_exact(j, exact, texts_part(t, i, part), e) : ERR_OK;
    if (!rc && fuzzy)
        rc = say_fuzzy(j, fuzzy, e);
    return rc ? rc : corpus_mark(marks, t->items[i].id, j->reason.data, e);
}

static err_code match_batch(struct job *j, const struct texts *t, double threshold, struct err *e)
{
    bool failed = false;
#pragma omp parallel for schedule(dynamic, 4) num_threads(j->n_threads) reduction(|| : failed)
    for (int i = 0; i < t->n_items; i++)
        for (int k = 0; k < t->n_parts; k++) {
            struct minhash_text text = texts_part(t, i, k);
            failed = failed ||
                     benchmark_match(j->benchmark, &j->scratch[omp_get_thread_num()], text.text,
                                     text.n, threshold, &j->matches[i][k], NULL) != ERR_OK;
        }
    return failed ? err_set(e, ERR_NOMEM, "%s: out of memory looking for problems", t->path)
                  : ERR_OK;
}

/* Looks at the texts that sql gives (id, then n_parts texts). */
static err_code run_pass(struct job *j, struct corpus *c, const char *sql, int n_parts,
                         double threshold, struct corpus_marks *marks,
                         struct decontaminate_count *count, struct err *e)
{
    struct texts t;
    err_code rc = texts_open(&t, c, sql, 0, n_parts, e);
    while (!rc && !(rc = texts_next(&t, e)) && t.n_items) {
        rc = match_batch(j, &t, threshold, e);
        for (int i = 0; i < t.n_items && !rc; i++)
            rc = judge(j, &t, i, marks, count, e);
        j->n_done += t.n_items;
        if (!rc && j->on_progress && !j->on_progress(j->ctx, j->n_done, j->n_total))
            rc = err_set(e, ERR_STOPPED, "stopped after %lld of %lld texts; nothing was changed",
                         (long long)j->n_done, (long long)j->n_total);
    }
    texts_close(&t);
    return rc;
}

static err_code open_benchmark(struct job *j, struct decontaminate_summary *out, struct err *e)
{
    err_code rc = benchmark_open(j->opt->n_run, &j->benchmark, e);
    for (int i = 0; i < j->opt->n_files && !rc; i++) {
        int64_t n;
        rc = benchmark_add(j->benchmark, j->opt->files[i], &j->opt->fields, &n, e);
        out->n_problems += n;
    }
    if (!rc)
        rc = benchmark_build(j->benchmark, e);
    if (!rc)
        out->index_bytes = (int64_t)benchmark_bytes(j->benchmark);
    j->n_threads = omp_get_max_threads();
    if (!rc)
        j->scratch = mem_new((size_t)j->n_threads, sizeof *j->scratch, e);
    return rc ? rc : j->scratch ? ERR_OK : ERR_NOMEM;
}

static err_code count_texts(struct job *j, struct corpus *c, struct err *e)
{
    int64_t n_prompts, n_traces = 0;
    err_code rc = sql_number(c, "SELECT count(*) FROM prompts", &n_prompts, e);
    if (!rc && j->opt->traces)
        rc = sql_number(c, "SELECT count(*) FROM traces", &n_traces, e);
    j->n_total = rc ? 0 : n_prompts + n_traces;
    return rc;
}

err_code corpus_decontaminate(struct corpus *c, const struct decontaminate_options *opt,
                              bool (*on_progress)(void *ctx, int64_t done, int64_t total),
                              void *ctx, struct decontaminate_summary *out, struct err *e)
{
    struct corpus_marks *on_prompts = NULL, *on_traces = NULL;
    *out = (struct decontaminate_summary){0};
    struct job *j = mem_new(1, sizeof *j, e);
    if (!j)
        return ERR_NOMEM;
    j->opt = opt;
    j->on_progress = on_progress;
    j->ctx = ctx;
    err_code rc = open_benchmark(j, out, e);
    if (!rc)
        rc = count_texts(j, c, e);
    if (!rc)
        rc = corpus_marks_begin(c, DECONTAMINATE_KIND, CORPUS_MARK_PROMPTS, DECONTAMINATE_VERSION,
                                &on_prompts, e);
    if (!rc && opt->traces)
        rc = corpus_marks_begin(c, DECONTAMINATE_KIND, CORPUS_MARK_TRACES, DECONTAMINATE_VERSION,
                                &on_traces, e);
    if (!rc)
        rc = run_pass(j, c, "SELECT id, text FROM prompts", 1, opt->threshold, on_prompts,
                      &out->prompts, e);
    if (!rc && opt->traces)
        rc = run_pass(j, c, "SELECT id, reasoning, answer FROM traces", 2, 0, on_traces,
                      &out->traces, e);
    struct corpus_marks *const marks[] = {on_prompts, on_traces};
    struct marks_summary *const sums[] = {&out->prompts.marks, &out->traces.marks};
    if (!rc)
        rc = corpus_marks_commit_all(marks, 2, sums, e);
    corpus_marks_end(on_prompts);
    corpus_marks_end(on_traces);
    for (int i = 0; j->scratch && i < j->n_threads; i++)
        benchmark_scratch_dispose(&j->scratch[i]);
    mem_free(j->scratch);
    benchmark_close(j->benchmark);
    buf_dispose(&j->reason);
    mem_free(j);
    return rc;
}
