/* A job of many like parts, over threads and in order: the parts are taken one after the other,
 * worked on side by side, and given away one after the other in the order they were taken.
 *
 *     struct pipeline p = {.take = read_batch, .work = convert, .give = write_batch, .ctx = &job,
 *                          .slots = slots, .n_slots = 8, .slot_bytes = sizeof *slots,
 *                          .n_threads = 4};
 *     rc = pipeline_run(&p, e);
 *
 * Slots are the caller's, n_slots structs in an array: at most so many parts are under way, which
 * bounds the memory; they are used again and again, so buffers in them keep their memory. */
#ifndef DECANT_BASE_PIPELINE_H
#define DECANT_BASE_PIPELINE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pipeline {
    /* Fills the slot with the next part; *more false: there is none, the slot is not used. One call
     * at a time, but from any thread. */
    err_code (*take)(void *ctx, void *slot, bool *more, struct err *e);
    /* Many at once; thread is 0 .. n_threads - 1 and never twice at once. */
    err_code (*work)(void *ctx, int thread, void *slot, struct err *e);
    /* On the thread that called pipeline_run, in order. While there is nothing to give, that thread
     * takes and works like the others. */
    err_code (*give)(void *ctx, void *slot, struct err *e);
    void *ctx;
    void *slots;
    size_t slot_bytes;
    int n_slots;   /* twice n_threads or more keeps all threads busy */
    int n_threads; /* the caller's included */
};
/* Ends with the first error in the order of the parts: those before it were given away, none after
 * it. With one thread all happens on the caller's. */
err_code pipeline_run(const struct pipeline *p, struct err *e);
/* The number of threads to use: n, or for 0 the cores that this process may run on. */
int pipeline_threads(int n);

#endif
