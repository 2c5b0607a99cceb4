#include "core/base/log.h"
#include "core/base/err.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool quiet(void)
{
    const char *s = getenv("DECANT_QUIET");
    return s && *s && strcmp(s, "0");
}

static void put_line(const char *head, const char *fmt, va_list ap)
{
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    err_clean(line, strlen(line), '\n'); /* it may quote a server */
    fprintf(stderr, "%s%s%s\n", isatty(2) ? "\r\033[K" : "", head, line);
}

void log_info(const char *fmt, ...)
{
    if (quiet())
        return;
    va_list ap;
    va_start(ap, fmt);
    put_line("", fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line("decant: ", fmt, ap);
    va_end(ap);
}

double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(struct progress *p, const char *label, uint64_t n_total)
{
    *p = (struct progress){.label = label, .n_total = n_total, .t0 = clock_now()};
    p->tty = isatty(2);
    p->begun = !quiet();
    p->t_drawn = p->tty ? 0 : p->t0;
}

void progress_resume(struct progress *p, uint64_t n_first)
{
    p->n_first = n_first;
}

static void format_left(char *out, size_t size, double s)
{
    if (s < 90)
        snprintf(out, size, "%.0f s left", s);
    else if (s < 5400)
        snprintf(out, size, "%.0f min left", s / 60);
    else
        snprintf(out, size, "%.1f h left", s / 3600);
}

/* Redraws the terminal's line: without the bar where it would be too wide, and cut to the width,
 * since a line that wraps could not be redrawn. */
static void redraw(const char *label, const char *bar, const char *done, const char *left,
                   const char *text)
{
    struct winsize w;
    char line[600];
    size_t width = ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col : 0;
    const char *gap = *left ? "  " : "";
    int n = snprintf(line, sizeof line, "%s [%s] %s  %s%s%s", label, bar, done, left, gap, text);
    if (width && n >= (int)width) {
        snprintf(line, sizeof line, "%s %s  %s%s%s", label, done, left, gap, text);
        if (width <= sizeof line)
            line[width - 1] = 0;
    }
    fprintf(stderr, "\r\033[K%s", line);
}

void progress_set(struct progress *p, uint64_t n_done, const char *fmt, ...)
{
    double now = clock_now();
    if (!p->begun || now - p->t_drawn < (p->tty ? 0.1 : 10.0))
        return;
    p->t_drawn = now;
    char text[256], left[32] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    double share = n_done < p->n_total ? (double)n_done / (double)p->n_total : 1;
    char done[64];
    snprintf(done, sizeof done, p->n_total ? "%llu/%llu" : "%llu", (unsigned long long)n_done,
             (unsigned long long)p->n_total);
    if (p->n_total >= n_done && n_done > p->n_first)
        format_left(left, sizeof left,
                    (now - p->t0) * (double)(p->n_total - n_done) / (double)(n_done - p->n_first));
    if (p->tty && p->n_total) {
        enum { WIDTH = 24 };
        char bar[WIDTH + 1];
        for (int i = 0; i < WIDTH; i++)
            bar[i] = i < (int)(share * WIDTH) ? '#' : '.';
        bar[WIDTH] = 0;
        redraw(p->label, bar, done, left, text);
    } else {
        const char *head = p->tty ? "\r\033[K" : "", *end = p->tty ? "" : "\n";
        fprintf(stderr, "%s%s %s  %s  %s%s", head, p->label, done, text, left, end);
    }
    fflush(stderr);
}

void progress_end(struct progress *p, const char *fmt, ...)
{
    if (!p->begun)
        return;
    p->begun = false;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s%s: %s\n", p->tty ? "\r\033[K" : "", p->label, text);
}

void progress_drop(struct progress *p)
{
    if (p->begun && p->tty)
        fprintf(stderr, "\r\033[K");
    p->begun = false;
}

static volatile sig_atomic_t stop_flag;

static void on_signal(int sig)
{
    if (stop_flag)
        _exit(128 + sig);
    stop_flag = 1;
}

void stop_install(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool stop_requested(void)
{
    return stop_flag != 0;
}
