/* regions.c: see regions.h. */
#include "pipelines/regions.h"

#include <stdio.h>

#include "params/weights.h"
#include "pipelines/work.h"

struct sn_regions {
    char *path;
    int64_t width;
    sn_weights *file;
    sn_pipeline *model; /* or */
    sn_work *work;
};

void sn_regions_free(sn_regions *r) {
    if (!r) return;
    sn_weights_free(r->file);
    if (r->model) sn_work_give(r->model, r->work);
    sn_pipeline_free(r->model);
    sn_free(r->path);
    sn_free(r);
}

static sn_status open_model(sn_regions *r, const sn_pipeline *like) {
    char options[96];
    (void)snprintf(options, sizeof options, "{\"threads\":%d,\"precision\":\"%s\"}", sn_pretrained_threads(like->model),
                   sn_pretrained_bf16(like->model) ? "auto" : "f32");
    SN_TRY(sn_pipeline_open(r->path, options, &r->model));
    if (sn_pretrained_page(r->model->model)->accepts != SN_IN_IMAGE || !r->model->has_pictures)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s: not an image model with its picture processor", r->path);
    return sn_work_take(r->model, &r->work);
}

sn_status sn_regions_open(const char *path, const sn_pipeline *like, int64_t width, sn_regions **out) {
    *out = NULL;
    sn_regions *r = sn_alloc(1, sizeof *r);
    if (!r) return SN_ERR_MEMORY;
    r->width = width;
    r->path = sn_strdup(path);
    sn_status status = r->path ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_is_directory(path) ? open_model(r, like) : sn_weights_open(path, &r->file);
    if (status == SN_OK) *out = r;
    else sn_regions_free(r);
    return status;
}

static sn_status check_width(const sn_regions *r, int64_t found) {
    if (found == r->width) return SN_OK;
    SN_FAIL(SN_ERR_SHAPE, "%s: regions of %lld numbers; the model takes %lld", r->path, (long long)found, (long long)r->width);
}

static sn_status no_memory(void) { SN_FAIL(SN_ERR_MEMORY, "out of memory"); }

/* ---- a file of features ---- */

static const sn_tensor_view *find(const sn_regions *r, const char *file) {
    const char *slash = file ? strrchr(file, '/') : NULL;
    const sn_tensor_view *view = file ? sn_weights_find(r->file, file) : NULL;
    if (!view && slash) view = sn_weights_find(r->file, slash + 1);
    return view || sn_weights_count(r->file) != 1 ? view : sn_weights_at(r->file, 0);
}

static sn_status from_file(const sn_regions *r, const sn_item *item, float **values, int64_t *count) {
    const sn_tensor_view *view = find(r, item->file);
    char shape[SN_SHAPE_TEXT];
    if (!view)
        SN_FAIL(SN_ERR_FORMAT, "%s: no tensor is called \"%s\"; there are %d", r->path, item->file ? item->file : "", sn_weights_count(r->file));
    sn_shape s = view->type.shape;
    if (s.rank < 2 || s.rank > 3 || (s.rank == 3 && s.dim[0] != 1) || s.dim[s.rank - 2] < 1)
        SN_FAIL(SN_ERR_SHAPE, "%s: \"%s\": expected [regions, %lld], found %s", r->path, view->name, (long long)r->width, sn_shape_text(s, shape));
    SN_TRY(check_width(r, s.dim[s.rank - 1]));
    *count = s.dim[s.rank - 2];
    *values = sn_alloc((size_t)*count, (size_t)r->width * sizeof **values);
    if (!*values) return no_memory();
    return sn_tensor_to_f32(view, *values);
}

/* ---- an image model's grid ---- */

static sn_status from_model(sn_regions *r, const sn_call *call, size_t i, float **values, int64_t *count) {
    static const char *const names[] = {"last_hidden_state", NULL};
    sn_call own = {.p = r->model, .work = r->work, .items = call->items, .n = call->n};
    sn_pictures pictures;
    sn_result grid;
    SN_TRY(sn_pictures_make(&own, i, 1, &pictures));
    sn_feed feed = sn_feed_pictures(&pictures, 1);
    sn_status status = sn_work_run(r->work, &feed, names, &grid);
    sn_pictures_free(&pictures);
    SN_TRY(status);
    if (grid.shape.rank != 4) SN_FAIL(SN_ERR_UNSUPPORTED, "%s: the model gives no grid of its picture", r->path);
    SN_TRY(check_width(r, grid.shape.dim[3]));
    *count = grid.shape.dim[1] * grid.shape.dim[2];
    *values = sn_alloc((size_t)*count, (size_t)r->width * sizeof **values);
    if (!*values) return no_memory();
    memcpy(*values, grid.data, (size_t)(*count * r->width) * sizeof **values);
    return SN_OK;
}

sn_status sn_regions_take(sn_regions *r, const sn_call *call, size_t i, float **values, int64_t *count) {
    *values = NULL;
    return r->file ? from_file(r, &call->items[i], values, count) : from_model(r, call, i, values, count);
}
