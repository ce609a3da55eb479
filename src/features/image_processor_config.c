/* image_processor_config.c: a processor's settings from JSON: what the file says, over the defaults of its type. As in
 * Transformers, a step whose flag is null is not done, and a step that is done may have no null among its settings. Keys
 * that are not settings of pictures are passed over. */
#include "features/image_processor_kind.h"

static sn_status side(const json_t *value, const char *key, int *out) {
    json_int_t x = json_integer_value(value);
    if (!json_is_integer(value) || x < 1 || x > SN_PROCESSOR_MOST_SIDE)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\" must be a whole number from 1 to %d", key, SN_PROCESSOR_MOST_SIDE);
    *out = (int)x;
    return SN_OK;
}

static sn_status member_side(const json_t *object, const char *key, int *out) {
    const json_t *value = json_object_get(object, key);
    *out = 0;
    return value && !json_is_null(value) ? side(value, key, out) : SN_OK;
}

static sn_status bad_size(const char *key) {
    SN_FAIL(SN_ERR_FORMAT, "\"%s\" must be a whole number, a pair, or an object with height and width, shortest_edge, or max_height and "
            "max_width", key);
}

typedef struct size {
    sn_size_rule rule;
    int height, width;
} size;

static sn_status size_object(const json_t *object, const char *key, size *out) {
    int height = 0, width = 0, shortest = 0, longest = 0, max_height = 0, max_width = 0;
    SN_TRY(member_side(object, "height", &height));
    SN_TRY(member_side(object, "width", &width));
    SN_TRY(member_side(object, "shortest_edge", &shortest));
    SN_TRY(member_side(object, "longest_edge", &longest));
    SN_TRY(member_side(object, "max_height", &max_height));
    SN_TRY(member_side(object, "max_width", &max_width));
    if (height && width && !shortest && !longest) *out = (size){SN_SIZE_EXACT, height, width};
    else if (shortest && !height && !width) *out = (size){SN_SIZE_SHORTEST, shortest, longest};
    else if (max_height && max_width && !height && !width && !longest) *out = (size){SN_SIZE_INSIDE, max_height, max_width};
    else return bad_size(key);
    return SN_OK;
}

/* *out stays as it is when the key is absent. */
static sn_status read_size(const json_t *config, const char *key, bool square, size *out) {
    const json_t *value = json_object_get(config, key);
    int x = 0;
    if (!value || json_is_null(value)) return SN_OK;
    if (json_is_object(value)) return size_object(value, key, out);
    if (json_is_array(value)) {
        if (json_array_size(value) != 2) return bad_size(key);
        out->rule = SN_SIZE_EXACT;
        SN_TRY(side(json_array_get(value, 0), key, &out->height));
        return side(json_array_get(value, 1), key, &out->width);
    }
    SN_TRY(side(value, key, &x));
    *out = (size){square ? SN_SIZE_EXACT : SN_SIZE_SHORTEST, x, square ? x : 0};
    return SN_OK;
}

/* Pillow's numbers of its filters. */
static sn_status read_filter(const json_t *config, sn_filter *out) {
    static const sn_filter filters[] = {SN_NEAREST, SN_LANCZOS, SN_BILINEAR, SN_BICUBIC, SN_BOX, SN_HAMMING};
    int64_t code;
    SN_TRY(sn_json_int(config, "resample", -1, &code));
    if (code == -1) return SN_OK;
    if (code < 0 || code > 5) SN_FAIL(SN_ERR_FORMAT, "\"resample\" must be 0 to 5, not %lld", (long long)code);
    *out = filters[code];
    return SN_OK;
}

/* Three numbers, or one for all. */
static sn_status read_channels(const json_t *config, const char *key, float out[3]) {
    const json_t *value = json_object_get(config, key);
    if (!value || json_is_null(value)) return SN_OK;
    if (!json_is_number(value) && json_array_size(value) != 3) SN_FAIL(SN_ERR_FORMAT, "\"%s\" must be three numbers", key);
    for (size_t c = 0; c < 3; c++) {
        const json_t *item = json_is_number(value) ? value : json_array_get(value, c);
        if (!json_is_number(item)) SN_FAIL(SN_ERR_FORMAT, "\"%s\" must be three numbers", key);
        out[c] = (float)json_number_value(item);
    }
    return SN_OK;
}

static sn_status read_flag(const json_t *config, const char *key, bool fallback, bool *out) {
    SN_TRY(sn_json_bool(config, key, fallback, out));
    if (json_is_null(json_object_get(config, key))) *out = false;
    return SN_OK;
}

static sn_status no_null(const json_t *config, const char *step, bool done, const char *const *keys) {
    for (; done && *keys; keys++)
        if (json_is_null(json_object_get(config, *keys))) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is null, but \"%s\" needs it", *keys, step);
    return SN_OK;
}

static sn_status check_nulls(const json_t *config, const sn_image_processor *p) {
    static const char *const resize[] = {"size", "resample", "crop_pct", NULL}, *const crop[] = {"crop_size", NULL},
                      *const rescale[] = {"rescale_factor", NULL}, *const normalise[] = {"image_mean", "image_std", NULL};
    SN_TRY(no_null(config, "do_resize", p->resize, resize));
    SN_TRY(no_null(config, "do_center_crop", p->crop, crop));
    SN_TRY(no_null(config, "do_rescale", p->rescale, rescale));
    return no_null(config, "do_normalize", p->normalise, normalise);
}

static sn_status read_steps(const json_t *config, sn_image_processor *p) {
    int64_t divisor;
    SN_TRY(read_flag(config, "do_resize", true, &p->resize));
    SN_TRY(read_flag(config, "do_center_crop", p->kind->crop > 0, &p->crop));
    SN_TRY(read_flag(config, "do_rescale", true, &p->rescale));
    SN_TRY(read_flag(config, "do_normalize", true, &p->normalise));
    SN_TRY(read_flag(config, "do_pad", p->kind->pads, &p->pad));
    SN_TRY(sn_json_int(config, "size_divisor", 32, &divisor));
    SN_TRY(sn_json_number(config, "crop_pct", 224.0 / 256.0, &p->crop_pct));
    SN_TRY(sn_json_number(config, "rescale_factor", 1.0 / 255.0, &p->factor));
    if (divisor < 1 || divisor > SN_PROCESSOR_MOST_SIDE) SN_FAIL(SN_ERR_FORMAT, "\"size_divisor\" must be 1 to %d", SN_PROCESSOR_MOST_SIDE);
    if (!(p->crop_pct >= 0.01 && p->crop_pct <= 100)) SN_FAIL(SN_ERR_FORMAT, "\"crop_pct\" must be 0.01 to 100, not %g", p->crop_pct);
    p->divisor = (int)divisor;
    return check_nulls(config, p);
}

static sn_status read_sizes(const json_t *config, sn_image_processor *p) {
    const sn_processor_kind *k = p->kind;
    bool square;
    size whole = {k->rule, k->size, k->rule == SN_SIZE_EXACT ? k->size : 0}, crop = {SN_SIZE_EXACT, k->crop, k->crop},
         pad = {SN_SIZE_EXACT, 0, 0};
    SN_TRY(read_flag(config, "default_to_square", k->square, &square));
    SN_TRY(read_size(config, "size", square, &whole));
    SN_TRY(read_size(config, "crop_size", true, &crop));
    SN_TRY(read_size(config, "pad_size", true, &pad));
    if (p->crop && (crop.rule != SN_SIZE_EXACT || !crop.height)) SN_FAIL(SN_ERR_FORMAT, "\"crop_size\" must have height and width");
    if (pad.rule != SN_SIZE_EXACT) SN_FAIL(SN_ERR_FORMAT, "\"pad_size\" must have height and width");
    p->rule = whole.rule;
    p->height = whole.height;
    p->width = whole.width;
    p->crop_height = crop.height;
    p->crop_width = crop.width;
    p->pad_height = pad.height;
    p->pad_width = pad.width;
    return SN_OK;
}

/* Level by level as NumPy does it: scaled in double, rounded to float, then mean and deviation in float. */
static sn_status fill_table(sn_image_processor *p) {
    for (int c = 0; c < 3; c++) {
        if (p->normalise && p->std[c] == 0.0f) SN_FAIL(SN_ERR_FORMAT, "\"image_std\" must not be 0");
        for (int v = 0; v < 256; v++) {
            float x = p->rescale ? (float)((double)v * p->factor) : (float)v;
            p->table[c][v] = p->normalise ? (x - p->mean[c]) / p->std[c] : x;
        }
    }
    return SN_OK;
}

/* "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPFeatureExtractor" -> CLIP */
static sn_status find_kind(const json_t *config, const char *model_type, const sn_processor_kind **out) {
    static const char *const ends[] = {"ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"};
    const char *type, *older;
    *out = NULL;
    SN_TRY(sn_json_string(config, "feature_extractor_type", NULL, &older));
    SN_TRY(sn_json_string(config, "image_processor_type", older, &type));
    for (size_t i = 0; type && !*out && i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(type), m = strlen(ends[i]);
        if (n > m && !strcmp(type + n - m, ends[i])) *out = sn_processor_by_type(type, n - m);
    }
    if (*out) return SN_OK;
    if (type) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%.80s\" is not an image processor that is known here", type);
    if (!model_type) SN_FAIL(SN_ERR_FORMAT, "\"image_processor_type\" is missing");
    *out = sn_processor_by_model(model_type);
    if (!*out) SN_FAIL(SN_ERR_UNSUPPORTED, "\"image_processor_type\" is missing, and models of type \"%.80s\" have none known here", model_type);
    return SN_OK;
}

static sn_status parse(const json_t *config, const char *model_type, sn_image_processor *p) {
    if (!json_is_object(config)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(find_kind(config, model_type, &p->kind));
    p->filter = p->kind->filter;
    memcpy(p->mean, p->kind->norm[0], sizeof p->mean);
    memcpy(p->std, p->kind->norm[1], sizeof p->std);
    SN_TRY(read_steps(config, p));
    SN_TRY(read_sizes(config, p));
    SN_TRY(read_filter(config, &p->filter));
    SN_TRY(read_channels(config, "image_mean", p->mean));
    SN_TRY(read_channels(config, "image_std", p->std));
    return fill_table(p);
}

sn_status sn_image_processor_parse(const json_t *config, const char *name, const char *model_type, sn_image_processor *out) {
    *out = (sn_image_processor){0};
    sn_status status = parse(config, model_type, out);
    if (status == SN_OK) return SN_OK;
    (void)sn_fail_in("%s", name);
    return sn_fail_at(name, 0, NULL);
}

/* ---- the files of a directory ---- */

/* NULL where the file, or the block in it, is not there. */
static sn_status read_block(const char *path, const char *block, json_t **out) {
    json_t *tree;
    *out = NULL;
    if (!path) return SN_OK;
    SN_TRY(sn_json_read(path, &tree));
    *out = json_incref(block ? json_object_get(tree, block) : tree);
    json_decref(tree);
    return SN_OK;
}

/* ---- timm: a block of config.json ---- */

static sn_status timm_side(const json_t *block, int64_t *side) {
    json_t *list;
    SN_TRY(sn_json_array(block, "input_size", &list));
    *side = json_integer_value(json_array_get(list, 1));
    if (*side < 1 || *side > SN_PROCESSOR_MOST_SIDE || json_integer_value(json_array_get(list, 2)) != *side)
        SN_FAIL(SN_ERR_UNSUPPORTED, "\"input_size\" must be [3, side, side] with a side of 1 to %d", SN_PROCESSOR_MOST_SIDE);
    return SN_OK;
}

/* The same in the words of preprocessor_config.json, with timm's defaults: resized to side / crop_pct ("center": the
 * shorter edge, "squash": both), and the middle of it. */
static sn_status translate_timm(const json_t *block, json_t **out) {
    static const char *const filters[] = {"bilinear", "bicubic"};
    const char *filter, *mode;
    double pct;
    int64_t side;
    SN_TRY(timm_side(block, &side));
    SN_TRY(sn_json_number(block, "crop_pct", 0.875, &pct));
    SN_TRY(sn_json_string(block, "interpolation", filters[1], &filter));
    SN_TRY(sn_json_string(block, "crop_mode", "center", &mode));
    bool squash = !strcmp(mode, "squash"), cubic = !strcmp(filter, filters[1]);
    if (!squash && strcmp(mode, "center")) SN_FAIL(SN_ERR_UNSUPPORTED, "\"crop_mode\": \"%.80s\" is none of center, squash", mode);
    if (!cubic && strcmp(filter, filters[0])) SN_FAIL(SN_ERR_UNSUPPORTED, "\"interpolation\": \"%.80s\" is none of bilinear, bicubic", filter);
    if (!(pct >= 0.01 && pct <= 1)) SN_FAIL(SN_ERR_FORMAT, "\"crop_pct\" must be 0.01 to 1, not %g", pct);
    json_int_t edge = (json_int_t)((double)side / pct);
    json_t *resized = squash ? json_pack("{s:I, s:I}", "height", edge, "width", edge) : json_pack("{s:I}", "shortest_edge", edge);
    *out = json_pack("{s:s, s:o, s:{s:I, s:I}, s:i}", "image_processor_type", "TorchvisionImageProcessor", "size", resized, "crop_size", "height",
                     (json_int_t)side, "width", (json_int_t)side, "resample", cubic ? 3 : 2);
    static const char *const given[][2] = {{"mean", "image_mean"}, {"std", "image_std"}};
    for (int i = 0; *out && i < 2; i++)
        if (json_object_get(block, given[i][0])) (void)json_object_set(*out, given[i][1], json_object_get(block, given[i][0]));
    return *out ? SN_OK : SN_ERR_MEMORY;
}

static sn_status parse_timm(const json_t *block, const char *path, sn_image_processor *out) {
    json_t *config = NULL;
    sn_status status = translate_timm(block, &config);
    if (status != SN_OK) {
        (void)sn_fail_in("%s: \"pretrained_cfg\"", path);
        return sn_fail_at(path, 0, NULL);
    }
    status = sn_image_processor_parse(config, path, NULL, out);
    json_decref(config);
    return status;
}

/* ---- a directory ---- */

static const struct { const char *name, *block; bool timm; } places[] = {
    {"processor_config.json", "image_processor", false}, {"preprocessor_config.json", NULL, false}, {"config.json", "pretrained_cfg", true}};
enum { PLACES = sizeof places / sizeof *places };

static sn_status find_place(const char *directory, int *place, char **path, json_t **config) {
    sn_status status = SN_OK;
    *path = NULL;
    *config = NULL;
    for (*place = 0; status == SN_OK && *place < PLACES; ++*place) {
        status = sn_file_find(directory, places[*place].name, path);
        if (status == SN_OK) status = read_block(*path, places[*place].block, config);
        if (*config) break;
        sn_free(*path);
        *path = NULL;
    }
    return status;
}

sn_status sn_image_processor_find(const char *directory, const char *model_type, bool *there, sn_image_processor *out) {
    int place;
    char *path;
    json_t *config;
    *out = (sn_image_processor){0};
    sn_status status = find_place(directory, &place, &path, &config);
    *there = config != NULL;
    if (config) status = places[place].timm ? parse_timm(config, path, out) : sn_image_processor_parse(config, path, model_type, out);
    json_decref(config);
    sn_free(path);
    return status;
}

sn_status sn_image_processor_read(const char *directory, const char *model_type, sn_image_processor *out) {
    bool there;
    SN_TRY(sn_image_processor_find(directory, model_type, &there, out));
    if (there) return SN_OK;
    (void)sn_fail(SN_ERR_IO, "%s: holds no preprocessor_config.json, so it is not known how it wants its pictures", directory);
    return sn_fail_at(directory, 0, NULL);
}
