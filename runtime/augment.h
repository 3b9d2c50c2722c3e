/* augment: images of a training set, somewhere else in every epoch: He et al. 2015, 4.2.
 *
 * What happens to an image depends on (seed, epoch, its number in the data set) alone: neither on
 * the order in which images are handed out, nor on threads, nor on where a training was resumed. */
#ifndef CNNC_RUNTIME_AUGMENT_H
#define CNNC_RUNTIME_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AUGMENT_PAD = 65535 }; /* the largest */

/* All zero: images stay as they are. */
typedef struct {
	size_t pad; /* a border of that many black pixels, of which a random part is cropped again: the
	             * image moves by -pad..pad rows and as many columns */
	bool flip;  /* left and right change places, in half of the images, after the crop */
} Augment;

/* What happens to one image: pixel (row, column) shows the one that was at (row + down, column +
 * right), or, mirrored, at (row + down, side - 1 - column + right); black where there was none. */
typedef struct {
	int64_t down, right; /* -pad..pad, all as likely */
	bool mirror;
} Move;

Move augment_draw(const Augment *a, uint64_t seed, uint64_t epoch, uint64_t image);
/* One plane of `side` x `side`; `black` is what a black pixel is there. from != to. */
void augment_plane(const Move *m, size_t side, float black, const float *from, float *to);

#endif
