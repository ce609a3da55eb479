/* directory.h: a model's directory that is never half there: written beside its place, synced, renamed. */
#ifndef SN_BASE_DIRECTORY_H
#define SN_BASE_DIRECTORY_H
#include "base/file.h"

/* Writes the files into the empty directory `fresh`. */
typedef sn_status sn_directory_fill(void *context, const char *fresh);
/* An existing `path` is refused unless `overwrite`; and then too unless it is a model (config.json with a model_type)
 * or empty, so that a mistyped name deletes nobody's files. After a failure what was there is still there. */
sn_status sn_directory_write(const char *path, bool overwrite, sn_directory_fill *fill, void *context);
#endif
