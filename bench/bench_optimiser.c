/* bench_optimiser: seconds and GB/s of initialise, commit (with and without shadow) and norm, on a store of the
 * size of a large model: 205 million parameters in 200 matrices. Usage: bench_optimiser [threads [kind]] */
#define _GNU_SOURCE
#include "bench.h"

#include "base/parallel.h"
#include "train/optimiser_kind.h"

static void report(const char *what, double seconds, double bytes) {
    (void)printf("%-28s %7.3f s", what, seconds);
    if (bytes > 0) (void)printf("  %6.1f GB/s", bytes / seconds * 1e-9);
    (void)printf("\n");
}

static double best_commit(sn_optimiser *o, int repeats) {
    double best = 1e9;
    for (int i = 0; i < repeats; i++) {
        double start = now();
        sn_optimiser_commit(o, 1e-3, 1.0);
        double took = now() - start;
        if (took < best) best = took;
    }
    return best;
}

static sn_params *make_store(sn_init init) {
    sn_params *p;
    need(sn_params_create(&p));
    for (int i = 0; i < 200; i++) {
        char name[32];
        int index;
        (void)snprintf(name, sizeof name, "layer.%d.weight", i);
        need(sn_params_declare(p, name, SN_SHAPE(1025, 1000), init, &index));
    }
    need(sn_params_seal(p));
    double start = now();
    sn_params_initialise(p, 1);
    report(init.kind == SN_INIT_NORMAL ? "initialise, normal" : "initialise, uniform", now() - start, 0);
    return p;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : sn_threads_available(), bad;
    sn_params_free(make_store((sn_init){SN_INIT_NORMAL, 0.02f, 0}));
    sn_params *p = make_store((sn_init){SN_INIT_UNIFORM, 0.02f, 0});
    float *gradients;
    need(sn_params_gradients(p, &gradients));
    size_t total = sn_params_total(p);
    for (size_t i = 0; i < total; i++) gradients[i] = 1e-3f * (float)(i % 1000);
    sn_optimiser_options options;
    sn_optimiser *o;
    need(sn_optimiser_defaults(argc > 2 ? argv[2] : "adamw", &options));
    need(sn_optimiser_create(&options, p, threads, &o));
    (void)printf("%.0f M parameters, %s, %d threads, instruction set %d\n", (double)total * 1e-6, options.kind, threads, o->isa);
    sn_optimiser_commit(o, 1e-3, 1.0); /* makes the pages of the moments */
    double bytes = (double)total * 4 * (3 + 2 * o->moments);
    report("commit", best_commit(o, 5), bytes);
    uint16_t *shadow;
    need(sn_params_shadow(p, &shadow));
    need(sn_params_fresh(p, threads)); /* makes its pages */
    sn_params_changed(p, false);
    double start = now();
    need(sn_params_fresh(p, threads));
    report("shadow made fresh", now() - start, (double)total * 6);
    report("commit, writing the shadow", best_commit(o, 5), bytes + (double)total * 2);
    start = now();
    (void)sn_optimiser_norm(o, 1.0, &bad);
    report("norm", now() - start, (double)total * 4);
    sn_optimiser_free(o);
    sn_params_free(p);
    return 0;
}
