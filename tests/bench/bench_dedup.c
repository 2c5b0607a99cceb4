/* Near-duplicates: signatures and whole runs of dedup over traces of 10 kB, beside datasketch (when
 * a python3 with it is here) on the same texts in the same run, and over short prompts; memory a
 * text. bench_dedup [traces [prompts]]. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "dataset/dedup.h"
#include "dataset/minhash.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { TRACE_BYTES = 10000, PROMPT_BYTES = 300, N_PEER = 1000, ONE_IN = 10 };

/* Text i: words of six letters on average, drawn as unevenly as in a language; every tenth is an
 * earlier text with one word in fifty changed. */
static void make_text(struct buf *out, uint64_t i, size_t bytes)
{
    uint64_t like = i % ONE_IN == ONE_IN - 1 ? i - ONE_IN / 2 : i;
    struct rng words = rng_make(1, like, bytes), change = rng_make(2, i, bytes);
    buf_clear(out);
    while (out->len < bytes) {
        double u = rng_uniform(&words);
        unsigned word = (unsigned)(u * u * u * 20000);
        if (like != i && rng_below(&change, 50) == 0)
            word = (unsigned)rng_below(&change, 20000);
        if (buf_printf(out, NULL, "%s%c%c%x%c", out->len ? " " : "", 'a' + (int)(word % 23),
                       'e' + (int)(word % 7), word * 2654435761u >> 12, 'n' + (int)(word % 11)))
            abort();
    }
}

/* How many of texts 0 to n - 1 are near another, by the true index. (Keeping the first of those
 * alike marks as many: a text has at most one other like it.) */
static long count_near(int64_t n, size_t bytes)
{
    struct buf a = {0}, b = {0};
    struct shingle_set x = {0}, y = {0};
    long near = 0;
    for (int64_t i = ONE_IN - 1; i < n; i += ONE_IN) {
        make_text(&a, (uint64_t)i, bytes);
        make_text(&b, (uint64_t)i - ONE_IN / 2, bytes);
        struct minhash_text p = {a.data, a.len}, q = {b.data, b.len};
        if (shingle_set_fill(&x, &p, 1, NULL) || shingle_set_fill(&y, &q, 1, NULL))
            abort();
        /* prompts that are the same to the byte are there once */
        near += strcmp(a.data, b.data) != 0 && shingle_set_jaccard(&x, &y) >= 0.8;
    }
    buf_dispose(&a);
    buf_dispose(&b);
    shingle_set_dispose(&x);
    shingle_set_dispose(&y);
    return near;
}

/* Seconds for n texts' signatures on so many threads. */
static double time_signatures(const struct buf *texts, int n, int n_threads)
{
    double best = 1e9;
    for (int round = 0; round < 3; round++) {
        double t0 = clock_now();
#pragma omp parallel for schedule(dynamic, 4) num_threads(n_threads)
        for (int i = 0; i < n; i++) {
            struct minhash m;
            struct minhash_text part = {texts[i].data, texts[i].len};
            if (!minhash_of(&part, 1, &m))
                abort();
        }
        double took = clock_now() - t0;
        best = took < best ? took : best;
    }
    return best;
}

static bool run_peer(const char *path, double *signatures, double *index, long *found)
{
    char command[512], line[128] = "";
    snprintf(command, sizeof command,
             "OMP_NUM_THREADS=1 python3 tests/bench/dedup_peer.py '%s' 0.8 2>/dev/null", path);
    FILE *p = popen(command, "r");
    bool ok = p && fgets(line, sizeof line, p) &&
              sscanf(line, "%lf %lf %ld", signatures, index, found) == 3;
    if (p)
        pclose(p);
    return ok;
}

static err_code make_corpus(const char *path, int64_t n_prompts, int64_t n_traces, struct err *e)
{
    struct corpus *c;
    struct buf text = {0};
    int64_t request, id;
    bool added;
    err_code rc = corpus_open(path, CORPUS_CREATE, &c, e);
    if (!rc)
        rc = corpus_request(c, "{\"teacher\":\"bench\"}", &request, e);
    if (!rc)
        rc = corpus_begin(c, e);
    for (int64_t i = 0; i < n_prompts && !rc; i++) {
        make_text(&text, (uint64_t)i, PROMPT_BYTES);
        struct corpus_prompt p = {.text = text.data, .n_text = text.len};
        rc = corpus_add_prompt(c, &p, &id, &added, NULL, e);
    }
    for (int64_t i = 0; i < n_traces && !rc; i++) { /* 50 samples of a prompt */
        make_text(&text, (uint64_t)i, TRACE_BYTES);
        struct corpus_trace t = {.prompt_id = 1 + i / 50,
                                 .request_id = request,
                                 .sample_index = i % 50,
                                 .reasoning = text.data,
                                 .n_reasoning = text.len,
                                 .finish_reason = "stop",
                                 .cost_usd = -1,
                                 .latency_ms = -1};
        rc = corpus_add_trace(c, &t, &id, &added, NULL, e);
    }
    if (!rc)
        rc = corpus_commit(c, e);
    corpus_close(c);
    buf_dispose(&text);
    return rc;
}

static double peak_mb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

/* Returns the seconds that a whole run took. */
static double run_dedup(const char *path, bool traces, int64_t n_made, struct err *e)
{
    struct corpus *c;
    struct dedup_options opt = {
        .prompts = !traces, .traces = traces, .any_prompt = true, .threshold = 0.8};
    struct dedup_summary sum;
    double t0 = clock_now();
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, e);
    if (!rc)
        rc = corpus_dedup(c, &opt, NULL, NULL, &sum, e);
    corpus_close(c);
    double took = clock_now() - t0;
    if (rc)
        return -1;
    const struct dedup_count *n = traces ? &sum.traces : &sum.prompts;
    printf("dedup %lld %s: %.2f s, %.0f a second, %lld near, of %ld that are; index %lld bytes a "
           "text, process at "
           "most %.0f MB\n",
           (long long)n->n_texts, traces ? "traces" : "prompts", took, (double)n->n_texts / took,
           (long long)n->n_near, count_near(n_made, traces ? TRACE_BYTES : PROMPT_BYTES),
           (long long)sum.bytes_per_text, peak_mb());
    return took;
}

static int signatures_beside_peer(const char *dir, double *peer_per_text)
{
    char path[300];
    struct buf *texts = calloc(N_PEER, sizeof *texts), all = {0};
    struct err e;
    double bytes = 0, signatures, index;
    long found;
    for (int i = 0; i < N_PEER; i++) {
        make_text(&texts[i], (uint64_t)i, TRACE_BYTES);
        bytes += (double)texts[i].len;
        buf_printf(&all, NULL, "%s\n", texts[i].data);
    }
    double one = time_signatures(texts, N_PEER, 1);
    double many = time_signatures(texts, N_PEER, omp_get_max_threads());
    printf("signatures of %d texts of %.0f bytes: one thread %.3f s (%.0f MB/s), %d threads %.3f s "
           "(%.0f MB/s)\n",
           N_PEER, bytes / N_PEER, one, bytes / one / 1e6, omp_get_max_threads(), many,
           bytes / many / 1e6);
    snprintf(path, sizeof path, "%s/texts", dir);
    int failed = file_replace(path, all.data, all.len, &e);
    *peer_per_text = 0;
    if (!failed && run_peer(path, &signatures, &index, &found)) {
        printf(
            "datasketch: signatures %.2f s, index %.2f s, %ld near: %.0f times decant's time for "
            "the signatures (one thread each)\n",
            signatures, index, found, signatures / one);
        *peer_per_text = (signatures + index) / N_PEER;
    } else
        printf("datasketch: not here (pip install datasketch)\n");
    for (int i = 0; i < N_PEER; i++)
        buf_dispose(&texts[i]);
    free(texts);
    buf_dispose(&all);
    return failed;
}

int main(int argc, char **argv)
{
    int64_t n_traces = argc > 1 ? atoll(argv[1]) : 10000;
    int64_t n_prompts = argc > 2 ? atoll(argv[2]) : 100000;
    char dir[] = "/tmp/decant-bench-XXXXXX", path[64];
    struct err e = {0};
    double peer;
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/c.db", dir);
    int failed = signatures_beside_peer(dir, &peer) || make_corpus(path, n_prompts, n_traces, &e);
    double prompts = failed ? -1 : run_dedup(path, false, n_prompts, &e);
    double traces = prompts < 0 ? -1 : run_dedup(path, true, n_traces, &e);
    failed = traces < 0;
    if (!failed && peer > 0)
        printf("a trace, read from the corpus, compared, marked: %.0f times as fast as datasketch "
               "compares one in memory\n",
               peer * (double)n_traces / traces);
    if (failed)
        fprintf(stderr, "%s\n", e.msg);
    file_remove_tree(dir, NULL);
    return failed;
}
