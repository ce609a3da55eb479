/* torch_file.h: tensors of a file that torch.save wrote (pytorch_model.bin, .pt, .ckpt), both layouts. Nothing in
 * the file is executed: the pickle is read by pickle.h, and only the names of torch_globals.def are known to it. */
#ifndef SN_TORCH_FILE_H
#define SN_TORCH_FILE_H
#include "params/view.h"

typedef struct sn_torch_file sn_torch_file;
/* Is it the beginning of such a file? */
bool sn_torch_sniff(const void *bytes, size_t size);
/* Reads a whole file image; the bytes must outlive the result. Dictionaries inside dictionaries, and lists, give
 * names with dots ("model_state.lstm.weight", "params.0"); what is no tensor is passed over. Views point into the
 * bytes, except tensors that are not contiguous, which are copied. Errors begin with `name`. */
sn_status sn_torch_parse(const char *name, const void *bytes, size_t size, sn_torch_file **out);
void sn_torch_free(sn_torch_file *file);
const sn_views *sn_torch_views(const sn_torch_file *file); /* in name order */
#endif
