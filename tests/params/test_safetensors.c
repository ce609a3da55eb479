/* safetensors: reading good files, refusing broken ones by name, shards, writing, loading the store. */
#include "folder.h"

#include <math.h>

#include "params/params.h"
#include "params/safetensors.h"
#include "params/weights.h"

/* ---- file images ---- */

typedef struct image {
    size_t size;
    unsigned char bytes[4096];
} image;

/* The header text with its size before it and `data` bytes (0, 1, 2, ...) behind. */
static image *make(const char *header, size_t data) {
    image *made = calloc(1, sizeof *made);
    size_t n = strlen(header);
    assert_true(made && 8 + n + data <= sizeof made->bytes);
    for (int i = 0; i < 8; i++) made->bytes[i] = (unsigned char)(n >> (8 * i));
    memcpy(made->bytes + 8, header, n);
    for (size_t i = 0; i < data; i++) made->bytes[8 + n + i] = (unsigned char)i;
    made->size = 8 + n + data;
    return made;
}

/* Parses a copy of exactly the right size, so that a read behind its end is seen. */
static sn_status parse(const image *from, sn_safetensors **out, void **copy) {
    *copy = malloc(from->size ? from->size : 1);
    memcpy(*copy, from->bytes, from->size);
    return sn_safetensors_parse("m.safetensors", *copy, from->size, out);
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"z\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                           "\"a.b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[9,15]},"
                           "\"m\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]},"
                           "\"none\":{\"dtype\":\"F64\",\"shape\":[0,7],\"data_offsets\":[8,8]}}  ";

static void good_files_are_read(void **state) {
    (void)state;
    image *from = make(good, 15);
    sn_safetensors *file;
    void *bytes;
    assert_ok(parse(from, &file, &bytes));
    assert_int_equal(sn_safetensors_count(file), 4);
    const char *names[] = {"a.b", "m", "none", "z"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(sn_safetensors_at(file, i)->name, names[i]);
        assert_ptr_equal(sn_safetensors_find(file, names[i]), sn_safetensors_at(file, i));
    }
    assert_null(sn_safetensors_find(file, "zz"));
    const sn_tensor_view *a = sn_safetensors_at(file, 0);
    assert_true(a->type.dtype == SN_BF16 && a->type.shape.rank == 1 && a->type.shape.dim[0] == 3 && a->bytes == 6);
    assert_int_equal(((const unsigned char *)a->data)[0], 9);
    assert_int_equal(sn_safetensors_at(file, 1)->type.shape.rank, 0);
    assert_string_equal(sn_safetensors_metadata(file, "format"), "pt");
    assert_null(sn_safetensors_metadata(file, "other"));
    sn_safetensors_free(file);
    sn_safetensors_free(NULL);
    free(bytes);
    free(from);
}

#define T(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void broken_headers_are_refused(void **state) {
    (void)state;
    const struct {
        const char *header;
        size_t data;
        sn_status code;
        const char *part;
    } cases[] = {
        {"{" T("w", "F32", "[4]", "[0,16]") "}", 12, SN_ERR_FORMAT, "tensor \"w\": bytes 0 to 16, but the file holds only 12"},
        {"{" T("w", "F32", "[4]", "[0,12]") "}", 12, SN_ERR_FORMAT, "tensor \"w\": shape [4] of F32 takes 16 bytes"},
        {"{" T("w", "F32", "[2]", "[0,8]") "," T("v", "F32", "[2]", "[4,12]") "}", 12, SN_ERR_FORMAT, "\"v\" overlaps \"w\""},
        {"{" T("w", "F32", "[1]", "[0,4]") "," T("v", "F32", "[1]", "[8,12]") "}", 12, SN_ERR_FORMAT, "a gap of 4 bytes before tensor \"v\""},
        {"{" T("w", "F32", "[1]", "[4,8]") "}", 8, SN_ERR_FORMAT, "a gap of 4 bytes before tensor \"w\""},
        {"{" T("w", "F32", "[1]", "[0,4]") "}", 8, SN_ERR_FORMAT, "4 bytes of data belong to no tensor"},
        {"{" T("w", "F33", "[1]", "[0,4]") "}", 4, SN_ERR_UNSUPPORTED, "tensor \"w\": unknown dtype \"F33\""},
        {"{\"w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SN_ERR_FORMAT, "tensor \"w\": \"dtype\""},
        {"{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, SN_ERR_FORMAT, "tensor \"w\": \"shape\""},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SN_ERR_FORMAT, "tensor \"w\": \"data_offsets\""},
        {"{" T("w", "F32", "[-1]", "[0,4]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": dimension 0 is not"},
        {"{" T("w", "F32", "[1.0]", "[0,4]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": dimension 0 is not"},
        {"{" T("w", "F32", "[4294967296,4294967296,4]", "[0,4]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": dimension 1"},
        {"{" T("w", "F32", "[9223372036854775808]", "[0,4]") "}", 4, SN_ERR_FORMAT, "m.safetensors"},
        {"{" T("w", "F32", "[1,1,1,1,1,1,1]", "[0,4]") "}", 4, SN_ERR_UNSUPPORTED, "tensor \"w\": rank 7"},
        {"{" T("w", "F32", "[1]", "[4,0]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": \"data_offsets\" [4, 0]"},
        {"{" T("w", "F32", "[1]", "[-4,0]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": \"data_offsets\" [-4, 0]"},
        {"{" T("w", "F32", "[1]", "[0,4,8]") "}", 4, SN_ERR_FORMAT, "tensor \"w\": \"data_offsets\""},
        {"{" T("w", "F32", "[1]", "[0,9223372036854775807]") "}", 4, SN_ERR_FORMAT, "cut short"},
        {"{" T("w", "U8", "[1]", "[0,1]") "," T("w", "U8", "[1]", "[1,2]") "}", 2, SN_ERR_FORMAT, "duplicate object key near '\"w\"'"},
        {"{\"w\":3}", 0, SN_ERR_FORMAT, "tensor \"w\": its header entry is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, SN_ERR_FORMAT, "\"__metadata__\": \"a\" is not a string"},
        {"{\"__metadata__\":[]}", 0, SN_ERR_FORMAT, "\"__metadata__\" is not an object"},
        {"[]", 0, SN_ERR_FORMAT, "the header is not a JSON object"},
        {"{", 0, SN_ERR_FORMAT, "m.safetensors: line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image *from = make(cases[i].header, cases[i].data);
        sn_safetensors *file;
        void *bytes;
        assert_fails(parse(from, &file, &bytes), cases[i].code, cases[i].part);
        assert_null(file);
        assert_non_null(strstr(sn_error_message(), "m.safetensors"));
        assert_string_equal(sn_error_file(), "m.safetensors");
        free(bytes);
        free(from);
    }
}

static void hostile_sizes_are_refused(void **state) {
    (void)state;
    image *from = make("{}", 0);
    sn_safetensors *file;
    void *bytes;
    from->bytes[7] = 0x10; /* 2^60 */
    assert_fails(parse(from, &file, &bytes), SN_ERR_FORMAT, "a header of 1152921504606846978 bytes in a file of 10");
    free(bytes);
    memset(from->bytes, 0xff, 8);
    assert_fails(parse(from, &file, &bytes), SN_ERR_FORMAT, "a header of");
    free(bytes);
    from->size = 7;
    assert_fails(parse(from, &file, &bytes), SN_ERR_FORMAT, "7 bytes are too few");
    free(bytes);
    free(from);
    from = make(good, 15); /* every prefix of a good file is broken */
    for (size_t size = from->size; size-- > 0;) {
        from->size = size;
        assert_int_equal(parse(from, &file, &bytes), SN_ERR_FORMAT);
        free(bytes);
    }
    free(from);
}

/* A half by its definition. */
static float defined_half(uint16_t h) {
    int exponent = (h >> 10) & 31, mantissa = h & 1023;
    float x;
    if (exponent == 31) x = mantissa ? NAN : INFINITY;
    else if (exponent == 0) x = ldexpf((float)mantissa, -24);
    else x = ldexpf((float)(mantissa | 1024), exponent - 25);
    return h & 0x8000 ? -x : x;
}

static void any_float_becomes_f32(void **state) {
    (void)state;
    static unsigned char all[1 + 65536 * 2]; /* every half, at an odd address */
    static float out[65536];
    for (unsigned i = 0; i < 65536; i++) {
        all[1 + 2 * i] = (unsigned char)i;
        all[2 + 2 * i] = (unsigned char)(i >> 8);
    }
    sn_tensor_view view = {"x", {SN_SHAPE(65536), SN_F16}, all + 1, 65536 * 2};
    assert_ok(sn_tensor_to_f32(&view, out));
    for (unsigned i = 0; i < 65536; i++) {
        float expected = defined_half((uint16_t)i);
        assert_true(isnan(expected) ? isnan(out[i]) : !memcmp(&expected, &out[i], 4));
    }
    view.type.dtype = SN_BF16;
    assert_ok(sn_tensor_to_f32(&view, out));
    for (unsigned i = 0; i < 65536; i++) {
        float expected = sn_from_bf16((uint16_t)i);
        assert_memory_equal(&expected, &out[i], 4);
    }
    view.type = (sn_type){SN_SHAPE(32768), SN_F32};
    assert_ok(sn_tensor_to_f32(&view, out));
    assert_memory_equal(out, all + 1, 65536 * 2);
    view.type = (sn_type){SN_SHAPE(16384), SN_I64};
    assert_fails(sn_tensor_to_f32(&view, out), SN_ERR_SHAPE, "\"x\": expected F32, F16, BF16 or F64, found I64");
}

/* Every half comes back from its float, and the float between two neighbours goes to the even one. */
static void floats_become_halves(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float x = sn_from_f16((uint16_t)h);
        if (isnan(x)) continue;
        assert_int_equal(sn_to_f16(x), h);
        if ((h & 0x7fff) >= 0x7bff) continue; /* the largest has no neighbour */
        float middle = (x + sn_from_f16((uint16_t)(h + 1))) / 2;
        assert_int_equal(sn_to_f16(middle), h + (h & 1));
        assert_int_equal(sn_to_f16(nextafterf(middle, x)), h);
        assert_int_equal(sn_to_f16(nextafterf(middle, middle * 2)), h + 1);
    }
    assert_int_equal(sn_to_f16(65519.996f), 0x7bff);
    assert_int_equal(sn_to_f16(-65520.0f), 0xfc00);
    assert_int_equal(sn_to_f16(1e-30f), 0);
    assert_true(isnan(sn_from_f16(sn_to_f16(NAN))));
}

/* ---- files ---- */

static const float numbers[6] = {1, -2, 3.5f, 0, 1e30f, -1e-30f};

static void what_was_written_is_read(void **state) {
    (void)state;
    const int64_t ids[2] = {-1, 1LL << 40};
    const sn_tensor_view tensors[] = {
        {"w\"eird \xc3\xa4\n", {SN_SHAPE(2, 3), SN_F32}, numbers, sizeof numbers},
        {"ids", {SN_SHAPE(2), SN_I64}, ids, sizeof ids},
        {"none", {SN_SHAPE(0, 5), SN_F16}, NULL, 0},
    };
    json_t *metadata = json_pack("{s:s, s:s}", "format", "pt", "a", "b\"c");
    assert_ok(sn_safetensors_write(in_folder("x.safetensors"), tensors, 3, metadata));
    sn_safetensors *file;
    assert_ok(sn_safetensors_open(in_folder("x.safetensors"), &file));
    assert_int_equal(sn_safetensors_count(file), 3);
    assert_string_equal(sn_safetensors_metadata(file, "a"), "b\"c");
    for (int i = 0; i < 3; i++) {
        const sn_tensor_view *view = sn_safetensors_find(file, tensors[i].name);
        assert_non_null(view);
        assert_true(sn_shape_equal(view->type.shape, tensors[i].type.shape) && view->type.dtype == tensors[i].type.dtype);
        assert_int_equal(view->bytes, tensors[i].bytes);
        if (view->bytes) assert_memory_equal(view->data, tensors[i].data, view->bytes);
    }
    assert_int_equal((uintptr_t)sn_safetensors_at(file, 0)->data % 64, 0); /* the first one's data, in name order */
    sn_safetensors_free(file);
    json_decref(metadata);
    assert_ok(sn_safetensors_write(in_folder("empty.safetensors"), NULL, 0, NULL));
    assert_ok(sn_safetensors_open(in_folder("empty.safetensors"), &file));
    assert_int_equal(sn_safetensors_count(file), 0);
    sn_safetensors_free(file);
}

static void what_cannot_be_written_is_refused(void **state) {
    (void)state;
    sn_tensor_view two[2] = {{"a", {SN_SHAPE(6), SN_F32}, numbers, sizeof numbers}, {"a", {SN_SHAPE(6), SN_F32}, numbers, sizeof numbers}};
    const char *path = in_folder("bad.safetensors");
    assert_fails(sn_safetensors_write(path, two, 2, NULL), SN_ERR_USAGE, "\"a\" is given twice");
    two[1].name = "b";
    two[1].bytes = 20;
    assert_fails(sn_safetensors_write(path, two, 2, NULL), SN_ERR_USAGE, "\"b\": expected 24 bytes, given 20");
    two[0].name = "\xff";
    assert_fails(sn_safetensors_write(path, two, 1, NULL), SN_ERR_USAGE, "UTF-8");
    json_t *metadata = json_pack("{s:i}", "n", 1);
    two[0].name = "a";
    assert_fails(sn_safetensors_write(path, two, 1, metadata), SN_ERR_USAGE, "metadata \"n\" is not a string");
    json_decref(metadata);
    assert_false(sn_file_exists(path));
    assert_fails(sn_safetensors_write(in_folder("no/such.safetensors"), two, 1, NULL), SN_ERR_IO, "no/such.safetensors");
}

static void write_index(const char *text) {
    assert_ok(sn_file_write(in_folder("model.safetensors.index.json"), text, strlen(text)));
}

static void shards_are_one_model(void **state) {
    (void)state;
    const sn_tensor_view a = {"a", {SN_SHAPE(6), SN_F32}, numbers, sizeof numbers},
                         b = {"b", {SN_SHAPE(2), SN_F32}, numbers + 2, 8}, c = {"c", {SN_SHAPE(1), SN_F32}, numbers + 4, 4};
    sn_weights *file;
    const sn_tensor_view ac[2] = {c, a};
    assert_ok(sn_safetensors_write(in_folder("one.safetensors"), ac, 2, NULL));
    assert_ok(sn_safetensors_write(in_folder("two.safetensors"), &b, 1, NULL));
    assert_fails(sn_weights_open(folder, &file), SN_ERR_IO, "holds no weights");
    write_index("{\"metadata\":{\"total_size\":36},\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"one.safetensors\"}}");
    for (int way = 0; way < 2; way++) {
        assert_ok(sn_weights_open(way ? folder : in_folder("model.safetensors.index.json"), &file));
        assert_int_equal(sn_weights_count(file), 3);
        assert_string_equal(sn_weights_at(file, 1)->name, "b");
        assert_memory_equal(sn_weights_find(file, "b")->data, numbers + 2, 8);
        assert_memory_equal(sn_weights_find(file, "c")->data, numbers + 4, 4);
        sn_weights_free(file);
    }
    const struct {
        const char *index, *part;
        sn_status code;
    } broken[] = {
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"one.safetensors\",\"b\":\"three.safetensors\"}}", "three.safetensors: cannot open", SN_ERR_IO},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"one.safetensors\",\"d\":\"two.safetensors\"}}", "tensor \"d\" is not in the shard", SN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"two.safetensors\",\"c\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", "tensor \"a\" is not in the shard \"two", SN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"one.safetensors\"}}", "tensor \"c\" of a shard is not in the index", SN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "tensor \"a\": its shard is not a file name", SN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":7}}", "tensor \"a\": its shard is not a file name", SN_ERR_FORMAT},
        {"{\"weight_map\":[]}", "\"weight_map\" is missing", SN_ERR_FORMAT},
        {"{}", "\"weight_map\" is missing", SN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        write_index(broken[i].index);
        assert_fails(sn_weights_open(folder, &file), broken[i].code, broken[i].part);
    }
    const sn_tensor_view ba[2] = {b, a}; /* the same tensor in two shards */
    assert_ok(sn_safetensors_write(in_folder("two.safetensors"), ba, 2, NULL));
    write_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"one.safetensors\"}}");
    assert_fails(sn_weights_open(folder, &file), SN_ERR_FORMAT, "tensor \"a\" is there twice");
    assert_ok(sn_safetensors_write(in_folder("model.safetensors"), &a, 1, NULL)); /* the single file comes first */
    assert_ok(sn_weights_open(folder, &file));
    assert_int_equal(sn_weights_count(file), 1);
    sn_weights_free(file);
    assert_fails(sn_weights_open(in_folder("absent"), &file), SN_ERR_IO, "absent");
}

/* BERT's first checkpoints: in one file, in shards, and beside today's name. */
static void old_names_are_read_as_todays(void **state) {
    (void)state;
    const sn_type type = {SN_SHAPE(1), SN_F32};
    sn_tensor_view views[4] = {{"a.LayerNorm.gamma", type, numbers, 4}, {"LayerNorm.beta", type, numbers + 1, 4},
                               {"b.MyLayerNorm.gamma", type, numbers + 2, 4}, {"a.LayerNorm.gamma.0", type, numbers + 3, 4}};
    static const char *const now[4] = {"a.LayerNorm.weight", "LayerNorm.bias", "b.MyLayerNorm.gamma", "a.LayerNorm.gamma.0"};
    char place[2][16] = {"old.safetensors", "old"};
    assert_ok(sn_make_directory(in_folder("old")));
    assert_ok(sn_safetensors_write(in_folder(place[0]), views, 4, NULL));
    assert_ok(sn_safetensors_write(in_folder("old/1.safetensors"), views, 2, NULL));
    assert_ok(sn_safetensors_write(in_folder("old/2.safetensors"), views + 2, 2, NULL));
    const char index[] = "{\"weight_map\":{\"a.LayerNorm.gamma\":\"1.safetensors\",\"LayerNorm.beta\":\"1.safetensors\","
                         "\"b.MyLayerNorm.gamma\":\"2.safetensors\",\"a.LayerNorm.gamma.0\":\"2.safetensors\"}}";
    assert_ok(sn_file_write(in_folder("old/model.safetensors.index.json"), index, strlen(index)));
    sn_weights *file;
    for (int way = 0; way < 2; way++) {
        assert_ok(sn_weights_open(in_folder(place[way]), &file));
        for (int i = 0; i < 4; i++) assert_memory_equal(sn_weights_find(file, now[i])->data, numbers + i, 4);
        assert_null(sn_weights_find(file, "a.LayerNorm.gamma"));
        sn_weights_free(file);
    }
    views[1].name = "a.LayerNorm.weight";
    assert_ok(sn_safetensors_write(in_folder(place[0]), views, 2, NULL));
    assert_fails(sn_weights_open(in_folder(place[0]), &file), SN_ERR_FORMAT, "old.safetensors: tensor \"a.LayerNorm.weight\" is there twice");
}

/* ---- the store ---- */

static sn_params *store(void) {
    sn_params *p;
    int i;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "w", SN_SHAPE(2, 3), (sn_init){SN_INIT_NORMAL, 1, 0}, &i));
    assert_ok(sn_params_declare(p, "mean", SN_SHAPE(4), (sn_init){SN_INIT_ONES, 0, SN_PARAM_STATE}, &i));
    assert_ok(sn_params_seal(p));
    return p;
}

static void store_is_saved_and_loaded(void **state) {
    (void)state;
    sn_params *p = store(), *q = store();
    sn_params_initialise(p, 4);
    sn_weights *file;
    assert_ok(sn_params_save(p, in_folder("s.safetensors"), NULL));
    assert_ok(sn_weights_open(in_folder("s.safetensors"), &file));
    uint64_t version = sn_params_version(q);
    assert_ok(sn_params_load(q, file, ""));
    assert_true(sn_params_version(q) > version);
    assert_memory_equal(sn_params_flat(p), sn_params_flat(q), sn_params_total(p) * sizeof(float));
    assert_fails(sn_params_load(q, file, "bert."), SN_ERR_SHAPE, "\"bert.w\" is missing: expected shape [2, 3]");
    sn_weights_free(file);
    sn_params_free(p);
    sn_params_free(q);
}

static void load(const sn_tensor_view *tensors, int n, const char *prefix, const char *part) {
    sn_params *p = store();
    sn_weights *file;
    assert_ok(sn_safetensors_write(in_folder("l.safetensors"), tensors, n, NULL));
    assert_ok(sn_weights_open(in_folder("l.safetensors"), &file));
    if (!part) {
        assert_ok(sn_params_load(p, file, prefix));
        assert_memory_equal(sn_params_data(p, 0), numbers, sizeof numbers);
    } else {
        assert_fails(sn_params_load(p, file, prefix), SN_ERR_SHAPE, part);
        for (size_t i = 0; i < sn_params_total(p); i++) assert_true(sn_params_flat(p)[i] == 0.0f); /* nothing was changed */
    }
    sn_weights_free(file);
    sn_params_free(p);
}

static void what_does_not_fit_the_store_is_named(void **state) {
    (void)state;
    sn_tensor_view t[3] = {{"x.w", {SN_SHAPE(2, 3), SN_F32}, numbers, 24}, {"x.mean", {SN_SHAPE(4), SN_F32}, numbers, 16},
                           {"y.other", {SN_SHAPE(2), SN_F32}, numbers, 8}};
    load(t, 3, "x.", NULL); /* what lies outside the prefix is someone else's */
    load(t, 1, "x.", "\"x.mean\" is missing: expected shape [4]");
    t[2].name = "x.other";
    load(t, 3, "x.", "\"x.other\" of shape [2] is not used");
    t[0].type.shape = SN_SHAPE(3, 2);
    load(t, 2, "x.", "\"x.w\": expected shape [2, 3], found [3, 2]");
    t[0].type = (sn_type){SN_SHAPE(2, 3), SN_I32};
    load(t, 2, "x.", "\"x.w\": expected F32, F16, BF16 or F64, found I32");
}

/* ---- memory ---- */

static sn_status use_all(sn_params *p) {
    sn_weights *file;
    SN_TRY(sn_params_save(p, in_folder("f.safetensors"), NULL));
    SN_TRY(sn_weights_open(in_folder("shards"), &file));
    sn_status status = sn_params_load(p, file, "");
    sn_weights_free(file);
    return status;
}

static void allocations_may_fail(void **state) {
    (void)state;
    sn_params *p = store();
    assert_ok(sn_make_directory(in_folder("shards")));
    const sn_tensor_view w = {"w", {SN_SHAPE(2, 3), SN_F32}, numbers, 24}, mean = {"mean", {SN_SHAPE(4), SN_F32}, numbers, 16};
    const char index[] = "{\"weight_map\":{\"w\":\"1.safetensors\",\"mean\":\"2.safetensors\"}}";
    assert_ok(sn_safetensors_write(in_folder("shards/1.safetensors"), &w, 1, NULL));
    assert_ok(sn_safetensors_write(in_folder("shards/2.safetensors"), &mean, 1, NULL));
    assert_ok(sn_file_write(in_folder("shards/model.safetensors.index.json"), index, sizeof index - 1));
    bool done = false;
    long n = 0;
    while (!done && n++ < 1000) {
        sn_alloc_fail_after(n);
        sn_status status = use_all(p);
        done = sn_alloc_count() < n;
        sn_alloc_fail_after(0);
        /* a path that cannot be had while syncing the folder is forgiven; all else is the right error */
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        if (done) assert_ok(status);
    }
    assert_true(done && n > 20);
    sn_params_free(p);
}

static void memory_images_may_fail_too(void **state) {
    (void)state;
    image *from = make(good, 15);
    sn_status status = SN_ERR_MEMORY;
    for (long n = 1; status != SN_OK; n++) {
        sn_safetensors *file;
        void *bytes;
        sn_alloc_fail_after(n);
        status = parse(from, &file, &bytes);
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        sn_safetensors_free(file);
        free(bytes);
    }
    free(from);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(hostile_sizes_are_refused),
        cmocka_unit_test(any_float_becomes_f32),
        cmocka_unit_test(floats_become_halves),
        cmocka_unit_test_setup_teardown(what_was_written_is_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(shards_are_one_model, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(old_names_are_read_as_todays, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(store_is_saved_and_loaded, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_does_not_fit_the_store_is_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(allocations_may_fail, make_folder, remove_folder),
        cmocka_unit_test(memory_images_may_fail_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
