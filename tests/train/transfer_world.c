/* transfer_world.c: see transfer_world.h. */
#define _GNU_SOURCE
#include "transfer_world.h"

#include <dirent.h>
#include <unistd.h>

#include "base/file.h"

static const char *const texts[PLACE_CELLS] = {"the old bridge over the river", "a small red tower", "Water; 42 towers!",
                                               "red water", "the small old bridge", "a tower over the river, a tower over the bridge"};
static const char *const pictures[PLACE_CELLS] = {"rgb8.png", "ycc444.jpg", "palette8.png", "exif3.jpg", "rgb24.bmp", "lossy.webp"};
static const char *const sounds[PLACE_CELLS] = {"sweep.wav", "tone.wav", "click.wav", "voice.wav", "tone.flac", "tone.mp3"};

static bool put_table(const place *p) {
    static const char *const labels[] = {"arch", "beam", "cable"};
    sn_buf csv = {0};
    sn_buf_puts(&csv, "text,image,audio,label\n");
    for (int i = 0; i < PLACE_ROWS; i++) {
        int k = (i < 3 ? i : i * 5) % PLACE_CELLS;
        sn_buf_printf(&csv, "\"%s\"," SN_TEST_ROOT "/golden/image/%s," SN_TEST_ROOT "/golden/audio/%s,%s\n", texts[k], pictures[k], sounds[k], labels[k % 3]);
    }
    char *path = place_path(p, "data.csv", NULL);
    bool done = sn_buf_check(&csv) == SN_OK && sn_file_write(path, csv.data, csv.size) == SN_OK;
    free(path);
    sn_buf_free(&csv);
    return done;
}

place *place_create(void) {
    place *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/sn_transfer_XXXXXX");
    char *path = NULL;
    bool made = mkdtemp(p->folder) && put_table(p) && (path = place_path(p, "data.csv", NULL)) && sn_table_open(path, NULL, &p->table) == SN_OK;
    free(path);
    if (made) return p;
    place_free(p);
    return NULL;
}

void place_free(place *p) {
    if (!p) return;
    sn_table_free(p->table);
    if (p->folder[0]) (void)sn_remove_tree(p->folder);
    free(p);
}

char *place_path(const place *p, const char *a, const char *b) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s%s", p->folder, a, b ? "/" : "", b ? b : "") < 0) path = NULL;
    assert_non_null(path);
    return path;
}

char *fixture(const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s%s", name[0] == '/' ? "" : SN_TEST_ROOT "/golden/transfer/", name) < 0) path = NULL;
    assert_non_null(path);
    return path;
}

char *copy_directory(const place *p, const char *from, const char *name) {
    char *to = place_path(p, name, NULL);
    assert_ok(sn_remove_tree(to));
    assert_ok(sn_make_directory(to));
    DIR *dir = opendir(from);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        char *a = sn_path_join(from, e->d_name), *b = sn_path_join(to, e->d_name);
        sn_bytes bytes;
        assert_ok(sn_file_read(a, 1 << 26, &bytes));
        assert_ok(sn_file_write(b, bytes.data, bytes.size));
        sn_bytes_free(&bytes);
        sn_free(a);
        sn_free(b);
    }
    (void)closedir(dir);
    return to;
}

char *fixture_copy(const place *p, const char *name) {
    char *from = fixture(name), *to = copy_directory(p, from, name);
    free(from);
    return to;
}

sn_status place_trainer(const place *p, const setup *s, sn_trainer **out) {
    char *config = NULL, *path = fixture(s->encoder), *output = s->output ? place_path(p, s->output, NULL) : strdup("");
    if (asprintf(&config,
                 "{\"targets\": [\"label\"], \"inputs\": [\"%s\"], \"output\": \"%s\", \"overwrite\": true, \"threads\": 1, \"precision\": "
                 "\"f32\", \"batch_size\": 6, \"epochs\": %d, \"types\": {\"text\": \"text\"}, \"encoders\": {\"%s\": {\"type\": \"%s\"%s%s}}, "
                 "\"preprocessing\": {\"split\": {\"fraction\": 0.25}}, \"trainer\": {\"learning_rate\": 0.02}%s%s}",
                 s->column, output, s->epochs ? s->epochs : 3, s->column, path, s->more ? ", " : "", s->more ? s->more : "", s->top ? ", " : "", s->top ? s->top : "") < 0)
        config = NULL;
    assert_non_null(config);
    sn_status status = sn_trainer_create(p->table, NULL, config, out);
    free(config);
    free(path);
    free(output);
    return status;
}

sn_status place_resume(const place *p, const char *output, sn_trainer **out) {
    char *path = place_path(p, output, NULL);
    sn_status status = sn_trainer_resume(p->table, NULL, path, out);
    free(path);
    return status;
}

int place_begin(void **state) {
    *state = place_create();
    return *state ? 0 : -1;
}

int place_end(void **state) {
    place_free(*state);
    return 0;
}
