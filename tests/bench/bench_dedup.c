/* Near-duplicates: signatures and whole runs of dedup over traces of 10 kB, beside datasketch (when
 * a python3 with it is here) on the same texts in the same run, and over short prompts; memory a
 * text. bench_dedup [traces [prompts]]. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "dataset/benchmark.h"
#include "dataset/decontaminate.h"
#include "dataset/dedup.h"
#include "dataset/filter.h"
#include "dataset/minhash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { TRACE_BYTES = 10000, PROMPT_BYTES = 300, N_PEER = 1000, N_PROBLEMS = 5000, ONE_IN = 10 };

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

/* CPU seconds of all threads. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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

/* CPU seconds for n texts' signatures. */
static double time_signatures(const struct buf *texts, int n)
{
    double best = 1e9;
    for (int round = 0; round < 3; round++) {
        double t0 = cpu_now();
        for (int i = 0; i < n; i++) {
            struct minhash m;
            struct minhash_text part = {texts[i].data, texts[i].len};
            if (!minhash_of(&part, 1, &m))
                abort();
        }
        double took = cpu_now() - t0;
        best = took < best ? took : best;
    }
    return best;
}

/* A peer's script on the texts; its first line into line. */
static bool run_peer(const char *script, const char *texts, const char *more, char *line, int size)
{
    char command[700];
    *line = 0;
    snprintf(command, sizeof command,
             "OMP_NUM_THREADS=1 \"${PYTHON:-python3}\" tests/bench/%s '%s' '%s' 2>/dev/null",
             script, texts, more);
    FILE *p = popen(command, "r");
    bool ok = p && fgets(line, size, p);
    if (p)
        pclose(p);
    return ok;
}

/* Problems like prompts; every hundredth is the beginning of a text. In JSONL and line by line. */
static int write_problems(const char *jsonl, const char *lines)
{
    struct buf problem = {0}, a = {0}, b = {0};
    for (int i = 0; i < N_PROBLEMS; i++) {
        bool planted = i % 100 == 0;
        make_text(&problem, planted ? (uint64_t)i / 10 : (uint64_t)i + 1000000000,
                  planted ? TRACE_BYTES : PROMPT_BYTES);
        int n = planted ? PROMPT_BYTES : (int)problem.len;
        buf_printf(&a, NULL, "{\"prompt\":\"%.*s\"}\n", n, problem.data);
        buf_printf(&b, NULL, "%.*s\n", n, problem.data);
    }
    int failed =
        file_replace(jsonl, a.data, a.len, NULL) || file_replace(lines, b.data, b.len, NULL);
    buf_dispose(&problem);
    buf_dispose(&a);
    buf_dispose(&b);
    return failed;
}

static int contamination_beside_peer(const char *dir, struct err *e)
{
    char jsonl[300], lines[300], path[300], line[128];
    struct benchmark *b = NULL;
    struct benchmark_scratch s = {0};
    struct benchmark_match m;
    struct buf texts = {0};
    int64_t n;
    int found = 0, peer_found;
    double best = 1e9, peer;
    snprintf(path, sizeof path, "%s/texts", dir);
    snprintf(jsonl, sizeof jsonl, "%s/problems.jsonl", dir);
    snprintf(lines, sizeof lines, "%s/problems", dir);
    err_code rc =
        write_problems(jsonl, lines) ? err_set(e, ERR_IO, "%s cannot be written", dir) : 0;
    if (!rc)
        rc = file_read(path, 1 << 30, &texts, e);
    if (!rc)
        rc = benchmark_open(8, &b, e);
    if (!rc)
        rc = benchmark_add(b, jsonl, NULL, &n, e);
    if (!rc)
        rc = benchmark_build(b, e);
    for (int round = 0; round < 3 && !rc; round++) {
        double t0 = cpu_now();
        found = 0;
        for (const char *at = texts.data, *end; !rc && (end = strchr(at, '\n')); at = end + 1) {
            rc = benchmark_match(b, &s, at, (size_t)(end - at), 0, &m, e);
            found += m.exact;
        }
        double took = cpu_now() - t0;
        best = took < best ? took : best;
    }
    if (!rc) {
        printf("exact contamination of %d texts by %d problems: %.3f s (%.0f MB/s), %d "
               "found",
               N_PEER, N_PROBLEMS, best, (double)texts.len / best / 1e6, found);
        if (run_peer("decontaminate_peer.py", path, lines, line, sizeof line) &&
            sscanf(line, "%lf %d", &peer, &peer_found) == 2)
            printf("; open-r1's rule in Python %.2f s, %d found: %.0f times the time\n", peer,
                   peer_found, peer / best);
        else
            printf("\n");
    }
    benchmark_scratch_dispose(&s);
    benchmark_close(b);
    buf_dispose(&texts);
    return rc;
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

/* A whole run's time, by the clock and of all threads. */
struct took {
    double t0, cpu0, wall, cpu;
};
static void took_begin(struct took *t)
{
    t->t0 = clock_now();
    t->cpu0 = cpu_now();
}
static void took_end(struct took *t)
{
    t->wall = clock_now() - t->t0;
    t->cpu = cpu_now() - t->cpu0;
}

/* What it took beyond opening the corpus. */
static err_code run_dedup(const char *path, bool traces, int64_t n_made, struct took *t,
                          struct err *e)
{
    struct corpus *c;
    struct dedup_options opt = {
        .prompts = !traces, .traces = traces, .any_prompt = true, .threshold = 0.8};
    struct dedup_summary sum;
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, e);
    took_begin(t);
    if (!rc)
        rc = corpus_dedup(c, &opt, NULL, NULL, &sum, e);
    took_end(t);
    corpus_close(c);
    if (rc)
        return rc;
    const struct dedup_count *n = traces ? &sum.traces : &sum.prompts;
    printf(
        "dedup %lld %s: %.2f s, CPU %.2f s, %lld near, of %ld that are; index %lld bytes a text, "
        "process at most %.0f MB\n",
        (long long)n->n_texts, traces ? "traces" : "prompts", t->wall, t->cpu, (long long)n->n_near,
        count_near(n_made, traces ? TRACE_BYTES : PROMPT_BYTES), (long long)sum.bytes_per_text,
        peak_mb());
    return ERR_OK;
}

static int signatures_beside_peer(const char *dir, double *peer_per_text)
{
    char path[300], line[128];
    struct buf *texts = calloc(N_PEER, sizeof *texts), all = {0};
    double bytes = 0, signatures, index;
    long found;
    for (int i = 0; i < N_PEER; i++) {
        make_text(&texts[i], (uint64_t)i, TRACE_BYTES);
        bytes += (double)texts[i].len;
        buf_printf(&all, NULL, "%s\n", texts[i].data);
    }
    double own = time_signatures(texts, N_PEER);
    printf("signatures of %d texts of %.0f bytes: CPU %.3f s (%.0f MB/s)\n", N_PEER, bytes / N_PEER,
           own, bytes / own / 1e6);
    snprintf(path, sizeof path, "%s/texts", dir);
    int failed = file_replace(path, all.data, all.len, NULL);
    *peer_per_text = 0;
    if (!failed && run_peer("dedup_peer.py", path, "0.8", line, sizeof line) &&
        sscanf(line, "%lf %lf %ld", &signatures, &index, &found) == 3) {
        printf("datasketch: signatures CPU %.2f s, index %.2f s: %.0f times decant's time for the "
               "signatures; %ld near, of %ld that are\n",
               signatures, index, signatures / own, found, count_near(N_PEER, TRACE_BYTES));
        *peer_per_text = (signatures + index) / N_PEER;
    } else
        printf("datasketch: not here (pip install datasketch)\n");
    for (int i = 0; i < N_PEER; i++)
        buf_dispose(&texts[i]);
    free(texts);
    buf_dispose(&all);
    return failed;
}

/* Whole runs over the corpus's traces. */
static err_code run_others(const char *path, const char *dir, struct err *e)
{
    char jsonl[300];
    const char *files[] = {jsonl};
    struct corpus *c;
    struct decontaminate_options against = {
        .files = files, .n_files = 1, .n_run = 8, .threshold = 0.5, .traces = true};
    struct decontaminate_summary d;
    struct filter_options rules = {
        .use = {true, true, true}, .max_foreign = 0.005, .max_paragraph = 3000};
    struct filter_summary s;
    snprintf(jsonl, sizeof jsonl, "%s/problems.jsonl", dir);
    err_code rc = corpus_open(path, CORPUS_WRITE, &c, e);
    struct took t;
    took_begin(&t);
    if (!rc)
        rc = corpus_decontaminate(c, &against, NULL, NULL, &d, e);
    took_end(&t);
    if (!rc)
        printf(
            "decontaminate %lld prompts and %lld traces against %d problems: %.2f s, CPU %.2f s; "
            "index %.1f MB\n",
            (long long)d.prompts.n_texts, (long long)d.traces.n_texts, N_PROBLEMS, t.wall, t.cpu,
            (double)d.index_bytes / 1e6);
    took_begin(&t);
    if (!rc)
        rc = corpus_filter(c, &rules, NULL, NULL, &s, e);
    took_end(&t);
    if (!rc)
        printf("filter %lld traces by three rules: %.2f s, CPU %.2f s\n", (long long)s.n_traces,
               t.wall, t.cpu);
    corpus_close(c);
    return rc;
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
    int failed = signatures_beside_peer(dir, &peer) || contamination_beside_peer(dir, &e) ||
                 make_corpus(path, n_prompts, n_traces, &e);
    struct took prompts, traces;
    failed = failed || run_dedup(path, false, n_prompts, &prompts, &e) ||
             run_dedup(path, true, n_traces, &traces, &e);
    /* both runs look at the prompts */
    if (!failed && peer > 0)
        printf("a trace, read from the corpus, compared, marked: %.0f times as fast as datasketch "
               "compares one in memory (CPU)\n",
               peer * (double)n_traces / (traces.cpu - prompts.cpu));
    failed = failed || run_others(path, dir, &e);
    if (failed)
        fprintf(stderr, "%s\n", e.msg);
    file_remove_tree(dir, NULL);
    return failed;
}
