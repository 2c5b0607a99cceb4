/* Exporting streams: the memory that the command takes at its peak does not grow with the model. */
#include "tiny_model.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the command needs besides the model: program, libraries, buffers of one piece. And what may
 * be left of 84 more tensors: a page that is read brings neighbours with it (some 20 kB a tensor).
 */
enum { MOST_MB = 40, MOST_GROWTH_MB = 5 };

static const struct tiny one_layer = {"qwen2", 1, 768, 12, 4, 64, 3072, true, DT_BF16};
static const struct tiny eight_layers = {"qwen2", 8, 768, 12, 4, 64, 3072, true, DT_BF16};

/* The model with all its weights zero, in a file of holes: it costs neither time nor disk, and read
 * through a map its pages take memory as others do. Returns the bytes of the weights. */
static uint64_t make_hollow(const char *dir, const struct tiny *m)
{
    struct tiny_tensor all[128];
    struct buf header = {0};
    struct tiny empty = *m;
    char path[512];
    uint64_t at = 0;
    int n = tiny_tensors(m, all);
    empty.layers = 0;
    tiny_make(dir, &empty, 1); /* config, tokenizer; the tensors are replaced */
    for (int i = 0; i < n; i++) {
        uint64_t bytes = (uint64_t)(all[i].rows ? all[i].rows : 1) * (uint64_t)all[i].cols * 2;
        buf_printf(&header, NULL, "%c\"%s\":{\"dtype\":\"BF16\",\"shape\":[", i ? ',' : '{',
                   all[i].name);
        if (all[i].rows)
            buf_printf(&header, NULL, "%lld,", (long long)all[i].rows);
        buf_printf(&header, NULL, "%lld],\"data_offsets\":[%llu,%llu]}", (long long)all[i].cols,
                   (unsigned long long)at, (unsigned long long)(at + bytes));
        at += bytes;
    }
    buf_str(&header, "}", NULL);
    while (header.len % 8)
        buf_str(&header, " ", NULL);
    uint64_t len = header.len;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fwrite(&len, 8, 1, f) == 1 && fwrite(header.data, 1, len, f) == len);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), (off_t)(8 + len + at)), 0);
    fclose(f);
    snprintf(path, sizeof path, "%s/config.json", dir);
    struct buf config = {0};
    assert_int_equal(file_read(path, 1 << 20, &config, NULL), 0);
    char *layers = strstr(config.data, "\"num_hidden_layers\": 0");
    assert_non_null(layers);
    layers[strlen("\"num_hidden_layers\": ")] = (char)('0' + m->layers);
    tiny_write(dir, "config.json", config.data);
    buf_dispose(&config);
    buf_dispose(&header);
    return at;
}

/* Peak memory of the command in MB. */
static double export_peak(const char *model, const char *out, const char *type)
{
    char *argv[] = {
        getenv("DECANT"), "quantize-and-export", "--model",   (char *)model, "--out", (char *)out,
        "--type",         (char *)type,          "--threads", "2",           NULL};
    struct rusage use;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        setenv("OPENBLAS_NUM_THREADS", "1", 1);
        setenv("DECANT_QUIET", "1", 1);
        execv(argv[0], argv);
        _exit(127);
    }
    assert_true(wait4(child, &status, 0, &use) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return (double)use.ru_maxrss / 1024;
}

static void memory_does_not_grow_with_the_model(void **state)
{
    (void)state;
    if (!getenv("DECANT"))
        skip();
    char dir[] = "/tmp/decant-memory-XXXXXX", small[300], large[300], out[300];
    assert_non_null(mkdtemp(dir));
    snprintf(small, sizeof small, "%s/small", dir);
    snprintf(large, sizeof large, "%s/large", dir);
    snprintf(out, sizeof out, "%s/x.gguf", dir);
    uint64_t small_bytes = make_hollow(small, &one_layer);
    uint64_t large_bytes = make_hollow(large, &eight_layers);
    assert_true(small_bytes < 20 << 20 && large_bytes > 120 << 20);
    static const char *const types[] = {"q4_k_m", "f16"};
    for (int i = 0; i < 2; i++) {
        double a = export_peak(small, out, types[i]), b = export_peak(large, out, types[i]);
        print_message("%s: %.1f MB for a model of %.0f MB, %.1f MB for one of %.0f MB\n", types[i],
                      a, 1e-6 * (double)small_bytes, b, 1e-6 * (double)large_bytes);
        assert_true(b - a < MOST_GROWTH_MB);
#ifndef __SANITIZE_ADDRESS__
        assert_true(a < MOST_MB && b < MOST_MB);
#endif
    }
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_does_not_grow_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
