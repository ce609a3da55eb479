/* tokenizer.h: text <-> token ids, as the Python package `tokenizers` does it from the same files.
 *
 *   UTF-8 -> added tokens cut out -> normalizer -> pre-tokenizer -> model -> truncation -> post-processor -> padding
 *   ids -> tokens -> decoder -> UTF-8
 *
 * Files: tokenizer.json, or the older vocab.txt, vocab.json + merges.txt with special_tokens_map.json,
 * added_tokens.json and tokenizer_config.json. Every kind of part is a row of a table (tokenizer_*.def).
 *
 * A tokenizer is immutable and may be shared between threads; an encoding, a decoding stream belong to one thread. */
#ifndef SN_TEXT_TOKENIZER_H
#define SN_TEXT_TOKENIZER_H
#include "base/text.h"

typedef struct sn_tokenizer sn_tokenizer;

/* Opens a model directory: tokenizer.json first, else the older files by what tokenizer_config.json (tokenizer_class)
 * and config.json (model_type) say and what lies there. */
sn_status sn_tokenizer_open(const char *directory, sn_tokenizer **out);
/* The bytes of a tokenizer.json; `name` (a path) appears in errors. */
sn_status sn_tokenizer_parse(const char *name, const char *json, size_t bytes, sn_tokenizer **out);
void sn_tokenizer_free(sn_tokenizer *t);

typedef enum sn_truncation {
    SN_TRUNCATE_FILE, /* as tokenizer.json says: the default */
    SN_TRUNCATE_NONE,
    SN_TRUNCATE_LONGEST_FIRST,
    SN_TRUNCATE_ONLY_FIRST,
    SN_TRUNCATE_ONLY_SECOND
} sn_truncation;
typedef enum sn_padding { SN_PAD_FILE, SN_PAD_NONE } sn_padding;
typedef struct sn_encode_options {
    bool add_special; /* let the post-processor add its tokens */
    bool offsets;     /* fill bytes and codes (costs time) */
    bool no_codes;    /* with offsets: codes stay NULL (costs less memory) */
    sn_truncation truncation;
    sn_padding padding;
    int64_t max_length; /* tokens in all, added ones included; 0: the file's, else model_max_length, else no bound */
} sn_encode_options;

typedef struct sn_token_span {
    uint32_t begin, end;
} sn_token_span;

/* A result and the buffers it is made in; all-zero is empty, and using one again reuses its memory. */
typedef struct sn_encoding {
    int64_t count;
    int32_t *ids, *type_ids;
    int32_t *words;              /* index of the pre-tokenized piece, -1 for added tokens */
    uint8_t *attention, *special; /* 1: not padding; 1: added by the post-processor, or padding */
    sn_token_span *bytes, *codes; /* in the given bytes, in their code points; only with options.offsets */
    int64_t cut;                 /* tokens that truncation took away */
    struct sn_tok_work *work;
} sn_encoding;
/* Encodes one text or a pair (pair NULL: one). Malformed bytes count as U+FFFD, one for each maximal part, as Python's
 * bytes.decode("utf-8", "replace") has it; offsets are those of the bytes given. Linear in the text's length. */
sn_status sn_tokenizer_encode(const sn_tokenizer *t, const char *utf8, size_t bytes, const char *pair, size_t pair_bytes,
                              sn_encode_options options, sn_encoding *out);
void sn_encoding_free(sn_encoding *e);

/* Appends the text of the ids; ids without a token are passed over, special ones too if `skip_special`. */
sn_status sn_tokenizer_decode(const sn_tokenizer *t, const int32_t *ids, size_t n, bool skip_special, sn_buf *out);

/* Decoding token by token: `next` appends what is certain by now, always whole characters; `finish` the rest. */
typedef struct sn_decode_stream {
    const sn_tokenizer *tokenizer;
    bool skip_special;
    int32_t *ids;
    size_t count, room, settled; /* ids kept; the first `settled` of them have been told */
    size_t told;                 /* bytes of their text */
    sn_buf text;
} sn_decode_stream;
void sn_decode_stream_begin(sn_decode_stream *s, const sn_tokenizer *t, bool skip_special);
sn_status sn_decode_stream_next(sn_decode_stream *s, int32_t id, sn_buf *out);
sn_status sn_decode_stream_finish(sn_decode_stream *s, sn_buf *out);
void sn_decode_stream_free(sn_decode_stream *s);

/* -1 when there is no such token. */
int32_t sn_tokenizer_id(const sn_tokenizer *t, const char *token);
/* NULL when there is no such id; the string belongs to the tokenizer. */
const char *sn_tokenizer_token(const sn_tokenizer *t, int32_t id);
/* One more than the largest id, and how many tokens there are. */
int64_t sn_tokenizer_size(const sn_tokenizer *t);
int64_t sn_tokenizer_count(const sn_tokenizer *t);
/* model_max_length of tokenizer_config.json; 0 when it says none. */
int64_t sn_tokenizer_max_length(const sn_tokenizer *t);

typedef enum sn_special {
#define SN_SPECIAL(id, key) SN_SPECIAL_##id,
#include "text/tokenizer_specials.def"
    SN_SPECIALS
} sn_special;
/* Id of the token that special_tokens_map.json or tokenizer_config.json names (else the model's own, or the usual
 * spelling if it is in the vocabulary as a special token); -1 when there is none. */
int32_t sn_tokenizer_special(const sn_tokenizer *t, sn_special which);
bool sn_tokenizer_is_special(const sn_tokenizer *t, int32_t id);
#endif
