/* companions.h: the files that lie beside a model's weights and travel with it: configurations, tokenizers, licences,
 * adapters, and the folders of sentence-transformers' modules ("1_Pooling/config.json", "2_Dense/model.safetensors"). */
#ifndef SN_COMPANIONS_H
#define SN_COMPANIONS_H
#include "base/file.h"

/* `name` is relative to the directory. */
typedef sn_status sn_companion_fn(void *context, const char *name);
/* Tells of each, in the order of their names; stops at the first failure. Nothing where `directory` is a file. */
sn_status sn_companions_each(const char *directory, sn_companion_fn *tell, void *context);
#endif
