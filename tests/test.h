/* test.h: what every cmocka program includes, in the order cmocka wants it. */
#ifndef SN_TEST_H
#define SN_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* Is oneDNN in this build? Only its kernels pack parameters. */
#ifdef SN_DNNL
enum { TEST_DNNL = 1 };
#else
enum { TEST_DNNL = 0 };
#endif

/* Asserts success and prints the recorded message where it is not. */
#define assert_ok(expr)                                                                                     \
    do {                                                                                                    \
        if ((expr) != SN_OK) fail_msg("%s", sn_error_message());                                            \
    } while (0)
/* Asserts this very failure and that its message holds `part`. */
#define assert_fails(expr, code, part)                                                                      \
    do {                                                                                                    \
        assert_int_equal((expr), (code));                                                                   \
        if (!strstr(sn_error_message(), (part))) fail_msg("message: %s", sn_error_message());               \
    } while (0)
#endif
