/* image_processor_kind.h: a row of image_processors.def, and the sizes a picture is resized to. Private to features/. */
#ifndef SN_IMAGE_PROCESSOR_KIND_H
#define SN_IMAGE_PROCESSOR_KIND_H
#include "features/image_processor.h"

enum { SN_PROCESSOR_MOST_SIDE = 16384 };

typedef struct sn_processor_kind {
    const char *type;
    sn_size_rule rule;
    int size;
    bool square;
    int crop;
    int (*start)(int margin); /* the first row or column of the crop, of what both margins have together */
    sn_filter filter;
    const float (*norm)[3]; /* mean, deviation */
    sn_status (*resize)(const sn_image_processor *p, const sn_image *in, sn_image *out);
    bool pads;
} sn_processor_kind;
/* NULL when there is none of this type or model. */
const sn_processor_kind *sn_processor_by_type(const char *type, size_t bytes);
const sn_processor_kind *sn_processor_by_model(const char *model_type);
#endif
