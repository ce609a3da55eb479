/* model_test.h: a small world for tests of models: pictures, notes and sizes -> a class and a price, as files in a
 * folder of their own, and a model over them with small encoders. */
#ifndef SN_MODEL_TEST_H
#define SN_MODEL_TEST_H
#include "base/file.h"
#include "base/rng.h"
#include "models/model_io.h"
#include "params/safetensors.h"
#include "test.h"

enum { WORLD_ROWS = 24, WORLD_SIDE = 8 };

typedef struct world {
    char folder[64];
    sn_table *table;
    sn_model *model;
} world;

static inline char *in_folder(const world *w, const char *name) {
    char *path = sn_path_join(w->folder, name);
    assert_non_null(path);
    return path;
}

static inline void put_file(const world *w, const char *name, const void *bytes, size_t size) {
    char *path = in_folder(w, name);
    assert_ok(sn_file_write(path, bytes, size));
    sn_free(path);
}

/* The pixels of picture k, RGB. */
static inline void world_pixels(int k, unsigned char *rgb) {
    for (int y = 0; y < WORLD_SIDE; y++)
        for (int x = 0; x < WORLD_SIDE; x++)
            for (int c = 0; c < 3; c++)
                rgb[(y * WORLD_SIDE + x) * 3 + c] = (unsigned char)(k * 37 + x * (11 + 13 * (k % 2)) + y * 7 + c * 50);
}

/* A 24-bit BMP, bottom row first, as the format wants it. */
static inline void world_picture(const world *w, int k) {
    enum { HEAD = 54, BODY = WORLD_SIDE * WORLD_SIDE * 3 };
    unsigned char file[HEAD + BODY] = {'B', 'M', HEAD + BODY, 0, 0, 0, 0, 0, 0, 0, HEAD, 0, 0, 0, 40, 0, 0, 0,
                                       WORLD_SIDE, 0, 0, 0, WORLD_SIDE, 0, 0, 0, 1, 0, 24};
    unsigned char rgb[BODY];
    char name[32];
    world_pixels(k, rgb);
    for (int y = 0; y < WORLD_SIDE; y++)
        for (int x = 0; x < WORLD_SIDE; x++)
            for (int c = 0; c < 3; c++)
                file[HEAD + ((WORLD_SIDE - 1 - y) * WORLD_SIDE + x) * 3 + 2 - c] = rgb[(y * WORLD_SIDE + x) * 3 + c];
    (void)snprintf(name, sizeof name, "p%d.bmp", k);
    put_file(w, name, file, sizeof file);
}

static inline sn_feature *world_feature(const world *w, const char *name, sn_kind kind, const char *options, bool target) {
    static int64_t rows[WORLD_ROWS];
    int column;
    json_t *given = options ? json_loads(options, 0, NULL) : NULL;
    sn_feature *f;
    for (int i = 0; i < WORLD_ROWS; i++) rows[i] = i;
    assert_ok(sn_table_column(w->table, name, &column));
    assert_ok(sn_feature_create(name, kind, given, &f));
    json_decref(given);
    f->target = target;
    assert_ok(sn_feature_fit(f, &(sn_fit_source){w->table, column, rows, WORLD_ROWS}));
    return f;
}

static inline void world_options(sn_model *m, const char *part, const char *encoder, const char *options) {
    sn_part *p = sn_model_part(m, part);
    assert_non_null(p);
    assert_ok(sn_encoder_find(encoder, p->modality, &p->encoder));
    json_decref(p->options);
    p->options = json_loads(options, 0, NULL);
    assert_non_null(p->options);
}

static inline void world_model(world *w) {
    sn_model *m;
    assert_ok(sn_model_create(&m));
    m->threads = 2;
    assert_ok(sn_model_set_precision(m, "f32"));
    assert_ok(sn_model_add_input(m, world_feature(w, "photo", SN_KIND_IMAGE, NULL, false)));
    assert_ok(sn_model_add_input(m, world_feature(w, "note", SN_KIND_TEXT, NULL, false)));
    assert_ok(sn_model_add_input(m, world_feature(w, "size", SN_KIND_NUMBER, NULL, false)));
    assert_ok(sn_model_add_input(m, world_feature(w, "place", SN_KIND_CATEGORY, NULL, false)));
    sn_feature *label = world_feature(w, "label", SN_KIND_CATEGORY, NULL, true), *price = world_feature(w, "price", SN_KIND_NUMBER, NULL, true);
    const sn_task *task;
    assert_ok(sn_task_find(NULL, SN_KIND_CATEGORY, &task));
    assert_ok(sn_model_add_target(m, label, task, NULL));
    assert_ok(sn_task_find(NULL, SN_KIND_NUMBER, &task));
    json_t *loss = json_pack("{s:s, s:f}", "type", "huber", "weight", 0.5);
    assert_ok(sn_model_add_target(m, price, task, loss));
    json_decref(loss);
    assert_ok(sn_model_form_parts(m));
    world_options(m, "photo", "cnn", "{\"channels\": [4, 8], \"width\": 16}");
    world_options(m, "note", "gru", "{\"embedding\": 8, \"width\": 12}");
    world_options(m, "table", "mlp", "{\"widths\": [16]}");
    assert_ok(sn_model_declare(m));
    sn_params_initialise(m->params, 7);
    m->trained = json_pack("{s:{s:i, s:i}}", "trainer", "seed", 7, "batch_size", 5);
    w->model = m;
}

static inline void world_table(world *w) {
    static const char *const words[] = {"red", "small", "bridge", "over", "water", "old", "Haus", "\xe6\xa1\xa5"};
    static const char *const labels[] = {"arch", "beam", "cable"}, *const places[] = {"north", "south"};
    sn_buf csv = {0};
    sn_buf_puts(&csv, "photo,note,size,place,label,price\n");
    for (int i = 0; i < WORLD_ROWS; i++) {
        world_picture(w, i);
        if (i % 7 != 3) sn_buf_printf(&csv, "p%d.bmp", i);
        sn_buf_puts(&csv, ",");
        for (int k = 0; i % 5 != 4 && k <= i % 6; k++) sn_buf_printf(&csv, "%s%s", k ? " " : "", words[(i * 3 + k) % 8]);
        if (i % 4 != 1) sn_buf_printf(&csv, ",%d.5", i);
        else sn_buf_puts(&csv, ",");
        sn_buf_printf(&csv, ",%s", i % 4 == 1 ? "" : places[i % 2]);
        sn_buf_printf(&csv, ",%s", i == 20 ? "" : labels[i % 3]);
        if (i == 20 || i == 21) sn_buf_puts(&csv, ",\n");
        else sn_buf_printf(&csv, ",%d\n", 1000 + 100 * (i % 5));
    }
    assert_ok(sn_buf_check(&csv));
    put_file(w, "data.csv", csv.data, csv.size);
    sn_buf_free(&csv);
    char *path = in_folder(w, "data.csv");
    assert_ok(sn_table_open(path, NULL, &w->table));
    sn_free(path);
}

static inline int world_begin(void **state) {
    world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/sn_model_XXXXXX");
    if (!mkdtemp(w->folder)) return -1;
    world_table(w);
    world_model(w);
    *state = w;
    return 0;
}

static inline int world_end(void **state) {
    world *w = *state;
    sn_model_free(w->model);
    sn_table_free(w->table);
    (void)sn_remove_tree(w->folder);
    free(w);
    return 0;
}

/* All rows' JSON, one a line, of a prediction. */
static inline int world_collect(void *context, const char *json) {
    sn_buf_puts(context, json);
    sn_buf_puts(context, "\n");
    return 0;
}
static inline char *world_predict(const sn_model *m, const sn_table *table) {
    sn_buf lines = {0};
    assert_ok(sn_model_predict(m, table, NULL, world_collect, &lines));
    assert_ok(sn_buf_check(&lines));
    return lines.data;
}
#endif
