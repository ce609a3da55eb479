/* hub.h: models by their Hugging Face name, from the cache that `hf download` fills. Never the network.
 *
 *   $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub
 *     models--ORG--NAME/refs/main             the commit that "main" was when it was downloaded
 *     models--ORG--NAME/snapshots/<commit>/   its files */
#ifndef SN_BASE_HUB_H
#define SN_BASE_HUB_H
#include "base/file.h"

/* A directory (or any path that exists) is itself. Otherwise "NAME", "ORG/NAME" or "ORG/NAME@REVISION" (a branch, tag
 * or whole commit) is looked up in the cache; where it is not there, the error says how to download it. The path is
 * heap, freed with sn_free. */
sn_status sn_hub_find(const char *name, char **path);
#endif
