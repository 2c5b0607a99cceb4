/* The scheduler over a model whose logits are a hash of a sequence's whole history: a token that
 * went to the wrong sequence, twice, or not at all changes everything after it. */
#include "core/lm/sched.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 50, N = 40, MAX = 30, CONTEXT = 64, STOP = 7 };

struct fake_seq {
    struct lm_seq seq;
    uint64_t h;
};
struct fake {
    struct lm lm;
    int n_open, n_most;
    bool nan;
};

static err_code fake_open(struct lm *lm, int64_t max, struct lm_seq **out, struct err *e)
{
    (void)e;
    struct fake *f = (struct fake *)lm;
    struct fake_seq *s = calloc(1, sizeof *s);
    s->seq = (struct lm_seq){.lm = lm, .max_tokens = max};
    *out = &s->seq;
    if (++f->n_open > f->n_most)
        f->n_most = f->n_open;
    return ERR_OK;
}

static void fake_close(struct lm_seq *s)
{
    ((struct fake *)s->lm)->n_open--;
    free(s);
}

static err_code fake_forward(struct lm *lm, const struct lm_item *items, int64_t n, float *logits,
                             struct err *e)
{
    (void)e;
    for (int64_t i = 0; i < n; i++) {
        struct fake_seq *s = (struct fake_seq *)items[i].seq;
        for (int64_t j = 0; j < items[i].n_tokens; j++) {
            uint64_t pair[2] = {s->h, (uint64_t)items[i].tokens[j]};
            s->h = rng_hash(pair, sizeof pair);
        }
        s->seq.n_tokens += items[i].n_tokens;
        if (items[i].logits == LM_NONE)
            continue;
        struct rng r = rng_make(s->h, 0, 0);
        for (int v = 0; v < V; v++)
            *logits++ = ((struct fake *)lm)->nan ? NAN : (float)rng_uniform(&r) * 3;
    }
    return ERR_OK;
}

static const struct lm_ops fake_ops = {
    .seq_open = fake_open, .seq_close = fake_close, .forward = fake_forward};

struct job {
    int32_t prompts[N][CONTEXT + 8];
    int n_next, n_done;
    int32_t out[N][MAX];
    int64_t n_out[N];
    enum finish finish[N];
    int cancel; /* request that is cancelled at its third token, or -1 */
    int n_seen;
    int64_t n_choose;
};

static int64_t prompt_length(int i)
{
    return i == 13 ? CONTEXT + 5 : i == 14 ? CONTEXT - 4 : 1 + i * 7 % 29;
}

static bool next(void *ctx, struct gen_request *r, bool *end)
{
    struct job *j = ctx;
    if (j->n_next == N) {
        *end = true;
        return false;
    }
    static const int32_t stops[] = {STOP};
    int i = j->n_next++;
    *r = (struct gen_request){.id = (uint64_t)i,
                              .prompt = j->prompts[i],
                              .n_prompt = prompt_length(i),
                              .max_tokens = MAX,
                              .sampling = {0.8f, 0.9f, 0},
                              .rng = rng_make(9, (uint64_t)i, 0),
                              .stops = stops,
                              .n_stops = 1};
    return true;
}

static bool token(void *ctx, uint64_t id, int32_t t)
{
    (void)t;
    struct job *j = ctx;
    return (int)id != j->cancel || ++j->n_seen < 3;
}

static err_code done(void *ctx, const struct gen_result *r, struct err *e)
{
    (void)e;
    struct job *j = ctx;
    j->n_done++;
    j->n_out[r->id] = r->n_tokens;
    j->finish[r->id] = r->finish;
    memcpy(j->out[r->id], r->tokens ? r->tokens : (const int32_t *)j->out, (size_t)r->n_tokens * 4);
    return ERR_OK;
}

static void run(struct job *j, int slots, int chunk, int cancel, struct sched_stats *st)
{
    struct fake f = {.lm = {.ops = &fake_ops, .n_vocab = V, .max_context = CONTEXT}};
    int64_t n_choose = j->n_choose;
    memset(j, 0, sizeof *j);
    j->n_choose = n_choose;
    j->cancel = cancel;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < CONTEXT + 8; k++)
            j->prompts[i][k] = (i * 31 + k * 17) % V;
    struct sched_job job = {.next = next,
                            .token = token,
                            .done = done,
                            .ctx = j,
                            .n_slots = slots,
                            .n_choose = j->n_choose,
                            .prefill_chunk = chunk};
    struct err e = {0};
    assert_int_equal(sched_run(&f.lm, &job, st, &e), ERR_OK);
    assert_int_equal(f.n_open, 0);
    assert_true(f.n_most <= slots);
}

static void results_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static struct job one, many;
    struct sched_stats st1, st2;
    run(&one, 1, 0, -1, &st1);
    assert_int_equal(one.n_done, N);
    int n_stop = 0;
    for (int i = 0; i < N; i++)
        n_stop += one.finish[i] == FINISH_STOP;
    assert_true(n_stop > 3 && n_stop < N - 3); /* both ways of ending were seen */
    const int slots[] = {2, 7, 40, 64}, chunks[] = {1, 5, 0, 16};
    for (int c = 0; c < 4; c++) {
        run(&many, slots[c], chunks[c], -1, &st2);
        assert_memory_equal(one.out, many.out, sizeof one.out);
        assert_memory_equal(one.n_out, many.n_out, sizeof one.n_out);
        assert_memory_equal(one.finish, many.finish, sizeof one.finish);
        assert_int_equal(st1.n_tokens, st2.n_tokens);
        assert_int_equal(st1.n_prompt_tokens, st2.n_prompt_tokens);
    }
}

static void context_and_cancelling(void **state)
{
    (void)state;
    static struct job j;
    struct sched_stats st;
    run(&j, 8, 0, 3, &st);
    assert_int_equal(j.finish[13], FINISH_LENGTH); /* its prompt alone fills the context */
    assert_int_equal(j.n_out[13], 0);
    assert_true(j.n_out[14] <= 4);
    assert_int_equal(j.finish[3], FINISH_CANCELLED);
    assert_int_equal(j.n_out[3], 3);
    assert_int_equal(j.n_done, N);
}

static void padding_is_never_chosen(void **state)
{
    (void)state;
    static struct job j;
    struct sched_stats st;
    j.n_choose = 20;
    run(&j, 8, 0, -1, &st);
    for (int i = 0; i < N; i++)
        for (int64_t k = 0; k < j.n_out[i]; k++)
            assert_true(j.out[i][k] < 20);
}

static void broken_model_is_an_error(void **state)
{
    (void)state;
    static struct job j;
    struct fake f = {.lm = {.ops = &fake_ops, .n_vocab = V, .max_context = CONTEXT}, .nan = true};
    memset(&j, 0, sizeof j);
    struct sched_job job = {.next = next, .token = token, .done = done, .ctx = &j, .n_slots = 4};
    struct sched_stats st;
    struct err e = {0};
    assert_int_equal(sched_run(&f.lm, &job, &st, &e), ERR_STATE);
    assert_non_null(strstr(e.msg, "NaN"));
    assert_int_equal(f.n_open, 0);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct fake f = {.lm = {.ops = &fake_ops, .n_vocab = V, .max_context = CONTEXT}};
    struct err e = {0};
    struct lm_seq *s;
    float logits[2 * V];
    assert_int_equal(lm_seq_open(&f.lm, CONTEXT + 1, &s, &e), ERR_USAGE);
    assert_int_equal(lm_seq_open(&f.lm, 3, &s, &e), ERR_OK);
    int32_t good[] = {1, 2, 3, 4}, bad[] = {1, V};
    struct lm_item items[2] = {{s, bad, 2, LM_LAST}, {s, good, 1, LM_LAST}};
    assert_int_equal(lm_forward(&f.lm, items, 1, logits, &e), ERR_USAGE);
    items[0].tokens = good;
    assert_int_equal(lm_forward(&f.lm, items, 2, logits, &e), ERR_USAGE); /* twice */
    items[0].n_tokens = 4;
    assert_int_equal(lm_forward(&f.lm, items, 1, logits, &e), ERR_USAGE); /* no room */
    items[0].n_tokens = 3;
    assert_int_equal(lm_forward(&f.lm, items, 1, logits, &e), ERR_OK);
    lm_seq_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_the_batch),
        cmocka_unit_test(context_and_cancelling),
        cmocka_unit_test(padding_is_never_chosen),
        cmocka_unit_test(broken_model_is_an_error),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
