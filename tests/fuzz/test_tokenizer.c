/* fuzz_tokenizer.c on deterministic mutations of small files; DECANT_FUZZ_RUNS asks for more of
 * them. */
#include "tests/fuzz/fuzz_tokenizer.c"
#include "tests/fuzz/mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void mutants(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "tests/vectors/text/deepseek-v3/tokenizer.json", "tests/vectors/text/odd/tokenizer.json",
        "tests/vectors/text/llama3/tokenizer.json", "tests/vectors/text/r1-qwen/tokenizer.json"};
    const char *runs = getenv("DECANT_FUZZ_RUNS");
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        fuzz_file(LLVMFuzzerTestOneInput, seeds[i], runs ? strtoull(runs, NULL, 10) : 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
