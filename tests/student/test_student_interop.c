/* transformers opens what student_save writes, finds every tensor, and computes the same logits.
 * Skipped without Python, torch and transformers. */
#include "tests/student/student_vectors.h"

#include "core/base/file.h"

#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/decant-interop-XXXXXX";

static void add_arguments(struct buf *command, const char *folder, const struct batch *b,
                          const char *logits)
{
    struct err e = {0};
    check(buf_printf(command, &e, " %s ", folder), &e);
    for (int64_t t = 0; t < b->n_tokens; t++)
        check(buf_printf(command, &e, "%s%d", t ? "," : "", b->tokens[t]), &e);
    check(buf_printf(command, &e, " %s", logits), &e);
}

/* Changes every parameter, so that stale files could not pass; then writes. */
static void write_model(const char *model, struct device *d, enum dtype dtype, struct buf *command)
{
    struct err e = {0};
    struct student *s, *back;
    struct vectors v;
    struct batch b;
    char folder[300], path[300];
    vectors_open(&v, model);
    check(batch_init(&b, 64, &e), &e);
    int64_t n, n_prompt;
    const int32_t *doc = vectors_doc(&v, 0, &n, &n_prompt);
    assert_true(batch_add(&b, doc, n, n_prompt));
    snprintf(folder, sizeof folder, "%s/%s-%s", dir, model, dtype_info(dtype)->name);
    snprintf(path, sizeof path, "%s/%s.f32", dir, model);
    check(student_open(v.dir, d, 0, &s, &e), &e);
    for (size_t i = 0; i < s->n_params; i++)
        s->params[i] = s->params[i] * 0.9f + 0.01f;
    check(student_save(s, folder, dtype, NULL, &e), &e);
    check(student_open(folder, d, 0, &back, &e), &e);
    check(student_reserve(back, &(struct student_options){.max_tokens = 64}, &e), &e);
    size_t bytes = (size_t)(n * s->config.n_vocab) * sizeof(float);
    float *logits = test_malloc(bytes);
    check(student_logits(back, &b, logits, &e), &e);
    check(file_replace(path, logits, bytes, &e), &e);
    add_arguments(command, folder, &b, path);
    test_free(logits);
    student_close(s);
    student_close(back);
    batch_dispose(&b);
    st_close(&v.file);
}

static void test_transformers(void **state)
{
    (void)state;
    struct err e = {0};
    struct device *d;
    assert_non_null(mkdtemp(dir));
    check(device_open("cpu", 1, &d, &e), &e);
    static const enum dtype dtypes[] = {DT_F32, DT_BF16, DT_F16, DT_F32, DT_BF16};
    struct buf command = {0};
    check(buf_str(&command, "OMP_NUM_THREADS=1 python3 tests/student/open_in_transformers.py", &e),
          &e);
    for (int i = 0; i < N_VECTOR_MODELS; i++)
        write_model(vector_models[i], d, dtypes[i], &command);
    check(buf_printf(&command, &e, " >%s/log 2>&1", dir), &e);
    int status = system(command.data), code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    buf_clear(&command);
    if (code == 1) {
        char log[300];
        snprintf(log, sizeof log, "%s/log", dir);
        check(file_read(log, 1 << 20, &command, &e), &e);
        fail_msg("transformers: %s", command.data);
    }
    buf_dispose(&command);
    device_close(d);
    check(file_remove_tree(dir, &e), &e);
    if (code) {
        print_message("Python with torch and transformers is absent\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
