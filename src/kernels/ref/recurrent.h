/* recurrent.h: what the forward and the backward pass of the recurrent layers share. */
#ifndef SN_KERNELS_REF_RECURRENT_H
#define SN_KERNELS_REF_RECURRENT_H
#include "kernels/cells.h"
#include "kernels/ref/ref.h"

/* An operand as f32: itself, or a copy taken from *room, which moves on. */
const float *sn_ref_widen(sn_type type, const void *from, float **room);
void sn_ref_narrow(sn_type type, const float *from, void *to);
/* Floats of room that operands of these types need. */
int64_t sn_ref_widened(const sn_type *types, int n);
#endif
