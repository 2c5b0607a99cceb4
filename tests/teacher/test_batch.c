/* A sequence's logits do not depend, to the bit, on the batch or on how its tokens were cut. */
#include "tests/teacher/common.h"

enum { N_SEQS = 64, MAX_LEN = 40 };

/* 64 sequences of different lengths, and their logits when each runs alone in one call. */
struct alone {
    int32_t tokens[N_SEQS][MAX_LEN];
    int64_t n[N_SEQS];
    float *logits[N_SEQS];
};

static void run_alone(struct alone *a, struct lm *lm)
{
    struct rng r = rng_make(5, 0, 0);
    for (int i = 0; i < N_SEQS; i++) {
        a->n[i] = 1 + (int64_t)rng_below(&r, MAX_LEN);
        for (int64_t t = 0; t < a->n[i]; t++)
            a->tokens[i][t] = (int32_t)rng_below(&r, (uint64_t)lm->n_vocab);
        a->logits[i] = mem_new((size_t)(a->n[i] * lm->n_vocab), sizeof(float), NULL);
        struct lm_seq *s = seq_new(lm);
        feed(lm, s, a->tokens[i], a->n[i], a->n[i], a->logits[i]);
        lm_seq_close(s);
    }
}

/* All sequences together; each call gives each unfinished one up to `most` tokens (at random). */
static void check_together(const struct alone *a, struct lm *lm, uint64_t most, uint64_t seed)
{
    struct err err = {0};
    struct rng r = rng_make(seed, 1, 0);
    struct lm_seq *seqs[N_SEQS];
    struct lm_item items[N_SEQS];
    float *logits = mem_new((size_t)(N_SEQS * MAX_LEN * lm->n_vocab), sizeof *logits, NULL);
    for (int i = 0; i < N_SEQS; i++)
        seqs[i] = seq_new(lm);
    for (;;) {
        int n_items = 0, who[N_SEQS];
        for (int k = 0; k < N_SEQS; k++) {
            int i = (k + (int)seed) % N_SEQS; /* another order each time */
            int64_t left = a->n[i] - seqs[i]->n_tokens;
            if (!left || (seqs[i]->n_tokens && rng_below(&r, 4) == 0))
                continue;
            int64_t n = 1 + (int64_t)rng_below(&r, most);
            who[n_items] = i;
            items[n_items++] = (struct lm_item){.seq = seqs[i],
                                                .tokens = a->tokens[i] + seqs[i]->n_tokens,
                                                .n_tokens = n < left ? n : left,
                                                .logits = LM_ALL};
        }
        if (!n_items) {
            bool done = true;
            for (int i = 0; i < N_SEQS; i++)
                done = done && seqs[i]->n_tokens == a->n[i];
            if (done)
                break;
            continue;
        }
        assert_ok(lm_forward(lm, items, n_items, logits, &err));
        const float *got = logits;
        for (int k = 0; k < n_items; k++) {
            int64_t n = items[k].n_tokens, first = seqs[who[k]]->n_tokens - n;
            assert_same_bits(got, a->logits[who[k]] + first * lm->n_vocab, n * lm->n_vocab);
            got += n * lm->n_vocab;
        }
    }
    for (int i = 0; i < N_SEQS; i++)
        lm_seq_close(seqs[i]);
    mem_free(logits);
}

static void check_model(const char *name, enum mla_form form)
{
    struct model m;
    static struct alone a;
    model_open_threads(&m, name, "cpu", 1);
    teacher_set_form(m.lm, form);
    run_alone(&a, m.lm);
    check_together(&a, m.lm, 3, 9);
    model_close(&m);
    model_open_threads(&m, name, "cpu", 2); /* sequences dealt out to two workers: the same bits */
    teacher_set_form(m.lm, form);
    check_together(&a, m.lm, 1, 1);       /* decode, step by step */
    check_together(&a, m.lm, 7, 2);       /* prompts in pieces beside single tokens */
    check_together(&a, m.lm, MAX_LEN, 3); /* more than TEACHER_PASS_ROWS rows in a call */
    for (int i = 0; i < N_SEQS; i++)
        mem_free(a.logits[i]);
    model_close(&m);
}

static void test_absorbed(void **state)
{
    (void)state;
    check_model("v3-yarn-mtp", MLA_ABSORBED);
    check_model("v3-fp8", MLA_ABSORBED);
    check_model("v2-groups", MLA_ABSORBED);
}

static void test_expanded(void **state)
{
    (void)state;
    check_model("v3-qproj", MLA_EXPANDED);
}

static void test_fork_and_truncate(void **state)
{
    (void)state;
    struct model m;
    struct err err = {0};
    model_open(&m, "v3-yarn-mtp", "cpu");
    int64_t n = m.n, half = n / 2, V = m.V;
    float *want = mem_new((size_t)(n * V), sizeof *want, NULL);
    float *got = mem_new((size_t)(n * V), sizeof *got, NULL);
    struct lm_seq *s = seq_new(m.lm), *twin, *empty;
    assert_ok(lm_seq_fork(s, &empty, &err));
    feed(m.lm, s, m.tokens, half, half, want);
    assert_ok(lm_seq_fork(s, &twin, &err));
    feed(m.lm, s, m.tokens + half, n - half, n, want + half * V);
    feed(m.lm, twin, m.tokens, 3, 3, got); /* the twin goes its own way and comes back */
    lm_seq_truncate(twin, half);
    feed(m.lm, twin, m.tokens + half, n - half, 1, got);
    assert_same_bits(got, want + half * V, (n - half) * V);
    feed(m.lm, empty, m.tokens, n, n, got);
    assert_same_bits(got, want, n * V);
    lm_seq_close(s); /* the twin outlives its origin */
    lm_seq_truncate(twin, 0);
    feed(m.lm, twin, m.tokens, n, 4, got);
    assert_same_bits(got, want, n * V);
    lm_seq_close(twin);
    lm_seq_close(empty);
    mem_free(got);
    mem_free(want);
    model_close(&m);
}

/* LM_LAST and LM_NONE give the rows that LM_ALL gives. */
static void test_wanted_rows(void **state)
{
    (void)state;
    struct model m;
    struct err err = {0};
    model_open(&m, "v2-greedy", "cpu");
    float *all = mem_new((size_t)(m.n * m.V), sizeof *all, NULL);
    float *got = mem_new((size_t)(m.n * m.V), sizeof *got, NULL);
    struct lm_seq *s = seq_new(m.lm), *a = seq_new(m.lm), *b = seq_new(m.lm), *c = seq_new(m.lm);
    feed(m.lm, s, m.tokens, m.n, m.n, all);
    struct lm_item items[] = {
        {a, m.tokens, m.n, LM_LAST}, {b, m.tokens, 5, LM_NONE}, {c, m.tokens, 2, LM_ALL}};
    assert_ok(lm_forward(m.lm, items, 3, got, &err));
    assert_same_bits(got, all + (m.n - 1) * m.V, m.V);
    assert_same_bits(got + m.V, all, 2 * m.V);
    lm_seq_close(s);
    lm_seq_close(a);
    lm_seq_close(b);
    lm_seq_close(c);
    mem_free(got);
    mem_free(all);
    model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absorbed),
        cmocka_unit_test(test_expanded),
        cmocka_unit_test(test_fork_and_truncate),
        cmocka_unit_test(test_wanted_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
