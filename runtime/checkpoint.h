/* checkpoint: a network's state in safetensors files: weights for others, and all that a training
 * by SGD, in float, needs to go on without a bit of difference. Of other optimisers slots and
 * steps are kept, and their numbers (beta1, clip_norm) are the caller's to give again.
 *
 * Both are laid out by the table of tensors that the emitted header declares. */
#ifndef CNNC_RUNTIME_CHECKPOINT_H
#define CNNC_RUNTIME_CHECKPOINT_H

#include "formats/file.h"
#include "rate.h"
#include "types.h"

/* Weights and buffers (kinds 0 and 1 of the table) as F32 under their names. */
FORMAT_CHECKED bool weights_write(const char *path, const struct cnnc_tensor *tensor,
    size_t tensors, const float *vars, FormatError *e);
/* The file must hold just these names and shapes, in any type that fits float; PyTorch's
 * num_batches_tracked is passed over. After a failure vars are as they were. */
FORMAT_CHECKED bool weights_read(const char *path, const struct cnnc_tensor *tensor, size_t tensors,
    float *vars, FormatError *e);
/* The same, but for the names that fit a pattern ('*' any text, '?' any character). The lists end
 * with NULL, and NULL is an empty one; a pattern of `missing` that fits no tensor is an error. */
typedef struct {
	const char *const *missing; /* the file may lack these, or have another shape of them: they keep
	                             * their values; a classifier for other classes, {"fc.*", NULL} */
	const char *const
	    *left_over; /* the file may have these besides: heads that are not built here */
} WeightsAllow;
/* kept[i], unless kept is NULL: tensor[i] was kept. */
FORMAT_CHECKED bool weights_read_allowing(const char *path, const struct cnnc_tensor *tensor,
    size_t tensors, float *vars, const WeightsAllow *allow, bool *kept, FormatError *e);

/* Where a training stands. */
typedef struct {
	/* the network's memory; slots of kind 2 in the table index `slots`. A table without them, or
	 * NULL slots, is fine: slots that no table names are kept as one tensor, "optimizer.slots" */
	const struct cnnc_tensor *tensor;
	size_t tensors;
	float *vars, *slots;
	size_t slot_count; /* floats of slots */
	/* the rest travels as metadata */
	uint64_t seed, step, epoch;
	uint64_t place;         /* images of this epoch that are done */
	uint64_t images, batch; /* what `place` counts in */
	float momentum, decay;
	uint64_t pad, flip; /* of the augmentation */
	RateSchedule schedule;
} Checkpoint;

FORMAT_CHECKED bool checkpoint_write(const char *path, const Checkpoint *c, FormatError *e);
/* Fills vars and slots by the table and all fields below. After a failure *c is as it was. */
FORMAT_CHECKED bool checkpoint_read(const char *path, Checkpoint *c, FormatError *e);

#endif
