/* Killed with SIGKILL at 20 random moments, and continued each time: the final weights are those of
 * a run that was never touched, bit for bit, and every step stands once in the metrics. */
#include "tests/distill/train_fixture.h"

#include "core/base/rng.h"

enum { N_KILLS = 20, MAX_STEPS = 200, MAX_RUNS = 20 };

static char dir[] = "/tmp/decant-kill-XXXXXX";

/* A short text, so that strtok's words stay whole: no spaces in paths. */
static void command(char *out, size_t size, const char *run)
{
    snprintf(out, size,
             "distill --student tests/vectors/train/config.json --corpus %s/traces.db --out %s/%s "
             "--resume --epochs 3 --batch-tokens 256 --accumulation 2 --lr 0.01 --seed 3 "
             "--checkpoint-every 3 --keep 2 --eval-fraction 0.1 --dtype f32 --threads 2",
             dir, dir, run);
}

static void same_run(const char *a, const char *b)
{
    char x[400], y[400];
    double lx[MAX_STEPS], ly[MAX_STEPS];
    snprintf(x, sizeof x, "%s/%s/final/model.safetensors", dir, a);
    snprintf(y, sizeof y, "%s/%s/final/model.safetensors", dir, b);
    fixture_same_file(x, y);
    snprintf(x, sizeof x, "%s/%s", dir, a);
    snprintf(y, sizeof y, "%s/%s", dir, b);
    int n = fixture_losses(x, lx, MAX_STEPS);
    assert_int_equal(fixture_losses(y, ly, MAX_STEPS), n);
    for (int i = 0; i < n; i++)
        assert_true(lx[i] == ly[i]);
}

static void test_kill(void **state)
{
    (void)state;
    fixture_binary();
    struct rng r = rng_make((uint64_t)time(NULL), 0, 0);
    char args[1000], log[300], path[300];
    assert_non_null(mkdtemp(dir));
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(path, sizeof path, "%s/traces.db", dir);
    fixture_add(path, 0, 40);
    double t0 = fixture_clock();
    command(args, sizeof args, "whole");
    fixture_succeed(args, log);
    double whole = fixture_clock() - t0;
    int n_runs = 0, n_killed = 0;
    for (; n_killed < N_KILLS && n_runs < MAX_RUNS; n_runs++) {
        char run[20];
        snprintf(run, sizeof run, "killed-%d", n_runs);
        command(args, sizeof args, run);
        for (;;) {
            pid_t pid = fixture_start(args, log);
            bool kill_it = n_killed < N_KILLS;
            double wait = rng_uniform(&r) * whole;
            if (kill_it) {
                fixture_sleep(wait);
                kill(pid, SIGKILL);
            }
            int code = fixture_wait(pid);
            if (code == 0 && kill_it) /* it took less: the machine was busier in the first run */
                whole = wait;
            if (code == 0)
                break;
            if (code != 128 + SIGKILL)
                fail_msg("exit %d; see %s", code, log);
            n_killed++;
        }
        same_run("whole", run);
    }
    assert_int_equal(n_killed, N_KILLS);
    struct err e = {0};
    check(file_remove_tree(dir, &e), &e);
    print_message("%d kills over %d runs of %.2f s\n", n_killed, n_runs, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
