/* bench_corpus: the corpus commands on many traces.
 *
 *     bench_corpus [N_TRACES [DIR [make]]]        default 20,000 traces of 10 kB, in a directory of
 * its own
 *
 * Makes a corpus (4 samples a prompt, words that do not repeat, 7 of 8 answers right), then runs
 * the commands of $DECANT on it one by one: seconds, traces and bytes a second, the most memory the
 * process had (its own, without the page cache), and for import and export the share of the rate at
 * which this disk copies as many bytes, measured in between with the same fsync at the end. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "dataset/corpus.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_SAMPLES = 4, N_WORDS = 20000, TRACE_BYTES = 10000 };

static char words[N_WORDS][12];

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bench_corpus: %s: %s\n", what, e ? e->msg : "");
    exit(1);
}

static void make_words(void)
{
    struct rng r = rng_make(1, 2, 3);
    for (int i = 0; i < N_WORDS; i++) {
        int n = 2 + (int)rng_below(&r, 8);
        for (int k = 0; k < n; k++)
            words[i][k] = (char)('a' + rng_below(&r, 26));
    }
}

/* A chain of thought of about n bytes: words, sentences, lines, formulas, some that JSON escapes.
 */
static size_t make_text(struct rng *r, char *out, size_t n)
{
    size_t at = 0;
    for (int i = 0; at + 40 < n; i++) {
        uint64_t x = rng_u64(r);
        const char *w = words[x % N_WORDS];
        size_t len = strlen(w);
        memcpy(out + at, w, len);
        at += len;
        const char *sep = i % 97 == 96   ? " \xE2\x86\x92 "
                          : i % 31 == 30 ? ".\n\n"
                          : i % 17 == 16 ? " $\\frac{3}{4}$ "
                          : i % 53 == 52 ? " \"so\" "
                                         : " ";
        len = strlen(sep);
        memcpy(out + at, sep, len);
        at += len;
    }
    return at;
}

static void make_corpus(const char *path, int64_t n, size_t bytes)
{
    struct err e;
    struct corpus *c;
    int64_t request = 0, prompt = 0, id;
    char *text = malloc(bytes + 64), question[400];
    struct rng r = rng_make(7, 0, 0);
    if (corpus_open(path, CORPUS_CREATE, &c, &e) ||
        corpus_request(c, "{\"teacher\":\"r1\",\"temperature\":0.6}", &request, &e))
        die(path, &e);
    for (int64_t i = 0; i < n; i++) {
        bool added;
        char answer[64], gold[16];
        int64_t value = i / N_SAMPLES % 1000;
        if (i % 256 == 0 && corpus_begin(c, &e))
            die(path, &e);
        snprintf(gold, sizeof gold, "%lld", (long long)value);
        if (i % N_SAMPLES == 0) {
            size_t len = make_text(&r, question, 200);
            len += (size_t)snprintf(question + len, 100, "How many is number %lld?",
                                    (long long)(i / N_SAMPLES));
            struct corpus_prompt p = {.text = question,
                                      .n_text = len,
                                      .gold = gold,
                                      .n_gold = strlen(gold),
                                      .source = "bench"};
            if (corpus_add_prompt(c, &p, &prompt, &added, NULL, &e))
                die(path, &e);
        }
        struct corpus_trace t = {
            .prompt_id = prompt,
            .request_id = request,
            .sample_index = i % N_SAMPLES,
            .reasoning = text,
            .n_reasoning = make_text(&r, text, bytes),
            .answer = answer,
            .n_answer = (size_t)snprintf(answer, sizeof answer, "It is \\boxed{%lld}.",
                                         (long long)(i % 8 == 7 ? value + 1 : value)),
            .finish_reason = i % 50 ? "stop" : "length",
            .n_prompt_tokens = 60,
            .n_reasoning_tokens = 2500 + (int64_t)rng_below(&r, 900),
            .n_completion_tokens = 3500 + (int64_t)rng_below(&r, 900),
            .n_cached_tokens = -1,
            .cost_usd = 0.007,
            .latency_ms = 9000,
            .served_model = "deepseek-r1",
            .params_json = "{\"model\":\"deepseek-r1\",\"temperature\":0.6,\"max_tokens\":32768}",
            .think_rule = "reasoning_content",
            .endpoint = "http://10.0.0.7:8000/v1"};
        if (corpus_add_trace(c, &t, &id, &added, NULL, &e))
            die(path, &e);
        if ((i % 256 == 255 || i == n - 1) && corpus_commit(c, &e))
            die(path, &e);
    }
    corpus_close(c);
    free(text);
}

static uint64_t bytes_of(const char *path)
{
    uint64_t n = 0;
    return file_size(path, &n, NULL) ? 0 : n;
}

/* Reads the files' pages out of the page cache, as far as the system lets itself be asked. */
static void forget(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

struct took {
    double seconds, cpu_seconds, mib;
};

static struct took run(const char *const *argv, const char *out)
{
    struct took t = {0};
    struct rusage u;
    int status;
    double t0 = clock_now();
    pid_t pid = fork();
    if (!pid) {
        int fd = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 1);
        setenv("DECANT_QUIET", "1", 1);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &u) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
        die(argv[2], NULL);
    t.seconds = clock_now() - t0;
    t.cpu_seconds = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                    1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    t.mib = (double)u.ru_maxrss / 1024;
    return t;
}

static void report(const char *what, struct took t, int64_t n, uint64_t bytes, double copy_rate)
{
    double rate = (double)bytes / 1e6 / t.seconds;
    printf("%-22s %7.1f s (cpu %6.1f) %9.0f traces/s %7.0f MB/s  %5.0f MiB", what, t.seconds,
           t.cpu_seconds, (double)n / t.seconds, rate, t.mib);
    if (copy_rate > 0)
        printf("   %.2f of a copy", rate / copy_rate);
    printf("\n");
    fflush(stdout);
}

/* Bytes a second, in MB, of copying a file that is not in the page cache. */
static double copy_rate(const char *from, const char *to)
{
    static char block[1 << 20];
    forget(from);
    double t0 = clock_now();
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    uint64_t total = 0;
    while ((n = read(in, block, sizeof block)) > 0 && write(out, block, (size_t)n) == n)
        total += (uint64_t)n;
    fsync(out);
    close(in);
    close(out);
    double s = clock_now() - t0;
    unlink(to);
    return (double)total / 1e6 / s;
}

/* As if other rules had made them: verify writes all of them anew. */
static void forget_verdicts(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) || sqlite3_exec(db, "UPDATE verdicts SET version = 0", 0, 0, 0))
        die(path, NULL);
    sqlite3_close(db);
}

#define RUN(out, ...) run((const char *const[]){decant, "corpus", __VA_ARGS__, NULL}, out)

static void bench(const char *decant, const char *dir, int64_t n)
{
    char db[300], jsonl[300], other[300], scratch[300];
    snprintf(db, sizeof db, "%s/c.db", dir);
    snprintf(jsonl, sizeof jsonl, "%s/c.jsonl", dir);
    snprintf(other, sizeof other, "%s/d.db", dir);
    snprintf(scratch, sizeof scratch, "%s/scratch", dir);
    struct took t = {0};
    bool made = !file_exists(db); /* else by an earlier run */
    double t0 = clock_now();
    if (made)
        make_corpus(db, n, TRACE_BYTES);
    t.seconds = clock_now() - t0;
    uint64_t size = bytes_of(db);
    printf("%lld traces, %.2f GB\n", (long long)n, (double)size / 1e9);
    if (made)
        report("add, judged", t, n, size, 0);
    double rate = copy_rate(db, scratch);
    printf("this disk copies %.0f MB/s\n", rate);

    forget(db);
    report("stats, cold", RUN(NULL, "stats", "--corpus", db), n, size, 0);
    report("stats", RUN(NULL, "stats", "--corpus", db), n, size, 0);
    forget(db);
    report("verify, cold", RUN(NULL, "verify", "--corpus", db), n, size, 0);
    report("verify", RUN(NULL, "verify", "--corpus", db), n, size, 0);
    forget_verdicts(db);
    report("verify, all changed", RUN(NULL, "verify", "--corpus", db), n, size, 0);
    rate = copy_rate(db, scratch);
    forget(db);
    t = RUN(NULL, "export", "--corpus", db, "--select", "all", "--out", jsonl);
    report("export, cold", t, n, bytes_of(jsonl), rate);
    rate = copy_rate(jsonl, scratch);
    forget(jsonl);
    t = RUN(NULL, "import", "--corpus", other, "--traces", jsonl);
    report("import, cold", t, n, bytes_of(jsonl), rate);
    printf("the imported corpus: %.2f GB\n", (double)bytes_of(other) / 1e9);
    unlink(jsonl);
    unlink(other);
    rate = copy_rate(db, scratch);
    forget(db);
    t = RUN(NULL, "merge", "--corpus", other, "--from", db);
    report("merge into new, cold", t, n, size, rate);
    unlink(other);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Short traces one after the other, as generate-traces adds them: 256 a commit. */
static void bench_add(const char *dir)
{
    char db[300];
    snprintf(db, sizeof db, "%s/add.db", dir);
    int64_t n = 40000;
    double t0 = clock_now(), c0 = cpu_seconds();
    make_corpus(db, n, 1000);
    double s = clock_now() - t0, cpu = cpu_seconds() - c0;
    printf(
        "corpus_add_trace, 1 kB with verdicts: %.0f traces/s, %.0f a CPU second (wanted: 5000)\n",
        (double)n / s, (double)n / cpu);
    unlink(db);
}

static int make_only(const char *dir, int64_t n)
{
    char db[300];
    snprintf(db, sizeof db, "%s/c.db", dir);
    make_corpus(db, n, TRACE_BYTES);
    return 0;
}

int main(int argc, char **argv)
{
    const char *decant = getenv("DECANT");
    int64_t n = argc > 1 ? atoll(argv[1]) : 20000;
    char own[] = "/tmp/decant-bench-XXXXXX";
    const char *dir = argc > 2 ? argv[2] : mkdtemp(own);
    if (!dir || n < 1 || !decant) {
        fprintf(stderr, "usage: DECANT=build/decant bench_corpus [N_TRACES [DIR [make]]]\n");
        return 2;
    }
    make_words();
    if (argc > 3) /* only makes the corpus */
        return make_only(dir, n);
    bench_add(dir);
    bench(decant, dir, n);
    if (argc <= 2)
        file_remove_tree(dir, NULL);
    return 0;
}
