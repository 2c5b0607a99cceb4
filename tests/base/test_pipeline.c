/* The pipeline: every part once and in order, the first error in order, nothing after it. */
#include "core/base/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

struct job {
    int n, n_taken, n_given;
    int fail_take, fail_work, fail_give; /* at this part; -1: none */
};
struct slot {
    int i;
    uint64_t result;
};

static err_code take(void *ctx, void *s, bool *more, struct err *e)
{
    struct job *j = ctx;
    struct slot *slot = s;
    if (j->n_taken == j->fail_take)
        return err_set(e, ERR_IO, "take %d", j->n_taken);
    *more = j->n_taken < j->n;
    slot->i = j->n_taken;
    j->n_taken += *more;
    return ERR_OK;
}

static err_code work(void *ctx, int thread, void *s, struct err *e)
{
    struct job *j = ctx;
    struct slot *slot = s;
    volatile uint64_t x = 1;
    for (int i = 0; i < (slot->i % 7) * 300; i++) /* of uneven length */
        x = x * 3 + 1;
    slot->result = (uint64_t)slot->i * 2;
    (void)thread;
    return slot->i == j->fail_work ? err_set(e, ERR_FORMAT, "work %d", slot->i) : ERR_OK;
}

static err_code give(void *ctx, void *s, struct err *e)
{
    struct job *j = ctx;
    struct slot *slot = s;
    if (slot->i != j->n_given || slot->result != (uint64_t)slot->i * 2)
        return err_set(e, ERR_STATE, "part %d came as %d", slot->i, j->n_given);
    j->n_given++;
    return slot->i == j->fail_give ? err_set(e, ERR_STOPPED, "give %d", slot->i) : ERR_OK;
}

static err_code run(struct job *j, int n_threads, int n_slots, struct err *e)
{
    struct slot slots[16];
    struct pipeline p = {.take = take,
                         .work = work,
                         .give = give,
                         .ctx = j,
                         .slots = slots,
                         .slot_bytes = sizeof *slots,
                         .n_slots = n_slots,
                         .n_threads = n_threads};
    return pipeline_run(&p, e);
}

static void test_all_in_order(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 2, 3, 15, 16, 17, 2000};
    for (int threads = 1; threads <= 8; threads++)
        for (int slots = 1; slots <= 16; slots += 5)
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                struct job j = {.n = sizes[k], .fail_take = -1, .fail_work = -1, .fail_give = -1};
                struct err e = {0};
                if (run(&j, threads, slots, &e))
                    fail_msg("%s", e.msg);
                assert_int_equal(j.n_given, sizes[k]);
            }
}

static void test_the_first_error_ends_it(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct job j = {.n = 100, .fail_take = -1, .fail_work = -1, .fail_give = -1};
        int *which[] = {&j.fail_take, &j.fail_work, &j.fail_give};
        static const char *const words[] = {"take 40", "work 40", "give 40"};
        static const err_code codes[] = {ERR_IO, ERR_FORMAT, ERR_STOPPED};
        struct err e = {0};
        *which[i % 3] = 40;
        if (i % 2) /* a later one does not count */
            *which[(i + 1) % 3] = 60;
        assert_int_equal(run(&j, 1 + i % 5, 2 + i % 9, &e), codes[i % 3]);
        assert_string_equal(e.msg, words[i % 3]);
        assert_int_equal(j.n_given, i % 3 == 2 ? 41 : 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_order),
        cmocka_unit_test(test_the_first_error_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
