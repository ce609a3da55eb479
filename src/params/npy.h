/* npy.h: the one array of a file that numpy.save wrote, as a table with one view called "array". */
#ifndef SN_NPY_H
#define SN_NPY_H
#include "params/view.h"

typedef struct sn_npy sn_npy;
/* Is it the beginning of such a file? */
bool sn_npy_sniff(const void *bytes, size_t size);
/* Reads a whole file image; the bytes must outlive the result. Little-endian numbers in C order; objects, records and
 * other orders are errors. Errors begin with `name`. */
sn_status sn_npy_parse(const char *name, const void *bytes, size_t size, sn_npy **out);
void sn_npy_free(sn_npy *file);
const sn_views *sn_npy_views(const sn_npy *file);
#endif
