/* Messages and progress where stderr is no terminal; the stop flag. */
#include "core/base/log.h"
#include "tests/base/temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

/* What f writes to stderr. */
static const char *captured(void (*f)(void))
{
    static struct buf b;
    struct err e;
    buf_clear(&b);
    fflush(stderr);
    int keep = dup(2), fd = open(in_dir("stderr"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(fd, 2);
    close(fd);
    f();
    fflush(stderr);
    dup2(keep, 2);
    close(keep);
    if (file_read(in_dir("stderr"), 1 << 20, &b, &e))
        abort();
    static char text[4096];
    snprintf(text, sizeof text, "%s", b.data);
    buf_dispose(&b);
    return text;
}

static void messages(void)
{
    log_info("told %d", 1);
    log_warn("warned %d", 2);
    log_warn("a server's \033[31mname");
}

static void a_job(void)
{
    struct progress p;
    progress_begin(&p, "traces", 100);
    progress_resume(&p, 10);
    for (uint64_t i = 10; i <= 100; i++)
        progress_set(&p, i, "%d tok/s", 5); /* too soon for a line */
    p.t_drawn -= 11;
    p.t0 -= 30;
    progress_set(&p, 40, "%d tok/s", 5);
    progress_end(&p, "%d done", 100);
    progress_end(&p, "twice");
}

static void an_endless_job(void)
{
    struct progress p;
    progress_begin(&p, "steps", 0);
    p.t_drawn -= 11;
    progress_set(&p, 40, "x");
    progress_begin(&p, "more", 10); /* more done than was known */
    p.t_drawn -= 11;
    progress_set(&p, 40, "x");
}

static void messages_and_quiet(void **state)
{
    (void)state;
    unsetenv("DECANT_QUIET");
    assert_string_equal(captured(messages),
                        "told 1\ndecant: warned 2\ndecant: a server's ?[31mname\n");
    setenv("DECANT_QUIET", "1", 1);
    assert_string_equal(captured(messages), "decant: warned 2\ndecant: a server's ?[31mname\n");
    assert_string_equal(captured(a_job), "");
    unsetenv("DECANT_QUIET");
}

static void progress_is_a_line_now_and_then(void **state)
{
    (void)state;
    assert_string_equal(captured(a_job), "traces 40/100  5 tok/s  60 s left\ntraces: 100 done\n");
    assert_string_equal(captured(an_endless_job), "steps 40  x  \nmore 40/10  x  \n");
}

static void the_clock_runs(void **state)
{
    (void)state;
    double t = clock_now();
    usleep(2000);
    assert_true(clock_now() - t > 0.0015);
}

static void a_signal_asks_to_stop(void **state)
{
    (void)state;
    stop_install();
    assert_false(stop_requested());
    raise(SIGTERM);
    assert_true(stop_requested());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_quiet),
        cmocka_unit_test(progress_is_a_line_now_and_then),
        cmocka_unit_test(the_clock_runs),
        cmocka_unit_test(a_signal_asks_to_stop),
    };
    return cmocka_run_group_tests(tests, temp_dir_setup, temp_dir_teardown);
}
