/* error.c: the thread's last failure. Fixed buffers: reporting an allocation failure must not allocate. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct {
    sn_status code;
    int64_t row;
    char message[1024];
    char file[512];
    char column[128];
} last;

static void copy(char *to, size_t size, const char *from) { (void)snprintf(to, size, "%s", from); }

sn_status sn_fail(sn_status code, const char *format, ...) {
    char text[sizeof last.message]; /* an argument may be the old message itself */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(last.message, text, sizeof text);
    last.code = code;
    last.row = 0;
    last.file[0] = last.column[0] = '\0';
    return code;
}

sn_status sn_fail_in(const char *format, ...) {
    char text[sizeof last.message];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = strlen(text);
    if (used + 3 < sizeof text) (void)snprintf(text + used, sizeof text - used, ": %.*s", (int)(sizeof text - used - 3), last.message);
    memcpy(last.message, text, sizeof text);
    return last.code;
}

sn_status sn_fail_at(const char *file, int64_t row, const char *column) {
    if (file && !last.file[0]) copy(last.file, sizeof last.file, file);
    if (row && !last.row) last.row = row;
    if (column && !last.column[0]) copy(last.column, sizeof last.column, column);
    return last.code;
}

sn_status sn_error_code(void) { return last.code; }
const char *sn_error_message(void) { return last.message; }
const char *sn_error_file(void) { return last.file; }
int64_t sn_error_row(void) { return last.row; }
const char *sn_error_column(void) { return last.column; }

void sn_error_clear(void) {
    last.code = SN_OK;
    last.row = 0;
    last.message[0] = last.file[0] = last.column[0] = '\0';
}

const char *sn_status_name(sn_status status) {
    static const char *const names[] = {"ok",    "usage",     "memory",  "io",      "format", "shape",
                                        "unsupported", "state", "cancelled", "numeric", "backend"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

#define SN_STRING_(x) #x
#define SN_STRING(x) SN_STRING_(x)
const char *sn_version(void) {
    return SN_STRING(SN_VERSION_MAJOR) "." SN_STRING(SN_VERSION_MINOR) "." SN_STRING(SN_VERSION_PATCH);
}
