/* exec.c: see exec.h. One arena per part and one for the joint program, each as large as its largest program. */
#include "models/exec.h"

#include <math.h>

typedef struct bound {
    const sn_program *program;
    sn_runner *runner;
} bound;

typedef struct slot { /* one part, or the joint program */
    void *memory;
    size_t bytes;
    bound *bounds;
    size_t n, room;
    float *vectors, *absent, *d_vectors, *dy; /* parts: [B,D], [B,1], [B,D], [R,D] */
    size_t capacity;                           /* rows of those */
    float *state;                              /* new STATE values */
    int64_t rows;                              /* that went through it */
} slot;

struct sn_exec {
    const sn_model *m;
    slot *slots; /* n_parts + 1 */
    float *scales;
    bool profile;
};

sn_status sn_exec_create(const sn_model *m, sn_exec **out) {
    *out = NULL;
    sn_exec *e = sn_alloc(1, sizeof *e);
    if (!e) return SN_ERR_MEMORY;
    e->m = m;
    e->slots = sn_alloc((size_t)m->n_parts + 1, sizeof *e->slots);
    e->scales = sn_alloc((size_t)m->n_targets, sizeof *e->scales);
    if (!e->slots || !e->scales) {
        sn_exec_free(e);
        return SN_ERR_MEMORY;
    }
    *out = e;
    return SN_OK;
}

const sn_model *sn_exec_model(const sn_exec *e) { return e->m; }

static void free_vectors(slot *s) {
    sn_free(s->vectors);
    sn_free(s->absent);
    sn_free(s->d_vectors);
    sn_free(s->dy);
    s->vectors = s->absent = s->d_vectors = s->dy = NULL;
    s->capacity = 0;
}

void sn_exec_free(sn_exec *e) {
    if (!e) return;
    for (int i = 0; e->slots && i <= e->m->n_parts; i++) {
        slot *s = &e->slots[i];
        for (size_t k = 0; k < s->n; k++) sn_runner_free(s->bounds[k].runner);
        sn_free(s->bounds);
        sn_pages_free(s->memory, s->bytes);
        free_vectors(s);
        sn_free(s->state);
    }
    sn_free(e->slots);
    sn_free(e->scales);
    sn_free(e);
}

/* Lets go of runners whose program the model no longer keeps. */
static void drop_retired(slot *s, const sn_program *but) {
    size_t kept = 0;
    for (size_t k = 0; k < s->n; k++) {
        bound b = s->bounds[k];
        if (b.program != but && sn_program_retired(b.program)) sn_runner_free(b.runner);
        else s->bounds[kept++] = b;
    }
    s->n = kept;
}

/* The runner of a program, over this slot's memory. */
static sn_status runner_of(sn_exec *e, slot *s, const sn_program *program, sn_runner **out) {
    sn_runner *runner = NULL;
    drop_retired(s, program);
    for (size_t k = 0; k < s->n && !runner; k++)
        if (s->bounds[k].program == program) runner = s->bounds[k].runner;
    if (!runner) {
        void *bounds = sn_grow(s->bounds, s->n, &s->room, sizeof *s->bounds);
        if (!bounds) return SN_ERR_MEMORY;
        s->bounds = bounds;
        SN_TRY(sn_runner_create(program, e->m->params, &runner));
        s->bounds[s->n++] = (bound){program, runner};
        if (e->profile) SN_TRY(sn_runner_profile(runner));
    }
    SN_TRY(sn_pages_reserve(&s->memory, &s->bytes, sn_program_bytes(program)));
    sn_runner_lend(runner, s->memory);
    *out = runner;
    return SN_OK;
}

static sn_status reserve(const sn_exec *e, int part, int64_t rows) {
    slot *s = &e->slots[part];
    if ((size_t)rows <= s->capacity) return SN_OK;
    free_vectors(s);
    size_t n = (size_t)rows, width = (size_t)e->m->parts[part].width, all;
    if (sn_mul_overflow(n, width, &all)) SN_FAIL(SN_ERR_MEMORY, "a batch of %lld rows is too large", (long long)rows);
    s->vectors = sn_alloc(all, sizeof(float));
    s->d_vectors = sn_alloc(all, sizeof(float));
    s->dy = sn_alloc(all, sizeof(float));
    s->absent = sn_alloc(n, sizeof(float));
    if (!s->vectors || !s->d_vectors || !s->dy || !s->absent) return SN_ERR_MEMORY;
    s->capacity = n;
    return SN_OK;
}

/* ---- forward of one part: y [R,D] scattered into vectors [B,D] ---- */

static sn_status run_part(sn_exec *e, int index, const sn_batch_part *b, bool training, unsigned flags, const sn_run_info *info, sn_runner **out) {
    slot *s = &e->slots[index];
    const sn_program *program;
    SN_TRY(sn_model_part_program(e->m, index, b->present, b->steps, training, &program));
    sn_status status = runner_of(e, s, program, out);
    sn_program_free(program); /* the runner holds it */
    SN_TRY(status);
    for (int k = 0; k < b->n_arrays; k++) sn_runner_bind_input(*out, k, b->arrays[k].data);
    sn_runner_bind_input(*out, b->n_arrays, b->rows);
    if (training) sn_runner_bind_input(*out, b->n_arrays + 1, s->dy);
    s->rows += b->present;
    return sn_runner_run(*out, SN_RUN_FIRST | flags, info);
}

sn_status sn_exec_encode(sn_exec *e, int part, const sn_batch *batch, const float **y) {
    static const sn_run_info info;
    sn_runner *runner;
    SN_TRY(run_part(e, part, &batch->parts[part], false, 0, &info, &runner));
    *y = sn_runner_output(runner, 0);
    return SN_OK;
}

int64_t sn_exec_rows(const sn_exec *e, int part) { return e->slots[part].rows; }

static sn_status forward_part(sn_exec *e, int index, const sn_batch *batch, bool training, unsigned flags, const sn_run_info *info,
                              sn_runner **out) {
    const sn_batch_part *b = &batch->parts[index];
    slot *s = &e->slots[index];
    size_t width = (size_t)e->m->parts[index].width;
    *out = NULL;
    SN_TRY(reserve(e, index, batch->n));
    memset(s->vectors, 0, (size_t)batch->n * width * sizeof(float));
    for (int64_t i = 0; i < batch->n; i++) s->absent[i] = 1.0f;
    if (!b->present) return SN_OK;
    if (!b->encoded) SN_TRY(run_part(e, index, b, training, flags, info, out));
    const float *y = b->encoded ? b->arrays[0].data : sn_runner_output(*out, 0);
    for (int64_t i = 0; i < b->present; i++) {
        memcpy(s->vectors + (size_t)b->at[i] * width, y + (size_t)i * width, width * sizeof(float));
        s->absent[b->at[i]] = 0.0f;
    }
    return SN_OK;
}

static sn_status bind_joint(sn_exec *e, const sn_batch *batch, bool training, sn_runner **out, int *next) {
    const sn_program *program;
    int k = 0;
    SN_TRY(sn_model_joint_program(e->m, batch->n, training, &program));
    sn_status status = runner_of(e, &e->slots[e->m->n_parts], program, out);
    sn_program_free(program);
    SN_TRY(status);
    for (int p = 0; p < e->m->n_parts; p++) {
        sn_runner_bind_input(*out, k++, e->slots[p].vectors);
        sn_runner_bind_input(*out, k++, e->slots[p].absent);
    }
    sn_runner_bind_input(*out, k++, batch->rows);
    *next = k;
    return SN_OK;
}

sn_status sn_exec_predict(sn_exec *e, const sn_batch *batch, const float **values) {
    static const sn_run_info info;
    sn_runner *runner;
    int next;
    for (int p = 0; p < e->m->n_parts; p++) SN_TRY(forward_part(e, p, batch, false, 0, &info, &runner));
    SN_TRY(bind_joint(e, batch, false, &runner, &next));
    SN_TRY(sn_runner_run(runner, SN_RUN_ALL, &info));
    for (int t = 0; t < e->m->n_targets; t++) values[t] = sn_runner_output(runner, t);
    return SN_OK;
}

/* ---- training ---- */

/* Gradient outputs from `first` on go straight into the store; STATE values into the slot. */
static sn_status bind_gradients(sn_exec *e, slot *s, sn_runner *runner, int output, int first, int end) {
    sn_params *params = e->m->params;
    float *gradients;
    size_t state = 0, at = 0;
    SN_TRY(sn_params_gradients(params, &gradients));
    for (int p = first; p < end; p++) {
        if (sn_params_trainable(params, p)) sn_runner_bind_output(runner, output++, gradients + sn_params_offset(params, p));
        else if (sn_params_init_of(params, p).flags & SN_PARAM_STATE) state += (size_t)sn_shape_count(sn_params_shape(params, p));
    }
    if (state && !s->state && !(s->state = sn_alloc(state, sizeof(float)))) return SN_ERR_MEMORY;
    for (int p = first; p < end; p++) {
        if (!(sn_params_init_of(params, p).flags & SN_PARAM_STATE)) continue;
        sn_runner_bind_output(runner, output++, s->state + at);
        at += (size_t)sn_shape_count(sn_params_shape(params, p));
    }
    return SN_OK;
}

static void zero_gradients(sn_exec *e, int first, int end) {
    sn_params *params = e->m->params;
    float *gradients;
    if (sn_params_gradients(params, &gradients) != SN_OK) return;
    for (int p = first; p < end; p++)
        memset(gradients + sn_params_offset(params, p), 0, (size_t)sn_shape_count(sn_params_shape(params, p)) * sizeof(float));
}

static sn_status train_joint(sn_exec *e, const sn_batch *batch, const double *scales, const sn_run_info *info, unsigned flags,
                             double *losses) {
    sn_runner *runner;
    int next, parts = e->m->n_parts, targets = e->m->n_targets;
    SN_TRY(bind_joint(e, batch, true, &runner, &next));
    for (int t = 0; t < targets; t++) {
        for (int k = 0; k < e->m->targets[t].task->n_arrays; k++) sn_runner_bind_input(runner, next++, batch->labels[t][k].data);
        e->scales[t] = (float)scales[t];
        sn_runner_bind_input(runner, next++, &e->scales[t]);
    }
    for (int p = 0; p < parts; p++) sn_runner_bind_output(runner, targets + p, e->slots[p].d_vectors);
    SN_TRY(bind_gradients(e, &e->slots[parts], runner, targets + parts, e->m->joint_first, e->m->joint_end));
    SN_TRY(sn_runner_run(runner, SN_RUN_ALL | flags, info));
    for (int t = 0; t < targets; t++) losses[t] = (double)*(const float *)sn_runner_output(runner, t);
    return SN_OK;
}

static sn_status backward_part(sn_exec *e, int index, const sn_batch *batch, sn_runner *runner, unsigned flags, const sn_run_info *info) {
    const sn_part *part = &e->m->parts[index];
    const sn_batch_part *b = &batch->parts[index];
    slot *s = &e->slots[index];
    size_t width = (size_t)part->width;
    for (int64_t i = 0; i < b->present; i++)
        memcpy(s->dy + (size_t)i * width, s->d_vectors + (size_t)b->at[i] * width, width * sizeof(float));
    SN_TRY(bind_gradients(e, s, runner, 1, part->first_param, part->end_param));
    return sn_runner_run(runner, SN_RUN_SECOND | flags, info);
}

sn_status sn_exec_train(sn_exec *e, const sn_batch *batch, const double *scales, const sn_run_info *info, bool check, double *losses) {
    sn_runner *runners[SN_MAX_PARTS];
    unsigned flags = check ? SN_RUN_CHECK : 0;
    for (int p = 0; p < e->m->n_parts; p++) SN_TRY(forward_part(e, p, batch, !e->m->parts[p].frozen, flags, info, &runners[p]));
    SN_TRY(train_joint(e, batch, scales, info, flags, losses));
    for (int p = 0; p < e->m->n_parts; p++) {
        if (e->m->parts[p].frozen) continue;
        if (runners[p]) SN_TRY(backward_part(e, p, batch, runners[p], flags, info));
        else zero_gradients(e, e->m->parts[p].first_param, e->m->parts[p].end_param);
    }
    return SN_OK;
}

static void commit_range(sn_exec *e, const slot *s, int first, int end) {
    sn_params *params = e->m->params;
    size_t at = 0;
    for (int p = first; s->state && p < end; p++) {
        if (!(sn_params_init_of(params, p).flags & SN_PARAM_STATE)) continue;
        size_t n = (size_t)sn_shape_count(sn_params_shape(params, p));
        memcpy(sn_params_data(params, p), s->state + at, n * sizeof(float));
        at += n;
    }
}

void sn_exec_commit_state(sn_exec *e) {
    for (int p = 0; p < e->m->n_parts; p++)
        if (!e->m->parts[p].frozen) commit_range(e, &e->slots[p], e->m->parts[p].first_param, e->m->parts[p].end_param);
    commit_range(e, &e->slots[e->m->n_parts], e->m->joint_first, e->m->joint_end);
}

void sn_exec_profile(sn_exec *e) { e->profile = true; }

void sn_exec_print_profile(const sn_exec *e, sn_buf *text) {
    for (int i = 0; i <= e->m->n_parts; i++)
        for (size_t k = 0; k < e->slots[i].n; k++) {
            sn_buf_printf(text, "-- %s, program %zu\n", i < e->m->n_parts ? e->m->parts[i].name : "joint", k + 1);
            sn_runner_print_profile(e->slots[i].bounds[k].runner, text);
        }
}
