/* model.h: a multimodal model: features -> encoders -> fusion -> tasks, over one parameter store.
 *
 * A part is one modality: a media or text column by itself, or all number, category and binary inputs together
 * ("table"). Each part's encoder is its own program; fusion and tasks together are the joint program. A model that
 * `writes` has one part, all inputs and the text itself ("writer"), which a published model reads as a whole. */
#ifndef SN_MODEL_H
#define SN_MODEL_H
#include <pthread.h>

#include "features/feature.h"
#include "fusion/fusion.h"
#include "graph/program.h"
#include "models/encoder.h"
#include "tasks/task.h"

typedef struct sn_part {
    char *name;
    enum sn_modality modality;
    const sn_encoder *encoder;
    json_t *options;
    int n_features, *features;  /* indices into inputs; one, but for the table */
    int64_t width;              /* of the encoder's vector; known after declare */
    int first_param, end_param; /* its parameters in the store */
    struct sn_backbone *backbone; /* of a pretrained encoder (backbone.h), owned; else NULL */
    bool frozen;                  /* nothing in it learns (tuning.h): it runs as in use, and forward only */
} sn_part;

typedef struct sn_target {
    sn_feature *feature;
    const sn_task *task;
    json_t *options; /* the loss block */
    double weight;
} sn_target;

typedef struct sn_program_slot {
    int part; /* or n_parts for the joint program */
    int64_t rows, steps;
    bool training;
    sn_program *program;
    uint64_t used;
} sn_program_slot;

struct sn_model {
    int n_inputs, n_parts, n_targets;
    bool writes;      /* set before its parts are formed */
    sn_feature **inputs;
    sn_part *parts;
    sn_target *targets;
    const sn_fusion *fusion;
    json_t *fusion_options;
    int joint_first, joint_end; /* parameters of the joint program */
    sn_params *params;
    int threads;
    bool bf16;
    sn_isa isa;
    char *precision;  /* "auto" or "f32", as asked */
    json_t *trained;  /* what training recorded: recipe, machine, scores; may be NULL */
    json_t *goldens;  /* about the rows that verify recomputes; may be NULL */
    struct sn_goldens *golden_rows; /* those rows (goldens.h); may be NULL */
    pthread_mutex_t lock; /* of the slots */
    sn_program_slot *slots;
    size_t n_slots, slot_room;
    uint64_t clock;
};
typedef struct sn_model sn_model;

enum sn_modality sn_modality_of(sn_kind kind); /* of a column */
sn_status sn_model_create(sn_model **out);
/* Adds an input or target feature (taking it over); parts are made by sn_model_form_parts. */
sn_status sn_model_add_input(sn_model *m, sn_feature *f);
sn_status sn_model_add_target(sn_model *m, sn_feature *f, const sn_task *task, const json_t *options);
/* Groups inputs into parts with default encoders; then options may be changed; then declare. */
sn_status sn_model_form_parts(sn_model *m);
/* Fails for a model that writes: its texts are asked for where published models are (pipelines/). */
sn_status sn_model_predicts(const sn_model *m);
sn_part *sn_model_part(const sn_model *m, const char *name); /* NULL */
/* Builds every graph once: declares the parameters and seals the store. */
sn_status sn_model_declare(sn_model *m);
/* Precision "auto" or "f32" on this processor: sets bf16, isa. */
sn_status sn_model_set_precision(sn_model *m, const char *precision);

/* Does the part have one column only, and is it not a writer? */
bool sn_part_single(const sn_part *part);
/* Types of a part's arrays for `rows` rows; gives how many (0..SN_FEATURE_ARRAYS). `steps`: of a sequence; of a writer's
 * sequences in their order, each SN_STEPS_BITS bits. */
enum { SN_STEPS_BITS = 21 };
int sn_part_types(const sn_model *m, const sn_part *part, int64_t rows, int64_t steps, sn_type types[SN_FEATURE_ARRAYS]);
/* The steps of arrays of these shapes [n]. */
int64_t sn_part_steps(const sn_model *m, const sn_part *part, const sn_shape *shapes, int n);
/* samples[k][i]: input feature k of the part, row i (NULL: absent, only in the table). */
sn_status sn_part_collate(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, int64_t rows,
                          sn_array arrays[SN_FEATURE_ARRAYS]);

/* Programs, compiled at first use; of each part and of the joint program the SN_PROGRAMS_KEPT used last are kept. The
 * caller gets a reference (sn_program_free).
 *
 * part:  inputs  arrays…, rows int64 [R], and when training dy [R, width]
 *        outputs y [R, width] (phase 0); when training: the gradients of parameters first_param..end_param-1 that
 *        are trainable, in order, then the new values of STATE parameters in order (phase 1)
 * joint: inputs  per part: vectors [B, width], absent [B, 1] (1.0 where absent); rows int64 [B]; when training:
 *                per target its label arrays, then scale [1]
 *        outputs per target: values after link [B, K]; when training instead: the summed loss [1] of each target
 *                (phase 0), then d vectors per part, gradients, STATE values (phase 1) */
enum { SN_PROGRAMS_KEPT = 64 };
sn_status sn_model_part_program(const sn_model *m, int part, int64_t rows, int64_t steps, bool training, const sn_program **out);
sn_status sn_model_joint_program(const sn_model *m, int64_t rows, bool training, const sn_program **out);
/* Lets go of the programs of a part: which of its parameters learn has changed. */
void sn_model_forget_programs(sn_model *m, int part);
#endif
