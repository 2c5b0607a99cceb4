/* What the tests of the training job share: a small corpus, and the decant binary run as a user
 * would run it. */
#ifndef DECANT_TESTS_TRAIN_FIXTURE_H
#define DECANT_TESTS_TRAIN_FIXTURE_H

#include "core/base/file.h"
#include "core/base/json.h"
#include "dataset/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static inline void check(err_code rc, const struct err *e)
{
    if (rc)
        fail_msg("error %d: %s", rc, e->msg);
}

/* Adds prompts first .. first+n-1, "What is a + b?", each with one right trace; every fifth prompt
 * has a wrong one too. */
static inline void fixture_add(const char *db, int first, int n)
{
    struct err e = {0};
    struct corpus *c;
    int64_t request;
    check(corpus_open(db, CORPUS_CREATE, &c, &e), &e);
    check(corpus_request(c, "{\"teacher\": \"test\"}", &request, &e), &e);
    for (int i = first; i < first + n; i++) {
        int a = i * 7 % 50, b = i * 3 % 41;
        char prompt[80], gold[16], answer[80], reasoning[120];
        snprintf(prompt, sizeof prompt, "What is %d + %d? (%d)", a, b, i);
        snprintf(gold, sizeof gold, "%d", a + b);
        struct corpus_prompt p = {
            .text = prompt, .gold = gold, .n_text = strlen(prompt), .n_gold = strlen(gold)};
        int64_t id, trace;
        bool added;
        check(corpus_add_prompt(c, &p, &id, &added, NULL, &e), &e);
        for (int k = 0; k < 1 + (i % 5 == 0); k++) {
            snprintf(reasoning, sizeof reasoning, "I add %d and %d%.*s and get %d.", a, b,
                     3 * (i % 9), ", slowly, yes, surely, now", a + b + k);
            snprintf(answer, sizeof answer, "It is \\boxed{%d}.", a + b + k);
            struct corpus_trace t = {.prompt_id = id,
                                     .request_id = request,
                                     .sample_index = k,
                                     .reasoning = reasoning,
                                     .answer = answer,
                                     .n_reasoning = strlen(reasoning),
                                     .n_answer = strlen(answer),
                                     .finish_reason = "stop",
                                     .n_prompt_tokens = -1,
                                     .n_reasoning_tokens = -1,
                                     .n_completion_tokens = -1,
                                     .n_cached_tokens = -1,
                                     .cost_usd = -1,
                                     .latency_ms = -1};
            check(corpus_add_trace(c, &t, &trace, &added, NULL, &e), &e);
        }
    }
    corpus_close(c);
}

static inline double fixture_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void fixture_sleep(double s)
{
    struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
    nanosleep(&t, NULL);
}

/* Skips the test when the binary is not built. */
static inline const char *fixture_binary(void)
{
    const char *path = getenv("DECANT");
    path = path ? path : "build/decant";
    if (access(path, X_OK))
        skip();
    return path;
}

/* decant ARGS (words split at spaces), stderr to `log`; not waited for. */
static inline pid_t fixture_start(const char *args, const char *log)
{
    const char *binary = fixture_binary();
    char copy[2000], *argv[64];
    int n = 0;
    snprintf(copy, sizeof copy, "%s", args);
    argv[n++] = "decant";
    for (char *w = strtok(copy, " "); w && n < 63; w = strtok(NULL, " "))
        argv[n++] = w;
    argv[n] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(fd, 1);
        dup2(fd, 2);
        setenv("OMP_NUM_THREADS", "2", 1);
        setenv("OMP_WAIT_POLICY", "passive", 1);
        execv(binary, argv);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* Its exit code, or 128 + the signal that ended it. */
static inline int fixture_wait(pid_t pid)
{
    int status;
    assert_true(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline int fixture_run(const char *args, const char *log)
{
    return fixture_wait(fixture_start(args, log));
}

static inline void fixture_text(const char *path, struct buf *b)
{
    struct err e = {0};
    buf_clear(b);
    check(file_read(path, 1 << 24, b, &e), &e);
}

static inline void fixture_succeed(const char *args, const char *log)
{
    int code = fixture_run(args, log);
    if (code) {
        struct buf b = {0};
        fixture_text(log, &b);
        fail_msg("decant %s: exit %d\n%s", args, code, b.data);
    }
}

static inline void fixture_same_file(const char *a, const char *b)
{
    struct buf x = {0}, y = {0};
    fixture_text(a, &x);
    fixture_text(b, &y);
    if (x.len != y.len || memcmp(x.data, y.data, x.len))
        fail_msg("%s and %s differ", a, b);
    buf_dispose(&x);
    buf_dispose(&y);
}

/* Steps 1, 2, 3, ... of metrics.jsonl with their losses; returns how many. */
static inline int fixture_losses(const char *run, double *loss, int max)
{
    struct err e = {0};
    struct buf b = {0};
    char path[500];
    int n = 0;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    fixture_text(path, &b);
    for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n")) {
        struct json j;
        int64_t step;
        check(json_parse(&j, path, line, strlen(line), &e), &e);
        if (json_at(j.root, "loss")) {
            check(json_int(&j, j.root, "step", 1, 1 << 20, &step, &e), &e);
            assert_int_equal(step, n + 1);
            assert_true(n < max);
            check(json_num(&j, j.root, "loss", &loss[n++], &e), &e);
        }
        json_close(&j);
    }
    buf_dispose(&b);
    return n;
}

#endif
