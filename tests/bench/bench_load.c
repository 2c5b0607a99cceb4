/* Opening models and tokenizers, against two limits: mapping the same files and reading, once, the
 * bytes that have to be parsed (headers, index, config); and mapping them with all their pages,
 * which is what has to happen before a model can be used, however it is opened. The models are a
 * Qwen2.5-0.5B in BF16, the same as a GGUF file with its vocabulary, and a deepseek_v3 with as many
 * layers, experts, shards and FP8 scales as DeepSeek-R1, whose matrices are small. Their weights
 * are holes in the files, so that the disk has no part in it. Times are the best of several runs,
 * the files in memory. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/format/weights.h"
#include "core/tensor/device.h"
#include "core/text/tokenizer.h"
#include "quant/export.h"
#include "student/model.h"
#include "teacher/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RUNS = 9, MAX_FILES = 256 };

static void die(const struct err *e)
{
    fprintf(stderr, "bench_load: %s\n", e->msg);
    exit(1);
}

static void write_text(const char *dir, const char *name, const char *text, size_t n)
{
    char path[512];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (file_replace(path, text, n, &e))
        die(&e);
}

/* ---- a safetensors file of holes */

struct shard {
    const char *dir;
    char name[64];
    struct buf header;
    uint64_t n_data;
    struct buf *index; /* "tensor": "shard", ... of all shards, or NULL */
    int64_t n_tensors;
};

static void add(struct shard *s, const char *dtype, int size, int64_t rows, int64_t cols,
                const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* cols 0: one-dimensional. */
static void add(struct shard *s, const char *dtype, int size, int64_t rows, int64_t cols,
                const char *fmt, ...)
{
    char name[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    uint64_t end = s->n_data + (uint64_t)(rows * (cols ? cols : 1) * size);
    buf_printf(&s->header, NULL, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%lld",
               s->header.len ? "," : "{", name, dtype, (long long)rows);
    if (cols)
        buf_printf(&s->header, NULL, ",%lld", (long long)cols);
    buf_printf(&s->header, NULL, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)s->n_data,
               (unsigned long long)end);
    if (s->index)
        buf_printf(s->index, NULL, "%s\"%s\":\"%s\"", s->index->len ? "," : "", name, s->name);
    s->n_data = end;
    s->n_tensors++;
}

/* An FP8 matrix and its scales of blocks of 128 x 128. */
static void add_f8(struct shard *s, int64_t rows, int64_t cols, const char *name)
{
    add(s, "F8_E4M3", 1, rows, cols, "%s.weight", name);
    add(s, "F32", 4, (rows + 127) / 128, (cols + 127) / 128, "%s.weight_scale_inv", name);
}

static void shard_end(struct shard *s)
{
    char path[512];
    buf_str(&s->header, "}", NULL);
    while (s->header.len % 8)
        buf_str(&s->header, " ", NULL);
    uint64_t n = s->header.len;
    snprintf(path, sizeof path, "%s/%s", s->dir, s->name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(&n, 8, 1, f) != 1 || fwrite(s->header.data, 1, n, f) != n || fflush(f) ||
        ftruncate(fileno(f), (off_t)(8 + n + s->n_data)) || fclose(f)) {
        perror(path);
        exit(1);
    }
    buf_dispose(&s->header);
    s->n_data = 0;
}

/* ---- the models */

static void make_qwen(const char *dir)
{
    enum { V = 151936, C = 896, F = 4864, LAYERS = 24, KV = 128 };
    static const char config[] =
        "{\"model_type\":\"qwen2\",\"hidden_size\":896,\"intermediate_size\":4864,"
        "\"num_hidden_layers\":24,\"num_attention_heads\":14,\"num_key_value_heads\":2,"
        "\"vocab_size\":151936,\"max_position_embeddings\":32768,\"rms_norm_eps\":1e-6,"
        "\"rope_theta\":1000000.0,\"tie_word_embeddings\":true}";
    struct shard s = {.dir = dir, .name = "model.safetensors"};
    write_text(dir, "config.json", config, strlen(config));
    add(&s, "BF16", 2, V, C, "model.embed_tokens.weight");
    for (int i = 0; i < LAYERS; i++) {
        char at[64];
        snprintf(at, sizeof at, "model.layers.%d", i);
        add(&s, "BF16", 2, C, 0, "%s.input_layernorm.weight", at);
        add(&s, "BF16", 2, C, 0, "%s.post_attention_layernorm.weight", at);
        add(&s, "BF16", 2, C, C, "%s.self_attn.q_proj.weight", at);
        add(&s, "BF16", 2, C, 0, "%s.self_attn.q_proj.bias", at);
        add(&s, "BF16", 2, KV, C, "%s.self_attn.k_proj.weight", at);
        add(&s, "BF16", 2, KV, 0, "%s.self_attn.k_proj.bias", at);
        add(&s, "BF16", 2, KV, C, "%s.self_attn.v_proj.weight", at);
        add(&s, "BF16", 2, KV, 0, "%s.self_attn.v_proj.bias", at);
        add(&s, "BF16", 2, C, C, "%s.self_attn.o_proj.weight", at);
        add(&s, "BF16", 2, F, C, "%s.mlp.gate_proj.weight", at);
        add(&s, "BF16", 2, F, C, "%s.mlp.up_proj.weight", at);
        add(&s, "BF16", 2, C, F, "%s.mlp.down_proj.weight", at);
    }
    add(&s, "BF16", 2, C, 0, "model.norm.weight");
    shard_end(&s);
}

enum { DS_V = 1024, DS_C = 256, DS_F = 128, DS_LAYERS = 61, DS_DENSE = 3, DS_EXPERTS = 256 };

static void add_mlp(struct shard *s, int64_t width, const char *at)
{
    char name[128];
    snprintf(name, sizeof name, "%s.gate_proj", at);
    add_f8(s, width, DS_C, name);
    snprintf(name, sizeof name, "%s.up_proj", at);
    add_f8(s, width, DS_C, name);
    snprintf(name, sizeof name, "%s.down_proj", at);
    add_f8(s, DS_C, width, name);
}

static void add_deepseek_layer(struct shard *s, int i)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
    } parts[] = {{"q_a_proj", 128, DS_C},
                 {"q_b_proj", 4 * 96, 128},
                 {"kv_a_proj_with_mqa", 128 + 32, DS_C},
                 {"kv_b_proj", 4 * 128, 128},
                 {"o_proj", DS_C, 4 * 64}};
    char at[64], name[128];
    snprintf(at, sizeof at, "model.layers.%d", i);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        snprintf(name, sizeof name, "%s.self_attn.%s", at, parts[p].name);
        add_f8(s, parts[p].rows, parts[p].cols, name);
    }
    add(s, "BF16", 2, 128, 0, "%s.self_attn.q_a_layernorm.weight", at);
    add(s, "BF16", 2, 128, 0, "%s.self_attn.kv_a_layernorm.weight", at);
    add(s, "BF16", 2, DS_C, 0, "%s.input_layernorm.weight", at);
    add(s, "BF16", 2, DS_C, 0, "%s.post_attention_layernorm.weight", at);
    if (i < DS_DENSE) {
        snprintf(name, sizeof name, "%s.mlp", at);
        add_mlp(s, 4 * DS_F, name);
        return;
    }
    add(s, "BF16", 2, DS_EXPERTS, DS_C, "%s.mlp.gate.weight", at);
    add(s, "F32", 4, DS_EXPERTS, 0, "%s.mlp.gate.e_score_correction_bias", at);
    snprintf(name, sizeof name, "%s.mlp.shared_experts", at);
    add_mlp(s, DS_F, name);
    for (int k = 0; k < DS_EXPERTS; k++) {
        snprintf(name, sizeof name, "%s.mlp.experts.%d", at, k);
        add_mlp(s, DS_F, name);
    }
}

static void make_deepseek(const char *dir)
{
    static const char config[] =
        "{\"model_type\":\"deepseek_v3\",\"hidden_size\":256,\"intermediate_size\":512,"
        "\"moe_intermediate_size\":128,\"num_hidden_layers\":61,\"first_k_dense_replace\":3,"
        "\"num_nextn_predict_layers\":1,\"num_attention_heads\":4,\"num_key_value_heads\":4,"
        "\"q_lora_rank\":128,\"kv_lora_rank\":128,\"qk_nope_head_dim\":64,\"qk_rope_head_dim\":32,"
        "\"v_head_dim\":64,\"n_routed_experts\":256,\"n_shared_experts\":1,\"num_experts_per_tok\":"
        "8,\"n_group\":8,\"topk_group\":4,\"topk_method\":\"noaux_tc\",\"scoring_func\":"
        "\"sigmoid\",\"norm_topk_prob\":true,\"routed_scaling_factor\":2.5,\"moe_layer_freq\":1,"
        "\"vocab_size\":1024,\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-6,"
        "\"rope_theta\":10000,\"tie_word_embeddings\":false,\"hidden_act\":\"silu\","
        "\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e4m3\","
        "\"weight_block_size\":[128,128]}}";
    struct buf index = {0}, file = {0};
    write_text(dir, "config.json", config, strlen(config));
    for (int i = 0; i <= DS_LAYERS; i++) { /* one shard a layer; the last layer is the MTP module */
        struct shard s = {.dir = dir, .index = &index};
        snprintf(s.name, sizeof s.name, "model-%05d-of-%05d.safetensors", i + 1, DS_LAYERS + 1);
        add_deepseek_layer(&s, i);
        if (i == 0)
            add(&s, "BF16", 2, DS_V, DS_C, "model.embed_tokens.weight");
        if (i == DS_LAYERS - 1) {
            add(&s, "BF16", 2, DS_C, 0, "model.norm.weight");
            add(&s, "BF16", 2, DS_V, DS_C, "lm_head.weight");
        }
        if (i == DS_LAYERS) {
            add(&s, "BF16", 2, DS_C, 2 * DS_C, "model.layers.%d.eh_proj.weight", i);
            add(&s, "BF16", 2, DS_C, 0, "model.layers.%d.enorm.weight", i);
            add(&s, "BF16", 2, DS_C, 0, "model.layers.%d.hnorm.weight", i);
            add(&s, "BF16", 2, DS_C, 0, "model.layers.%d.shared_head.norm.weight", i);
        }
        shard_end(&s);
    }
    buf_printf(&file, NULL, "{\"weight_map\":{%s}}", index.data);
    write_text(dir, "model.safetensors.index.json", file.data, file.len);
    buf_dispose(&file);
    buf_dispose(&index);
}

/* A byte-level vocabulary of Qwen's size: bytes, all pairs of bytes, and pairs with a third. */
static void letter(struct buf *b, int byte)
{
    bool self = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    int cp = byte;
    if (!self)
        cp = byte < 33 ? 256 + byte : byte < 161 ? 256 + 33 + byte - 127 : 256 + 33 + 34;
    if (cp < 128)
        buf_printf(b, NULL, cp == '"' || cp == '\\' ? "\\%c" : "%c", cp);
    else
        buf_printf(b, NULL, "%c%c", 0xC0 | cp >> 6, 0x80 | (cp & 63));
}

static void letters(struct buf *b, int64_t id)
{
    if (id >= 256 + 65536) {
        letters(b, 256 + (id - 256 - 65536) / 256);
        letter(b, (int)(id % 256));
    } else if (id >= 256) {
        letter(b, (int)(id - 256) / 256);
        letter(b, (int)(id % 256));
    } else
        letter(b, (int)id);
}

static void make_tokenizer(const char *dir)
{
    enum { N = 151643 };
    struct buf b = {0};
    buf_str(&b,
            "{\"added_tokens\":[{\"id\":151643,\"content\":\"<|endoftext|>\",\"special\":true}],"
            "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
            "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
            "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"
            "\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":"
            "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"decoder\":{\"type\":"
            "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{",
            NULL);
    for (int64_t id = 0; id < N; id++) {
        buf_str(&b, id ? ",\"" : "\"", NULL);
        letters(&b, id);
        buf_printf(&b, NULL, "\":%lld", (long long)id);
    }
    buf_str(&b, "},\"merges\":[", NULL);
    for (int64_t id = 256; id < N; id++) {
        buf_str(&b, id > 256 ? ",\"" : "\"", NULL);
        letters(&b, id < 256 + 65536 ? (id - 256) / 256 : 256 + (id - 256 - 65536) / 256);
        buf_str(&b, " ", NULL);
        letter(&b, (int)(id % 256));
        buf_str(&b, "\"", NULL);
    }
    buf_str(&b, "]}}", NULL);
    write_text(dir, "tokenizer.json", b.data, b.len);
    buf_dispose(&b);
}

/* ---- measuring */

/* A file's part that has to be parsed: all of it, or its first n bytes. */
struct part {
    char path[512];
    uint64_t n;
};
static struct part parts[MAX_FILES];
static int n_parts;
static volatile uint64_t sink;

static void part_add(const char *dir, const char *name)
{
    struct part *p = &parts[n_parts++];
    struct file_map m;
    struct err e = {0};
    snprintf(p->path, sizeof p->path, "%s%s%s", dir, *name ? "/" : "", name);
    if (file_map_open(&m, p->path, &e))
        die(&e);
    uint64_t header = 0;
    size_t len = strlen(p->path);
    if (len > 12 && !strcmp(p->path + len - 12, ".safetensors")) {
        memcpy(&header, m.data, 8);
        p->n = 8 + header;
    } else
        p->n = m.size;
    file_map_close(&m);
}

/* Maps every file and reads what has to be parsed, a word at a time. */
static double limit(void)
{
    double t0 = clock_now();
    uint64_t sum = 0;
    for (int i = 0; i < n_parts; i++) {
        struct file_map m;
        struct err e = {0};
        if (file_map_open(&m, parts[i].path, &e))
            die(&e);
        for (uint64_t k = 0; k + 8 <= parts[i].n; k += 8) {
            uint64_t word;
            memcpy(&word, m.data + k, 8);
            sum += word;
        }
        file_map_close(&m);
    }
    sink = sum;
    return clock_now() - t0;
}

/* Maps every file with all its pages (they are in memory). */
static double map_whole(void)
{
    double t0 = clock_now();
    for (int i = 0; i < n_parts; i++) {
        int fd = open(parts[i].path, O_RDONLY);
        off_t n = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
        void *p =
            n < 1 ? MAP_FAILED : mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (p == MAP_FAILED) {
            fprintf(stderr, "bench_load: cannot map %s\n", parts[i].path);
            exit(1);
        }
        munmap(p, (size_t)n);
        close(fd);
    }
    return clock_now() - t0;
}

enum what { WEIGHTS, STUDENT, TEACHER, TOKENIZER };

static double open_once(enum what what, const char *path, struct device *d)
{
    struct err e = {0};
    struct weights *w = NULL;
    struct lm *lm = NULL;
    struct tokenizer *t = NULL;
    double t0 = clock_now();
    if (what == WEIGHTS   ? weights_open(path, &w, &e)
        : what == STUDENT ? student_lm_open(path, d, &lm, &e)
        : what == TEACHER ? teacher_open(path, d, &lm, &e)
                          : tokenizer_open(path, &t, &e))
        die(&e);
    double seconds = clock_now() - t0;
    weights_close(w);
    lm_close(lm);
    tokenizer_close(t);
    return seconds;
}

static void report(const char *label, enum what what, const char *path, struct device *d)
{
    double least = 1e9, best = 1e9, whole = 1e9;
    uint64_t n = 0;
    for (int i = 0; i < n_parts; i++)
        n += parts[i].n;
    for (int i = 0; i < RUNS; i++) {
        double a = limit(), b = open_once(what, path, d);
        least = a < least ? a : least;
        best = b < best ? b : best;
        double c = map_whole();
        whole = c < whole ? c : whole;
    }
    printf("%-44s %8.2f ms  %8.3f ms  ratio %6.1f  %7.2f MB  %5.0f MB/s", label, 1e3 * best,
           1e3 * least, best / least, 1e-6 * (double)n, 1e-6 * (double)n / best);
    if (what != TOKENIZER)
        printf("  %8.2f ms  ratio %6.2f", 1e3 * whole, best / whole);
    puts("");
}

/* Real tokenizers, where they are there. */
static void report_real(const char *name)
{
    const char *shared = getenv("DECANT_SHARED");
    char dir[400], label[100];
    snprintf(dir, sizeof dir, "%s/tokenizers/%s", shared ? shared : "../shared", name);
    if (!file_is_dir(dir))
        return;
    n_parts = 0;
    part_add(dir, "tokenizer.json");
    snprintf(label, sizeof label, "tokenizer of %s", name);
    report(label, TOKENIZER, dir, NULL);
}

int main(void)
{
    struct err e = {0};
    char dir[] = "/tmp/bench-load-XXXXXX", qwen[300], deepseek[300], gguf[300];
    if (!mkdtemp(dir))
        return 1;
    snprintf(qwen, sizeof qwen, "%s/qwen", dir);
    snprintf(deepseek, sizeof deepseek, "%s/deepseek", dir);
    snprintf(gguf, sizeof gguf, "%s/qwen.gguf", dir);
    struct device *d = NULL;
    struct export_report r;
    if (file_make_dir(qwen, &e) || file_make_dir(deepseek, &e) || device_open("cpu", 0, &d, &e))
        die(&e);
    make_qwen(qwen);
    make_tokenizer(qwen);
    make_deepseek(deepseek);
    if (export_gguf(qwen, gguf, recipe_find("q4_0"), &r, &e))
        die(&e);
    printf("%-44s %11s  %11s  %12s  %10s  %10s  %11s\n", "", "opening", "limit", "", "to parse", "",
           "mapping all");
    part_add(qwen, "config.json");
    part_add(qwen, "model.safetensors");
    report("weights, Qwen2.5-0.5B, 0.99 GB", WEIGHTS, qwen, d);
    report("lm of it", STUDENT, qwen, d);
    n_parts = 0;
    part_add(qwen, "tokenizer.json");
    report("tokenizer of 151,644 tokens", TOKENIZER, qwen, d);
    n_parts = 0;
    part_add(gguf, "");
    for (int t = 0; t < DT_COUNT; t++) /* what is no weight is to be parsed */
        parts[0].n -= r.types[t].n_bytes;
    report("weights, the same as GGUF", WEIGHTS, gguf, d);
    report("lm of it", STUDENT, gguf, d);
    report("tokenizer of it", TOKENIZER, gguf, d);
    n_parts = 0;
    part_add(deepseek, "config.json");
    part_add(deepseek, "model.safetensors.index.json");
    for (int i = 0; i <= DS_LAYERS; i++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", i + 1, DS_LAYERS + 1);
        part_add(deepseek, name);
    }
    report("weights, DeepSeek-R1's 92,000 tensors", WEIGHTS, deepseek, d);
    report("lm of it", TEACHER, deepseek, d);
    report_real("qwen2.5");
    report_real("deepseek-v3");
    device_close(d);
    return file_remove_tree(dir, &e) ? 1 : 0;
}
