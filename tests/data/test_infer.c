/* What cells and columns are read as. */
#include "data_test.h"

#include <math.h>

static void numbers(void **state) {
    (void)state;
    static const struct { const char *cell; double value; } good[] = {
        {"1", 1}, {" -0.5\t", -0.5}, {"1e3", 1000}, {"+.25", .25}, {"3.", 3}, {"0.1", 0.1}, {"1E-2", 0.01},
        {"9007199254740993", 9007199254740992.0}, {"1.7976931348623157e308", 1.7976931348623157e308},
        {"0.000000000000000000000000000001", 1e-30}, {"123456789012345678901234567890", 123456789012345678901234567890.0},
        {"0e99999", 0}, {"007", 7}};
    static const char *const bad[] = {"", " ", "1e", "e5", ".", "-", "0x10", "inf", "nan", "1,5", "1 2", "--1", "1e999", "1.2.3", "5a"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double x = 99;
        assert_true(sn_cell_number(good[i].cell, &x));
        assert_true(x == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double x = 99;
        assert_false(sn_cell_number(bad[i], &x));
        assert_true(x == 99);
    }
    for (int i = 0; i < 20000; i++) { /* as strtod reads it, to the last bit */
        char text[40];
        double x, y = ldexp((double)((uint32_t)i * 2654435761u), i % 120 - 60);
        (void)snprintf(text, sizeof text, i % 2 ? "%.17g" : "%.9g", y);
        assert_true(sn_cell_number(text, &x) && x == strtod(text, NULL));
    }
}

static void words_dates_and_vectors(void **state) {
    (void)state;
    int b;
    assert_true(sn_cell_binary(" Yes ", &b) && b == 1);
    assert_true(sn_cell_binary("OFF", &b) && b == 0);
    assert_false(sn_cell_binary("yess", &b) || sn_cell_binary("", &b) || sn_cell_binary("2", &b));
    double x;
    assert_true(sn_cell_date("1970-01-02", &x) && x == 86400);
    assert_true(sn_cell_date("2000-02-29T12:30:15.5Z", &x) && x == 951827415.5);
    assert_true(sn_cell_date("2000-02-29 12:30+02:00", &x) && x == 951820200);
    assert_true(sn_cell_date("2024-05-31", &x) && x == 1717113600);
    assert_true(sn_cell_date("1999-12-31", &x) && x == 946598400);
    assert_true(sn_cell_date("1900-01-01", &x) && x == -2208988800.0);
    assert_false(sn_cell_date("1900-02-29", &x) || sn_cell_date("2000-13-01", &x) || sn_cell_date("2000-01-01x", &x));
    assert_false(sn_cell_date("20000101", &x) || sn_cell_date("2000-1-1", &x) || sn_cell_date("2000-01-01 25:00", &x));
    double v[3] = {0};
    int64_t n;
    assert_true(sn_cell_vector("1 -2.5  3e1 4", v, 3, &n) && n == 4 && v[1] == -2.5 && v[2] == 30);
    assert_true(sn_cell_vector("[1, 2,3 ]", v, 3, &n) && n == 3 && v[2] == 3);
    static const char *const bad[] = {"", "[]", "[1,]", "[1 2]", "1,2", "1 x", "[1", "1]", "[1]2", "[,1]", "[[1]]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(sn_cell_vector(bad[i], v, 3, &n));
    sn_kind k;
    assert_true(sn_media_kind("x/A.JPG", &k) && k == SN_KIND_IMAGE);
    assert_true(sn_media_kind("a.b.wav ", &k) && k == SN_KIND_AUDIO);
    assert_true(sn_media_kind("a.mkv", &k) && k == SN_KIND_VIDEO);
    assert_false(sn_media_kind(".png", &k) || sn_media_kind("png", &k) || sn_media_kind("a.png.txt", &k));
    assert_false(sn_media_kind("d.png/x", &k) || sn_media_kind("", &k) || sn_media_kind("a.", &k) || sn_media_kind("a.p", &k));
}

static sn_status join(void *context, const char *item, size_t bytes) {
    sn_buf *buf = context;
    sn_buf_printf(buf, "<%.*s>", (int)bytes, item);
    return sn_buf_check(buf);
}

static void items_of_sets(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"a| b c |", "<a><b c>"}, {"a;b", "<a><b>"}, {"a;b|c", "<a;b><c>"},
        {"[\"x\", \"y z\", 3, null]", "<x><y z><3>"}, {"[oops", "<[oops>"}, {" ", ""}, {"one", "<one>"}, {"||", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sn_buf buf = {0};
        assert_ok(sn_cell_items(cases[i][0], join, &buf));
        assert_string_equal(buf.data ? buf.data : "", cases[i][1]);
        sn_buf_free(&buf);
    }
}

/* Guesses a column "c" whose cells are format(i) for i < rows. */
static sn_column_guess guess(int rows, const char *const *cycle, int period) {
    sn_buf text = {0};
    sn_buf_puts(&text, "z\tc\n");
    for (int i = 0; i < rows; i++) sn_buf_printf(&text, "-\t%s\n", cycle[i % period]);
    sn_table *t;
    sn_column_guess g;
    assert_ok(parse_bytes("a.tsv", text.data, text.size, &t));
    assert_ok(sn_column_infer(t, 1, &g));
    sn_table_free(t);
    sn_buf_free(&text);
    return g;
}
#define GUESS(rows, ...) guess(rows, (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_guess(sn_column_guess g, sn_kind kind, bool sure, const char *why) {
    if (g.kind != kind || g.sure != sure || !strstr(g.why, why))
        fail_msg("found %s, %s: %s", sn_kind_name(g.kind), g.sure ? "sure" : "unsure", g.why);
}

static void columns(void **state) {
    (void)state;
    assert_guess(GUESS(10, "", " "), SN_KIND_CATEGORY, false, "every cell is empty");
    assert_guess(GUESS(10, "yes", "No", "", "YES"), SN_KIND_BINARY, true, "only yes and no");
    assert_guess(GUESS(10, "0", "1"), SN_KIND_BINARY, true, "only 0 and 1");
    assert_guess(GUESS(10, "1", "2"), SN_KIND_NUMBER, false, "--type c=category");
    assert_guess(GUESS(10, "no", "no"), SN_KIND_CATEGORY, false, "the same value in every row");
    assert_guess(GUESS(10, "1", "1"), SN_KIND_NUMBER, false, "1 in every row");
    assert_guess(GUESS(9, "a.png", "b.JPEG", ""), SN_KIND_IMAGE, true, "every value is the name of a file of image");
    assert_guess(GUESS(9, "a.png", "b.png", "none"), SN_KIND_IMAGE, false, "row 3 does not");
    assert_guess(GUESS(9, "a.wav"), SN_KIND_AUDIO, true, "audio");
    assert_guess(GUESS(9, "a.mp4"), SN_KIND_VIDEO, true, "video");
    assert_guess(GUESS(9, "http://x.org/a.png"), SN_KIND_TEXT, false, "internet addresses");
    assert_guess(GUESS(9, "2024-05-31", "2024-05-31 10:00"), SN_KIND_DATE, true, "date");
    assert_guess(GUESS(9, "1 2 3", "4 5.5 6"), SN_KIND_VECTOR, true, "3 numbers");
    assert_guess(GUESS(9, "[1, 2]", "[3, 4]"), SN_KIND_VECTOR, true, "2 numbers");
    assert_guess(GUESS(9, "1 2", "1 2 3"), SN_KIND_VECTOR, false, "2 to 3 numbers");
    assert_guess(GUESS(100, "1", "2", "3", "4", "5"), SN_KIND_CATEGORY, false,
                 "5 whole numbers from 1 to 5; --type c=number reads them as amounts");
    assert_guess(GUESS(20, "1", "2", "3", "4", "5"), SN_KIND_NUMBER, false, "--type c=category reads them as classes");
    assert_guess(GUESS(40, "1.5", "2", "3"), SN_KIND_NUMBER, true, "numbers from 1.5 to 3");
    assert_guess(GUESS(40, "007", "012", "100"), SN_KIND_CATEGORY, true, "3 different values in 40 rows");
    assert_guess(GUESS(90, "red|blue", "blue|green", "red"), SN_KIND_SET, true, "3 different items");
    assert_guess(GUESS(90, "[\"a\",\"b\"]", "[\"b\"]"), SN_KIND_SET, true, "as JSON lists");
    assert_guess(GUESS(90, "cat", "dog"), SN_KIND_CATEGORY, true, "2 different values in 90 rows");
    assert_guess(GUESS(3, "cat", "dog", "owl"), SN_KIND_CATEGORY, false, "--type c=text");
    assert_guess(GUESS(90, "it is a very nice day", "no it is not nice at all"), SN_KIND_TEXT, false, "--type c=category");
    assert_guess(GUESS(12, "这个蓝色的形状是什么东西？", "图中有没有红色的三角形？"), SN_KIND_TEXT, true, "texts");
    assert_guess(GUESS(90, "长方形", "圆"), SN_KIND_CATEGORY, true, "2 different");
}

/* Beyond fifty values a category must come back at least four times on average. */
static void many_values(void **state) {
    (void)state;
    char words[60][8];
    const char *cycle[60];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(words[i], sizeof words[i], "w%d", i);
        cycle[i] = words[i];
    }
    assert_guess(guess(240, cycle, 60), SN_KIND_CATEGORY, true, "60 different values in 240 rows");
    assert_guess(guess(239, cycle, 60), SN_KIND_TEXT, true, "60 different texts of 1.0 words");
}

static void columns_with_a_stray_cell(void **state) {
    (void)state;
    sn_buf text = {0};
    sn_buf_puts(&text, "id,x,name\n");
    for (int i = 0; i < 100; i++) sn_buf_printf(&text, "%d,%s%d.5,w%d\n", i + 7, i == 42 ? "?" : "", i * i, i);
    sn_table *t;
    sn_column_guess g;
    assert_ok(parse_bytes("a.csv", text.data, text.size, &t));
    assert_ok(sn_column_infer(t, 0, &g));
    assert_guess(g, SN_KIND_NUMBER, false, "rises by one");
    assert_ok(sn_column_infer(t, 1, &g));
    assert_guess(g, SN_KIND_NUMBER, false, "99 of 100 values are numbers; row 43 is not");
    assert_ok(sn_column_infer(t, 2, &g));
    assert_guess(g, SN_KIND_TEXT, false, "no two alike");
    assert_int_equal(g.distinct, 100);
    sn_table_free(t);
    sn_buf_free(&text);
}

static void kinds_by_name(void **state) {
    (void)state;
    sn_kind k;
    for (int i = 0; i < SN_KIND_COUNT; i++) {
        assert_ok(sn_kind_by_name(sn_kind_name((sn_kind)i), &k));
        assert_int_equal(k, i);
    }
    assert_fails(sn_kind_by_name("picture", &k), SN_ERR_USAGE, "there are: number, category");
}

static sn_status infer_some(void *context) {
    sn_column_guess g;
    for (int c = 0; c < sn_table_columns(context); c++) SN_TRY(sn_column_infer(context, c, &g));
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.csv", "a,b\nx|y,1\ny|z,2\n", &t));
    every_allocation_fails(infer_some, t);
    sn_table_free(t);
}

/* Every train.csv of the real data sets: the columns as a person would call them. */
static void real_data(void **state) {
    (void)state;
    static const struct { const char *set, *column; sn_kind kind; } cases[] = {
        {"easy_vqa", "image", SN_KIND_IMAGE}, {"easy_vqa", "text", SN_KIND_TEXT}, {"easy_vqa", "label", SN_KIND_CATEGORY},
        {"av_digits", "image", SN_KIND_IMAGE}, {"av_digits", "audio", SN_KIND_AUDIO}, {"av_digits", "label", SN_KIND_CATEGORY},
        {"av_digits", "speaker", SN_KIND_CATEGORY}, {"fsdd", "audio", SN_KIND_AUDIO}, {"fsdd", "label", SN_KIND_CATEGORY},
        {"fsdd", "speaker", SN_KIND_CATEGORY}, {"emoji", "image", SN_KIND_IMAGE}, {"emoji", "text", SN_KIND_TEXT},
        {"emoji", "label", SN_KIND_CATEGORY}, {"emoji", "vendor", SN_KIND_CATEGORY}, {"emoji", "keywords", SN_KIND_SET},
        {"emoji", "text_zh", SN_KIND_TEXT}, {"emoji", "text_ja", SN_KIND_TEXT}, {"emoji", "text_ar", SN_KIND_TEXT},
        {"emoji", "text_hi", SN_KIND_TEXT}, {"emoji", "text_de", SN_KIND_TEXT}, {"emoji", "text_pt", SN_KIND_TEXT},
        {"asterisk_prompts", "audio", SN_KIND_AUDIO}, {"asterisk_prompts", "text", SN_KIND_TEXT},
        {"asterisk_prompts", "label", SN_KIND_CATEGORY}, {"leaf", "image", SN_KIND_IMAGE}, {"leaf", "label", SN_KIND_CATEGORY},
        {"coco_open", "image", SN_KIND_IMAGE}, {"coco_open", "text", SN_KIND_TEXT}, {"coco_open", "license", SN_KIND_CATEGORY},
        {"coco_open", "flickr_url", SN_KIND_TEXT}, {"sentiment_sentences", "text", SN_KIND_TEXT},
        {"sentiment_sentences", "label", SN_KIND_CATEGORY}, {"sentiment_sentences", "source", SN_KIND_CATEGORY},
        {"clips", "video", SN_KIND_VIDEO}, {"clips", "text", SN_KIND_TEXT}, {"clips", "label", SN_KIND_CATEGORY}};
    if (!sn_is_directory(SN_TEST_DATA)) {
        print_message("no real data sets beside the source tree: skipped\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s/train.csv", SN_TEST_DATA, cases[i].set);
        sn_table *t;
        int column;
        sn_column_guess g;
        assert_ok(sn_table_read(path, NULL, &t));
        assert_ok(sn_table_column(t, cases[i].column, &column));
        assert_ok(sn_column_infer(t, column, &g));
        if (g.kind != cases[i].kind)
            fail_msg("%s %s: %s, %s", cases[i].set, cases[i].column, sn_kind_name(g.kind), g.why);
        for (int c = 0; c < sn_table_columns(t) && !strcmp(cases[i].set, "leaf"); c++) {
            assert_ok(sn_column_infer(t, c, &g));
            if (c > 1 && g.kind != SN_KIND_NUMBER) fail_msg("leaf %s: %s", sn_table_column_name(t, c), g.why);
        }
        sn_table_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),       cmocka_unit_test(words_dates_and_vectors), cmocka_unit_test(items_of_sets),
        cmocka_unit_test(columns),       cmocka_unit_test(many_values),
        cmocka_unit_test(columns_with_a_stray_cell), cmocka_unit_test(kinds_by_name),
        cmocka_unit_test(failing_allocations), cmocka_unit_test(real_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
