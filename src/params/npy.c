/* npy.c: see npy.h. A file is
 *
 *   "\x93NUMPY" | version (2 bytes) | u16 n, from version 2 on u32 n | n bytes of Python's text for a dictionary:
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } | the numbers
 *
 * The text is read as just that: three known keys with values of their kinds. The numbers must fill the file. */
#include "params/npy.h"

#include "base/memory.h"

enum { MAGIC = 6, PLAIN = 10, HEADER_MOST = 1 << 20 };
static const char magic[] = "\x93NUMPY";

struct sn_npy { sn_views views; };

bool sn_npy_sniff(const void *bytes, size_t size) { return size >= MAGIC && !memcmp(bytes, magic, MAGIC); }
void sn_npy_free(sn_npy *file) {
    if (!file) return;
    sn_views_free(&file->views);
    sn_free(file);
}
const sn_views *sn_npy_views(const sn_npy *file) { return &file->views; }

/* ---- the header's text ---- */

typedef struct text { const char *at, *end; } text;

static void skip(text *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

static bool take(text *t, const char *word) {
    size_t n = strlen(word);
    skip(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n)) return false;
    t->at += n;
    return true;
}

static sn_status expected(const char *what) { SN_FAIL(SN_ERR_FORMAT, "its header: expected %s", what); }

/* '…' -> into word, without quotes. */
static sn_status quoted(text *t, char *word, size_t room) {
    size_t n = 0;
    if (!take(t, "'")) return expected("a quoted word");
    while (t->at < t->end && *t->at != '\'' && n + 1 < room) word[n++] = *t->at++;
    word[n] = '\0';
    return take(t, "'") ? SN_OK : expected("a short quoted word");
}

static sn_status read_dtype(text *t, sn_dtype *dtype) {
    static const struct {
        const char *descr;
        sn_dtype dtype;
    } known[] = {{"<f4", SN_F32}, {"<f2", SN_F16}, {"<f8", SN_F64}, {"<i4", SN_I32}, {"<i8", SN_I64}, {"|u1", SN_U8}};
    char descr[32];
    if (!take(t, "'")) SN_FAIL(SN_ERR_UNSUPPORTED, "its array holds records; numbers of one kind are possible");
    t->at--;
    SN_TRY(quoted(t, descr, sizeof descr));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].descr, descr)) {
            *dtype = known[i].dtype;
            return SN_OK;
        }
    SN_FAIL(SN_ERR_UNSUPPORTED, "its numbers are \"%s\"; known are <f4, <f2, <f8, <i4, <i8, |u1", descr);
}

static sn_status read_shape(text *t, sn_shape *shape) {
    *shape = (sn_shape){.rank = 0};
    if (!take(t, "(")) return expected("the shape's \"(\"");
    while (!take(t, ")")) {
        int64_t dim = 0;
        const char *from;
        skip(t);
        for (from = t->at; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
            if (dim > (INT64_MAX - 9) / 10) return expected("a smaller shape");
            dim = 10 * dim + (*t->at - '0');
        }
        if (t->at == from) return expected("a whole number in the shape");
        if (shape->rank == SN_MAX_RANK) SN_FAIL(SN_ERR_UNSUPPORTED, "its array has more than %d axes", SN_MAX_RANK);
        shape->dim[shape->rank++] = dim;
        if (!take(t, ",")) return take(t, ")") ? SN_OK : expected("\",\" or \")\" in the shape");
    }
    return SN_OK;
}

static sn_status read_header(text *t, sn_type *type) {
    char key[32];
    unsigned seen = 0;
    bool fortran = false;
    if (!take(t, "{")) return expected("\"{\"");
    while (!take(t, "}")) {
        SN_TRY(quoted(t, key, sizeof key));
        if (!take(t, ":")) return expected("\":\"");
        if (!strcmp(key, "descr")) {
            SN_TRY(read_dtype(t, &type->dtype));
            seen |= 1;
        } else if (!strcmp(key, "fortran_order")) {
            fortran = take(t, "True");
            if (!fortran && !take(t, "False")) return expected("True or False");
            seen |= 2;
        } else if (!strcmp(key, "shape")) {
            SN_TRY(read_shape(t, &type->shape));
            seen |= 4;
        } else return expected("descr, fortran_order or shape");
        if (!take(t, ",") && (skip(t), t->at == t->end || *t->at != '}')) return expected("\",\" or \"}\"");
    }
    if (seen != 7) return expected("descr, fortran_order and shape");
    if (fortran && type->shape.rank > 1) SN_FAIL(SN_ERR_UNSUPPORTED, "its numbers lie in Fortran's order");
    return SN_OK;
}

/* ---- the file ---- */

static sn_status read_file(const unsigned char *bytes, size_t size, sn_tensor_view *view) {
    if (size < PLAIN) SN_FAIL(SN_ERR_FORMAT, "cut short within its header");
    size_t start = PLAIN, n = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1) {
        start = PLAIN + 2;
        if (size < start) SN_FAIL(SN_ERR_FORMAT, "cut short within its header");
        n |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if (n > HEADER_MOST || n > size - start) SN_FAIL(SN_ERR_FORMAT, "its header should have %zu bytes; the file ends before", n);
    text t = {(const char *)bytes + start, (const char *)bytes + start + n};
    SN_TRY(read_header(&t, &view->type));
    size_t need = sn_dtype_size(view->type.dtype), rest = size - start - n;
    for (int i = 0; i < view->type.shape.rank; i++)
        if (sn_mul_overflow(need, (size_t)view->type.shape.dim[i], &need) || need > SIZE_MAX / 4)
            SN_FAIL(SN_ERR_FORMAT, "its array is larger than memory can be");
    if (need != rest) SN_FAIL(SN_ERR_FORMAT, "its shape takes %zu bytes of numbers; the file has %zu", need, rest);
    view->name = "array";
    view->data = bytes + start + n;
    view->bytes = need;
    return SN_OK;
}

sn_status sn_npy_parse(const char *name, const void *bytes, size_t size, sn_npy **out) {
    sn_tensor_view view = {0};
    *out = NULL;
    sn_status status = read_file(bytes, size, &view);
    sn_npy *file = status == SN_OK ? sn_alloc(1, sizeof *file) : NULL;
    if (status == SN_OK && !file) status = SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_views_add(&file->views, view);
    if (status == SN_OK) {
        *out = file;
        return SN_OK;
    }
    sn_npy_free(file);
    if (status == SN_ERR_MEMORY) return status;
    (void)sn_fail_in("%s", name);
    return sn_fail_at(name, 0, NULL);
}
