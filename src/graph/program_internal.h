/* program_internal.h: what compile, arena and runner share. */
#ifndef SN_PROGRAM_INTERNAL_H
#define SN_PROGRAM_INTERNAL_H
#include <stdatomic.h>

#include "graph/pass.h"
#include "graph/program.h"

typedef enum sn_where { SN_IN_ARENA, SN_IN_INPUT, SN_IN_PARAM, SN_IN_SHADOW, SN_NOWHERE } sn_where;
typedef struct sn_place {
    sn_where where;
    int32_t index;   /* input number or parameter */
    int32_t output;  /* program output number, or -1 */
    size_t offset, bytes;
    int32_t first, last; /* instructions between which it lives */
} sn_place;

typedef struct sn_step {
    sn_kernel_plan plan;
    int32_t in[SN_MAX_IN], out[SN_MAX_OUT]; /* roots */
    int32_t packed[SN_MAX_IN];              /* index into the runner's packed copies, or -1 */
    int32_t fixed[SN_MAX_IN];               /* index into the runner's borrowed parameters (or their rows), or -1 */
    size_t scratch;                         /* offset in the arena */
    const char *name;
    double cost;
} sn_step;

struct sn_program {
    atomic_int references;
    atomic_bool retired;
    sn_graph *graph; /* kept for types and names */
    sn_step *steps;
    int32_t n_steps, n_first_steps, n_packed, n_fixed;
    sn_place *places; /* per value; views point to their root by `root` */
    int32_t *root;
    int n_outputs, n_inputs;
    int32_t *outputs, *inputs; /* value ids */
    size_t bytes;
    bool shadow; /* some parameter is read as bf16 */
};

/* Places all arena values and scratches; sets program->bytes. */
sn_status sn_arena_plan(sn_program *program);
#endif
