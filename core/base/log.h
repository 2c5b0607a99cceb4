/* Messages and progress, to stderr. A progress line is a bar that redraws itself on a terminal and
 * a plain line now and then elsewhere; DECANT_QUIET in the environment silences both, not warnings.
 * Also the clock and the stop flag that Ctrl-C sets. */
#ifndef DECANT_BASE_LOG_H
#define DECANT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* One line to stderr ("decant: " in front of warnings); erases a progress bar first. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Progress of a job of n_total units (0: not known).
 *     struct progress p;
 *     progress_begin(&p, "traces", n);
 *     progress_set(&p, done, "%.0f tok/s", rate);     // cheap: draws at most 10 times a second
 *     progress_end(&p, "%d traces in %.1f s", ...);   // the last, permanent line
 */
struct progress {
    const char *label;
    uint64_t n_total, n_first;
    double t0, t_drawn;
    bool tty, begun;
};
void progress_begin(struct progress *p, const char *label, uint64_t n_total);
/* n_done counts from n_first (work that an earlier run had done) for the time left. */
void progress_resume(struct progress *p, uint64_t n_first);
void progress_set(struct progress *p, uint64_t n_done, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void progress_end(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_drop(struct progress *p); /* without a last line: an error's message follows */

/* Seconds from a monotonic clock. */
double clock_now(void);

/* Ctrl-C and SIGTERM: stop_install makes them set a flag that long jobs poll; a second one kills.
 * The flag is the one global of the program: signal handlers have no other place. */
void stop_install(void);
bool stop_requested(void);

#endif
