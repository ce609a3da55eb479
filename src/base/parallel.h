/* parallel.h: the one way our own kernels use several threads, and the guard before oneDNN is called.
 *
 * Work is cut into chunks whose number does not depend on the thread count, so that sums come out the same
 * on any number of threads. Built on OpenMP (the pool oneDNN runs on), or on pthreads with -DSN_PTHREADS=ON
 * for the thread sanitizer. */
#ifndef SN_BASE_PARALLEL_H
#define SN_BASE_PARALLEL_H
#include "base/error.h"

/* Calls body(context, chunk) for every chunk in 0..chunks-1, on up to `threads` threads. */
void sn_parallel(int threads, int64_t chunks, void (*body)(void *context, int64_t chunk), void *context);

/* To be called before creating or running anything that uses threads: fixes the team size on this thread;
 * fails inside a parallel region or if the system gives fewer than `threads`. */
sn_status sn_threads_enter(int threads);
/* Cores this process may use (its affinity mask), at least 1. */
int sn_threads_available(void);
#endif
