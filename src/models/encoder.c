/* encoder.c: the encoder table. */
#include "models/encoder.h"

#include "base/text.h"

#define SN_ENCODER(name, modalities, symbol) extern const sn_encoder sn_encoder_##symbol;
#include "models/encoders.def"
#undef SN_ENCODER

static const struct {
    const char *name;
    unsigned modalities;
    const sn_encoder *row;
} table[] = {
#define SN_ENCODER(name, modalities, symbol) {name, modalities, &sn_encoder_##symbol},
#include "models/encoders.def"
#undef SN_ENCODER
};
enum { ROWS = sizeof table / sizeof *table };

const char *sn_modality_name(enum sn_modality modality) {
    static const char *const names[] = {"image", "audio", "text", "table", "writer"};
    int k = 0;
    while (modality >> k > 1) k++;
    return names[k];
}

const sn_encoder *sn_encoder_default(enum sn_modality modality) {
    for (int i = 0; i < ROWS; i++)
        if (table[i].modalities & modality) return table[i].row;
    return NULL;
}

sn_status sn_encoder_find(const char *name, enum sn_modality modality, const sn_encoder **out) {
    sn_names passed = {0};
    for (int i = 0; i < ROWS; i++) {
        if (!(table[i].modalities & modality)) continue;
        if (sn_names_match(&passed, table[i].name, name)) {
            *out = table[i].row;
            return SN_OK;
        }
    }
    SN_FAIL(SN_ERR_USAGE, "unknown %s encoder \"%s\"; known: %s", sn_modality_name(modality), name, passed.used ? passed.list : "none");
}
