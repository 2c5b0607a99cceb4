/* What OpenBLAS and libgomp should be told, and read only while they are loaded: before main.
 *
 *     int main(int argc, char **argv)
 *     {
 *         cpu_startup(argv);      // first of all: it may start the program once more
 *
 * OPENBLAS_CORETYPE: an OpenBLAS older than the processor does not know it and takes its oldest
 * kernels, a sixth as fast (0.3.21, Debian 12's, on an Intel Emerald Rapids). It is told which
 * kernels the processor's instruction sets allow.
 *
 * OPENBLAS_NUM_THREADS: 1, since our threads call it (cpu.h). Its own would start while it is
 * loaded and spin for some 30 ms.
 *
 * GOMP_SPINCOUNT: threads that wait for one another spin for a short time only. libgomp's default,
 * some milliseconds, starves the very thread that is waited for when other programs use the cores.
 *
 * What the user has set stays. Measurements: docs/performance.md, "Busy machines" and "CPU
 * operations". */
#ifndef DECANT_TENSOR_CPU_STARTUP_H
#define DECANT_TENSOR_CPU_STARTUP_H

/* Sets them where they are missing and, when that changes anything, starts this program again as
 * the same process with the same arguments. Where that fails, all works as before, only slower. */
void cpu_startup(char **argv);

/* The kernels that OpenBLAS should use when it has chosen those of `chosen` (its name for a
 * processor) on one with AVX-512 or AVX2, or NULL when its choice is good. */
const char *cpu_blas_core(const char *chosen, int has_avx512, int has_avx2);

#endif
