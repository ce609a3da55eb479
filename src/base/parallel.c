/* parallel.c: chunks over OpenMP, or over pthreads for the thread sanitizer. */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <sched.h>

int sn_threads_available(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

#ifdef SN_PTHREADS
#include <pthread.h>
#include <stdatomic.h>

typedef struct job {
    void (*body)(void *, int64_t);
    void *context;
    int64_t chunks;
    atomic_llong next;
} job;

static void *work(void *argument) {
    job *j = argument;
    for (;;) {
        int64_t chunk = atomic_fetch_add(&j->next, 1);
        if (chunk >= j->chunks) return NULL;
        j->body(j->context, chunk);
    }
}

void sn_parallel(int threads, int64_t chunks, void (*body)(void *, int64_t), void *context) {
    enum { MOST = 64 };
    job j = {body, context, chunks, 0};
    pthread_t team[MOST];
    int started = 0;
    while (started + 1 < threads && started + 1 < chunks && started < MOST
           && !pthread_create(&team[started], NULL, work, &j))
        started++;
    (void)work(&j);
    while (started > 0) (void)pthread_join(team[--started], NULL);
}

sn_status sn_threads_enter(int threads) {
    if (threads < 1) SN_FAIL(SN_ERR_USAGE, "threads must be at least 1, not %d", threads);
    return SN_OK;
}
#else
#include <omp.h>

void sn_parallel(int threads, int64_t chunks, void (*body)(void *, int64_t), void *context) {
    if (threads <= 1 || chunks <= 1) {
        for (int64_t i = 0; i < chunks; i++) body(context, i);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < chunks; i++) body(context, i);
}

sn_status sn_threads_enter(int threads) {
    if (threads < 1) SN_FAIL(SN_ERR_USAGE, "threads must be at least 1, not %d", threads);
    if (omp_in_parallel()) SN_FAIL(SN_ERR_STATE, "called inside an OpenMP parallel region");
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    int got = 0;
#pragma omp parallel reduction(+ : got)
    got += 1;
    if (got < threads) SN_FAIL(SN_ERR_BACKEND, "asked for %d threads, the system gave %d", threads, got);
    return SN_OK;
}
#endif
