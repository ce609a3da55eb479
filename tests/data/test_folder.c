/* Folders as data: class folders, splits, metadata. */
#include "data_test.h"

#include <sys/stat.h>

static char root[64];

static int make_root(void **state) {
    (void)state;
    strcpy(root, "/tmp/sn-folder-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}
static int remove_root(void **state) {
    (void)state;
    return sn_remove_tree(root) == SN_OK ? 0 : -1;
}

/* The table as text: names, then rows, cells separated by a comma. */
static void assert_table(const char *expected) {
    sn_table *t;
    assert_ok(sn_table_read(root, NULL, &t));
    sn_buf buf = {0};
    int columns = sn_table_columns(t);
    for (int c = 0; c < columns; c++) sn_buf_printf(&buf, "%s%s", c ? "," : "", sn_table_column_name(t, c));
    for (int64_t r = 0; r < sn_table_rows(t); r++) {
        for (int c = 0; c < columns; c++) sn_buf_printf(&buf, "%s%s", c ? "," : "\n", sn_table_cell(t, r, c));
    }
    assert_string_equal(buf.data, expected);
    char *path;
    assert_ok(sn_table_media_path(t, 0, 0, &path)); /* cells lead to the files */
    assert_true(sn_file_exists(path));
    sn_free(path);
    sn_buf_free(&buf);
    sn_table_free(t);
}

static void assert_root_refused(const char *part) {
    sn_table *t;
    assert_fails(sn_table_read(root, NULL, &t), SN_ERR_FORMAT, part);
    assert_null(t);
}

static void class_folders(void **state) {
    (void)state;
    put_file(root, "dog/2.JPG", "");
    put_file(root, "dog/10.png", "");
    put_file(root, "cat/deep/1.png", "");
    put_file(root, "cat/Thumbs.db", "");
    put_file(root, "cat/.hidden.png", "");
    put_file(root, "README.md", "");
    assert_table("image,label\ncat/deep/1.png,cat\ndog/10.png,dog\ndog/2.JPG,dog");
    sn_table_options o = {.limit = 2};
    sn_table *t;
    assert_ok(sn_table_read(root, &o, &t));
    assert_int_equal(sn_table_rows(t), 2);
    assert_int_equal(sn_table_line(t, 1), 0);
    sn_table_free(t);
    put_file(root, "dog/bark.wav", "");
    assert_root_refused("\"dog/bark.wav\" is a file of audio among files of image");
}

static void splits(void **state) {
    (void)state;
    put_file(root, "train/a/1.wav", "");
    put_file(root, "train/b/2.wav", "");
    put_file(root, "val/a/3.wav", "");
    put_file(root, "test/b/4.wav", "");
    put_file(root, "notes/5.wav", ""); /* beside the splits: no part of the data */
    assert_table("audio,label,split\ntest/b/4.wav,b,test\ntrain/a/1.wav,a,train\ntrain/b/2.wav,b,train\nval/a/3.wav,a,validation");
}

static void flat_folder(void **state) {
    (void)state;
    put_file(root, "b.png", "");
    put_file(root, "a.png", "");
    assert_table("image\na.png\nb.png");
    put_file(root, "cats/c.png", "");
    assert_root_refused("\"b.png\" lies beside the class folders");
}

static void metadata(void **state) {
    (void)state;
    put_file(root, "metadata.csv", "file_name,text\nx/1.png,one\n2.png,\"two, too\"\n");
    put_file(root, "x/1.png", "");
    put_file(root, "2.png", "");
    put_file(root, "3.png", ""); /* not named, not read */
    assert_table("image,text\nx/1.png,one\n2.png,two, too");
    put_file(root, "metadata.csv", "file,text\nx/1.png,one\n");
    sn_table *t;
    assert_fails(sn_table_read(root, NULL, &t), SN_ERR_USAGE, "no column \"file_name\"");
    put_file(root, "metadata.csv", "file_name,text\nx/1.png\n");
    assert_root_refused("/metadata.csv: line 2 (row 1): expected 2 cells");
    assert_true(sn_ends_with(sn_error_file(), "/metadata.csv"));
}

static void metadata_of_splits(void **state) {
    (void)state;
    put_file(root, "train/metadata.jsonl", "{\"text\": \"one\", \"file_name\": \"1.png\"}\n");
    put_file(root, "train/1.png", "");
    put_file(root, "validation/metadata.jsonl", "{\"text\": \"two\", \"file_name\": \"2.png\"}\n");
    put_file(root, "validation/2.png", "");
    sn_table *t;
    assert_ok(sn_table_read(root, NULL, &t));
    assert_string_equal(sn_table_column_name(t, 1), "image");
    assert_string_equal(sn_table_cell(t, 1, 1), "validation/2.png");
    assert_string_equal(sn_table_cell(t, 1, 2), "validation");
    assert_string_equal(sn_table_cell(t, 0, 0), "one");
    sn_table_free(t);
    put_file(root, "validation/metadata.jsonl", "{\"caption\": \"two\", \"file_name\": \"2.png\"}\n");
    assert_root_refused("column 1 is \"caption\", unlike the metadata of the split before");
    put_file(root, "validation/metadata.jsonl", "{\"text\": \"two\", \"file_name\": \"2.png\", \"more\": 1}\n");
    assert_root_refused("3 columns, unlike the 2 of the split before");
    put_file(root, "validation/metadata.jsonl", "{\"text\": \"two\", \"file_name\": \"2.png\"}\n");
    put_file(root, "test/a/3.png", "");
    assert_root_refused("column 1 is \"text\", unlike");
    char *test = sn_path_join(root, "test");
    assert_ok(sn_remove_tree(test));
    sn_free(test);
    put_file(root, "validation/metadata.jsonl", "{\"text\": \"two\"}\n");
    assert_int_not_equal(sn_table_read(root, NULL, &t), SN_OK);
    put_file(root, "validation/metadata.jsonl", "{\"file_name\": \"2.png\"}\n");
    assert_root_refused("1 columns, unlike the 2 of the split before");
}

static void folders_without_data(void **state) {
    (void)state;
    assert_root_refused("holds no image, audio or video files");
    put_file(root, "notes.txt", "");
    put_file(root, "a/b.txt", "");
    assert_root_refused("holds no image, audio or video files");
    put_file(root, "data.csv", "a\n1\n");
    assert_root_refused("give the file data.csv in it instead");
    put_file(root, "train.csv", "a\n1\n");
    put_file(root, "images/1.png", "");
    assert_root_refused("give the file train.csv in it instead");
}

static void odd_names_and_loops(void **state) {
    (void)state;
    put_file(root, "a/1.png", "");
    char link[128];
    (void)snprintf(link, sizeof link, "%s/a/again", root);
    assert_int_equal(symlink("..", link), 0);
    assert_root_refused("\"a/again\" is a link to a folder");
    assert_int_equal(unlink(link), 0);
    put_file(root, "a/\xFF.png", "");
    assert_root_refused("holds a file whose name is not UTF-8");
}

static sn_status read_root(void *context) {
    (void)context;
    sn_table *t;
    SN_TRY(sn_table_read(root, NULL, &t));
    sn_table_free(t);
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    put_file(root, "train/a/1.png", "");
    put_file(root, "test/a/2.png", "");
    every_allocation_fails(read_root, NULL);
    put_file(root, "train/metadata.csv", "file_name,label\na/1.png,a\n");
    put_file(root, "test/metadata.csv", "file_name,label\na/2.png,a\n");
    every_allocation_fails(read_root, NULL);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(class_folders),       IN_A_FOLDER(splits),
        IN_A_FOLDER(flat_folder),         IN_A_FOLDER(metadata),
        IN_A_FOLDER(metadata_of_splits),  IN_A_FOLDER(folders_without_data),
        IN_A_FOLDER(odd_names_and_loops), IN_A_FOLDER(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
