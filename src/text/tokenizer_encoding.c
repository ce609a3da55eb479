/* tokenizer_encoding.c: sn_tokenizer_encode: both texts, truncation, post-processors, padding; and the buffers' life. */
#include "text/tokenizer_internal.h"

static void free_sequence(sn_tok_sequence *s) {
    sn_free(s->ids);
    sn_free(s->type_ids);
    sn_free(s->words);
    sn_free(s->bytes);
    sn_free(s->codes);
    sn_free(s->special);
    sn_free(s->attention);
}

void sn_tok_work_free(sn_tok_work *w) {
    if (!w) return;
    sn_buf_free(&w->repaired);
    sn_free(w->given);
    sn_tok_text_free(&w->text);
    sn_tok_text_free(&w->spare);
    sn_tok_codes_free(&w->codes);
    sn_tok_codes_free(&w->other);
    sn_free(w->pieces.data);
    sn_free(w->finer.data);
    sn_free(w->changes);
    sn_free(w->tokens);
    sn_free(w->symbols);
    sn_free(w->heap);
    sn_free(w->cache);
    sn_free(w->lattice);
    sn_free(w->matches);
    sn_tok_match_data_free(w->match_data);
    free_sequence(&w->first);
    free_sequence(&w->second);
    free_sequence(&w->joined);
    sn_free(w);
}

void sn_encoding_free(sn_encoding *e) {
    sn_tok_work_free(e->work);
    *e = (sn_encoding){0};
}

/* The work of this encoding, with nothing left of another tokenizer. */
static sn_status prepare(const sn_tokenizer *t, sn_encoding *e) {
    if (!e->work && !(e->work = sn_alloc(1, sizeof *e->work))) return SN_ERR_MEMORY;
    sn_tok_work *w = e->work;
    if (w->owner != t || w->fingerprint != t->fingerprint) {
        sn_free(w->cache);
        w->cache = NULL;
        sn_tok_match_data_free(w->match_data);
        w->match_data = NULL;
        w->owner = t;
        w->fingerprint = t->fingerprint;
    }
    return SN_OK;
}

/* ---- truncation ---- */

typedef struct limits {
    sn_truncation how; /* NONE, or one of the strategies */
    size_t most;
    bool left;
} limits;

static limits limits_of(const sn_tokenizer *t, const sn_encode_options *o) {
    limits l = {o->truncation, 0, t->truncate_left};
    if (l.how == SN_TRUNCATE_FILE) l.how = o->max_length > 0 && t->truncation == SN_TRUNCATE_NONE ? SN_TRUNCATE_LONGEST_FIRST : t->truncation;
    if (l.how == SN_TRUNCATE_NONE) return l;
    int64_t most = o->max_length > 0 ? o->max_length : t->truncation != SN_TRUNCATE_NONE ? t->truncation_length : t->max_length;
    bool bounded = o->max_length > 0 || t->truncation != SN_TRUNCATE_NONE || t->max_length > 0;
    if (!bounded) l.how = SN_TRUNCATE_NONE;
    l.most = (size_t)most;
    return l;
}

/* Keeps n tokens of a sequence. */
static void keep(sn_tok_sequence *s, size_t n, bool left, int offsets, int64_t *cut) {
    if (n >= s->count) return;
    size_t from = left ? s->count - n : 0;
    *cut += (int64_t)(s->count - n);
    s->count = n;
    if (!from || !n) return;
    memmove(s->ids, s->ids + from, n * sizeof *s->ids);
    memmove(s->words, s->words + from, n * sizeof *s->words);
    memmove(s->special, s->special + from, n);
    memmove(s->attention, s->attention + from, n);
    if (!offsets) return;
    memmove(s->bytes, s->bytes + from, n * sizeof *s->bytes);
    if (offsets == SN_TOK_BYTES_AND_CODES) memmove(s->codes, s->codes + from, n * sizeof *s->codes);
}

/* How much of each a pair keeps: the longer one gives first. */
static void share(size_t *a, size_t *b, size_t most) {
    bool swap = *a > *b;
    size_t shorter = swap ? *b : *a, longer = swap ? *a : *b;
    if (shorter > most) longer = shorter;
    else longer = most - shorter > shorter ? most - shorter : shorter;
    if (shorter + longer > most) {
        shorter = most / 2;
        longer = shorter + most % 2;
    }
    *a = swap ? longer : shorter;
    *b = swap ? shorter : longer;
}

static sn_status truncate(sn_tok_work *w, limits l, bool pair, size_t added, int64_t *cut) {
    sn_tok_sequence *a = &w->first, *b = &w->second;
    if (l.how == SN_TRUNCATE_NONE) return SN_OK;
    if (l.most < added) SN_FAIL(SN_ERR_USAGE, "a length of %zu tokens leaves no room for the %zu special ones", l.most, added);
    size_t most = l.most - added, m = a->count, n = pair ? b->count : 0;
    if (!most) m = n = 0;
    else if (m + n <= most) return SN_OK;
    else if (l.how == SN_TRUNCATE_LONGEST_FIRST && pair) share(&m, &n, most);
    else if (l.how == SN_TRUNCATE_LONGEST_FIRST) m = most;
    else {
        size_t *target = l.how == SN_TRUNCATE_ONLY_FIRST ? &m : &n, excess = m + n - most;
        if (*target <= excess)
            SN_FAIL(SN_ERR_USAGE, "the %s text has %zu tokens; leaving %zu out to reach %zu is not possible",
                    target == &m ? "first" : "second", *target, excess, l.most);
        *target -= excess;
    }
    keep(a, m, l.left, w->offsets, cut);
    if (pair) keep(b, n, l.left, w->offsets, cut);
    return SN_OK;
}

/* ---- padding ---- */

static sn_status pad(const sn_tokenizer *t, sn_tok_work *w, sn_tok_sequence *s) {
    size_t count = s->count, length = t->pad_length ? (size_t)t->pad_length : count, multiple = (size_t)t->pad_multiple;
    if (multiple && length % multiple) length += multiple - length % multiple;
    if (length <= count) return SN_OK;
    size_t n = length - count;
    while (s->count < length) {
        SN_TRY(sn_tok_sequence_add(s, t->pad_id, t->pad_type, w->offsets));
        s->attention[s->count - 1] = 0;
    }
    if (!t->pad_left || !count) return SN_OK;
    /* The padding, all alike, goes before. */
#define ROTATE(member, padding)                                                                             \
    memmove(s->member + n, s->member, count * sizeof *s->member);                                           \
    for (size_t i = 0; i < n; i++) s->member[i] = padding;
    ROTATE(ids, t->pad_id)
    ROTATE(type_ids, t->pad_type)
    ROTATE(words, -1)
    ROTATE(special, 1)
    ROTATE(attention, 0)
    if (!w->offsets) return SN_OK;
    ROTATE(bytes, ((sn_token_span){0, 0}))
    if (w->offsets != SN_TOK_BYTES_AND_CODES) return SN_OK;
    ROTATE(codes, ((sn_token_span){0, 0}))
    return SN_OK;
}

/* ---- all of it ---- */

static size_t early_stop(limits l, bool second) {
    if (l.how == SN_TRUNCATE_NONE || l.left || (l.how == SN_TRUNCATE_ONLY_SECOND && !second)) return 0;
    return l.most;
}

static sn_status encode(const sn_tokenizer *t, sn_tok_work *w, const char *s, size_t bytes, const char *pair, size_t pair_bytes,
                        sn_encode_options o, int64_t *cut) {
    limits l = limits_of(t, &o);
    size_t added = 0;
    SN_TRY(sn_tok_encode_one(t, w, s, bytes, early_stop(l, false), &w->first));
    w->second.count = 0;
    if (pair) SN_TRY(sn_tok_encode_one(t, w, pair, pair_bytes, early_stop(l, true), &w->second));
    for (int i = 0; o.add_special && i < t->processor_count; i++) added += (size_t)t->processors[i].added[pair != NULL];
    SN_TRY(truncate(w, l, pair, added, cut));
    for (size_t i = 0; i < w->first.count; i++) w->first.type_ids[i] = 0;
    for (size_t i = 0; i < w->second.count; i++) w->second.type_ids[i] = 1;
    for (int i = 0; i < t->processor_count; i++)
        SN_TRY(t->processors[i].row->run(t, &t->processors[i], w, pair != NULL, o.add_special));
    SN_TRY(sn_tok_sequence_append(&w->first, &w->second, -1, w->offsets));
    return t->pad && o.padding == SN_PAD_FILE ? pad(t, w, &w->first) : SN_OK;
}

sn_status sn_tokenizer_encode(const sn_tokenizer *t, const char *utf8, size_t bytes, const char *pair, size_t pair_bytes,
                              sn_encode_options options, sn_encoding *out) {
    SN_TRY(prepare(t, out));
    sn_tok_work *w = out->work;
    out->count = out->cut = 0;
    w->offsets = !options.offsets ? SN_TOK_NO_OFFSETS : options.no_codes ? SN_TOK_BYTES : SN_TOK_BYTES_AND_CODES;
    sn_status status = encode(t, w, utf8, bytes, pair, pair_bytes, options, &out->cut);
    if (!w->text.room) w->text = (sn_tok_text){0}; /* it was the caller's text */
    w->source = (sn_tok_text){0};
    SN_TRY(status);
    const sn_tok_sequence *s = &w->first;
    out->count = (int64_t)s->count;
    out->ids = s->ids;
    out->type_ids = s->type_ids;
    out->words = s->words;
    out->attention = s->attention;
    out->special = s->special;
    out->bytes = options.offsets ? s->bytes : NULL;
    out->codes = w->offsets == SN_TOK_BYTES_AND_CODES ? s->codes : NULL;
    return SN_OK;
}
