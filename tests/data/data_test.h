/* data_test.h: small helpers of the tests in this room. */
#ifndef SN_DATA_TEST_H
#define SN_DATA_TEST_H
#include "test.h"

#include <unistd.h>

#include "base/file.h"
#include "data/table.h"

static inline sn_status parse_bytes(const char *name, const char *bytes, size_t size, sn_table **out) {
    return sn_table_parse(name, bytes, size, NULL, out);
}
#define parse(name, text, out) parse_bytes(name, text, sizeof(text) - 1, out)
/* Parses and asserts this very failure. */
#define assert_refused(name, text, part)                                                                    \
    do {                                                                                                    \
        sn_table *refused_ = NULL;                                                                          \
        assert_fails(parse(name, text, &refused_), SN_ERR_FORMAT, part);                                    \
        assert_null(refused_);                                                                              \
    } while (0)

static inline void put_file(const char *dir, const char *name, const char *text) {
    char *path = sn_path_join(dir, name), *parent = sn_path_parent(path);
    assert_ok(sn_make_directory(parent));
    assert_ok(sn_file_write(path, text, strlen(text)));
    sn_free(parent);
    sn_free(path);
}

/* Runs `body` with the first, second, ... allocation failing until it gets through; each failure must be told. */
static inline void every_allocation_fails(sn_status (*body)(void *context), void *context) {
    for (long n = 1;; n++) {
        sn_alloc_fail_after(n);
        sn_status status = body(context);
        bool reached = sn_alloc_count() >= n;
        sn_alloc_fail_after(0);
        if (!reached) {
            assert_ok(status);
            assert_true(n > 1);
            return;
        }
        assert_int_equal(status, SN_ERR_MEMORY);
    }
}
#endif
