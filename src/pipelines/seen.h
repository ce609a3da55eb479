/* seen.h: pictures as a model sees them, each made once for all questions about it.
 *
 *   item -> pixels [1,H,W,3]         of a model to which text and picture are one sequence (ViLT)
 *        -> encoder: states [1,S,D]  which the question looks at, of one that writes (BLIP)
 *        -> regions [1,R,V]          (VisualBERT)
 *
 * Pictures are the same if their files have the same path, or their pixels lie in the same place. Of very many those asked
 * about last are kept. */
#ifndef SN_SEEN_H
#define SN_SEEN_H
#include "pipelines/regions.h"

typedef struct sn_seen sn_seen;
/* regions: what the model looks at, or NULL; must outlive it. */
sn_status sn_seen_create(const sn_call *call, sn_regions *regions, sn_seen **out);
void sn_seen_free(sn_seen *s);
/* Adds item i's picture to the feed. The arrays are the seen's, until the next call. */
sn_status sn_seen_feed(sn_seen *s, size_t i, sn_feed *feed);
#endif
