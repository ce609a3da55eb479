/* transfer_world.h: a small table of texts, pictures and sounds whose first three rows are the cells of
 * tests/golden/transfer/NAME/golden.safetensors, and trainers over it with a published encoder of one column. */
#ifndef SN_TRANSFER_WORLD_H
#define SN_TRANSFER_WORLD_H
#include <stdbool.h>

#include "test.h"
#include "train/trainer.h"

enum { PLACE_ROWS = 24, PLACE_CELLS = 6 }; /* PLACE_CELLS different ones in a column */

typedef struct place {
    char folder[64];
    sn_table *table;
} place;

place *place_create(void);
void place_free(place *p);
/* A group's place, made before its tests and freed after them. */
int place_begin(void **state);
int place_end(void **state);
/* folder/a[/b]; heap. */
char *place_path(const place *p, const char *a, const char *b);
/* tests/golden/transfer/NAME; heap. */
char *fixture(const char *name);
/* A copy of a directory's files in the folder; its path, heap. */
char *copy_directory(const place *p, const char *from, const char *name);
/* A copy of a fixture in the folder, to be broken; its path, heap. */
char *fixture_copy(const place *p, const char *name);

typedef struct setup {
    const char *encoder; /* a fixture's name, or a path where it begins with / */
    const char *column;  /* "text", "image", "audio" */
    const char *output;  /* name in the folder; NULL: none */
    const char *more;    /* members of the encoder's block, such as "\"tune\": \"full\"" */
    const char *top;     /* members of the config */
    int epochs;          /* 0: 3 */
} setup;
sn_status place_trainer(const place *p, const setup *s, sn_trainer **out);
sn_status place_resume(const place *p, const char *output, sn_trainer **out);
#endif
