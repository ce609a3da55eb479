/* tokenizer_internal.h: what the files of the tokenizer share.
 *
 *   given bytes --repair--> source (well-formed UTF-8)
 *     --added tokens, normalizer--> sn_tok_text (UTF-8 with the place of origin of every byte) cut into pieces
 *     --pre-tokenizer--> finer pieces --model--> sn_tok_token (id, bytes of the text)
 *     --offsets, truncation, post-processor, padding--> sn_encoding
 *
 * All buffers live in sn_tok_work, which the encoding owns; a tokenizer is only read. */
#ifndef SN_TEXT_TOKENIZER_INTERNAL_H
#define SN_TEXT_TOKENIZER_INTERNAL_H
#include <string.h>

#include "base/json.h"
#include "text/tokenizer.h"

/* ---- Unicode (tokenizer_unicode.c) ---- */

enum {
#define SN_PROPERTY(name, bit) SN_IS_##name = 1 << bit,
#define SN_CODES(first, last, bits)
#define SN_LOWER(first, last, step, delta)
#include "text/tokenizer_unicode.def"
    SN_CODE_BLOCKS = 0x110000 / 128
};
typedef struct sn_tok_unicode {
    uint16_t ascii[128];
    uint16_t block[SN_CODE_BLOCKS]; /* 128 code points each -> row of `bits` */
    uint16_t *bits;
    size_t rows;
} sn_tok_unicode;
sn_status sn_tok_unicode_build(sn_tok_unicode *u);
static inline unsigned sn_tok_bits(const sn_tok_unicode *u, int32_t c) {
    return c < 128 ? u->ascii[c] : u->bits[(size_t)u->block[c >> 7] * 128 + (c & 127)];
}
/* Lower case: one code point, or two for U+0130. Returns how many. */
int sn_tok_lower(int32_t c, int32_t out[2]);
/* The code point at s, which is well-formed UTF-8; *n is its length. */
static inline int32_t sn_tok_code(const char *s, unsigned *n) {
    const unsigned char *b = (const unsigned char *)s;
    if (b[0] < 0x80) return *n = 1, b[0];
    if (b[0] < 0xE0) return *n = 2, (b[0] & 0x1F) << 6 | (b[1] & 0x3F);
    if (b[0] < 0xF0) return *n = 3, (b[0] & 0x0F) << 12 | (b[1] & 0x3F) << 6 | (b[2] & 0x3F);
    return *n = 4, (b[0] & 0x07) << 18 | (b[1] & 0x3F) << 12 | (b[2] & 0x3F) << 6 | (b[3] & 0x3F);
}
/* Writes c as UTF-8; returns the length. */
unsigned sn_tok_put(char *s, int32_t c);
/* Length of the maximal part at s that is replaced by one U+FFFD, or of the well-formed character; *good tells which. */
size_t sn_tok_part(const char *s, size_t left, bool *good);
/* Bytes of s with every maximal malformed part replaced. */
void sn_tok_repair(const char *s, size_t bytes, sn_buf *out);

/* ---- vocabulary (tokenizer_vocab.c) ---- */

enum { SN_TOK_MOST_ID = (1 << 24) - 1, SN_TOK_NONE = -1 };
typedef struct sn_tok_entry {
    const char *text; /* NULL: no token has this id */
    uint32_t bytes;
} sn_tok_entry;
typedef struct sn_tok_vocab {
    sn_arena strings;
    sn_tok_entry *entries; /* by id */
    size_t size, room, count;
    struct sn_tok_slot *slots;
    size_t mask; /* slots - 1; 0 slots: NULL */
} sn_tok_vocab;
uint64_t sn_tok_hash(const char *text, size_t bytes);
/* Adds a token; an id that another token has is an error. The same token again moves to the new id. */
sn_status sn_tok_vocab_add(sn_tok_vocab *v, const char *text, size_t bytes, int64_t id);
int32_t sn_tok_vocab_find(const sn_tok_vocab *v, const char *text, size_t bytes);
void sn_tok_vocab_free(sn_tok_vocab *v);
/* {"token": id, ...} */
sn_status sn_tok_vocab_read(sn_tok_vocab *v, const json_t *object);

/* A byte trie over token strings: nodes in breadth-first order, the children of one side by side. */
typedef struct sn_tok_trie {
    struct sn_tok_node *nodes;
    uint32_t *root; /* by byte; 0: no child */
    size_t count;
} sn_tok_trie;
typedef struct sn_tok_node {
    uint32_t children; /* first one */
    int32_t value;     /* -1: no token ends here */
    uint16_t n;
    uint8_t byte;
} sn_tok_node;
typedef struct sn_tok_key {
    const char *text;
    uint32_t bytes;
    int32_t value;
} sn_tok_key;
/* Sorts `keys`; of equal ones the one with the largest value counts. */
sn_status sn_tok_trie_build(sn_tok_trie *trie, sn_tok_key *keys, size_t n);
void sn_tok_trie_free(sn_tok_trie *trie);
/* The node below `node` (0: the root) by `byte`; 0 when there is none. */
static inline uint32_t sn_tok_trie_step(const sn_tok_trie *trie, uint32_t node, unsigned char byte) {
    if (!node) return trie->root[byte];
    const sn_tok_node *at = &trie->nodes[node], *child = &trie->nodes[at->children];
    uint16_t low = 0, high = at->n;
    while (high - low > 8) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (child[middle].byte <= byte) low = middle;
        else high = middle;
    }
    for (; low < high; low++) {
        if (child[low].byte == byte) return at->children + low;
    }
    return 0;
}

/* ---- texts ---- */

/* UTF-8 and, for each byte, the `width` bytes of the source from `from` on that its character stands for: one character
 * or none. Without `aligned` every character stands for itself (text) or nobody asked (offsets are not wanted). */
typedef struct sn_tok_text {
    char *data; /* own buffer, or the source (room 0) */
    size_t size, room;
    uint32_t *from;
    uint8_t *width;
    size_t span_room;
    bool aligned;
} sn_tok_text;
sn_status sn_tok_text_reserve(sn_tok_text *t, size_t more, bool aligned);
/* Appends bytes [begin, end) of `in`, with their origin. */
sn_status sn_tok_text_copy(sn_tok_text *t, const sn_tok_text *in, size_t begin, size_t end);
/* Appends `bytes` that all stand for the character of `in` at `at` (or, at the end of `in`, for nothing). */
sn_status sn_tok_text_add(sn_tok_text *t, const char *bytes, size_t n, const sn_tok_text *in, size_t at);
sn_token_span sn_tok_origin(const sn_tok_text *t, size_t at);

typedef struct sn_tok_codes {
    int32_t *code;
    uint32_t *from; /* when aligned */
    uint8_t *width;
    size_t count, room, span_room;
} sn_tok_codes;
/* A change as the reference describes it: a new character and how many it is in place of; see sn_tok_apply. */
typedef struct sn_tok_change {
    int32_t code;
    int32_t change; /* 1: new, 0: in place of the next one, -n: in place of the next one, n more are dropped */
} sn_tok_change;

typedef struct sn_tok_piece {
    uint32_t begin, end; /* bytes of the text */
    int32_t id;          /* an added token, else -1 */
} sn_tok_piece;
typedef struct sn_tok_pieces {
    sn_tok_piece *data;
    size_t count, room;
    struct sn_tok_work *drain; /* of the last pre-tokenizer: whenever there are some, the model takes them; else NULL */
} sn_tok_pieces;

typedef struct sn_tok_token {
    int32_t id;
    uint32_t begin, end; /* bytes of the text */
    int32_t word;
} sn_tok_token;

enum sn_tok_offsets { SN_TOK_NO_OFFSETS, SN_TOK_BYTES, SN_TOK_BYTES_AND_CODES };
/* One sequence after the model, with the final offsets. */
typedef struct sn_tok_sequence {
    int32_t *ids, *type_ids, *words;
    sn_token_span *bytes, *codes;
    uint8_t *special, *attention;
    size_t count, room;
} sn_tok_sequence;

/* A place in the source: byte and code point. Moves either way in steps of the distance. */
typedef struct sn_tok_cursor {
    const char *s;
    uint32_t size, byte, code;
} sn_tok_cursor;

typedef struct sn_tok_work {
    const sn_tokenizer *owner; /* whose words the cache holds ... */
    uint64_t fingerprint;      /* ... proven by its fingerprint, for an address may be used again */
    bool aligned;              /* offsets are wanted */
    sn_buf repaired;
    uint32_t *given; /* malformed input: byte of the source -> byte of the input */
    size_t given_room;
    sn_tok_text source, text, spare;
    sn_tok_pieces pieces, finer;
    sn_tok_codes codes, other;
    uint32_t base; /* of the segment being normalised, in the source */
    sn_tok_change *changes;
    size_t change_count, change_room;
    sn_tok_token *tokens;
    size_t token_count, token_room; /* those not settled yet */
    int32_t word;              /* the piece in work */
    const sn_tok_piece *batch; /* the pieces in work, ... */
    int32_t batch_word;        /* ... the number of the first of them, ... */
    size_t most;               /* ... and how many tokens are enough; 0: no bound */
    sn_tok_sequence *out;      /* where settled tokens go */
    sn_tok_cursor begins, ends; /* of the settled tokens, in the source */
    bool mapped;               /* the input was malformed: `given` finds back */
    void *symbols, *heap;    /* BPE */
    size_t symbol_room, heap_room;
    struct sn_tok_cached *cache;
    void *lattice;           /* Unigram */
    size_t lattice_room;
    uint32_t *matches; /* regular expressions: begin, end pairs */
    size_t match_count, match_room;
    void *match_data;        /* pcre2_match_data */
    sn_tok_sequence first, second, joined;
    int offsets;             /* as enum sn_tok_offsets */
} sn_tok_work;

/* ---- parts ---- */

typedef struct sn_tok_normalizer sn_tok_normalizer;
typedef struct sn_tok_normalizer_row {
    sn_status (*parse)(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n);
    sn_status (*run)(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w);
    void (*release)(sn_tok_normalizer *n);
    int cut;
} sn_tok_normalizer_row;
/* Where a text may be cut and its parts normalised one by one. */
enum {
    SN_TOK_CUT_NOWHERE,
    SN_TOK_CUT_PLAIN, /* between two printing ASCII characters */
    SN_TOK_CUT_ASCII  /* before any ASCII character: nothing before it depends on it or on what follows */
};
struct sn_tok_normalizer {
    const sn_tok_normalizer_row *row;
    void *state;
    int flags;
    int cut;        /* the row's, unless parse says more */
    bool once;      /* only works on the beginning of a text; the parts after it do without */
};

typedef struct sn_tok_pretokenizer sn_tok_pretokenizer;
typedef struct sn_tok_pretokenizer_row {
    sn_status (*parse)(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p);
    sn_status (*run)(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w); /* w->text, w->pieces */
    void (*release)(sn_tok_pretokenizer *p);
} sn_tok_pretokenizer_row;
struct sn_tok_pretokenizer {
    const sn_tok_pretokenizer_row *row;
    void *state;
    int flags;
};

typedef struct sn_tok_model_row {
    sn_status (*parse)(sn_tokenizer *t, const json_t *json);
    /* Appends the tokens of bytes [begin, end) of w->text, which are not empty. */
    sn_status (*run)(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end);
    void (*release)(void *state);
} sn_tok_model_row;

typedef struct sn_tok_processor sn_tok_processor;
typedef struct sn_tok_processor_row {
    sn_status (*parse)(const sn_tokenizer *t, const json_t *json, sn_tok_processor *p);
    /* Works on w->first and w->second; `pair`: there is a second. */
    sn_status (*run)(const sn_tokenizer *t, const sn_tok_processor *p, sn_tok_work *w, bool pair, bool add_special);
    void (*release)(sn_tok_processor *p);
} sn_tok_processor_row;
enum { SN_TOK_TRIM = 1, SN_TOK_PREFIX = 2 }; /* flags: white space leaves the offsets; one space may be the tokenizer's own */
struct sn_tok_processor {
    const sn_tok_processor_row *row;
    void *state;
    int added[2]; /* tokens it adds to one text, to a pair */
    int flags;
};

/* Tokens on their way to text: strings in one buffer, and where each ends. */
typedef struct sn_tok_strings {
    sn_buf text;
    size_t *ends;
    size_t count, room;
} sn_tok_strings;
sn_status sn_tok_strings_end(sn_tok_strings *s); /* what was added to text since the last end is one more string */
typedef struct sn_tok_decoder sn_tok_decoder;
typedef struct sn_tok_decoder_row {
    sn_status (*parse)(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d);
    sn_status (*run)(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out);
    void (*release)(sn_tok_decoder *d);
} sn_tok_decoder_row;
struct sn_tok_decoder {
    const sn_tok_decoder_row *row;
    void *state;
    int flags;
};

typedef struct sn_tok_added {
    char *content;
    uint32_t bytes;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} sn_tok_added;

enum { SN_TOK_MOST_PARTS = 32 }; /* normalizers, pre-tokenizers ... in a row, sequences flattened */
struct sn_tokenizer {
    char *name;
    uint64_t fingerprint;
    sn_tok_unicode unicode;
    sn_tok_vocab vocab; /* of the model */
    const sn_tok_model_row *model;
    void *model_state;
    sn_tok_normalizer normalizers[SN_TOK_MOST_PARTS];
    sn_tok_pretokenizer pretokenizers[SN_TOK_MOST_PARTS];
    sn_tok_processor processors[SN_TOK_MOST_PARTS];
    sn_tok_decoder decoders[SN_TOK_MOST_PARTS];
    int normalizer_count, pretokenizer_count, processor_count, decoder_count;
    bool local;            /* all normalizers are: ASCII goes through `ascii` */
    int16_t ascii[128];    /* what the normalizers make of an ASCII character; -1: nothing */
    bool plain_ascii[256]; /* not local: a printing ASCII character that every normalizer makes one of; a text may be cut
                            * between two of them */
    bool needs_origin;     /* a pre-tokenizer asks where a piece comes from */
    bool raw_bytes;        /* the last pre-tokenizer is ByteLevel and the model reads bytes, not their stand-ins */
    sn_tok_added *added;
    size_t added_count, added_room;
    sn_tok_vocab added_names;   /* content -> index into `added` */
    int32_t *added_by_id;       /* id -> index into `added`, -1 */
    size_t added_ids;
    char **added_shown;         /* by index: normalised content that decoding shows, NULL: the content */
    sn_tok_trie plain, normal;  /* added tokens looked for before and after the normalizer */
    uint8_t plain_first[256], normal_first[256];
    sn_truncation truncation; /* of the file; NONE if it has none */
    bool truncate_left, pad, pad_left;
    int64_t truncation_length, pad_length, pad_multiple; /* pad_length 0: to the longest, that is not at all */
    int32_t pad_id, pad_type;
    int64_t max_length;
    int32_t special[SN_SPECIALS];
};

/* Which row `name` is of a table; an unknown one is an error that lists the names. */
sn_status sn_tok_kind(const char *what, const char *name, const char *const *names, size_t n, size_t *index);
/* "type" of a part. */
sn_status sn_tok_type(const char *what, const json_t *json, const char **type);
/* A Sequence: every entry of its list `parts` is added. */
sn_status sn_tok_parts_add(sn_tokenizer *t, const json_t *json, const char *parts, sn_status (*add)(sn_tokenizer *t, const json_t *json));

sn_status sn_tok_normalizer_add(sn_tokenizer *t, const json_t *json);
/* After the spare text was filled: it becomes the text. */
void sn_tok_text_turn(sn_tok_work *w);
void sn_tok_text_free(sn_tok_text *t);
void sn_tok_codes_free(sn_tok_codes *c);
sn_status sn_tok_pretokenizer_add(sn_tokenizer *t, const json_t *json);
sn_status sn_tok_processor_add(sn_tokenizer *t, const json_t *json);
sn_status sn_tok_decoder_add(sn_tokenizer *t, const json_t *json);
sn_status sn_tok_model_read(sn_tokenizer *t, const json_t *json);
/* After all parts are there: the ASCII table, the added tokens' tries, special ids. */
sn_status sn_tok_normalizers_ready(sn_tokenizer *t);
sn_status sn_tok_added_read(sn_tokenizer *t, const json_t *list);
/* Adds or changes a token; one that the model does not know gets the id *next, which is then one more. */
sn_status sn_tok_added_put(sn_tokenizer *t, const sn_tok_added *token, int64_t *next);
sn_status sn_tok_added_ready(sn_tokenizer *t);
sn_status sn_tok_bpe_ready(sn_tokenizer *t);
extern const sn_tok_model_row sn_tok_model_bpe;
extern const sn_tok_pretokenizer_row sn_tok_pretokenizer_byte_level;
sn_status sn_tok_from_json(const char *name, const json_t *json, uint64_t fingerprint, sn_tokenizer **out);
void sn_tok_match_data_free(void *data);

/* Cuts [begin, end) of `text` at added tokens and appends the pieces. */
sn_status sn_tok_added_cut(const sn_tokenizer *t, const sn_tok_trie *trie, const uint8_t first[256], const char *text, uint32_t begin,
                           uint32_t end, sn_tok_pieces *out);
/* Normalises bytes [begin, end) of w->source and appends to w->text. */
sn_status sn_tok_normalise(const sn_tokenizer *t, sn_tok_work *w, size_t begin, size_t end);
/* Puts w->changes in the place of w->codes, skipping `dropped` code points first. */
sn_status sn_tok_apply(sn_tok_work *w);
sn_status sn_tok_change_add(sn_tok_work *w, int32_t code, int32_t change);
sn_status sn_tok_codes_reserve(sn_tok_codes *c, size_t count, bool aligned);
/* Appends a code point to w->other with the origin of w->codes' `at`; sn_tok_turn then makes w->other w->codes. */
sn_status sn_tok_other_add(sn_tok_work *w, int32_t code, size_t at);
void sn_tok_turn(sn_tok_work *w);
/* The code points of `from` as UTF-8, appended. */
sn_status sn_tok_codes_text(const sn_tok_codes *from, sn_buf *out);

sn_status sn_tok_piece_add(sn_tok_pieces *p, uint32_t begin, uint32_t end, int32_t id);
sn_status sn_tok_token_add(sn_tok_work *w, int32_t id, uint32_t begin, uint32_t end);
/* Tokens, symbols and pieces are worked on some thousands at a time, so that a text takes little more than its result. */
enum { SN_TOK_BATCH = 4096, SN_TOK_MUCH = 1 << 20 };
/* The model's tokens of these pieces, which are forgotten then. */
sn_status sn_tok_drain(sn_tok_work *w, sn_tok_pieces *pieces);
/* Once there are many: the tokens go to the result. A model calls it between tokens that it will not touch again. */
sn_status sn_tok_settle(sn_tok_work *w);
static inline sn_status sn_tok_settle_many(sn_tok_work *w) { return w->token_count < SN_TOK_BATCH ? SN_OK : sn_tok_settle(w); }
/* A room of more than SN_TOK_MUCH elements is given back. */
void sn_tok_room_drop(void **room, size_t *elements);
/* One text through normalizers, pre-tokenizers and model into `out`. `most` > 0: no more of the pieces than
 * it takes to have that many tokens. */
sn_status sn_tok_encode_one(const sn_tokenizer *t, sn_tok_work *w, const char *s, size_t bytes, size_t most, sn_tok_sequence *out);
/* Appends a token without a place in the text; all of `in`, with this type (-1: its own). */
sn_status sn_tok_sequence_add(sn_tok_sequence *s, int32_t id, int32_t type, int offsets);
sn_status sn_tok_sequence_append(sn_tok_sequence *s, const sn_tok_sequence *in, int32_t type, int offsets);
/* Moves everything n places on; the first n tokens are then as after sn_tok_sequence_add, with id and type 0. */
sn_status sn_tok_sequence_shift(sn_tok_sequence *s, size_t n, int offsets);
sn_status sn_tok_sequence_reserve(sn_tok_sequence *s, size_t count, int offsets);
/* The stand-in of a byte in byte-level vocabularies, and back (-1: not one). */
int32_t sn_tok_byte_code(unsigned char byte);
int sn_tok_code_byte(int32_t code);
void sn_tok_work_free(sn_tok_work *w);

/* ---- patterns (tokenizer_pattern.c) ---- */

typedef struct sn_tok_pattern sn_tok_pattern;
/* json: {"Regex": "..."} or {"String": "..."}. */
sn_status sn_tok_pattern_read(const json_t *json, sn_tok_pattern **out);
sn_status sn_tok_pattern_create(const char *text, size_t bytes, bool regex, sn_tok_pattern **out);
void sn_tok_pattern_free(sn_tok_pattern *p);
/* Forgets the scanner written by hand, so that PCRE2 does the work (for tests). */
void sn_tok_pattern_general(sn_tok_pattern *p);
/* Fills w->matches with the begin and end (relative to text) of every match, from left to right. */
sn_status sn_tok_pattern_find(const sn_tokenizer *t, const sn_tok_pattern *p, sn_tok_work *w, const char *text, size_t bytes);
/* The same where there is no work at hand; *pairs is from the heap. */
sn_status sn_tok_pattern_list(const sn_tok_pattern *p, const char *text, size_t bytes, uint32_t **pairs, size_t *count);
#endif
