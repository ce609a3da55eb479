/* error.h: how every fallible function of the library reports failure.
 *
 * A function returns sn_status; SN_FAIL records a message on this thread and returns the code, SN_TRY
 * forwards one. The place (file, row, column) is added by whoever knows it, innermost first: a decoder says
 * "not a JPEG", the feature that called it adds file and row. */
#ifndef SN_BASE_ERROR_H
#define SN_BASE_ERROR_H
#include "sensorium.h"

/* Records code and message (printf style), clears the place, returns code. */
sn_status sn_fail(sn_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "prefix: " before the message recorded last; returns its code. */
sn_status sn_fail_in(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Adds the place where it is not yet known; NULL and 0 leave a part as it is. Returns the recorded code. */
sn_status sn_fail_at(const char *file, int64_t row, const char *column);
/* The code recorded last on this thread. */
sn_status sn_error_code(void);
void sn_error_clear(void);

#define SN_FAIL(code, ...) return sn_fail((code), __VA_ARGS__)
#define SN_TRY(expr)                                                                                        \
    do {                                                                                                    \
        sn_status sn_try_status_ = (expr);                                                                  \
        if (sn_try_status_ != SN_OK) return sn_try_status_;                                                 \
    } while (0)
/* The same for a function with one clean-up label; `status` must be a local sn_status. */
#define SN_GO(expr, label)                                                                                  \
    do {                                                                                                    \
        status = (expr);                                                                                    \
        if (status != SN_OK) goto label;                                                                    \
    } while (0)
#endif
