/* pictures.c: items' pictures as the model's own processor makes them: pixels f32 [N,H,W,3]. */
#include <stdio.h>

#include "pipelines/media.h"

sn_status sn_item_image(const sn_item *item, sn_image *out) {
    *out = (sn_image){0};
    if (item->file) return sn_image_read(item->file, 0, out);
    if (!item->rgb) SN_FAIL(SN_ERR_USAGE, "a picture is expected");
    if (item->width < 1 || item->height < 1 || item->stride < (size_t)item->width * 3)
        SN_FAIL(SN_ERR_USAGE, "a picture of %d x %d pixels with %zu bytes a row is not possible", item->width, item->height, item->stride);
    SN_TRY(sn_image_make(item->width, item->height, 3, out));
    size_t bytes = (size_t)item->width * 3;
    for (size_t y = 0; y < (size_t)item->height; y++) memcpy(out->pixels + y * bytes, item->rgb + y * item->stride, bytes);
    return SN_OK;
}

static sn_status prepared(const sn_pipeline *p, const sn_item *item, sn_image *out) {
    sn_image raw;
    SN_TRY(sn_item_image(item, &raw));
    sn_status status = sn_image_processor_pixels(&p->pictures, &raw, out);
    sn_image_free(&raw);
    if (status != SN_OK && item->file) return sn_fail_at(item->file, 0, NULL);
    return status;
}

void sn_pictures_free(sn_pictures *p) {
    sn_free(p->values);
    *p = (sn_pictures){0};
}

sn_feed sn_feed_pictures(const sn_pictures *p, int64_t n) {
    return (sn_feed){.kinds = SN_IN_IMAGE, .sizes = {.rows = n, .height = p->height, .width = p->width}, .pixels = p->values};
}

sn_status sn_pictures_make(const sn_call *call, size_t first, size_t n, sn_pictures *out) {
    *out = (sn_pictures){0};
    for (size_t i = 0; i < n; i++) {
        sn_image image = {0};
        sn_status status = prepared(call->p, &call->items[first + i], &image);
        if (status == SN_OK && !out->values) {
            out->height = image.height;
            out->width = image.width;
            out->one = (size_t)image.height * (size_t)image.width * 3;
            out->values = sn_alloc(n, out->one * sizeof *out->values);
            if (!out->values) status = SN_ERR_MEMORY;
        }
        if (status == SN_OK && (image.height != out->height || image.width != out->width))
            status = sn_fail(SN_ERR_SHAPE, "a picture of %d x %d beside one of %d x %d", image.width, image.height, (int)out->width, (int)out->height);
        if (status == SN_OK) sn_image_processor_values(&call->p->pictures, &image, out->values + i * out->one);
        sn_image_free(&image);
        if (status != SN_OK) {
            sn_pictures_free(out);
            return status;
        }
    }
    return SN_OK;
}

/* ---- batches ---- */

typedef struct gathering {
    const sn_call *call;
    const sn_picture_batches *to;
    sn_pictures all;
    size_t *items;
    int64_t n, most; /* pictures: of this batch so far, of a whole one */
} gathering;

static sn_status flush(gathering *g) {
    int64_t n = g->n;
    g->n = 0;
    if (!n) return SN_OK;
    SN_TRY(g->to->run(g->to->context, &g->all, g->items, n));
    if (g->most == 1 && !sn_call_batch_asked(g->call)) g->most = sn_work_rows(g->call->work, 1, g->to->most);
    return SN_OK;
}

static sn_status keep(gathering *g, size_t i, const sn_pictures *one) {
    sn_pictures *all = &g->all;
    if (!g->n && (one->one != all->one || !all->values)) {
        sn_pictures_free(all);
        all->values = sn_alloc((size_t)g->to->most, one->one * sizeof *all->values);
        if (!all->values) return SN_ERR_MEMORY;
    }
    all->height = one->height, all->width = one->width, all->one = one->one;
    memcpy(all->values + (size_t)g->n * one->one, one->values, one->one * sizeof *one->values);
    g->items[g->n++] = i;
    return SN_OK;
}

static sn_status add(gathering *g, size_t i) {
    sn_pictures one;
    sn_status status = sn_pictures_make(g->call, i, 1, &one);
    if (status != SN_OK && g->n) {
        SN_TRY(flush(g));
        status = sn_pictures_make(g->call, i, 1, &one); /* its error is the last one again */
    }
    if (status != SN_OK) return g->to->failed(g->to->context, i, status);
    if (g->n == g->most || (g->n && (one.height != g->all.height || one.width != g->all.width))) status = flush(g);
    if (status == SN_OK) status = keep(g, i, &one);
    sn_pictures_free(&one);
    return status;
}

sn_status sn_pictures_all(const sn_call *call, const sn_picture_batches *to) {
    gathering g = {.call = call, .to = to, .most = sn_call_batch_asked(call) ? to->most : 1, .items = sn_alloc((size_t)to->most, sizeof *g.items)};
    sn_status status = g.items ? SN_OK : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < call->n; i++) status = add(&g, i);
    if (status == SN_OK) status = flush(&g);
    sn_pictures_free(&g.all);
    sn_free(g.items);
    return status;
}
