/* fuzz_config.c on deterministic mutations of small files; DECANT_FUZZ_RUNS asks for more of
 * them. */
#include "tests/fuzz/fuzz_config.c"
#include "tests/fuzz/mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void mutants(void **state)
{
    (void)state;
    static const char *const seeds[] = {"tests/vectors/student/qwen2-tied-yarn/config.json",
                                        "tests/vectors/student/llama-headdim-llama3/config.json",
                                        "tests/vectors/student/qwen3/config.json",
                                        "tests/vectors/teacher/v3-yarn-mtp/config.json",
                                        "tests/vectors/teacher/v2-groups/config.json",
                                        "tests/vectors/teacher/v3-fp8/config.json"};
    const char *runs = getenv("DECANT_FUZZ_RUNS");
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        fuzz_file(LLVMFuzzerTestOneInput, seeds[i], runs ? strtoull(runs, NULL, 10) : 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
