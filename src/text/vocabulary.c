/* vocabulary.c: which words a model knows, and texts as their numbers.
 *
 *   texts -> words -> counts -> fit: the most frequent, in order -> map entry -> id
 *   text  -> words -> ids, then the ids of the n-grams that are known
 *
 * While a text is read its words stand in one buffer with single spaces between them, so an n-gram is a piece
 * of that buffer and is looked up where it lies. No word contains a space, hence no two n-grams share a text. */
#include <stdlib.h>
#include <string.h>

#include "text/words.h"

enum { MOST_NGRAMS = 8 };

struct sn_vocabulary {
    int ngrams;
    bool fitted;
    sn_map map;        /* entry -> place in entries (fitted: its id) */
    char **words;      /* heap strings */
    int64_t *counts;   /* NULL after fit */
    size_t size, word_room, count_room;
};

/* ---- the words of one text ---- */

typedef struct sentence {
    sn_buf text;     /* "what is the shape ?" */
    size_t *ends;    /* behind each word */
    size_t count, room;
} sentence;

static sn_status add_word(void *context, const char *word, size_t bytes) {
    sentence *s = context;
    size_t *ends = sn_grow(s->ends, s->count, &s->room, sizeof *ends);
    if (!ends) return SN_ERR_MEMORY;
    s->ends = ends;
    if (s->count) sn_buf_add(&s->text, " ", 1);
    sn_buf_add(&s->text, word, bytes);
    ends[s->count++] = s->text.size;
    return sn_buf_check(&s->text);
}

static void sentence_free(sentence *s) {
    sn_buf_free(&s->text);
    sn_free(s->ends);
}

/* The n words from word i on, as a piece of the buffer. */
static const char *gram(const sentence *s, size_t i, size_t n, size_t *bytes) {
    size_t from = i ? s->ends[i - 1] + 1 : 0;
    *bytes = s->ends[i + n - 1] - from;
    return s->text.data + from;
}

/* Every run of 1 … ngrams (then n) words of a text, the shorter ones first. */
static sn_status each_gram(const sn_vocabulary *v, const char *utf8, size_t bytes,
                           sn_status (*take)(void *context, const char *piece, size_t length, size_t n), void *context) {
    sentence s = {0};
    sn_status status = sn_words(utf8, bytes, add_word, &s);
    for (size_t n = 1; n <= (size_t)v->ngrams; n++) {
        for (size_t i = 0; i + n <= s.count && status == SN_OK; i++) {
            size_t length;
            const char *piece = gram(&s, i, n, &length);
            status = take(context, piece, length, n);
        }
    }
    sentence_free(&s);
    return status;
}

/* ---- learning ---- */

sn_status sn_vocabulary_create(int ngrams, sn_vocabulary **out) {
    *out = NULL;
    if (ngrams < 1 || ngrams > MOST_NGRAMS)
        SN_FAIL(SN_ERR_USAGE, "n-grams of %d words; expected 1 to %d", ngrams, MOST_NGRAMS);
    *out = sn_alloc(1, sizeof **out);
    if (!*out) return SN_ERR_MEMORY;
    (*out)->ngrams = ngrams;
    return SN_OK;
}

static sn_status add_entry(sn_vocabulary *v, const char *word, size_t bytes, int64_t id) {
    char **words = sn_grow(v->words, v->size, &v->word_room, sizeof *words);
    if (!words) return SN_ERR_MEMORY;
    v->words = words;
    words[v->size] = sn_strndup(word, bytes);
    if (!words[v->size]) return SN_ERR_MEMORY;
    v->size++;
    return sn_map_put(&v->map, word, bytes, id);
}

static sn_status count_entry(void *context, const char *word, size_t bytes, size_t n) {
    sn_vocabulary *v = context;
    (void)n;
    int64_t at = sn_map_get(&v->map, word, bytes);
    if (at < 0) {
        int64_t *counts = sn_grow(v->counts, v->size, &v->count_room, sizeof *counts);
        if (!counts) return SN_ERR_MEMORY;
        v->counts = counts;
        at = (int64_t)v->size;
        counts[at] = 0;
        SN_TRY(add_entry(v, word, bytes, at));
    }
    v->counts[at]++;
    return SN_OK;
}

sn_status sn_vocabulary_count(sn_vocabulary *v, const char *utf8, size_t bytes) {
    if (v->fitted) SN_FAIL(SN_ERR_STATE, "the vocabulary is complete; texts are counted before it is fitted");
    return each_gram(v, utf8, bytes, count_entry, v);
}

typedef struct entry {
    char *word;
    int64_t count;
} entry;

static int by_count(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return strcmp(x->word, y->word);
}

sn_status sn_vocabulary_fit(sn_vocabulary *v, int64_t most, int64_t least) {
    if (v->fitted) SN_FAIL(SN_ERR_STATE, "the vocabulary is fitted already");
    if (most < 1 || most > INT32_MAX - SN_WORD_FIRST)
        SN_FAIL(SN_ERR_USAGE, "a vocabulary of %lld words; expected 1 to %d", (long long)most,
                INT32_MAX - SN_WORD_FIRST);
    entry *entries = sn_alloc(v->size, sizeof *entries);
    if (!entries) return SN_ERR_MEMORY;
    for (size_t i = 0; i < v->size; i++) entries[i] = (entry){v->words[i], v->counts[i]};
    qsort(entries, v->size, sizeof *entries, by_count);
    size_t kept = 0;
    sn_map map = {0};
    sn_status status = SN_OK;
    while (kept < v->size && kept < (size_t)most && entries[kept].count >= least && status == SN_OK) {
        status = sn_map_put(&map, entries[kept].word, strlen(entries[kept].word),
                            (int64_t)kept + SN_WORD_FIRST);
        kept++;
    }
    if (status == SN_OK) {
        for (size_t i = 0; i < v->size; i++) {
            if (i < kept) v->words[i] = entries[i].word;
            else sn_free(entries[i].word);
        }
        sn_map_free(&v->map);
        sn_free(v->counts);
        v->map = map;
        v->counts = NULL;
        v->size = kept;
        v->fitted = true;
    } else {
        sn_map_free(&map);
    }
    sn_free(entries);
    return status;
}

void sn_vocabulary_free(sn_vocabulary *v) {
    if (!v) return;
    for (size_t i = 0; i < v->size; i++) sn_free(v->words[i]);
    sn_free(v->words);
    sn_free(v->counts);
    sn_map_free(&v->map);
    sn_free(v);
}

/* ---- use ---- */

int64_t sn_vocabulary_size(const sn_vocabulary *v) { return (int64_t)v->size + SN_WORD_FIRST; }

const char *sn_vocabulary_word(const sn_vocabulary *v, int64_t id) {
    if (id == SN_WORD_PAD) return "[pad]";
    if (id < SN_WORD_FIRST || id >= sn_vocabulary_size(v)) return "[unknown]";
    return v->words[id - SN_WORD_FIRST];
}

typedef struct encoding {
    const sn_vocabulary *v;
    int32_t *ids;
    int64_t room, count;
} encoding;

static sn_status encode_gram(void *context, const char *piece, size_t length, size_t n) {
    encoding *e = context;
    int64_t id = sn_map_get(&e->v->map, piece, length);
    if (id < 0 && n > 1) return SN_OK; /* an unknown run of words says nothing its words do not */
    if (e->count < e->room) e->ids[e->count] = (int32_t)(id < 0 ? SN_WORD_UNKNOWN : id);
    e->count++;
    return SN_OK;
}

sn_status sn_vocabulary_encode(const sn_vocabulary *v, const char *utf8, size_t bytes, int32_t *ids,
                               int64_t room, int64_t *count) {
    *count = 0;
    if (!v->fitted) SN_FAIL(SN_ERR_STATE, "the vocabulary is not fitted yet");
    encoding e = {v, ids, room, 0};
    SN_TRY(each_gram(v, utf8, bytes, encode_gram, &e));
    *count = e.count;
    return SN_OK;
}

/* ---- JSON ---- */

sn_status sn_vocabulary_to_json(const sn_vocabulary *v, json_t **out) {
    *out = NULL;
    if (!v->fitted) SN_FAIL(SN_ERR_STATE, "the vocabulary is not fitted yet");
    json_t *words = json_array();
    bool whole = words != NULL;
    for (size_t i = 0; i < v->size && whole; i++)
        whole = !json_array_append_new(words, json_string(v->words[i]));
    if (whole) *out = json_pack("{s:i, s:O}", "ngrams", v->ngrams, "words", words);
    json_decref(words);
    if (!*out) SN_FAIL(SN_ERR_MEMORY, "out of memory: a vocabulary of %zu words as JSON", v->size);
    return SN_OK;
}

static sn_status load_words(sn_vocabulary *v, const json_t *words) {
    size_t i;
    json_t *value;
    json_array_foreach(words, i, value) {
        const char *word = json_string_value(value);
        if (!word || !*word) SN_FAIL(SN_ERR_FORMAT, "vocabulary: word %zu is not a text", i + 1);
        size_t bytes = strlen(word);
        if (sn_map_get(&v->map, word, bytes) >= 0)
            SN_FAIL(SN_ERR_FORMAT, "vocabulary: word %zu, \"%s\", is there twice", i + 1, word);
        SN_TRY(add_entry(v, word, bytes, (int64_t)i + SN_WORD_FIRST));
    }
    v->fitted = true;
    return SN_OK;
}

sn_status sn_vocabulary_from_json(const json_t *json, sn_vocabulary **out) {
    *out = NULL;
    int64_t ngrams;
    json_t *words;
    if (!json_is_object(json))
        SN_FAIL(SN_ERR_FORMAT, "vocabulary: expected an object with \"ngrams\" and \"words\"");
    SN_TRY(sn_json_int(json, "ngrams", 1, &ngrams));
    SN_TRY(sn_json_array(json, "words", &words));
    if (!words) SN_FAIL(SN_ERR_FORMAT, "vocabulary: \"words\" is missing");
    if (json_array_size(words) > INT32_MAX - SN_WORD_FIRST)
        SN_FAIL(SN_ERR_FORMAT, "vocabulary: too many words");
    sn_vocabulary *v;
    SN_TRY(sn_vocabulary_create(ngrams > 0 && ngrams <= MOST_NGRAMS ? (int)ngrams : 0, &v));
    sn_status status = load_words(v, words);
    if (status == SN_OK) *out = v;
    else sn_vocabulary_free(v);
    return status;
}
