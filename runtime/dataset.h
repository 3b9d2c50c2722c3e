/* dataset: labelled images in memory, grey or coloured, from the files of MNIST and its like, and
 * the batches a network takes: scaled to its input, normalised, shuffled, augmented.
 *
 * Images stay bytes, as stored; a batch makes floats of just the images it needs. */
#ifndef CNNC_RUNTIME_DATASET_H
#define CNNC_RUNTIME_DATASET_H

#include "augment.h"
#include "formats/file.h"

typedef struct {
	size_t images, channels; /* 1: grey */
	size_t height, width;    /* as stored: 28x28, 8x8 */
	int classes;             /* every label is below */
	unsigned char *pixel;    /* [images, channels, height, width] */
	unsigned char *label;    /* [images] */
} Dataset;

enum { DATASET_CHANNELS = 4 };

/* Reads FOLDER/PART-images-idx3-ubyte and FOLDER/PART-labels-idx1-ubyte, plain or with .gz; PART is
 * "train" or "t10k". Images of channels are one dimension more: [images, channels, height, width],
 * in PART-images-idx4-ubyte. Fails on an empty set, more than DATASET_CHANNELS, counts that differ,
 * or a label that is no class. */
FORMAT_CHECKED bool dataset_read(
    Dataset *d, const char *folder, const char *part, int classes, FormatError *e);
void dataset_free(Dataset *d); /* a zeroed one is fine */

/* How stored images become the square ones that a network takes:
 *   the same size   as it is
 *   three quarters of the side or more, and an even rest   a black border: 28x28 in 32x32, as LeCun
 *                   et al. 1998 have it
 *   else            bilinear scaling with half-pixel centres, as of photographs: 8x8 to 32x32
 * followed by (v/255 - mean) * scale, with numbers of each channel's own. */
enum { FIT_SIDE = 512 };

typedef struct {
	int32_t low, high; /* the two stored lines that an output line mixes; -1: border */
	float part;        /* of high */
} FitTap;

typedef struct {
	size_t channels, height, width, side;
	FitTap row[FIT_SIDE], column[FIT_SIDE];
	float mean[DATASET_CHANNELS], scale[DATASET_CHANNELS];
} Fit;

/* mean 0 and scale 1 until fit_measure or fit_normalise. Fails where an image is larger than the
 * side. */
FORMAT_CHECKED bool fit_make(Fit *f, const Dataset *d, size_t side, FormatError *e);
/* Takes mean and standard deviation from all images of d, which is the training set. */
void fit_measure(Fit *f, const Dataset *d);
/* Takes those given, one for each channel, of values from 0 to 1: what weights of others were
 * trained with. Fails where a deviation is not above 0, or a number is not finite. */
FORMAT_CHECKED bool fit_normalise(
    Fit *f, const float *mean, const float *deviation, FormatError *e);
void fit_image(const Fit *f, const unsigned char *pixel, float *out /* [channels, side, side] */);

/* Images first..first+n-1 in their order, for testing: no image is ever left out.
 * x is [n, channels, side, side], label [n]. */
void dataset_batch(
    const Dataset *d, const Fit *f, size_t first, size_t n, float *x, int32_t *label);

/* Batches in the shuffled order of (seed, epoch). A last batch that would be short is dropped;
 * since every epoch has another order, it drops other images. (seed, epoch, place) is the whole
 * state. */
typedef struct {
	const Dataset *data;
	const Fit *fit;
	uint64_t seed, epoch;
	size_t place;    /* images of this epoch that were handed out */
	Augment augment; /* nothing, until the user says otherwise after feed_open */
	uint32_t *order;
	float *plane; /* [side, side], to work in */
} Feed;

FORMAT_CHECKED bool feed_open(Feed *f, const Dataset *d, const Fit *fit, uint64_t seed,
    uint64_t epoch, size_t place, FormatError *e);
void feed_close(Feed *f); /* a zeroed one is fine */
/* The next n images; false when the epoch has fewer left. */
bool feed_next(Feed *f, size_t n, float *x, int32_t *label);
void feed_next_epoch(Feed *f);
/* How many images an epoch of batches of n drops. */
size_t feed_dropped(const Dataset *d, size_t n);

#endif
