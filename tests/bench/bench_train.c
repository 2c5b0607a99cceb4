/* One training step (forward, backward, clipping, AdamW; float32) of a 0.5B Qwen2 shape, against
 * PyTorch with transformers on the same batch size and threads, in the same run: time and peak
 * memory, as ratios.
 *
 *     build/tests/bench/bench_train [--layers 24] [--tokens 2048] [--steps 2] [--recompute N]
 *                                   [--alone]
 *
 * Without --layers as many as both sides fit in the memory that is free, at most 24; without
 * --recompute two thirds of them compute their feed-forward again. Skips the
 * comparison (and says so) when PyTorch is absent. */
#include "core/tensor/cpu/startup.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "distill/train_optim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct setup {
    int64_t n_layers, n_tokens, n_steps, n_recompute;
    bool alone;
};

static double available_gb(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[200];
    double kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lf kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024e-9;
}

static err_code write_config(const struct setup *s, const char *path, struct err *e)
{
    char text[600];
    int n = snprintf(text, sizeof text,
                     "{\"model_type\": \"qwen2\", \"hidden_size\": 896, \"num_hidden_layers\": "
                     "%lld, \"num_attention_heads\": 14, \"num_key_value_heads\": 2, "
                     "\"intermediate_size\": 4864, \"vocab_size\": 151936, "
                     "\"tie_word_embeddings\": true, \"max_position_embeddings\": 32768, "
                     "\"rope_theta\": 1000000.0, \"rms_norm_eps\": 1e-06}",
                     (long long)s->n_layers);
    return file_replace(path, text, (size_t)n, e);
}

struct parts {
    double backward, optimizer;
};

/* Wall-clock seconds of a step, processor seconds of all threads, peak memory. */
struct measured {
    double seconds, cpu, bytes;
};

static double cpu_now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double median(double *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = i; k > 0 && x[k] < x[k - 1]; k--) {
            double t = x[k];
            x[k] = x[k - 1];
            x[k - 1] = t;
        }
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static err_code one_step(struct student *st, struct train_optim *o, const struct batch *b,
                         int64_t step, double *loss, struct parts *p, struct err *e)
{
    double norm, t0 = clock_now();
    student_zero_grads(st);
    err_code rc = student_backward(st, b, 1.0f / (float)b->n_valid, loss, e);
    p->backward = clock_now() - t0;
    if (!rc)
        rc = train_optim_step(o, st, step, 1e-5, &norm, e);
    p->optimizer = clock_now() - t0 - p->backward;
    *loss /= (double)b->n_valid;
    return rc;
}

static err_code ours(const struct setup *s, const char *config, struct measured *m, struct err *e)
{
    struct device *d = NULL;
    struct student *st = NULL;
    struct batch b = {0};
    struct train_optim o = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .clip = 1};
    struct student_options opt = {
        .max_tokens = s->n_tokens, .train = true, .n_recompute = s->n_recompute};
    int32_t *ids = mem_new((size_t)s->n_tokens, sizeof *ids, e);
    struct rng r = rng_make(0, 0, 0);
    err_code rc = ids ? device_open("cpu", 0, &d, e) : ERR_NOMEM;
    if (!rc && !(rc = student_open(config, d, 0, &st, e)) && !(rc = student_reserve(st, &opt, e)) &&
        !(rc = train_optim_init(&o, st, e)))
        rc = batch_init(&b, s->n_tokens, e);
    if (!rc) {
        for (int64_t i = 0; i < s->n_tokens; i++)
            ids[i] = (int32_t)rng_below(&r, (uint64_t)st->config.n_vocab);
        batch_add(&b, ids, s->n_tokens, 1);
    }
    double *times = mem_new((size_t)s->n_steps, sizeof *times, e);
    double *cpu = mem_new((size_t)s->n_steps, sizeof *cpu, e);
    for (int64_t i = 0; i <= s->n_steps && !rc && times && cpu; i++) {
        struct parts p;
        double loss = 0, t = clock_now(), c = cpu_now();
        rc = one_step(st, &o, &b, i + 1, &loss, &p, e);
        t = clock_now() - t;
        if (i) {
            times[i - 1] = t;
            cpu[i - 1] = cpu_now() - c;
        }
        printf("decant step %lld: %.2f s (forward and backward %.2f, optimizer %.2f), loss %.4f\n",
               (long long)i, t, p.backward, p.optimizer, loss);
    }
    if (!rc) {
        double flops = 6.0 * (double)st->n_params * (double)s->n_tokens;
        m->seconds = median(times, s->n_steps);
        m->cpu = median(cpu, s->n_steps);
        printf("decant: %.0f GFLOP/s (6 x parameters x tokens)\n", flops / m->seconds * 1e-9);
    }
    mem_free(cpu);
    mem_free(times);
    mem_free(ids);
    batch_dispose(&b);
    train_optim_dispose(&o);
    student_close(st);
    device_close(d);
    return rc;
}

static int theirs(const struct setup *s, const char *config, int n_threads, struct measured *m)
{
    char command[600];
    snprintf(command, sizeof command, /* without what cpu_startup has set for ourselves */
             "env -u GOMP_SPINCOUNT -u OPENBLAS_NUM_THREADS -u OPENBLAS_CORETYPE "
             "\"${PYTHON:-python3}\" tests/bench/train_torch.py %s %lld %lld %d",
             config, (long long)s->n_tokens, (long long)s->n_steps, n_threads);
    FILE *f = popen(command, "r");
    if (!f)
        return -1;
    int n = fscanf(f, "%lf %lf %lf", &m->seconds, &m->cpu, &m->bytes);
    int status = pclose(f);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && n == 3 ? 0 : -1;
}

/* Measured apart, in a child, so that the peak is that of the steps alone. */
static int measure_ours(const struct setup *s, const char *config, struct measured *m)
{
    int pipe_fd[2];
    struct rusage u;
    int status;
    fflush(stdout);
    if (pipe(pipe_fd))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        err_code rc = ours(s, config, m, &e);
        if (rc)
            fprintf(stderr, "bench_train: %s\n", e.msg);
        if (!rc && write(pipe_fd[1], m, sizeof *m) != sizeof *m)
            rc = ERR_IO;
        fflush(stdout);
        _exit(rc != 0);
    }
    close(pipe_fd[1]);
    if (pid < 0 || wait4(pid, &status, 0, &u) != pid || status)
        return -1;
    if (read(pipe_fd[0], m, sizeof *m) != sizeof *m)
        return -1;
    m->bytes = (double)u.ru_maxrss * 1024;
    return 0;
}

static void print_measured(const char *who, const struct measured *m)
{
    printf("%-8s %.2f s a step (%.2f processor seconds), %.2f GB\n", who, m->seconds, m->cpu,
           m->bytes * 1e-9);
}

int main(int argc, char **argv)
{
    cpu_startup(argv);
    struct setup s = {.n_layers = 0, .n_tokens = 2048, .n_steps = 2, .n_recompute = -1};
    for (int i = 1; i < argc; i++) {
        int64_t v = i + 1 < argc ? atoll(argv[i + 1]) : 0;
        if (!strcmp(argv[i], "--alone")) {
            s.alone = true;
            continue;
        }
        int64_t *to = !strcmp(argv[i], "--layers")      ? &s.n_layers
                      : !strcmp(argv[i], "--tokens")    ? &s.n_tokens
                      : !strcmp(argv[i], "--steps")     ? &s.n_steps
                      : !strcmp(argv[i], "--recompute") ? &s.n_recompute
                                                        : NULL;
        if (!to || i + 1 == argc || v < (to == &s.n_recompute ? 0 : 1)) {
            fprintf(stderr, "bench_train: %s?\n", argv[i]);
            return 2;
        }
        *to = v;
        i++;
    }
    if (!s.n_layers) { /* PyTorch takes about 7.5 GB and 0.5 GB a layer at 2048 tokens */
        double fit = (available_gb() - 8.5) / 0.55;
        s.n_layers = fit > 24 ? 24 : fit < 2 ? 2 : (int64_t)fit;
    }
    if (s.n_recompute < 0)
        s.n_recompute = s.n_layers * 2 / 3;
    char config[] = "/tmp/decant-bench-XXXXXX.json";
    int fd = mkstemps(config, 5);
    struct err e = {0};
    if (fd < 0 || write_config(&s, config, &e)) {
        fprintf(stderr, "bench_train: cannot write %s\n", config);
        return 1;
    }
    close(fd);
    printf("0.5B Qwen2 shape, %lld layers, %lld tokens, %ld threads, %lld layers recomputed\n",
           (long long)s.n_layers, (long long)s.n_tokens, sysconf(_SC_NPROCESSORS_ONLN),
           (long long)s.n_recompute);
    struct measured a = {0}, b = {0};
    int bad = measure_ours(&s, config, &a);
    if (!bad)
        print_measured("decant", &a);
    fflush(stdout);
    if (!bad && !s.alone) {
        if (theirs(&s, config, (int)sysconf(_SC_NPROCESSORS_ONLN), &b)) {
            printf(
                "SKIP: PyTorch or transformers is absent (or failed): nothing to compare with\n");
        } else {
            print_measured("PyTorch", &b);
            printf("decant / PyTorch: time %.2f, processor time %.2f, peak memory %.2f\n",
                   a.seconds / b.seconds, a.cpu / b.cpu, a.bytes / b.bytes);
        }
    }
    unlink(config);
    return bad;
}
