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
    const char *prefix; /* of the model's page, which names may have or not; NULL */
} sn_adapters;
#define SN_ADAPTERS_PREFIX "base_model.model."
enum { SN_ADAPTERS_NAME = 384 };
/* The directory of the model that the adapters in `directory` are for, where it holds them alone: what
 * "base_model_name_or_path" says: a directory, also relative to theirs, or a name in the cache. *base (heap) is NULL where it holds
 * a model itself, or no adapters. */
sn_status sn_adapters_base(const char *directory, char **base);
/* *out NULL where the directory holds no adapter_config.json. Kinds other than plain LoRA are an error by name. */
sn_status sn_adapters_open(const char *directory, sn_adapters **out);
/* The same from what was read; `weights` become its own where it succeeds. */
sn_status sn_adapters_make(json_t *config, sn_weights *weights, sn_adapters **out);
void sn_adapters_free(sn_adapters *a);

/* What "modules_to_save" names was learned as a whole: those tensors go over the model's own, or beside them. `over` reads
 * them from the adapters' file as long as it is used. */
sn_status sn_adapters_lay(const sn_adapters *a, sn_weights *over);
bool sn_adapters_has_whole(const sn_adapters *a);
/* The name without the prefix of a tensor of the adapters' file that belongs to such a module; NULL: it does not. */
const char *sn_adapters_whole_name(const sn_adapters *a, const sn_tensor_view *tensor);
/* The end of the architecture's name that "task_type" makes of a model, "ForSequenceClassification"; NULL: it stays. */
const char *sn_adapters_head(const sn_adapters *a);
int64_t sn_adapters_classes(const sn_adapters *a); /* of a head in the adapters' file; 0: there is none */
/* The k-th name that a tensor or module of this name may have in the model's file, "" where there is none such; false: k
 * is beyond the last. */
bool sn_adapters_other_name(const sn_adapters *a, const char *name, int k, char out[SN_ADAPTERS_NAME]);

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
