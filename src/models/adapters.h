/* adapters.h: low-rank adapters on disk, as the Python package PEFT keeps them beside or apart from their model.
 *
 *   adapter_config.json        "r", "lora_alpha", "target_modules", …
 *   adapter_model.safetensors  base_model.model.<module>.lora_A.weight [r, in], …lora_B.weight [out, r]
 *
 *   weight of the module  +=  (alpha / r) * B A      (merging; the transposed sum where matrices lie [in, out]) */
#ifndef SN_ADAPTERS_H
#define SN_ADAPTERS_H
#include "params/params.h"
#include "params/weights.h"

typedef struct sn_adapters {
    sn_weights *weights;
    json_t *config;
    int64_t rank;
    double alpha;
} sn_adapters;
/* *out NULL where the directory holds no adapter_config.json. Kinds other than plain LoRA are an error by name. */
sn_status sn_adapters_open(const char *directory, sn_adapters **out);
/* The same from what was read; `weights` become its own where it succeeds. */
sn_status sn_adapters_make(json_t *config, sn_weights *weights, sn_adapters **out);
void sn_adapters_free(sn_adapters *a);

/* Parameters first..end-1 of the store are a model's; their published names begin after `skip` characters. */
typedef struct sn_module_range { int first, end; size_t skip; } sn_module_range;
/* Parameter i, one of an adapter, from its tensor. */
sn_status sn_adapters_load_one(const sn_adapters *a, sn_params *p, int i, size_t skip);
/* Every adapter of the file into the weight it belongs to. Modules that `elsewhere` knows (it may be NULL) are passed
 * over: they belong to a part of the model that is not in the store. */
sn_status sn_adapters_merge(const sn_adapters *a, sn_params *p, sn_module_range range, const sn_weights *elsewhere);
/* The store's own adapters into the weights beside them; their B becomes zero. */
sn_status sn_adapters_merge_own(sn_params *p, sn_module_range range, double scale);
/* Both files into a directory. `base`: the model's own weights, which tell whether short names are enough. */
sn_status sn_adapters_write(sn_params *p, sn_module_range range, const sn_weights *base, int64_t rank, double alpha, double dropout,
                            const char *directory);
#endif
