/* texts.c: texts as ids, and batches of them. */
#include <stdlib.h>

#include "pipelines/media.h"

const sn_page *sn_text_page(const sn_pipeline *p) { return sn_page_side(sn_pretrained_config(p->model), SN_IN_TEXT)->page; }

int64_t sn_text_limit(const sn_pipeline *p) {
    int64_t most = p->pooling.most_tokens ? p->pooling.most_tokens : sn_tokenizer_max_length(p->tokenizer);
    int64_t places = p->model ? sn_page_longest(sn_pretrained_config(p->model)) : 0;
    if (places > 0 && (!most || most > places)) most = places;
    return most;
}

static bool is_space(unsigned char c) { return c == ' ' || (c >= 9 && c <= 13); }

/* prompt + text as sentence-transformers hands it on: stripped, and in lower case where the files say so (ASCII; the
 * tokenizer of such a model lowers the rest). */
static sn_status prepare(const sn_pipeline *p, const char *prompt, const char *text, size_t bytes, sn_buf *out) {
    out->size = 0;
    if (prompt) sn_buf_puts(out, prompt);
    sn_buf_add(out, text, bytes);
    SN_TRY(sn_buf_check(out));
    if (!p->pooling.from_files) return SN_OK;
    size_t from = 0;
    while (from < out->size && is_space((unsigned char)out->data[from])) from++;
    while (out->size > from && is_space((unsigned char)out->data[out->size - 1])) out->size--;
    out->size -= from;
    memmove(out->data, out->data + from, out->size);
    for (size_t i = 0; p->pooling.lower && i < out->size; i++)
        if (out->data[i] >= 'A' && out->data[i] <= 'Z') out->data[i] = (char)(out->data[i] + 32);
    return SN_OK;
}

/* A tokenizer may know more tokens than its model: an id that the model has no row for is told with its token. */
static sn_status check_ids(const sn_pipeline *p, const sn_encoding *e) {
    const sn_page_config *c = p->model ? sn_page_side(sn_pretrained_config(p->model), SN_IN_TEXT) : NULL;
    for (int64_t i = 0; c && c->vocabulary > 0 && i < e->count; i++) {
        if (e->ids[i] >= 0 && e->ids[i] < c->vocabulary) continue;
        const char *token = sn_tokenizer_token(p->tokenizer, e->ids[i]);
        SN_FAIL(SN_ERR_FORMAT, "%s: the tokenizer gives \"%.80s\" the id %d, but the model's vocabulary has %lld tokens", p->path,
                token ? token : "?", (int)e->ids[i], (long long)c->vocabulary);
    }
    return SN_OK;
}

static sn_status keep(sn_text_list *l, size_t index) {
    const sn_encoding *e = &l->encoding;
    size_t n = (size_t)e->count, need = l->used + n;
    void *list = sn_grow(l->list, l->n, &l->room, sizeof *l->list);
    if (!list) return SN_ERR_MEMORY;
    l->list = list;
    int32_t *ids = sn_grow_to(l->ids, need, &l->ids_room, sizeof *ids);
    if (!ids) return SN_ERR_MEMORY;
    l->ids = ids;
    int32_t *types = sn_grow_to(l->types, need, &l->types_room, sizeof *types);
    if (!types) return SN_ERR_MEMORY;
    l->types = types;
    memcpy(l->ids + l->used, e->ids, n * sizeof *e->ids);
    memcpy(l->types + l->used, e->type_ids, n * sizeof *e->type_ids);
    l->list[l->n++] = (sn_text_ids){index, l->used, e->count};
    l->used = need;
    return SN_OK;
}

sn_status sn_text_list_add(sn_text_list *l, const sn_pipeline *p, const sn_item *item, size_t index, const char *prompt, int64_t most) {
    const char *text;
    size_t bytes;
    sn_buf whole = {0};
    sn_encode_options o = {.add_special = !sn_text_page(p)->bare, .truncation = most ? SN_TRUNCATE_LONGEST_FIRST : SN_TRUNCATE_NONE,
                           .padding = SN_PAD_NONE, .max_length = most};
    SN_TRY(sn_item_text(item, &text, &bytes));
    sn_status status = prepare(p, prompt, text, bytes, &whole);
    if (status == SN_OK) status = sn_tokenizer_encode(p->tokenizer, whole.data ? whole.data : "", whole.size, NULL, 0, o, &l->encoding);
    sn_buf_free(&whole);
    SN_TRY(status);
    if (!l->encoding.count) SN_FAIL(SN_ERR_FORMAT, "the text has no tokens");
    SN_TRY(check_ids(p, &l->encoding));
    return keep(l, index);
}

static int by_length(const void *a, const void *b) {
    const sn_text_ids *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}
void sn_text_list_sort(sn_text_list *l) {
    if (l->n) qsort(l->list, l->n, sizeof *l->list, by_length);
}

void sn_text_list_free(sn_text_list *l) {
    sn_free(l->list);
    sn_free(l->ids);
    sn_free(l->types);
    sn_encoding_free(&l->encoding);
    *l = (sn_text_list){0};
}

sn_status sn_text_batch_make(const sn_text_list *l, const sn_pipeline *p, int64_t first, int64_t n, sn_text_batch *b) {
    int32_t pad = sn_tokenizer_special(p->tokenizer, SN_SPECIAL_PAD);
    *b = (sn_text_batch){0};
    for (int64_t k = 0; k < n; k++)
        if (l->list[first + k].count > b->steps) b->steps = l->list[first + k].count;
    if (sn_text_page(p)->padded && b->steps < sn_text_limit(p)) b->steps = sn_text_limit(p);
    size_t all = (size_t)(n * b->steps);
    b->ids = sn_alloc(all, sizeof *b->ids);
    b->types = sn_alloc(all, sizeof *b->types);
    b->lengths = sn_alloc((size_t)n, sizeof *b->lengths);
    if (!b->ids || !b->types || !b->lengths) return SN_ERR_MEMORY;
    for (size_t i = 0; i < all; i++) b->ids[i] = pad > 0 ? pad : 0;
    for (int64_t k = 0; k < n; k++) {
        const sn_text_ids *t = &l->list[first + k];
        memcpy(b->ids + k * b->steps, l->ids + t->at, (size_t)t->count * sizeof *b->ids);
        memcpy(b->types + k * b->steps, l->types + t->at, (size_t)t->count * sizeof *b->types);
        b->lengths[k] = (int32_t)t->count;
    }
    return SN_OK;
}

sn_feed sn_feed_texts(const sn_text_batch *b, int64_t n) {
    return (sn_feed){.kinds = SN_IN_TEXT, .sizes = {.rows = n, .steps = b->steps}, .ids = b->ids, .types = b->types, .lengths = b->lengths};
}

void sn_text_batch_free(sn_text_batch *b) {
    sn_free(b->ids);
    sn_free(b->types);
    sn_free(b->lengths);
    *b = (sn_text_batch){0};
}
