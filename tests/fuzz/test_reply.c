/* fuzz_reply.c on deterministic mutations of answers in every dialect; DECANT_FUZZ_RUNS asks for
 * more of them. */
#include "tests/fuzz/fuzz_reply.c"
#include "tests/fuzz/mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const seeds[] = {
    "deepseek.sse",        "deepseek.json",    "vllm_old.sse",
    "vllm_new.sse",        "vllm_both.sse",    "sglang.sse",
    "llama_server.sse",    "openrouter.sse",   "openrouter_error.sse",
    "openrouter.json",     "tag.sse",          "completion.sse",
    "refused.json",        "vllm_error.json",  "gemini_error.json",
    "gateway.html",        "lp_vllm_chat.sse", "lp_deepseek.json",
    "lp_sglang_chat.json", "lp_vllm_ids.sse",  "lp_openai_completion.json",
    "lp_llama_server.sse"};

/* Every other mutant of a stream keeps its JSON's syntax. */
static void fuzz_stream(const struct buf *seed, uint64_t key, uint64_t n_runs)
{
    uint8_t *p = malloc(FUZZ_MAX_BYTES);
    for (uint64_t i = 0; i < n_runs; i++) {
        struct rng r = rng_make(i, key, 0);
        size_t n = seed->len;
        memcpy(p, seed->data, n);
        for (uint64_t k = 1 + rng_below(&r, 6); k > 0; k--)
            n = i % 2 && n > 9 ? mutate_value(p, n, &r) : mutate_once(p, n, &r);
        LLVMFuzzerTestOneInput(p, n);
    }
    free(p);
}

static void mutants(void **state)
{
    (void)state;
    const char *runs = getenv("DECANT_FUZZ_RUNS");
    struct buf seed = {0};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char path[128];
        struct err e;
        snprintf(path, sizeof path, "tests/vectors/http/%s", seeds[i]);
        buf_clear(&seed);
        assert_int_equal(file_read(path, FUZZ_MAX_BYTES / 2, &seed, &e), ERR_OK);
        fuzz_stream(&seed, i, runs ? strtoull(runs, NULL, 10) : 1500);
    }
    buf_dispose(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
