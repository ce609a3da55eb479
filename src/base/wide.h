/* wide.h: two marks for loops that compilers should vectorise well. */
#ifndef SN_BASE_WIDE_H
#define SN_BASE_WIDE_H
#include <limits.h> /* __GLIBC__ */

/* Before a function whose loops are worth compiling again for AVX2 and AVX-512, chosen when the program is loaded. Without
 * contraction to fused multiply-add all versions give the same bits. Sanitizers start too late for the choice. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) \
    && !defined(__SANITIZE_THREAD__)
#define SN_WIDE __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define SN_WIDE
#endif

/* Before a loop whose iterations are independent even where the output is an input (in place). */
#ifdef __clang__
#define SN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define SN_INDEPENDENT _Pragma("GCC ivdep")
#endif
#endif
