/* The program starts again with what OpenBLAS and libgomp read while they are loaded. */
#include "core/tensor/cpu/startup.h"
#include "core/base/isa.h"

#include <cblas.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void old_kernels_give_way(void **state)
{
    (void)state;
    assert_string_equal(cpu_blas_core("Prescott", 1, 1), "SkylakeX");
    assert_string_equal(cpu_blas_core("Sandybridge", 0, 1), "Haswell");
    assert_null(cpu_blas_core("Prescott", 0, 0));
    assert_null(cpu_blas_core("Haswell", 0, 1));
    assert_null(cpu_blas_core("Zen", 1, 1));
    assert_null(cpu_blas_core("a name of tomorrow", 1, 1));
}

/* Once started, OpenBLAS has kernels that are worthy of this processor. */
static void openblas_uses_the_processor(void **state)
{
    (void)state;
    assert_non_null(getenv("GOMP_SPINCOUNT"));
    assert_int_equal(openblas_get_num_threads(), 1);
#if defined(__x86_64__) && defined(__GNUC__)
    assert_null(cpu_blas_core(openblas_get_corename(), isa_avx512(), isa_avx2()));
#endif
}

int main(int argc, char **argv)
{
    (void)argc;
    unsetenv("OMP_WAIT_POLICY");
    if (!getenv("GOMP_SPINCOUNT"))
        unsetenv("OPENBLAS_NUM_THREADS");
    cpu_startup(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(old_kernels_give_way),
                                       cmocka_unit_test(openblas_uses_the_processor)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
