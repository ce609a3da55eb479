/* seen.c: see seen.h. */
#include "pipelines/seen.h"

enum { KEPT = 16 }; /* pictures: of BLIP's published size 1.7 MB each */

typedef struct picture {
    const sn_item *item;
    int64_t height, width; /* of pixels */
    sn_shape shape;        /* of the encoder's states; of regions [R,V] */
    float *values;
    uint64_t used;
} picture;

struct sn_seen {
    const sn_call *call;
    sn_regions *regions;
    bool encodes;
    picture kept[KEPT];
    uint64_t clock;
};

sn_status sn_seen_create(const sn_call *call, sn_regions *regions, sn_seen **out) {
    *out = sn_alloc(1, sizeof **out);
    if (!*out) return SN_ERR_MEMORY;
    (*out)->call = call;
    (*out)->regions = regions;
    (*out)->encodes = sn_pretrained_writes(call->p->model);
    return SN_OK;
}

void sn_seen_free(sn_seen *s) {
    for (int i = 0; s && i < KEPT; i++) sn_free(s->kept[i].values);
    sn_free(s);
}

static bool same_picture(const sn_item *a, const sn_item *b) {
    if (a->file || b->file) return a->file && b->file && !strcmp(a->file, b->file);
    return a->rgb == b->rgb && a->width == b->width && a->height == b->height && a->stride == b->stride;
}

/* ---- making ---- */

static sn_status encode(const sn_call *call, const sn_pictures *pixels, picture *p) {
    static const char *const names[] = {"image_embeds", NULL};
    sn_feed feed = sn_feed_pictures(pixels, 1);
    sn_result states;
    SN_TRY(sn_work_run(call->work, &feed, names, &states));
    size_t count = (size_t)sn_shape_count(states.shape);
    p->shape = states.shape;
    p->values = sn_alloc(count, sizeof *p->values);
    if (!p->values) return SN_ERR_MEMORY;
    memcpy(p->values, states.data, count * sizeof *p->values); /* the work's own memory lasts until its next run */
    return SN_OK;
}

static sn_status look(const sn_seen *s, size_t i, picture *p) {
    sn_pictures pixels;
    *p = (picture){.item = &s->call->items[i]};
    if (s->regions) {
        p->shape.rank = 2;
        return sn_regions_take(s->regions, s->call, i, &p->values, &p->shape.dim[0]);
    }
    SN_TRY(sn_pictures_make(s->call, i, 1, &pixels));
    p->height = pixels.height;
    p->width = pixels.width;
    if (!s->encodes) {
        p->values = pixels.values;
        return SN_OK;
    }
    sn_status status = encode(s->call, &pixels, p);
    sn_pictures_free(&pixels);
    return status;
}

/* ---- keeping ---- */

static sn_status find(sn_seen *s, size_t i, picture **out) {
    picture *oldest = s->kept, fresh;
    for (picture *p = s->kept; p < s->kept + KEPT; p++) {
        if (p->values && same_picture(p->item, &s->call->items[i])) {
            *out = p;
            return SN_OK;
        }
        if (p->used < oldest->used) oldest = p;
    }
    sn_status status = look(s, i, &fresh);
    if (status != SN_OK) {
        sn_free(fresh.values);
        return status;
    }
    sn_free(oldest->values);
    *oldest = fresh;
    *out = oldest;
    return SN_OK;
}

sn_status sn_seen_feed(sn_seen *s, size_t i, sn_feed *feed) {
    picture *p;
    SN_TRY(find(s, i, &p));
    p->used = ++s->clock;
    feed->sizes.height = p->height;
    feed->sizes.width = p->width;
    if (s->regions) {
        feed->kinds |= SN_IN_REGIONS;
        feed->regions = p->values;
        feed->sizes.regions = p->shape.dim[0];
    } else if (s->encodes) {
        feed->kinds |= SN_FEED_ENCODED;
        feed->encoded = p->values;
        feed->encoded_shape = p->shape;
    } else {
        feed->kinds |= SN_IN_IMAGE;
        feed->pixels = p->values;
    }
    return SN_OK;
}
