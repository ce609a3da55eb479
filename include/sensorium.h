/* sensorium.h: the public interface of libsensorium, a multimodal model system in C.
 *
 * Order of use, for prediction:  sn_model_load -> sn_session_create -> sn_input_set_... -> sn_session_run
 *                                -> sn_output_...
 * for training:                  sn_table_open -> sn_trainer_create -> sn_trainer_run -> sn_model_save
 *
 * Conventions
 *   errors     A fallible call returns sn_status; 0 is success. The message of the last failure on the
 *              calling thread is sn_error_message(); it names file, row, column or tensor.
 *   ownership  The caller frees what a _create, _load or _open call gave, with the _free call of the same
 *              noun; freeing NULL is legal. Strings returned by a query belong to the object queried.
 *   threads    sn_model is immutable and may be shared; sn_session, sn_trainer and sn_table belong to one
 *              thread at a time.
 *   units      image bytes are RGB, 8 bit, row by row; audio is 32-bit float PCM in [-1, 1], interleaved;
 *              text is UTF-8.
 */
#ifndef SENSORIUM_H
#define SENSORIUM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SN_API __attribute__((visibility("default")))
#else
#define SN_API
#endif

#define SN_VERSION_MAJOR 0
#define SN_VERSION_MINOR 1
#define SN_VERSION_PATCH 0

/* The library's version, "major.minor.patch". Never NULL, never freed. */
SN_API const char *sn_version(void);

/* ---- errors ------------------------------------------------------------------------------- */

typedef enum sn_status {
    SN_OK = 0,
    SN_ERR_USAGE = 1,       /* the call itself is wrong: an unknown option, column or name */
    SN_ERR_MEMORY = 2,      /* an allocation failed */
    SN_ERR_IO = 3,          /* a file cannot be opened, read or written */
    SN_ERR_FORMAT = 4,      /* a file's content is broken or of another kind */
    SN_ERR_SHAPE = 5,       /* a tensor has another shape or dtype than expected */
    SN_ERR_UNSUPPORTED = 6, /* well formed, but not something this build can do */
    SN_ERR_STATE = 7,       /* the object is not in a state for this call */
    SN_ERR_CANCELLED = 8,   /* a callback or a signal asked to stop */
    SN_ERR_NUMERIC = 9,     /* a loss or gradient is not finite */
    SN_ERR_BACKEND = 10     /* the arithmetic library refused */
} sn_status;

/* Message of the last failure on this thread; "" when there was none. Valid until the next failure. */
SN_API const char *sn_error_message(void);
/* Where it happened: the file ("" if none), the data row from 1 (0 if none), the column ("" if none). */
SN_API const char *sn_error_file(void);
SN_API int64_t sn_error_row(void);
SN_API const char *sn_error_column(void);
/* The pinned name of a status, such as "format". */
SN_API const char *sn_status_name(sn_status status);

#ifdef __cplusplus
}
#endif
#endif
