/* model_io.h: a model as a directory and back: config.json ("model_type": "sensorium"), model.safetensors. */
#ifndef SN_MODEL_IO_H
#define SN_MODEL_IO_H
#include "models/model.h"

/* config.json's tree: input_features, combiner, output_features, recipe. */
sn_status sn_model_to_json(const sn_model *m, json_t **out);
/* A declared model (weights as initialised) from that tree; `name` appears in errors. */
sn_status sn_model_from_json(const json_t *config, const char *name, sn_model **out);
/* threads 0 and precision "" mean: as trained. */
sn_status sn_model_read(const char *path, int threads, const char *precision, sn_model **out);
/* Writes the files into an existing directory, each by write-sync-rename. */
sn_status sn_model_write(const sn_model *m, const char *directory);
#endif
