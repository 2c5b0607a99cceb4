/* Opening a model against mapping its bytes: a Qwen2 HF directory of 2 GB (a file of holes, so that
 * the disk has no part in it) is opened as weights and as an lm, and the same file is mapped with
 * nothing else done. Opening reads the header alone, so its time must not grow with the file. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/format/safetensors.h"
#include "core/format/weights.h"
#include "core/tensor/device.h"
#include "student/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { V = 32000, C = 1024, F = 4096, LAYERS = 24, HEADS = 16, KV = 4 };

static void die(const struct err *e)
{
    fprintf(stderr, "bench_load: %s\n", e->msg);
    exit(1);
}

struct out {
    char *json;
    size_t n;
    FILE *f;
    uint64_t at;
};

static void tensor(struct out *o, const char *name, int64_t rows, int64_t cols)
{
    uint64_t bytes = (uint64_t)(cols ? rows * cols : rows) * 4;
    fprintf(o->f, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", o->at ? "," : "", name);
    fprintf(o->f, cols ? "%lld,%lld" : "%lld", (long long)rows, (long long)cols);
    fprintf(o->f, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)o->at,
            (unsigned long long)(o->at + bytes));
    o->at += bytes;
}

static void layer(struct out *o, int i)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
    } parts[] = {{"input_layernorm.weight", C, 0},
                 {"post_attention_layernorm.weight", C, 0},
                 {"self_attn.q_proj.weight", C, C},
                 {"self_attn.q_proj.bias", C, 0},
                 {"self_attn.k_proj.weight", C * KV / HEADS, C},
                 {"self_attn.k_proj.bias", C * KV / HEADS, 0},
                 {"self_attn.v_proj.weight", C * KV / HEADS, C},
                 {"self_attn.v_proj.bias", C * KV / HEADS, 0},
                 {"self_attn.o_proj.weight", C, C},
                 {"mlp.gate_proj.weight", F, C},
                 {"mlp.up_proj.weight", F, C},
                 {"mlp.down_proj.weight", C, F}};
    char name[128];
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        snprintf(name, sizeof name, "model.layers.%d.%s", i, parts[p].name);
        tensor(o, name, parts[p].rows, parts[p].cols);
    }
}

static uint64_t make_model(const char *dir, struct err *e)
{
    char path[512], config[512];
    snprintf(config, sizeof config,
             "{\"model_type\":\"qwen2\",\"hidden_size\":%d,\"intermediate_size\":%d,"
             "\"num_hidden_layers\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
             "\"vocab_size\":%d,\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-6,"
             "\"rope_theta\":10000.0,\"tie_word_embeddings\":true}",
             C, F, LAYERS, HEADS, KV, V);
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (file_replace(path, config, strlen(config), e))
        die(e);
    struct out o = {0};
    o.f = open_memstream(&o.json, &o.n);
    fputc('{', o.f);
    tensor(&o, "model.embed_tokens.weight", V, C);
    for (int i = 0; i < LAYERS; i++)
        layer(&o, i);
    tensor(&o, "model.norm.weight", C, 0);
    fputc('}', o.f);
    fflush(o.f);
    while (o.n % 8) {
        fputc(' ', o.f);
        fflush(o.f);
    }
    fclose(o.f);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "wb");
    uint64_t n = o.n;
    if (!f || fwrite(&n, 8, 1, f) != 1 || fwrite(o.json, 1, o.n, f) != o.n || fflush(f) ||
        ftruncate(fileno(f), (off_t)(8 + o.n + o.at)) || fclose(f)) {
        perror(path);
        exit(1);
    }
    free(o.json);
    return 8 + n + o.at;
}

int main(void)
{
    enum { RUNS = 21 };
    struct err e = {0};
    char dir[] = "/tmp/bench-load-XXXXXX", path[512];
    if (!mkdtemp(dir))
        return 1;
    uint64_t bytes = make_model(dir, &e);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    struct device *d;
    if (device_open("cpu", 0, &d, &e))
        die(&e);
    double best[3] = {1e9, 1e9, 1e9};
    for (int i = 0; i < RUNS; i++) {
        double t[4];
        struct file_map m;
        struct weights *w;
        struct lm *lm;
        t[0] = clock_now();
        if (file_map_open(&m, path, &e))
            die(&e);
        file_map_close(&m);
        t[1] = clock_now();
        if (weights_open(dir, &w, &e))
            die(&e);
        weights_close(w);
        t[2] = clock_now();
        if (student_lm_open(dir, d, &lm, &e))
            die(&e);
        lm_close(lm);
        t[3] = clock_now();
        for (int k = 0; k < 3; k++)
            if (t[k + 1] - t[k] < best[k])
                best[k] = t[k + 1] - t[k];
    }
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    /* What "as fast as mapping" is worth: reading the same bytes at 10 GB/s. */
    double read = (double)bytes / 10e9;
    printf("model of %.2f GB: map alone %.3f ms, weights_open %.3f ms, student_lm_open %.3f ms; "
           "peak memory %.0f MB\n",
           1e-9 * (double)bytes, 1e3 * best[0], 1e3 * best[1], 1e3 * best[2],
           (double)u.ru_maxrss / 1024);
    printf("opening / reading it once at 10 GB/s: ratio %.4f (mapping only: far below 1)\n",
           best[2] / read);
    device_close(d);
    return file_remove_tree(dir, &e) ? 1 : 0;
}
