/* Attention as a share of the multiply-add peak, element-wise operations as a share of memory
 * speed, both measured in the same run. */
#include "core/tensor/cpu/startup.h"
#include "core/base/rng.h"
#include "tests/bench/peaks.h"

#include <stdio.h>
#include <stdlib.h>

static struct tensor random_rows(int64_t rows, int64_t cols)
{
    struct rng r = rng_make(2, (uint64_t)rows, (uint64_t)cols);
    float *p = mem_new((size_t)(rows * cols), 4, NULL);
    if (!p)
        exit(1);
    for (int64_t i = 0; i < rows * cols; i++)
        p[i] = (float)(rng_uniform(&r) - 0.5);
    return tensor_2d(DT_F32, p, rows, cols);
}

struct packed {
    struct attn_dims a;
    struct tensor q, k, v, out, dq, dk, dv, dout;
    float *lse;
    int32_t *start;
};

static double time_attention(struct device *d, struct packed *p, bool backward)
{
    double best = 1e9;
    for (int i = 0; i < 6; i++) {
        double t = now();
        if (backward)
            d->attention_grad(d, &p->dq, &p->dk, &p->dv, &p->dout, &p->q, &p->k, &p->v, &p->out,
                              p->lse, p->start, &p->a);
        else
            d->attention(d, &p->out, p->lse, &p->q, &p->k, &p->v, p->start, &p->a);
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}

static void bench_attention(struct device *d, int64_t T, int64_t document, double peak)
{
    enum { H = 14, G = 2, D = 64 };
    struct packed p = {.a = {.n_heads = H, .n_kv_heads = G, .dk = D, .dv = D, .scale = 0.125f},
                       .q = random_rows(T, H * D),
                       .k = random_rows(T, G * D),
                       .v = random_rows(T, G * D),
                       .out = random_rows(T, H * D),
                       .dq = random_rows(T, H * D),
                       .dk = random_rows(T, G * D),
                       .dv = random_rows(T, G * D),
                       .dout = random_rows(T, H * D),
                       .lse = mem_new((size_t)(T * H), 4, NULL),
                       .start = mem_new((size_t)T, 4, NULL)};
    double pairs = 0; /* of a query and a key that it sees */
    for (int64_t t = 0; t < T; t++) {
        p.start[t] = (int32_t)(t / document * document);
        pairs += (double)(t - p.start[t] + 1);
    }
    double flops = pairs * 4 * H * D;
    double forward = time_attention(d, &p, false), backward = time_attention(d, &p, true);
    printf("attention T=%d, documents of %d: forward %.1f GFLOP/s of fma peak: ratio %.2f\n",
           (int)T, (int)document, flops / forward * 1e-9, flops / forward / peak);
    printf("attention T=%d, documents of %d: backward %.1f GFLOP/s of fma peak: ratio %.2f\n",
           (int)T, (int)document, 2.5 * flops / backward * 1e-9, 2.5 * flops / backward / peak);
    struct tensor all[] = {p.q, p.k, p.v, p.out, p.dq, p.dk, p.dv, p.dout};
    for (int i = 0; i < 8; i++)
        mem_free(all[i].data);
    mem_free(p.lse);
    mem_free(p.start);
}

/* One query a sequence, as in decoding. */
static void bench_cached(struct device *d, int64_t rows, int64_t n, double peak)
{
    enum { H = 14, G = 2, D = 64 };
    struct tensor q = random_rows(rows, H * D), out = random_rows(rows, H * D);
    struct tensor k = random_rows(rows * n, G * D), v = random_rows(rows * n, G * D);
    struct attn_dims a = {H, G, D, D, G * D, G * D, 0.125f};
    struct attn_span *spans = mem_new((size_t)rows, sizeof *spans, NULL);
    double best = 1e9;
    for (int64_t i = 0; i < rows; i++)
        spans[i] =
            (struct attn_span){(float *)k.data + i * n * G * D, (float *)v.data + i * n * G * D, n};
    for (int i = 0; i < 10; i++) {
        double t = now();
        d->attention_cached(d, &out, &q, spans, &a);
        t = now() - t;
        best = t < best ? t : best;
    }
    double flops = 4.0 * (double)(rows * n) * H * D;
    printf("attention_cached %d x %d keys: %.1f GFLOP/s of fma peak: ratio %.2f\n", (int)rows,
           (int)n, flops / best * 1e-9, flops / best / peak);
    struct tensor all[] = {q, out, k, v};
    for (int i = 0; i < 4; i++)
        mem_free(all[i].data);
    mem_free(spans);
}

/* Operations that should run as fast as memory does; bytes: read and written. */
static void bench_memory(struct device *d, double bandwidth)
{
    enum { T = 2048, F = 4864 };
    struct tensor x = random_rows(T, F), y = random_rows(T, F), z = random_rows(T, F);
    struct tensor m = random_rows(T, F);
    int32_t *targets = mem_new(T, 4, NULL);
    static const char *const names[] = {"swiglu", "rmsnorm", "add", "cross_entropy", "adamw"};
    static const double passes[] = {4, 3, 3, 3, 7}; /* a written line is also read */
    struct adamw a = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 1, 1};
    for (int op = 0; op < 5; op++) {
        double best = 1e9, loss = 0;
        for (int i = 0; i < 5; i++) {
            double t = now();
            if (op == 0)
                d->swiglu(d, &z, &x, &y);
            else if (op == 1)
                d->rmsnorm(d, &z, NULL, &x, &y, 1e-6f);
            else if (op == 2)
                d->add(d, &z, &x);
            else if (op == 3)
                d->cross_entropy(d, &loss, &z, targets, NULL, true, 1);
            else
                d->adamw(d, x.data, y.data, m.data, z.data, (size_t)T * F, &a);
            t = now() - t;
            best = t < best ? t : best;
        }
        double bytes = passes[op] * T * F * 4;
        printf("%-14s %d x %d: %.1f GB/s of memory speed: ratio %.2f\n", names[op], T, F,
               bytes / best * 1e-9, bytes / best / bandwidth);
    }
    struct tensor all[] = {x, y, z, m};
    for (int i = 0; i < 4; i++)
        mem_free(all[i].data);
    mem_free(targets);
}

int main(int argc, char **argv)
{
    (void)argc;
    cpu_startup(argv);
    struct device *d;
    if (device_open("cpu", 0, &d, NULL))
        return 1;
    double bandwidth = memory_peak(d->n_threads), peak = fma_peak(d);
    printf("memory read %.1f GB/s, fma %.1f GFLOP/s, %d threads, kernels %s\n", bandwidth * 1e-9,
           peak * 1e-9, d->n_threads, cpu_kernels_of(d)->name);
    bench_attention(d, 2048, 2048, peak);
    bench_attention(d, 2048, 300, peak);
    bench_cached(d, 1, 4096, peak);
    bench_cached(d, 64, 256, peak);
    bench_memory(d, bandwidth);
    device_close(d);
    return 0;
}
