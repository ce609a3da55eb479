/* bench.h: what the benches share: two clocks, the end at a failure, memory. */
#ifndef SN_BENCH_H
#define SN_BENCH_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

static inline double clock_seconds(clockid_t clock) {
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline double now(void) { return clock_seconds(CLOCK_MONOTONIC); }
/* Processor time of this process: what a busy machine does not stretch. */
static inline double cpu(void) { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }

static inline void need(sn_status status) {
    if (status == SN_OK) return;
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, sn_error_message());
    exit(1);
}

static inline void *some(size_t count, size_t size) {
    void *block = sn_alloc(count, size);
    if (!block) need(SN_ERR_MEMORY);
    return block;
}
#endif
