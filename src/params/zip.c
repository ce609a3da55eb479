/* zip.c: reading the end of the archive, then the central directory, then each member's local header.
 *
 *   [local header | data] ...  [central directory]  [zip64 end, its locator]  [end: how many, where]
 *
 * Sizes are believed from the central directory alone; the local header must be there and carry the same name,
 * so that two readers cannot see two archives. */
#include "params/zip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22, LOCATOR_BYTES = 20, END64_BYTES = 56,
    COMMENT_MOST = 65535, ZIP64_FIELD = 1, ENCRYPTED = 1, NAME_MOST = 4096
};
#define LOCAL_MARK 0x04034b50u
#define CENTRAL_MARK 0x02014b50u
#define END_MARK 0x06054b50u
#define LOCATOR_MARK 0x07064b50u
#define END64_MARK 0x06064b50u
#define IN_ZIP64 0xffffffffu

typedef struct archive {
    const unsigned char *bytes;
    size_t size;
    uint64_t count, at, directory; /* of the central directory: members, place, bytes */
} archive;

static uint64_t number(const unsigned char *at, int bytes) {
    uint64_t x = 0;
    for (int i = bytes - 1; i >= 0; i--) x = x << 8 | at[i];
    return x;
}

bool sn_zip_sniff(const void *bytes, size_t size) { return size >= 4 && number(bytes, 4) == LOCAL_MARK; }

/* ---- the end ---- */

static sn_status read_end64(archive *a, size_t end) {
    if (end < LOCATOR_BYTES || number(a->bytes + end - LOCATOR_BYTES, 4) != LOCATOR_MARK) return SN_OK;
    uint64_t at = number(a->bytes + end - LOCATOR_BYTES + 8, 8);
    if (at > end || end - at < LOCATOR_BYTES + END64_BYTES || number(a->bytes + at, 4) != END64_MARK)
        SN_FAIL(SN_ERR_FORMAT, "the zip archive's zip64 end is not where it should be");
    a->count = number(a->bytes + at + 32, 8);
    a->directory = number(a->bytes + at + 40, 8);
    a->at = number(a->bytes + at + 48, 8);
    return SN_OK;
}

static sn_status read_end(archive *a) {
    size_t lowest = a->size > END_BYTES + COMMENT_MOST ? a->size - END_BYTES - COMMENT_MOST : 0;
    for (size_t end = a->size < END_BYTES ? 0 : a->size - END_BYTES + 1; end-- > lowest;) {
        const unsigned char *b = a->bytes + end;
        if (number(b, 4) != END_MARK || number(b + 20, 2) != a->size - end - END_BYTES) continue;
        a->count = number(b + 10, 2);
        a->directory = number(b + 12, 4);
        a->at = number(b + 16, 4);
        SN_TRY(read_end64(a, end));
        if (a->at > end || a->directory > end - a->at || a->count > a->directory / CENTRAL_BYTES)
            SN_FAIL(SN_ERR_FORMAT, "the zip archive's table of contents does not lie in the file");
        return SN_OK;
    }
    SN_FAIL(SN_ERR_FORMAT, "a zip archive without its end: the file was cut short");
}

/* ---- members ---- */

typedef struct row {
    uint64_t packed, size, header;
} row;

/* The extra field's zip64 part has the numbers, in this order, that did not fit 32 bits. */
static sn_status read_zip64(const unsigned char *extra, size_t bytes, row *r) {
    uint64_t *fields[] = {&r->size, &r->packed, &r->header};
    for (size_t at = 0, part; at + 4 <= bytes; at += 4 + part) {
        part = (size_t)number(extra + at + 2, 2);
        if (part > bytes - at - 4) break;
        if (number(extra + at, 2) != ZIP64_FIELD) continue;
        const unsigned char *from = extra + at + 4, *end = from + part;
        for (int i = 0; i < 3; i++) {
            if (*fields[i] != IN_ZIP64) continue;
            if (end - from < 8) SN_FAIL(SN_ERR_FORMAT, "its zip64 field is too short");
            *fields[i] = number(from, 8);
            from += 8;
        }
        return SN_OK;
    }
    return SN_OK;
}

static sn_status locate(const archive *a, const row *r, const unsigned char *name, size_t name_bytes, sn_zip_member *m) {
    if (r->header > a->at || a->at - r->header < LOCAL_BYTES)
        SN_FAIL(SN_ERR_FORMAT, "its local header lies outside the archive");
    const unsigned char *local = a->bytes + r->header;
    uint64_t inner = number(local + 26, 2), extra = number(local + 28, 2), room = a->at - r->header - LOCAL_BYTES;
    if (number(local, 4) != LOCAL_MARK || inner != name_bytes || inner > room || memcmp(local + LOCAL_BYTES, name, name_bytes) != 0)
        SN_FAIL(SN_ERR_FORMAT, "its local header is not where the table of contents says");
    if (inner + extra > room || r->size > room - inner - extra)
        SN_FAIL(SN_ERR_FORMAT, "%llu bytes do not fit in the archive: it was cut short", (unsigned long long)r->size);
    m->data = local + LOCAL_BYTES + inner + extra;
    m->size = (size_t)r->size;
    m->header = (size_t)r->header;
    return SN_OK;
}

static sn_status read_row(const archive *a, const unsigned char *b, size_t name_bytes, size_t extra_bytes, sn_zip_member *m) {
    row r = {number(b + 20, 4), number(b + 24, 4), number(b + 42, 4)};
    SN_TRY(read_zip64(b + CENTRAL_BYTES + name_bytes, extra_bytes, &r));
    if (number(b + 8, 2) & ENCRYPTED) SN_FAIL(SN_ERR_UNSUPPORTED, "it is encrypted");
    if (number(b + 10, 2) || r.packed != r.size) SN_FAIL(SN_ERR_UNSUPPORTED, "it is compressed; PyTorch stores its members");
    return locate(a, &r, b + CENTRAL_BYTES, name_bytes, m);
}

static sn_status add_member(sn_zip *zip, const archive *a, const unsigned char *b, size_t name_bytes, size_t extra_bytes) {
    sn_zip_member *members = sn_grow(zip->members, zip->count, &zip->capacity, sizeof *members), m;
    if (!members) return SN_ERR_MEMORY;
    zip->members = members;
    if (name_bytes > NAME_MOST || memchr(b + CENTRAL_BYTES, 0, name_bytes))
        SN_FAIL(SN_ERR_FORMAT, "a zip member's name is longer than %d bytes or holds a zero", NAME_MOST);
    char *name = sn_arena_alloc(&zip->names, name_bytes + 1, 1);
    if (!name) return SN_ERR_MEMORY;
    memcpy(name, b + CENTRAL_BYTES, name_bytes);
    m.name = name;
    if (read_row(a, b, name_bytes, extra_bytes, &m) != SN_OK) return sn_fail_in("zip member \"%.200s\"", name);
    members[zip->count++] = m;
    return SN_OK;
}

static sn_status read_directory(sn_zip *zip, const archive *a) {
    const unsigned char *b = a->bytes + a->at, *end = b + a->directory;
    for (uint64_t i = 0; i < a->count; i++) {
        if (end - b < CENTRAL_BYTES || number(b, 4) != CENTRAL_MARK)
            SN_FAIL(SN_ERR_FORMAT, "the zip archive's table of contents is broken at member %llu", (unsigned long long)i + 1);
        size_t name = (size_t)number(b + 28, 2), extra = (size_t)number(b + 30, 2), comment = (size_t)number(b + 32, 2);
        if ((size_t)(end - b) - CENTRAL_BYTES < name + extra + comment)
            SN_FAIL(SN_ERR_FORMAT, "the zip archive's table of contents is broken at member %llu", (unsigned long long)i + 1);
        SN_TRY(add_member(zip, a, b, name, extra));
        b += CENTRAL_BYTES + name + extra + comment;
    }
    return SN_OK;
}

/* ---- the whole ---- */

static int by_place(const void *a, const void *b) {
    const sn_zip_member *x = a, *y = b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static int by_name(const void *a, const void *b) { return strcmp(((const sn_zip_member *)a)->name, ((const sn_zip_member *)b)->name); }

static sn_status check_members(sn_zip *zip, const archive *a) {
    if (zip->count) qsort(zip->members, zip->count, sizeof *zip->members, by_place);
    for (size_t i = 1; i < zip->count; i++) {
        const sn_zip_member *before = &zip->members[i - 1], *m = &zip->members[i];
        if (before->data + before->size > a->bytes + m->header)
            SN_FAIL(SN_ERR_FORMAT, "zip member \"%.200s\" overlaps \"%.200s\"", m->name, before->name);
    }
    if (zip->count) qsort(zip->members, zip->count, sizeof *zip->members, by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (!strcmp(zip->members[i - 1].name, zip->members[i].name))
            SN_FAIL(SN_ERR_FORMAT, "zip member \"%.200s\" is there twice", zip->members[i].name);
    return SN_OK;
}

sn_status sn_zip_parse(const void *bytes, size_t size, sn_zip *out) {
    archive a = {.bytes = bytes, .size = size};
    *out = (sn_zip){0};
    SN_TRY(read_end(&a));
    SN_TRY(read_directory(out, &a));
    return check_members(out, &a);
}

const sn_zip_member *sn_zip_find(const sn_zip *zip, const char *name) {
    const sn_zip_member key = {.name = name};
    return zip->count ? bsearch(&key, zip->members, zip->count, sizeof key, by_name) : NULL;
}

void sn_zip_free(sn_zip *zip) {
    sn_free(zip->members);
    sn_arena_free(&zip->names);
    *zip = (sn_zip){0};
}
