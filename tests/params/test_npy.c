/* A .npy file is one array, read as weights are; what is no plain array of numbers is refused with a reason. */
#include "test.h"

#include "params/weights.h"

static const char path[] = "npy_test.npy";

static void write_file(const char *header, const void *data, size_t size) {
    unsigned char bytes[512] = "\x93NUMPY\x01";
    size_t n = strlen(header);
    bytes[8] = (unsigned char)n;
    memcpy(bytes + 10, header, n);
    if (size) memcpy(bytes + 10 + n, data, size);
    assert_ok(sn_file_write(path, bytes, 10 + n + size));
}

static void arrays_are_read(void **state) {
    (void)state;
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    static const double y[2] = {0.5, -2};
    static const uint16_t z[3] = {0x3c00, 0xc000, 0x3800}; /* f16: 1, -2, 0.5 */
    float values[6];
    sn_weights *w;
    write_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", x, sizeof x);
    assert_ok(sn_weights_open(path, &w));
    assert_string_equal(sn_weights_format(w), "npy");
    assert_int_equal(sn_weights_count(w), 1);
    const sn_tensor_view *view = sn_weights_find(w, "array");
    assert_non_null(view);
    assert_true(sn_shape_equal(view->type.shape, SN_SHAPE(2, 3)));
    assert_ok(sn_tensor_to_f32(view, values));
    assert_memory_equal(values, x, sizeof x);
    sn_weights_free(w);
    write_file("{'shape': (2,), 'descr': '<f8', 'fortran_order': True}", y, sizeof y);
    assert_ok(sn_weights_open(path, &w));
    assert_ok(sn_tensor_to_f32(sn_weights_at(w, 0), values));
    assert_true(values[0] == 0.5f && values[1] == -2);
    sn_weights_free(w);
    write_file("{'descr': '<f2', 'fortran_order': False, 'shape': (1, 3)}", z, sizeof z);
    assert_ok(sn_weights_open(path, &w));
    assert_ok(sn_tensor_to_f32(sn_weights_at(w, 0), values));
    assert_true(values[0] == 1 && values[1] == -2 && values[2] == 0.5f);
    sn_weights_free(w);
    (void)remove(path);
}

static void others_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *why;
        sn_status status;
    } rows[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "its numbers are \">f4\"; known are <f4", SN_ERR_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "its numbers are \"|O\"", SN_ERR_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "records", SN_ERR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}", "Fortran", SN_ERR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "takes 12 bytes of numbers; the file has 8", SN_ERR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "larger than memory", SN_ERR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 2)}", "more than 6 axes", SN_ERR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "a whole number in the shape", SN_ERR_FORMAT},
        {"{'descr': '<f4', 'shape': (2,)}", "expected descr, fortran_order and shape", SN_ERR_FORMAT},
        {"{'descr': '<f4', 'order': False, 'shape': (2,)}", "expected descr, fortran_order or shape", SN_ERR_FORMAT},
        {"[1, 2]", "expected \"{\"", SN_ERR_FORMAT},
    };
    static const float x[2] = {1, 2};
    sn_weights *w;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_file(rows[i].header, x, sizeof x);
        assert_fails(sn_weights_open(path, &w), rows[i].status, rows[i].why);
        assert_string_equal(sn_error_file(), path);
    }
    assert_ok(sn_file_write(path, "\x93NUMPY\x01\x00\xff\xff{", 11));
    assert_fails(sn_weights_open(path, &w), SN_ERR_FORMAT, "its header should have 65535 bytes");
    (void)remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_are_read), cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
