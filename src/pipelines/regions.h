/* regions.h: where a model that looks at regions of a picture (VisualBERT) gets their features from.
 *
 *   a file of features    .safetensors or .npy: tensors [R,V] (or [1,R,V]), one for each picture under its file's name, or
 *                         one alone
 *   an image model        its directory (ResNet): the picture's last grid [h,w,V], row by row */
#ifndef SN_REGIONS_H
#define SN_REGIONS_H
#include "pipelines/media.h"

typedef struct sn_regions sn_regions;
/* width: V, which must be what the model takes. An image model runs with the threads and precision of `like`. */
sn_status sn_regions_open(const char *path, const sn_pipeline *like, int64_t width, sn_regions **out);
void sn_regions_free(sn_regions *r);
/* The features of item i: values [count][width], from the heap. */
sn_status sn_regions_take(sn_regions *r, const sn_call *call, size_t i, float **values, int64_t *count);
#endif
