/* Batched decode of examples/tiny-r1/model: tokens a second with 64 sequences against one, and both
 * as a share of what the machine's matrix product reaches, which is the limit of either.
 * Processors' speed may change by half within a run: so each size has one sequence before and after
 * it, in turns of a tenth of a second or more, and what counts is the ratio to these two; the
 * figures are medians over the passes. While the model is not there, a random one of its shape
 * stands in.
 *
 *     build/tests/bench/bench_decode [threads] [passes]   (from the top of the tree) */
#include "core/tensor/cpu/startup.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/format/safetensors.h"
#include "teacher/model.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TINY_R1 "examples/tiny-r1/model"

#define TURN_S 0.1

enum { N_PROMPT = 60, N_STEPS = 60, MAX_SEQS = 256, MAX_PASSES = 1000 };

static void must(err_code rc, const struct err *e)
{
    if (rc) {
        fprintf(stderr, "bench_decode: %s\n", e->msg);
        exit(1);
    }
}

/* ---- a random model of the same shape */

struct random_model {
    struct st_writer *w;
    struct rng rng;
    bool data; /* second pass: write bytes */
};

static void put(struct random_model *m, enum dtype t, int64_t rows, int64_t cols, const char *fmt,
                int64_t i, int64_t j)
{
    struct err e = {0};
    char name[128];
    int64_t shape[2] = {rows, cols}, n = (rows ? rows : 1) * cols;
    snprintf(name, sizeof name, fmt, (long long)i, (long long)j);
    if (!m->data) {
        must(st_add_tensor(m->w, name, t, rows ? 2 : 1, rows ? shape : shape + 1, &e), &e);
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        float x = rows ? (float)rng_normal(&m->rng) : 1;
        if (t == DT_F32 && rows) /* an FP8 weight's scales */
            x = 0.07f;
        if (t == DT_BF16 && rows)
            x *= 0.07f;
        uint8_t bytes[4];
        dtype_from_f32(t, &x, bytes, 1);
        must(st_write(m->w, bytes, (size_t)dtype_info(t)->block_bytes, &e), &e);
    }
}

static void put_fp8(struct random_model *m, int64_t rows, int64_t cols, const char *fmt, int64_t i,
                    int64_t j)
{
    char scale[128];
    snprintf(scale, sizeof scale, "%s_scale_inv", fmt);
    put(m, DT_F8_E4M3, rows, cols, fmt, i, j);
    put(m, DT_F32, (rows + 127) / 128, (cols + 127) / 128, scale, i, j);
}

#define LAYER "model.layers.%lld."

static void put_layer(struct random_model *m, const struct teacher_config *c, int64_t i)
{
    int64_t C = c->n_hidden, H = c->n_heads;
    put(m, DT_BF16, 0, C, LAYER "input_layernorm.weight", i, 0);
    put(m, DT_BF16, 0, C, LAYER "post_attention_layernorm.weight", i, 0);
    put_fp8(m, c->q_rank, C, LAYER "self_attn.q_a_proj.weight", i, 0);
    put(m, DT_BF16, 0, c->q_rank, LAYER "self_attn.q_a_layernorm.weight", i, 0);
    put_fp8(m, H * (c->d_nope + c->d_rope), c->q_rank, LAYER "self_attn.q_b_proj.weight", i, 0);
    put_fp8(m, c->kv_rank + c->d_rope, C, LAYER "self_attn.kv_a_proj_with_mqa.weight", i, 0);
    put(m, DT_BF16, 0, c->kv_rank, LAYER "self_attn.kv_a_layernorm.weight", i, 0);
    put_fp8(m, H * (c->d_nope + c->d_v), c->kv_rank, LAYER "self_attn.kv_b_proj.weight", i, 0);
    put_fp8(m, C, H * c->d_v, LAYER "self_attn.o_proj.weight", i, 0);
    if (i < c->n_dense) {
        put_fp8(m, c->n_ff, C, LAYER "mlp.gate_proj.weight", i, 0);
        put_fp8(m, c->n_ff, C, LAYER "mlp.up_proj.weight", i, 0);
        put_fp8(m, C, c->n_ff, LAYER "mlp.down_proj.weight", i, 0);
        return;
    }
    put(m, DT_BF16, c->n_experts, C, LAYER "mlp.gate.weight", i, 0);
    put(m, DT_BF16, 0, c->n_experts, LAYER "mlp.gate.e_score_correction_bias", i, 0);
    for (int64_t j = 0; j < c->n_experts; j++) {
        put_fp8(m, c->n_expert_ff, C, LAYER "mlp.experts.%lld.gate_proj.weight", i, j);
        put_fp8(m, c->n_expert_ff, C, LAYER "mlp.experts.%lld.up_proj.weight", i, j);
        put_fp8(m, C, c->n_expert_ff, LAYER "mlp.experts.%lld.down_proj.weight", i, j);
    }
    int64_t shared = c->n_shared * c->n_expert_ff;
    put_fp8(m, shared, C, LAYER "mlp.shared_experts.gate_proj.weight", i, 0);
    put_fp8(m, shared, C, LAYER "mlp.shared_experts.up_proj.weight", i, 0);
    put_fp8(m, C, shared, LAYER "mlp.shared_experts.down_proj.weight", i, 0);
}

/* dir must hold config.json. */
static void write_random_model(const char *dir)
{
    struct err e = {0};
    struct random_model m = {.rng = rng_make(1, 0, 0)};
    struct json j;
    struct teacher_config c;
    char path[256];
    snprintf(path, sizeof path, "%s/config.json", dir);
    must(json_open(&j, path, 1 << 20, &e), &e);
    must(teacher_config_read(&c, &j, &e), &e);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    must(st_writer_open(&m.w, path, &e), &e);
    for (int pass = 0; pass < 2; pass++) {
        m.data = pass;
        put(&m, DT_BF16, c.n_vocab, c.n_hidden, "model.embed_tokens.weight", 0, 0);
        put(&m, DT_BF16, c.n_vocab, c.n_hidden, "lm_head.weight", 0, 0);
        put(&m, DT_BF16, 0, c.n_hidden, "model.norm.weight", 0, 0);
        for (int64_t i = 0; i < c.n_layers; i++)
            put_layer(&m, &c, i);
        if (!pass)
            must(st_begin_data(m.w, &e), &e);
    }
    must(st_commit(m.w, &e), &e);
    st_writer_close(m.w);
    json_close(&j);
}

/* ---- measuring */

struct times {
    double tokens, prefill_tokens, prefill, decode;
    double
        decode_cpu; /* of all threads together: what can be told when other programs take cores */
};

struct rates {
    double prefill, decode, decode_cpu; /* tokens a second */
    double ratio;                       /* to one sequence, just before and after */
    double share;                       /* of the fastest product, just after */
};

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_sequences(struct times *sum, struct lm *lm, int64_t n_seqs)
{
    struct err e = {0};
    static struct lm_item items[MAX_SEQS];
    static struct lm_seq *seqs[MAX_SEQS];
    static int32_t next[MAX_SEQS], prompt[MAX_SEQS][N_PROMPT];
    float *logits = mem_new((size_t)(n_seqs * lm->n_vocab), sizeof *logits, &e);
    struct rng r = rng_make(3, 0, 0);
    for (int64_t i = 0; i < n_seqs; i++) {
        must(lm_seq_open(lm, N_PROMPT + N_STEPS, &seqs[i], &e), &e);
        for (int t = 0; t < N_PROMPT; t++)
            prompt[i][t] = (int32_t)rng_below(&r, (uint64_t)lm->n_vocab);
        items[i] = (struct lm_item){seqs[i], prompt[i], N_PROMPT, LM_LAST};
    }
    double t0 = clock_now();
    must(lm_forward(lm, items, n_seqs, logits, &e), &e);
    double t1 = clock_now(), cpu1 = cpu_now();
    for (int step = 0; step < N_STEPS; step++) {
        for (int64_t i = 0; i < n_seqs; i++) {
            next[i] = (int32_t)rng_below(&r, (uint64_t)lm->n_vocab);
            items[i] = (struct lm_item){seqs[i], &next[i], 1, LM_LAST};
        }
        must(lm_forward(lm, items, n_seqs, logits, &e), &e);
    }
    double t2 = clock_now(), cpu2 = cpu_now();
    for (int64_t i = 0; i < n_seqs; i++)
        lm_seq_close(seqs[i]);
    mem_free(logits);
    sum->tokens += (double)(n_seqs * N_STEPS);
    sum->prefill_tokens += (double)(n_seqs * N_PROMPT);
    sum->prefill += t1 - t0;
    sum->decode += t2 - t1;
    sum->decode_cpu += cpu2 - cpu1;
}

/* The device's fastest float32 product, in multiply-adds a second: the yardstick. */
static double product_rate(struct device *d)
{
    struct err e = {0};
    int64_t n = 768;
    size_t bytes = (size_t)(n * n) * sizeof(float);
    float *a = d->alloc(d, bytes, &e), *b = d->alloc(d, bytes, &e), *c = d->alloc(d, bytes, &e);
    struct tensor x = tensor_2d(DT_F32, a, n, n), w = tensor_2d(DT_F32, b, n, n);
    struct tensor y = tensor_2d(DT_F32, c, n, n);
    double best = 0;
    for (int i = 0; i < 8; i++) {
        double t = clock_now();
        d->matmul(d, &y, &x, &w, NULL, 0);
        double rate = (double)(n * n * n) / (clock_now() - t);
        best = rate > best ? rate : best;
    }
    d->free(d, a);
    d->free(d, b);
    d->free(d, c);
    return best;
}

/* One turn: batches of n_seqs until they have decoded for TURN_S. */
static struct rates measure(struct lm *lm, int64_t n_seqs)
{
    struct times t = {0};
    while (t.decode < TURN_S)
        add_sequences(&t, lm, n_seqs);
    return (struct rates){.prefill = t.prefill_tokens / t.prefill,
                          .decode = t.tokens / t.decode,
                          .decode_cpu = t.tokens / t.decode_cpu};
}

/* A size beside one sequence. work: multiply-adds a token. */
static struct rates compare(struct device *d, struct lm *lm, int64_t n_seqs, double work)
{
    struct rates before = measure(lm, 1), r = measure(lm, n_seqs), after = measure(lm, 1);
    r.ratio = 2 * r.decode / (before.decode + after.decode);
    r.share = r.decode * work / product_rate(d);
    return r;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the member at offset; also its least and its greatest. */
static double median(const struct rates *r, int n, size_t offset, double *least, double *greatest)
{
    double v[MAX_PASSES];
    for (int i = 0; i < n; i++)
        memcpy(&v[i], (const char *)&r[i] + offset, sizeof v[i]);
    qsort(v, (size_t)n, sizeof *v, by_size);
    *least = v[0];
    *greatest = v[n - 1];
    return (v[n / 2] + v[(n - 1) / 2]) / 2;
}

#define MEDIAN(r, n, member) median(r, n, offsetof(struct rates, member), &least, &greatest)

/* Multiply-adds of one decoded token with a cache of n_cached. */
static double token_work(const struct teacher_config *c, double n_cached)
{
    double C = (double)c->n_hidden, H = (double)c->n_heads, r = (double)c->kv_rank;
    double dq = (double)(c->d_nope + c->d_rope), dv = (double)c->d_v, rope = (double)c->d_rope;
    double q = c->q_rank ? (double)c->q_rank * (C + H * dq) : C * H * dq;
    double attn = q + C * (r + rope) + H * r * (double)c->d_nope + H * r * dv + H * dv * C +
                  n_cached * H * (2 * r + rope);
    double expert = 3 * C * (double)c->n_expert_ff;
    double moe = C * (double)c->n_experts + (double)(c->top_k + c->n_shared) * expert;
    double dense = 3 * C * (double)c->n_ff;
    return (double)c->n_layers * attn + (double)c->n_dense * dense +
           (double)(c->n_layers - c->n_dense) * moe + C * (double)c->n_vocab;
}

int main(int argc, char **argv)
{
    cpu_startup(argv);
    struct err e = {0};
    char random_dir[] = "/tmp/decant-bench-XXXXXX", path[256];
    const char *dir = TINY_R1;
    bool trained = file_exists(TINY_R1 "/model.safetensors");
    int n_passes = argc > 2 ? atoi(argv[2]) : 9;
    n_passes = n_passes < 1 ? 1 : n_passes > MAX_PASSES ? MAX_PASSES : n_passes;
    if (!trained) {
        dir = mkdtemp(random_dir);
        snprintf(path, sizeof path, "%s/config.json", dir);
        must(file_copy(TINY_R1 "/config.json", path, &e), &e);
        write_random_model(dir);
    }
    struct device *d;
    struct lm *lm;
    must(device_open("cpu", argc > 1 ? atoi(argv[1]) : 0, &d, &e), &e);
    double t = clock_now();
    must(teacher_open(dir, d, &lm, &e), &e);
    printf("%s, %.2f M parameters, %.2f MB, opened in %.1f ms, %d threads\n",
           trained ? TINY_R1 : "a random model of tiny-r1's shape", (double)lm->n_params * 1e-6,
           (double)lm->n_bytes * 1e-6, (clock_now() - t) * 1e3, d->n_threads);
    double work = token_work(teacher_config_of(lm), N_PROMPT + N_STEPS / 2.0);
    const int64_t sizes[] = {1, 8, 64, 256};
    enum { N_SIZES = sizeof sizes / sizeof *sizes };
    static struct rates r[N_SIZES][MAX_PASSES];
    for (int p = 0; p < n_passes; p++)
        for (int i = 0; i < N_SIZES; i++)
            r[i][p] = compare(d, lm, sizes[i], work);
    for (int i = 0; i < N_SIZES; i++) {
        double least, greatest, share = 100 * MEDIAN(r[i], n_passes, share);
        printf("%3lld sequences: decode %6.0f tok/s (%4.1f %% of the fastest float32 product), "
               "%6.0f a processor second; prefill %6.0f tok/s; ",
               (long long)sizes[i], MEDIAN(r[i], n_passes, decode), share,
               MEDIAN(r[i], n_passes, decode_cpu), MEDIAN(r[i], n_passes, prefill));
        double ratio = MEDIAN(r[i], n_passes, ratio);
        printf("%.2f x one (%.2f to %.2f)\n", ratio, least, greatest);
        if (sizes[i] == 64)
            printf("RATIO decode_64_over_1 %.2f (target 8, which would be %.0f %% of the fastest "
                   "product)\n",
                   ratio, 8 * share / ratio);
    }
    lm_close(lm);
    device_close(d);
    if (!trained)
        must(file_remove_tree(dir, &e), &e);
    return 0;
}
