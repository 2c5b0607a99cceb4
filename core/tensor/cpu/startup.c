#include "core/tensor/cpu/startup.h"
#include "core/base/isa.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

const char *cpu_blas_core(const char *chosen, int has_avx512, int has_avx2)
{
    /* Processors without AVX2, by OpenBLAS's names. */
    static const char *const old[] = {"Generic",    "Prescott",   "Core2",  "Penryn",
                                      "Dunnington", "Nehalem",    "Atom",   "Sandybridge",
                                      "Athlon",     "Opteron",    "Bobcat", "Barcelona",
                                      "Bulldozer",  "Piledriver", "Nano"};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (!strcasecmp(chosen, old[i]))
            return has_avx512 ? "SkylakeX" : has_avx2 ? "Haswell" : NULL;
    return NULL;
}

/* Whether the variable was missing and is now set. */
static bool set_missing(const char *name, const char *value)
{
    return !getenv(name) && !setenv(name, value, 0);
}

void cpu_startup(char **argv)
{
    bool again = !getenv("OMP_WAIT_POLICY") && set_missing("GOMP_SPINCOUNT", "5000");
    again |= set_missing("OPENBLAS_NUM_THREADS", "1");
#if defined(__x86_64__) && defined(__GNUC__)
    const char *core = cpu_blas_core(openblas_get_corename(), isa_avx512(), isa_avx2());
    again |= core && set_missing("OPENBLAS_CORETYPE", core);
#endif
    char self[4096]; /* by its own name, which then is the process's too */
    ssize_t n = again ? readlink("/proc/self/exe", self, sizeof self - 1) : -1;
    if (n > 0) {
        self[n] = 0;
        execv(self, argv);
        execv("/proc/self/exe", argv); /* the file was replaced meanwhile */
    }
}
