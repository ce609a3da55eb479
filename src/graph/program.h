/* program.h: a graph made ready to run: passes done, kernels chosen, every buffer placed.
 *
 *   sn_program   immutable; may be run by several sessions at once
 *   sn_runner    one session's bound pointers over memory that the caller lends
 *
 * Outputs 0..n_first-1 are computed by phase 0, the others by phase 1 (forward and backward of one program share
 * the arena, so what backward reads is still there). An output lies in the arena until the next run, or where
 * the caller bound it. */
#ifndef SN_PROGRAM_H
#define SN_PROGRAM_H
#include "graph/graph.h"
#include "kernels/kernel.h"

typedef struct sn_compile_options {
    int threads;
    sn_isa isa;
    unsigned backends; /* SN_USE_ALL */
    bool bf16;         /* run the precision pass */
    bool inference;    /* parameters do not change between runs; implied by a store that borrows */
} sn_compile_options;

typedef struct sn_program sn_program;
/* Takes the graph (frees it, also on failure). */
sn_status sn_program_compile(sn_graph *g, const sn_compile_options *options, int n_outputs, const sn_node *outputs,
                             int n_first, sn_program **out);
/* Programs are counted: compile gives one reference, each runner holds one; free gives one back. A cache that drops
 * a program marks it as retired, so that those who still hold runners of it can let go. */
void sn_program_retain(const sn_program *program);
void sn_program_free(const sn_program *program);
void sn_program_retire(const sn_program *program);
bool sn_program_retired(const sn_program *program);
size_t sn_program_bytes(const sn_program *program); /* arena */
double sn_program_flops(const sn_program *program);
int sn_program_inputs(const sn_program *program);
sn_type sn_program_input_type(const sn_program *program, int i);
sn_type sn_program_output_type(const sn_program *program, int i);
/* One line an instruction: op, scope, shape, kernel; appended. */
void sn_program_print(const sn_program *program, sn_buf *text);

typedef struct sn_runner sn_runner;
sn_status sn_runner_create(const sn_program *program, sn_params *params, sn_runner **out);
void sn_runner_free(sn_runner *runner);
/* Memory of at least sn_program_bytes, 64-byte aligned; it must stay until the last run with it. */
void sn_runner_lend(sn_runner *runner, void *memory);
void sn_runner_bind_input(sn_runner *runner, int i, const void *data);
void sn_runner_bind_output(sn_runner *runner, int i, void *data); /* NULL: back to the arena */
void *sn_runner_output(const sn_runner *runner, int i);

enum sn_run_flags {
    SN_RUN_FIRST = 1, SN_RUN_SECOND = 2, SN_RUN_ALL = 3,
    SN_RUN_CHECK = 4 /* after every instruction look for values that are not finite; names op and tensor */
};
sn_status sn_runner_run(sn_runner *runner, unsigned flags, const sn_run_info *info);
/* Adds up seconds per instruction from now on (for bench). */
sn_status sn_runner_profile(sn_runner *runner);
void sn_runner_print_profile(const sn_runner *runner, sn_buf *text);
#endif
