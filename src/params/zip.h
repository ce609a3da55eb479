/* zip.h: the table of contents of a zip archive whose members are stored as they are (PyTorch's checkpoints since
 * version 1.6), zip64 included. Nothing is copied: a member is a piece of the archive's bytes. */
#ifndef SN_ZIP_H
#define SN_ZIP_H
#include "base/memory.h"

typedef struct sn_zip_member {
    const char *name;
    const unsigned char *data; /* in the archive */
    size_t size, header;       /* header: where its local header lies */
} sn_zip_member;

typedef struct sn_zip {
    sn_zip_member *members; /* in name order */
    size_t count, capacity;
    sn_arena names;
} sn_zip;

bool sn_zip_sniff(const void *bytes, size_t size);
/* Reads the table and checks it against the archive: members inside it, none over another, no name twice, none
 * compressed or encrypted. `bytes` must outlive the result; freed with sn_zip_free, also after a failure. */
sn_status sn_zip_parse(const void *bytes, size_t size, sn_zip *out);
const sn_zip_member *sn_zip_find(const sn_zip *zip, const char *name); /* NULL */
void sn_zip_free(sn_zip *zip);
#endif
