/* Which vector instructions this processor has, for the code that stands in several versions
 * (portable, AVX2, AVX-512). Cheap: reads what the compiler's start-up code found out. */
#ifndef DECANT_BASE_ISA_H
#define DECANT_BASE_ISA_H

#include <stdbool.h>

#if defined(__x86_64__) && defined(__GNUC__)
/* AVX2 with FMA and F16C. clang has no name for F16C before 17; no processor has AVX2 without it.
 */
static inline bool isa_avx2(void)
{
#ifndef __clang__
    if (!__builtin_cpu_supports("f16c"))
        return false;
#endif
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* These and AVX-512 F, BW, VL, DQ. */
static inline bool isa_avx512(void)
{
    return isa_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* These and VNNI. */
static inline bool isa_avx512_vnni(void)
{
    return isa_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

#endif
