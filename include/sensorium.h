/* sensorium.h: the public interface of libsensorium, a multimodal model system in C.
 *
 * Order of use, for prediction:  sn_model_load -> sn_session_create -> sn_input_set_... -> sn_session_run
 *                                -> sn_output_...
 * with a published model:        sn_pipeline_open -> sn_pipeline_run, sn_pipeline_embed
 * for training:                  sn_table_open -> sn_trainer_create -> sn_trainer_run -> sn_model_save
 *
 * Conventions
 *   errors     A fallible call returns sn_status; 0 is success. The message of the last failure on the
 *              calling thread is sn_error_message(); it names file, row, column or tensor.
 *   ownership  The caller frees what a _create, _load or _open call gave, with the _free call of the same
 *              noun; freeing NULL is legal. Strings returned by a query belong to the object queried.
 *   threads    sn_model and sn_pipeline are immutable and may be shared; sn_session, sn_trainer and sn_table belong to one
 *              thread at a time.
 *   units      image bytes are RGB, 8 bit, row by row; audio is 32-bit float PCM in [-1, 1], interleaved;
 *              text is UTF-8.
 */
#ifndef SENSORIUM_H
#define SENSORIUM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SN_API __attribute__((visibility("default")))
#else
#define SN_API
#endif

#define SN_VERSION_MAJOR 0
#define SN_VERSION_MINOR 1
#define SN_VERSION_PATCH 0

/* The library's version, "major.minor.patch". Never NULL, never freed. */
SN_API const char *sn_version(void);

/* ---- errors ------------------------------------------------------------------------------- */

typedef enum sn_status {
    SN_OK = 0,
    SN_ERR_USAGE = 1,       /* the call itself is wrong: an unknown option, column or name */
    SN_ERR_MEMORY = 2,      /* an allocation failed */
    SN_ERR_IO = 3,          /* a file cannot be opened, read or written */
    SN_ERR_FORMAT = 4,      /* a file's content is broken or of another kind */
    SN_ERR_SHAPE = 5,       /* a tensor has another shape or dtype than expected */
    SN_ERR_UNSUPPORTED = 6, /* well formed, but not something this build can do */
    SN_ERR_STATE = 7,       /* the object is not in a state for this call */
    SN_ERR_CANCELLED = 8,   /* a callback or a signal asked to stop */
    SN_ERR_NUMERIC = 9,     /* a loss or gradient is not finite */
    SN_ERR_BACKEND = 10     /* the arithmetic library refused */
} sn_status;

/* Message of the last failure on this thread; "" when there was none. Valid until the next failure. */
SN_API const char *sn_error_message(void);
/* Where it happened: the file ("" if none), the data row from 1 (0 if none), the column ("" if none). */
SN_API const char *sn_error_file(void);
SN_API int64_t sn_error_row(void);
SN_API const char *sn_error_column(void);
/* The pinned name of a status, such as "format". */
SN_API const char *sn_status_name(sn_status status);

/* ---- data --------------------------------------------------------------------------------- */

/* Options everywhere are JSON text (UTF-8, NULL or "" for none) with the keys of the config file; an unknown
 * key is SN_ERR_USAGE. Results that have structure come as JSON text from the heap: sn_string_free. */
SN_API void sn_string_free(char *text);

typedef struct sn_table sn_table;
/* Opens a CSV, TSV or JSON Lines file, a folder of class folders, or a folder with metadata.csv.
 * options: "encoding", "media_root", "limit". */
SN_API sn_status sn_table_open(const char *path, const char *options, sn_table **out);
/* A table of one row, for cells given by name. Strings are copied. */
SN_API sn_status sn_table_from_cells(int columns, const char *const *names, const char *const *cells,
                                     const char *media_root, sn_table **out);
SN_API void sn_table_free(sn_table *table);
SN_API int64_t sn_table_rows(const sn_table *table);
SN_API int sn_table_columns(const sn_table *table);
SN_API const char *sn_table_column_name(const sn_table *table, int column);
SN_API const char *sn_table_cell(const sn_table *table, int64_t row, int column); /* row from 0; "" when empty */
/* What is in the data and what is broken: decodes every media cell. options: "types" {column: kind}, "threads".
 * {"schema":1,"rows":n,"columns":[{"name","kind","sure","why","missing","distinct","broken":[{"row","line","why"}]}]} */
SN_API sn_status sn_table_inspect(const sn_table *table, const char *options, char **json);

/* ---- models ------------------------------------------------------------------------------- */

typedef struct sn_model sn_model;
/* Loads a model directory. options: "threads" (0: as trained), "precision" ("f32" or "auto"; "": as trained). */
SN_API sn_status sn_model_load(const char *path, const char *options, sn_model **out);
SN_API void sn_model_free(sn_model *model);
/* Writes the directory in whole: beside its place, then renamed. An existing `path` is refused unless
 * `overwrite` is not 0. */
SN_API sn_status sn_model_save(const sn_model *model, const char *path, int overwrite);
/* {"schema":1,"parameters","bytes","threads","precision","inputs":[{"name","kind","encoder"…}],"fusion",
 *  "targets":[{"name","kind","task","classes":[…]}],"trained":{…}} */
SN_API sn_status sn_model_describe(const sn_model *model, char **json);
/* Scores on a table that has the target columns. options: "batch_size", "subsets" (true: every subset of the
 * inputs is scored too), "skip_broken", "limit". The promised evaluate object. */
SN_API sn_status sn_model_evaluate(const sn_model *model, const sn_table *table, const char *options, char **json);
/* Calls back once a row, in order, with {"row","line","targets":{…}} or {"row","error":{…}}; a non-zero answer
 * cancels. Returns the first row's failure (after all rows) when some rows failed. options: "batch_size", "top". */
typedef int sn_row_fn(void *context, const char *json);
SN_API sn_status sn_model_predict(const sn_model *model, const sn_table *table, const char *options, sn_row_fn *row,
                                  void *context);
/* The very arrays that enter the encoders, as safetensors "<column>" (and "<column>.lengths"). */
SN_API sn_status sn_model_features(const sn_model *model, const sn_table *table, const char *options, const char *path);
/* Recomputes the goldens that the model carries.
 * {"schema":1,"same":bool,"rows":n,"largest_difference":x,"bit_identical":bool} */
SN_API sn_status sn_model_verify(const sn_model *model, char **json);

/* ---- weights of other programs --------------------------------------------------------------- */

/* Writes the directory `output` with model.safetensors from `path`: a directory, an index of shards, one file of
 * PyTorch (pytorch_model.bin, .pt) or safetensors, or a hub name. Nothing of it is executed. What else a directory
 * holds (configuration, tokenizer, licence) is copied; weights without a configuration that a page recognises
 * (torchvision's ResNet and VGG, Resemblyzer's speaker encoder, WordLlama's word vectors) get one. options: "dtype"
 * ("f32", "f16", "bf16": float tensors become it), "overwrite". `json` may be NULL:
 * {"schema":1,"source":file,"format":"torch"|"safetensors"|"npy","tensors":n,"bytes":n,"overflows":n,"files":[copied]} */
SN_API sn_status sn_weights_convert(const char *path, const char *output, const char *options, char **json);

/* ---- published models ---------------------------------------------------------------------- */

/* A published model and all that belongs to it (tokenizer, picture and sound processors, pooling, generation settings),
 * opened from a directory as Transformers, sentence-transformers or timm writes it, or as PEFT writes adapters: then the
 * model is that of their base_model_name_or_path (a directory, also relative to theirs, or a name in the cache), changed by them.
 * Immutable: it may be shared between threads; each call borrows working memory of its own. */
typedef struct sn_pipeline sn_pipeline;
/* options: "threads" (0: as many as this process may use), "precision" ("auto": bf16 where the processor has it, or
 * "f32"), "task" (opens only what this task needs; "tokenize" needs no weights). */
SN_API sn_status sn_pipeline_open(const char *path, const char *options, sn_pipeline **out);
SN_API void sn_pipeline_free(sn_pipeline *pipeline);
/* {"schema":1,"model_type","architecture","parameters","bytes","precision","threads","accepts":["text"|"image"|"audio"|"regions"],
 *  "tasks":[name],"vector","pooling","normalised","tokens","max_tokens","image"…}; a key that does not apply is absent. */
SN_API sn_status sn_pipeline_describe(const sn_pipeline *pipeline, char **json);

/* What the model at `path` is, trained here (as sn_model_describe) or published (as sn_pipeline_describe). */
SN_API sn_status sn_path_describe(const char *path, const char *options, char **json);

/* One input. What is not given is NULL and 0; nothing is copied, and all must stay until the call is over. */
typedef struct sn_item {
    const char *text; /* UTF-8 */
    size_t bytes;     /* of text */
    const char *file; /* a picture or a sound, in place of the following */
    const uint8_t *rgb;
    int width, height;
    size_t stride;    /* bytes from row to row */
    const float *pcm;
    size_t frames;
    int channels, rate_hz;
} sn_item;

/* What is told while a call runs; members may be NULL. */
typedef struct sn_listener {
    sn_row_fn *result; /* an item is done: its JSON, or {"item","error":{"code","message","file"}}; in order */
    /* Text of item `item` as soon as it is certain, whole characters; a non-zero answer cancels. */
    int (*text)(void *context, size_t item, const char *utf8, size_t bytes);
    void *context;
    sn_row_fn *part; /* a part of an item is done, such as a segment of "transcribe": its JSON, with "item" */
    /* A long result of item `item` in pieces of its JSON text, in place of `result`: `last` is 1 with the last of them,
     * `json` has no NUL at its end. Only "tokenize" has such; a non-zero answer cancels. */
    int (*piece)(void *context, size_t item, const char *json, size_t bytes, int last);
} sn_listener;

/* Does `task` for each of n items. A failing item is reported and the others go on; then the first failure is returned.
 * Every result has "item" (its number from 1).
 *   "tokenize"    text -> {"text","ids":[…],"tokens":[…],"types":[…],"offsets":[[begin,end]…]}
 *                 options: "special" (true: with the tokens that the model expects around a text), "pair" (second text),
 *                 "decode" ([ids]: the other way; no items; {"text"}). With listener.part: {"ids","tokens"} of some
 *                 thousand tokens at a time, and then the result {"count"}
 *   "embed"       as sn_pipeline_embed; {"vector":[…]}
 *   "generate"    a prompt -> {"text","tokens":[ids],"score","prompt"}: what follows it, without it; "others" with
 *                 "num_return_sequences". options: generation_config.json's keys ("max_new_tokens", "num_beams",
 *                 "do_sample", "temperature", "top_k", "top_p", "seed", …), over those of the model's files
 *   "caption"     a picture -> as "generate", with "image" (its file) in place of "prompt". Pictures of one size go through
 *                 the model together, so that their texts are told in turns. options: also "batch_size" (4, or fewer where they
 *                 are large), "prompt" (a text that every caption begins with; part of it)
 *   "ask"         a question (text) about a picture (file or rgb) -> {"answer","score","question","image"}; from a model
 *                 that writes, as BLIP, with "tokens" and "generate"'s options; from one that chooses among its answers,
 *                 as ViLT, with "top":[[answer,score]…], best first, option "top" (5) of them; VisualBERT needs
 *                 "regions": a .safetensors or .npy file of features [R,V] (for each picture by its file's name, or one
 *                 alone), or the directory of an image model whose grid they are
 *   "classify"    a picture or a text -> {"label","score","top":[[label,score]…]} with "image" (its file) or "text"; score:
 *                 a probability, or for SigLIP and classes of which several may hold, each by itself. options: "labels"
 *                 ([texts]: the classes, of a model that compares pictures with texts; others have their own),
 *                 "template" ("a photo of a {}"), "top" (5), "batch_size" (16; of pictures fewer where they are large)
 *   "transcribe"  a sound -> {"text","seconds","segments":[{"id","start","end","text","tokens":[ids],"temperature",
 *                 "avg_logprob","compression_ratio","no_speech_prob"}],"language","language_probability","audio"} (times
 *                 in seconds; language as far as the model knows several). options: "language" ("de" or "german"; absent:
 *                 it is detected), "task" ("transcribe", "translate": into English), "return_timestamps" (true: times below
 *                 those of 30 s windows, also in short sounds), "prompt" (a text that might have come before),
 *                 "condition_on_prev_tokens", "temperature" (a number or a list: tried in turn until good enough),
 *                 "logprob_threshold", "compression_ratio_threshold", "no_speech_threshold", and generation's keys */
SN_API sn_status sn_pipeline_run(const sn_pipeline *pipeline, const char *task, const sn_item *items, size_t n,
                                 const char *options, const sn_listener *listener);
/* The same for one item, with its result as JSON. */
SN_API sn_status sn_pipeline_answer(const sn_pipeline *pipeline, const char *task, const sn_item *item,
                                    const char *options, char **json);

/* Numbers in a vector of this model. */
SN_API sn_status sn_pipeline_width(const sn_pipeline *pipeline, size_t *width);
/* One vector per item into vectors [n][width], pooled and normalised as the model's files say (without any: mean over
 * the tokens of a text, not normalised; projected and normalised for models that compare pictures with texts). An item
 * that fails is told to the listener, its vector is NaN, and the others go on; then the first failure is returned.
 * Items are sorted by length into batches of their own. options: "batch_size" (32, or fewer where they are large),
 * "prompt" (text put before each text), "pooling" (another than the files say: "mean", "mean_sqrt_len", "weightedmean",
 * "cls", "max", "last"), "normalise". */
SN_API sn_status sn_pipeline_embed(const sn_pipeline *pipeline, const sn_item *items, size_t n, const char *options,
                                   const sn_listener *listener, float *vectors);
/* Writes rows x width numbers: .safetensors (tensor "embeddings"), .npy, by the name's end; atomically. */
SN_API sn_status sn_vectors_write(const char *path, const float *vectors, size_t rows, size_t width);

/* ---- one thread's use of a model ------------------------------------------------------------ */

typedef struct sn_session sn_session;
SN_API sn_status sn_session_create(const sn_model *model, sn_session **out);
SN_API void sn_session_free(sn_session *session);
/* Inputs by column name, copied; an input that is not set is absent. They stay until sn_session_clear. */
SN_API sn_status sn_input_set_image(sn_session *s, const char *name, const uint8_t *rgb, int width, int height,
                                    size_t stride_bytes);
SN_API sn_status sn_input_set_audio(sn_session *s, const char *name, const float *pcm, size_t frames, int channels,
                                    int rate_hz);
SN_API sn_status sn_input_set_text(sn_session *s, const char *name, const char *utf8, size_t bytes);
SN_API sn_status sn_input_set_number(sn_session *s, const char *name, double value);
/* A file for media; for other kinds the file's text. */
SN_API sn_status sn_input_set_file(sn_session *s, const char *name, const char *path);
SN_API sn_status sn_session_clear(sn_session *s);
SN_API sn_status sn_session_run(sn_session *s);
/* After a run. `value` points into the model (class name); probability may be NULL. */
SN_API sn_status sn_output_category(const sn_session *s, const char *name, const char **value, double *probability);
SN_API sn_status sn_output_number(const sn_session *s, const char *name, double *value);
/* Probabilities by class (or the number): `values` points into the session until its next run. */
SN_API sn_status sn_output_vector(const sn_session *s, const char *name, const float **values, size_t *count);

/* ---- training ------------------------------------------------------------------------------ */

/* Reads a config file, YAML (.yaml, .yml) or JSON, to the JSON text that sn_trainer_create takes. */
SN_API sn_status sn_config_read(const char *path, char **json);

typedef struct sn_trainer sn_trainer;
/* Infers what `config` leaves open. `valid` may be NULL: rows are then held out of `table`. The tables must
 * outlive the trainer. config keys:
 *   "targets" [names] (needed unless output_features), "inputs" [names], "exclude" [names],
 *   "types" {column: kind}, "encoders" {column: name}, "tasks" {column: name}, "image_encoder", "text_encoder",
 *   "audio_encoder" (a name, or the directory of a published model), "tune" ("frozen", "full", "lora"), "image_tune",
 *   "text_tune", "audio_tune", "tune_rate", "layer_decay", "unfreeze", "lora_rank", "lora_alpha", "lora_dropout",
 *   "lora_targets" [names], "lora_merge", "model" (the directory of a published model that writes: it learns to write the
 *   target, a text, from the columns that it reads; with "max_length" tokens and the "language" that is spoken), "fusion", "preset", "split_column", "group_column", "skip_broken", "output" (directory for
 *   checkpoints and the finished model; "" for none), "overwrite", "threads", "precision", "seed", "epochs",
 *   "batch_size", "learning_rate", "compare_solo", and the blocks of the YAML file: "input_features", "combiner",
 *   "output_features", "preprocessing", "trainer", "defaults". */
SN_API sn_status sn_trainer_create(const sn_table *table, const sn_table *valid, const char *config, sn_trainer **out);
/* Goes on from the checkpoint in the directory `path`; table(s) must be the same data. */
SN_API sn_status sn_trainer_resume(const sn_table *table, const sn_table *valid, const char *path, sn_trainer **out);
SN_API void sn_trainer_free(sn_trainer *trainer);
/* {"config": as given, "trainer": the training settings with everything inferred filled in, "notes": [text], what
 * was inferred and why}. */
SN_API sn_status sn_trainer_config(const sn_trainer *trainer, char **json);
/* Events are one JSON object each: "start" "progress" "epoch" "best" "stop" "end". A non-zero answer stops after
 * the running step, saved; sn_trainer_run then gives SN_ERR_CANCELLED. */
typedef int sn_event_fn(void *context, const char *json);
SN_API sn_status sn_trainer_run(sn_trainer *trainer, sn_event_fn *event, void *context);
/* May be called from a signal handler or another thread. */
SN_API void sn_trainer_stop(sn_trainer *trainer);
/* The model with the best weights so far; belongs to the trainer. */
SN_API const sn_model *sn_trainer_model(const sn_trainer *trainer);
/* All inputs together, each absent in turn (and each alone when "compare_solo"), on the held-out rows, with
 * standard errors and sentences that a person can act on:
 * {"targets":{col:{"metric","all","without":{part:{"value","difference","error"}},"solo":{…}}},"advice":[text]} */
SN_API sn_status sn_trainer_verdict(sn_trainer *trainer, char **json);

#ifdef __cplusplus
}
#endif
#endif
