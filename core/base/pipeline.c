#include "core/base/pipeline.h"
#include "core/base/mem.h"

#include <pthread.h>
#include <sched.h>

enum state { FREE, BUSY, DONE, END }; /* END: no such part */

struct part {
    enum state state;
    err_code rc;
    struct err err;
};

struct run {
    const struct pipeline *p;
    struct part *parts;         /* [n_slots] */
    pthread_mutex_t take, lock; /* take: one thread takes at a time. lock: all below */
    pthread_cond_t freed, done; /* a slot was freed or all is over; a part is done */
    long n_taken;
    bool over; /* take nothing more */
};

struct worker {
    struct run *run;
    int thread;
    pthread_t id;
};

static void *slot(const struct run *r, long i)
{
    return (char *)r->p->slots + (size_t)(i % r->p->n_slots) * r->p->slot_bytes;
}

static struct part *part_of(const struct run *r, long i)
{
    return &r->parts[i % r->p->n_slots];
}

/* Fills the next slot, which is free, and works on it. With both locks held; at its end only with
 * lock. */
static void take_one(struct run *r, int thread)
{
    long i = r->n_taken;
    struct part *part = part_of(r, i);
    pthread_mutex_unlock(&r->lock);
    bool more = false;
    err_code rc = r->p->take(r->p->ctx, slot(r, i), &more, &part->err);
    pthread_mutex_lock(&r->lock);
    bool over = rc || !more; /* what comes after an error is not wanted */
    part->rc = rc;
    part->state = over ? END : BUSY;
    r->n_taken++;
    r->over |= over;
    pthread_cond_broadcast(&r->done);
    pthread_cond_broadcast(&r->freed);
    pthread_mutex_unlock(&r->take);
    if (over)
        return;
    pthread_mutex_unlock(&r->lock);
    rc = r->p->work(r->p->ctx, thread, slot(r, i), &part->err);
    pthread_mutex_lock(&r->lock);
    part->rc = rc;
    part->state = DONE;
    r->over |= rc != ERR_OK;
    pthread_cond_broadcast(&r->done);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct run *r = w->run;
    for (bool over = false; !over;) {
        pthread_mutex_lock(&r->take);
        pthread_mutex_lock(&r->lock);
        while (part_of(r, r->n_taken)->state != FREE && !r->over)
            pthread_cond_wait(&r->freed, &r->lock);
        if (r->over)
            pthread_mutex_unlock(&r->take);
        else
            take_one(r, w->thread);
        over = r->over;
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* The caller's part: gives away what is done, and works where nothing is. */
static err_code give_all(struct run *r, int thread, struct err *e)
{
    for (long i = 0;; i++) {
        struct part *part = part_of(r, i);
        pthread_mutex_lock(&r->lock);
        /* over without this part taken: a later one can't have been either */
        while (part->state != DONE && part->state != END && !(r->over && i >= r->n_taken)) {
            if (!r->over && part_of(r, r->n_taken)->state == FREE &&
                !pthread_mutex_trylock(&r->take))
                take_one(r, thread);
            else
                pthread_cond_wait(&r->done, &r->lock);
        }
        bool end = part->state != DONE;
        pthread_mutex_unlock(&r->lock);
        err_code rc = part->state == FREE ? ERR_OK : part->rc;
        if (rc && e)
            *e = part->err;
        if (!rc && !end)
            rc = r->p->give(r->p->ctx, slot(r, i), e);
        if (rc || end)
            return rc;
        pthread_mutex_lock(&r->lock);
        part->state = FREE;
        pthread_cond_broadcast(&r->freed);
        pthread_mutex_unlock(&r->lock);
    }
}

static err_code run_alone(const struct pipeline *p, struct err *e)
{
    for (;;) {
        bool more = false;
        err_code rc = p->take(p->ctx, p->slots, &more, e);
        if (rc || !more)
            return rc;
        rc = p->work(p->ctx, 0, p->slots, e);
        if (!rc)
            rc = p->give(p->ctx, p->slots, e);
        if (rc)
            return rc;
    }
}

err_code pipeline_run(const struct pipeline *p, struct err *e)
{
    if (p->n_threads < 2 || p->n_slots < 2)
        return run_alone(p, e);
    struct run r = {.p = p,
                    .take = PTHREAD_MUTEX_INITIALIZER,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .freed = PTHREAD_COND_INITIALIZER,
                    .done = PTHREAD_COND_INITIALIZER};
    struct worker *workers = mem_new((size_t)p->n_threads, sizeof *workers, e);
    r.parts = mem_new((size_t)p->n_slots, sizeof *r.parts, e);
    err_code rc = workers && r.parts ? ERR_OK : ERR_NOMEM;
    int n = 0;
    for (; n < p->n_threads - 1 && !rc; n++) {
        workers[n] = (struct worker){.run = &r, .thread = n};
        if (pthread_create(&workers[n].id, NULL, work, &workers[n]))
            break;
    }
    if (!rc)
        rc = n ? give_all(&r, n, e) : run_alone(p, e); /* fewer threads than asked for will do */
    pthread_mutex_lock(&r.lock);
    r.over = true;
    pthread_cond_broadcast(&r.freed);
    pthread_mutex_unlock(&r.lock);
    for (int i = 0; i < n; i++)
        pthread_join(workers[i].id, NULL);
    mem_free(workers);
    mem_free(r.parts);
    return rc;
}

int pipeline_threads(int n)
{
    cpu_set_t set;
    if (n > 0)
        return n;
    n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n < 1 ? 1 : n;
}
