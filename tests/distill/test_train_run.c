/* The training job as a user meets it: the run directory, Ctrl-C, settings that do not fit. */
#include "tests/distill/train_fixture.h"

#include <math.h>

static char dir[] = "/tmp/decant-run-XXXXXX";
static char run_log[300];

/* Of every run that does not say otherwise. */
static const char *const common[][2] = {{"--epochs", "2"},
                                        {"--batch-tokens", "256"},
                                        {"--lr", "0.01"},
                                        {"--dtype", "f32"},
                                        {"--threads", "2"}};

/* printf into one of a few buffers. */
static const char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *fmt, ...)
{
    static char buffers[4][1200];
    static int i;
    char *b = buffers[i++ % 4];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b, sizeof buffers[0], fmt, ap);
    va_end(ap);
    return b;
}

static void expect(const char *args, int code, const char *says)
{
    struct buf b = {0};
    int got = fixture_run(args, run_log);
    fixture_text(run_log, &b);
    if (got != code || !strstr(b.data, says))
        fail_msg("decant %s: exit %d, expected %d and \"%s\":\n%s", args, got, code, says, b.data);
    buf_dispose(&b);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(run_log, sizeof run_log, "%s/log", dir);
    fixture_add(text("%s/traces.db", dir), 0, 40);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

static const char *with_common(const char *line)
{
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (!strstr(line, common[i][0]))
            line = text("%s %s %s", line, common[i][0], common[i][1]);
    return line;
}

static const char *bare_run(const char *name, const char *more)
{
    return text("distill --student tests/vectors/train/config.json --corpus %s/traces.db --out "
                "%s/%s %s",
                dir, dir, name, more);
}

static const char *new_run(const char *name, const char *more)
{
    return with_common(bare_run(name, more));
}

/* What the directory holds at the end, and that the loss went down on what was held out. */
static void test_whole_run(void **state)
{
    (void)state;
    fixture_binary();
    fixture_succeed(new_run("a", "--eval-fraction 0.2 --epochs 6 --checkpoint-every 4 --keep 1"),
                    run_log);
    static const char *const files[] = {"config.json",          "metrics.jsonl",
                                        "final/config.json",    "final/model.safetensors",
                                        "final/tokenizer.json", "final/tokenizer_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(file_exists(text("%s/a/%s", dir, files[i])));
    struct err e = {0};
    struct json j;
    int64_t n_docs, n_steps, n_held;
    const char *form;
    check(json_open(&j, text("%s/a/config.json", dir), 1 << 16, &e), &e);
    check(json_int(&j, j.root, "corpus.n_documents", 1, 100, &n_docs, &e), &e);
    check(json_int(&j, j.root, "corpus.n_held_out", 1, 100, &n_held, &e), &e);
    check(json_int(&j, j.root, "plan.n_steps", 1, 1000, &n_steps, &e), &e);
    check(json_str(&j, j.root, "corpus.chat_form", &form, &e), &e);
    assert_string_equal(form, "r1");
    assert_int_equal(n_docs + n_held, 40); /* the eight wrong traces are left out */
    json_close(&j);
    double loss[1000];
    int n = fixture_losses(text("%s/a", dir), loss, 1000);
    assert_int_equal(n, n_steps);
    assert_true(fabs(loss[0] - log(264)) < 0.5); /* drawn weights know nothing */
    assert_true(loss[n - 1] < 0.8 * loss[0]);
    /* one checkpoint stays */
    int n_there = 0;
    for (int i = 1; i <= n; i++)
        n_there += file_exists(text("%s/a/checkpoints/step-%d/complete.json", dir, i));
    assert_int_equal(n_there, 1);
    /* finished: nothing more to do; and never overwritten */
    expect(text("distill --out %s/a --resume", dir), 0, "finished before");
    expect(new_run("a", ""), 1, "--resume");
    /* a final/ that no run made does not pass for one */
    check(file_make_dir(text("%s/z/final", dir), &e), &e);
    expect(new_run("z", ""), 1, "z/final: is there");
}

static void test_settings_must_fit(void **state)
{
    (void)state;
    fixture_binary();
    fixture_succeed(new_run("b", ""), run_log);
    struct err e = {0};
    check(file_copy(text("%s/b/final/model.safetensors", dir), text("%s/b.safetensors", dir), &e),
          &e);
    check(file_remove_tree(text("%s/b/final", dir), &e), &e);
    expect(text("distill --out %s/b --resume --lr 0.02", dir), 2, "lr");
    expect(text("distill --out %s/b --resume --epochs 3", dir), 2, "epochs");
    expect(text("distill --out %s/b --resume --select all", dir), 2, "select");
    expect(text("distill --out %s/b --resume --threads 1", dir), 2, "threads");
    expect(text("distill --out %s/nothing --resume", dir), 1, "--student");
    expect(text("distill --corpus %s/traces.db --out %s/c", dir, dir), 2, "--student");
    expect(new_run("d", "--target questions"), 2, "traces|answers");
    expect(new_run("e", "--max-length 300"), 2, "max_length");
    expect(new_run("f", "--select 1=0"), 1, "holds no trace");
    expect(new_run("g", "--device abacus"), 2, "abacus");
    /* a setting that changes nothing may change; and the run can be finished again */
    expect(text("distill --out %s/b --resume --keep 7", dir), 0, "student");
    fixture_same_file(text("%s/b/final/model.safetensors", dir), text("%s/b.safetensors", dir));
}

/* The one step of an epoch: its gradient's norm. */
static double only_norm(const char *run)
{
    struct err e = {0};
    struct json j;
    struct buf b = {0};
    double norm;
    fixture_text(text("%s/%s/metrics.jsonl", dir, run), &b);
    assert_ptr_equal(strchr(b.data, '\n'), b.data + b.len - 1);
    check(json_parse(&j, run, b.data, b.len, &e), &e);
    check(json_num(&j, j.root, "grad_norm", &norm, &e), &e);
    json_close(&j);
    buf_dispose(&b);
    return norm;
}

/* All documents in one batch, or in many small ones of unequal numbers of targets that accumulate:
 * the same loss and the same gradient. */
static void test_accumulation(void **state)
{
    (void)state;
    fixture_binary();
    const char *one = "--epochs 1 --batch-tokens 8192 --max-length 256";
    const char *many = "--epochs 1 --batch-tokens 150 --max-length 150 --accumulation 64";
    double a[2], b[2];
    fixture_succeed(new_run("one-batch", one), run_log);
    fixture_succeed(new_run("many-batches", many), run_log);
    assert_int_equal(fixture_losses(text("%s/one-batch", dir), a, 2), 1);
    assert_int_equal(fixture_losses(text("%s/many-batches", dir), b, 2), 1);
    assert_true(fabs(a[0] - b[0]) < 1e-6 * a[0]);
    double norm = only_norm("one-batch"), other = only_norm("many-batches");
    if (!(fabs(norm - other) < 1e-5 * norm))
        fail_msg("gradient's norm %.9g in one batch, %.9g in many", norm, other);
}

static int64_t config_number(const char *run, const char *key)
{
    struct err e = {0};
    struct json j;
    int64_t n;
    check(json_open(&j, text("%s/%s/config.json", dir, run), 1 << 16, &e), &e);
    check(json_int(&j, j.root, key, 0, 1 << 30, &n, &e), &e);
    json_close(&j);
    return n;
}

/* Correct traces by default; all of them, or the answers alone, when asked for. */
static void test_selection(void **state)
{
    (void)state;
    fixture_binary();
    fixture_succeed(new_run("correct", "--epochs 1"), run_log);
    fixture_succeed(new_run("all", "--epochs 1 --select all"), run_log);
    fixture_succeed(new_run("answers", "--epochs 1 --target answers"), run_log);
    fixture_succeed(new_run("short", "--epochs 1 --max-length 80"), run_log);
    fixture_succeed(new_run("cut", "--epochs 1 --max-length 80 --over cut"), run_log);
    assert_int_equal(config_number("correct", "corpus.n_documents"), 40);
    assert_int_equal(config_number("all", "corpus.n_documents"), 48);
    assert_int_equal(config_number("answers", "corpus.n_documents"), 40);
    int64_t whole = config_number("correct", "plan.targets_per_epoch");
    int64_t answers = config_number("answers", "plan.targets_per_epoch");
    assert_true(answers > 40 * 10 && answers < whole / 2);
    assert_true(config_number("short", "corpus.n_skipped") > 0);
    assert_int_equal(config_number("short", "corpus.n_skipped"),
                     config_number("cut", "corpus.n_cut"));
    assert_int_equal(config_number("cut", "corpus.n_documents"), 40);
}

static void test_config_file(void **state)
{
    (void)state;
    fixture_binary();
    struct err e = {0};
    const char *config = text("%s/settings.json", dir);
    const char *json = "{\"epochs\": 1, \"batch_tokens\": 200, \"lr\": 0.5}";
    check(file_replace(config, json, strlen(json), &e), &e);
    fixture_succeed(new_run("h", text("--config %s/settings.json", dir)), run_log);
    struct json j;
    int64_t epochs, tokens;
    check(json_open(&j, text("%s/h/config.json", dir), 1 << 16, &e), &e);
    check(json_int(&j, j.root, "settings.epochs", 0, 9, &epochs, &e), &e);
    check(json_int(&j, j.root, "settings.batch_tokens", 0, 999, &tokens, &e), &e);
    assert_int_equal(epochs, 2); /* the command line goes first */
    assert_int_equal(tokens, 256);
    json_close(&j);
    /* neither another run's directory nor a model's is written to */
    expect(new_run("h", ""), 1, "already holds a run; --resume continues it");
    expect(new_run("h/final", ""), 1, "holds a model, not a run; give --out another directory");
    json = "{\"epoch\": 1}";
    check(file_replace(text("%s/settings.json", dir), json, strlen(json), &e), &e);
    expect(new_run("i", text("--config %s/settings.json", dir)), 1, "epoch");
    /* a bad value is the file's, not the command line's */
    static const struct {
        const char *json, *option, *says;
    } bad[] = {
        {"{\"target\": \"odd\"}", "--target odd", "target is \"odd\"; it can be"},
        {"{\"lr\": 0}", "--lr 0", "lr is 0"},
        {"{\"warmup\": 2}", NULL, "warmup is 2"},
        {"{\"select\": \"xx > 3\"}", "--select xx", "no such column: xx"},
        {"{\"device\": \"odd\"}", "--device odd", "device \"odd\" is not known"},
        {"{\"max_length\": 99999}", "--max-length 99999", "max_length is 99999"},
        {"{\"max_length\": 1}", "--max-length 1", "cannot hold documents of 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char says[200], key[20] = {0};
        strncpy(key, bad[i].json, strcspn(bad[i].json, ":"));
        snprintf(says, sizeof says, "%s/settings.json: %s: ", dir, key + 1);
        check(file_replace(text("%s/settings.json", dir), bad[i].json, strlen(bad[i].json), &e),
              &e);
        expect(bare_run("i", text("--config %s/settings.json", dir)), 1, says);
        expect(bare_run("i", text("--config %s/settings.json", dir)), 1, bad[i].says);
        if (bad[i].option)
            expect(bare_run("i", bad[i].option), 2, bad[i].says);
    }
}

/* Ctrl-C: exit 3 and how to go on; then the same bits. A corpus that has grown since is refused. */
static void test_ctrl_c(void **state)
{
    (void)state;
    fixture_binary();
    const char *more = "--epochs 40 --accumulation 3 --checkpoint-every 0";
    fixture_succeed(new_run("whole", more), run_log);
    pid_t pid = fixture_start(new_run("stopped", more), run_log);
    struct buf b = {0};
    for (int i = 0; i < 600; i++) { /* until some steps are done */
        fixture_sleep(0.02);
        if (file_exists(text("%s/stopped/metrics.jsonl", dir)))
            fixture_text(text("%s/stopped/metrics.jsonl", dir), &b);
        if (b.len > 600)
            break;
    }
    kill(pid, SIGINT);
    int code = fixture_wait(pid);
    fixture_text(run_log, &b);
    if (code != 3 || !strstr(b.data, "--resume"))
        fail_msg("exit %d: %s", code, b.data);
    buf_dispose(&b);
    /* it goes on where it stopped: a run begun anew would end with the same bits, too */
    expect(text("distill --out %s/stopped --resume", dir), 0, "continuing from step ");
    fixture_same_file(text("%s/whole/final/model.safetensors", dir),
                      text("%s/stopped/final/model.safetensors", dir));
    /* traces that came since are no part of the run; other verdicts or marks are refused */
    struct err e = {0};
    check(file_remove_tree(text("%s/stopped/final", dir), &e), &e);
    fixture_add(text("%s/traces.db", dir), 100, 1);
    expect(text("distill --out %s/stopped --resume", dir), 0, "");
    fixture_same_file(text("%s/whole/final/model.safetensors", dir),
                      text("%s/stopped/final/model.safetensors", dir));
    check(file_remove_tree(text("%s/stopped/final", dir), &e), &e);
    /* a corpus that was moved: another path to the same traces */
    assert_int_equal(rename(text("%s/traces.db", dir), text("%s/moved.db", dir)), 0);
    expect(text("distill --out %s/stopped --resume", dir), 1, "if it was moved, say where it is");
    expect(text("distill --out %s/stopped --resume --corpus %s/moved.db", dir, dir), 0, "");
    fixture_same_file(text("%s/whole/final/model.safetensors", dir),
                      text("%s/stopped/final/model.safetensors", dir));
    check(file_remove_tree(text("%s/stopped/final", dir), &e), &e);
    assert_int_equal(rename(text("%s/moved.db", dir), text("%s/traces.db", dir)), 0);
    fixture_succeed(text("corpus filter --corpus %s/traces.db --where id=1 --as odd", dir),
                    run_log);
    expect(text("distill --out %s/stopped --resume", dir), 1, "corpus selection");
}

static int count(const char *s, const char *what)
{
    int n = 0;
    for (; (s = strstr(s, what)); s += strlen(what))
        n++;
    return n;
}

/* Ctrl-C while the held-out loss after some step is computed, in between or at the end: continuing
 * makes up for it. */
static void test_ctrl_c_in_evaluation(void **state)
{
    (void)state;
    fixture_binary();
    fixture_add(text("%s/many.db", dir), 0, 2000);
    for (int step = 1; step <= 2; step++) {
        pid_t pid = fixture_start(
            text("distill --student tests/vectors/train/config.json --corpus %s/many.db --out "
                 "%s/eval%d --epochs 2 --batch-tokens 8192 --accumulation 8 --max-length 256 "
                 "--eval-fraction 0.9 --checkpoint-every 1 --threads 1",
                 dir, dir, step),
            run_log);
        const char *metrics = text("%s/eval%d/metrics.jsonl", dir, step);
        struct buf b = {0};
        for (int i = 0; i < 60000 && (!b.data || count(b.data, "\"loss\"") < step); i++) {
            fixture_sleep(0.002);
            if (file_exists(metrics))
                fixture_text(metrics, &b);
        }
        kill(pid, SIGINT);
        assert_int_equal(fixture_wait(pid), 3);
        fixture_text(metrics, &b);
        assert_int_equal(count(b.data, "eval_loss"), step); /* or this test came too late */
        expect(text("distill --out %s/eval%d --resume", dir, step), 0, "held out");
        fixture_text(metrics, &b);
        assert_int_equal(count(b.data, "\"loss\""), 2);
        assert_int_equal(count(b.data, "eval_loss"), 3);
        buf_dispose(&b);
    }
}

/* Ctrl-C in the first step, behind the first held-out loss: it is not computed again. */
static void test_ctrl_c_in_the_first_step(void **state)
{
    (void)state;
    fixture_binary();
    fixture_add(text("%s/first.db", dir), 0, 2000);
    pid_t pid = fixture_start(
        text("distill --student tests/vectors/train/config.json --corpus %s/first.db --out "
             "%s/first --epochs 1 --batch-tokens 1024 --accumulation 1000 --max-length 256 "
             "--eval-fraction 0.02 --threads 1",
             dir, dir),
        run_log);
    const char *metrics = text("%s/first/metrics.jsonl", dir);
    struct buf b = {0};
    for (int i = 0; i < 60000 && (!b.data || !count(b.data, "eval_loss")); i++) {
        fixture_sleep(0.002);
        if (file_exists(metrics))
            fixture_text(metrics, &b);
    }
    kill(pid, SIGINT);
    assert_int_equal(fixture_wait(pid), 3); /* or this test came too late */
    expect(text("distill --out %s/first --resume", dir), 0, "held out");
    fixture_text(metrics, &b);
    assert_int_equal(count(b.data, "\"step\": 0, \"eval_loss\""), 1);
    buf_dispose(&b);
}

/* A student with a NaN among its weights: said as that, and metrics.jsonl stays JSON. */
static void test_damaged_student(void **state)
{
    (void)state;
    fixture_binary();
    fixture_succeed(new_run("sound", "--epochs 1"), run_log);
    struct err e = {0};
    struct buf b = {0};
    const char *weights = text("%s/sound/final/model.safetensors", dir);
    check(file_read(weights, 1 << 28, &b, &e), &e);
    memset(b.data + b.len - 4, 0xFF, 4);
    check(file_replace(weights, b.data, b.len, &e), &e);
    const char *again = with_common(text(
        "distill --student %s/sound/final --corpus %s/traces.db --out %s/damaged", dir, dir, dir));
    expect(text("%s --eval-fraction 0.2", again), 1, "held-out loss after step 0");
    fixture_text(text("%s/damaged/metrics.jsonl", dir), &b);
    assert_int_equal(b.len, 0);
    check(file_remove_tree(text("%s/damaged", dir), &e), &e);
    expect(again, 1, "weights are damaged");
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_run),
        cmocka_unit_test(test_settings_must_fit),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_config_file),
        cmocka_unit_test(test_ctrl_c),
        cmocka_unit_test(test_ctrl_c_in_evaluation),
        cmocka_unit_test(test_ctrl_c_in_the_first_step),
        cmocka_unit_test(test_damaged_student),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
